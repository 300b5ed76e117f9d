//! Alerts on their way: to whom, when, how many together, and each of them once.

use std::collections::BTreeMap;

use serde_json::json;
use vitalsync::report::RunReport;
use vitalsync::tick::Wish;
use vitalsync_core::Timestamp;

use crate::site::{Site, TOKEN, Use, day, end};

/// A config with nothing but a Slack destination; `rest` is the rest of its section.
fn config(site: &Site, rest: &str) -> String {
    let all = site.config("");
    let head = all.split("destinations:\n").next().unwrap();
    let slack = site.slack.base_url();
    format!("{head}destinations:\n  team:\n    type: slack\n    mode: live\n    brake: off\n    token: \"{TOKEN}\"\n    base_url: {slack}\n{rest}")
        .replace("sources:", "accounts: { owner: traits.owner_email }\nsources:")
}

async fn at(site: &Site, config: &str, when: Timestamp) -> RunReport {
    site.open_with(config).run_once(when).await.unwrap()
}

fn moment(offset: i32, time: &str) -> Timestamp {
    Timestamp::parse(&format!("{}T{time}Z", day(offset))).unwrap()
}

/// Channel and text of each message.
fn told(site: &Site) -> Vec<(String, String)> {
    let messages = site.slack.vendor().messages();
    messages.into_iter().map(|message| (message.channel_name, message.text)).collect()
}

/// A group call that says who owns an account.
fn owned(account: &str, owner: &str, offset: i32) -> String {
    let traits = json!({"name": account.to_uppercase(), "owner_email": owner});
    let when = format!("{}T07:00:00.000Z", day(offset));
    let call = json!({"type": "group", "messageId": format!("own-{account}"), "userId": format!("{account}-u"),
        "groupId": account, "traits": traits, "timestamp": when});
    format!("{call}\n")
}

#[tokio::test]
async fn what_a_cap_leaves_follows_in_one_thread_that_names_everybody_and_then_nothing_does() {
    let site = Site::new().await;
    let names: Vec<String> = (0..110).map(|n| format!("c{n:03}")).collect();
    // They fall by more and less.
    let stories = |(n, name)| Use(name, "Core", 10, 10, 1 + n as u32 % 4);
    site.customers("1.ndjson", &names.iter().map(String::as_str).enumerate().map(stories).collect::<Vec<_>>());
    let config = config(&site, "    cap: 3\n    alerts: { drop: { drop: 15, within: 7d, to: \"#cs-alerts\" } }\n");
    at(&site, &config, end(19)).await;
    let run = at(&site, &config, end(24)).await;
    let alerts = run.alerts;
    assert_eq!((alerts.fired, alerts.sent, alerts.capped, run.exit_code()), (110, 6, 107, 0), "{alerts:?}");
    let messages = site.slack.vendor().messages();
    let named = |message: &vitalsync_sandbox::Message| -> Vec<usize> {
        let blocks = message.blocks.to_string();
        let mut named: Vec<(usize, usize)> = (0..names.len())
            .filter_map(|n| Some((blocks.find(&format!("{}'s health fell", names[n].to_uppercase()))?, n)))
            .collect();
        named.sort_unstable();
        named.into_iter().map(|(_, n)| n).collect()
    };
    // Those of one channel arrive in the order in which they matter, the overview after them.
    let told: Vec<Vec<usize>> = messages.iter().map(named).collect();
    assert_eq!(told.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1, 50, 50, 7]);
    let waits = site.open_with(&config).alerts(end(24)).unwrap().waiting;
    assert!(waits.is_empty(), "{waits:?}");
    let mut all: Vec<usize> = told.concat();
    let worst = all.clone();
    all.sort_unstable();
    assert_eq!(all, (0..110).collect::<Vec<_>>(), "everybody once");
    let falls = |n: &usize| {
        messages.iter().find_map(|message| {
            let blocks = message.blocks.to_string();
            let said = blocks.split(&format!("{}'s health fell from ", names[*n].to_uppercase())).nth(1)?;
            said.split(' ').next()?.parse::<i64>().ok()
        })
    };
    assert!(worst.iter().map(falls).is_sorted_by(|a, b| a >= b), "from the highest: {worst:?}");
    assert!(messages[3].text.starts_with("107 more alerts of this run, first of all"), "{}", messages[3].text);
    assert!(messages[4].text.starts_with("107 more alerts of this run, 51 to 100"), "{}", messages[4].text);
    assert!(messages[3].other.get("thread_ts").is_none());
    assert!(messages[4..].iter().all(|one| one.other["thread_ts"] == messages[3].ts.as_str()), "{:?}", messages[5]);
    let calls = site.calls();
    let again = at(&site, &config, end(24)).await;
    assert_eq!((again.alerts.fired, again.alerts.sent, site.calls()), (0, 0, calls));
}

