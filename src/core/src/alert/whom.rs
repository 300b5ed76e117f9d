//! Whom a rule is about: an account, or a user. What both have stands behind one face, so that an edge is found one way.

use crate::cycle::Usual;
use crate::evaluate::{Account, Evaluation, User};
use crate::expr::Names;
use crate::mapping::Level;
use crate::model::Band;
use crate::names::{AccountNames, UserNames};
use crate::time::{Day, Timestamp};

/// An account or a user with its figures.
#[derive(Debug, Clone, Copy)]
pub enum Whom<'a> {
    /// An account.
    Account(&'a Account),
    /// A user, among all figures.
    User(&'a User, &'a Evaluation),
}

/// Begins the name under which a rule remembers a user.
const USER: &str = "#user ";

impl<'a> Whom<'a> {
    /// Everybody at a level.
    pub fn all(level: Level, evaluation: &'a Evaluation) -> Vec<Self> {
        match level {
            Level::Account => evaluation.accounts.iter().map(Self::Account).collect(),
            Level::User => evaluation.users.iter().map(|user| Self::User(user, evaluation)).collect(),
        }
    }

    /// The same one in other figures.
    pub fn found_in<'b>(&self, evaluation: &'b Evaluation) -> Option<Whom<'b>> {
        match self {
            Self::Account(account) => evaluation.find(&account.id).map(Whom::Account),
            Self::User(user, _) => evaluation.find_user(&user.id).map(|user| Whom::User(user, evaluation)),
        }
    }

    /// The name under which a rule remembers it.
    pub fn key(&self) -> String {
        match self {
            Self::Account(account) => account.id.clone(),
            Self::User(user, _) => user_key(&user.id),
        }
    }

    /// The account, of a user its primary one.
    pub fn account(&self) -> Option<&'a Account> {
        match self {
            Self::Account(account) => Some(account),
            Self::User(user, evaluation) => user.account.and_then(|place| evaluation.accounts.get(place)),
        }
    }

    /// The user, if it is one.
    pub fn user(&self) -> Option<&'a User> {
        if let Self::User(user, _) = self { Some(user) } else { None }
    }

    /// The values behind names at its level.
    pub fn names(&self) -> Box<dyn Names + 'a> {
        match *self {
            Self::Account(account) => Box::new(AccountNames { account }),
            Self::User(user, evaluation) => Box::new(UserNames { user, evaluation }),
        }
    }

    /// How people call it: its name, of a user else its e-mail, else its id.
    pub fn called(&self) -> String {
        match self {
            Self::Account(account) => account.name.clone().unwrap_or_else(|| account.id.clone()),
            Self::User(user, _) => {
                let said = |name: &str| user.traits.get(name)?.as_text().filter(|text| !text.trim().is_empty());
                said("name").or_else(|| said("email")).unwrap_or(&user.id).to_owned()
            }
        }
    }

    /// Daily scores of the last days.
    pub fn recent(&self) -> &'a [(Day, f64)] {
        match self {
            Self::Account(account) => &account.recent,
            Self::User(user, _) => &user.recent,
        }
    }

    /// For each of those days the scores around the same phase of the cycle before; only accounts have cycles.
    pub fn usual(&self) -> &'a [Usual] {
        if let Self::Account(account) = self { &account.usual } else { &[] }
    }

    /// The score now.
    pub fn score(&self) -> Option<f64> {
        match self {
            Self::Account(account) => account.health.score,
            Self::User(user, _) => user.health.score,
        }
    }

    /// The band now.
    pub fn band(&self) -> Option<Band> {
        match self {
            Self::Account(account) => account.health.band,
            Self::User(user, _) => user.health.band,
        }
    }

    /// The profile that it is measured under.
    pub fn profile(&self) -> Option<&'a String> {
        self.account()?.profile.as_ref()
    }

    /// The latest event.
    pub fn last_active(&self) -> Option<Timestamp> {
        match self {
            Self::Account(account) => account.last_active,
            Self::User(user, _) => user.last_active,
        }
    }

    /// Days since then, without those that leave its windows.
    pub fn silent_days(&self) -> Option<i32> {
        match self {
            Self::Account(account) => account.silent_days,
            Self::User(user, _) => user.silent_days,
        }
    }
}

/// The name under which a rule remembers a user.
pub fn user_key(id: &str) -> String {
    format!("{USER}{id}")
}

/// The user that a rule remembers something of under a name, if it is one.
pub fn user_of(key: &str) -> Option<&str> {
    key.strip_prefix(USER)
}
