//! What became of each account: on which days it did anything, and when it left.

use crate::figures::{Account, Evaluation};
use crate::time::Day;

/// One account's.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Its id.
    pub id: String,
    /// Every day with an event (track, page, screen).
    pub days: Vec<Day>,
    /// The day on which the lifecycle rule says that it left.
    pub churned: Option<Day>,
}

/// Everybody's, from all that is known.
#[derive(Debug, Clone, Default)]
pub struct Outcomes {
    /// By id.
    accounts: Vec<Outcome>,
    /// The first and the last day with an event of anybody's; `None` without any.
    pub span: Option<(Day, Day)>,
    /// Whether a lifecycle rule says who left; else who is silent for the horizon has.
    pub by_rule: bool,
}

impl Outcomes {
    /// Of accounts in the order of their ids.
    pub fn new(accounts: Vec<Outcome>, by_rule: bool) -> Self {
        let days =
            || accounts.iter().flat_map(|outcome| [outcome.days.first(), outcome.days.last()]).flatten().copied();
        let span = days().min().zip(days().max());
        Self { accounts, span, by_rule }
    }

    /// Of an evaluation that was asked for deeds. `by_rule`: a lifecycle rule says who left, and when.
    pub fn of(evaluation: &Evaluation, by_rule: bool) -> Self {
        let outcome = |account: &Account| Outcome {
            id: account.id.clone(),
            days: account.deeds.days.clone(),
            churned: account.churned_on,
        };
        Self::new(evaluation.accounts.iter().map(outcome).collect(), by_rule)
    }

    /// The id of the account at a place.
    pub fn id(&self, place: usize) -> &str {
        self.accounts.get(place).map_or("", |outcome| outcome.id.as_str())
    }

    /// An account and its place.
    pub(super) fn find(&self, id: &str) -> Option<(usize, &Outcome)> {
        let place = self.accounts.binary_search_by(|outcome| outcome.id.as_str().cmp(id)).ok()?;
        Some((place, self.accounts.get(place)?))
    }

    /// Whether an account had left by the end of a day.
    pub(super) fn is_gone(&self, outcome: &Outcome, day: Day) -> bool {
        self.by_rule && outcome.churned.is_some_and(|churned| churned <= day)
    }

    /// Whether an account left in the days after a day: by the rule's date, else by doing nothing in them.
    pub(super) fn left(&self, outcome: &Outcome, day: Day, horizon: i32) -> bool {
        let within = |at: &Day| *at > day && *at <= day.plus(horizon);
        if self.by_rule { outcome.churned.as_ref().is_some_and(within) } else { !outcome.days.iter().any(within) }
    }

    /// Whether the account at a place has left and is not back by the end of the data: by the rule's date, else by doing nothing
    /// in the last days of the horizon.
    pub fn is_gone_at_end(&self, place: usize, horizon: i32) -> bool {
        let (Some(outcome), Some((_, last))) = (self.accounts.get(place), self.span) else { return false };
        if self.by_rule { self.is_gone(outcome, last) } else { self.left(outcome, last.plus(-horizon), horizon) }
    }

    /// Every end: the account's place, and the day by the rule, else the first day of a silence that lasts the horizon and is
    /// over within the data.
    pub(super) fn ends(&self, horizon: i32) -> Vec<(usize, Day)> {
        let last = self.span.map_or(Day(0), |(_, last)| last);
        let mut ends = Vec::new();
        for (place, outcome) in self.accounts.iter().enumerate() {
            if self.by_rule {
                ends.extend(outcome.churned.map(|day| (place, day)));
                continue;
            }
            for (at, day) in outcome.days.iter().enumerate() {
                // After the last day of all nothing is known: silence until then is one that is over there.
                let next = outcome.days.get(at + 1).copied().unwrap_or(last.plus(1));
                if next.0 - day.0 > horizon {
                    ends.push((place, day.plus(1)));
                }
            }
        }
        ends
    }
}
