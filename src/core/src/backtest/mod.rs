//! Backtest: how well figures of the past would have foreseen who left.
//!
//! One row for an account and a snapshot: its figures as they were known then, and whether it left in the days after. The
//! shell evaluates each snapshot from what had been received by its end, and what became of everybody once, from all that is
//! known; here both meet. So that nobody is judged by what came later, a row takes nothing of the second but its label.
//!
//! What is deliberately not here: probabilities. Predictors are judged by how they rank, since that is what a list of the
//! worst tenth is made from.

mod fit;
mod outcome;
mod rank;

use serde::{Deserialize, Serialize};

use crate::figures::{Account, Evaluation};
use crate::risk::{self, Values};
use crate::time::{Day, Span};

pub use self::fit::{Fitted, Held};
pub use self::outcome::{Outcome, Outcomes};
pub use self::rank::Interval;
use self::rank::{Draws, Ranking, flags};

/// With fewer accounts that left there is nothing to judge by.
pub const FEWEST: usize = 20;

/// What a backtest looks at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// The profile whose score is judged; each account's own if left out.
    pub profile: Option<String>,
    /// The first snapshot; as early as the data allows if left out.
    pub from: Option<Day>,
    /// The last one; as late as the data allows if left out.
    pub to: Option<Day>,
    /// From one snapshot to the next, whole days.
    pub every: Span,
    /// Who leaves within so many days after a snapshot has left.
    pub horizon: i32,
    /// How long before the end it is asked who was flagged, in days.
    pub leads: Vec<i32>,
    /// The share that is flagged, the worst first, 0–1.
    pub k: f64,
    /// Accounts that are younger are left out, in days.
    pub min_age: i32,
    /// Accounts that were silent for so many days are left out: they are gone already.
    pub active_within: i32,
    /// Whether other weights of the churn risk are looked for.
    pub fit: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            profile: None,
            from: None,
            to: None,
            every: Span::Months(1),
            horizon: 90,
            leads: vec![30, 60, 90],
            k: 0.1,
            min_age: 60,
            active_within: 60,
            fit: false,
        }
    }
}

impl Terms {
    /// The days of the snapshots, each as of its end. Without `from` they are ends of months from when the first account can
    /// be old enough.
    pub fn dates(&self, outcomes: &Outcomes) -> Vec<Day> {
        let Some((first, last)) = outcomes.span else { return Vec::new() };
        let old_enough = first.plus(self.min_age).plus_months(1).month_start().plus(-1);
        let (from, to) = (self.from.unwrap_or(old_enough), self.to.unwrap_or(last.plus(-self.horizon)));
        // The day before the n-th month after, so that ends of months stay ends of months.
        let date = |n: u32| match self.every {
            Span::Months(months) => from.plus(1).plus_months(n.saturating_mul(months.unsigned_abs().max(1))).plus(-1),
            span => from.plus(span.days().unwrap_or(1).max(1).saturating_mul(n as i32)),
        };
        (0..=(to.0 - from.0).max(0) as u32).map(date).take_while(|day| *day <= to).filter(|day| *day >= first).collect()
    }

    /// Whether a snapshot has a row for an account.
    pub fn takes(&self, account: &Account) -> bool {
        let silent = account.days_since_last_active;
        account.tenure_days.is_some_and(|days| days >= self.min_age)
            && silent.is_some_and(|days| days < self.active_within)
    }
}

/// A figure that is judged by how it ranks accounts.
#[derive(Debug, Clone, Copy)]
pub struct Predictor {
    /// Its name.
    pub name: &'static str,
    /// Its value, the higher the likelier an end; `None` where it has none. The second is [`Terms::profile`].
    pub of: fn(&Account, Option<&str>) -> Option<f64>,
}

/// Ours, then the plain figures that it must be better than.
pub static PREDICTORS: [Predictor; 6] = [
    Predictor { name: "churn_risk", of: |account, _| account.churn_risk },
    Predictor {
        name: "health_score",
        of: |account, profile| {
            let health = profile.map_or(Some(&account.health), |name| account.profiles.get(name))?;
            Some(-health.score?)
        },
    },
    Predictor { name: "days_since_last_active", of: |account, _| account.days_since_last_active.map(f64::from) },
    Predictor { name: "events_30d", of: |account, _| Some(-f64::from(account.habits?.events.last_30)) },
    Predictor { name: "active_days_90d", of: |account, _| Some(-f64::from(account.habits?.active_days.last_90)) },
    Predictor { name: "trend_30_30", of: |account, _| Some(-account.habits?.events.trend()?) },
];

/// An account at a snapshot.
#[derive(Debug, Clone)]
pub struct Row {
    /// The account's place among the outcomes.
    pub account: usize,
    /// The snapshot's place.
    pub snapshot: usize,
    /// Whether it left within the horizon.
    pub left: bool,
    /// The predictors' values.
    pub scores: [Option<f64>; PREDICTORS.len()],
}

/// All rows.
#[derive(Debug, Clone, Default)]
pub struct Book {
    /// The snapshots.
    pub dates: Vec<Day>,
    /// The rows, by snapshot, then by account.
    pub rows: Vec<Row>,
    /// Each row's signals of churn, if weights are looked for.
    values: Vec<Values>,
}

