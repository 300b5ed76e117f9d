//! `vitalsync portfolio`

use std::fmt::Write as _;

use vitalsync_core::identity::Horizon;
use vitalsync_core::portfolio::{CHURN_USUAL, CHURN_WARNING, Part};

use super::ask::{self, Source};
use super::table::{change, number, percent, table};
use super::{Failure, KnownOn, Options, Outcome, day, say, say_json};
use crate::report::Portfolio;

pub(super) async fn run(options: &Options, from: Option<&str>, known: &KnownOn) -> Outcome {
    let config = options.load()?;
    let (at, received, from) = (options.at(&config.model.calendar)?, known.day()?, day("--from", from)?);
    let answer: Option<Portfolio> = match ask::source(options, config, true).await? {
        Source::Daemon(client, _socket) => {
            let mut parameters = ask::horizon(at, received);
            parameters.extend(from.map(|day| ("from", day.to_string())));
            ask::ask(&client, reqwest::Method::GET, "/v1/portfolio", &parameters).await?
        }
        Source::State(engine) => Some(engine.portfolio(from, Horizon { at: engine.clock.now(), received })?),
    };
    let Some(portfolio) = answer else {
        return Err(Failure::Failed(anyhow::anyhow!(
            "the daemon is another version and knows no portfolio; restart it"
        )));
    };
    if options.json() {
        say_json(&portfolio);
    } else {
        say(&said(&portfolio));
    }
    Ok(0)
}

fn said(portfolio: &Portfolio) -> String {
    let Portfolio { from, to, accounts, bands, score, score_before, trend, churn, funnels } = portfolio;
    let part = |part: &Part| vec![part.accounts.to_string(), percent(part.percent)];
    let bands =
        [("healthy", bands.healthy), ("normal", bands.normal), ("at risk", bands.at_risk), ("unknown", bands.unknown)];
    let rows: Vec<Vec<String>> =
        bands.iter().map(|(name, band)| [vec![(*name).to_owned()], part(band)].concat()).collect();
    let mut out = format!("{accounts} accounts, {from} to {to}\n\n{}\n", table(&["band", "accounts", "share"], &rows));
    let _ = writeln!(
        out,
        "score: mean {} ({} since {from}), median {}; then mean {} of {} accounts",
        number(score.mean),
        change(*trend),
        number(score.median),
        number(score_before.mean),
        score_before.accounts
    );
    let _ = match churn {
        None => writeln!(out, "churn: not known; a lifecycle rule called `churned` says who left"),
        Some(churn) => {
            let warning = if churn.warning { "a warning: " } else { "" };
            let rate = churn.percent.map_or_else(|| "–".into(), |rate| format!("{rate:.1} %"));
            writeln!(
                out,
                "churn: {warning}{} of {} lost, {rate} ({CHURN_USUAL} % is usual, {CHURN_WARNING} % a warning)",
                churn.lost, churn.at_start
            )
        }
    };
    for funnel in funnels {
        let rows: Vec<Vec<String>> = funnel
            .steps
            .iter()
            .map(|stage| {
                vec![stage.step.clone(), stage.done.to_string(), stage.so_far.to_string(), percent(stage.percent)]
            })
            .collect();
        let _ = writeln!(
            out,
            "\n{}: {} accounts, {} activated, {} stalled\n{}",
            funnel.checklist,
            funnel.accounts,
            funnel.activated,
            funnel.stalled,
            table(&["step", "done", "and all before", "share"], &rows)
        );
    }
    out
}
