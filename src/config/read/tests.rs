//! What the sections say when they are read, and what they are told when they are wrong.

mod idle;
mod off;
mod scoring;
mod tools;

use std::path::{Path, PathBuf};

use vitalsync_core::expr::Names;
use vitalsync_core::model::{Done, UserSpans};
use vitalsync_core::value::Value;

use super::super::{Config, Retention};

const SOURCES: &str = "sources:\n  product: { type: segment_archive, location: ./archive }\n";
/// A profile of one event, and its line.
const PROFILE: &str = "profiles:\n  - events: { Report Shared: 9 }\n";

fn parse(text: &str) -> Result<Config, String> {
    let text = format!("{text}{}", if text.contains("sources:") { "" } else { SOURCES });
    Config::parse(&text, Path::new("there/v.yaml"), &|_| None).map_err(|refused| refused.text)
}

#[track_caller]
pub(super) fn read(text: &str) -> Config {
    let config = parse(text).unwrap_or_else(|text| panic!("{text}"));
    assert_eq!(config.warnings, []);
    config
}

/// Each fault as `LINE:COLUMN message; hint`.
#[track_caller]
pub(super) fn faults(text: &str) -> Vec<String> {
    let refused = parse(text).expect_err("it was taken");
    let mut found: Vec<String> = Vec::new();
    for line in refused.lines() {
        if let Some(fault) = line.strip_prefix("there/v.yaml:") {
            found.push(fault.replacen(": ", " ", 1).trim().to_owned());
        } else if let (Some(hint), Some(last)) = (line.strip_prefix("       = "), found.last_mut()) {
            last.push_str("; ");
            last.push_str(hint);
        }
    }
    found
}

fn pairs(map: &std::collections::BTreeMap<String, String>) -> Vec<(&str, &str)> {
    map.iter().map(|(old, new)| (old.as_str(), new.as_str())).collect()
}

#[test]
fn aliases_are_followed_to_their_end() {
    let config = read("accounts:\n  aliases: { a: b, b: c, 7: 042, x: 1.50, 0012: \"7\" }\n");
    let aliases = &config.model.account_aliases;
    assert_eq!(pairs(aliases), [("0012", "042"), ("7", "042"), ("a", "c"), ("b", "c"), ("x", "1.50")]);
    let config = read("events:\n  aliases: { Shared Report: Report Shared, report_shared: Shared Report }\n");
    let events = &config.model.event_aliases;
    assert_eq!(pairs(events), [("Shared Report", "Report Shared"), ("report_shared", "Report Shared")]);
}

#[test]
fn aliases_that_lead_nowhere_are_refused_where_they_stand() {
    let text = "accounts:\n  aliases:\n    into: b\n    a: b\n    b: c\n    c: a\n    self: self\n    d: e\n    e: d\n    none:\n    list: [x]\n    empty: \"\"\n";
    assert_eq!(
        faults(text),
        [
            "4:5 accounts.aliases: names that stand for each other: a → b → c → a",
            "7:5 `self` is an alias of itself; leave it out",
            "8:5 accounts.aliases: names that stand for each other: d → e → d",
            "10:9 expected an account's id of today, found nothing",
            "11:11 expected an account's id of today, found a list",
            "12:12 expected an account's id of today, found no text",
            "6 errors",
        ]
    );
    let text = "events:\n  alias: {}\n  aliases: { A: B, B: A }\n";
    assert_eq!(
        faults(text),
        [
            "2:3 unknown key `alias` in events; did you mean `aliases`?",
            "3:14 events.aliases: names that stand for each other: A → B → A",
            "2 errors"
        ]
    );
}

