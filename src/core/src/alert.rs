//! Alert rules, and the alerts that they fire: edges, not levels.
//!
//! A rule looks for something that was not so and is so now: a fall, a band, a segment, a step. It starts silent: the first
//! time it meets an account or a user it only remembers how they stand. It never fires twice for one occasion, and only for
//! what the customer did: `edge` says how that is told from what a config, a benchmark or late data do. Whether what fired is
//! told at once, later, together with others or not at all says `dispatch`.
//!
//! Deliberately not here: alerts about what several accounts do together, and how a message looks: that is the destination's.

mod dispatch;
mod edge;
pub mod read;
mod renewal;
mod route;
mod send;
mod tell;
#[cfg(test)]
mod tests;
pub mod when;
mod whom;

use serde::{Deserialize, Serialize};

pub use self::dispatch::{Dispatch, Fate, Snooze, Waiting, dispatch, worst_first};
pub use self::edge::{Edge, EdgeState, Pass, Past, data_stopped, edge, may_fire, news_since, settled, stopped_subject};
pub use self::renewal::{Renewal, renewals};
pub use self::route::{Places, Route};
pub use self::send::{ABOUT, ALERT, CARRIES, Delivery, UNKNOWN};
pub use self::tell::{Form, Wording, names, tell};
use self::when::{Digest, QuietHours};
pub use self::whom::{Whom, user_key, user_of};
use crate::evaluate::{Account, Health, User};
use crate::expr::Expr;
use crate::mapping::Level;
use crate::model::{Band, Model};
use crate::section::Place;
use crate::segments;
use crate::template::TextTemplate;
use crate::time::{Day, Timestamp};

/// An occasion that is older is not told any more.
pub const STALE_MS: i64 = 48 * 3_600_000;

/// A rule of a destination's `alerts:`.
#[derive(Debug, Clone)]
pub struct AlertRule {
    /// Its name in the config.
    pub name: String,
    /// What fires it.
    pub trigger: Trigger,
    /// Whether it looks at accounts or at users.
    pub level: Level,
    /// Only for those of whom this holds.
    pub only: Option<Expr>,
    /// Where it goes.
    pub to: Route,
    /// Where that stands in the config.
    pub to_at: Place,
    /// Where it goes if that place is not there, or there is none.
    pub fallback: Option<String>,
    /// Where that stands in the config; it may be the destination's.
    pub fallback_at: Place,
    /// How long the same rule stays silent for the same account or user after it fired, in milliseconds.
    pub cooldown_ms: i64,
    /// Whether it waits for others.
    pub digest: Digest,
    /// When nobody is told.
    pub quiet: Option<QuietHours>,
    /// Whether it is told, too, that what fired it is over.
    pub recovery: bool,
    /// How it is put; `None`: as the destination does by itself.
    pub template: Option<Wording>,
}

impl AlertRule {
    /// A rule about accounts that is told at once; what else it says is filled in.
    pub fn new(name: impl Into<String>, trigger: Trigger, to: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            trigger,
            level: Level::Account,
            only: None,
            to: Route::Place(to.into()),
            to_at: Place::default(),
            fallback: None,
            fallback_at: Place::default(),
            cooldown_ms: 0,
            digest: Digest::Immediately,
            quiet: None,
            recovery: false,
            template: None,
        }
    }

    /// Every expression of it.
    pub fn exprs(&self) -> impl Iterator<Item = &Expr> {
        let route = if let Route::Rule(expr, _) = &self.to { Some(expr) } else { None };
        self.only.iter().chain(route).chain(self.template.iter().flat_map(|template| template.names()))
    }
}

/// All that a destination says of its alerts.
#[derive(Debug, Clone, Default)]
pub struct Alerting {
    /// Its rules.
    pub rules: Vec<AlertRule>,
    /// So many messages in one pass; what is left goes together, for each place. 0: without bound.
    pub cap: usize,
    /// So many alerts fit into one message: more of them take several, the later ones as answers to the first. 0: without bound.
    pub together: usize,
    /// Where an account is found in a tool for people, from the account's names.
    pub crm_url: Option<TextTemplate>,
}

impl AlertRule {
    /// Whether it looks at what a score has come to: then more than the customer can move it.
    pub fn is_about_scores(&self, model: &Model) -> bool {
        match &self.trigger {
            Trigger::Band(..) => true,
            Trigger::Segment(name, _) => segments::rests_on_scores(model, name),
            _ => false,
        }
    }
}

