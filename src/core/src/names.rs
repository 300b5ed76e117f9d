//! The one namespace of rules, mappings and JSON: which names there are, and what stands behind them.

use crate::evaluate::{Account, Evaluation, Health, User};
use crate::expr::{Expr, Names, Scope, Scopes};
use crate::identity::Traits;
use crate::model::{Band, Model};
use crate::value::{Type, Value};

/// The names of an account that every config has, with their kinds.
const ACCOUNT: [(&str, Type); 23] = [
    ("account", Type::Text),
    ("name", Type::Text),
    ("owner", Type::Any),
    ("parent", Type::Text),
    ("children", Type::Number),
    ("profile", Type::Text),
    ("activation.percent", Type::Number),
    ("activation.steps_done", Type::Number),
    ("activation.steps_total", Type::Number),
    ("activation.activated_at", Type::Date),
    ("activation.missing_step", Type::Text),
    ("adoption.window_percent", Type::Number),
    ("adoption.all_time_percent", Type::Number),
    ("users.active", Type::Number),
    ("users.total", Type::Number),
    ("users.active_percent", Type::Number),
    ("frequency.active_days", Type::Number),
    ("frequency.days", Type::Number),
    ("frequency.percent", Type::Number),
    ("last_active", Type::Time),
    ("days_since_last_active", Type::Number),
    ("tenure_days", Type::Number),
    ("segments", Type::List),
];

const HEALTH: [(&str, Type); 5] = [
    ("raw", Type::Number),
    ("score", Type::Number),
    ("change_7d", Type::Number),
    ("change_30d", Type::Number),
    ("top_reason", Type::Text),
];

const USER: [(&str, Type); 6] = [
    ("user.id", Type::Text),
    ("user.last_active", Type::Time),
    ("user.frequency.active_days", Type::Number),
    ("user.frequency.days", Type::Number),
    ("user.frequency.percent", Type::Number),
    ("user.account", Type::Text),
];

/// The names that rules about who somebody is may use: of accounts before they are measured (`exclude`, `lifecycle`, a
/// profile's `for`).
pub fn trait_scope(lifecycle: &[String]) -> Scope {
    let mut scope = Scope::default();
    scope.name("account", Type::Text);
    scope.open("traits");
    for name in lifecycle {
        scope.name(format!("lifecycle.{name}"), Type::Bool);
    }
    scope
}

/// The names that `exclude.users` may use.
pub fn user_trait_scope() -> Scope {
    let mut scope = Scope::default();
    scope.name("user.id", Type::Text);
    scope.open("traits");
    scope
}

/// The names of measured accounts and users.
pub fn scopes(profiles: &[String], lifecycle: &[String], segments: &[String]) -> Scopes {
    let mut account = Scope::default();
    for (name, kind) in ACCOUNT {
        account.name(name, kind);
    }
    let health = |scope: &mut Scope, prefix: &str| {
        for (name, kind) in HEALTH {
            scope.name(format!("{prefix}.{name}"), kind);
        }
        scope.words(format!("{prefix}.band"), &Band::NAMES);
    };
    health(&mut account, "health");
    for profile in profiles {
        health(&mut account, &format!("profiles.{profile}"));
    }
    for name in lifecycle {
        account.name(format!("lifecycle.{name}"), Type::Bool);
    }
    for name in segments {
        account.name(format!("segments.{name}"), Type::Bool);
    }
    account.open("traits");
    let mut user = Scope::default();
    account.nest_into("account", &mut user);
    user.name("account.id", Type::Text);
    for (name, kind) in USER {
        user.name(name, kind);
    }
    user.open("user.traits");
    Scopes { account, user }
}

/// The value of a trait by its dotted name: the name as it is, else a path into nested traits.
fn trait_value(traits: &Traits, name: &str) -> Value {
    if let Some(value) = traits.get(name) {
        return value.clone();
    }
    let mut parts = name.split('.');
    let mut value = parts.next().and_then(|first| traits.get(first));
    for part in parts {
        value = match value {
            Some(Value::Map(entries)) => entries.get(part),
            _ => None,
        };
    }
    value.cloned().unwrap_or_default()
}

/// Names of somebody whose measures are not known (yet): an id and traits.
pub struct TraitNames<'a> {
    /// The account's or user's id.
    pub id: &'a str,
    /// The name that stands for it: `account` or `user.id`.
    pub id_name: &'a str,
    /// The traits.
    pub traits: &'a Traits,
    /// For lifecycle rules.
    pub model: Option<&'a Model>,
}

impl Names for TraitNames<'_> {
    fn value(&self, name: &str) -> Value {
        if name == self.id_name {
            return self.id.into();
        }
        if let Some(name) = name.strip_prefix("traits.") {
            return trait_value(self.traits, name);
        }
        if name == "traits" {
            return Value::Map(self.traits.to_map());
        }
        if let (Some(stage), Some(model)) = (name.strip_prefix("lifecycle."), self.model) {
            return named(&model.lifecycle, stage).is_some_and(|rule| rule.holds(self)).into();
        }
        Value::Null
    }
}

fn named<'m>(rules: &'m [(String, Expr)], name: &str) -> Option<&'m Expr> {
    rules.iter().find(|(known, _)| known == name).map(|(_, rule)| rule)
}

/// Names of a measured account.
pub struct AccountNames<'a> {
    /// The account.
    pub account: &'a Account,
    /// The model, for named rules.
    pub model: &'a Model,
}

