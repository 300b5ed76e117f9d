//! Whether a source has fallen silent, and whether an event has stopped for everybody: a silent pipe is not a silent customer.
//!
//! A source is told from its own past: in which hours anything was received. An event is told from everybody's counts on the
//! same weekday of the weeks before. Deliberately not here: events that come less than they did; only none at all is told.

use serde::{Deserialize, Serialize};

use crate::time::{Day, HOUR_MS, Timestamp};

/// Before so much silence no source is stale.
const SHORTEST_MS: i64 = 24 * HOUR_MS;
/// Hours of receipt are looked back on so far: eight weeks.
const KEPT_HOURS: i64 = 8 * 7 * 24;
/// A rhythm takes so many weeks to be known …
const WEEKS: i64 = 4;
/// … and is broken by a silence so many times as long as ever before at that hour of the week.
const TIMES: i64 = 2;
/// An event that was done less often than so on a weekday may well be missing on one.
pub const OFTEN: u64 = 20;

/// How long a source may be silent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Expect {
    /// For ever.
    #[default]
    Nothing,
    /// So many milliseconds.
    Every(i64),
    /// As its own rhythm by hour of the week allows.
    Rhythm,
}

/// The hours since 1970 in which anything was received, as runs of hours, both ends included, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard(pub Vec<(i64, i64)>);

impl Heard {
    /// Adds an hour; those that are long before the latest are let go.
    pub fn add(&mut self, hour: i64) {
        let runs = &mut self.0;
        let place = runs.partition_point(|(_, to)| *to < hour - 1);
        match runs.get_mut(place) {
            Some(run) if run.0 <= hour + 1 => *run = (run.0.min(hour), run.1.max(hour)),
            _ => runs.insert(place, (hour, hour)),
        }
        if let (Some(run), Some(next)) = (runs.get(place).copied(), runs.get(place + 1).copied())
            && next.0 <= run.1 + 1
        {
            runs[place].1 = next.1;
            runs.remove(place + 1);
        }
        let latest = runs.last().map_or(hour, |run| run.1);
        runs.retain(|run| run.1 > latest - KEPT_HOURS);
    }

    /// The end of the latest hour.
    pub fn last(&self) -> Option<Timestamp> {
        self.0.last().map(|(_, to)| Timestamp((to + 1) * HOUR_MS))
    }

    /// How long nothing had been received at a time, in milliseconds; `None` before anything was.
    fn silence(&self, at: i64) -> Option<i64> {
        let place = self.0.partition_point(|(from, _)| from * HOUR_MS <= at);
        let (_, to) = self.0.get(place.checked_sub(1)?)?;
        Some((at - (to + 1) * HOUR_MS).max(0))
    }

    /// Since when the source is stale at a time, if it is: when it was last heard of.
    pub fn stale_since(&self, expect: Expect, at: Timestamp) -> Option<Timestamp> {
        let silence = self.silence(at.0)?;
        let allowed = match expect {
            Expect::Nothing => return None,
            Expect::Every(ms) => ms,
            Expect::Rhythm => {
                let before = (1..=KEPT_HOURS / (7 * 24)).map_while(|week| self.silence(at.0 - week * 7 * 24 * HOUR_MS));
                let (weeks, longest) =
                    before.fold((0, 0), |(weeks, longest), silence| (weeks + 1, silence.max(longest)));
                if weeks < WEEKS {
                    return None;
                }
                TIMES * longest
            }
        };
        self.last().filter(|last| *last <= at && silence > allowed.max(SHORTEST_MS))
    }
}

/// An event that stopped for everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// Its name.
    pub event: String,
    /// The day on which there was none.
    pub day: Day,
    /// How often it is done on that weekday: the median of four weeks.
    pub usual: u64,
}

/// How often an event is usually done on a weekday, given its counts on that weekday in the four weeks before, if it is so
/// often that a day without any is no chance.
pub fn usual(mut before: [u64; 4]) -> Option<u64> {
    before.sort_unstable();
    // The lower of the two in the middle, so that two weeks without any are the new norm.
    Some(before[1]).filter(|usual| *usual >= OFTEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(hours: impl IntoIterator<Item = i64>) -> Heard {
        let mut heard = Heard::default();
        hours.into_iter().for_each(|hour| heard.add(hour));
        heard
    }

    #[test]
    fn hours_are_runs_in_whatever_order_they_come() {
        assert_eq!(heard([5, 3, 4, 9, 1]).0, [(1, 1), (3, 5), (9, 9)]);
        assert_eq!(heard([5, 5, 6, 7]).0, [(5, 7)]);
        assert_eq!(heard([0, 2000]).0, [(2000, 2000)], "eight weeks are kept");
    }

    #[test]
    fn a_source_is_stale_after_what_is_expected_and_never_within_a_day() {
        let daily = heard((0..100).map(|hour| hour * 6));
        let last = 99 * 6 + 1;
        let stale = |expect, hours: i64| daily.stale_since(expect, Timestamp((last + hours) * HOUR_MS)).is_some();
        let expect = Expect::Every(6 * HOUR_MS);
        assert_eq!([stale(expect, 23), stale(expect, 24), stale(expect, 25)], [false, false, true]);
        assert!(!stale(Expect::Nothing, 1000) && !stale(Expect::Every(48 * HOUR_MS), 48));
        assert_eq!(daily.stale_since(expect, Timestamp(0)), None, "what came later is known");
        assert_eq!(Heard::default().stale_since(expect, Timestamp(i64::MAX)), None);
    }

    #[test]
    fn a_rhythm_allows_weekends_and_takes_four_weeks_to_be_known() {
        // Weekdays 9 to 17 o'clock; hour 0 is a Monday's.
        let weeks = |count: i64| {
            heard(
                (0..count)
                    .flat_map(|week| (0..5).flat_map(move |day| (9..17).map(move |hour| week * 168 + day * 24 + hour))),
            )
        };
        let friday = |week: i64| week * 168 + 4 * 24 + 17;
        let stale = |heard: &Heard, hour: i64| heard.stale_since(Expect::Rhythm, Timestamp(hour * HOUR_MS)).is_some();
        let eight = weeks(8);
        assert!(!stale(&eight, friday(7) + 60), "a weekend");
        assert!(stale(&eight, friday(7) + 96), "Tuesday in the afternoon, where it was never silent for a day");
        assert!(!stale(&weeks(3), friday(2) + 96), "not known yet");
    }

    #[test]
    fn what_is_usual_follows_within_two_weeks() {
        assert_eq!(usual([50, 40, 60, 45]), Some(45));
        assert_eq!(usual([0, 40, 60, 45]), Some(40), "one week without any");
        assert_eq!(usual([0, 0, 60, 45]), None);
        assert_eq!(usual([19, 19, 90, 90]), None);
    }
}
