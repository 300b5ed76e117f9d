//! An alert as a Slack message: blocks for people, and a text for notifications and screen readers.
//!
//! Whatever comes from data is made harmless first: `&`, `<` and `>` are escaped (so no mention, link or channel can be
//! smuggled in), line breaks, control characters and marks that turn the writing direction are dropped, and
//! `verbatim` keeps Slack from making links of words. Every part has a fixed budget, so that a message can't be refused
//! for its length: header 150, section 3,000, field 2,000, and about 12,000 in all. Lengths count UTF-16 units, the
//! longest way to count characters. What a rule's template says takes the place of header, figures and reasons; where to look
//! and which rule it was stand below either.
//!
//! Deliberately not here: pictures. The default message is meant to be good enough to keep.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};
use vitalsync_core::alert::{Alert, What};
use vitalsync_core::time::DAY_MS;
use vitalsync_core::{Day, Timestamp};

/// Block Kit's limit of a header.
const HEADER_LIMIT: usize = 150;
/// The budget of all reasons together; a section takes 3,000.
const REASONS_LIMIT: usize = 2_800;
/// The budget of one reason.
const REASON_LIMIT: usize = 400;
/// The budget of a value within a field or the context; a field takes 2,000.
const VALUE_LIMIT: usize = 300;
/// The budget of a line in a digest.
const LINE_LIMIT: usize = 180;
/// So many lines have room in one message, with one that says that others follow.
pub const TOGETHER: usize = (BODY_LIMIT - VALUE_LIMIT) / (LINE_LIMIT + 1);
/// The budget of a section of running text; it takes 3,000.
const SECTION_LIMIT: usize = 2_900;
/// The budget of running text in all: about 13,000 characters of all blocks together are refused.
const BODY_LIMIT: usize = 9_500;
/// The budget of one value in a template.
const PIECE_LIMIT: usize = 1_000;
/// No longer address is linked.
const LINK_LIMIT: usize = 500;
/// The advised limit of a message's text.
const TEXT_LIMIT: usize = 4_000;

/// A rendered message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The fallback, at most 4,000 characters.
    pub text: String,
    /// The blocks as JSON text.
    pub blocks: String,
}

/// The message of an alert, or of several.
pub fn message(alert: &Alert) -> Message {
    if let What::Many { alerts, kind, before, of } = &alert.what {
        return several(alerts, kind, *before, *of);
    }
    let headline = headline(alert);
    let reasons = reasons(alert);
    let mut blocks = match &alert.body {
        Some(body) => templated(body),
        None => described(alert, &headline, &reasons),
    };
    blocks.extend(look_further(alert));
    blocks.push(json!({ "type": "context", "elements": [mrkdwn(&context(alert))] }));

    let mut text = headline;
    if let (What::Moved { from_score, .. }, Some(score)) = (&alert.what, alert.score) {
        let _ = write!(text, ": {} → {}", whole(*from_score), whole(score));
    }
    for reason in &reasons {
        if length(&text) + length(reason) + 1 > TEXT_LIMIT {
            break;
        }
        text.push('\n');
        text.push_str(reason);
    }
    Message { text, blocks: Json::from(blocks).to_string() }
}

/// What happened, the figures, and why.
fn described(alert: &Alert, headline: &str, reasons: &[String]) -> Vec<Json> {
    let mut fields = Vec::new();
    if let Some(score) = alert.score {
        fields.push(format!("*Health now*\n{}", whole(score)));
    }
    if let What::Moved { from_score, from_day, .. } = &alert.what {
        fields.push(format!("*Health before*\n{} on {}", whole(*from_score), shown_day(*from_day)));
    }
    if let Some(band) = &alert.band {
        fields.push(format!("*Band*\n{}", escaped(&band.replace('_', " "), VALUE_LIMIT)));
    }
    let what = if matches!(alert.what, What::Stopped { .. }) { "Last received" } else { "Last active" };
    if alert.last_active.is_some() || !is_of_source(alert) {
        fields.push(format!("*{what}*\n{}", last_active(alert)));
    }
    let mut blocks = vec![header(headline)];
    if !fields.is_empty() {
        let fields: Json = fields.iter().map(|field| mrkdwn(field)).collect();
        blocks.push(json!({ "type": "section", "fields": fields }));
    }
    if !reasons.is_empty() {
        blocks.push(section(&format!("*Why*\n{}", reasons.join("\n"))));
    }
    blocks
}

