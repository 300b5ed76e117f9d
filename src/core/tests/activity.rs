//! What is said of events and of profiles: each flag and each warning once where it belongs, and not beside it.

mod feed;

use feed::{file, time};
use vitalsync_core::Day;
use vitalsync_core::activity::{Event, Flag, events};
use vitalsync_core::checklist::Checklist;
use vitalsync_core::derived::Derived;
use vitalsync_core::evaluate::{Evaluation, evaluate_history};
use vitalsync_core::gather::Ask;
use vitalsync_core::identity::Horizon;
use vitalsync_core::lint;
use vitalsync_core::model::{Bands, Benchmark, Done, MICRO, Model, Profile, Refresh, Step, WrittenProfile};
use vitalsync_core::section::Place;

/// A Monday, and all of it is over.
const LAST: &str = "2026-08-10";
const AT: &str = "2026-08-10T23:59:59Z";

/// A track call so many days before the last one.
fn track(account: &str, user: &str, event: &str, back: i32) -> String {
    let day = Day::parse(LAST).unwrap().plus(-back);
    format!(
        r#"{{"type":"track","messageId":"{account}-{user}-{event}-{back}","userId":"{user}","event":"{event}","context":{{"groupId":"{account}"}},"timestamp":"{day}T10:00:00.000Z","receivedAt":"{day}T10:00:01.000Z"}}"#
    )
}

fn model(weights: &[(&str, i64)]) -> Model {
    let profile = Profile {
        name: "main".into(),
        weights: weights.iter().map(|(event, weight)| ((*event).to_owned(), weight * MICRO)).collect(),
        benchmark: Benchmark { percentile: 90.0, refresh: Refresh::EveryRun },
        ..Profile::default()
    };
    Model { profiles: vec![profile], ..Model::default() }
}

fn seen(lines: &[String], model: &Model) -> Evaluation {
    let filed = file([lines.iter().map(String::as_str).collect()], model);
    let ask = Ask { activity: true, ..Ask::of(Horizon::at(time(AT))) };
    evaluate_history(&filed.usage, &filed.ids, model, ask).unwrap_or_else(|never| match never {})
}

fn event(found: &[Event], name: &str) -> Event {
    found.iter().find(|event| event.name == name).unwrap_or_else(|| panic!("no {name}")).clone()
}

#[test]
fn an_event_is_counted_lately_and_ever_by_accounts_and_users() {
    let lines = [
        track("a", "u", "Shared", 0),
        track("a", "v", "Shared", 29),
        track("b", "u", "Shared", 29),
        track("b", "w", "Shared", 30),
        track("c", "x", "Old", 200),
        r#"{"type":"track","messageId":"n","userId":"nobodys","event":"Shared","timestamp":"2026-08-09T10:00:00Z"}"#
            .into(),
    ];
    let model = model(&[("Shared", 9), ("Old", 1)]);
    let evaluation = seen(&lines, &model);
    let found = events(&model, &evaluation);
    assert_eq!(found.iter().map(|event| &event.name[..]).collect::<Vec<_>>(), ["Shared", "Old"], "the frequent first");
    let used = event(&found, "Shared").used;
    assert_eq!((used.lately, used.ever, used.accounts, used.users), (4, 5, 2, 3));
    let days = |back: i32| Some(Day::parse(LAST).unwrap().plus(-back));
    assert_eq!((used.first, used.last), (days(30), days(0)));
    let activity = evaluation.activity.unwrap();
    assert_eq!((activity.active_accounts, activity.active_users, activity.active_days), (2, 3, 3));
    assert_eq!(activity.span(), days(200).zip(days(0)));
}

#[test]
fn names_are_those_of_today() {
    let rule = |text: &str| {
        let (scope, mut faults) = (vitalsync_core::derived::scope(), Default::default());
        let text = vitalsync_core::section::Text { value: text.into(), written: text.into() };
        let node =
            vitalsync_core::section::Node { place: Place::default(), kind: vitalsync_core::section::Kind::Text(text) };
        vitalsync_core::expr::Expr::read(&node, &scope, vitalsync_core::Type::Bool, &mut faults).expect("a rule")
    };
    let derived = Derived::new(Some("External Share"), "Shared", rule("properties.audience == \"external\""));
    let mut model = model(&[]);
    model.profiles[0].weights.insert(derived.counted_as(), 9 * MICRO);
    model.derived = vec![derived];
    model.event_aliases = [("Share".to_owned(), "Shared".to_owned())].into();
    let mut lines: Vec<String> = (0..20).map(|back| track("a", "u", "Share", back)).collect();
    let found = events(&model, &seen(&lines, &model));
    let shared = event(&found, "Shared");
    assert_eq!((shared.used.lately, shared.flags), (20, vec![]), "scored on a condition, it is not forgotten");
    let external = event(&found, "External Share");
    assert_eq!((external.flags, external.nearest.as_deref()), (vec![Flag::NeverSeen], Some("Shared")));
    lines.push(
        track("a", "u", "Shared", 1).replace("\"userId\"", "\"properties\":{\"audience\":\"external\"},\"userId\""),
    );
    let external = event(&events(&model, &seen(&lines, &model)), "External Share");
    assert_eq!((external.used.ever, external.flags), (1, vec![]));
}

