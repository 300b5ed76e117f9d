//! After any sequence of faults and kills the tools hold exactly what a run without them leaves, and no alert is missing or
//! there twice.
//!
//! A seed makes the customers' story, the faults of each day and the moments of the kills. The same story is told to another
//! sandbox without faults, once for all seeds; what is compared is what people see there. `VITALSYNC_ROUNDS` sets how many seeds
//! are tried, `VITALSYNC_SEED` the first of them.

use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::site::{Random, Site, track};

/// Seeds that are tried where nothing else is said.
const ROUNDS: u64 = 24;
/// The days on which the tools are told.
const DAYS: [&str; 4] = ["2026-03-08", "2026-03-12", "2026-03-15", "2026-03-19"];
/// So many runs bring a day to its end at most.
const RUNS: usize = 12;

/// Accounts that are used all the time, that stop, that begin late, that come back.
const ACCOUNTS: [(&str, &[(u32, u32)]); 8] = [
    ("acme", &[(1, 10)]),
    ("beta", &[(1, 31)]),
    ("cyan", &[(1, 13)]),
    ("dune", &[(9, 31)]),
    ("echo", &[(1, 7), (16, 31)]),
    ("fern", &[(1, 12)]),
    ("gold", &[(1, 4), (11, 17)]),
    ("hill", &[(1, 31)]),
];

/// Contacts in HubSpot, at the end of its section.
const PEOPLE: &str = "    contacts:
      missing: create
      properties:
        vitalsync_days: user.frequency.active_days
";
/// Companies in Intercom, at the end of its section.
const FIRMS: &str = "    companies:
      missing: create
      attributes: { company_health: health.score }
      tag_groups:
        band:
          \"Account: at risk\": health.band == \"at_risk\"
          \"Account: fine\": health.band == \"healthy\"
";

/// A site whose archive tells the story, and whose vendors know some of the customers.
fn site() -> Site {
    let site = Site::new();
    // Few accounts, and more than a fifth of them move: nobody is there to approve that.
    let config = site.standard().replace("mode: live\n", "mode: live\n    brake: off\n");
    let config = config.replace("    companies:\n", "    companies:\n      missing: create\n");
    let config =
        config.replace("    contacts:\n", "    contacts:\n      missing: create\n      email: user.traits.email\n");
    let config =
        config.replace("  desk:\n", &format!("{PEOPLE}  desk:\n")).replace("  team:\n", &format!("{FIRMS}  team:\n"));
    let rule = "score_drop: { drop: 15, within: 7d, to: \"#cs-alerts\", cooldown: 3d }";
    let rules = "\n      up: { rise: 20, to: \"#sales\" }\n      gone_quiet: { quiet: 3d, to: \"#cs-alerts\" }";
    site.config(&config.replace(rule, &format!("{rule}{rules}")));
    for (account, spans) in ACCOUNTS {
        let mut lines = Vec::new();
        let begin = "2026-03-01T08:00:00.000Z";
        for user in 0..3 {
            lines.push(
                json!({"type": "identify", "messageId": format!("{account}-i{user}"), "userId": format!("{account}-{user}"),
                    "traits": {"email": format!("{account}-{user}@people.example")}, "context": {"groupId": account},
                    "timestamp": begin, "receivedAt": begin})
                .to_string(),
            );
        }
        lines.push(
            json!({"type": "group", "messageId": format!("{account}-g"), "userId": format!("{account}-0"),
                "groupId": account, "traits": {"name": account, "domain": format!("{account}.example")},
                "timestamp": begin, "receivedAt": begin})
            .to_string(),
        );
        for day in spans.iter().flat_map(|(from, to)| *from..=*to) {
            for user in 0..3 {
                let id = format!("{account}-{day}-{user}");
                lines.push(track(
                    &id,
                    account,
                    &format!("{account}-{user}"),
                    "Report Shared",
                    &format!("2026-03-{day:02}"),
                ));
            }
        }
        site.archive(&format!("{account}.ndjson"), &lines);
    }
    let companies = ["acme", "beta", "gold"].map(|name| json!({"name": name, "domain": format!("{name}.example")}));
    site.vendors.hubspot.seed(&json!({ "companies": companies }));
    let contacts = ["acme-0", "acme-1", "beta-0", "fern-2", "hill-0"]
        .map(|user| json!({"external_id": user, "email": format!("{user}@people.example")}));
    site.vendors.intercom.seed(&json!({ "contacts": contacts }));
    site.vendors.slack.seed(&json!({ "channels": ["cs-alerts", "sales"] }));
    site
}

