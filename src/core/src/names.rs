//! The one namespace of rules, mappings and JSON: which names there are, and what stands behind them.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use rustc_hash::FxHashMap;

use crate::component::USAGE;
use crate::evaluate::{Account, Evaluation, Health, User};
use crate::expr::{Expr, Names, Scope, Scopes};
use crate::habits::{Habits, Rhythm};
use crate::identity::Traits;
use crate::model::{Band, Model, Profile};
use crate::segments::READY;
use crate::time::Day;
use crate::value::{Type, Value};

/// One name of the namespace: what kind of value it has, and how it is read off.
pub struct Measure<S> {
    /// The dotted name.
    pub name: &'static str,
    /// The kind of its value; any value may be null.
    pub kind: Type,
    /// Its value.
    pub of: fn(&S) -> Value,
}

const fn measure<S>(name: &'static str, kind: Type, of: fn(&S) -> Value) -> Measure<S> {
    Measure { name, kind, of }
}

/// The names of an account that every config has, besides those of its health, its rules and its traits.
pub static ACCOUNT: &[Measure<Account>] = &[
    measure("account", Type::Text, |account| account.id.as_str().into()),
    measure("name", Type::Text, |account| account.name.clone().into()),
    measure("owner", Type::Any, |account| account.owner.clone()),
    measure("parent", Type::Text, |account| account.parent.clone().into()),
    measure("children", Type::Number, |account| f64::from(account.children).into()),
    measure("profile", Type::Text, |account| account.profile.clone().into()),
    measure("activation.percent", Type::Number, |account| account.activation_percent.into()),
    measure("activation.steps_done", Type::Number, |account| Value::Number(account.steps_done() as f64)),
    measure("activation.steps_total", Type::Number, |account| Value::Number(account.steps.len() as f64)),
    measure("activation.activated_at", Type::Date, |account| date(account.activated_at)),
    measure("activation.checklist", Type::Text, |account| account.checklist.clone().into()),
    measure("activation.days_to_activate", Type::Number, |account| days(account.days_to(account.activated_at))),
    measure("activation.first_key_action", Type::Date, |account| date(account.first_key_action)),
    measure("activation.first_value_days", Type::Number, |account| days(account.days_to(account.first_key_action))),
    measure("activation.last_step_on", Type::Date, |account| date(account.last_step_on())),
    measure("activation.days_stalled", Type::Number, |account| days(account.days_stalled)),
    measure("activation.stalled", Type::Bool, |account| account.stalled.into()),
    measure("activation.missing_step", Type::Text, |account| account.missing_step().into()),
    measure("adoption.window_percent", Type::Number, |account| account.adoption_window.into()),
    measure("adoption.all_time_percent", Type::Number, |account| account.adoption_all_time.into()),
    measure("adoption.features_used", Type::Number, |account| Value::Number(account.used_features() as f64)),
    measure("adoption.features_total", Type::Number, |account| Value::Number(account.features.len() as f64)),
    measure("adoption.unused", Type::List, |account| Value::List(account.unused_features().map(Value::from).collect())),
    measure("users.active", Type::Number, |account| f64::from(account.active_users).into()),
    measure("users.total", Type::Number, |account| f64::from(account.total_users).into()),
    measure("users.active_percent", Type::Number, |account| account.active_percent().into()),
    measure("users.healthy", Type::Number, |account| account.healthy_users.map(f64::from).into()),
    measure("users.healthy_percent", Type::Number, |account| account.healthy_percent().into()),
    measure("users.champion", Type::Text, |account| account.champions.first().and_then(|top| top.user.clone()).into()),
    measure("users.champion_share", Type::Number, |account| account.champions.first().map(|top| top.share).into()),
    measure("users.single_champion_risk", Type::Bool, |account| account.single_champion_risk().into()),
    measure("users.stopped", Type::Number, |account| f64::from(account.stopped_users).into()),
    measure("frequency.active_days", Type::Number, |account| f64::from(account.active_days).into()),
    measure("frequency.days", Type::Number, |account| f64::from(account.window_days).into()),
    measure("frequency.percent", Type::Number, |account| percent(account.active_days, account.window_days).into()),
    measure("last_active", Type::Time, |account| account.last_active.map(Value::Time).unwrap_or_default()),
    measure("days_since_last_active", Type::Number, |account| days(account.days_since_last_active)),
    measure("tenure_days", Type::Number, |account| days(account.tenure_days)),
    measure("stale", Type::Bool, |account| account.stale.into()),
    measure("events_30d", Type::Number, |account| habit(account, |habits| habits.events.last_30)),
    measure("active_days_30d", Type::Number, |account| habit(account, |habits| habits.active_days.last_30)),
    measure("active_days_90d", Type::Number, |account| habit(account, |habits| habits.active_days.last_90)),
    measure("users_30d", Type::Number, |account| habit(account, |habits| habits.users.last_30)),
    measure("features_30d", Type::Number, |account| habit(account, |habits| habits.features.last_30)),
    measure("features_90d", Type::Number, |account| habit(account, |habits| habits.features.last_90)),
    measure("trend_30_30", Type::Number, |account| account.habits.and_then(|habits| habits.events.trend()).into()),
    measure("trend_cycle", Type::Number, |account| {
        account.habits.and_then(|habits| habits.events.trend_of_phase()).into()
    }),
    measure("rhythm.usual_gap_days", Type::Number, |account| {
        rhythm(account).map(|rhythm| f64::from(rhythm.usual)).into()
    }),
    measure("rhythm.long_gap_days", Type::Number, |account| {
        rhythm(account).map(|rhythm| f64::from(rhythm.long)).into()
    }),
    measure("churn_risk", Type::Number, |account| account.churn_risk.into()),
    measure("churn_risk_involuntary", Type::Number, |account| account.churn_risk_involuntary.into()),
    measure("churn_risk_reasons", Type::List, |account| {
        Value::List(account.churn_risk_reasons.iter().copied().map(Value::from).collect())
    }),
    measure("expansion_readiness", Type::Number, |account| account.expansion_readiness.into()),
    measure("lifecycle.new", Type::Bool, |account| account.is_new.into()),
    measure("churned_on", Type::Date, |account| date(account.churned_on)),
    measure("segments", Type::List, |account| Value::List(account.held("segments.").map(Value::from).collect())),
    measure("ready_segments", Type::List, |account| Value::List(short(&account.ready, "segments.").collect())),
];

