//! Days, moments and the calendar of the configured time zone.
//!
//! A day is a calendar day in that zone; a window ends with the last day that is over. There is no
//! clock here: `now` and `as of` are always handed in.

use std::fmt;
use std::sync::OnceLock;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// Milliseconds in a day of UTC.
pub const DAY_MS: i64 = 86_400_000;
/// Milliseconds of an hour.
pub const HOUR_MS: i64 = 3_600_000;

/// A calendar day, as days since 1970-01-01. Prints as `2026-08-13`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Day(pub i32);

/// A moment, in milliseconds since 1970-01-01T00:00:00Z. Prints as RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

impl Day {
    /// The day of a date.
    pub fn from_ymd(year: i32, month: u32, day: u32) -> Option<Self> {
        NaiveDate::from_ymd_opt(year, month, day).map(Self::from_date)
    }

    fn from_date(date: NaiveDate) -> Self {
        Self(date.num_days_from_ce() - NaiveDate::default().num_days_from_ce())
    }

    /// The date of this day.
    pub fn date(self) -> NaiveDate {
        NaiveDate::default().checked_add_signed(chrono::Duration::days(i64::from(self.0))).unwrap_or(if self.0 < 0 {
            NaiveDate::MIN
        } else {
            NaiveDate::MAX
        })
    }

    /// Reads `2026-08-13`.
    pub fn parse(text: &str) -> Option<Self> {
        NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10).map(Self::from_date)
    }

    /// This day moved by a number of days.
    #[must_use]
    pub fn plus(self, days: i32) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// This day of so many months later; where that month is shorter, its last day.
    #[must_use]
    pub fn plus_months(self, months: u32) -> Self {
        self.date().checked_add_months(chrono::Months::new(months)).map_or(self, Self::from_date)
    }

    /// This day of so many months earlier; where that month is shorter, its last day.
    #[must_use]
    pub fn minus_months(self, months: u32) -> Self {
        self.date().checked_sub_months(chrono::Months::new(months)).map_or(self, Self::from_date)
    }

    /// The first day of this day's month.
    #[must_use]
    pub fn month_start(self) -> Self {
        self.date().with_day(1).map_or(self, Self::from_date)
    }

    /// The first day of this day's quarter (1 January, April, July, October).
    #[must_use]
    pub fn quarter_start(self) -> Self {
        let date = self.date();
        let month = date.month0() / 3 * 3 + 1;
        Self::from_ymd(date.year(), month, 1).unwrap_or(self)
    }

    /// The Monday of this day's week.
    #[must_use]
    pub fn week_start(self) -> Self {
        self.plus(-(self.date().weekday().num_days_from_monday() as i32))
    }

    /// Midnight UTC of this day, in milliseconds: HubSpot's form of a date.
    pub fn midnight_utc(self) -> Timestamp {
        Timestamp(i64::from(self.0) * DAY_MS)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.date().format("%Y-%m-%d"))
    }
}

impl Timestamp {
    /// The moment in chrono's terms, clamped to what chrono can hold.
    pub fn utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0).unwrap_or(if self.0 < 0 {
            DateTime::<Utc>::MIN_UTC
        } else {
            DateTime::<Utc>::MAX_UTC
        })
    }

    /// This moment moved by milliseconds.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Unix seconds: Intercom's form of a time.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Reads an ISO 8601 / RFC 3339 time with an offset (`Z`, `+02:00`), with or without fractions of a second.
    /// A time without an offset is UTC; a bare date is its midnight in UTC.
    #[inline]
    pub fn parse(text: &str) -> Option<Self> {
        fast_utc(text.as_bytes()).or_else(|| Self::parse_by_chrono(text))
    }

    #[cold]
    fn parse_by_chrono(text: &str) -> Option<Self> {
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Some(Self(time.timestamp_millis()));
        }
        for form in ["%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%d %H:%M:%S%.f%z", "%Y-%m-%d %H:%M:%S%.f %z"] {
            if let Ok(time) = DateTime::parse_from_str(text, form) {
                return Some(Self(time.timestamp_millis()));
            }
        }
        for form in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f UTC"] {
            if let Ok(time) = NaiveDateTime::parse_from_str(text, form) {
                return Some(Self(time.and_utc().timestamp_millis()));
            }
        }
        Day::parse(text).map(Day::midnight_utc)
    }
}