/// What people see in the tools, without ids and times that only the vendors give.
fn seen(site: &Site) -> Json {
    let list = |state: &Json, name: &str| state[name].as_array().cloned().unwrap_or_default();
    let sorted = |mut list: Vec<Json>| {
        list.sort_by_key(Json::to_string);
        list
    };
    let ours = |record: &Json| {
        let properties = record["properties"].as_object().cloned().unwrap_or_default();
        let ours = |name: &str| name.starts_with("vitalsync") || matches!(name, "name" | "domain" | "email");
        properties.into_iter().filter(|(name, _)| ours(name)).collect::<serde_json::Map<_, _>>().into()
    };
    let of_intercom = |record: &Json| {
        let tags = sorted(list(record, "tags"));
        json!([record["external_id"], record["company_id"], record["email"], record["custom_attributes"], tags])
    };
    let hubspot = site.vendors.hubspot.state();
    let intercom = site.vendors.intercom.state();
    let slack = site.vendors.slack.state();
    let objects = |kind: &str| sorted(list(&hubspot, kind).iter().map(ours).collect());
    let people = |kind: &str| sorted(list(&intercom, kind).iter().map(of_intercom).collect());
    let messages = list(&slack, "messages");
    json!({
        "companies": objects("companies"),
        "contacts": objects("contacts"),
        "people": people("contacts"),
        "their companies": people("companies"),
        "messages": sorted(messages.iter().map(|message| json!([message["channel"], message["text"]])).collect()),
    })
}

fn answer(status: u16, headers: Json, body: &str) -> Json {
    json!({"answer": {"status": status, "headers": headers, "body": body}})
}

/// What every vendor can do to a request.
fn common(random: &mut Random) -> Json {
    match random.below(10) {
        0 => json!("drop_before"),
        1..=3 => json!("drop_after"),
        4 => json!({"slow_ms": 400}),
        5 => answer(500, json!({}), "internal error"),
        6 => answer(502, json!({"content-type": "text/html"}), "<html><h1>Bad Gateway</h1></html>"),
        7 => answer(503, json!({"Retry-After": "1"}), "\u{0}\u{fffd}{\"half"),
        8 => answer(200, json!({"content-type": "text/html"}), "<html>a proxy says hello</html>"),
        _ => answer(521, json!({}), ""),
    }
}

fn of_hubspot(random: &mut Random) -> Json {
    let limited = |policy: &str, headers| {
        let body = json!({"status": "error", "message": "You have reached your limit.", "errorType": "RATE_LIMIT",
            "correlationId": "c", "policyName": policy});
        answer(429, headers, &body.to_string())
    };
    let error = |status, category: &str, message: &str| {
        let body = json!({"status": "error", "message": message, "correlationId": "c", "category": category});
        answer(status, json!({}), &body.to_string())
    };
    match random.below(16) {
        0 => limited("TEN_SECONDLY_ROLLING", json!({"X-HubSpot-RateLimit-Interval-Milliseconds": "1000"})),
        1 => limited("SECONDLY", json!({})),
        2 => limited("TEN_SECONDLY_ROLLING", json!({"Retry-After": "1"})),
        3 => json!("empty_results"),
        4 | 5 => json!({"partial": 200}),
        6 => json!({"partial": 207}),
        7 => error(400, "VALIDATION_ERROR", "Property values were not valid"),
        8 => error(409, "CONFLICT", "it changed meanwhile"),
        9 => answer(423, json!({}), "{\"status\":\"error\",\"message\":\"locked\"}"),
        10 => answer(477, json!({"Retry-After": "1"}), "{\"status\":\"error\",\"message\":\"migrating\"}"),
        11 => error(401, "EXPIRED_AUTHENTICATION", "the token expired"),
        _ => common(random),
    }
}

fn of_intercom(random: &mut Random) -> Json {
    let error = |status, code: &str, message: &str| {
        let body = json!({"type": "error.list", "request_id": "r", "errors": [{"code": code, "message": message}]});
        answer(status, json!({}), &body.to_string())
    };
    match random.below(12) {
        0 => error(429, "rate_limit_exceeded", "Exceeded rate limit of 83 in 10_seconds"),
        1 => error(401, "token_expired", "Access Token Expired"),
        2 => error(409, "conflict", "A contact matching those details already exists with id=nobody"),
        3 => error(400, "parameter_invalid", "no"),
        4 => error(404, "not_found", "not found"),
        _ => common(random),
    }
}