/// Names of an account for which all users must be measured.
pub const OF_USERS: [&str; 2] = ["users.healthy", "users.healthy_percent"];

/// The names of health, below `health.` and `profiles.NAME.`.
pub static HEALTH: &[Measure<Health>] = &[
    measure("raw", Type::Number, |health| health.raw.into()),
    measure("benchmark", Type::Number, |health| health.benchmark.into()),
    measure("score", Type::Number, |health| health.score.into()),
    measure("band", Type::Text, |health| health.band.map(Band::name).into()),
    measure("change_7d", Type::Number, |health| health.change_7d.into()),
    measure("change_30d", Type::Number, |health| health.change_30d.into()),
    measure("change_cycle", Type::Number, |health| health.change_cycle.into()),
    measure("days_healthy", Type::Number, |health| health.days_healthy.map(f64::from).into()),
    measure("top_reason", Type::Text, |health| health.top_reason.as_deref().into()),
    measure("size", Type::Number, |health| health.size.into()),
    measure("benchmark_group", Type::Text, |health| health.benchmark_group.clone().into()),
    measure("coverage", Type::Number, |health| health.coverage.into()),
    measure("override", Type::Text, |health| health.override_reason.clone().into()),
    measure("override_until", Type::Date, |health| health.override_until.map(Value::Date).unwrap_or_default()),
    measure("story", Type::Text, |health| health.story.as_deref().into()),
];

/// The names of a user, below `user.`, besides those of its account and its traits.
pub static USER: &[Measure<User>] = &[
    measure("id", Type::Text, |user| user.id.as_str().into()),
    measure("health.raw", Type::Number, |user| user.health.raw.into()),
    measure("health.score", Type::Number, |user| user.health.score.into()),
    measure("health.band", Type::Text, |user| user.health.band.map(Band::name).into()),
    measure("health.change_7d", Type::Number, |user| user.health.change_7d.into()),
    measure("health.change_30d", Type::Number, |user| user.health.change_30d.into()),
    measure("health.change_cycle", Type::Number, |user| user.health.change_cycle.into()),
    measure("activation.percent", Type::Number, |user| user.activation_percent.into()),
    measure("adoption.window_percent", Type::Number, |user| user.adoption_window.into()),
    measure("days_since_last_active", Type::Number, |user| days(user.days_since_last_active)),
    measure("champion", Type::Bool, |user| user.champion.into()),
    measure("tenure_days", Type::Number, |user| days(user.tenure_days)),
    measure("last_active", Type::Time, |user| user.last_active.map(Value::Time).unwrap_or_default()),
    measure("frequency.active_days", Type::Number, |user| f64::from(user.active_days).into()),
    measure("frequency.days", Type::Number, |user| f64::from(user.window_days).into()),
    measure("frequency.percent", Type::Number, |user| percent(user.active_days, user.window_days).into()),
];

