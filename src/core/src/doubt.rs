//! What is odd about figures that were computed all the same: said in run and plan, never a reason to stop.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::derived::MARK;
use crate::figures::{Account, Evaluation};
use crate::gather::{Ask, Gathered};
use crate::identity::stated_start;
use crate::lint::{Crowd, TOGETHER};
use crate::model::{Model, Per, Profile};
use crate::section::Place;
use crate::time::Day;

/// One oddity; its text says what to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Doubt {
    /// A profile is nobody's health.
    NoAccounts {
        /// The profile.
        profile: String,
    },
    /// Accounts have no score, because raw scores are divided by seats and they state none.
    NoSeats {
        /// The profile.
        profile: String,
        /// How many.
        accounts: u64,
    },
    /// Values of a component were left out, because they can't be read.
    Unreadable {
        /// The profile.
        profile: String,
        /// The component.
        component: String,
        /// Of how many accounts or users the last value is such.
        values: u64,
    },
    /// Score and number of users go together: the score may only tell large accounts from small ones.
    GoesWithSize {
        /// The profile.
        profile: String,
        /// The rank correlation, above [`TOGETHER`].
        correlation: f64,
    },
    /// Accounts state a start that is yet to come.
    StartsAhead {
        /// How many.
        accounts: u64,
    },
    /// A step, feature, signal or milestone asks for an event on a condition that is counted only since a day.
    AskedSince {
        /// What people call the event.
        event: String,
        /// The first day of receipt that counts.
        since: Day,
    },
    /// A person's word on a band is over.
    OverrideEnded {
        /// The account.
        account: String,
        /// Its last day.
        until: Day,
    },
    /// A person's word is about an account that is not measured.
    OverrideOfNobody {
        /// The account.
        account: String,
    },
}

impl Doubt {
    /// What is odd.
    pub fn message(&self) -> String {
        match self {
            Self::NoAccounts { profile } => {
                format!(
                    "profile `{profile}` is no account's: its `for` holds for none, or profiles before it have them all"
                )
            }
            Self::NoSeats { profile, accounts } => {
                format!(
                    "profile `{profile}`: accounts without a score, because they state no number of seats above 0: {accounts}"
                )
            }
            Self::Unreadable { profile, component, values } => format!(
                "profile `{profile}`: values of component `{component}` that are left out, because they are no number or an unknown word: {values}"
            ),
            Self::GoesWithSize { profile, correlation } => format!(
                "profile `{profile}`: score and number of users go together (rank correlation {correlation:.2}): it ranks size"
            ),
            Self::StartsAhead { accounts } => format!(
                "accounts that start in the future, by their `createdAt`: {accounts}; those in use begin with their first event"
            ),
            Self::AskedSince { event, since } => format!(
                "{event} is counted since {since}: steps, features, signals and milestones that ask for it see nothing of what was done before"
            ),
            Self::OverrideEnded { account, until } => format!("the override of `{account}` ended on {until}"),
            Self::OverrideOfNobody { account } => {
                format!("the override of `{account}` is of no account that is measured")
            }
        }
    }

    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoAccounts { .. } => "`vitalsync accounts` shows accounts, `explain` the traits of one",
            Self::NoSeats { .. } => "see `per`, and the trait that it names",
            Self::Unreadable { .. } => "see its `from`, `range` or `map`, and what the source sends",
            Self::GoesWithSize { .. } => {
                "raw scores are sums over all users of an account: `per: active_user` or `benchmark: {within: …}` take size out"
            }
            Self::StartsAhead { .. } => "see what the source sends as `createdAt`, and its clock",
            Self::AskedSince { .. } => "`vitalsync backfill --rebuild` counts the past",
            Self::OverrideEnded { .. } => "take it out, or give it another `until`",
            Self::OverrideOfNobody { .. } => "see `vitalsync accounts` for ids",
        }
    }

    /// Where in the config it comes from.
    pub fn place(&self, model: &Model) -> Place {
        match self {
            Self::NoAccounts { profile } | Self::NoSeats { profile, .. } | Self::GoesWithSize { profile, .. } => {
                model.written.profiles.get(profile).map(|written| written.place).unwrap_or_default()
            }
            Self::Unreadable { profile, component, .. } => {
                let written = model.written.profiles.get(profile);
                let component = written.and_then(|written| written.components.get(component)).copied();
                component.or(written.map(|written| written.place)).unwrap_or_default()
            }
            Self::OverrideEnded { account, .. } | Self::OverrideOfNobody { account } => {
                let stated = model.overrides.iter().find(|stated| stated.account == *account);
                stated.map(|stated| stated.place).unwrap_or_default()
            }
            Self::AskedSince { event, .. } => {
                let mut asked = model.written.asked.iter();
                let found = asked.find(|(asked, _)| model.display_event(asked) == event);
                found.and_then(|(_, places)| places.first()).copied().unwrap_or_default()
            }
            Self::StartsAhead { .. } => Place::default(),
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.message(), self.hint())
    }
}

/// All that is odd about an evaluation, in the order of the config.
pub(crate) fn of(evaluation: &Evaluation, gathered: &Gathered<'_>, model: &Model, ask: &Ask, today: Day) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    for (place, profile) in model.profiles.iter().enumerate() {
        let mine = |account: &&Account| account.profile.as_ref() == Some(&profile.name);
        let name = || profile.name.clone();
        if !evaluation.accounts.is_empty() && !evaluation.accounts.iter().any(|account| mine(&account)) {
            doubts.push(Doubt::NoAccounts { profile: name() });
        }
        let accounts = seatless(evaluation.accounts.iter().filter(mine), profile);
        if accounts > 0 {
            doubts.push(Doubt::NoSeats { profile: name(), accounts });
        }
        for (_, component, values) in gathered.unreadable.iter().filter(|(of, _, values)| *of == place && *values > 0) {
            let component = profile.components.get(*component).map(|component| component.name.clone());
            doubts.extend(component.map(|component| Doubt::Unreadable { profile: name(), component, values: *values }));
        }
        let correlation =
            Crowd::of(evaluation.accounts.iter().filter(mine)).goes_with_size().filter(|rank| *rank > TOGETHER);
        doubts.extend(correlation.map(|correlation| Doubt::GoesWithSize { profile: name(), correlation }));
    }
    let is_ahead =
        |account: &&Account| stated_start(&account.traits, &model.calendar).is_some_and(|start| start > today);
    let accounts = evaluation.accounts.iter().filter(is_ahead).count() as u64;
    doubts.extend((accounts > 0).then_some(Doubt::StartsAhead { accounts }));
    doubts.extend(model.written.asked.keys().filter_map(|event| {
        let since = *ask.since.get(event.strip_prefix(MARK)?)?;
        Some(Doubt::AskedSince { event: model.display_event(event).to_owned(), since })
    }));
    for stated in &model.overrides {
        let known =
            |account: &str| evaluation.accounts.binary_search_by(|other| other.id.as_str().cmp(account)).is_ok();
        if stated.until < today {
            doubts.push(Doubt::OverrideEnded { account: stated.account.clone(), until: stated.until });
        } else if !known(&stated.account) {
            doubts.push(Doubt::OverrideOfNobody { account: stated.account.clone() });
        }
    }
    doubts
}

/// How many used accounts state no seats that raw scores could be divided by.
fn seatless<'a>(accounts: impl Iterator<Item = &'a Account>, profile: &Profile) -> u64 {
    match profile.per {
        Per::Seat(_) => {
            accounts.filter(|account| account.health.raw.is_some() && account.health.size.is_none()).count() as u64
        }
        Per::Account | Per::ActiveUser => 0,
    }
}