/// What fires a rule.
#[derive(Debug, Clone, PartialEq)]
pub enum Trigger {
    /// The score fell by so many points from the highest daily score of so many days.
    Drop {
        /// Points, above 0.
        points: f64,
        /// Days, at least 1.
        within_days: i32,
    },
    /// The score rose by so many points from the lowest daily score of so many days.
    Rise {
        /// Points, above 0.
        points: f64,
        /// Days, at least 1.
        within_days: i32,
    },
    /// The account came into a band, or left it.
    Band(Band, Side),
    /// The account came into a segment, or left it.
    Segment(String, Side),
    /// A named step of activation was done.
    Step(String),
    /// All steps of activation are done.
    Activated,
    /// The first scored event ever.
    FirstValue,
    /// Nothing was heard of the account for so many days.
    Quiet(i32),
    /// It is back after at least so many days.
    Back(i32),
    /// The account was never seen before.
    NewAccount,
    /// An event was done so often, by all of its users together, ever.
    Milestone {
        /// The event's name of today.
        event: String,
        /// How often, at least 1.
        count: u32,
    },
    /// A user was never seen before.
    NewUser,
    /// The user who made the largest part of an account's score has not been heard of for so many days.
    ChampionQuiet(i32),
    /// A source fell silent; of no account.
    DataStopped,
}

/// Which way a border is crossed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// In.
    Entered,
    /// Out.
    Left,
}

impl Trigger {
    /// How many days of daily scores it looks back over.
    pub fn within_days(&self) -> i32 {
        match self {
            Self::Drop { within_days, .. } | Self::Rise { within_days, .. } => *within_days,
            _ => 0,
        }
    }

    /// Whether it is so of an account, of those that are not about the score's course; `None` where that can't be said, as of
    /// a band without a score. A band and a silence that the account had at the same phase of its cycle before are not so: what
    /// comes around each time is no news, until it stays for longer than it did.
    pub fn holds(&self, account: &Account) -> Option<bool> {
        let quiet = |days: i32| account.silent_days.map(|silent| silent >= days);
        let Health { band, phase_bands, .. } = &account.health;
        match self {
            Self::Drop { .. } | Self::Rise { .. } => None,
            Self::Band(wanted, side) => band.map(|now| {
                let is = |band: &Band| (band == wanted) == (*side == Side::Entered);
                is(&now) && !phase_bands.iter().any(is)
            }),
            Self::Segment(name, side) => Some(account.in_rule(&format!("segments.{name}")) == (*side == Side::Entered)),
            Self::Step(_) | Self::Activated | Self::Milestone { .. } => Some(self.day(account).is_some()),
            Self::FirstValue => account.adoption_all_time.map(|ever| ever > 0.0),
            Self::Quiet(days) => quiet(*days).map(|quiet| quiet && !account.rests(*days)),
            Self::Back(days) => quiet(*days).map(|quiet| !quiet),
            Self::NewAccount => Some(true),
            Self::NewUser | Self::ChampionQuiet(_) | Self::DataStopped => None,
        }
    }

    /// The same of a user.
    fn holds_of_user(&self, user: &User) -> Option<bool> {
        let quiet = |days: i32| user.silent_days.map(|silent| silent >= days);
        match self {
            Self::Band(band, side) => user.health.band.map(|now| (now == *band) == (*side == Side::Entered)),
            Self::Activated => user.activation_percent.map(|percent| percent >= 100.0),
            Self::FirstValue => user.health.raw.map(|raw| raw > 0.0),
            Self::Quiet(days) | Self::ChampionQuiet(days) => quiet(*days),
            Self::Back(days) => quiet(*days).map(|quiet| !quiet),
            Self::NewUser => Some(true),
            _ => None,
        }
    }

    /// The same of whomever.
    fn holds_of(&self, whom: &Whom<'_>) -> Option<bool> {
        match whom {
            Whom::Account(account) => self.holds(account),
            Whom::User(user, _) => self.holds_of_user(user),
        }
    }

    /// Whether it can be over again, so that there is something to tell.
    pub fn can_be_over(&self) -> bool {
        matches!(
            self,
            Self::Drop { .. }
                | Self::Band(..)
                | Self::Segment(..)
                | Self::Quiet(_)
                | Self::ChampionQuiet(_)
                | Self::DataStopped
        )
    }

