//! Whether a value fits a property, and how HubSpot stores it.
//!
//! Error codes follow what client repositories show; HubSpot publishes no list. `INVALID_OPTION` and the code of a text
//! that is too long are guesses. Numbers come back in another form than sent (`5.0` as `5`), so that nobody relies on
//! reading back what was written.

use serde_json::{Value, json};
use vitalsync_core::{Day, Timestamp};

use super::Problem;
use super::store::Definition;

/// Why a value or a property was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Invalid {
    pub name: String,
    pub error: &'static str,
    pub message: String,
}

/// The longest text, in characters.
pub(super) const LONGEST: usize = 65_536;

/// What will be stored; `""` clears. `old` is the stored value, to which a leading `;` appends.
pub(super) fn check(definition: &Definition, value: &str, old: Option<&str>) -> Result<String, Invalid> {
    let refuse = |error, message| Err(Invalid { name: definition.name.clone(), error, message });
    if definition.read_only {
        let message = format!("\"{}\" is a read only property; its value cannot be set.", definition.name);
        return refuse("READ_ONLY_VALUE", message);
    }
    if value.is_empty() {
        return Ok(String::new());
    }
    match definition.kind.as_str() {
        "number" => {
            number(value).map_or_else(|| refuse("INVALID_LONG", format!("{value} was not a valid number.")), Ok)
        }
        "bool" => match value {
            "true" | "false" => Ok(value.to_owned()),
            _ => refuse("INVALID_OPTION", format!("{value} was not one of the allowed options: [true, false]")),
        },
        "date" => match day(value) {
            Ok(day) => Ok(day.to_string()),
            Err(message) => refuse("INVALID_DATE", message),
        },
        "datetime" => match moment(value) {
            Some(time) => Ok(time.to_string()),
            None => refuse("INVALID_DATE", format!("{value} was not a valid date.")),
        },
        "enumeration" => {
            let allowed = definition.option_values();
            let several = definition.field == "checkbox";
            let given: Vec<&str> = if several { value.split(';').collect() } else { vec![value] };
            let append = several && value.starts_with(';');
            let mut kept: Vec<&str> =
                if append { old.unwrap_or("").split(';').filter(|part| !part.is_empty()).collect() } else { vec![] };
            for part in given.iter().skip(usize::from(append)) {
                if !allowed.contains(part) {
                    let list = allowed.join(", ");
                    return refuse("INVALID_OPTION", format!("{part} was not one of the allowed options: [{list}]"));
                }
                if !kept.contains(part) {
                    kept.push(part);
                }
            }
            Ok(kept.join(";"))
        }
        _ if value.chars().count() > LONGEST => {
            refuse("PROPERTY_VALUE_TOO_LONG", format!("value is longer than {LONGEST} characters"))
        }
        _ => match definition.name.as_str() {
            "email" if !plausible_email(value) => refuse("INVALID_EMAIL", format!("Email address {value} is invalid")),
            "email" => Ok(value.to_lowercase()),
            "domain" => Ok(domain(value)),
            _ => Ok(value.to_owned()),
        },
    }
}

/// A decimal number without separators, in plain notation and without needless zeros.
fn number(text: &str) -> Option<String> {
    let plain = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = plain.split_once(['e', 'E']).unwrap_or((plain, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() && fraction.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let exponent: i32 = exponent.parse().ok().filter(|exponent| (-40..=40).contains(exponent))?;
    let mut all = format!("{whole}{fraction}");
    let mut point = whole.len() as i32 + exponent;
    while point <= 0 {
        all.insert(0, '0');
        point += 1;
    }
    while point > all.len() as i32 {
        all.push('0');
    }
    let (whole, fraction) = all.split_at(point as usize);
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    let sign = if text.starts_with('-') && !(whole.is_empty() && fraction.is_empty()) { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

fn day(text: &str) -> Result<Day, String> {
    if let Some(day) = Day::parse(text) {
        return Ok(day);
    }
    let Ok(ms) = text.parse::<i64>() else { return Err(format!("{text} was not a valid date.")) };
    let in_day = ms.rem_euclid(86_400_000);
    if in_day != 0 {
        let (hour, minute, second) = (in_day / 3_600_000, in_day / 60_000 % 60, in_day / 1000 % 60);
        return Err(format!("{ms} is at {hour}:{minute}:{second}.{} UTC, not midnight!", in_day % 1000));
    }
    i32::try_from(ms.div_euclid(86_400_000)).map(Day).map_err(|_| format!("{ms} is out of range"))
}

fn moment(text: &str) -> Option<Timestamp> {
    if let Ok(ms) = text.parse::<i64>() {
        return Some(Timestamp(ms));
    }
    let offset = text.ends_with('Z') || text.get(19..).is_some_and(|rest| rest.contains(['+', '-']));
    (offset && text.contains('T')).then(|| Timestamp::parse(text)).flatten()
}

fn plausible_email(text: &str) -> bool {
    let Some((user, host)) = text.split_once('@') else { return false };
    !user.is_empty()
        && host.contains('.')
        && !host.starts_with('.')
        && !host.ends_with('.')
        && !host.contains('@')
        && !text.contains(char::is_whitespace)
}

fn domain(text: &str) -> String {
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host = bare.split(['/', '?', '#']).next().unwrap_or(bare).to_lowercase();
    host.strip_prefix("www.").unwrap_or(&host).to_owned()
}

/// The refusal of a request or an input, as HubSpot words it: with JSON inside the message.
pub(super) fn problem(invalid: &[Invalid]) -> Problem {
    let list: Vec<Value> = invalid
        .iter()
        .map(|one| json!({"isValid": false, "message": one.message, "error": one.error, "name": one.name}))
        .collect();
    let mut problem = Problem::invalid(format!("Property values were not valid: {}", Value::from(list)));
    problem.errors = invalid
        .iter()
        .map(|one| json!({"message": one.message, "code": one.error, "context": {"propertyName": [one.name]}}))
        .collect();
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_stored_plain() {
        for (sent, stored) in [
            ("5.0", Some("5")),
            ("-0.50", Some("-0.5")),
            ("1e3", Some("1000")),
            ("25E-4", Some("0.0025")),
            ("007", Some("7")),
            ("0", Some("0")),
            ("-0", Some("0")),
            (".5", Some("0.5")),
            ("1,000", None),
            ("1.2.3", None),
            ("NaN", None),
            ("inf", None),
            ("+1", None),
            ("-", None),
            ("12 ", None),
            ("1e-2147483648", None),
        ] {
            assert_eq!(number(sent).as_deref(), stored, "{sent}");
        }
    }

    #[test]
    fn domains_are_stored_bare() {
        assert_eq!(domain("https://www.Acme.com/about?x"), "acme.com");
    }
}
