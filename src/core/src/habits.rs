//! Habits: how an account is used lately, beside how it was used before; what its churn risk is read off.
//!
//! Counted over every event (track, page, screen), scored or not, because leaving shows in any of them; an event on a
//! condition counts beside its own event and is not counted twice. Spans end with the last day that is over. Types only;
//! they are filled in while counts are gathered.

use crate::model::Signal;
use crate::time::Day;
use crate::usage::Id;

/// How far back a rhythm is looked for, in days.
pub const RHYTHM_DAYS: i32 = 180;
/// With fewer gaps between active days there is no rhythm to speak of.
pub const FEWEST_GAPS: usize = 4;

/// A figure of the last 30 days beside those of the account's own past.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lately {
    /// In the last 30 days.
    pub last_30: u32,
    /// In the 30 days before those.
    pub before_30: u32,
    /// In the last 90 days.
    pub last_90: u32,
    /// In the 30 days that end at the same phase of the account's cycle before; `None` without a cycle, and for an account that
    /// was not there all that time.
    pub phase_30: Option<u32>,
}

impl Lately {
    /// What it is as of now, and so in every span that ends now.
    pub(crate) fn stands(&mut self, count: u32) {
        self.last_30 = self.last_30.saturating_add(count);
        self.last_90 = self.last_90.saturating_add(count);
    }

    /// Last 30 days ÷ 30 days before; `None` where there was nothing before.
    pub fn trend(&self) -> Option<f64> {
        (self.before_30 > 0).then(|| f64::from(self.last_30) / f64::from(self.before_30))
    }

    /// Last 30 days ÷ the 30 at the same phase of the cycle before; `None` where there was nothing then.
    pub fn trend_of_phase(&self) -> Option<f64> {
        let then = self.phase_30.filter(|then| *then > 0)?;
        Some(f64::from(self.last_30) / f64::from(then))
    }
}

/// The days between one active day and the next, of the last [`RHYTHM_DAYS`]; 1 is every day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rhythm {
    /// The median gap.
    pub usual: u32,
    /// A gap that one in ten is as long as: the 90th percentile, nearest rank.
    pub long: u32,
}

impl Rhythm {
    /// The rhythm of gaps in any order; `None` of fewer than [`FEWEST_GAPS`].
    pub fn of(gaps: &mut [u32]) -> Option<Self> {
        gaps.sort_unstable();
        let rank = |percent: usize| gaps.get((gaps.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        if gaps.len() < FEWEST_GAPS {
            return None;
        }
        Some(Self { usual: rank(50)?, long: rank(90)? })
    }
}

/// How an account is used lately.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Habits {
    /// Events.
    pub events: Lately,
    /// Days with an event.
    pub active_days: Lately,
    /// Users with an event.
    pub users: Lately,
    /// Features of the account's profile, each once.
    pub features: Lately,
    /// The share of the events of the last 90 days that the busiest user did, 0–1; `None` without events.
    pub top_user_share: Option<f64>,
    /// Its rhythm.
    pub rhythm: Option<Rhythm>,
    /// The most days that it was silent around the same phase of its cycle before, those that leave its windows aside; `None`
    /// without a cycle, and where it was not there yet.
    pub phase_silent_days: Option<i32>,
    /// Of a cycle that is longer than 90 days and what comes around in them: the active days in the 90 that end at the same
    /// phase before.
    pub phase_days_90: Option<u32>,
    /// How often each signal came, in the order of [`Signal::ALL`]; `None` where the config does not name it.
    pub signals: [Option<Lately>; Signal::ALL.len()],
}

impl Habits {
    /// How often a signal came; `None` where the config does not name it.
    pub fn signal(&self, signal: Signal) -> Option<Lately> {
        self.signals[signal as usize]
    }
}

/// What an account did by name and day; kept only where it is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deeds {
    /// Every day with an event, in order.
    pub days: Vec<Day>,
    /// Events of the seven days that begin with the first event, each once.
    pub first_week: Vec<Id>,
    /// Events of the last 90 days, each once.
    pub lately: Vec<Id>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rhythm_is_the_median_gap_and_one_that_one_in_ten_reaches() {
        assert_eq!(Rhythm::of(&mut [3, 1, 2]), None, "three gaps are no rhythm");
        assert_eq!(Rhythm::of(&mut [4, 1, 1, 2]), Some(Rhythm { usual: 1, long: 4 }));
        let mut ten = [1, 1, 1, 1, 2, 2, 2, 2, 7, 30];
        assert_eq!(Rhythm::of(&mut ten), Some(Rhythm { usual: 2, long: 7 }));
    }

    #[test]
    fn a_trend_without_a_past_is_unknown_not_zero() {
        assert_eq!(Lately { last_30: 5, last_90: 5, ..Lately::default() }.trend(), None);
        assert_eq!(Lately { last_30: 5, before_30: 10, last_90: 15, phase_30: None }.trend(), Some(0.5));
    }
}