#[test]
fn an_account_may_be_rolled_up_into_another() {
    struct Traits;
    impl Names for Traits {
        fn value(&self, name: &str) -> Value {
            if name == "traits.company_id" { 7.0.into() } else { Value::Null }
        }
    }
    let config = read("accounts: { roll_up: traits.company_id }\n");
    assert_eq!(config.model.roll_up.map(|rule| rule.value(&Traits)), Some(Value::Number(7.0)));
    assert!(read("accounts: { roll_up: lower(traits.company) }\n").model.roll_up.is_some());
    assert!(read("").model.roll_up.is_none());
    assert_eq!(
        faults("accounts: { roll_up: has(traits.company_id) }\n"),
        [
            "1:22 expected the id of the account above, as text or a number, but `has(traits.company_id)` gives true or false",
            "1 error"
        ]
    );
    assert!(faults("accounts: { roll_up: trait.company_id }\n")[0].starts_with("1:22 unknown name `trait.company_id`"));
}

#[test]
fn events_are_left_out_by_a_list_or_a_rule() {
    let excludes = |text: &str, name: &str| {
        let rule = read(text).model.exclude_events;
        rule.is_some_and(|rule| rule.excludes(name))
    };
    let list = "exclude: { events: [Heartbeat, 404] }\n";
    let rule = "exclude: { events: 'event.startsWith(\"debug_\") || event == \"Heartbeat\"' }\n";
    assert!(excludes(list, "Heartbeat") && excludes(list, "404") && !excludes(list, "debug_x"));
    assert!(excludes(rule, "Heartbeat") && excludes(rule, "debug_x") && !excludes(rule, "Report Shared"));
    assert!(!excludes("exclude: {}\n", "Heartbeat"));

    let text = "events: { aliases: { Beat: Heartbeat } }\nexclude:\n  events:\n    - Beat\n    - [x]\n";
    assert_eq!(
        faults(text),
        [
            "4:7 `Beat` is an old name: `events.aliases` counts it as `Heartbeat`; write `Heartbeat`",
            "5:7 expected an event's name, found a list",
            "2 errors"
        ]
    );
    let text = "exclude: { events: name == \"x\" }\n";
    assert_eq!(faults(text), ["1:20 unknown name `name`; known: event", "1 error"]);
    let text = "exclude: { events: event == 7 }\n";
    assert_eq!(faults(text), ["1:26 can't compare text with a number", "1 error"]);
    assert!(faults("exclude: { events: event }\n")[0].contains("expected true or false"));
}

#[test]
fn what_is_never_counted_is_not_scored() {
    let text = "\
events: { aliases: { Shared: Report Shared } }
exclude: { events: [Heartbeat] }
profiles:
  - events:
      Heartbeat: 3
      Shared: 2
      Good: { event: Shared, where: has(properties.x), weight: 2 }
      Beat: { event: Heartbeat, where: has(properties.x), weight: 1 }
activation:
  steps:
    one: Shared
    two: { event: Heartbeat, count: 2 }
    three: { event: Shared, where: has(properties.x) }
";
    let old = "`Shared` is an old name: `events.aliases` counts it as `Report Shared`; write `Report Shared`";
    let out = "`Heartbeat` is never counted: `exclude.events` leaves it out; take it out here or there";
    let expected =
        [("5:7", out), ("6:7", old), ("7:22", old), ("8:22", out), ("11:10", old), ("12:19", out), ("13:21", old)];
    let mut expected: Vec<String> = expected.iter().map(|(place, fault)| format!("{place} {fault}")).collect();
    expected.push("7 errors".into());
    assert_eq!(faults(text), expected);
    // What is not scored may be left out.
    let text = "exclude: { events: [Heartbeat] }\nprofiles:\n  - events: { Heartbeat: 0, Report Shared: 1 }\n";
    assert_eq!(read(text).model.profiles[0].weights.len(), 1);
}

