//! `vitalsync reasons`

use std::fmt::Write;

use super::ask::{self, Source};
use super::backtest::{Cohort, source, watch};
use super::table::table;
use super::{Options, Outcome, say, say_json};
use crate::report::{AssociationReport, ComparisonReport, ReasonsReport};

/// So many facts are shown to people; programs get all.
const SHOWN: usize = 20;

pub(super) async fn run(options: &Options, cohort: &Cohort) -> Outcome {
    let terms = cohort.terms()?;
    let report: ReasonsReport = match source(options, &terms).await? {
        (Source::Daemon(client, _socket), parameters) => ask::known(&client, "/v1/reasons", &parameters).await?,
        (Source::State(engine), _) => engine.reasons(&terms, engine.clock.now(), &*watch())?,
    };
    if options.json() {
        say_json(&report);
        return Ok(0);
    }
    for comparison in [&report.churned, &report.best].into_iter().flatten() {
        say(&told(comparison));
    }
    if report.came_back > 0 {
        let ReasonsReport { came_back, horizon_days, .. } = report;
        say(&format!("came back after {horizon_days} days or more without use, and in neither group: {came_back}"));
    }
    report.notes.iter().for_each(|note| say(note));
    say(
        "This is what goes together, not what causes what: each fact by itself, in what these accounts happened to do.",
    );
    Ok(0)
}

fn told(comparison: &ComparisonReport) -> String {
    let ComparisonReport { group, others, group_accounts, other_accounts, smallest, left_out, .. } = comparison;
    let mut out = format!("{group} ({group_accounts} accounts) against {others} ({other_accounts})\n");
    let row = |one: &AssociationReport| {
        let share = |with, known, share: f64| format!("{with}/{known} = {:.0} %", share * 100.0);
        vec![
            one.said(),
            share(one.group_with, one.group_known, one.group_share),
            share(one.others_with, one.others_known, one.others_share),
            format!("{:.2}", one.lift),
            format!("{:.2}–{:.2}", one.lift_low, one.lift_high),
        ]
    };
    let rows: Vec<Vec<String>> = comparison.clear().take(SHOWN).map(row).collect();
    let (all, clear) = (comparison.associations.len(), comparison.clear().count());
    match rows.is_empty() {
        true => out.push_str("nothing stands out\n"),
        false => out.push_str(&table(&["fact", group, others, "times as often", "95 %"], &rows)),
    }
    let _ = writeln!(
        out,
        "{clear} of {all} facts stand out, {} shown; by chance about {:.0} would",
        rows.len(),
        all as f64 * 0.05
    );
    if *left_out > 0 {
        let _ = writeln!(out, "left out: {left_out} facts that fewer than {smallest} accounts have, or have not");
    }
    if !comparison.too_various.is_empty() {
        let _ = writeln!(out, "left out, with too many values: {}", comparison.too_various.join(", "));
    }
    out
}
