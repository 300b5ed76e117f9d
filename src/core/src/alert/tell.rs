//! What a template may say of an alert, and what it comes to.

use super::{Alert, AlertRule, What, Whom};
use crate::expr::{Names, Scope};
use crate::value::{Type, Value};

/// Makes the names of an alert known, below `alert.`, beside those of whom it is about.
pub fn names(scope: &Scope) -> Scope {
    let mut scope = scope.clone();
    for (name, kind, _) in NAMES {
        scope.name(*name, *kind);
    }
    scope
}

/// One name: what kind of value it has, and how it is read off.
type Name = (&'static str, Type, fn(&Alert) -> Value);

const NAMES: &[Name] = &[
    ("alert.rule", Type::Text, |alert| alert.rule.as_str().into()),
    ("alert.said", Type::Text, |alert| alert.said().into()),
    ("alert.who", Type::Text, |alert| alert.name.as_str().into()),
    ("alert.before", Type::Number, |alert| moved(alert).map(|(from, _)| from).into()),
    ("alert.score", Type::Number, |alert| alert.score.into()),
    ("alert.change", Type::Number, |alert| moved(alert).map(|(_, by)| by).into()),
    ("alert.band", Type::Text, |alert| alert.band.clone().into()),
    ("alert.reasons", Type::List, |alert| {
        Value::List(alert.reasons.iter().map(|reason| reason.as_str().into()).collect())
    }),
    ("alert.over", Type::Bool, |alert| alert.reply_to.is_some().into()),
    ("alert.last_active", Type::Time, |alert| alert.last_active.map(Value::Time).unwrap_or_default()),
    ("alert.link", Type::Text, |alert| alert.link("vitalsync").into()),
    ("alert.crm_link", Type::Text, |alert| alert.link("CRM").into()),
];

/// The score before, and how far it moved from there.
fn moved(alert: &Alert) -> Option<(f64, f64)> {
    match alert.what {
        What::Moved { from_score, .. } => Some((from_score, alert.score? - from_score)),
        _ => None,
    }
}

impl Alert {
    /// What is said after the name, without figures of the destination's own making.
    pub fn said(&self) -> String {
        match &self.what {
            What::Moved { from_score, within_days, .. } => {
                let by = (self.score.unwrap_or(*from_score) + 0.5).floor() - (from_score + 0.5).floor();
                let verb = if by > 0.0 { "rose" } else { "fell" };
                format!("{verb} {} points in {within_days} days", by.abs())
            }
            What::Stopped { source } => format!("no data from {source}"),
            What::Many { alerts, .. } => format!("{} alerts", alerts.len()),
            What::Said { said } => said.clone(),
        }
    }

    fn link(&self, called: &str) -> Option<String> {
        self.links.iter().find(|(name, _)| name == called).map(|(_, address)| address.clone())
    }
}

/// The names of an alert, and of whom it is about.
struct AlertNames<'a> {
    alert: &'a Alert,
    names: Option<Box<dyn Names + 'a>>,
}

impl Names for AlertNames<'_> {
    fn value(&self, name: &str) -> Value {
        match NAMES.iter().find(|(known, ..)| *known == name) {
            Some((.., of)) => of(self.alert),
            None => self.names.as_ref().map(|names| names.value(name)).unwrap_or_default(),
        }
    }
}

/// Puts an alert as its rule's template does, if it has one. `Err`: why it can't be put so; it is put as the destination does.
///
/// # Errors
/// What the template runs into.
pub fn tell(alert: &mut Alert, rule: &AlertRule, whom: Option<&Whom<'_>>) -> Result<(), String> {
    let Some(template) = &rule.template else { return Ok(()) };
    let body = template.render(&AlertNames { alert, names: whom.map(Whom::names) })?;
    if body.is_empty() {
        return Err("the template gives no text".into());
    }
    alert.body = Some(body);
    Ok(())
}
