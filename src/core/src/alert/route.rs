//! To whom an alert goes: a place of the destination's own, or what leads to one for each account.

use super::Whom;
use crate::expr::Expr;
use crate::value::Value;

/// Where a destination's alerts may go.
#[derive(Debug, Clone, Copy)]
pub struct Places {
    /// What a place is, for people.
    pub what: &'static str,
    /// How one is written.
    pub hint: &'static str,
    /// A place as the config has it, in its one form; `None`: it is none.
    pub read: fn(&str) -> Option<String>,
    /// The same as data has it.
    pub given: fn(&str) -> Option<String>,
    /// False: a rule may name none.
    pub needed: bool,
}

/// Where the alerts of a rule go.
#[derive(Debug, Clone)]
pub enum Route {
    /// To one place.
    Place(String),
    /// To whoever `accounts.owner` names.
    Owner(Places),
    /// To what an expression gives.
    Rule(Expr, Places),
    /// To nobody in particular: the destination has only one place.
    Only,
}

impl Route {
    /// The place for an account or user; `None` if there is none that the destination could know.
    pub fn place(&self, whom: Option<&Whom<'_>>) -> Option<String> {
        let read = |value: Value, places: &Places| (places.given)(value.as_key()?.trim());
        match self {
            Self::Place(place) => Some(place.clone()),
            Self::Owner(places) => read(whom?.account()?.owner.clone(), places),
            Self::Rule(expr, places) => read(expr.value(&*whom?.names()), places),
            Self::Only => Some(String::new()),
        }
    }
}
