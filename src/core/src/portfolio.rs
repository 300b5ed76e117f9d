//! All accounts together: how they stand, which way they go, how many were lost, and how far new ones come.
//!
//! An account that is rolled up into another one is a part of that and does not count for itself; one that has left no longer
//! counts, from its date on where it states one, as for benchmarks and alerts. Two evaluations are compared, both under today's config, so that nothing but the customers moves a figure.

use serde::{Deserialize, Serialize};

use crate::checklist::share;
use crate::evaluate::{Account, Evaluation};
use crate::model::{Band, Model};

/// The lifecycle stage of accounts that left.
pub const CHURNED: &str = "churned";
/// A usual churn rate, in percent.
pub const CHURN_USUAL: f64 = 3.0;
/// A churn rate that is a warning, in percent.
pub const CHURN_WARNING: f64 = 7.0;

/// All accounts together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Portfolio {
    /// The last day of the windows then, a date.
    pub from: String,
    /// The last day of the windows now, a date.
    pub to: String,
    /// How many accounts count now.
    pub accounts: usize,
    /// How many are in each band.
    pub bands: Bands,
    /// Their scores now.
    pub score: Scores,
    /// The scores of those that counted then.
    pub score_before: Scores,
    /// Mean now − mean then.
    pub trend: Option<f64>,
    /// Who was lost between; `None` if no lifecycle rule says who is churned.
    pub churn: Option<Churn>,
    /// How far accounts come with each checklist, in the order of the config.
    pub funnels: Vec<Funnel>,
}

/// How many accounts are in a band, and their share of all in percent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// How many.
    pub accounts: usize,
    /// Of all, in percent; `None` of none.
    pub percent: Option<f64>,
}

/// The bands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Bands {
    /// In the healthy band.
    pub healthy: Part,
    /// In the normal band.
    pub normal: Part,
    /// In the band at risk.
    pub at_risk: Part,
    /// Without a band.
    pub unknown: Part,
}

/// Mean and median of scores, unrounded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// How many accounts have a score.
    pub accounts: usize,
    /// The mean.
    pub mean: Option<f64>,
    /// The median.
    pub median: Option<f64>,
}

/// Accounts that were lost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Churn {
    /// How many counted at the start.
    pub at_start: usize,
    /// How many of them have left by now.
    pub lost: usize,
    /// Lost ÷ at start × 100.
    pub percent: Option<f64>,
    /// Whether that is [`CHURN_WARNING`] or more.
    pub warning: bool,
}

/// How far accounts come with a checklist.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Funnel {
    /// The checklist.
    pub checklist: String,
    /// How many accounts have it.
    pub accounts: usize,
    /// Its steps, in order.
    pub steps: Vec<Stage>,
    /// How many did all steps.
    pub activated: usize,
    /// How many are stalled.
    pub stalled: usize,
}

/// One step of a funnel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// The step.
    pub step: String,
    /// How many accounts did it, in whatever order.
    pub done: usize,
    /// How many did it and all before it.
    pub so_far: usize,
    /// The same of all that have the checklist, in percent.
    pub percent: Option<f64>,
}

/// The portfolio now against then.
pub fn portfolio(now: &Evaluation, then: &Evaluation, model: &Model) -> Portfolio {
    let (counted, before) = (counted(now), counted(then));
    let (score, score_before) = (scores(&counted), scores(&before));
    let part = |band: Option<Band>| {
        let accounts = counted.iter().filter(|account| account.health.band == band).count();
        Part { accounts, percent: share(accounts, counted.len()) }
    };
    let bands = Bands {
        healthy: part(Some(Band::Healthy)),
        normal: part(Some(Band::Normal)),
        at_risk: part(Some(Band::AtRisk)),
        unknown: part(None),
    };
    let says = model.lifecycle.iter().any(|(stage, _)| stage == CHURNED);
    Portfolio {
        from: then.over.to_string(),
        to: now.over.to_string(),
        accounts: counted.len(),
        bands,
        score,
        score_before,
        trend: score.mean.zip(score_before.mean).map(|(now, then)| now - then),
        churn: says.then(|| churn(&before, now)),
        funnels: model.activation.iter().map(|list| funnel(&list.name, &counted, model)).collect(),
    }
}

