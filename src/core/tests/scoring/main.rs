//! What a profile can say beside weights, each rule from lines of JSON through the public door to the figure: names with
//! wildcards, sizes, groups, components, stages of life, a person's word.

mod components;
#[path = "../feed/mod.rs"]
mod feed;
mod laws;
mod lives;
mod sizes;
mod wildcards;

use feed::{file, time};
use vitalsync_core::evaluate::{Account, Evaluation, evaluate};
use vitalsync_core::expr::{Expr, Scope};
use vitalsync_core::model::{Benchmark, MICRO, Model, Profile, Refresh};
use vitalsync_core::section::{Faults, Place};
use vitalsync_core::value::Type;

/// The as-of time: the last second of the last day over.
const AT: &str = "2026-08-10T23:59:59Z";

/// So many events by a user of an account on a day.
fn used(account: &str, user: &str, event: &str, day: &str, count: u32) -> Vec<String> {
    let call = |n| {
        format!(
            r#"{{"type":"track","messageId":"{account}-{user}-{event}-{day}-{n}","userId":"{user}","event":"{event}","context":{{"groupId":"{account}"}},"timestamp":"{day}T10:00:00Z"}}"#
        )
    };
    (0..count).map(call).collect()
}

/// Traits of an account, stated on a day.
fn group(account: &str, traits: &str, day: &str) -> String {
    format!(
        r#"{{"type":"group","messageId":"g-{account}-{day}","userId":"u-{account}","groupId":"{account}","traits":{traits},"timestamp":"{day}T09:00:00Z"}}"#
    )
}

fn expr(source: &str, scope: &Scope, kind: Type) -> Expr {
    let mut faults = Faults::default();
    let parsed = Expr::parse(source, Place::default(), scope, kind, &mut faults);
    parsed.unwrap_or_else(|| panic!("{source}: {:?}", faults.into_sorted()))
}

fn weighed(weights: &[(&str, i64)], refresh: Refresh) -> Profile {
    Profile {
        name: "main".into(),
        weights: weights.iter().map(|(event, weight)| ((*event).to_owned(), weight * MICRO)).collect(),
        benchmark: Benchmark { percentile: 90.0, refresh },
        ..Profile::default()
    }
}

fn of(profile: Profile) -> Model {
    Model { profiles: vec![profile], ..Model::default() }
}

fn seen(lines: &[String], model: &Model, at: &str) -> Evaluation {
    let filed = file([lines.iter().map(String::as_str).collect()], model);
    evaluate(&filed.usage, &filed.ids, model, time(at), 30)
}

fn account<'e>(evaluation: &'e Evaluation, id: &str) -> &'e Account {
    evaluation.accounts.iter().find(|account| account.id == id).expect("the account")
}

#[track_caller]
fn close(got: Option<f64>, want: f64) {
    assert!(got.is_some_and(|got| (got - want).abs() < 1e-9), "{got:?} instead of {want}");
}