fn of_slack(random: &mut Random) -> Json {
    let refused = |code: &str| answer(200, json!({}), &json!({"ok": false, "error": code}).to_string());
    let after = |code: &str| json!({"answer_after": {"status": 200, "headers": {}, "body": json!({"ok": false, "error": code}).to_string()}});
    match random.below(14) {
        0 => answer(429, json!({"Retry-After": "1"}), "{\"ok\":false,\"error\":\"ratelimited\"}"),
        1 => answer(429, json!({}), "{\"ok\":false,\"error\":\"rate_limited\",\"retry_after\":1}"),
        2 => refused("service_unavailable"),
        3 => refused("internal_error"),
        4 => after("internal_error"),
        5 => after("fatal_error"),
        6 => refused("channel_not_found"),
        7 => refused("token_expired"),
        8 => refused("something_new"),
        _ => common(random),
    }
}

/// The faults of a day.
fn plan_faults(site: &Site, random: &mut Random) {
    let vendors = [
        (&site.vendors.hubspot, of_hubspot as fn(&mut Random) -> Json),
        (&site.vendors.intercom, of_intercom),
        (&site.vendors.slack, of_slack),
    ];
    for (vendor, menu) in vendors {
        let count = random.below(4);
        let faults = (0..count).map(|_| json!({"match": "", "skip": random.below(6), "kind": menu(random)}));
        vendor.faults(&faults.collect());
    }
}

/// One day: killed now and then, told until a run came to its end.
fn tell(site: &Site, day: &str, seed: u64, random: &mut Random, kills: &AtomicU64) {
    let arguments = ["run", "--once", "--format", "json", "--as-of", day];
    while random.below(2) == 0 {
        let mut command = site.command(&arguments);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        pause(Duration::from_micros(random.below(700_000)));
        let _ = child.kill();
        kills.fetch_add(u64::from(child.wait().expect("it ends").code().is_none()), Ordering::Relaxed);
    }
    // An alert that is two days old is not told any more, so a day is told to its end before the next one.
    for run in 0..RUNS {
        let output = site.run(&arguments);
        match output.code {
            Some(0) => return,
            Some(3) if run + 1 < RUNS => {}
            _ => panic!("{day}, seed {seed}, run {run}: {}", output.all()),
        }
        if run > RUNS / 2 {
            site.vendors.forget_faults();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the moment of a kill")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// What a run without faults leaves.
fn undisturbed() -> Json {
    let site = site();
    for day in DAYS {
        site.once(day, 0);
    }
    let seen = seen(&site);
    assert!(seen["messages"].as_array().is_some_and(|messages| messages.len() >= 6), "a story without alerts: {seen}");
    seen
}

fn converges(seed: u64, expected: &Json, kills: &AtomicU64) {
    let site = site();
    let mut random = Random(seed);
    for day in DAYS {
        plan_faults(&site, &mut random);
        tell(&site, day, seed, &mut random, kills);
    }
    let found = seen(&site);
    for (part, expected) in expected.as_object().expect("parts") {
        let of = |list: &Json| list.as_array().cloned().unwrap_or_default();
        let (found, expected) = (of(&found[part]), of(expected));
        let only = |these: &[Json], those: &[Json]| -> Vec<Json> {
            these.iter().filter(|this| !those.contains(this)).cloned().collect()
        };
        assert_eq!(
            (only(&found, &expected), found.len()),
            (only(&expected, &found), expected.len()),
            "seed {seed}: {part}, found and expected"
        );
    }
    site.vendors.forget_faults();
    let requests = site.requests();
    site.once(DAYS[DAYS.len() - 1], 0);
    assert_eq!(site.requests(), requests, "seed {seed}: what is known is not what the tools hold");
}

#[test]
fn whatever_breaks_the_tools_hold_what_an_undisturbed_run_leaves() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("VITALSYNC_SEED").unwrap_or(1);
    let rounds = number("VITALSYNC_ROUNDS").unwrap_or(ROUNDS);
    let expected = undisturbed();
    let (next, kills) = (AtomicU64::new(first), AtomicU64::new(0));
    // Most of the time is spent waiting.
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + rounds {
                        break;
                    }
                    converges(seed, &expected, &kills);
                }
            });
        }
    });
    let kills = kills.into_inner();
    assert!(kills * 2 >= rounds, "only {kills} runs were killed in {rounds} rounds");
}