/// The accounts that count, in the order of their ids.
fn counted(evaluation: &Evaluation) -> Vec<&Account> {
    evaluation.accounts.iter().filter(|account| account.parent.is_none() && !account.has_left).collect()
}

fn scores(accounts: &[&Account]) -> Scores {
    let mut scores: Vec<f64> = accounts.iter().filter_map(|account| account.health.score).collect();
    scores.sort_unstable_by(f64::total_cmp);
    let (count, middle) = (scores.len(), scores.len() / 2);
    let mean = (count > 0).then(|| scores.iter().sum::<f64>() / count as f64);
    let median = match (count % 2, middle.checked_sub(1).and_then(|below| scores.get(below)), scores.get(middle)) {
        (0, Some(below), Some(above)) => Some((below + above) / 2.0),
        (_, _, above) => above.copied(),
    };
    Scores { accounts: count, mean, median }
}

fn churn(before: &[&Account], now: &Evaluation) -> Churn {
    let left = |account: &&&Account| {
        let place = now.accounts.binary_search_by(|other| other.id.cmp(&account.id));
        place.ok().and_then(|place| now.accounts.get(place)).is_some_and(|account| account.has_left)
    };
    let lost = before.iter().filter(left).count();
    // By whole numbers, since a share may be off in its last digit.
    let warning = lost > 0 && lost as f64 * 100.0 >= CHURN_WARNING * before.len() as f64;
    Churn { at_start: before.len(), lost, percent: share(lost, before.len()), warning }
}