/// The forms that nearly every call of an archive uses, `2026-02-01T13:28:22.000Z` and `2026-02-01T13:28:22Z`, read eight
/// bytes at a time. `None` means: not that form, ask chrono.
#[inline]
fn fast_utc(bytes: &[u8]) -> Option<Timestamp> {
    let (date, hours, seconds) = match bytes.len() {
        24 => (word(bytes)?, word(&bytes[8..])?, word(&bytes[16..])?),
        20 if bytes[19] == b'Z' => {
            let [colon, tens, ones] = *bytes[16..].first_chunk()?;
            (word(bytes)?, word(&bytes[8..])?, u64::from_le_bytes([colon, tens, ones, b'.', b'0', b'0', b'0', b'Z']))
        }
        _ => return None,
    };
    // Digits become their values, everything else of the form nothing.
    let (date, hours, seconds) = (date ^ FORM[0], hours ^ FORM[1], seconds ^ FORM[2]);
    // Six more than ten to fifteen reaches the upper half of a byte.
    let odd = |word: u64, digits: u64| (word | word.wrapping_add(digits * 6) & (digits * 0xf0)) & !(digits * 0x0f);
    if odd(date, DIGITS[0]) | odd(hours, DIGITS[1]) | odd(seconds, DIGITS[2]) != 0 {
        return None;
    }
    // Every byte ten times itself and the next one: no more than 99.
    let pairs = |word: u64| (word * 10).wrapping_add(word >> 8);
    let byte = |word: u64, place: u32| u32::from((word >> (8 * place)) as u8);
    let milli = byte(pairs(seconds), 4) * 10 + byte(seconds, 6);
    let (date, hours, seconds) = (pairs(date), pairs(hours), pairs(seconds));
    let (year, month, day) = (byte(date, 0) * 100 + byte(date, 2), byte(date, 5), byte(hours, 0));
    let (hour, minute, second) = (byte(hours, 3), byte(hours, 6), byte(seconds, 1));
    if hour > 23 || minute > 59 || second > 59 || !(1..=12).contains(&month) {
        return None;
    }
    let length = match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        // 31 and 30 by turns, and anew from August on.
        _ => 30 + ((month ^ (month >> 3)) & 1),
    };
    if day < 1 || day > length {
        return None;
    }
    // Days from civil, after Howard Hinnant's public-domain algorithm; 400 years later, so that nothing is negative.
    let years = year + 400 - u32::from(month <= 2);
    let (era, of_era) = (years / 400, years % 400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let days = i64::from(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year) - 719_468 - 146_097;
    let seconds = (hour * 60 + minute) * 60 + second;
    Some(Timestamp(days * DAY_MS + i64::from(seconds * 1000 + milli)))
}

/// The form, digits as zeros, and a one for every digit.
const FORM: [u64; 3] =
    [u64::from_le_bytes(*b"0000-00-"), u64::from_le_bytes(*b"00T00:00"), u64::from_le_bytes(*b":00.000Z")];
const DIGITS: [u64; 3] = [
    u64::from_le_bytes([1, 1, 1, 1, 0, 1, 1, 0]),
    u64::from_le_bytes([1, 1, 0, 1, 1, 0, 1, 1]),
    u64::from_le_bytes([0, 1, 1, 0, 1, 1, 1, 0]),
];

fn word(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|word| u64::from_le_bytes(*word))
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = if self.0.rem_euclid(1000) == 0 { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S%.3fZ" };
        write!(f, "{}", self.utc().format(form))
    }
}

/// The calendar of one time zone: which day a moment belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calendar {
    zone: Tz,
}

impl Default for Calendar {
    fn default() -> Self {
        Self { zone: Tz::UTC }
    }
}

