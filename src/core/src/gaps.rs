//! Days that leave every window: outages that are known of (`gaps`), and quiet spans of a profile's year.
//!
//! What happened on such a day counts for nothing that is measured over a window, and the day is none of those that an active
//! day is counted among. Windows do not grow for it: a score over a window with a gap is a score over fewer days. Activation,
//! last activity, tenure, signals of trouble and what was ever used see these days like any other.

use std::collections::BTreeMap;

use crate::time::Day;

/// Spans of days, both ends included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gaps {
    /// Of every profile.
    pub days: Vec<(Day, Day)>,
    /// By profile, spans of every year.
    pub quiet: BTreeMap<String, Vec<Yearly>>,
}

/// A span of every year, from a month and day to another, both included; it may go over the year's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Yearly {
    /// The first month and day.
    pub from: (u32, u32),
    /// The last ones.
    pub to: (u32, u32),
}

impl Yearly {
    /// Reads `12-20..01-05`; `None` where that is none. 29 February is a day of leap years.
    pub fn parse(text: &str) -> Option<Self> {
        let date = |text: &str| {
            let (month, day) = text.trim().split_once('-')?;
            let (month, day) = (month.parse().ok()?, day.parse().ok()?);
            Day::from_ymd(2024, month, day).map(|_| (month, day))
        };
        let (from, to) = text.split_once("..")?;
        Some(Self { from: date(from)?, to: date(to)? })
    }

    fn has(&self, day: Day) -> bool {
        use chrono::Datelike as _;
        let date = day.date();
        let at = (date.month(), date.day());
        if self.from <= self.to { self.from <= at && at <= self.to } else { at >= self.from || at <= self.to }
    }
}

impl Gaps {
    /// True if no day is left out.
    pub fn is_empty(&self) -> bool {
        self.days.is_empty() && self.quiet.is_empty()
    }

    /// True if a day leaves the windows of a profile.
    pub fn has(&self, profile: &str, day: Day) -> bool {
        self.days.iter().any(|(from, to)| *from <= day && day <= *to)
            || self.quiet.get(profile).is_some_and(|spans| spans.iter().any(|span| span.has(day)))
    }

    /// How many days of a span, both ends included, leave the windows of a profile.
    pub fn within(&self, profile: &str, from: Day, to: Day) -> u32 {
        if self.is_empty() { 0 } else { (from.0..=to.0).filter(|day| self.has(profile, Day(*day))).count() as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_a_year_may_go_over_its_end() {
        let day = |text: &str| Day::parse(text).unwrap();
        let quiet = [("main".to_owned(), vec![Yearly::parse("12-20..01-05").unwrap()])].into();
        let gaps = Gaps { days: vec![(day("2026-03-01"), day("2026-03-04"))], quiet };
        for (at, out) in [
            ("2025-12-19", false),
            ("2025-12-20", true),
            ("2026-01-05", true),
            ("2026-01-06", false),
            ("2026-03-04", true),
        ] {
            assert_eq!(gaps.has("main", day(at)), out, "{at}");
        }
        assert!(!gaps.has("other", day("2025-12-25")) && gaps.has("other", day("2026-03-01")));
        assert_eq!(gaps.within("main", day("2025-12-01"), day("2026-03-31")), 21);
        for wrong in ["12-20", "13-01..01-05", "02-30..03-01", "a..b", ""] {
            assert_eq!(Yearly::parse(wrong), None, "{wrong}");
        }
    }
}