#[test]
fn what_is_frequent_and_not_scored_is_flagged_unless_it_was_left_out_on_purpose() {
    let mut lines = Vec::new();
    for account in 0..10 {
        let (account, user) = (format!("a{account}"), format!("u{account}"));
        (0..20).for_each(|back| lines.push(track(&account, &user, "Shared", back)));
    }
    lines.extend((0..2).map(|account| track(&format!("a{account}"), &format!("u{account}"), "Broad", 3)));
    lines.extend((0..9).map(|back| track("a0", "u0", "Often", back)));
    lines.push(track("a0", "u0", "Rare", 1));
    let mut model = model(&[("Shared", 9)]);
    let flagged = |model: &Model, lines: &[String]| -> Vec<String> {
        let found = events(model, &seen(lines, model));
        found.into_iter().filter(|event| event.is(Flag::UnscoredFrequent)).map(|event| event.name).collect()
    };
    assert_eq!(flagged(&model, &lines), ["Often", "Broad"], "four in a hundred of everything; two of ten accounts");
    let excluded = [("Often".to_owned(), Place::default())].into();
    model.written.profiles.insert("main".into(), WrittenProfile { excluded, ..WrittenProfile::default() });
    assert_eq!(flagged(&model, &lines), ["Broad"]);
    assert_eq!(event(&events(&model, &seen(&lines, &model)), "Often").weights, [("main".to_owned(), Some(0))]);
}

#[test]
fn what_the_config_names_and_nobody_did_is_flagged_with_the_nearest_name() {
    let mut model = model(&[("Report Sharde", 9), ("Nothing Like It", 5)]);
    let done = Done::Event { event: "Teammate Invite".into(), count: 1 };
    model.activation = vec![Checklist::of(vec![Step::new("invited", done)])];
    let found =
        events(&model, &seen(&[track("a", "u", "Report Shared", 1), track("a", "u", "Teammate Invited", 1)], &model));
    let said = |name: &str| {
        let event = event(&found, name);
        (event.flags, event.nearest.unwrap_or_default(), event.steps.join(", "))
    };
    assert_eq!(said("Report Sharde"), (vec![Flag::NeverSeen], "Report Shared".into(), String::new()));
    assert_eq!(said("Nothing Like It"), (vec![Flag::NeverSeen], String::new(), String::new()));
    model.written.asked.insert("Ticket Opened".into(), [Place::default()].into());
    let asked = events(&model, &seen(&[track("a", "u", "Report Shared", 1)], &model));
    assert!(event(&asked, "Ticket Opened").is(Flag::NeverSeen), "a signal asks for it");
    assert_eq!(said("Teammate Invite"), (vec![Flag::NeverSeen], "Teammate Invited".into(), "invited".into()));
}

#[test]
fn a_scored_event_that_stops_for_everybody_is_silent_since_then() {
    let mut lines = Vec::new();
    for back in 0..80 {
        lines.push(track("a", "u", "Other", back));
        if back >= 6 {
            lines.extend(["Renamed", "Unscored"].map(|event| track("a", "u", event, back)));
        }
    }
    let model = model(&[("Renamed", 9), ("Other", 1)]);
    let found = events(&model, &seen(&lines, &model));
    let since = Day::parse("2026-08-05");
    assert_eq!((event(&found, "Renamed").silent_since, event(&found, "Renamed").flags), (since, vec![Flag::Silent]));
    assert_eq!((event(&found, "Other").flags, event(&found, "Unscored").silent_since), (vec![], None));
    let mut asking = model.clone();
    asking.written.asked.insert("Unscored".into(), [Place::default()].into());
    let found = events(&asking, &seen(&lines, &asking));
    assert_eq!(event(&found, "Unscored").silent_since, since, "a feature, a signal or a milestone asks for it");
    let gone: Vec<String> = lines.iter().filter(|line| !line.contains("Other")).cloned().collect();
    let found = events(&model, &seen(&gone, &model));
    assert!(!event(&found, "Renamed").is(Flag::Silent), "it is the pipe that is silent");
}

