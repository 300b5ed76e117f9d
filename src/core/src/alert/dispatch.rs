//! What becomes of the alerts that wait: told now, alone or with others, later, or not at all.
//!
//! A pure function of what waits, of the rules and of the time, so that a plan shows what a pass would do. Alerts wait one by
//! one; a digest is only put together when it goes, and one that did not get away is taken apart again. What may have arrived
//! already is never put together anew: it is settled first, as it is.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::edge::hashed;
use super::when::Digest;
use super::{Alert, AlertRule, Alerting, STALE_MS, What};
use crate::time::{Calendar, Timestamp};

/// An account about which nobody is told anything for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snooze {
    /// The account's id.
    pub account: String,
    /// The rule that is silent; all, if none is named.
    pub rule: Option<String>,
    /// Until when.
    pub until: Timestamp,
}

impl Snooze {
    /// Whether it silences an alert at a time.
    pub fn silences(&self, alert: &Alert, now: Timestamp) -> bool {
        now < self.until && alert.account == self.account && self.rule.as_ref().is_none_or(|rule| *rule == alert.rule)
    }
}

/// An alert that waits.
#[derive(Debug, Clone, Copy)]
pub struct Waiting<'a> {
    /// The alert.
    pub alert: &'a Alert,
    /// True: it may have arrived.
    pub attempted: bool,
    /// True: it was refused, and is not tried now.
    pub refused: bool,
}

/// What becomes of one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Told now, by itself.
    Now,
    /// Told now, in one of the digests.
    In(usize),
    /// Waits, for quiet hours or a digest, until then.
    Later(Timestamp),
    /// Was refused and is not tried now.
    Refused,
    /// Never told: too old.
    Stale,
    /// Never told: somebody wants to hear nothing of the account.
    Snoozed,
    /// Never told: its rule is not there any more.
    Gone,
    /// Never told: it is over before anybody was told, and so is its end.
    Over,
}

/// What becomes of all that wait.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Dispatch {
    /// By alert, in the order in which they were handed in.
    pub fates: Vec<Fate>,
    /// Several alerts in one, each with where it goes.
    pub digests: Vec<Alert>,
    /// How many of those in digests would have gone alone, but for the cap.
    pub capped: u64,
}

/// Where alerts that go together go, and why they do: the rule's digest, or the cap.
type Together<'a> = (&'a str, Option<&'a str>, Option<Digest>);

