//! What holds of every score, whatever it is made of.

use proptest::prelude::*;
use vitalsync_core::component::{Combine, Component, Reads, Whose};
use vitalsync_core::model::{MICRO, Model, Per, Profile, Refresh};
use vitalsync_core::names::trait_scope;
use vitalsync_core::value::Type;
use vitalsync_core::wildcard::Wildcard;

use crate::{AT, account, expr, group, of, seen, used, weighed};

/// A score's ingredients: counts of an event by name and of one by wildcard, their weights in points, seats, an answer.
#[derive(Debug, Clone)]
struct Case {
    counts: [u32; 2],
    weights: [i64; 2],
    seats: u32,
    nps: Option<i32>,
    /// Of usage and of the component.
    parts: (u32, u32),
}

fn case() -> impl Strategy<Value = Case> {
    let parts = (0..100u32, 0..100u32).prop_filter("something weighs", |(usage, nps)| usage + nps > 0);
    let (counts, weights) = (prop::array::uniform2(0..20u32), prop::array::uniform2(1..=10i64));
    (counts, weights, 1..9u32, prop::option::of(-2..13i32), parts)
        .prop_map(|(counts, weights, seats, nps, parts)| Case { counts, weights, seats, nps, parts })
}

fn model(case: &Case) -> Model {
    let component = Component {
        name: "nps".into(),
        whose: Whose::Users(Combine::Mean),
        from: "nps".into(),
        reads: Reads::Range(0.0, 10.0),
        weight: f64::from(case.parts.1),
        max_age: Some(90),
    };
    let seats = expr("traits.seats", &trait_scope(&[]), Type::Number);
    of(Profile {
        per: Per::Seat(seats),
        components: vec![component],
        usage_weight: f64::from(case.parts.0),
        wildcards: vec![(Wildcard::new("Report *"), case.weights[1] * MICRO)],
        ..weighed(&[("A", case.weights[0])], Refresh::Fixed(40.0))
    })
}

fn score(case: &Case) -> Option<f64> {
    let mut lines = used("a", "u", "Unscored", "2026-08-01", 1);
    lines.extend(used("a", "u", "A", "2026-08-01", case.counts[0]));
    lines.extend(used("a", "v", "Report Shared", "2026-08-02", case.counts[1]));
    lines.push(group("a", &format!(r#"{{"seats":{}}}"#, case.seats), "2026-08-01"));
    lines.extend(case.nps.map(|nps| {
        format!(r#"{{"type":"identify","messageId":"i","userId":"u","traits":{{"nps":{nps}}},"timestamp":"2026-08-01T08:00:00Z"}}"#)
    }));
    account(&seen(&lines, &model(case), AT), "a").health.score
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_score_is_within_bounds_and_rises_with_all_that_is_good(case in case(), place in 0..2usize, more in 1..9u32) {
        let Some(before) = score(&case) else {
            // Only where nothing that weighs has a value.
            prop_assert!(case.parts.0 == 0 && case.nps.is_none(), "{case:?}");
            return Ok(());
        };
        prop_assert!((1.0..=100.0).contains(&before), "{before}");
        let mut raised = Vec::new();
        let mut with = |change: &dyn Fn(&mut Case)| {
            let mut other = case.clone();
            change(&mut other);
            raised.push(other);
        };
        with(&|case| case.counts[place] += more);
        with(&|case| case.weights[place] += i64::from(more));
        with(&|case| case.nps = case.nps.map(|nps| nps + more as i32));
        with(&|case| case.seats = case.seats.saturating_sub(more).max(1));
        for other in raised {
            let after = score(&other);
            prop_assert!(after.is_some_and(|after| after >= before - 1e-9 && after <= 100.0), "{before}, then {after:?}: {other:?}");
        }
    }
}
