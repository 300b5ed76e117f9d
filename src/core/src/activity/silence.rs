//! Events that stopped for everybody: renamed or broken where they are sent, not customers who left.

use super::{DAYS, Use};
use crate::time::Day;

/// The norm is taken from so many days before the silence: eight of each weekday.
const NORM: usize = 56;
/// Less than so many days make no norm.
const LEAST: usize = 28;
/// A silence is told where it has less than this chance under the norm.
const CHANCE: f64 = 0.001;

/// The first day of an event's silence up to `until`, the last day with any event at all; `None` while it is not silent.
/// `over` is the last day of [`Use::daily`].
///
/// The chance that a day passes without the event is 1 − k ÷ (n + 1), of the n days with its weekday in the norm k had it;
/// days are taken as independent. What was not done for [`DAYS`] days has no norm, and is silent anyway.
pub(super) fn since(used: &Use, over: Day, until: Day) -> Option<Day> {
    let last = used.last?;
    let until = until.min(over);
    if until.0 - last.0 >= DAYS {
        return Some(last.plus(1));
    }
    let days = used.daily.len().checked_sub((over.0 - until.0) as usize)?;
    let daily = used.daily.get(..days)?;
    let silent = daily.iter().rev().take_while(|count| **count == 0).count();
    let before = daily.get(..days - silent)?;
    let norm = before.get(before.len().saturating_sub(NORM)..)?;
    let begun = norm.iter().position(|count| *count > 0)?;
    if norm.len() - begun < LEAST {
        return None;
    }
    let quiet = |weekday: usize| {
        let same = (before.len() - norm.len() + begun..before.len()).filter(|day| day % 7 == weekday);
        let (days, with) = same.fold((0, 0), |(days, with), day| (days + 1, with + u32::from(before[day] > 0)));
        1.0 - f64::from(with) / f64::from(days + 1)
    };
    let chance: f64 = (before.len()..days).map(|day| quiet(day % 7)).product();
    (chance < CHANCE).then(|| until.plus(1 - silent as i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OVER: Day = Day(20_000);

    fn since_of(daily: impl Fn(i32) -> u64) -> Option<Day> {
        let daily: Vec<u64> = (0..DAYS).map(|day| daily(DAYS - 1 - day)).collect();
        let ago = daily.iter().rev().position(|count| *count > 0);
        let last = ago.map(|ago| OVER.plus(-(ago as i32)));
        since(&Use { daily, last, ..Use::default() }, OVER, OVER)
    }

    #[test]
    fn a_daily_event_is_silent_after_four_days() {
        assert_eq!(since_of(|ago| u64::from(ago >= 3)), None);
        assert_eq!(since_of(|ago| u64::from(ago >= 4)), Some(OVER.plus(-3)));
        assert_eq!(since_of(|ago| 500 * u64::from(ago >= 70)), Some(OVER.plus(-69)), "however long ago");
    }

    #[test]
    fn weekends_are_no_silence() {
        // Two days of each seven have none; the last two are such.
        let working = |ago: i32| u64::from(ago % 7 >= 2);
        assert_eq!(since_of(working), None);
        let since = since_of(|ago| if ago < 7 { 0 } else { working(ago) });
        assert_eq!(since, Some(OVER.plus(-8)), "the weekend before is a part of it");
        assert_eq!(since_of(|ago| if ago < 5 { 0 } else { working(ago) }), None, "three working days alone");
    }

    #[test]
    fn what_is_rare_or_new_has_no_norm() {
        assert_eq!(since_of(|ago| u64::from(ago >= 20 && ago % 14 == 0)), None, "once in two weeks");
        assert_eq!(since_of(|ago| u64::from((10..30).contains(&ago))), None, "done on twenty days");
        assert_eq!(since_of(|_| 0), None, "never");
    }

    #[test]
    fn what_was_not_done_for_long_is_silent_without_a_norm() {
        let used = Use { daily: vec![0; DAYS as usize], last: Some(OVER.plus(-DAYS)), ..Use::default() };
        assert_eq!(since(&used, OVER, OVER), Some(OVER.plus(1 - DAYS)));
    }

    #[test]
    fn where_everything_is_silent_no_event_is() {
        let daily: Vec<u64> = (0..DAYS).map(|day| u64::from(day < DAYS - 30)).collect();
        let last = OVER.plus(-30);
        let used = Use { daily, last: Some(last), ..Use::default() };
        assert_eq!(since(&used, OVER, last), None);
        assert_eq!(since(&used, OVER, OVER), Some(last.plus(1)), "others go on");
    }
}