impl Calendar {
    /// The calendar of an IANA zone such as `Europe/Brussels`; `None` if there is no such zone.
    pub fn of(name: &str) -> Option<Self> {
        name.parse().ok().map(|zone| Self { zone })
    }

    /// The IANA name.
    pub fn name(&self) -> &'static str {
        self.zone.name()
    }

    /// The zone.
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// The day of a moment.
    pub fn day(&self, time: Timestamp) -> Day {
        // The years 1 to 9998: beyond them a zone's offset can leave what a calendar can hold.
        let time = Timestamp(time.0.clamp(-62_135_424_000_000, 253_370_592_000_000));
        let day = time.0.div_euclid(DAY_MS);
        if self.zone == Tz::UTC {
            return Day(day as i32);
        }
        match self.offset_throughout(day) {
            Some(offset) => Day((time.0 + i64::from(offset) * 1000).div_euclid(DAY_MS) as i32),
            None => self.day_by_chrono(time),
        }
    }

    fn day_by_chrono(&self, time: Timestamp) -> Day {
        Day::from_date(time.utc().with_timezone(&self.zone).date_naive())
    }

    /// The zone's offset in seconds on a day of UTC, if it is the same throughout.
    fn offset_throughout(&self, day: i64) -> Option<i32> {
        let day = usize::try_from(day - FIRST_DAY).ok().filter(|day| *day < DAYS)?;
        let offsets = OFFSETS.get(self.zone as usize)?.get_or_init(|| offsets(self.zone));
        offsets.get(day).copied().filter(|offset| *offset != CHANGES)
    }

    /// The first moment of a day. Where clocks skip midnight, the first moment after the gap.
    pub fn start(&self, day: Day) -> Timestamp {
        self.moment(day, 0)
    }

    /// The moment of a day at which clocks show so many minutes after midnight; the first of two, and where they skip it the
    /// first moment after the gap.
    pub fn moment(&self, day: Day, minutes: u32) -> Timestamp {
        let mut local = day.date().and_time(NaiveTime::MIN) + chrono::Duration::minutes(minutes.into());
        for _ in 0..8 {
            if let Some(time) = self.zone.from_local_datetime(&local).earliest() {
                return Timestamp(time.timestamp_millis());
            }
            local += chrono::Duration::minutes(30);
        }
        day.midnight_utc().plus_ms(i64::from(minutes) * 60_000)
    }

    /// A moment as people read it here: the date, and the time of day to the minute.
    pub fn shown(&self, moment: Timestamp) -> String {
        moment.utc().with_timezone(&self.zone).format("%Y-%m-%d %H:%M").to_string()
    }

    /// The last millisecond of a day: what a bare date means as an as-of time.
    pub fn end(&self, day: Day) -> Timestamp {
        self.start(day.plus(1)).plus_ms(-1)
    }

    /// The last day that is over at a moment; its last second (23:59:59) counts as over.
    pub fn last_over(&self, at: Timestamp) -> Day {
        let day = self.day(at);
        if at >= self.end(day).plus_ms(-999) { day } else { day.plus(-1) }
    }
}

/// The days of UTC whose offsets are kept: of the years 2000 to 2099.
const FIRST_DAY: i64 = 10_957;
const DAYS: usize = 36_525;
/// In place of an offset: it changes on that day.
const CHANGES: i32 = i32::MAX;

/// By zone and day. Made when a zone is first asked for, since most programs know one zone; never let go.
static OFFSETS: [OnceLock<Box<[i32]>>; 1024] = [const { OnceLock::new() }; 1024];

/// The offsets of a zone by day. A day that begins and ends with the same offset has it throughout: no zone changes and
/// changes back within a day of these years (looked at every half hour, in all 597).
fn offsets(zone: Tz) -> Box<[i32]> {
    let at =
        |day: i64| zone.offset_from_utc_datetime(&Timestamp(day * DAY_MS).utc().naive_utc()).fix().local_minus_utc();
    let mut start = at(FIRST_DAY);
    let days = (FIRST_DAY..).take(DAYS).map(|day| {
        let end = at(day + 1);
        let same = std::mem::replace(&mut start, end) == end;
        if same { end } else { CHANGES }
    });
    days.collect()
}

