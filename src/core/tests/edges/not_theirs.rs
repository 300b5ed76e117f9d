//! What moves scores and is not the customers' doing, and shows days later only: it fires nothing.

use vitalsync_core::component::{Component, Reads, Whose};
use vitalsync_core::model::Per;

use super::*;

/// A model of usage and of a pulse that counts for ten days.
fn with_a_pulse(bands: Bands) -> Model {
    let mut model = model(&OF_SCORES);
    let profile = &mut model.profiles[0];
    profile.bands = bands;
    profile.usage_weight = 20.0;
    profile.components = vec![Component {
        name: "pulse".into(),
        whose: Whose::Account,
        from: "pulse".into(),
        reads: Reads::Range(0.0, 10.0),
        weight: 80.0,
        max_age: Some(10),
    }];
    model
}

#[test]
fn a_value_that_grows_too_old_fires_nothing_and_a_new_one_does() {
    let at_once = Bands { hold_days: 1, hold_points: 0.0, ..Bands::default() };
    for (bands, moved) in [(at_once, 31), (Bands::default(), 32)] {
        let model = with_a_pulse(bands);
        let mut lines = used("a", "B", 0..60, 1);
        lines.push(group("a", 20, r#""pulse":10"#));
        assert_ne!(bands_on(&lines, &model, moved - 1), bands_on(&lines, &model, moved), "it moves the band");
        let mut memory = Memory::default();
        memory.pass(&lines, &model, &of_scores(), end(25));
        for offset in 26..45 {
            assert_eq!(memory.pass(&lines, &model, &of_scores(), end(offset)), [], "day {offset}, {bands:?}");
        }
        lines.push(group("a", 28, r#""pulse":0"#));
        let (mut memory, mut told) = (Memory::default(), BTreeSet::new());
        for offset in 25..38 {
            told.extend(memory.pass(&lines, &model, &of_scores(), end(offset)).into_iter().map(|(rule, _)| rule));
        }
        assert_eq!(told.into_iter().collect::<Vec<_>>(), ["cold", "low", "risk", "unwell"], "{bands:?}");
    }
}

#[test]
fn seats_that_are_bought_fire_nothing() {
    let mut model = model(&OF_SCORES);
    let seats = Expr::parse("traits.seats", Place::default(), &trait_scope(&[]), Type::Any, &mut Faults::default());
    model.profiles[0].per = Per::Seat(seats.unwrap());
    let mut lines = used("a", "A", 0..60, 2);
    lines.extend([group("a", 0, r#""seats":1"#), group("a", 30, r#""seats":9"#)]);
    assert_ne!(bands_on(&lines, &model, 29), bands_on(&lines, &model, 30), "it moves the band");
    let mut memory = Memory::default();
    memory.pass(&lines, &model, &of_scores(), end(25));
    for offset in 26..40 {
        assert_eq!(memory.pass(&lines, &model, &of_scores(), end(offset)), [], "day {offset}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// In the run of an edit and on the days after it nothing is told that would not be told, had the config been so all along:
    /// stored scores and bands of the old config do not pass for what the customer did.
    #[test]
    fn an_edit_fires_nothing_on_the_days_after_either(
        uses in prop::collection::vec((0..5usize, 0..2usize, 0..46i32, 1..4u32), 1..60),
        rests in prop::collection::vec((0..5usize, 0..46i32, 0..46i32), 0..6),
        (healthy, at_risk, weight) in (50..100u8, 1..50u8, 1..10i64),
        (was_healthy, was_at_risk, was_weight) in (50..100u8, 1..50u8, 1..10i64),
    ) {
        let name = |account: usize| format!("a{account}");
        let mut lines: Vec<String> = Vec::new();
        for (index, (account, event, offset, each)) in uses.into_iter().enumerate() {
            lines.extend((0..each).map(|n| track(&name(account), ["A", "B"][event], offset, 100 * index as u32 + n, 0)));
        }
        // Steady use is what an edit moves from one band to another.
        for (account, from, to) in rests {
            lines.extend(used(&name(account), "A", from.min(to)..from.max(to), 1));
        }
        let with = |healthy: u8, at_risk: u8, weight: i64| {
            let mut model = model(&OF_SCORES);
            let (healthy, at_risk) = (healthy.into(), at_risk.into());
            model.profiles[0].bands = Bands { healthy, at_risk, ..Bands::default() };
            model.profiles[0].weights.insert("A".into(), weight * MICRO);
            model
        };
        let (before, after) = (with(was_healthy, was_at_risk, was_weight), with(healthy, at_risk, weight));
        let (mut edited, mut always) = (Memory::default(), Memory::default());
        for offset in 30..46 {
            let model = if offset < 40 { &before } else { &after };
            let (told, all) = (
                edited.pass(&lines, model, &of_scores(), end(offset)),
                always.pass(&lines, &after, &of_scores(), end(offset)),
            );
            if offset >= 40 {
                prop_assert!(told.iter().all(|told| all.contains(told)), "day {offset}: {told:?}, always {all:?}");
            }
        }
    }
}
