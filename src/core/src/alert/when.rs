//! When an alert goes: at once, in a digest, and not in quiet hours. Times of day are those of the config's time zone.

use crate::time::{Calendar, DAY_MS, Day, HOUR_MS, Timestamp};

/// How alerts of a rule are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Digest {
    /// Each by itself, at once.
    #[default]
    Immediately,
    /// Every full hour.
    Hourly,
    /// Every day at so many minutes after midnight.
    Daily(u32),
    /// Every week on a day (Monday is 0) at so many minutes after midnight.
    Weekly(u32, u32),
}

/// At nine, if a digest does not say.
const NINE: u32 = 9 * 60;
const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

impl Digest {
    /// Reads `immediately`, `hourly`, `daily [at 09:00]`, `weekly [on monday] [at 09:00]`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace().peekable();
        let kind = words.next()?;
        let mut after = |word: &str| match words.peek() {
            Some(next) if *next == word => {
                words.next();
                words.next().map(Some)
            }
            _ => Some(None),
        };
        let digest = match kind {
            "immediately" => Self::Immediately,
            "hourly" => Self::Hourly,
            "daily" => Self::Daily(after("at")?.map_or(Some(NINE), minutes)?),
            "weekly" => {
                let day = after("on")?.map_or(Some(0), |day| WEEKDAYS.iter().position(|known| *known == day))?;
                Self::Weekly(day as u32, after("at")?.map_or(Some(NINE), minutes)?)
            }
            _ => return None,
        };
        words.next().is_none().then_some(digest)
    }

    /// When what fired at a moment is told.
    pub fn due(self, fired: Timestamp, calendar: &Calendar) -> Timestamp {
        let today = calendar.day(fired);
        let next = |first: Day, step: i32, minutes: u32| {
            let mut days = (0..).map(|turn| calendar.moment(first.plus(turn * step), minutes));
            days.find(|moment| *moment > fired).unwrap_or(fired)
        };
        match self {
            Self::Immediately => fired,
            Self::Hourly => Timestamp((fired.0.div_euclid(HOUR_MS) + 1).saturating_mul(HOUR_MS)),
            Self::Daily(minutes) => next(today, 1, minutes),
            Self::Weekly(day, minutes) => next(today.week_start().plus(day as i32), 7, minutes),
        }
    }

    /// How far apart two digests are, in milliseconds.
    pub fn period_ms(self) -> i64 {
        match self {
            Self::Immediately => 0,
            Self::Hourly => HOUR_MS,
            Self::Daily(_) => DAY_MS,
            Self::Weekly(..) => 7 * DAY_MS,
        }
    }

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Immediately => "immediate",
            Self::Hourly => "hourly",
            Self::Daily(_) => "daily",
            Self::Weekly(..) => "weekly",
        }
    }
}

/// Hours in which nobody is told anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietHours {
    /// Minutes after midnight at which they begin.
    pub from: u32,
    /// … and end; on the next day, if that is earlier.
    pub to: u32,
    /// Whether Saturday and Sunday are quiet as a whole.
    pub weekends: bool,
}

impl QuietHours {
    /// The first moment from one on that is not quiet.
    pub fn over(&self, moment: Timestamp, calendar: &Calendar) -> Timestamp {
        let mut moment = moment;
        // A weekend, the night before and the night after, each is left once.
        for _ in 0..6 {
            let day = calendar.day(moment);
            let within = |first: Day| {
                let (from, to) = (calendar.moment(first, self.from), calendar.moment(self.end_of(first), self.to));
                (from..to).contains(&moment).then_some(to)
            };
            let weekend = self.weekends && day.0 - day.week_start().0 >= 5;
            let next = if weekend { Some(calendar.start(day.week_start().plus(7))) } else { None };
            match next.or_else(|| within(day.plus(-1))).or_else(|| within(day)) {
                Some(end) => moment = end,
                None => break,
            }
        }
        moment
    }

    /// The day on which the quiet that begins on a day ends.
    fn end_of(&self, first: Day) -> Day {
        if self.to > self.from { first } else { first.plus(1) }
    }
}

/// Reads `09:00`, as minutes after midnight.
pub fn minutes(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str, most: u32| {
        let digits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u32>().ok().filter(|number| digits && *number <= most)
    };
    Some(number(hours, 23)? * 60 + number(minutes, 59).filter(|_| minutes.len() == 2)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn a_digest_goes_at_its_time() {
        let brussels = Calendar::of("Europe/Brussels").unwrap();
        // 2026-08-13 is a Thursday; Brussels is two hours ahead.
        for (digest, fired, due) in [
            ("immediately", "2026-08-13T06:30:00Z", "2026-08-13T06:30:00Z"),
            ("hourly", "2026-08-13T06:30:00Z", "2026-08-13T07:00:00Z"),
            ("daily", "2026-08-13T06:30:00Z", "2026-08-13T07:00:00Z"),
            ("daily at 08:30", "2026-08-13T06:30:00Z", "2026-08-14T06:30:00Z"),
            ("weekly", "2026-08-13T06:30:00Z", "2026-08-17T07:00:00Z"),
            ("weekly on thursday at 8:00", "2026-08-13T06:30:00Z", "2026-08-20T06:00:00Z"),
            ("weekly on friday", "2026-08-13T06:30:00Z", "2026-08-14T07:00:00Z"),
            // Clocks skip from two to three.
            ("daily at 02:30", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z"),
        ] {
            let read = Digest::parse(digest).unwrap();
            assert_eq!(read.due(at(fired), &brussels).to_string(), due, "{digest}");
        }
        for wrong in ["", "dayly", "daily 9", "daily at", "daily at 25:00", "weekly on mon", "hourly at 09:00"] {
            assert_eq!(Digest::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn quiet_hours_end_in_the_morning_and_after_the_weekend() {
        let utc = Calendar::default();
        let night = QuietHours { from: 20 * 60, to: 8 * 60, weekends: false };
        let weekends = QuietHours { weekends: true, ..night };
        for (quiet, moment, over) in [
            (night, "2026-08-13T12:00:00Z", "2026-08-13T12:00:00Z"),
            (night, "2026-08-13T20:00:00Z", "2026-08-14T08:00:00Z"),
            (night, "2026-08-14T07:59:59Z", "2026-08-14T08:00:00Z"),
            (night, "2026-08-14T08:00:00Z", "2026-08-14T08:00:00Z"),
            (night, "2026-08-15T12:00:00Z", "2026-08-15T12:00:00Z"),
            (weekends, "2026-08-14T21:00:00Z", "2026-08-17T08:00:00Z"),
            (weekends, "2026-08-16T12:00:00Z", "2026-08-17T08:00:00Z"),
            (
                QuietHours { from: 12 * 60, to: 13 * 60, weekends: false },
                "2026-08-13T12:30:00Z",
                "2026-08-13T13:00:00Z",
            ),
        ] {
            assert_eq!(quiet.over(at(moment), &utc).to_string(), over, "{moment}");
        }
    }
}
