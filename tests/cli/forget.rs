//! Forgetting, as those who are asked to do it see it: by hand, from the config, by a call; with and without a daemon; killed.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::site::{Site, wait_for};

const DATE: &str = "2026-03-20";

fn call(kind: &str, id: &str, day: &str, more: Json) -> String {
    let at = format!("{day}T12:00:00.000Z");
    let mut call = json!({"type": kind, "messageId": id, "timestamp": at, "receivedAt": at});
    call.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    call.to_string()
}

/// Jane at Zeta, who was seen on a device before she signed in, and was called `j-old` once; Max at Zeta; Kim at Omega. Jane
/// stops on March 10, and with her most of what Zeta does.
fn lines() -> Vec<String> {
    let mut lines = vec![
        call("group", "k1", "2026-02-01", json!({"userId": "kim", "groupId": "omega", "traits": {"name": "Omega"}})),
        call(
            "group",
            "z1",
            "2026-02-01",
            json!({"userId": "max", "groupId": "zeta", "traits": {"name": "Zeta", "domain": "zeta.example"}}),
        ),
        call(
            "track",
            "e0",
            "2026-02-01",
            json!({"anonymousId": "janes-phone", "event": "Report Shared", "context": {"groupId": "zeta"}}),
        ),
        call(
            "identify",
            "e1",
            "2026-02-02",
            json!({"userId": "jane", "anonymousId": "janes-phone", "traits": {"email": "Jane@people.example"}}),
        ),
        call("alias", "e2", "2026-02-02", json!({"userId": "jane", "previousId": "j-old"})),
        call("group", "e3", "2026-02-02", json!({"userId": "jane", "groupId": "zeta"})),
        call("track", "e4", "2026-02-03", json!({"userId": "j-old", "event": "Report Shared"})),
    ];
    let days = (3..=28).map(|day| format!("2026-02-{day:02}")).chain((1..=18).map(|day| format!("2026-03-{day:02}")));
    for (n, day) in days.enumerate() {
        let event = |user: &str| json!({"userId": user, "event": "Report Shared", "context": {"groupId": if user == "kim" { "omega" } else { "zeta" }}});
        if n < 36 {
            lines.push(call("track", &format!("j{n}"), &day, event("jane")));
            lines.push(call(
                "track",
                &format!("p{n}"),
                &day,
                json!({"anonymousId": "janes-phone", "event": "Report Shared", "context": {"groupId": "zeta"}}),
            ));
        }
        lines.push(call("track", &format!("k{n}-"), &day, event("kim")));
        lines.push(call("track", &format!("m{n}"), &day, event("max")));
    }
    lines
}

fn site() -> Site {
    let site = Site::new();
    site.archive("1.ndjson", &lines());
    let companies = ["zeta", "omega"].map(|name| json!({"name": name, "domain": format!("{name}.example")}));
    site.vendors.hubspot.seed(&json!({ "companies": companies }));
    let contacts =
        ["jane", "max", "kim"].map(|user| json!({"external_id": user, "email": format!("{user}@people.example")}));
    site.vendors.intercom.seed(&json!({ "contacts": contacts }));
    site.vendors.slack.seed(&json!({"channels": ["cs-alerts"]}));
    site
}