#[test]
fn first_days_are_those_of_accounts_that_began_within_the_data() {
    let mut lines: Vec<String> = (0..60).map(|back| track("old", "o", "Shared", back)).collect();
    lines.extend([track("new", "n", "Created", 40), track("new", "n", "Shared", 34), track("new", "n", "Shared", 33)]);
    lines.push(track("newest", "m", "Created", 5));
    let model = model(&[("Shared", 9)]);
    let activity = seen(&lines, &model).activity.unwrap();
    assert_eq!(activity.started, 1, "of the newest the first days are not over");
    let starts = |name: &str| (activity.events[name].starters, activity.events[name].started);
    assert_eq!(starts("Created"), (1, (1, 1)));
    assert_eq!(starts("Shared"), (1, (1, 2)), "the seventh day is the last of the first days");
}

/// The messages of warnings.
fn messages(faults: Vec<vitalsync_core::section::Fault>) -> Vec<String> {
    assert!(faults.iter().all(|fault| fault.warning && fault.hint.is_some()));
    faults.into_iter().map(|fault| fault.message).collect()
}

#[test]
fn five_to_twenty_events_are_scored_and_coming_in_weighs_little() {
    let names: Vec<String> = (0..21).map(|n| format!("Event {n:02}")).collect();
    let of = |count: usize, login: Option<(&str, i64)>| {
        let own = names.iter().take(count).map(|name| (name.as_str(), 5));
        messages(lint::of_config(&model(&own.chain(login).collect::<Vec<_>>())))
    };
    assert!(of(5, None).is_empty() && of(20, None).is_empty());
    assert_eq!(of(4, None), ["profile `main` scores 4 events, so that each of them weighs much"]);
    assert_eq!(of(21, None), ["profile `main` scores 21 events, so that none of them says much"]);
    assert_eq!(
        of(5, Some(("User Logged In", 8))),
        ["`User Logged In` has weight 8, among the highest: coming in is not yet using it"]
    );
    assert_eq!(of(5, Some(("session_started", 6))).len(), 1, "below 7, but the highest");
    assert!(of(5, Some(("Login", 5))).is_empty(), "as much as everything else");
    assert!(of(5, Some(("Login Page Redesigned", 9))).is_empty());
}

/// Twenty accounts: the n-th did as much as it has points, with as many users as said.
fn crowd(points: impl Fn(i32) -> i32, users: impl Fn(i32) -> i32) -> Vec<String> {
    let mut lines = Vec::new();
    for n in 1..=20 {
        let account = format!("a{n:02}");
        for point in 0..points(n) {
            let user = format!("{account}-u{}", point % users(n).max(1));
            let line = track(&account, &user, &format!("E{}", point % 5), point % 30);
            lines.push(line.replace("messageId\":\"", &format!("messageId\":\"{point}-")));
        }
    }
    lines
}

const FIVE: [(&str, i64); 5] = [("E0", 1), ("E1", 1), ("E2", 1), ("E3", 1), ("E4", 1)];

#[test]
fn a_crowd_at_risk_is_told_with_bounds_that_fit() {
    let model = model(&FIVE);
    let alike = seen(&crowd(|n| n.pow(2), |_| 2), &model);
    let faults = lint::of_data(&model, &alike);
    let [fault] = faults.as_slice() else { panic!("{faults:?}") };
    assert_eq!(fault.message, "profile `main`: 8 of 20 accounts (40 %) are at risk, 4 normal (20 %), 8 healthy (40 %)");
    let hint = "with `bands: { healthy: 80, at_risk: 17 }` 4 would be, once none is held";
    assert_eq!(fault.hint.as_deref(), Some(hint));
    let mut fitting = model.clone();
    fitting.profiles[0].bands = Bands { healthy: 80.0, at_risk: 17.0, ..Bands::default() };
    assert!(lint::of_data(&fitting, &alike).is_empty());
}

#[test]
fn who_is_gone_is_told_apart_from_bounds_that_do_not_fit() {
    let model = model(&FIVE);
    let mut lines = crowd(|_| 60, |_| 1);
    lines.extend((0..20).map(|n| track(&format!("gone{n}"), "u", "E0", 100)));
    let evaluation = seen(&lines, &model);
    let faults = lint::of_data(&model, &evaluation);
    let [fault] = faults.as_slice() else { panic!("{faults:?}") };
    assert!(fault.message.contains("20 of 40 accounts (50 %) are at risk"), "{fault:?}");
    let hint = "20 did nothing that scores in 30 days; `exclude.accounts` takes out who has left";
    assert_eq!(fault.hint.as_deref(), Some(hint), "no bounds could help");
    let crowd = lint::Crowd::of(&evaluation.accounts);
    assert_eq!((crowd.gone(), crowd.goes_with_size(), crowd.fitting(&Bands::default())), (20, None, None));
}