/// Names without what they begin with.
fn short<'a>(names: &'a BTreeSet<String>, kind: &'a str) -> impl Iterator<Item = Value> + 'a {
    names.iter().filter_map(move |name| name.strip_prefix(kind)).map(Value::from)
}

fn days(days: Option<i32>) -> Value {
    days.map(f64::from).into()
}

fn date(day: Option<Day>) -> Value {
    day.map(Value::Date).unwrap_or_default()
}

fn habit(account: &Account, of: fn(&Habits) -> u32) -> Value {
    account.habits.as_ref().map(|habits| f64::from(of(habits))).into()
}

fn rhythm(account: &Account) -> Option<Rhythm> {
    account.habits.and_then(|habits| habits.rhythm)
}

fn percent(part: u32, whole: u32) -> Option<f64> {
    (whole > 0).then(|| f64::from(part) / f64::from(whole) * 100.0)
}

type Table<S> = LazyLock<FxHashMap<&'static str, fn(&S) -> Value>>;

fn table<S>(measures: &'static [Measure<S>]) -> FxHashMap<&'static str, fn(&S) -> Value> {
    measures.iter().map(|measure| (measure.name, measure.of)).collect()
}

static ACCOUNT_BY_NAME: Table<Account> = LazyLock::new(|| table(ACCOUNT));
static HEALTH_BY_NAME: Table<Health> = LazyLock::new(|| table(HEALTH));
static USER_BY_NAME: Table<User> = LazyLock::new(|| table(USER));

/// The value of a name of health, those of its components included.
fn health_value(name: &str, health: &Health) -> Value {
    let component = || name.strip_prefix("components.").and_then(|name| health.components.get(name).copied()).into();
    value_of(&HEALTH_BY_NAME, name, health).unwrap_or_else(component)
}

fn value_of<S>(table: &Table<S>, name: &str, of: &S) -> Option<Value> {
    table.get(name).map(|value| value(of))
}

/// Makes the names of a table known below a prefix.
fn below<S>(prefix: &str, table: &[Measure<S>], scope: &mut Scope) {
    for measure in table {
        let name = format!("{prefix}.{}", measure.name);
        match measure.name {
            "band" | "health.band" => scope.words(name, &Band::NAMES),
            _ => scope.name(name, measure.kind),
        }
    }
}

/// Makes the names of health known below a prefix.
fn health_names<'p>(scope: &mut Scope, prefix: &str, profiles: impl IntoIterator<Item = &'p Profile>) {
    for profile in profiles.into_iter().filter(|profile| !profile.components.is_empty()) {
        let components = profile.components.iter().map(|component| component.name.as_str());
        for name in components.chain([USAGE]) {
            scope.name(format!("{prefix}.components.{name}"), Type::Number);
        }
    }
    below(prefix, HEALTH, scope);
}

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

/// The names that groups of benchmarks may use: the same, and segments. Whether a segment asks for traits alone is seen once
/// segments are read.
pub fn group_scope(lifecycle: &[String], segments: &[String]) -> Scope {
    let mut scope = trait_scope(lifecycle);
    segments.iter().for_each(|name| scope.name(format!("segments.{name}"), Type::Bool));
    scope
}

/// The names that `exclude.users` may use.
pub fn user_trait_scope() -> Scope {
    let mut scope = Scope::default();
    scope.name("user.id", Type::Text);
    scope.open("traits");
    scope
}

/// What a config names itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Vocabulary<'a> {
    /// Profiles.
    pub profiles: &'a [Profile],
    /// Lifecycle stages.
    pub lifecycle: &'a [String],
    /// Segments.
    pub segments: &'a [String],
    /// Steps of all checklists.
    pub steps: &'a [String],
}