/// Files below a directory that hold a text, in any case of its letters.
fn holding(dir: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(holding(&path, text));
        } else if path.is_file() {
            let bytes = std::fs::read(&path).expect("a file").to_ascii_lowercase();
            if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[track_caller]
fn holds_nothing_of(site: &Site, texts: &[&str]) {
    for text in texts {
        assert_eq!(holding(&site.path("state"), text), Vec::<String>::new(), "of {text}");
    }
}

fn accounts(site: &Site) -> Json {
    site.run(&["accounts", "--format", "json", "--as-of", DATE]).exits(0).json()
}

/// What the calls alone say of the accounts. Since when rules hold is what runs noted of an account: it stays, and a state
/// that never ran has none.
fn figures(site: &Site) -> Json {
    let mut accounts = accounts(site);
    for account in accounts.as_array_mut().expect("a list") {
        account.as_object_mut().expect("an object").remove("since").expect("noted or not, it is there");
    }
    accounts
}

/// Figures of an archive without Jane's calls.
fn without_jane() -> Json {
    let other = Site::new();
    let hers = ["jane", "j-old"];
    other.archive(
        "1.ndjson",
        &lines().into_iter().filter(|line| !hers.iter().any(|id| line.contains(id))).collect::<Vec<_>>(),
    );
    figures(&other)
}

#[test]
fn a_person_is_erased_and_stays_away() {
    let site = site();
    site.once("2026-03-09", 0);
    site.once(DATE, 0);
    assert!(!holding(&site.path("state"), "jane").is_empty(), "this test looks in the wrong place");

    let refused = site.run(&["forget", "jane@people.example"]).exits(2).stderr;
    assert!(refused.contains("--yes") && refused.contains("--dry-run"), "{refused}");
    assert!(site.run(&["forget", "nobody", "--yes"]).exits(2).stderr.contains("no user, account or email `nobody`"));
    assert!(site.run(&["forget", "--account", "jane", "--yes"]).exits(2).stderr.contains("no account `jane`"));
    let before = accounts(&site);
    let dry = site.run(&["forget", "jane@people.example", "--dry-run", "--format", "json"]).exits(0).json();
    assert_eq!((&dry["users"], &dry["devices"], &dry["dry_run"]), (&json!(2), &json!(2), &json!(true)), "{dry}");
    assert_eq!(accounts(&site), before);

    let done = site.run(&["forget", "jane@people.example", "--yes", "--format", "json"]).exits(0).json();
    for name in ["users", "devices", "counts_removed", "statements_removed", "remains"] {
        assert_eq!(done[name], dry[name], "{name}: {done}");
    }
    assert_eq!(done["counts_removed"], 74);
    assert_eq!((&done["remains"][0]["record"], done["remains"].as_array().map(Vec::len)), (&json!("contact"), Some(1)));
    holds_nothing_of(&site, &["jane", "j-old", "janes-phone", "people.example"]);
    assert_eq!(figures(&site), without_jane());

    // Nobody brings her back: not the archive under another name, not a new device, not another alias.
    site.archive(
        "more.ndjson",
        &[
            call(
                "identify",
                "n1",
                "2026-03-19",
                json!({"userId": "jane", "anonymousId": "new-phone", "traits": {"email": "jane@people.example"}}),
            ),
            call("alias", "n2", "2026-03-19", json!({"userId": "jane", "previousId": "janes-mail"})),
            call(
                "group",
                "n3",
                "2026-03-19",
                json!({"userId": "jane", "groupId": "janes-own", "traits": {"name": "Jane"}}),
            ),
        ],
    );
    let run = site.once(DATE, 0);
    assert!(run["sources"]["product"]["suppressed"].as_u64() > Some(0), "{run}");
    // What names come in depends on what came before them in a pass.
    let event = json!({"userId": "jane", "event": "Jane Shared", "context": {"groupId": "janes-shop"}});
    site.archive("most.ndjson", &[call("track", "n4", "2026-03-19", event)]);
    site.once(DATE, 0);
    site.archive("again.ndjson", &lines());
    site.once(DATE, 0);
    site.run(&["state", "compact"]).exits(0);
    holds_nothing_of(&site, &["jane", "j-old", "janes-phone", "people.example", "new-phone"]);
    assert_eq!(figures(&site), without_jane());
    assert!(site.run(&["forget", "--user", "jane", "--yes"]).exits(0).stdout.contains("forgotten before"));

    let audit = site.run(&["forget", "--list", "--format", "json"]).exits(0).json();
    assert_eq!(
        (audit.as_array().map(Vec::len), &audit[0]["kind"], &audit[0]["by"]),
        (Some(1), &json!("user"), &json!("command"))
    );
    assert_eq!((&audit[0]["hash"], &audit[0]["counts_removed"]), (&done["hash"], &json!(74)));
}

#[test]
fn an_account_is_erased_and_its_users_stay() {
    let site = site();
    site.config(&site.standard().replace("accounts:\n", "accounts:\n  aliases: { z-old: zeta }\n"));
    site.archive("0.ndjson", &[call("group", "o1", "2026-02-01", json!({"userId": "max", "groupId": "z-old"}))]);
    site.once("2026-03-09", 0);
    site.once(DATE, 0);
    assert_eq!(site.messages().len(), 1, "Zeta fell");
    let text = site.run(&["forget", "zeta", "--yes"]).exits(0).stdout;
    for said in ["its users stay", "crm@", ": company ", "1 message(s)", "archives", "exports and backups"] {
        assert!(text.contains(said), "{said} in:\n{text}");
    }
    holds_nothing_of(&site, &["zeta", "z-old"]);
    assert!(!holding(&site.path("state"), "jane").is_empty());
    site.archive("again.ndjson", &lines());
    let names: Vec<Json> =
        accounts(&site).as_array().expect("a list").iter().map(|one| one["account"].clone()).collect();
    assert_eq!(names, ["omega"]);
}

#[test]
fn a_name_of_several_is_refused_until_it_is_said_which() {
    let site = site();
    site.archive(
        "2.ndjson",
        &[
            call("track", "x1", "2026-03-01", json!({"userId": "omega", "event": "Report Shared"})),
            call("identify", "x2", "2026-03-01", json!({"userId": "kim", "traits": {"email": "same@people.example"}})),
            call("identify", "x3", "2026-03-01", json!({"userId": "max", "traits": {"email": "same@people.example"}})),
        ],
    );
    site.once(DATE, 0);
    let refused = site.run(&["forget", "omega", "--yes"]).exits(2).stderr;
    assert!(refused.contains("user `omega` and account `omega`") && refused.contains("--user ID"), "{refused}");
    let refused = site.run(&["forget", "same@people.example", "--yes"]).exits(2).stderr;
    assert!(refused.contains("user `kim`") && refused.contains("user `max`"), "{refused}");
    site.run(&["forget", "--user", "omega", "--yes"]).exits(0);
    assert_eq!(accounts(&site).as_array().map(Vec::len), Some(2));
}

#[test]
fn a_daemon_forgets_while_it_runs() {
    let site = site();
    let daemon = site.daemon(DATE, "daemon.log");
    ["crm", "desk", "team"].iter().for_each(|name| daemon.logs(&format!("synced destination={name}")));
    let text = site.run(&["forget", "--user", "jane", "--yes"]).exits(0).stdout;
    assert!(text.contains("2 user id(s)") && text.contains("vitalsync state compact"), "{text}");
    assert!(site.run(&["forget", "--user", "nobody", "--yes"]).exits(2).stderr.contains("no user `nobody`"));
    assert_eq!(figures(&site), without_jane());
    daemon.signal("TERM");
    let mut daemon = daemon;
    daemon.ends_within(Duration::from_secs(20));
    site.run(&["state", "compact"]).exits(0);
    holds_nothing_of(&site, &["jane", "j-old", "janes-phone", "people.example"]);
}

#[test]
fn calls_and_the_config_ask_as_well() {
    let site = site();
    site.once(DATE, 0);
    let delete = json!({"type": "delete", "userId": "jane", "messageId": "d1", "timestamp": "2026-03-19T12:00:00Z", "receivedAt": "2026-03-19T12:00:00Z"});
    let after = call(
        "track",
        "d2",
        "2026-03-19",
        json!({"userId": "jane", "event": "Report Shared", "context": {"groupId": "zeta"}}),
    );
    let before = call(
        "track",
        "d0",
        "2026-03-18",
        json!({"userId": "jane", "event": "Report Shared", "context": {"groupId": "zeta"}}),
    );
    site.archive("2.ndjson", &[before, delete.to_string(), after.clone()]);
    let run = site.once(DATE, 0);
    assert_eq!(run["sources"]["product"]["deletions"], 1, "{run}");
    assert_eq!(figures(&site), without_jane());
    site.archive("3.ndjson", &[after]);
    assert_eq!(site.once(DATE, 0)["sources"]["product"]["deletions"], 0);
    assert_eq!(figures(&site), without_jane());

    std::fs::write(site.path("who.csv"), "# by request\naccount,omega\nnobody-yet\n").expect("a file");
    let config = site.standard();
    site.config(&config.replace("accounts:\n  id:", "suppress: { users: [max], file: ./who.csv }\naccounts:\n  id:"));
    site.run(&["validate"]).exits(0);
    let said = site.run(&["run", "--once", "--as-of", DATE]).exits(0).stderr;
    assert!(said.contains("count=3") && said.contains("unknown=1"), "of three one is nobody: {said}");
    site.once(DATE, 0);
    site.run(&["state", "compact"]).exits(0);
    holds_nothing_of(&site, &["jane", "max", "omega", "nobody-yet"]);
    let audit = site.run(&["forget", "--list", "--format", "json"]).exits(0).json();
    let by: Vec<&str> = audit.as_array().expect("a list").iter().filter_map(|line| line["by"].as_str()).collect();
    assert_eq!(by, ["source", "config", "config", "config"]);

    std::fs::write(site.path("who.csv"), "kim\nno,one\n").expect("a file");
    for command in [&["validate"][..], &["run", "--once"][..]] {
        assert!(site.run(command).exits(2).stderr.contains("who.csv:2: what stands before the comma"));
    }
    std::fs::write(site.path("who.csv"), "kim\nuser;kim\n").expect("a file");
    for command in [&["validate"][..], &["run", "--once"][..]] {
        let said = site.run(command).exits(2).stderr;
        assert!(
            said.contains("who.csv:2: fields are divided by a comma") && said.contains("write an id, or `user,ID`"),
            "{said}"
        );
    }
    std::fs::remove_file(site.path("who.csv")).expect("it was there");
    for command in [&["validate"][..], &["run", "--once"][..]] {
        let said = site.run(command).exits(2).stderr;
        let line = said.lines().find(|line| line.starts_with("vitalsync.yaml:")).unwrap_or_default();
        assert!(line.contains("can't read the file of `suppress`, ./who.csv"), "{said}");
    }
}

#[test]
fn a_kill_anywhere_leaves_an_erasure_that_is_finished() {
    let site = site();
    let quiet = site.standard().split("destinations:").next().expect("a text").to_owned();
    site.config(&quiet);
    let mut expected = None;
    let mut whole = Duration::from_millis(300);
    let mut killed = 0;
    for round in 0..12u32 {
        let _ = std::fs::remove_dir_all(site.path("state"));
        site.once(DATE, 0);
        let before = accounts(&site);
        let begun = Instant::now();
        if let Some(expected) = &expected {
            let mut command = site.command(&["forget", "--user", "jane", "--yes"]);
            let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            let mut child = child.expect("it starts");
            wait_for("the moment", || begun.elapsed() >= whole * round / 18);
            let _ = child.kill();
            killed += u32::from(child.wait().expect("it ends").code().is_none());
            let now = accounts(&site);
            assert!(now == before || now == *expected, "round {round}: half an erasure is seen");
            site.run(&["forget", "--user", "jane", "--yes"]).exits(0);
            let audit = site.run(&["forget", "--list", "--format", "json"]).exits(0).json();
            assert_eq!(
                (audit.as_array().map(Vec::len), &audit[0]["counts_removed"]),
                (Some(1), &json!(74)),
                "round {round}"
            );
        } else {
            site.run(&["forget", "--user", "jane", "--yes"]).exits(0);
            whole = begun.elapsed();
            expected = Some(accounts(&site));
        }
        holds_nothing_of(&site, &["jane", "j-old", "janes-phone"]);
        assert_eq!(Some(accounts(&site)), expected, "round {round}");
    }
    assert!(killed > 2, "only {killed} were killed in time; this test tests little");
}
