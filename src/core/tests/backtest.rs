//! The backtest's rows: who is in, who left, which snapshots there are, and what is said of how early.

use vitalsync_core::Day;
use vitalsync_core::backtest::{Book, Outcome, Outcomes, Refused, Terms};
use vitalsync_core::evaluate::{Account, Evaluation};
use vitalsync_core::habits::{Habits, Lately};
use vitalsync_core::time::Span;

fn day(text: &str) -> Day {
    Day::parse(text).expect("a day")
}

fn outcome(id: &str, days: &[&str], churned: Option<&str>) -> Outcome {
    Outcome { id: id.into(), days: days.iter().map(|text| day(text)).collect(), churned: churned.map(day) }
}

fn account(id: &str, tenure: i32, silent: i32, active_days: u32) -> Account {
    let active_days = Lately { last_90: active_days, ..Lately::default() };
    Account {
        id: id.into(),
        tenure_days: Some(tenure),
        days_since_last_active: Some(silent),
        habits: Some(Habits { active_days, ..Habits::default() }),
        ..Account::default()
    }
}

fn snapshot(accounts: Vec<Account>) -> Evaluation {
    Evaluation { accounts, ..Evaluation::default() }
}

/// Who has a row in one snapshot of 2026-03-31, and whether they left in the 90 days after.
fn labels(outcomes: &Outcomes, accounts: Vec<Account>) -> Vec<(usize, bool)> {
    let mut book = Book::default();
    book.take(day("2026-03-31"), &snapshot(accounts), outcomes, &Terms::default());
    book.rows.iter().map(|row| (row.account, row.left)).collect()
}

#[test]
fn who_does_nothing_in_the_days_after_has_left() {
    let outcomes = Outcomes::new(
        vec![
            outcome("a", &["2026-03-31", "2026-06-29"], None),
            outcome("b", &["2026-03-31", "2026-06-30"], None),
            outcome("c", &["2026-03-01"], None),
            outcome("d", &["2026-03-31", "2026-04-01"], None),
        ],
        false,
    );
    let accounts = ["a", "b", "c", "d"].map(|id| account(id, 100, 0, 9)).into();
    assert_eq!(
        labels(&outcomes, accounts),
        [(0, false), (1, true), (2, true), (3, false)],
        "29 June is the 90th day after"
    );
}

#[test]
fn where_a_rule_dates_the_end_silence_is_none_and_who_is_gone_has_no_row() {
    let outcomes = Outcomes::new(
        vec![
            outcome("a", &["2026-03-31"], None),
            outcome("b", &["2026-03-31", "2026-06-01"], Some("2026-06-29")),
            outcome("c", &["2026-03-31"], Some("2026-06-30")),
            outcome("d", &["2026-03-31"], Some("2026-03-31")),
        ],
        true,
    );
    let accounts = ["a", "b", "c", "d"].map(|id| account(id, 100, 0, 9)).into();
    assert_eq!(labels(&outcomes, accounts), [(0, false), (1, true), (2, false)]);
}

#[test]
fn who_paused_and_is_back_is_not_gone_at_the_end() {
    let days = [("a", vec!["2026-01-01", "2026-06-30"]), ("b", vec!["2026-04-01"]), ("c", vec!["2026-04-02"])];
    let outcomes = days.iter().map(|(id, days)| outcome(id, days, None)).collect();
    let gone = |outcomes: &Outcomes| [0, 1, 2, 9].map(|place| outcomes.is_gone_at_end(place, 90));
    assert_eq!(
        gone(&Outcomes::new(outcomes, false)),
        [false, true, false, false],
        "of the last 90 days 2 April is one"
    );
    let by_rule = days.map(|(id, days)| outcome(id, &days, (id != "b").then_some("2026-06-30")));
    assert_eq!(gone(&Outcomes::new(by_rule.into(), true)), [true, false, true, false]);
}

#[test]
fn young_accounts_those_that_were_gone_already_and_strangers_have_no_row() {
    let outcomes = Outcomes::new(["a", "b", "c", "d"].map(|id| outcome(id, &["2026-03-01"], None)).into(), false);
    let accounts =
        vec![account("a", 59, 0, 9), account("b", 60, 59, 9), account("c", 60, 60, 9), account("x", 90, 0, 9)];
    assert_eq!(labels(&outcomes, accounts), [(1, true)]);
}