#[test]
fn an_event_on_a_condition_is_counted_for_itself() {
    let text = "\
profiles:
  - name: customer
    events:
      Report Shared: 9
      External Share: { event: Report Shared, where: properties.audience == \"external\", weight: 10 }
      Call Logged: { where: properties.minutes > 5, weight: 2.5 }
      Dormant: { event: Login, where: properties.sso, weight: 0 }
  - name: trial
    extends: customer
    events:
      External Share: 3
      Call Logged: 0
activation:
  steps:
    shared: External Share
    again: { event: Report Shared, where: \"properties.audience=='external'\", count: 3 }
    called: { event: Call Logged, where: properties.video == true }
    logged: Call Logged
";
    let model = read(text).model;
    let names: Vec<(&str, &str)> =
        model.derived.iter().map(|derived| (derived.name.as_str(), derived.event.as_str())).collect();
    assert_eq!(
        names,
        [
            ("Call Logged", "Call Logged"),
            ("Dormant", "Login"),
            ("External Share", "Report Shared"),
            ("Call Logged where properties.video == true", "Call Logged"),
        ]
    );
    let share = "\u{1}Report Shared\u{1f}(properties.audience == \"external\")";
    let call = "\u{1}Call Logged\u{1f}(properties.minutes > 5)";
    let weights = |index: usize| -> Vec<(&str, i64)> {
        model.profiles[index].weights.iter().map(|(event, weight)| (event.as_str(), *weight)).collect()
    };
    assert_eq!(weights(0), [(call, 2_500_000), (share, 10_000_000), ("Report Shared", 9_000_000)]);
    // In a profile that extends another a plain weight keeps the condition.
    assert_eq!(weights(1), [(share, 3_000_000), ("Report Shared", 9_000_000)]);
    let done = |event: &str, count| Done::Event { event: event.into(), count };
    let steps: Vec<Done> = model.activation[0].steps.iter().map(|step| step.done.clone()).collect();
    let video = "\u{1}Call Logged\u{1f}(properties.video == true)";
    assert_eq!(steps, [done(share, 1), done(share, 3), done(video, 1), done("Call Logged", 1)]);
    assert_eq!(model.display_event(share), "External Share");
    let external = model.derived.iter().find(|derived| derived.name == "External Share").expect("it is there");
    assert!(external.holds(Some("{\"audience\":\"external\"}")) && !external.holds(None));
}

#[test]
fn faults_of_conditions_are_told_where_they_stand() {
    let text = "\
profiles:
  - name: a
    events:
      A: { event: X, where: audience == \"x\", weight: 1 }
      B: { event: X, where: properties.n + 1, weight: 1 }
      C: { event: X, where: properties.n > 1 && true > 2, weight: 11 }
      D: { event: X }
      E: { evnt: X, where: has(properties.x), weight: 1 }
      F: { event: [X], where: has(properties.x), weight: 1 }
  - name: b
    events:
      One: { event: X, where: has(properties.x), weight: 1 }
      Two: { event: X, where: \"has( properties.x )\", weight: 2 }
      G: { event: X, where: has(properties.g), weight: 1 }
  - name: c
    events:
      G: { event: X, where: has(properties.h), weight: 1 }
activation:
  steps:
    one: { trait: x, where: has(properties.x) }
    two: { event: X, where: traits.plan == \"x\" }
    three: G
";
    assert_eq!(
        faults(text),
        [
            "4:29 unknown name `audience`; known: properties.NAME",
            "5:42 expected true or false, but `properties.n + 1` gives a number",
            "6:54 can't compare true or false with a number",
            "6:67 expected a weight from 0 to 10 (0 excludes the event), found 11",
            "7:10 event D: `weight` is missing (from 0 to 10)",
            "7:10 event D: `where` is missing (the condition, such as properties.audience == \"external\"; without one an event has a plain weight)",
            "8:12 unknown key `evnt` in event E; did you mean `event`?",
            "9:19 expected an event's name, found a list",
            "13:7 `One` and `Two` are the same event on the same condition; keep one of them",
            "20:29 a trait has no properties: `where` goes with an `event`",
            "21:29 unknown name `traits.plan`; known: properties.NAME",
            "22:12 `G` means different things in different profiles; write the event and the condition: {event: …, where: …}",
            "12 errors",
        ]
    );
}

#[test]
fn a_source_knows_calls_that_come_again_for_some_days() {
    let with =
        |dedupe: &str| format!("sources:\n  product: {{ type: segment_archive, location: ./archive{dedupe} }}\n");
    let days = |dedupe: &str| read(&with(dedupe)).sources[0].dedupe_days;
    assert_eq!((days(""), days(", dedupe: 1d"), days(", dedupe: 2w"), days(", dedupe: 90d")), (7, 1, 14, 90));
    let fault = |dedupe: &str| faults(&with(dedupe))[0].clone();
    assert_eq!(fault(", dedupe: 91d"), "2:66 a call that comes again is known for 90 days at most");
    assert!(fault(", dedupe: 0d").contains("must be at least one whole day"));
    assert!(fault(", dedupe: 12h").contains("must be at least one whole day"));
    assert!(fault(", dedupe: off").contains("as one number and one unit"));
}

#[test]
fn counts_are_kept_as_long_as_profiles_need_them() {
    let two =
        "profiles:\n  - { name: a, window: 30d, events: { E: 1 } }\n  - { name: b, window: 60d, events: { E: 1 } }\n";
    let kept = |retention: &str| read(&format!("{two}retention: {retention}\n")).retention;
    let keep = |days, months| Retention { days, months };
    assert_eq!(read(two).retention, keep(None, None));
    assert_eq!((kept("off"), kept("false"), kept("{}")), (keep(None, None), keep(None, None), keep(None, None)));
    assert_eq!(kept("{ days: 210d, months: 36mo }"), keep(Some(210), Some(36)));
    assert_eq!((kept("{ days: 7mo }"), kept("{ months: 7mo }")), (keep(Some(210), None), keep(None, Some(7))));

    let fault = |retention: &str| faults(&format!("{two}retention: {retention}\n"));
    assert_eq!(
        fault("{ days: 209d, months: 2mo }"),
        [
            "4:20 profile `b` with its window of 60 days needs counts by day for at least 210 days, found the text `209d`; keep them longer, or shorten the window",
            "4:34 after `months` counts go altogether: it must be longer than `days` (209 days)",
            "2 errors"
        ]
    );
    assert!(fault("{ months: 6mo }")[0].starts_with("4:22 profile `b`"));
    assert!(fault("{ months: 400d }")[0].starts_with("4:22 expected a number of months"));
    assert!(fault("{ months: 0mo }")[0].starts_with("4:22 expected a number of months"));
    assert!(fault("{ usage: 400d }")[0].contains("unknown key `usage` in retention"));
    assert!(fault("400d")[0].contains("expected retention (or `off`) as a section with keys"));
    // Alerts that look back further need more.
    let alerts = "destinations:\n  team:\n    type: slack\n    token: sandbox\n    alerts: { d: { drop: 9, within: 91d, to: \"#c\" } }\n";
    assert!(fault(&format!("{{ days: 210d }}\n{alerts}"))[0].contains("at least 211 days"));
    assert_eq!(read(&format!("{two}retention: {{ days: 211d }}\n{alerts}")).retention.days, Some(211));
}

#[test]
fn nothing_is_kept_about_those_who_are_suppressed() {
    let suppress = read("suppress: { users: [u1, 7, u1], accounts: acme, file: ./suppressed.csv }\n").suppress;
    assert_eq!((suppress.users, suppress.accounts), (vec!["u1".to_owned(), "7".into()], vec!["acme".to_owned()]));
    assert_eq!(suppress.file, Some(PathBuf::from("there/./suppressed.csv")));
    assert_eq!(read(PROFILE).suppress.file, None);
    assert_eq!(
        faults("suppress: { users: [\"\", {}], account: [x], file: \"https://x/y\" }\n"),
        [
            "1:21 expected a user's id, found no text",
            "1:25 expected a user's id, found a section with keys",
            "1:30 unknown key `account` in suppress; did you mean `accounts`?",
            "1:50 expected the path of a local file",
            "4 errors"
        ]
    );
}

#[test]
fn a_tools_records_are_not_deleted_and_nobody_is_told_that_they_are() {
    let with = |key: &str| {
        format!(
            "destinations:\n  crm:\n    type: hubspot\n    token: sandbox\n{key}    companies: {{ match: [ domain: traits.domain ], properties: {{ x: health.score }} }}\n"
        )
    };
    assert_eq!(read(&with("    on_forget: keep\n")).destinations.len(), 1);
    assert_eq!(
        faults(&with("    on_forget: delete\n")),
        [
            "5:16 this version deletes no record in a tool; write `on_forget: keep`, or leave it out: `vitalsync forget` says which records to delete by hand",
            "1 error"
        ]
    );
    assert_eq!(
        faults(&with("    on_forget: deleted\n")),
        [
            "5:16 expected what erasure does here: one of keep, delete, found the text `deleted`; did you mean `delete`?",
            "1 error"
        ]
    );
}

#[test]
fn there_may_be_several_checklists() {
    let text = "\
lifecycle: { trial: traits.plan == \"trial\" }
profiles:
  - events: { Report Shared: 9 }
activation:
  - name: trial
    for: lifecycle.trial
    stalled_after: 1w
    steps: { shared: { event: Report Shared, count: 2, by: 3 }, ready: { trait: traits.ready, by: 2 } }
  - name: rest
    steps: { called: Call Logged }
segments:
  quick: has(activation.steps.shared) && activation.days_to_activate < 7
";
    let model = read(text).model;
    let lists: Vec<(&str, bool, i32)> =
        model.activation.iter().map(|list| (list.name.as_str(), list.only.is_some(), list.stalled_after)).collect();
    assert_eq!(lists, [("trial", true, 7), ("rest", false, 14)]);
    assert_eq!(model.activation[0].steps.iter().map(|step| step.by).collect::<Vec<_>>(), [Some(3), Some(2)]);

    let text = "\
activation:
  - steps: { a: X }
  - name: one
    for: health.score > 3
    stalled_aftr: 3d
    steps: { a: { event: X, by: 0 }, b: { trait: t, by: some } }
  - { name: one, stalled_after: 12h, steps: { c: X } }
segments:
  x: has(activation.steps.aa)
";
    let found = faults(text);
    for (fault, begins) in found.iter().zip([
        "2:5 a checklist: `name` is missing (each of several checklists has one)",
        "4:10 unknown name `health.score`",
        "5:5 unknown key `stalled_aftr` in a checklist; did you mean `stalled_after`?",
        "6:33 expected by how many users, from 1 up",
        "6:57 expected by how many users, from 1 up",
        "7:5 two checklists are called `one`",
        "7:33 when an account is stalled must be at least one whole day",
        "9:10 unknown name `activation.steps.aa`; did you mean `activation.steps.a`?",
    ]) {
        assert!(fault.starts_with(begins), "{fault}\ninstead of\n{begins}");
    }
    assert_eq!(found.len(), 9, "{found:#?}");
}

#[test]
fn features_are_named_for_all_profiles_or_for_one() {
    let text = "\
features: { reporting: [Report Shared, \"Report *\"], sharing: External }
profiles:
  - name: a
    events: { Report Shared: 9, External: { event: Report Shared, where: properties.x == 1, weight: 2 } }
  - { name: b, extends: a, features: { calls: Call Logged } }
  - { name: c, extends: b }
";
    let model = read(text).model;
    let named = |profile: usize| -> Vec<(&str, usize, usize)> {
        let features = model.profiles[profile].features.iter();
        features.map(|feature| (feature.name.as_str(), feature.events.len(), feature.wildcards.len())).collect()
    };
    assert_eq!(named(0), [("reporting", 1, 1), ("sharing", 1, 0)]);
    assert!(model.profiles[0].features[1].events.contains("\u{1}Report Shared\u{1f}(properties.x == 1)"));
    assert_eq!((named(1), named(2)), (vec![("calls", 1, 0)], vec![("calls", 1, 0)]));

    let text = "\
events: { aliases: { Shared: Report Shared } }
features:
  none: []
  old: [Shared, {}]
profiles:
  - { events: { Report Shared: 9 }, features: [x] }
";
    assert_eq!(
        faults(text),
        [
            "3:3 feature `none` has no event",
            "4:9 `Shared` is an old name: `events.aliases` counts it as `Report Shared`; write `Report Shared`",
            "4:17 expected an event's name, or one with a `*` such as \"Report *\", found a section with keys",
            "6:47 expected features as a section with keys, found a list",
            "4 errors"
        ]
    );
}

#[test]
fn signals_are_events_or_traits_and_weights_have_names() {
    use vitalsync_core::model::{Evidence, Signal};
    use vitalsync_core::risk::Weights;

    let text = "\
profiles:
  - events: { Report Shared: 9 }
signals:
  cancel_intent: [Cancel Page Viewed, { trait: traits.renewal_off }]
  ticket: { event: Ticket, where: properties.urgent == true }
churn_risk: { weights: { base: -4, ticket: 0 } }
";
    let model = read(text).model;
    let of = |signal: Signal| model.signals.get(&signal).cloned().unwrap_or_default();
    assert_eq!(
        of(Signal::CancelIntent),
        [Evidence::Event("Cancel Page Viewed".into()), Evidence::Trait("renewal_off".into())]
    );
    assert_eq!(of(Signal::Ticket), [Evidence::Event(model.derived[0].counted_as())]);
    assert_eq!(of(Signal::Downgrade), []);
    let mut changed = Weights { base: -4.0, ..Weights::default() };
    *changed.named("ticket").expect("a weight") = 0.0;
    assert_eq!(model.risk_weights, changed);

    let wrong = "\
profiles:
  - events: { Report Shared: 9 }
signals:
  cancel_intend: Left
  ticket: { event: Ticket, count: 3 }
  downgrade: { trait: x, event: Y }
churn_risk:
  weights: { recencty: 1, tenure: 21 }
  bias: 1
";
    assert_eq!(
        faults(wrong),
        [
            "4:3 there is no signal `cancel_intend`; did you mean `cancel_intent`?",
            "5:11 a signal has no `count`; each time counts by itself, leave it out",
            "6:14 signal downgrade is either an `event` or a `trait`",
            "8:14 churn risk has no signal `recencty`; did you mean `recency`?",
            "8:35 expected a weight from -20 to 20, in log odds (0 leaves the signal out), found 21",
            "9:3 unknown key `bias` in churn_risk; known here: weights",
            "6 errors",
        ]
    );
}

#[test]
fn it_is_set_how_long_users_count_and_what_a_plan_allows() {
    let spans = |text: &str| read(text).model.user_spans;
    assert_eq!(spans(""), UserSpans { active: None, total: 90 });
    assert_eq!(spans("users: { active_within: 2w, total_within: 180d }\n"), UserSpans { active: Some(14), total: 180 });
    let expansion = read("expansion: { used: traits.used, limit: traits.seats * 2 }\n").model.expansion;
    assert_eq!(expansion.map(|limit| limit.limit.source().to_owned()), Some("traits.seats * 2".to_owned()));
    let text = "\
users: { within: 3d, total_within: 0d }
expansion: { used: traits.plan == \"x\", limits: traits.seats }
retention: { days: 200d }
";
    let found = faults(text);
    for (fault, begins) in found.iter().zip([
        "1:10 unknown key `within` in users",
        "1:36 how long a user counts must be at least one whole day",
        "2:12 expansion: `limit` is missing",
        "2:32 expected a number, but `traits.plan == \"x\"` gives true or false",
        "2:40 unknown key `limits` in expansion; did you mean `limit`?",
    ]) {
        assert!(fault.starts_with(begins), "{fault}\ninstead of\n{begins}");
    }
    assert_eq!(found.len(), 6, "{found:#?}");
    let text = "users: { total_within: 400d }\nretention: { days: 200d }\n";
    assert_eq!(
        faults(text),
        [
            "2:20 `users` needs counts by day for at least 400 days, found the text `200d`; keep them longer, or shorten the spans of `users`",
            "1 error"
        ]
    );
}

#[test]
fn two_sources_don_t_read_the_same_files() {
    let with = |second: &str| {
        format!(
            "sources:\n  a: {{ type: segment_archive, location: ./logs }}\n  b: {{ type: segment_archive, location: {second} }}\n"
        )
    };
    for second in ["logs", "./logs/2026", "."] {
        assert_eq!(
            faults(&with(second)),
            ["3:3 b and a read the same files: their calls would count twice", "1 error"]
        );
    }
    assert_eq!(read(&with("./logs2")).sources.len(), 2);
}

#[test]
fn days_leave_the_windows_and_sources_may_be_silent() {
    use vitalsync_core::cycle::Cycle;
    use vitalsync_core::gaps::Yearly;
    use vitalsync_core::pulse::Expect;
    let text = "\
sources: { product: { type: segment_archive, location: ./a, expect_every: 6h } }
gaps: [2026-03-01..2026-03-04, 2026-05-01]
profiles:
  - { name: main, events: { A: 1 }, calendar: { cycle: quarter, quiet: [12-20..01-05] } }
  - { name: child, extends: main }
  - { name: other, extends: main, calendar: { cycle: month } }
";
    let config = read(text);
    let days: Vec<String> = config.model.gaps.days.iter().map(|(from, to)| format!("{from} {to}")).collect();
    assert_eq!(days, ["2026-03-01 2026-03-04", "2026-05-01 2026-05-01"]);
    let quiet = vec![Yearly::parse("12-20..01-05").unwrap()];
    assert_eq!(config.model.gaps.quiet, ["main", "child", "other"].map(|name| (name.into(), quiet.clone())).into());
    let cycles: Vec<_> = config.model.profiles.iter().map(|profile| profile.cycle).collect();
    assert_eq!(cycles, [Some(Cycle::Quarter), Some(Cycle::Quarter), Some(Cycle::Month)]);
    assert_eq!(config.sources[0].expect, Expect::Every(6 * 3_600_000));
    assert_eq!(read(&text.replace("6h", "rhythm")).sources[0].expect, Expect::Rhythm);
    assert_eq!(read(&text.replace(", expect_every: 6h", "")).sources[0].expect, Expect::Nothing);
    let wrong = text
        .replace("2026-03-04", "2026-02-04")
        .replace("2026-05-01", "may")
        .replace("[12-20..01-05]", "[31-12]")
        .replace("cycle: month", "cycle: monthly")
        .replace("6h", "often");
    let found = faults(&wrong);
    for part in [
        "ends before it begins",
        "found the text `may`",
        "found the text `31-12`",
        "did you mean `month`?",
        "may be silent",
    ] {
        assert!(found.iter().any(|fault| fault.contains(part)), "{part}: {found:?}");
    }
}

#[test]
fn ids_and_names_without_quotes_are_what_was_written() {
    let ids = ["12e5", "007", "1_000", "0x1F", "1e999", "No"];
    let aliases: String = ids.iter().enumerate().map(|(at, id)| format!("    old-{at}: {id}\n")).collect();
    let overrides =
        ids.map(|id| format!("  - {{ account: {id}, band: healthy, reason: x, until: 2030-01-01 }}\n")).concat();
    let list = ids.join(", ");
    let config = read(&format!(
        "{PROFILE}accounts:\n  aliases:\n{aliases}events:\n  aliases:\n{aliases}overrides:\n{overrides}\
         suppress: {{ users: [{list}], accounts: [{list}] }}\nactivation: {{ steps: {{ first: No, second: 12e5 }} }}\n"
    ));
    let model = &config.model;
    assert_eq!(
        (config.suppress.users.as_slice(), config.suppress.accounts.as_slice()),
        (&ids.map(String::from)[..], &ids.map(String::from)[..])
    );
    assert_eq!(model.account_aliases.values().collect::<Vec<_>>(), ids);
    assert_eq!(model.event_aliases.values().collect::<Vec<_>>(), ids);
    assert_eq!(model.overrides.iter().map(|one| one.account.as_str()).collect::<Vec<_>>(), ids);
    let event = |step: &vitalsync_core::checklist::Step| matches!(&step.done, Done::Event { event, .. } if event == "No" || event == "12e5");
    assert!(model.activation[0].steps.iter().all(event), "{:?}", model.activation[0].steps);
    // An account may be called so, but nothing says it is meant.
    let said = faults(&format!("{PROFILE}suppress: {{ users: [~] }}\n"));
    assert!(said[0].contains("expected a user's id, found nothing"), "{said:?}");
}