/// The text of a template as sections, as much of it as fits.
fn templated(body: &str) -> Vec<Json> {
    let mut left = BODY_LIMIT;
    let mut sections = vec![String::new()];
    for line in body.lines() {
        let line = cut(line, SECTION_LIMIT);
        let Some(rest) = left.checked_sub(length(&line) + 1) else { break };
        left = rest;
        if sections.last().is_some_and(|section| length(section) + length(&line) + 1 > SECTION_LIMIT) {
            sections.push(String::new());
        }
        if let Some(section) = sections.last_mut() {
            section.push_str(&line);
            section.push('\n');
        }
    }
    sections.iter().map(|text| text.trim_end()).filter(|text| !text.is_empty()).map(section).collect()
}

/// Where to look next: the links that there are, and what to ask.
fn look_further(alert: &Alert) -> Option<Json> {
    if is_of_source(alert) {
        return None;
    }
    let link = |(called, address): &(String, String)| {
        let safe = !address.contains(|c: char| c.is_whitespace() || c.is_control() || "<>|".contains(c));
        let short = (1..=LINK_LIMIT).contains(&length(address));
        (safe && short).then(|| format!("<{}|{}>", address.replace('&', "&amp;"), escaped(called, VALUE_LIMIT)))
    };
    let mut places: Vec<String> = alert.links.iter().take(3).filter_map(link).collect();
    places.push(format!("`vitalsync explain {}`", escaped(&alert.account, VALUE_LIMIT).replace('`', "'")));
    Some(section(&format!("*Look at*  {}", places.join("  ·  "))))
}

/// The rule and whom it is about.
fn context(alert: &Alert) -> String {
    let bound = match &alert.what {
        What::Moved { threshold, within_days, .. } => {
            format!(": {} or more points within {}", whole(*threshold), days(*within_days))
        }
        _ => String::new(),
    };
    let mut context = format!("Rule {}{bound}", escaped(&alert.rule, VALUE_LIMIT));
    match &alert.what {
        What::Stopped { source } => context.push_str(&format!(" · source {}", escaped(source, VALUE_LIMIT))),
        _ if is_of_source(alert) => {}
        _ => context.push_str(&format!(" · account {}", escaped(&alert.account, VALUE_LIMIT))),
    }
    if let Some(user) = &alert.user {
        context.push_str(&format!(" · user {}", escaped(user, VALUE_LIMIT)));
    }
    context
}

/// True if no customer is meant.
fn is_of_source(alert: &Alert) -> bool {
    alert.account.is_empty() && alert.user.is_none()
}

/// Several alerts in one message: a line each, those that matter most first. `before` stand in earlier messages, `of` in all.
fn several(alerts: &[Alert], kind: &str, before: usize, of: usize) -> Message {
    // Those of old say nothing of others.
    let count = of.max(alerts.len());
    let mut headline = match kind {
        "rest" => format!("{count} more alerts of this run"),
        "hourly" => format!("Hourly digest: {count} alerts"),
        "daily" => format!("Daily digest: {count} alerts"),
        "weekly" => format!("Weekly digest: {count} alerts"),
        _ => format!("{count} alerts"),
    };
    let last = before + alerts.len();
    if before > 0 {
        let _ = write!(headline, ", {} to {last}", before + 1);
    }
    let line = |alert: &Alert| {
        let reason = alert.reasons.first().map(|reason| format!(" — {}", escaped(reason, LINE_LIMIT / 2)));
        let score = alert.score.map(|score| format!(" ({})", whole(score))).unwrap_or_default();
        cut(
            &format!("• *{}*{score}{}", self::headline(alert).replace('*', "∗"), reason.unwrap_or_default()),
            LINE_LIMIT,
        )
    };
    let mut lines: Vec<String> = alerts.iter().map(line).collect();
    if last < count {
        lines.push(format!("… and {} more, which follow", count - last));
    }
    let mut blocks = vec![header(&headline)];
    blocks.extend(templated(&lines.join("\n")));
    let worst = alerts.first().map(self::headline).unwrap_or_default();
    Message {
        text: cut(&format!("{headline}, first of all: {worst}"), TEXT_LIMIT),
        blocks: Json::from(blocks).to_string(),
    }
}

fn header(text: &str) -> Json {
    json!({ "type": "header", "text": { "type": "plain_text", "text": text, "emoji": false } })
}

fn section(text: &str) -> Json {
    json!({ "type": "section", "text": mrkdwn(text) })
}