#[tokio::test]
async fn an_owner_is_told_and_the_fallback_for_who_has_none() {
    let site = Site::new().await;
    site.slack.vendor().seed(&json!({"users": ["jo@us.example"]})).unwrap();
    site.customers("1.ndjson", &["a0", "a1", "a2"].map(|name| Use(name, "Core", 0, 20, 3)));
    site.write("2.ndjson", &[owned("a0", "Jo@Us.example", 1), owned("a1", "gone@us.example", 1)].concat());
    let rules = "    alerts:\n      drop: { drop: 15, within: 7d, to: owner, fallback: \"#cs-alerts\" }\n";
    let config = config(&site, rules);
    at(&site, &config, end(18)).await;
    let plan = site.open_with(&config).plan(end(26)).unwrap();
    let shown: Vec<&str> = plan[0].operations.iter().map(|one| one.title.as_str()).collect();
    assert!(shown.iter().filter(|title| **title == "post alert drop").count() == 3, "{shown:?}");
    let run = at(&site, &config, end(26)).await;
    assert_eq!((run.alerts.fired, run.alerts.sent), (3, 3), "{run:?}");
    let mut told = told(&site);
    told.sort();
    let to: Vec<&str> = told.iter().map(|(channel, _)| channel.as_str()).collect();
    assert_eq!(to, ["U1SANDBOX01", "cs-alerts", "cs-alerts"]);
    assert!(told[0].1.starts_with("A0's health fell"), "{told:?}");
    let rules = "    alerts:\n      quiet: { quiet: 7d, to: owner }\n      drop: { drop: 15, within: 7d, to: owner, fallback: \"#cs-alerts\" }\n";
    let without = config_of(&config, rules);
    at(&site, &without, end(26)).await;
    let run = at(&site, &without, end(28)).await;
    assert_eq!((run.alerts.fired, run.alerts.sent), (0, 0), "quiet was met, not told: {run:?}");
}

/// The same config with other rules.
fn config_of(config: &str, rules: &str) -> String {
    format!("{}{rules}", config.split("    alerts:\n").next().unwrap())
}

#[tokio::test]
async fn an_alert_for_somebody_who_is_not_there_is_refused_at_once_and_never_ends_in_silence() {
    let site = Site::new().await;
    site.customers("1.ndjson", &[Use("a0", "Core", 0, 20, 3)]);
    site.write("2.ndjson", &owned("a0", "gone@us.example", 1));
    let config = config(&site, "    alerts:\n      drop: { drop: 15, within: 7d, to: owner }\n");
    at(&site, &config, end(18)).await;
    let run = at(&site, &config, end(26)).await;
    let report = &run.destinations["team"].delivered;
    assert_eq!((run.alerts.fired, report.rejected, run.exit_code()), (1, 1, 3), "{report:?}");
    let engine = site.open_with(&config);
    let why = engine.store.quarantine("team").unwrap().remove(0).why;
    assert!(why.contains("nobody"), "{why}");
    drop(engine);
    let later = at(&site, &config, end(29)).await;
    let notes = &later.destinations["team"].delivered.notes;
    assert_eq!(later.alerts.suppressed, 1);
    assert!(notes.iter().any(|note| note.contains("never told: ") && note.contains(&why)), "{notes:?}");
}