/// Decides.
pub fn dispatch(
    destination: &str,
    alerting: &Alerting,
    calendar: &Calendar,
    now: Timestamp,
    waiting: &[Waiting<'_>],
    snoozes: &[Snooze],
) -> Dispatch {
    let mut dispatch = Dispatch::default();
    let mut together: BTreeMap<Together<'_>, Vec<usize>> = BTreeMap::new();
    let mut alone: Vec<usize> = Vec::new();
    for (place, one) in waiting.iter().enumerate() {
        let rule = alerting.rules.iter().find(|rule| rule.name == one.alert.rule);
        let fate = fate(one, rule, calendar, now, snoozes);
        dispatch.fates.push(fate);
        if fate == Fate::Now && !one.attempted && !matches!(one.alert.what, What::Many { .. }) {
            match rule.map(|rule| rule.digest).filter(|_| one.alert.reply_to.is_none()) {
                Some(digest) if digest != Digest::Immediately => {
                    together.entry(key(one.alert, Some(digest))).or_default().push(place);
                }
                _ => alone.push(place),
            }
        }
    }
    // What is over before anybody heard of it.
    for end in 0..waiting.len() {
        let Some(began) = waiting.get(end).and_then(|one| one.alert.reply_to.as_ref()) else { continue };
        let untold = |one: &Waiting<'_>| one.alert.occasion == *began && !one.attempted;
        let Some(start) = waiting.iter().position(untold) else { continue };
        for place in [start, end] {
            dispatch.fates[place] = Fate::Over;
            alone.retain(|other| *other != place);
            together.values_mut().for_each(|places| places.retain(|other| *other != place));
        }
    }
    let sort = |places: &mut Vec<usize>| places.sort_by(|a, b| worst_first(waiting[*a].alert, waiting[*b].alert));
    sort(&mut alone);
    if alerting.cap > 0 && alone.len() > alerting.cap {
        for place in alone.split_off(alerting.cap) {
            dispatch.capped += 1;
            together.entry(key(waiting[place].alert, None)).or_default().push(place);
        }
    }
    for ((_, _, digest), mut places) in together {
        // One alone needs no digest.
        if places.len() < 2 {
            continue;
        }
        sort(&mut places);
        let fit = if alerting.together > 0 { alerting.together } else { places.len() };
        let mut first: Option<String> = None;
        for (part, some) in places.chunks(fit).enumerate() {
            for place in some {
                dispatch.fates[*place] = Fate::In(dispatch.digests.len());
            }
            let alerts: Vec<Alert> = some.iter().map(|place| waiting[*place].alert.clone()).collect();
            let together = put_together(destination, alerts, digest, (part * fit, places.len()), now);
            let reply_to = first.clone();
            first.get_or_insert_with(|| together.occasion.clone());
            dispatch.digests.push(Alert { reply_to, ..together });
        }
    }
    dispatch
}

/// The order of alerts for those who read them: what matters most comes first.
pub fn worst_first(a: &Alert, b: &Alert) -> Ordering {
    b.severity.total_cmp(&a.severity).then_with(|| (&a.name, &a.occasion).cmp(&(&b.name, &b.occasion)))
}

fn key(alert: &Alert, digest: Option<Digest>) -> Together<'_> {
    (&alert.to, alert.fallback.as_deref(), digest)
}

fn fate(one: &Waiting<'_>, rule: Option<&AlertRule>, calendar: &Calendar, now: Timestamp, snoozes: &[Snooze]) -> Fate {
    let alert = one.alert;
    let digest = rule.map(|rule| rule.digest).filter(|_| alert.reply_to.is_none()).unwrap_or_default();
    let silent =
        |moment: Timestamp| rule.and_then(|rule| rule.quiet).map_or(moment, |quiet| quiet.over(moment, calendar));
    let due = silent(digest.due(alert.at, calendar));
    let is_digest = matches!(alert.what, What::Many { .. });
    if now.0 - due.0 > STALE_MS.max(digest.period_ms()) {
        return Fate::Stale;
    }
    match one.attempted {
        false if rule.is_none() && !is_digest => Fate::Gone,
        false if snoozes.iter().any(|snooze| snooze.silences(alert, now)) => Fate::Snoozed,
        false if due > now => Fate::Later(due),
        // It did not get away when it was due, and meanwhile it is night.
        false if silent(now) > now => Fate::Later(silent(now)),
        _ if one.refused => Fate::Refused,
        _ => Fate::Now,
    }
}

/// Several alerts as one, which says how many stood in others before, of how many. Its occasion is that of all of them.
fn put_together(
    destination: &str,
    alerts: Vec<Alert>,
    digest: Option<Digest>,
    (before, of): (usize, usize),
    now: Timestamp,
) -> Alert {
    let mut occasions: Vec<&str> = alerts.iter().map(|alert| alert.occasion.as_str()).collect();
    occasions.sort_unstable();
    let occasion = hashed(&format!("{destination}\u{1f}digest\u{1f}{}", occasions.join("\u{1f}")));
    let (to, fallback) = alerts.first().map(|first| (first.to.clone(), first.fallback.clone())).unwrap_or_default();
    let severity = alerts.first().map_or(0.0, |first| first.severity);
    let kind = digest.map_or("rest", Digest::name).to_owned();
    let alert = Alert::of(occasion, "", None, What::Many { alerts, kind, before, of }, now);
    Alert { to, fallback, severity, ..alert }
}
