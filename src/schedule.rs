//! Schedules: five-field cron expressions in the config's time zone, as functions of a moment.
//!
//! POSIX weekdays (0 and 7 are Sunday), a day of month and a day of week are either-or, a time that clocks skip in spring
//! runs after the gap, one that comes twice in autumn runs once. croner knows all this; this type keeps it out of sight.

use std::str::FromStr;

use croner::Cron;
use vitalsync_core::{Calendar, Timestamp};

/// When a job runs.
#[derive(Debug, Clone)]
pub struct Schedule {
    written: String,
    cron: Cron,
    calendar: Calendar,
}

impl Schedule {
    /// Reads five fields; the message says what is wrong.
    pub fn parse(written: &str, calendar: Calendar) -> Result<Self, String> {
        let fields = written.split_whitespace().count();
        if fields != 5 && !written.trim_start().starts_with('@') {
            return Err(format!("a schedule has five fields (minute hour day month weekday), found {fields}"));
        }
        let cron = Cron::from_str(written.trim()).map_err(|error| error.to_string().to_lowercase())?;
        let schedule = Self { written: written.trim().to_owned(), cron, calendar };
        if schedule.after(Timestamp(0)).is_none() {
            return Err("a schedule that never comes".into());
        }
        Ok(schedule)
    }

    /// The first moment strictly after another; `None` if it never comes again.
    pub fn after(&self, moment: Timestamp) -> Option<Timestamp> {
        let local = moment.utc().with_timezone(&self.calendar.zone());
        let next = self.cron.find_next_occurrence(&local, false).ok()?;
        Some(Timestamp(next.timestamp_millis()))
    }

    /// As written.
    pub fn written(&self) -> &str {
        &self.written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(cron: &str, zone: &str, after: &str) -> String {
        let schedule = Schedule::parse(cron, Calendar::of(zone).unwrap()).unwrap();
        schedule.after(Timestamp::parse(after).unwrap()).unwrap().to_string()
    }

    #[test]
    fn schedules_follow_the_wall_clock() {
        assert_eq!(next("*/15 * * * *", "UTC", "2026-08-13T10:15:00Z"), "2026-08-13T10:30:00Z");
        assert_eq!(next("0 9 * * 1", "Europe/Brussels", "2026-08-13T10:00:00Z"), "2026-08-17T07:00:00Z");
        assert_eq!(next("0 9 * * 0", "UTC", "2026-08-13T10:00:00Z"), "2026-08-16T09:00:00Z");
        assert_eq!(next("0 9 * * 7", "UTC", "2026-08-13T10:00:00Z"), "2026-08-16T09:00:00Z");
        // A day of month or a weekday, whichever comes first.
        assert_eq!(next("0 0 1 * MON", "UTC", "2026-08-13T00:00:00Z"), "2026-08-17T00:00:00Z");
    }

    #[test]
    fn clock_changes_neither_skip_nor_repeat_a_daily_run() {
        // Brussels skips 02:00–03:00 on 29 March 2026 and repeats it on 25 October.
        assert_eq!(next("30 2 * * *", "Europe/Brussels", "2026-03-28T12:00:00Z"), "2026-03-29T01:00:00Z");
        assert_eq!(next("30 2 * * *", "Europe/Brussels", "2026-10-24T12:00:00Z"), "2026-10-25T00:30:00Z");
        assert_eq!(next("30 2 * * *", "Europe/Brussels", "2026-10-25T00:30:00Z"), "2026-10-26T01:30:00Z");
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for wrong in ["", "* * * *", "* * * * * *", "61 * * * *", "0 0 31 2 *", "every day"] {
            assert!(Schedule::parse(wrong, Calendar::default()).is_err(), "{wrong}");
        }
    }
}
