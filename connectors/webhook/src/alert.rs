//! An alert as JSON: what happened, to whom, the figures and reasons, and where to look; or as its rule's template puts it.
//!
//! Scores are whole, rounded half up, so that the differences add up to what people see. Every key is always there; what is not
//! known, or does not go with what happened, is null.

use serde_json::{Map, Value as Json, json};
use vitalsync_core::alert::{Alert, Alerting, Places, What};

/// Whom `to:` may name. Every alert arrives at the one address; the name is handed on to whatever stands there.
pub(crate) const PLACES: Places = Places {
    what: "a name or an e-mail that is handed on as `to`, `owner`, or a rule that gives one",
    hint: "as in \"#cs-alerts\", jo@ourselves.example, owner or traits.channel; where it goes is `url`",
    read: written,
    given: handed_on,
    needed: false,
};

/// The longest name that is handed on.
const LONGEST: usize = 254;

/// A rule is told from a name by its signs; an e-mail has a dot, too.
fn written(text: &str) -> Option<String> {
    let is_rule = text.contains(['(', '?', '[']) || (text.contains('.') && !text.contains('@'));
    handed_on(text).filter(|_| !is_rule)
}

/// Any line of text.
fn handed_on(text: &str) -> Option<String> {
    let fits = !text.is_empty() && text.len() <= LONGEST && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
}

/// The JSON of an alert, or of several.
pub(crate) fn body(alert: &Alert, alerting: &Alerting) -> Json {
    if let What::Many { alerts, kind, .. } = &alert.what {
        let alerts: Vec<Json> = alerts.iter().map(|alert| body(alert, alerting)).collect();
        return json!({
            "type": "digest", "id": alert.occasion, "kind": kind, "at": alert.at.to_string(), "to": to(alert),
            "count": alerts.len(), "alerts": alerts,
        });
    }
    let templated = alert.body.as_deref().and_then(|text| serde_json::from_str(text).ok());
    templated.unwrap_or_else(|| described(alert, alerting))
}

fn described(alert: &Alert, alerting: &Alerting) -> Json {
    let edge = alerting.rules.iter().find(|rule| rule.name == alert.rule).map(|rule| rule.trigger.key());
    let (score, before) = (alert.score.map(whole), before(alert).map(whole));
    let change = score.zip(before).map(|(score, before)| score - before);
    let source = if let What::Stopped { source } = &alert.what { Some(source) } else { None };
    let links: Map<String, Json> =
        alert.links.iter().map(|(called, address)| (called.clone(), address.as_str().into())).collect();
    json!({
        "type": "alert", "id": alert.occasion, "rule": alert.rule, "edge": edge,
        "over": alert.reply_to.is_some(), "began": alert.reply_to,
        "account": present(&alert.account), "user": alert.user, "name": present(&alert.name), "source": source,
        "said": said(alert), "score": score, "before": before, "change": change, "band": alert.band,
        "last_active": alert.last_active.map(|at| at.to_string()), "reasons": alert.reasons, "links": links,
        "to": to(alert), "at": alert.at.to_string(),
    })
}

/// One sentence.
fn said(alert: &Alert) -> String {
    let (name, said) = (&alert.name, alert.said());
    match &alert.what {
        What::Moved { .. } => format!("{name}'s health {said}"),
        _ if name.is_empty() => said,
        _ => format!("{name} {said}"),
    }
}

fn before(alert: &Alert) -> Option<f64> {
    if let What::Moved { from_score, .. } = alert.what { Some(from_score) } else { None }
}

fn whole(score: f64) -> i64 {
    (score + 0.5).floor() as i64
}

fn to(alert: &Alert) -> Option<&str> {
    present(&alert.to)
}

fn present(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