/// `Acme's health fell 23 points in 7 days`, `Acme is at risk now`: the name gives way where it is too long.
fn headline(alert: &Alert) -> String {
    let rest = match &alert.what {
        What::Moved { from_score, within_days, .. } => {
            let by = whole(alert.score.unwrap_or(*from_score)).saturating_sub(whole(*from_score));
            let unit = if by.unsigned_abs() == 1 { "point" } else { "points" };
            let verb = if by > 0 { "rose" } else { "fell" };
            format!("'s health {verb} {} {unit} in {}", by.unsigned_abs(), days(*within_days))
        }
        What::Stopped { source } => {
            let limit = HEADER_LIMIT / 2;
            return format!("No data from {}: health stands still until it is back", escaped(source, limit));
        }
        // Of a source the sentence is whole.
        What::Said { said } if is_of_source(alert) => return escaped(said, HEADER_LIMIT),
        What::Said { said } => format!(" {}", escaped(said, HEADER_LIMIT / 2)),
        What::Many { alerts, .. } => return format!("{} alerts", alerts.len()),
    };
    let name = if clean(&alert.name).is_empty() { &alert.account } else { &alert.name };
    format!("{}{rest}", escaped(name, HEADER_LIMIT - length(&rest)))
}

/// The reasons as lines, as many as fit.
fn reasons(alert: &Alert) -> Vec<String> {
    let mut left = REASONS_LIMIT;
    let mut lines = Vec::new();
    for reason in &alert.reasons {
        let reason = escaped(reason, REASON_LIMIT);
        if reason.is_empty() {
            continue;
        }
        let line = format!("• {reason}");
        let Some(rest) = left.checked_sub(length(&line) + 1) else { break };
        left = rest;
        lines.push(line);
    }
    lines
}

fn last_active(alert: &Alert) -> String {
    let Some(time) = alert.last_active else { return "never seen".into() };
    let ago = alert.at.0.saturating_sub(time.0).div_euclid(DAY_MS);
    match ago {
        ..0 => shown_time(time),
        0 => format!("{} (within a day)", shown_time(time)),
        _ => format!("{} ({} ago)", shown_time(time), days(i32::try_from(ago).unwrap_or(i32::MAX))),
    }
}

/// A moment that Slack shows as a date in the reader's own time zone; the UTC date where it can't.
fn shown_time(time: Timestamp) -> String {
    let day = shown_day(Day(i32::try_from(time.0.div_euclid(DAY_MS)).unwrap_or_default()));
    if time.seconds() > 0 { format!("<!date^{}^{{date}}|{day}>", time.seconds()) } else { day }
}

fn shown_day(day: Day) -> String {
    day.date().format("%-d %b %Y").to_string()
}

fn days(days: i32) -> String {
    if days == 1 { "1 day".into() } else { format!("{days} days") }
}

/// A score as people see it everywhere: rounded half up, so that the differences add up.
fn whole(score: f64) -> i64 {
    (score + 0.5).floor() as i64
}

fn mrkdwn(text: &str) -> Json {
    json!({ "type": "mrkdwn", "text": text, "verbatim": true })
}

/// The length in UTF-16 units.
fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Text without what could change the line or the direction: white space becomes single spaces.
fn clean(text: &str) -> String {
    let dropped = |c: char| {
        (c.is_control() && !c.is_whitespace())
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let kept: String = text.chars().filter(|c| !dropped(*c)).collect();
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Text from data, fit for Slack: cleaned, escaped, and cut with `…` between characters, never within an entity.
pub fn escaped(text: &str, limit: usize) -> String {
    let mut out = String::new();
    // The length, and where to cut so that `…` still fits.
    let (mut used, mut cut) = (0, 0);
    let mut buffer = [0; 4];
    for c in clean(text).chars() {
        let piece = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            _ => &*c.encode_utf8(&mut buffer),
        };
        used += length(piece);
        if used > limit {
            out.truncate(cut);
            if limit > 0 {
                out.push('…');
            }
            return out;
        }
        out.push_str(piece);
        if used < limit {
            cut = out.len();
        }
    }
    out
}

/// A value within a template's text.
pub fn piece(text: &str) -> String {
    escaped(text, PIECE_LIMIT)
}

/// Text that is fit for Slack already, cut with `…` between characters, never within an entity.
fn cut(text: &str, limit: usize) -> String {
    if length(text) <= limit {
        return text.to_owned();
    }
    let (mut used, mut end) = (0, 0);
    for (at, c) in text.char_indices() {
        used += c.len_utf16();
        if used >= limit {
            break;
        }
        end = at + c.len_utf8();
    }
    let kept = text.get(..end).unwrap_or_default();
    // A link or an entity that was cut in two goes altogether.
    let whole = |kept: &str, open: char, close: char| match (kept.rfind(open), kept.rfind(close)) {
        (Some(open), close) if close.is_none_or(|close| close < open) => open,
        _ => kept.len(),
    };
    let kept = kept.get(..whole(kept, '<', '>')).unwrap_or_default();
    let entity = kept.rfind('&').filter(|at| !kept.get(*at..).unwrap_or_default().contains(';') && kept.len() - at < 5);
    format!("{}…", kept.get(..entity.unwrap_or(kept.len())).unwrap_or_default())
}