#[test]
fn bounds_fit_all_accounts_or_the_active_where_a_fifth_is_gone() {
    let model = model(&FIVE);
    let fitting = |gone: i32| {
        let mut lines = crowd(|n| n.pow(2), |_| 1);
        lines.extend((0..gone).map(|n| track(&format!("gone{n}"), "u", "E0", 100)));
        let crowd = lint::Crowd::of(&seen(&lines, &model).accounts);
        let bands = crowd.fitting(&Bands::default()).expect("bands");
        (bands.healthy, bands.at_risk, crowd.spread(&bands).at_risk)
    };
    assert_eq!(fitting(0), (80.0, 17.0, 4));
    assert_eq!(fitting(3), (67.0, 3.0, 4), "four of all");
    assert_eq!(fitting(20), (80.0, 17.0, 24), "four of the active");
}

#[test]
fn proposed_bounds_leave_at_most_a_fifth_at_risk() {
    assert_eq!(lint::bounds(&[]), None);
    assert_eq!(lint::bounds(&[1.0]), Some((2, 1)));
    assert_eq!(lint::bounds(&[50.0; 9]), Some((51, 50)));
    for count in 1..60u32 {
        let scores: Vec<f64> = (0..count).map(|n| f64::from(n * n % 101).max(1.0)).collect();
        let (healthy, at_risk) = lint::bounds(&scores).unwrap();
        let below = scores.iter().filter(|score| **score < f64::from(at_risk)).count();
        assert!(below * 5 <= scores.len() && at_risk <= healthy && healthy <= 100, "{count}: {healthy} {at_risk}");
    }
}

#[test]
fn a_score_that_ranks_size_is_told() {
    let model = model(&FIVE);
    let faults = lint::of_data(&model, &seen(&crowd(|n| 40 + 3 * n, |n| n), &model));
    assert_eq!(
        messages(faults),
        ["profile `main`: score and number of users go together (rank correlation 1.00): it ranks size"]
    );
    assert!(lint::of_data(&model, &seen(&crowd(|n| 40 + 3 * n, |n| 1 + n % 3), &model)).is_empty());
}

#[test]
fn ranks_go_together_by_spearman() {
    let correlation = |a: &[f64], b: &[f64]| lint::rank_correlation(a, b).map(|found| (found * 1e4).round() / 1e4);
    assert_eq!(correlation(&[1.0, 2.0, 3.0, 4.0], &[1.0, 8.0, 27.0, 64.0]), Some(1.0));
    assert_eq!(correlation(&[1.0, 2.0, 3.0], &[9.0, 5.0, 1.0]), Some(-1.0));
    // By hand: d² = 4 + 1 + 1 + 1 + 1, 1 − 6·8 ÷ (5·24).
    assert_eq!(correlation(&[1.0, 2.0, 3.0, 4.0, 5.0], &[3.0, 1.0, 2.0, 5.0, 4.0]), Some(0.6));
    assert_eq!(correlation(&[1.0, 1.0, 2.0], &[1.0, 1.0, 2.0]), Some(1.0), "equal values share a rank");
    assert_eq!((correlation(&[1.0, 1.0], &[1.0, 2.0]), correlation(&[], &[])), (None, None));
}

#[test]
fn events_and_profiles_that_the_data_does_not_know_are_told_where_they_stand() {
    let place = |line| Place { line, column: 5 };
    let mut model = model(&[("E0", 1), ("E1", 1), ("E2", 1), ("E3", 1), ("E4", 1), ("E44", 1)]);
    let done = Done::Event { event: "Inivted".into(), count: 1 };
    model.activation = vec![Checklist::of(vec![Step::new("invited", done)])];
    let events = [("E44".to_owned(), place(9))].into();
    model
        .written
        .profiles
        .insert("main".into(), WrittenProfile { place: place(3), events, ..WrittenProfile::default() });
    model.written.asked.insert("Inivted".into(), [place(20)].into());
    model.profiles.push(Profile { name: "rest".into(), ..model.profiles[0].clone() });
    model.written.profiles.insert("rest".into(), WrittenProfile { place: place(12), ..WrittenProfile::default() });
    let mut lines = crowd(|_| 60, |_| 1);
    lines.extend((1..9).map(|n| track(&format!("a{n:02}"), "u", "Invited", n)));
    let faults = lint::of_data(&model, &seen(&lines, &model));
    let said: Vec<(u32, &str)> = faults.iter().map(|fault| (fault.place.line, fault.message.as_str())).collect();
    assert_eq!(
        said,
        [
            (3, "no profile scores `Invited`, done 8 times by 8 of 20 active accounts in 30 days"),
            (9, "`E44` was never seen in the data"),
            (12, "profile `rest` is no account's: its `for` holds for none, or profiles before it have them all"),
            (20, "`Inivted` was never seen in the data"),
        ]
    );
    assert_eq!(faults[3].hint.as_deref(), Some("did you mean `Invited`?"));
    assert!(lint::of_data(&model, &seen(&[], &model)).is_empty(), "without data there is nothing to say");
}
