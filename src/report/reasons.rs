//! What goes together with leaving, and with being among the best.

use serde::{Deserialize, Serialize};
use vitalsync_core::reasons::{Association, Comparison, SMALLEST};

use super::digits;

/// Both comparisons.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReasonsReport {
    /// Who leaves within so many days after a snapshot has left.
    pub horizon_days: i32,
    /// Accounts that had left after some snapshot and are there again at the end: in neither group of `churned`.
    pub came_back: usize,
    /// Those that left and are gone, as they were when they were last there, against those that stayed throughout; null where
    /// they are too few.
    pub churned: Option<ComparisonReport>,
    /// The tenth with the highest health score today against the rest; null where they are too few.
    pub best: Option<ComparisonReport>,
    /// What is not told, and why.
    pub notes: Vec<String>,
}

/// A group against others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComparisonReport {
    /// What the group is called.
    pub group: String,
    /// What the others are called.
    pub others: String,
    /// Accounts in the group.
    pub group_accounts: usize,
    /// Accounts in the others.
    pub other_accounts: usize,
    /// A fact is told if so many accounts have it, and as many don't.
    pub smallest: usize,
    /// Facts that fewer have, or have not.
    pub left_out: usize,
    /// Traits that say nothing of others, because nearly everybody has a value of their own.
    pub too_various: Vec<String>,
    /// The clearest first.
    pub associations: Vec<AssociationReport>,
}

/// How a fact goes together with a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssociationReport {
    /// `trait`, `feature` (used in the last 90 days) or `first_week`.
    pub kind: String,
    /// The trait or event.
    pub name: String,
    /// The trait's value.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub value: String,
    /// How many of the group have it.
    pub group_with: usize,
    /// Of how many of the group it is known.
    pub group_known: usize,
    /// The share.
    pub group_share: f64,
    /// How many of the others have it.
    pub others_with: usize,
    /// Of how many of the others it is known.
    pub others_known: usize,
    /// The share.
    pub others_share: f64,
    /// The group's share ÷ the others'.
    pub lift: f64,
    /// The lower end of its 95 % interval.
    pub lift_low: f64,
    /// The upper end.
    pub lift_high: f64,
}

impl ComparisonReport {
    /// The report of a comparison.
    pub fn of(group: &str, others: &str, comparison: Comparison) -> Self {
        Self {
            group: group.into(),
            others: others.into(),
            group_accounts: comparison.sizes.0,
            other_accounts: comparison.sizes.1,
            smallest: SMALLEST,
            left_out: comparison.left_out,
            too_various: comparison.too_various,
            associations: comparison.associations.into_iter().map(AssociationReport::of).collect(),
        }
    }

    /// Those whose interval does not hold 1.
    pub fn clear(&self) -> impl Iterator<Item = &AssociationReport> {
        self.associations.iter().filter(|one| one.lift_low > 1.0 || one.lift_high < 1.0)
    }
}

impl AssociationReport {
    fn of(one: Association) -> Self {
        let share = |(with, known): (usize, usize)| digits(with as f64 / known.max(1) as f64);
        Self {
            kind: one.kind.name().into(),
            name: one.name,
            value: one.value,
            group_with: one.group.0,
            group_known: one.group.1,
            group_share: share(one.group),
            others_with: one.others.0,
            others_known: one.others.1,
            others_share: share(one.others),
            lift: digits(one.lift),
            lift_low: digits(one.low),
            lift_high: digits(one.high),
        }
    }

    /// The fact in words.
    pub fn said(&self) -> String {
        match self.kind.as_str() {
            "trait" => format!("{} {}", self.name, self.value),
            "feature" => format!("used {} in 90 days", self.name),
            _ => format!("did {} in the first week", self.name),
        }
    }
}