#[test]
fn snapshots_are_ends_of_months_whose_days_after_lie_within_the_data() {
    let outcomes = Outcomes::new(vec![outcome("a", &["2025-10-14", "2026-05-29"], None)], false);
    let dates = |terms: Terms| terms.dates(&outcomes).iter().map(Day::to_string).collect::<Vec<_>>();
    assert_eq!(
        dates(Terms::default()),
        ["2025-12-31", "2026-01-31", "2026-02-28"],
        "2026-02-28 and 90 days is the last day"
    );
    let weekly = Terms { every: Span::Days(7), from: Some(day("2026-02-10")), ..Terms::default() };
    assert_eq!(dates(weekly), ["2026-02-10", "2026-02-17", "2026-02-24"]);
    let middle = Terms { from: Some(day("2025-10-15")), to: Some(day("2025-12-20")), ..Terms::default() };
    assert_eq!(dates(middle), ["2025-10-15", "2025-11-15", "2025-12-15"]);
    let ancient = Terms { from: Some(day("0001-01-31")), ..Terms::default() };
    assert_eq!(
        dates(ancient).first().map(String::as_str),
        Some("2025-10-31"),
        "before the first event there is nothing"
    );
    let none = Terms { from: Some(day("2026-04-01")), ..Terms::default() };
    assert_eq!(dates(none), Vec::<String>::new());
}

/// Two hundred accounts over three snapshots a month apart; those that leave do so in the middle of July and are seen to be
/// fading from the second snapshot on.
fn fading() -> (Book, Outcomes, Terms) {
    let leaves = |number: usize| number.is_multiple_of(8);
    let outcomes = (0..200).map(|number| {
        let last = if leaves(number) { "2026-07-14" } else { "2026-12-31" };
        let days: Vec<Day> = (day("2026-01-01").0..=day(last).0).map(Day).collect();
        Outcome { id: format!("{number:03}"), days, churned: None }
    });
    let outcomes = Outcomes::new(outcomes.collect(), false);
    let terms = Terms { horizon: 60, leads: vec![10, 40, 70], k: 0.125, ..Terms::default() };
    let mut book = Book::default();
    for (date, fades) in [("2026-04-30", false), ("2026-05-31", true), ("2026-06-30", true), ("2026-07-20", true)] {
        let accounts = (0..200).map(|number| {
            let active = if leaves(number) && fades { 3 } else { 60 + number as u32 % 9 };
            account(&format!("{number:03}"), 100, 0, active)
        });
        book.take(day(date), &snapshot(accounts.collect()), &outcomes, &terms);
    }
    (book, outcomes, terms)
}

#[test]
fn it_is_said_how_early_an_end_was_seen() {
    let (book, outcomes, terms) = fading();
    assert_eq!(book.counts(), (200, 25));
    let judged = book.judge(&outcomes, &terms).expect("a judgement");
    let days = judged.iter().find(|judged| judged.name == "active_days_90d").expect("a predictor");
    assert_eq!((days.rows, days.flagged, days.left, days.hits), (800, 100, 25, 25.0));
    let auc = days.auc.expect("an area");
    assert!(auc.low <= auc.value && auc.value <= auc.high && auc.value > 0.9, "{auc:?}");
    // The end is on 15 July: 10 days before it the snapshot of June is the last, 40 days before that of May, 70 that of April.
    let leads: Vec<(i32, usize, bool)> =
        days.leads.iter().map(|(lead, ends, flagged)| (*lead, *ends, *flagged == 25.0)).collect();
    assert_eq!(leads, [(10, 25, true), (40, 25, true), (70, 25, false)]);
    let trend = judged.iter().find(|judged| judged.name == "trend_30_30").expect("a predictor");
    assert_eq!((trend.rows, trend.auc.is_none()), (0, true), "without a past there is no trend");
}

#[test]
fn with_few_ends_there_is_no_judgement() {
    let (mut book, outcomes, terms) = fading();
    book.rows.iter_mut().for_each(|row| row.left &= row.account >= 48);
    assert_eq!(book.counts().1, 19);
    let refused = book.judge(&outcomes, &terms).expect_err("19 are too few");
    assert_eq!(refused, Refused::TooFew { churned: 19, snapshots: 4, part: "" });
    assert!(
        refused.to_string().starts_with("only 19 accounts left after the 4 snapshots, and fewer than 20"),
        "{refused}"
    );
}