/// What a predictor came to.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Its name.
    pub name: &'static str,
    /// Rows that it has a value for.
    pub rows: usize,
    /// How likely it ranks one that left above one that stayed; `None` where it knows none of one of them.
    pub auc: Option<Interval>,
    /// How many were flagged: in each snapshot the share `k` of its rows, at least one.
    pub flagged: usize,
    /// How many of those left. Of equals at the edge each counts for its chance, so it need not be whole.
    pub hits: f64,
    /// How many left of all rows that it has a value for.
    pub left: usize,
    /// By lead: how many ends had a row so long before, and how many of those were flagged in it.
    pub leads: Vec<(i32, usize, f64)>,
    /// The ROC curve: which share of those that left is found at 0, 2, … 100 % false alarms.
    pub roc: Vec<f64>,
}

/// Why there is no judgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// Fewer accounts left than [`FEWEST`].
    TooFew {
        /// Accounts that left.
        churned: usize,
        /// Snapshots that were looked at.
        snapshots: usize,
        /// Which part of them, in words.
        part: &'static str,
    },
    /// There is no room for earlier snapshots whose days after end before the later ones.
    NoPast,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooFew { churned, snapshots, part } => write!(
                f,
                "only {churned} accounts left after the {snapshots} {part}snapshots, and fewer than {FEWEST} judge nothing: \
                 take more history (--from, an archive that goes further back), a shorter --horizon, or wait"
            ),
            Self::NoPast => f.write_str(
                "the history is too short to learn from its beginning and be judged by its end: take more snapshots \
                 (--from) or a shorter --horizon",
            ),
        }
    }
}

impl std::error::Error for Refused {}

impl Book {
    /// Takes a snapshot: an evaluation as of the end of `date`, from what had been received by then.
    pub fn take(&mut self, date: Day, evaluation: &Evaluation, outcomes: &Outcomes, terms: &Terms) {
        let snapshot = self.dates.len();
        self.dates.push(date);
        for account in evaluation.accounts.iter().filter(|account| terms.takes(account)) {
            let Some((place, outcome)) = outcomes.find(&account.id) else { continue };
            if outcomes.is_gone(outcome, date) {
                continue;
            }
            let left = outcomes.left(outcome, date, terms.horizon);
            let scores = PREDICTORS.map(|predictor| (predictor.of)(account, terms.profile.as_deref()));
            self.rows.push(Row { account: place, snapshot, left, scores });
            if terms.fit {
                self.values.push(risk::values(account).unwrap_or_default());
            }
        }
    }

    /// How many accounts have a row, and how many of them left.
    pub fn counts(&self) -> (usize, usize) {
        (distinct(self.rows.iter()), distinct(self.rows.iter().filter(|row| row.left)))
    }

    /// Judges every predictor; refuses below [`FEWEST`] accounts that left.
    pub fn judge(&self, outcomes: &Outcomes, terms: &Terms) -> Result<Vec<Judged>, Refused> {
        let (_, churned) = self.counts();
        if churned < FEWEST {
            return Err(Refused::TooFew { churned, snapshots: self.dates.len(), part: "" });
        }
        let draws = Draws::of(self.rows.iter().map(|row| row.account));
        let ends = outcomes.ends(terms.horizon);
        let judged = PREDICTORS.iter().enumerate().map(|(at, predictor)| {
            let known: Vec<(&Row, f64)> = self.rows.iter().filter_map(|row| Some((row, row.scores[at]?))).collect();
            let ranking = Ranking::new(known.iter().map(|(row, score)| (row.account, row.left, *score)));
            let flags = flags(&known, terms.k);
            let hits = known.iter().zip(&flags).filter(|((row, _), _)| row.left).map(|(_, flag)| flag).sum();
            Judged {
                name: predictor.name,
                rows: known.len(),
                auc: ranking.interval(&draws),
                flagged: flags.iter().sum::<f64>().round() as usize,
                hits,
                left: known.iter().filter(|(row, _)| row.left).count(),
                leads: terms.leads.iter().map(|lead| self.lead(*lead, &known, &flags, &ends)).collect(),
                roc: ranking.roc(),
            }
        });
        Ok(judged.collect())
    }

    /// Of all ends those that had a row in the last snapshot at least so many days before, and how many were flagged in it.
    fn lead(&self, days: i32, known: &[(&Row, f64)], flags: &[f64], ends: &[(usize, Day)]) -> (i32, usize, f64) {
        let rows = ends.iter().filter_map(|(account, end)| {
            let snapshot = self.dates.partition_point(|date| *date <= end.plus(-days)).checked_sub(1)?;
            known.binary_search_by_key(&(snapshot, *account), |(row, _)| (row.snapshot, row.account)).ok()
        });
        let (mut count, mut flagged) = (0, 0.0);
        for row in rows {
            count += 1;
            flagged += flags.get(row).copied().unwrap_or_default();
        }
        (days, count, flagged)
    }
}

/// How many accounts some rows are of.
fn distinct<'r>(rows: impl Iterator<Item = &'r Row>) -> usize {
    let mut accounts: Vec<usize> = rows.map(|row| row.account).collect();
    accounts.sort_unstable();
    accounts.dedup();
    accounts.len()
}