fn funnel(checklist: &str, counted: &[&Account], model: &Model) -> Funnel {
    let own: Vec<&&Account> =
        counted.iter().filter(|account| account.checklist.as_deref() == Some(checklist)).collect();
    let names = model.activation.iter().find(|list| list.name == checklist).map(|list| list.steps.as_slice());
    let has = |account: &Account, step: usize| account.steps.get(step).is_some_and(|(_, done)| done.is_some());
    let stage = |(place, name): (usize, &String)| {
        let done = own.iter().filter(|account| has(account, place)).count();
        let so_far = own.iter().filter(|account| (0..=place).all(|step| has(account, step))).count();
        Stage { step: name.clone(), done, so_far, percent: share(so_far, own.len()) }
    };
    let names: Vec<String> = names.unwrap_or_default().iter().map(|step| step.name.clone()).collect();
    Funnel {
        checklist: checklist.to_owned(),
        accounts: own.len(),
        steps: names.iter().enumerate().map(stage).collect(),
        activated: own.iter().filter(|account| account.activated_at.is_some()).count(),
        stalled: own.iter().filter(|account| account.stalled == Some(true)).count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checklist::{Checklist, Done, Step};
    use crate::expr::Expr;
    use crate::figures::Health;
    use crate::section::{Faults, Place};
    use crate::time::Day;
    use crate::value::Type;

    fn model() -> Model {
        let scope = crate::names::trait_scope(&[]);
        let rule = Expr::parse("false", Place::default(), &scope, Type::Bool, &mut Faults::default()).expect("a rule");
        let step = |name: &str| Step::new(name, Done::Trait(name.into()));
        let list = Checklist::of(vec![step("one"), step("two"), step("three")]);
        Model { lifecycle: vec![(CHURNED.into(), rule)], activation: vec![list], ..Model::default() }
    }

    fn evaluation(accounts: impl IntoIterator<Item = Account>) -> Evaluation {
        Evaluation { accounts: accounts.into_iter().collect(), ..Evaluation::default() }
    }

    fn account(number: usize) -> Account {
        Account { id: format!("a{number:04}"), ..Account::default() }
    }

    fn churned(number: usize) -> Account {
        Account { has_left: true, ..announced(number) }
    }

    /// The rule holds, and its date is yet to come.
    fn announced(number: usize) -> Account {
        Account { rules: ["lifecycle.churned".to_owned()].into(), churned_on: Some(Day(9)), ..account(number) }
    }

    #[test]
    fn fifty_of_a_thousand_lost_are_five_percent() {
        for (lost, percent, warning) in [(50, 5.0, false), (69, 6.9, false), (70, 7.0, true), (30, 3.0, false)] {
            // Three that left before don't count, and neither do those that came and left meanwhile. Who will leave is there.
            let then =
                evaluation((0..500).map(announced).chain((500..1000).map(account)).chain((1000..1003).map(churned)));
            let now = evaluation(
                (0..lost)
                    .map(churned)
                    .chain((lost..900).map(announced))
                    .chain((900..1000).map(account))
                    .chain((1000..1010).map(churned)),
            );
            let found = portfolio(&now, &then, &model());
            let churn = found.churn.expect("a rule says who is churned");
            assert_eq!((churn.at_start, churn.lost, churn.warning), (1000, lost, warning));
            assert!(churn.percent.is_some_and(|found| (found - percent).abs() < 1e-9), "{churn:?}");
            assert_eq!(found.accounts, 1000 - lost);
        }
        let silent = Model { lifecycle: Vec::new(), ..model() };
        assert_eq!(portfolio(&evaluation([]), &evaluation([]), &silent).churn, None, "nobody says who is churned");
        assert_eq!(portfolio(&evaluation([]), &evaluation([]), &model()).churn.and_then(|churn| churn.percent), None);
    }

    #[test]
    fn bands_mean_and_median_are_of_the_accounts_that_count() {
        let with = |number, score: Option<f64>, band| Account {
            health: Health { score, band, ..Health::default() },
            ..account(number)
        };
        let part = Account { parent: Some("a0001".into()), ..with(5, Some(1.0), Some(Band::AtRisk)) };
        let now = evaluation([
            with(1, Some(90.0), Some(Band::Healthy)),
            with(2, Some(50.0), Some(Band::Normal)),
            with(3, Some(40.0), Some(Band::Normal)),
            with(4, None, None),
            part,
        ]);
        let then = evaluation([with(1, Some(80.0), None), with(2, Some(20.0), None)]);
        let found = portfolio(&now, &then, &model());
        let bands = [found.bands.healthy, found.bands.normal, found.bands.at_risk, found.bands.unknown];
        assert_eq!(bands.map(|part| (part.accounts, part.percent)), [1, 2, 0, 1].map(|n| (n, Some(n as f64 * 25.0))));
        assert_eq!((found.score.accounts, found.score.mean, found.score.median), (3, Some(60.0), Some(50.0)));
        assert_eq!((found.score_before.median, found.trend), (Some(50.0), Some(10.0)));
    }

    #[test]
    fn a_funnel_counts_who_did_a_step_and_all_before() {
        let did = |number, steps: [bool; 3]| {
            let done = |(name, done): (&str, bool)| (name.to_owned(), done.then_some(Day(1)));
            Account {
                checklist: Some("activation".into()),
                steps: ["one", "two", "three"].into_iter().zip(steps).map(done).collect(),
                activated_at: (steps == [true; 3]).then_some(Day(1)),
                stalled: Some(steps == [false; 3]),
                ..account(number)
            }
        };
        let now = evaluation([
            did(1, [true, true, true]),
            did(2, [true, false, true]),
            did(3, [true, true, false]),
            did(4, [false; 3]),
            account(5),
        ]);
        let funnel = portfolio(&now, &now, &model()).funnels.remove(0);
        let steps: Vec<_> = funnel.steps.iter().map(|stage| (stage.done, stage.so_far, stage.percent)).collect();
        assert_eq!(steps, [(3, 3, Some(75.0)), (2, 2, Some(50.0)), (2, 1, Some(25.0))]);
        assert_eq!((funnel.accounts, funnel.activated, funnel.stalled), (4, 1, 1));
    }
}