/// The names of measured accounts and users; `steps` are those of all checklists.
pub fn scopes(words: &Vocabulary<'_>) -> Scopes {
    let Vocabulary { profiles, lifecycle, segments, steps } = *words;
    let mut account = Scope::default();
    ACCOUNT.iter().for_each(|measure| account.name(measure.name, measure.kind));
    health_names(&mut account, "health", profiles);
    for profile in profiles {
        health_names(&mut account, &format!("profiles.{}", profile.name), [profile]);
    }
    for name in lifecycle {
        account.name(format!("lifecycle.{name}"), Type::Bool);
    }
    let ready = READY.iter().map(|ready| ready.name);
    for name in segments.iter().map(String::as_str).chain(ready.clone()) {
        account.name(format!("segments.{name}"), Type::Bool);
    }
    account.list_of("segments", segments);
    account.list_of("ready_segments", &ready.map(str::to_owned).collect::<Vec<_>>());
    account.words("activation.missing_step", &steps.iter().map(String::as_str).collect::<Vec<_>>());
    account.words("profile", &profiles.iter().map(|profile| profile.name.as_str()).collect::<Vec<_>>());
    for name in steps {
        account.name(format!("activation.steps.{name}"), Type::Date);
    }
    account.open("traits");
    let mut user = Scope::default();
    account.nest_into("account", &mut user);
    user.name("account.id", Type::Text);
    user.name("user.account", Type::Text);
    below("user", USER, &mut user);
    user.open("user.traits");
    Scopes { account, user }
}

/// The value of a trait by its dotted name: the name as it is, else a path into nested traits.
pub(crate) fn trait_value(traits: &Traits, name: &str) -> Value {
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
    /// For lifecycle rules, and segments over traits alone.
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
        if let (Some(segment), Some(model)) = (name.strip_prefix("segments."), self.model) {
            return named(&model.segments, segment).is_some_and(|rule| rule.holds(self)).into();
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
}

impl Names for AccountNames<'_> {
    fn value(&self, name: &str) -> Value {
        let account = self.account;
        if let Some(value) = value_of(&ACCOUNT_BY_NAME, name, account) {
            return value;
        }
        if name.starts_with("lifecycle.") || name.starts_with("segments.") {
            return account.in_rule(name).into();
        }
        if let Some(step) = name.strip_prefix("activation.steps.") {
            return date(account.steps.iter().find(|(name, _)| name == step).and_then(|(_, done)| *done));
        }
        if let Some(name) = name.strip_prefix("health.") {
            return health_value(name, &account.health);
        }
        if let Some((profile, name)) = name.strip_prefix("profiles.").and_then(|rest| rest.split_once('.')) {
            return account.profiles.get(profile).map(|health| health_value(name, health)).unwrap_or_default();
        }
        TraitNames { id: &account.id, id_name: "account", traits: &account.traits, model: None }.value(name)
    }
}

/// Names of a user: `user.…`, and `account.…` for the primary account.
pub struct UserNames<'a> {
    /// The user.
    pub user: &'a User,
    /// All figures.
    pub evaluation: &'a Evaluation,
}

impl Names for UserNames<'_> {
    fn value(&self, name: &str) -> Value {
        let account = self.user.account.and_then(|place| self.evaluation.accounts.get(place));
        let of_user = |name: &str| {
            let found = value_of(&USER_BY_NAME, name, self.user);
            found.or_else(|| name.strip_prefix("traits.").map(|name| trait_value(&self.user.traits, name)))
        };
        match (name, name.strip_prefix("user."), name.strip_prefix("account."), account) {
            ("user.account" | "account.account" | "account.id", ..) => {
                account.map(|account| account.id.as_str()).into()
            }
            ("user.traits", ..) => Value::Map(self.user.traits.to_map()),
            (_, Some(name), ..) => of_user(name).unwrap_or_default(),
            (_, _, Some(name), Some(account)) => AccountNames { account }.value(name),
            _ => Value::Null,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::section::{Faults, Place};

    #[test]
    fn rules_know_which_account_is_rolled_up_into_which() {
        let scopes = scopes(&Vocabulary::default());
        let mut faults = Faults::default();
        let mut read = |source: &str, scope: &Scope| {
            Expr::parse(source, Place::default(), scope, Type::Bool, &mut faults).expect("a good rule")
        };
        let rolled = read("parent == \"acme\"", &scopes.account);
        let whole = read("children == 2 && !has(parent)", &scopes.account);
        let users = read("account.parent == \"acme\"", &scopes.user);

        let child = Account { id: "acme-eu".into(), parent: Some("acme".into()), ..Account::default() };
        let parent = Account { id: "acme".into(), children: 2, ..Account::default() };
        let held = |rule: &Expr, account: &Account| rule.holds(&AccountNames { account });
        assert_eq!((held(&rolled, &child), held(&rolled, &parent)), (true, false));
        assert_eq!((held(&whole, &child), held(&whole, &parent)), (false, true));
        let evaluation = Evaluation { accounts: vec![child], ..Evaluation::default() };
        let user = User { account: Some(0), ..User::default() };
        assert!(users.holds(&UserNames { user: &user, evaluation: &evaluation }));
    }
}