fn health(health: &Health, name: &str) -> Value {
    match name {
        "raw" => health.raw.into(),
        "score" => health.score.into(),
        "band" => health.band.map(Band::name).into(),
        "change_7d" => health.change_7d.into(),
        "change_30d" => health.change_30d.into(),
        "top_reason" => health.top_reason.clone().into(),
        _ => Value::Null,
    }
}

fn percent(part: u32, whole: u32) -> Option<f64> {
    (whole > 0).then(|| f64::from(part) / f64::from(whole) * 100.0)
}

impl Names for AccountNames<'_> {
    fn value(&self, name: &str) -> Value {
        let account = self.account;
        if let Some(name) = name.strip_prefix("health.") {
            return health(&account.health, name);
        }
        if let Some(stage) = name.strip_prefix("lifecycle.") {
            return named(&self.model.lifecycle, stage).is_some_and(|rule| rule.holds(self)).into();
        }
        if let Some(segment) = name.strip_prefix("segments.") {
            return named(&self.model.segments, segment).is_some_and(|rule| rule.holds(self)).into();
        }
        if let Some((profile, name)) = name.strip_prefix("profiles.").and_then(|rest| rest.rsplit_once('.')) {
            return account.profiles.get(profile).map(|found| health(found, name)).unwrap_or_default();
        }
        match name {
            "account" => account.id.as_str().into(),
            "name" => account.name.clone().into(),
            "owner" => account.owner.clone(),
            "parent" => account.parent.clone().into(),
            "children" => f64::from(account.children).into(),
            "profile" => account.profile.clone().into(),
            "activation.percent" => account.activation_percent.into(),
            "activation.steps_done" => Value::Number(account.steps_done() as f64),
            "activation.steps_total" => Value::Number(account.steps.len() as f64),
            "activation.activated_at" => account.activated_at.map_or(Value::Null, Value::Date),
            "activation.missing_step" => {
                account.steps.iter().find(|(_, done)| done.is_none()).map(|(step, _)| step.as_str()).into()
            }
            "adoption.window_percent" => account.adoption_window.into(),
            "adoption.all_time_percent" => account.adoption_all_time.into(),
            "users.active" => f64::from(account.active_users).into(),
            "users.total" => f64::from(account.total_users).into(),
            "users.active_percent" => account.active_percent().into(),
            "frequency.active_days" => f64::from(account.active_days).into(),
            "frequency.days" => f64::from(account.window_days).into(),
            "frequency.percent" => percent(account.active_days, account.window_days).into(),
            "last_active" => account.last_active.map_or(Value::Null, Value::Time),
            "days_since_last_active" => {
                let since = |at| f64::from((account.today.0 - self.model.calendar.day(at).0).max(0));
                account.last_active.map(since).into()
            }
            "tenure_days" => account.tenure_days.map(f64::from).into(),
            "segments" => {
                let held = account.rules.iter().filter_map(|rule| rule.strip_prefix("segments."));
                Value::List(held.map(Value::from).collect())
            }
            _ => TraitNames { id: &account.id, id_name: "account", traits: &account.traits, model: None }.value(name),
        }
    }
}

/// Names of a user: `user.…`, and `account.…` for the primary account.
pub struct UserNames<'a> {
    /// The user.
    pub user: &'a User,
    /// All figures.
    pub evaluation: &'a Evaluation,
    /// The model, for named rules.
    pub model: &'a Model,
}

impl Names for UserNames<'_> {
    fn value(&self, name: &str) -> Value {
        let account = self.user.account.and_then(|place| self.evaluation.accounts.get(place));
        match name {
            "user.id" => self.user.id.as_str().into(),
            "user.account" | "account.account" | "account.id" => account.map(|account| account.id.as_str()).into(),
            "user.last_active" => self.user.last_active.map_or(Value::Null, Value::Time),
            "user.frequency.active_days" => f64::from(self.user.active_days).into(),
            "user.frequency.days" => f64::from(self.user.window_days).into(),
            "user.frequency.percent" => percent(self.user.active_days, self.user.window_days).into(),
            "user.traits" => Value::Map(self.user.traits.to_map()),
            _ => match (name.strip_prefix("user.traits."), name.strip_prefix("account."), account) {
                (Some(name), _, _) => trait_value(&self.user.traits, name),
                (_, Some(name), Some(account)) => AccountNames { account, model: self.model }.value(name),
                _ => Value::Null,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::section::{Faults, Place};

    #[test]
    fn rules_know_which_account_is_rolled_up_into_which() {
        let scopes = scopes(&[], &[], &[]);
        let mut faults = Faults::default();
        let mut read = |source: &str, scope: &Scope| {
            Expr::parse(source, Place::default(), scope, Type::Bool, &mut faults).expect("a good rule")
        };
        let rolled = read("parent == \"acme\"", &scopes.account);
        let whole = read("children == 2 && !has(parent)", &scopes.account);
        let users = read("account.parent == \"acme\"", &scopes.user);

        let child = Account { id: "acme-eu".into(), parent: Some("acme".into()), ..Account::default() };
        let parent = Account { id: "acme".into(), children: 2, ..Account::default() };
        let model = Model::default();
        let held = |rule: &Expr, account: &Account| rule.holds(&AccountNames { account, model: &model });
        assert_eq!((held(&rolled, &child), held(&rolled, &parent)), (true, false));
        assert_eq!((held(&whole, &child), held(&whole, &parent)), (false, true));
        let evaluation = Evaluation { accounts: vec![child], ..Evaluation::default() };
        let user = User { account: Some(0), ..User::default() };
        assert!(users.holds(&UserNames { user: &user, evaluation: &evaluation, model: &model }));
    }
}
