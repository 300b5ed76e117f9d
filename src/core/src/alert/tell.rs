//! What a template may say of an alert, and what it comes to.

use super::{Alert, AlertRule, What, Whom};
use crate::expr::{Expr, Names, Scope};
use crate::mapping::stilled;
use crate::section::{Faults, Node};
use crate::template::{Template, TextTemplate};
use crate::value::{Type, Value};

/// What a destination's templates give.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    /// Text, in which this makes a piece of data harmless.
    Text(fn(&str) -> String),
    /// JSON.
    Json,
}

/// How a rule puts its alerts.
#[derive(Debug, Clone)]
pub enum Wording {
    /// As text.
    Text(TextTemplate),
    /// As JSON.
    Json(Template),
}

impl Wording {
    /// Reads a template. `scope` has every name that it may use.
    pub fn read(node: &Node, scope: &Scope, form: Form, faults: &mut Faults) -> Option<Self> {
        match form {
            Form::Text(escape) => TextTemplate::read(node, scope, escape, faults).map(Self::Text),
            Form::Json => Template::read(node, scope, faults).map(Self::Json),
        }
    }

    /// The names that it uses, as expressions.
    pub fn names(&self) -> &[Expr] {
        match self {
            Self::Text(template) => template.names(),
            Self::Json(template) => template.names(),
        }
    }

    fn render(&self, of: &dyn Names) -> Result<String, String> {
        match self {
            Self::Text(template) => template.render(of),
            Self::Json(template) => template.render(|name| stilled(name, name.value(of)).to_json()),
        }
    }
}

/// What fired it is the rule's, not the alert's.
const EDGE: &str = "alert.edge";

/// Makes the names of an alert known, below `alert.`, beside those of whom it is about.
pub fn names(scope: &Scope) -> Scope {
    let mut scope = scope.clone();
    scope.name(EDGE, Type::Text);
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
    ("alert.occasion", Type::Text, |alert| alert.occasion.as_str().into()),
    ("alert.to", Type::Text, |alert| Some(alert.to.as_str()).filter(|to| !to.is_empty()).into()),
    ("alert.at", Type::Time, |alert| Value::Time(alert.at)),
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
    rule: &'a AlertRule,
    names: Option<Box<dyn Names + 'a>>,
}

impl Names for AlertNames<'_> {
    fn value(&self, name: &str) -> Value {
        match NAMES.iter().find(|(known, ..)| *known == name) {
            Some((.., of)) => of(self.alert),
            None if name == EDGE => self.rule.trigger.key().into(),
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
    let body = template.render(&AlertNames { alert, rule, names: whom.map(Whom::names) })?;
    if body.is_empty() {
        return Err("the template gives no text".into());
    }
    alert.body = Some(body);
    Ok(())
}