/// A length of time as the config writes it: one number and one unit (`30m`, `12h`, `7d`, `1mo`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Span {
    /// Seconds.
    Seconds(i64),
    /// Calendar days.
    Days(i32),
    /// Calendar months.
    Months(i32),
}

impl Span {
    /// Reads `45s`, `30m`, `12h`, `7d`, `2w`, `1mo`; `None` if it is none of them.
    pub fn parse(text: &str) -> Option<Self> {
        let split = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = text.split_at(split);
        let number: i32 = number.parse().ok()?;
        Some(match unit {
            "s" => Self::Seconds(i64::from(number)),
            "m" => Self::Seconds(i64::from(number) * 60),
            "h" => Self::Seconds(i64::from(number) * 3600),
            "d" => Self::Days(number),
            "w" => Self::Days(number.checked_mul(7)?),
            "mo" => Self::Months(number),
            _ => return None,
        })
    }

    /// The length in milliseconds, a month taken as 30 days.
    pub fn millis(self) -> i64 {
        match self {
            Self::Seconds(seconds) => seconds * 1000,
            Self::Days(days) => i64::from(days) * DAY_MS,
            Self::Months(months) => i64::from(months) * 30 * DAY_MS,
        }
    }

    /// The length in whole days; `None` if it is not a whole number of days. A month is 30 days.
    pub fn days(self) -> Option<i32> {
        match self {
            Self::Seconds(seconds) => (seconds % 86_400 == 0).then(|| i32::try_from(seconds / 86_400).ok()).flatten(),
            Self::Days(days) => Some(days),
            Self::Months(months) => months.checked_mul(30),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_form_agrees_with_chrono() {
        for text in [
            "2023-01-01T13:28:22.000Z",
            "2024-02-29T23:59:59.999Z",
            "1969-12-31T23:59:59.500Z",
            "2000-03-01T00:00:00.001Z",
        ] {
            let slow = DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis();
            assert_eq!(fast_utc(text.as_bytes()), Some(Timestamp(slow)), "{text}");
        }
        for text in [
            "2023-02-29T00:00:00.000Z",
            "2023-13-01T00:00:00.000Z",
            "2023-01-01T24:00:00.000Z",
            "2023-01-01T00:00:00.0000",
        ] {
            assert_eq!(fast_utc(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_fast_form_is_read_or_left_as_chrono_reads_it() {
        let slow = |text: &str| DateTime::parse_from_rfc3339(text).ok().map(|time| Timestamp(time.timestamp_millis()));
        for number in 0..20_000i64 {
            // Of four centuries every seventh day, at any time of it.
            let time = Timestamp((number * 37 / 5 - 100_000) * DAY_MS + number * 7_919_003 % DAY_MS);
            let text = time.utc().format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
            let short = format!("{}Z", &text[..19]);
            assert_eq!(fast_utc(text.as_bytes()), Some(time), "{text}");
            assert_eq!(fast_utc(short.as_bytes()), Some(Timestamp(time.0.div_euclid(1000) * 1000)), "{short}");
        }
        // Any byte in any place of it.
        for form in ["2024-02-29T23:59:59.999Z", "2026-10-30T09:08:07Z"] {
            for place in 0..form.len() {
                for byte in 0..128u8 {
                    let mut bytes = form.as_bytes().to_vec();
                    bytes[place] = byte;
                    let text = String::from_utf8(bytes).unwrap();
                    let fast = fast_utc(text.as_bytes());
                    assert!(fast.is_none() || fast == slow(&text), "{text}");
                    let digits = text
                        .bytes()
                        .zip(form.bytes())
                        .all(|(one, other)| one == other || one.is_ascii_digit() && other.is_ascii_digit());
                    // A leap second is chrono's.
                    assert!(fast.is_some() == (digits && slow(&text).is_some()) || &text[17..19] == "60", "{text}");
                }
            }
        }
        for month in 0..100 {
            for day in 0..100 {
                for year in [0, 1, 1900, 2000, 2023, 2024, 2100, 9999] {
                    let text = format!("{year:04}-{month:02}-{day:02}T00:00:00Z");
                    assert_eq!(fast_utc(text.as_bytes()), slow(&text), "{text}");
                }
            }
        }
    }

    #[test]
    fn a_day_is_the_one_that_chrono_says() {
        for zone in [
            "UTC",
            "Europe/Brussels",
            "America/Sao_Paulo",
            "Asia/Beirut",
            "America/St_Johns",
            "Pacific/Apia",
            "Pacific/Kiritimati",
            "Asia/Kathmandu",
            "Africa/Cairo",
            "America/Havana",
            "Australia/Lord_Howe",
            "Antarctica/Troll",
            "Africa/Casablanca",
            "Asia/Pyongyang",
        ] {
            let calendar = Calendar::of(zone).unwrap();
            let check =
                |ms: i64| assert_eq!(calendar.day(Timestamp(ms)), calendar.day_by_chrono(Timestamp(ms)), "{zone} {ms}");
            // The years 1990 to 2110, every 35 hours and a bit, then every quarter of an hour of a day of change.
            for step in 0..30_000i64 {
                check(631_152_000_000 + step * 126_217_511);
            }
            let mut changes = 0;
            for day in FIRST_DAY - 1..=FIRST_DAY + DAYS as i64 {
                if calendar.offset_throughout(day).is_none() {
                    changes += 1;
                    for minute in (-60..=25 * 60).step_by(15) {
                        check(day * DAY_MS + minute * 60_000);
                        check(day * DAY_MS + minute * 60_000 - 1);
                    }
                }
            }
            assert!((2..500).contains(&changes), "{zone}: {changes}");
        }
    }

    #[test]
    fn times_are_read_with_and_without_offset() {
        let noon = Timestamp::parse("2026-08-13T12:00:00Z").unwrap();
        for text in [
            "2026-08-13T14:00:00+02:00",
            "2026-08-13T12:00:00",
            "2026-08-13 12:00:00",
            "2026-08-13T12:00:00.000Z",
            "2026-08-13T14:00:00+0200",
        ] {
            assert_eq!(Timestamp::parse(text), Some(noon), "{text}");
        }
        assert_eq!(Timestamp::parse("yesterday"), None);
    }

    #[test]
    fn a_day_is_over_in_its_last_second() {
        let brussels = Calendar::of("Europe/Brussels").unwrap();
        let day = Day::parse("2026-08-13").unwrap();
        assert_eq!(brussels.end(day), Timestamp::parse("2026-08-13T21:59:59.999Z").unwrap());
        assert_eq!(brussels.last_over(brussels.end(day)), day);
        let last_second = Timestamp::parse("2026-08-13T21:59:59Z").unwrap();
        assert_eq!(brussels.last_over(last_second), day);
        assert_eq!(brussels.last_over(last_second.plus_ms(-1)), day.plus(-1));
        assert_eq!(brussels.day(Timestamp::parse("2026-08-13T22:00:00Z").unwrap()), day.plus(1));
    }

    #[test]
    fn any_moment_has_a_day() {
        for zone in ["UTC", "Europe/Brussels", "Pacific/Kiritimati", "Pacific/Niue"] {
            let calendar = Calendar::of(zone).unwrap();
            for ms in [i64::MIN, -1_000_000_000_000_000_000, 0, i64::MAX] {
                let day = calendar.day(Timestamp(ms));
                assert!((1..=9998).contains(&Datelike::year(&day.date())), "{zone} {ms}: {day}");
            }
        }
    }

    #[test]
    fn periods_start_where_the_calendar_says() {
        let day = Day::parse("2026-08-13").unwrap();
        assert_eq!(day.quarter_start().to_string(), "2026-07-01");
        assert_eq!(day.month_start().to_string(), "2026-08-01");
        assert_eq!(day.week_start().to_string(), "2026-08-10");
    }
}
