//! What the stories promise, on days of every weekday and of every part of a quarter.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use vitalsync_core::call::{AccountPaths, CallKind, parse};
use vitalsync_core::derived::Conditions;
use vitalsync_core::evaluate::{Account, Evaluation, evaluate};
use vitalsync_core::model::{Band, Checklist, Done, MICRO, Model, Profile, Step};
use vitalsync_core::usage::{Ids, Usage};
use vitalsync_core::{Calendar, Day};

use super::{companies, lines, people};

/// Every weekday from Monday on, the first and last days of quarters and of years among them.
const DAYS: [&str; 7] =
    ["2026-09-28", "2026-06-30", "2026-07-01", "2026-01-01", "2026-05-15", "2026-02-14", "2028-12-31"];

fn days() -> impl Iterator<Item = Day> {
    DAYS.iter().map(|text| Day::parse(text).expect("a day"))
}

fn model() -> Model {
    let weights = [
        ("Report Shared", 9),
        ("Dashboard Built", 8),
        ("Integration Connected", 8),
        ("Teammate Invited", 7),
        ("Report Created", 6),
        ("Alert Configured", 6),
        ("Comment Added", 4),
        ("Export Downloaded", 3),
        ("Report Viewed", 2),
        ("Logged In", 1),
    ];
    let steps = ["Project Created", "Integration Connected", "Teammate Invited", "Report Shared"];
    let step = |event: &str| Step::new(event, Done::Event { event: event.into(), count: 1 });
    Model {
        profiles: vec![Profile {
            name: "health".into(),
            weights: weights.map(|(event, weight)| (event.to_owned(), weight * MICRO)).into(),
            ..Profile::default()
        }],
        activation: vec![Checklist::of(steps.map(step).into())],
        ..Model::default()
    }
}

/// What is made of the story at the end of the last day, for each of [`DAYS`].
static TOLD: LazyLock<Vec<(Day, Evaluation)>> = LazyLock::new(|| days().map(|today| (today, told(today))).collect());

fn told(today: Day) -> Evaluation {
    let (mut usage, mut ids, calendar) = (Usage::default(), Ids::default(), Calendar::default());
    for (_, line) in lines(today) {
        let call = parse(line.as_bytes(), &AccountPaths::default()).expect("a call");
        usage.file(&call, &mut ids, &calendar, &Conditions::default());
    }
    evaluate(&usage, &ids, &model(), calendar.end(today.plus(-1)), 14)
}

fn find<'e>(evaluation: &'e Evaluation, id: &str) -> &'e Account {
    evaluation.accounts.iter().find(|account| account.id == id).expect("an account")
}

#[test]
fn the_same_day_gives_the_same_lines() {
    let today = Day::parse("2026-08-13").expect("a day");
    assert_eq!(lines(today), lines(today));
    assert_ne!(lines(today), lines(today.plus(1)));
}

#[test]
fn every_line_is_a_call_in_the_order_of_receipt_and_before_today() {
    for today in days().take(3) {
        let lines = lines(today);
        let (mut messages, mut last) = (BTreeSet::new(), 0);
        let mut events = 0;
        for (day, line) in &lines {
            let call = parse(line.as_bytes(), &AccountPaths::default()).expect("a call");
            assert!(messages.insert(call.message_id.expect("an id").into_owned()), "an id twice: {line}");
            assert!(call.received.0 >= last, "out of order: {line}");
            last = call.received.0;
            assert_eq!(Calendar::default().day(call.received), *day, "{line}");
            assert!(*day < today && *day >= today.plus(-124) && call.time <= call.received, "{line}");
            assert!(call.account.is_some() || call.kind == CallKind::Identify, "{line}");
            events += usize::from(call.kind == CallKind::Track);
        }
        assert!((20_000..=40_000).contains(&events) && lines.len() <= 40_000, "{today}: {events} events");
    }
}

#[test]
fn there_are_two_dozen_accounts_and_150_people() {
    let mut users: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (_, line) in lines(Day::parse("2026-08-13").expect("a day")) {
        let call = parse(line.as_bytes(), &AccountPaths::default()).expect("a call");
        let account = call.account.expect("an account").into_owned();
        users.entry(account).or_default().insert(call.user_id.expect("a user").into_owned());
    }
    assert_eq!(users.len(), 24);
    let everyone: BTreeSet<&String> = users.values().flatten().collect();
    assert!((140..=175).contains(&everyone.len()), "{} users", everyone.len());
    let (known, emails): (BTreeSet<_>, BTreeSet<_>) =
        people().into_iter().map(|person| (person.user_id, person.email)).unzip();
    assert!(known.len() * 10 > everyone.len() * 8 && known.len() < everyone.len(), "{} contacts", known.len());
    assert_eq!(emails.len(), known.len(), "an address twice");
    assert!(known.iter().all(|id| everyone.contains(id)));
}

#[test]
fn the_crm_lacks_two_accounts_and_has_one_twice() {
    let mut held: BTreeMap<String, usize> = BTreeMap::new();
    for company in companies() {
        *held.entry(company.domain).or_default() += 1;
    }
    assert_eq!((held.len(), held.values().filter(|count| **count == 2).count()), (22, 1));
    assert!(held.values().all(|count| *count <= 2));
}

#[test]
fn northwind_falls_within_a_week_and_nobody_else_does() {
    for (today, evaluation) in TOLD.iter() {
        let northwind = find(evaluation, "northwind-traders");
        let score = northwind.health.score.expect("a score");
        let before = score - northwind.health.change_7d.expect("a change");
        assert!(before >= 70.0, "{today}: {before} a week before");
        for account in &evaluation.accounts {
            let drop = account.drop_since(evaluation.over.plus(-7)).map_or(0.0, |drop| drop.points);
            let falls = account.id == "northwind-traders";
            assert!(if falls { drop >= 20.0 } else { drop < 12.0 }, "{today} {}: {drop}", account.id);
        }
        // The fall is one of every working day, not of one.
        let falls = northwind.recent.windows(2).rev().take(7).filter(|pair| pair[0].1 - pair[1].1 >= 2.0).count();
        assert!(falls >= 4, "{today}: {:?}", northwind.recent);
    }
}

#[test]
fn there_is_one_of_every_story() {
    for (today, evaluation) in TOLD.iter() {
        let band = |id: &str| find(evaluation, id).health.band.expect("a band");
        let count = |band: Band| evaluation.accounts.iter().filter(|account| account.health.band == Some(band)).count();
        let counts = [count(Band::Healthy), count(Band::Normal), count(Band::AtRisk)];
        assert!(counts[0] >= 8 && counts[1] >= 4 && counts[2] >= 4, "{today}: {counts:?}");

        let never = find(evaluation, "quillmark");
        assert_eq!((never.health.band, never.activation_percent), (Some(Band::AtRisk), Some(25.0)), "{today}");
        assert_eq!((never.health.raw, never.total_users), (Some(0.0), 1), "{today}");

        let returns = find(evaluation, "saltmarsh-brewing");
        assert!(returns.health.change_30d.is_some_and(|change| change > 25.0), "{today}: {:?}", returns.health);
        assert_eq!(band("rowan-realty"), Band::AtRisk, "{today}: {:?}", find(evaluation, "rowan-realty").health);
        let new = find(evaluation, "wrenfield");
        assert_eq!((new.tenure_days, new.activation_percent), (Some(8), Some(100.0)), "{today}");
        assert_eq!(find(evaluation, "tidewater-labs").traits.get("plan"), Some(&"team".into()), "{today}");
    }
}
