//! What a backtest came to. Figures are rounded to four digits: more would be noise.

use serde::{Deserialize, Serialize};
use vitalsync_core::backtest::{Book, Fitted, Interval, Judged, Outcomes, Terms};
use vitalsync_core::risk::{SIGNS, Weights};

use super::digits;

/// How well figures of the past would have foreseen who left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BacktestReport {
    /// How many days were looked back to.
    pub snapshots: usize,
    /// Accounts that were in at least one of them.
    pub accounts: usize,
    /// Those of them that left after at least one.
    pub churned: usize,
    /// Who leaves within so many days after a snapshot has left.
    pub horizon_days: i32,
    /// Each figure's judgement.
    pub predictors: Vec<PredictorReport>,
    /// One row for an account and a snapshot.
    pub rows: usize,
    /// Rows after which the account left.
    pub churned_rows: usize,
    /// The first and the last snapshot, each as of its end.
    pub first_snapshot: String,
    /// The last one.
    pub last_snapshot: String,
    /// `churned`: the lifecycle rule's date; `silence`: no event within the horizon.
    pub label: String,
    /// Whose score it is; each account's own if null.
    pub profile: Option<String>,
    /// The share that is flagged, 0–1.
    pub k_share: f64,
    /// Accounts that were younger are left out.
    pub min_age_days: i32,
    /// Accounts that were silent for so long are left out.
    pub active_within_days: i32,
    /// Other weights, if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fit: Option<FitReport>,
}

/// How well one figure would have foreseen who left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PredictorReport {
    /// Its name in rules.
    pub name: String,
    /// The chance that it ranks one that left above one that stayed; 0.5 is a coin's.
    pub auc: Option<f64>,
    /// The lower end of its 95 % interval.
    pub auc_low: Option<f64>,
    /// The upper end.
    pub auc_high: Option<f64>,
    /// The share of those flagged that left.
    pub precision_at_k: Option<f64>,
    /// The share of those that left that were flagged.
    pub recall_at_k: Option<f64>,
    /// Precision ÷ the share of all that left.
    pub lift_at_k: Option<f64>,
    /// How many rows were flagged.
    pub k: usize,
    /// How many of those left; not whole where equals share the last places.
    pub hits: f64,
    /// Rows that it has a value for.
    pub rows: usize,
    /// Those of them after which the account left.
    pub churned_rows: usize,
    /// How early.
    pub recall_at_lead: Vec<LeadReport>,
    /// The share of those that left that is found at 0, 2, … 100 % false alarms.
    pub roc: Vec<f64>,
}

/// How many ends were seen so long before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LeadReport {
    /// Days before the end, at least.
    pub lead_days: i32,
    /// Ends of accounts that were in the last snapshot then.
    pub ends: usize,
    /// The share of them that was flagged in it.
    pub recall: Option<f64>,
}

/// Other weights for the churn risk, to be looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FitReport {
    /// The snapshots that were learned from, first and last.
    pub learned_from: (String, String),
    /// The later snapshots that judge.
    pub judged_by: (String, String),
    /// Accounts that left after those.
    pub churned: usize,
    /// What those say of the config's weights: AUC with its interval.
    pub auc_now: Option<[f64; 3]>,
    /// What they say of the proposed ones.
    pub auc_proposed: Option<[f64; 3]>,
    /// Weights that would change: name, from, to.
    pub changes: Vec<(String, f64, f64)>,
}

/// A part of a whole; `None` of nothing.
fn share(part: f64, whole: usize) -> Option<f64> {
    (whole > 0).then(|| digits(part / whole as f64))
}

impl BacktestReport {
    /// The report of a judgement.
    pub fn of(book: &Book, outcomes: &Outcomes, terms: &Terms, judged: &[Judged], fit: Option<FitReport>) -> Self {
        let (accounts, churned) = book.counts();
        let date = |day: Option<&vitalsync_core::Day>| day.map(ToString::to_string).unwrap_or_default();
        Self {
            snapshots: book.dates.len(),
            accounts,
            churned,
            horizon_days: terms.horizon,
            predictors: judged.iter().map(PredictorReport::of).collect(),
            rows: book.rows.len(),
            churned_rows: book.rows.iter().filter(|row| row.left).count(),
            first_snapshot: date(book.dates.first()),
            last_snapshot: date(book.dates.last()),
            label: if outcomes.by_rule { "churned" } else { "silence" }.into(),
            profile: terms.profile.clone(),
            k_share: terms.k,
            min_age_days: terms.min_age,
            active_within_days: terms.active_within,
            fit,
        }
    }

    /// What was looked at, in words.
    pub fn said(&self) -> String {
        let Self { snapshots, accounts, churned, horizon_days, rows, churned_rows, .. } = self;
        let left = match self.label.as_str() {
            "churned" => format!("left within {horizon_days} days, by the lifecycle rule"),
            _ => format!("did nothing in the {horizon_days} days after"),
        };
        format!(
            "{snapshots} snapshots from {} to {}, each from what had been received by then: {accounts} accounts at least \
             {} days old and active within {} days in {rows} rows; {churned} of them {left} ({churned_rows} rows)",
            self.first_snapshot, self.last_snapshot, self.min_age_days, self.active_within_days
        )
    }
}

impl PredictorReport {
    fn of(judged: &Judged) -> Self {
        let auc = |of: fn(&Interval) -> f64| judged.auc.as_ref().map(of).map(digits);
        let precision = share(judged.hits, judged.flagged);
        let chance = judged.left as f64 / judged.rows.max(1) as f64;
        Self {
            name: judged.name.into(),
            auc: auc(|auc| auc.value),
            auc_low: auc(|auc| auc.low),
            auc_high: auc(|auc| auc.high),
            precision_at_k: precision,
            recall_at_k: share(judged.hits, judged.left),
            lift_at_k: precision.filter(|_| chance > 0.0).map(|precision| digits(precision / chance)),
            k: judged.flagged,
            hits: digits(judged.hits),
            rows: judged.rows,
            churned_rows: judged.left,
            recall_at_lead: judged
                .leads
                .iter()
                .map(|(lead_days, ends, flagged)| LeadReport {
                    lead_days: *lead_days,
                    ends: *ends,
                    recall: share(*flagged, *ends),
                })
                .collect(),
            roc: judged.roc.iter().copied().map(digits).collect(),
        }
    }

    /// What flagging by it would have come to, in words.
    pub fn said(&self) -> String {
        let chance = self.k as f64 * self.churned_rows as f64 / self.rows.max(1) as f64;
        format!("of {} flagged, {:.0} left; chance finds {chance:.0}", self.k, self.hits)
    }
}

impl FitReport {
    /// The report of proposed weights.
    pub fn of(fitted: &Fitted, now: &Weights) -> Self {
        let span = |(from, to): (vitalsync_core::Day, vitalsync_core::Day)| (from.to_string(), to.to_string());
        let three = |auc: Option<Interval>| auc.map(|auc| [auc.value, auc.low, auc.high].map(digits));
        let pairs = std::iter::once(("base", now.base, fitted.weights.base))
            .chain(SIGNS.iter().enumerate().map(|(at, sign)| (sign.name, now.signs[at], fitted.weights.signs[at])));
        Self {
            learned_from: span(fitted.learned),
            judged_by: span(fitted.judged),
            churned: fitted.held.churned,
            auc_now: three(fitted.held.now),
            auc_proposed: three(fitted.held.proposed),
            changes: pairs
                .filter(|(_, now, proposed)| now != proposed)
                .map(|(name, now, proposed)| (name.to_owned(), now, proposed))
                .collect(),
        }
    }
}