    /// Whether it can be asked of those at a level.
    pub fn is_of(&self, level: Level) -> bool {
        match self {
            Self::Drop { .. } | Self::Rise { .. } | Self::Band(..) | Self::Quiet(_) | Self::Back(_) => true,
            Self::Activated | Self::FirstValue => true,
            Self::NewUser | Self::ChampionQuiet(_) => level == Level::User,
            _ => level == Level::Account,
        }
    }

    /// How much it matters, the worse the more: falls by their points, who is at risk or quiet, then
    /// what is good.
    fn severity(&self, whom: &Whom<'_>, what: &What) -> f64 {
        let score = whom.score().unwrap_or(50.0);
        match (self, what) {
            (Self::Drop { .. }, What::Moved { from_score, .. }) => 100.0 + from_score - score,
            (Self::Band(Band::AtRisk, Side::Entered), _) => 200.0 - score,
            (Self::Quiet(_) | Self::ChampionQuiet(_), _) => 90.0,
            (Self::Band(Band::Healthy, Side::Left), _) => 80.0,
            (Self::Segment(..), _) => 50.0,
            _ => 10.0,
        }
    }

    /// True if it may come about because nothing was heard, whoever fell silent.
    fn may_come_of_silence(&self) -> bool {
        matches!(self, Self::Drop { .. } | Self::Band(..) | Self::Segment(..) | Self::Quiet(_) | Self::ChampionQuiet(_))
    }

    /// The day on which it became so, of those that know it.
    fn day(&self, account: &Account) -> Option<Day> {
        match self {
            Self::Step(step) => account.steps.iter().find(|(name, _)| name == step).and_then(|(_, day)| *day),
            Self::Activated => account.activated_at,
            Self::Milestone { event, count } => account.milestones.get(&(event.clone(), *count)).copied(),
            _ => None,
        }
    }

    /// Its key in the config.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Drop { .. } => "drop",
            Self::Rise { .. } => "rise",
            Self::Band(_, Side::Entered) => "band",
            Self::Band(_, Side::Left) => "left_band",
            Self::Segment(_, Side::Entered) => "segment",
            Self::Segment(_, Side::Left) => "left",
            Self::Step(_) => "step",
            Self::Activated => "activated",
            Self::FirstValue => "first_value",
            Self::Quiet(_) => "quiet",
            Self::Back(_) => "back",
            Self::NewAccount => "new_account",
            Self::Milestone { .. } => "milestone",
            Self::NewUser => "new_user",
            Self::ChampionQuiet(_) => "champion_quiet",
            Self::DataStopped => "data_stopped",
        }
    }

    /// What is said of the account after its name, of those that are not about the score's course.
    fn said(&self) -> String {
        match self {
            Self::Drop { .. } => "fell".into(),
            Self::Rise { .. } => "rose".into(),
            Self::Band(band, Side::Entered) => format!("is {} now", words(band.name())),
            Self::Band(band, Side::Left) => format!("is no longer {}", words(band.name())),
            Self::Segment(name, Side::Entered) => format!("is now one of {}", words(name)),
            Self::Segment(name, Side::Left) => format!("is no longer one of {}", words(name)),
            Self::Step(step) => format!("has done the step {}", words(step)),
            Self::Activated => "is activated: all steps are done".into(),
            Self::FirstValue => "has used a core feature for the first time".into(),
            Self::Quiet(days) => format!("has been quiet for {days} days"),
            Self::Back(days) => format!("is back after {days} quiet days or more"),
            Self::NewAccount => "is a new account".into(),
            Self::NewUser => "is a new user".into(),
            Self::ChampionQuiet(days) => format!("used it most and has been quiet for {days} days"),
            Self::DataStopped => "has stopped".into(),
            Self::Milestone { event, count } => format!("has reached {count} × {event}"),
        }
    }
}

impl Trigger {
    /// What is said once it is over, of those that can be.
    fn said_of_end(&self) -> String {
        match self {
            Self::Drop { .. } => "has made up for half of the fall".into(),
            Self::Band(band, Side::Entered) => format!("is no longer {}", words(band.name())),
            Self::Band(band, Side::Left) => format!("is {} again", words(band.name())),
            Self::Segment(name, Side::Entered) => format!("is no longer one of {}", words(name)),
            Self::Segment(name, Side::Left) => format!("is one of {} again", words(name)),
            Self::Quiet(_) | Self::ChampionQuiet(_) => "is back".into(),
            _ => "is as before".into(),
        }
    }
}

fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// An alert that fired.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// The occasion: the same occasion is never sent twice.
    pub occasion: String,
    /// The rule that fired.
    pub rule: String,
    /// The account's id; empty where it is about a source or about several.
    pub account: String,
    /// The user's id, where it is about one.
    #[serde(default)]
    pub user: Option<String>,
    /// The name of whom it is about, or the id where there is none.
    pub name: String,
    /// Where it goes; empty where no place is known.
    pub to: String,
    /// Where it goes if that place turns out not to be there.
    #[serde(default)]
    pub fallback: Option<String>,
    /// The occasion that this is the end of.
    #[serde(default)]
    pub reply_to: Option<String>,
    /// How much it matters among others, the more the worse.
    #[serde(default)]
    pub severity: f64,
    /// The message by the rule's template.
    #[serde(default)]
    pub body: Option<String>,
    /// Where to look further: what it is called, and the address.
    #[serde(default)]
    pub links: Vec<(String, String)>,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
    /// The score now, 1–100, unrounded; none where it is unknown.
    pub score: Option<f64>,
    /// The band now.
    pub band: Option<String>,
    /// What is behind it, one line each: which events fell, who stopped.
    pub reasons: Vec<String>,
    /// The last activity of the account, or of the source.
    pub last_active: Option<Timestamp>,
    /// When it fired: the run's as-of time.
    pub at: Timestamp,
}

impl Alert {
    /// An alert that says of whom, what and when; where it goes and how is filled in.
    fn of(occasion: String, rule: &str, whom: Option<&Whom<'_>>, what: What, at: Timestamp) -> Self {
        Self {
            occasion,
            rule: rule.to_owned(),
            account: whom.and_then(Whom::account).map(|account| account.id.clone()).unwrap_or_default(),
            user: whom.and_then(Whom::user).map(|user| user.id.clone()),
            name: whom.map(Whom::called).unwrap_or_default(),
            to: String::new(),
            fallback: None,
            reply_to: None,
            severity: 0.0,
            body: None,
            links: Vec::new(),
            what,
            score: whom.and_then(|whom| whom.recent().last().map(|(_, score)| *score).or(whom.score())),
            band: whom.and_then(Whom::band).map(|band| band.name().to_owned()),
            reasons: Vec::new(),
            last_active: whom.and_then(Whom::last_active),
            at,
        }
    }

    /// Sends it where its rule does.
    #[must_use]
    pub fn goes(mut self, rule: &AlertRule, whom: Option<&Whom<'_>>) -> Self {
        match rule.to.place(whom) {
            Some(place) => (self.to, self.fallback) = (place, rule.fallback.clone()),
            None => self.to = rule.fallback.clone().unwrap_or_default(),
        }
        self
    }

    /// Every id of an account or user that it is about.
    pub fn about(&self) -> Vec<&str> {
        let mut about: Vec<&str> = match &self.what {
            What::Many { alerts, .. } => alerts.iter().flat_map(Self::about).collect(),
            _ => Vec::new(),
        };
        about.extend(Some(self.account.as_str()).filter(|account| !account.is_empty()));
        about.extend(self.user.as_deref());
        about
    }
}

/// What happened. States of old hold the first kind without a mark, so the kinds are told apart by their fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum What {
    /// The score fell or rose.
    Moved {
        /// The highest daily score of the span before, or the lowest.
        from_score: f64,
        /// The day of that score.
        from_day: Day,
        /// The rule's points.
        threshold: f64,
        /// The rule's span in days.
        within_days: i32,
    },
    /// A source fell silent.
    Stopped {
        /// Its name.
        source: String,
    },
    /// Several alerts in one message.
    Many {
        /// They, those that matter most first.
        alerts: Vec<Alert>,
        /// What they are: a digest, or what was left by a cap.
        kind: String,
        /// So many stand in the messages before, where they are too many for one.
        #[serde(default)]
        before: usize,
        /// So many there are in all these messages.
        #[serde(default)]
        of: usize,
    },
    /// Anything else.
    Said {
        /// What is said after the account's name.
        said: String,
    },
}