#[tokio::test]
async fn rules_about_users_tell_of_users() {
    let site = Site::new().await;
    site.customers("1.ndjson", &[Use("a0", "Core", 0, 20, 3), Use("a1", "Core", 0, 26, 2)]);
    site.customers("2.ndjson", &[Use("a2", "Core", 22, 5, 1)]);
    let rules = "    alerts:
      slips: { level: user, left_band: healthy, for: 'account.traits.plan == \"team\"', to: \"#cs-alerts\" }
      away: { level: user, quiet: 5d, to: \"#cs-alerts\" }
      fell: { level: user, drop: 15, within: 7d, to: \"#cs-alerts\" }
      lost: { champion_quiet: 5d, to: \"#cs-alerts\" }
      met: { new_user: true, to: \"#cs-alerts\" }\n";
    let config = config(&site, rules);
    assert_eq!(at(&site, &config, end(19)).await.alerts.fired, 0, "the first look is silent");
    at(&site, &config, end(22)).await;
    let run = at(&site, &config, end(26)).await;
    let mut told: Vec<String> =
        told(&site).into_iter().map(|(_, text)| text.lines().next().unwrap().to_owned()).collect();
    told.sort();
    let said = |part: &str| told.iter().any(|text| text.starts_with("a0-u") && text.contains(part));
    for part in ["is no longer healthy", "has been quiet for 5 days", "health fell", "used it most and has been quiet"]
    {
        assert!(said(part), "{part}: {told:?} {run:?}");
    }
    assert!(told.iter().any(|text| text == "a2-u is a new user"), "{told:?}");
    assert!(!told.iter().any(|text| text.starts_with("a1-u")), "{told:?}");
    let calls = site.calls();
    assert_eq!((at(&site, &config, end(26)).await.alerts.fired, site.calls()), (0, calls));
}

#[tokio::test]
async fn a_digest_comes_at_its_time_and_nothing_in_quiet_hours() {
    let site = Site::new().await;
    site.customers("1.ndjson", &["a0", "a1", "a2"].map(|name| Use(name, "Core", 0, 20, 3)));
    let rules = "    quiet_hours: { from: \"20:00\", to: \"08:00\" }
    alerts:
      drop: { drop: 15, within: 7d, to: \"#cs-alerts\", digest: daily at 09:00 }
      quiet: { quiet: 3d, for: account == \"a0\", to: \"#cs-alerts\" }\n";
    let config = config(&site, rules);
    at(&site, &config, end(18)).await;
    let run = at(&site, &config, moment(25, "21:00:00")).await;
    assert_eq!((run.alerts.fired, run.alerts.sent, run.alerts.held, run.exit_code()), (4, 0, 4, 0), "{run:?}");
    assert!(run.destinations["team"].delivered.notes[0].contains("4 alerts wait for a digest"), "{run:?}");
    assert_eq!(site.open_with(&config).alerts(moment(25, "22:00:00")).unwrap().waiting.len(), 4);
    assert_eq!(at(&site, &config, moment(26, "07:59:00")).await.alerts.held, 4);
    let morning = at(&site, &config, moment(26, "08:00:00")).await;
    assert_eq!((morning.alerts.sent, morning.alerts.held), (1, 3), "{morning:?}");
    let nine = at(&site, &config, moment(26, "09:00:00")).await;
    assert_eq!((nine.alerts.sent, nine.alerts.held), (1, 0), "{nine:?}");
    let texts: Vec<String> = told(&site).into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts[0].lines().next().unwrap(), "A0 has been quiet for 3 days");
    assert!(texts[1].starts_with("Daily digest: 3 alerts, first of all: A"), "{texts:?}");
    assert_eq!(site.slack.vendor().messages().len(), 2);
}

#[tokio::test]
async fn nobody_hears_of_a_snoozed_account() {
    let site = Site::new().await;
    site.customers("1.ndjson", &["a0", "a1"].map(|name| Use(name, "Core", 0, 20, 3)));
    let config = config(&site, "    alerts: { drop: { drop: 15, within: 7d, to: \"#cs-alerts\" } }\n");
    at(&site, &config, end(18)).await;
    let engine = site.open_with(&config);
    let wish = Wish { account: "A0".into(), rule: None, for_ms: Some(7 * 86_400_000) };
    assert!(engine.snooze(&wish, end(25)).unwrap().unwrap().starts_with("all alerts about a0 are silent until"));
    assert!(engine.snooze(&Wish { rule: Some("drip".into()), ..wish.clone() }, end(25)).is_err());
    assert_eq!(engine.snooze(&Wish { account: "nobody".into(), ..wish.clone() }, end(25)).unwrap(), None);
    assert_eq!(engine.alerts(end(25)).unwrap().snoozed[0].account, "a0");
    drop(engine);
    let run = at(&site, &config, end(26)).await;
    assert_eq!((run.alerts.fired, run.alerts.sent, run.alerts.snoozed), (2, 1, 1), "{run:?}");
    assert!(told(&site)[0].1.starts_with("A1"), "{:?}", told(&site));
    let ended = site.open_with(&config).snooze(&Wish { for_ms: None, ..wish }, end(26)).unwrap().unwrap();
    assert_eq!(ended, "all alerts about a0 are told again");
    assert!(site.open_with(&config).alerts(end(26)).unwrap().snoozed.is_empty());
}

#[tokio::test]
async fn what_is_over_is_told_in_the_thread_of_what_began() {
    let site = Site::new().await;
    site.customers(
        "1.ndjson",
        &[Use("a0", "Core", 0, 10, 1), Use("a1", "Core", 0, 10, 1), Use("a2", "Core", 0, 10, 1)],
    );
    site.customers("2.ndjson", &["a0", "a1", "a2"].map(|name| Use(name, "Core", 21, 3, 1)));
    let rules = "    alerts:
      away: { quiet: 5d, for: account == \"a0\", recovery: true, to: \"#cs-alerts\" }
      both: { quiet: 5d, for: account != \"a0\", recovery: true, digest: hourly, to: \"#cs-alerts\" }\n";
    let config = config(&site, rules);
    at(&site, &config, end(10)).await;
    at(&site, &config, end(16)).await;
    at(&site, &config, moment(17, "01:00:00")).await;
    let begun = site.slack.vendor().messages();
    assert_eq!(begun.len(), 2, "{begun:?}");
    let run = at(&site, &config, end(21)).await;
    assert_eq!((run.alerts.fired, run.alerts.sent), (3, 3), "{run:?}");
    let messages = site.slack.vendor().messages();
    let answers: Vec<(&str, &str)> = messages[2..]
        .iter()
        .map(|message| (message.text.as_str(), message.other["thread_ts"].as_str().unwrap()))
        .collect();
    let digest = begun.iter().find(|message| message.text.starts_with("Hourly digest: 2")).unwrap().ts.as_str();
    let single = begun.iter().find(|message| message.text.starts_with("A0")).unwrap().ts.as_str();
    for expected in [("A0 is back", single), ("A1 is back", digest), ("A2 is back", digest)] {
        assert!(answers.contains(&expected), "{expected:?} {answers:?}");
    }
    let calls = site.calls();
    assert_eq!((at(&site, &config, end(22)).await.alerts.fired, site.calls()), (0, calls));
}

#[tokio::test]
async fn a_webhook_is_posted_to_at_most_once() {
    let site = Site::new().await;
    site.customers("1.ndjson", &[Use("a0", "Core", 0, 20, 3)]);
    let hook = format!("webhook: {}/services/T0/B0/test-hook", site.slack.base_url());
    let config = config(&site, "    alerts: { drop: { drop: 15, within: 7d } }\n")
        .replace(&format!("token: \"{TOKEN}\""), &hook);
    at(&site, &config, end(18)).await;
    Site::fail(&site.slack, json!([{"match": "POST /services", "kind": "drop_after"}]));
    let run = at(&site, &config, end(26)).await;
    assert_eq!((run.alerts.fired, run.alerts.sent, run.destinations["team"].delivered.rejected), (1, 0, 1), "{run:?}");
    at(&site, &config, end(27)).await;
    assert_eq!(site.slack.vendor().messages().len(), 1, "it had arrived, and is not sent again");
    assert!(!format!("{run:?}").contains("test-hook"));
}

/// More posts in a row fail than a pass has patience for: the next one sends.
#[tokio::test]
async fn an_alert_whose_posts_fail_for_a_while_waits_and_is_not_refused() {
    let site = Site::new().await;
    site.customers("1.ndjson", &[Use("a0", "Core", 0, 20, 3)]);
    let config = config(&site, "    alerts: { drop: { drop: 15, within: 7d, to: \"#cs-alerts\" } }\n");
    at(&site, &config, end(18)).await;
    let down = json!({"match": "POST /api/chat.postMessage", "kind": {"answer": {"status": 503, "body": ""}}});
    Site::fail(&site.slack, json!([down, down]));
    let mut engine = site.open_with(&config);
    engine.patience = std::time::Duration::from_millis(300);
    let run = engine.run_once(end(26)).await.unwrap();
    let delivered = &run.destinations["team"].delivered;
    assert_eq!((run.alerts.sent, delivered.rejected, delivered.waiting), (0, 0, 1), "{run:?}");
    drop(engine);
    let run = at(&site, &config, end(26)).await;
    assert_eq!((run.alerts.sent, site.slack.vendor().messages().len()), (1, 1), "{run:?}");
}

#[tokio::test]
async fn a_template_is_filled_in_and_gives_way_where_it_fails() {
    let site = Site::new().await;
    site.customers("1.ndjson", &[Use("a0", "Core", 0, 20, 3)]);
    let rules = r##"    crm_url: "https://crm.example/{{ account }}"
    alerts:
      drop: { drop: 15, within: 7d, to: "#cs-alerts", template: "*{{ name }}* {{ alert.said }} on {{ traits.plan }}: {{ alert.crm_link }}" }
      fails: { drop: 15, within: 7d, to: "#cs-alerts", template: "{{ traits.plan|default(0)|abs }}" }
"##;
    let config = format!("public_url: https://health.example/\n{}", config(&site, rules));
    at(&site, &config, end(18)).await;
    let run = at(&site, &config, end(26)).await;
    assert_eq!((run.alerts.fired, run.alerts.sent), (2, 2), "{run:?}");
    let notes = &run.destinations["team"].delivered.notes;
    assert!(notes.iter().any(|note| note.starts_with("the alerts of fails are put as usual")), "{notes:?}");
    let messages = site.slack.vendor().messages();
    let blocks: Vec<String> = messages.iter().map(|message| message.blocks.to_string()).collect();
    assert!(
        blocks.iter().any(|text| text.contains("*A0* fell ") && text.contains("on team: https://crm.example/a0")),
        "{blocks:?}"
    );
    assert!(
        blocks
            .iter()
            .any(|text| text.contains("<https://health.example/accounts/a0|vitalsync>") && text.contains("header")),
        "{blocks:?}"
    );
}

/// Whatever breaks and whenever the process ends, each occasion is in the channel once, alone or in a digest.
#[tokio::test]
async fn no_alert_is_missing_and_none_comes_twice() {
    let faults = [
        json!({"match": "POST /api/chat.postMessage", "kind": "drop_after"}),
        json!({"match": "POST /api/chat.postMessage", "kind": "drop_before"}),
        json!({"match": "POST /api/chat.postMessage", "kind": {"answer_after": {"status": 502, "body": "<html>"}}}),
        json!({"match": "POST /api/chat.postMessage", "kind": {"answer_after": {"status": 200, "body": "{\"ok\":false,\"error\":\"internal_error\"}"}}}),
        json!({"match": "POST /api/chat.postMessage", "kind": {"answer": {"status": 429, "headers": {"Retry-After": "1"}, "body": "{\"ok\":false,\"error\":\"ratelimited\"}"}}}),
        json!({"match": "GET /api/conversations", "kind": {"answer": {"status": 503, "body": ""}}}),
        json!({"match": "POST /api/auth.test", "kind": "drop_before"}),
        json!({"kind": {"slow_ms": 300}}),
    ];
    for seed in 0..6u64 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = |bound: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % bound as u64) as usize
        };
        let site = Site::new().await;
        site.slack
            .vendor()
            .set_limits(&serde_json::from_value(json!({"post_burst": 50, "post_window_ms": 100})).unwrap());
        let names = ["a0", "a1", "a2", "a3", "a4", "a5"];
        site.customers("1.ndjson", &names.map(|name| Use(name, "Core", 0, 20, 3)));
        let rules = "    cap: 2
    alerts:
      drop: { drop: 15, within: 7d, for: 'account in [\"a0\", \"a1\", \"a2\", \"a3\"]', to: \"#cs-alerts\" }
      daily: { drop: 15, within: 7d, for: 'account in [\"a4\", \"a5\"]', to: \"#cs-alerts\", digest: daily }\n";
        let config = config(&site, rules);
        at(&site, &config, end(18)).await;
        for hour in 0..6 {
            let some: Vec<_> = (0..next(3)).map(|_| faults[next(faults.len())].clone()).collect();
            Site::fail(&site.slack, json!(some));
            let engine = site.open_with(&config);
            let when = moment(26, &format!("{:02}:00:00", 6 + hour));
            // The process ends somewhere in between, or not at all.
            let killed = std::time::Duration::from_millis([30, 60, 150, 60_000][next(4)]);
            let _ = tokio::time::timeout(killed, engine.run_once(when)).await;
        }
        site.slack.vendor().clear_faults();
        for hour in [13, 14] {
            at(&site, &config, moment(26, &format!("{hour}:00:00"))).await;
        }
        let mut count: BTreeMap<&str, usize> = BTreeMap::new();
        for message in site.slack.vendor().messages() {
            let all = format!("{} {}", message.text.lines().next().unwrap_or_default(), message.blocks);
            for name in names {
                let called = format!("{}'s health fell", name.to_uppercase());
                *count.entry(name).or_default() += usize::from(all.contains(&called));
            }
        }
        assert!(names.iter().all(|name| count[name] == 1), "seed {seed}: {count:?}");
        let left = site.open_with(&config).alerts(moment(26, "15:00:00")).unwrap().waiting;
        assert!(left.is_empty(), "seed {seed}: {left:?}");
    }
}
