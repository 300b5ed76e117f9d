//! Accounts that work by the calendar: what comes around is no news, what does not come around is.

use vitalsync_core::cycle::Cycle;
use vitalsync_core::figures::Account;

use super::*;

/// Closes its books in the last five days of each month, until a day; one day earlier or later each time.
fn bookkeeper(account: &str, until: i32) -> Vec<String> {
    // 1 March is day 0: the month's last days of March to September, and a shift of each.
    let ends = [(31, 0), (61, -1), (92, 1), (122, 0), (153, -1), (184, 1), (214, 0)];
    let spans = ends.map(|(end, shift)| end + shift - 5..end + shift);
    spans.into_iter().filter(|span| span.end <= until).flat_map(|span| used(account, "A", span, 3)).collect()
}

fn with(cycle: Option<Cycle>) -> Model {
    let mut model = model(&OF_SCORES);
    model.profiles[0].cycle = cycle;
    model
}

/// What is told from a day on, without the rules over segments, which say what they ask.
fn told(lines: &[String], model: &Model, days: std::ops::Range<i32>) -> Vec<(String, i32)> {
    let rules: Vec<AlertRule> =
        every_kind().into_iter().filter(|rule| !matches!(rule.trigger, Trigger::Segment(..))).collect();
    let (mut memory, mut told) = (Memory::default(), Vec::new());
    for offset in days {
        told.extend(memory.pass(lines, model, &rules, end(offset)).into_iter().map(|(rule, _)| (rule, offset)));
    }
    told
}

fn seen(lines: &[String], model: &Model, offset: i32) -> Account {
    let filed = file([lines.iter().map(String::as_str).collect()], model);
    let ask = Ask { recent_days: 30, ..Ask::of(Horizon::at(end(offset))) };
    evaluate_history(&filed.usage, &filed.ids, model, ask).unwrap().accounts.remove(0)
}

#[test]
fn what_comes_around_each_month_is_no_news() {
    let lines = bookkeeper("books", 300);
    let of = |cycle| {
        let told = told(&lines, &with(cycle), 62..200);
        told.into_iter().filter(|(rule, _)| rule != "thirty").collect::<Vec<_>>()
    };
    let plain: BTreeSet<String> = of(None).into_iter().map(|(rule, _)| rule).collect();
    assert_eq!(plain.into_iter().collect::<Vec<_>>(), ["back", "drop", "quiet", "rise", "risk", "unwell"]);
    assert_eq!(of(Some(Cycle::Month)), []);
}

#[test]
fn what_does_not_come_around_is_told_when_it_is_missed() {
    // The last month that it works is June: days 117 to 121.
    let lines = bookkeeper("books", 130);
    let told = told(&lines, &with(Some(Cycle::Month)), 62..200);
    // At risk and silent until the 28th of June and no later; well for days on end from the first of July on, three days more
    // or less.
    assert_eq!(told, [("risk".to_owned(), 150), ("quiet".to_owned(), 150), ("unwell".to_owned(), 153)]);
}

#[test]
fn a_score_is_held_against_the_same_phase() {
    let lines = bookkeeper("books", 300);
    // 15 July, eleven days after the window let go of June.
    let (plain, monthly) = (seen(&lines, &with(None), 136), seen(&lines, &with(Some(Cycle::Month)), 136));
    assert_eq!((plain.health.change_cycle, monthly.health.change_cycle), (None, Some(0.0)));
    assert_eq!(plain.health.top_reason.as_deref(), Some("no scored activity in the last 7 days"));
    let said = "no scored activity, nor at the same phase of the month before";
    assert_eq!(monthly.health.top_reason.as_deref(), Some(said));
    let habits = monthly.habits.unwrap();
    assert_eq!((habits.events.phase_30, habits.phase_silent_days, habits.phase_days_90), (Some(15), Some(17), None));
    // At the end of the month, when it works, against the week before and against the end of June.
    let (plain, monthly) = (seen(&lines, &with(None), 152), seen(&lines, &with(Some(Cycle::Month)), 152));
    assert_eq!(plain.health.top_reason.as_deref(), Some("more A than in the 7 days before"));
    assert_eq!(monthly.health.top_reason.as_deref(), Some("steady use"));
    assert!(monthly.health.story.unwrap().contains("against the same phase of the month before"));
}

#[test]
fn a_season_is_held_against_the_same_season_a_year_before() {
    // Four months of the year, for two years; then it is July.
    let seasons = [0..120, 365..485].into_iter();
    let lines: Vec<String> = seasons.flat_map(|days| used("tax", "A", days, 1)).collect();
    let (plain, yearly) = (seen(&lines, &with(None), 600), seen(&lines, &with(Some(Cycle::Year)), 600));
    let habits = yearly.habits.unwrap();
    assert_eq!((habits.phase_days_90, habits.phase_silent_days), (Some(0), Some(119)));
    assert!(plain.churn_risk > Some(50.0) && yearly.churn_risk < Some(15.0), "{plain:?} {yearly:?}");
    assert!(plain.churn_risk_reasons.contains(&"silent for longer than it usually is"), "{plain:?}");
    assert_eq!(yearly.churn_risk_reasons, Vec::<&str>::new());
    // In its first year there is nothing to hold it against.
    let first = |cycle| {
        let account = seen(&lines, &with(cycle), 200);
        (account.churn_risk, account.health.top_reason, account.health.change_cycle)
    };
    assert_eq!(first(Some(Cycle::Year)), first(None));
}

#[test]
fn a_fall_that_is_deeper_than_that_of_the_cycle_before_is_told() {
    // The same five days of each week, and from day 56 on only two of them: the second of those missed is one too many.
    let days = (0..70).filter(|offset| offset % 7 < 5 && !(*offset >= 56 && (2..5).contains(&(offset % 7))));
    let lines: Vec<String> = days.flat_map(|offset| used("office", "A", offset..offset + 1, 3)).collect();
    let mut model = with(Some(Cycle::Week));
    model.profiles[0].window = 3;
    model.profiles[0].benchmark.refresh = Refresh::Fixed(45.0);
    let rules = [rule("drop", Trigger::Drop { points: 15.0, within_days: 7 })];
    let mut told = |cycle| {
        model.profiles[0].cycle = cycle;
        let (mut memory, mut told) = (Memory::default(), Vec::new());
        for offset in 14..70 {
            let fired = memory.pass(&lines, &model, &rules, end(offset));
            told.extend(fired.into_iter().map(|_| offset));
        }
        told
    };
    assert_eq!(told(Some(Cycle::Week)), [59]);
    assert!(told(None).len() > 5);
}
