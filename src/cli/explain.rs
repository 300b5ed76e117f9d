//! `vitalsync explain ACCOUNT`

use std::fmt::Write;

use vitalsync_core::identity::Horizon;

use super::ask::{self, Source};
use super::table::{change, number, table, text, whole};
use super::{Failure, KnownOn, Options, Outcome, say, say_json};
use crate::report::{BenchmarkReport, ExplainReport};

pub(super) async fn run(options: &Options, account: &str, known: &KnownOn) -> Outcome {
    let config = options.load()?;
    let (at, received) = (options.at(&config.model.calendar)?, known.day()?);
    let found: Option<ExplainReport> = match ask::source(options, config, true).await? {
        Source::Daemon(client, _socket) => {
            let mut parameters = ask::horizon(at, received);
            parameters.push(("account", account.to_owned()));
            ask::ask(&client, reqwest::Method::GET, "/v1/explain", &parameters).await?
        }
        Source::State(engine) => engine.explain(account, Horizon { at: engine.clock.now(), received })?,
    };
    let Some(report) = found else {
        return Err(Failure::Failed(anyhow::anyhow!(
            "there is no account with the id, name or domain `{account}`; see `vitalsync accounts`"
        )));
    };
    if options.json() {
        say_json(&report);
    } else {
        say(&story(&report));
    }
    Ok(0)
}

fn story(report: &ExplainReport) -> String {
    let account = &report.account;
    let health = &account.health;
    let mut out = format!("{} ({})\n", account.name.as_deref().unwrap_or(&account.account), account.account);
    let _ = writeln!(
        out,
        "  health      {} ({}), {} in 7 days, {} in 30 days: {}",
        whole(health.score),
        text(health.band.as_deref()),
        change(health.change_7d),
        change(health.change_30d),
        text(health.top_reason.as_deref())
    );
    let _ = writeln!(
        out,
        "  raw score   {}; a score of 100 takes {}",
        number(health.raw),
        report.benchmark.as_ref().map_or_else(|| "–".into(), BenchmarkReport::said)
    );
    for held in &account.counted_since {
        let _ = writeln!(out, "              {}", held.said());
    }
    if let Some(parent) = &account.parent {
        let _ = writeln!(out, "  rolled up   into {parent}");
    }
    if account.children > 0 {
        let _ = writeln!(out, "  rolled up   {} accounts into it", account.children);
    }
    let steps = &account.activation;
    let _ = writeln!(
        out,
        "  activation  {} of {} steps, activated at {}",
        steps.steps_done,
        steps.steps_total,
        text(steps.activated_at.as_deref())
    );
    for (step, done) in &steps.steps {
        let _ = writeln!(out, "                {step}: {}", done.as_deref().unwrap_or("not done"));
    }
    let _ = writeln!(
        out,
        "  use         {} of {} users active, {} of {} days, {} % of the features (ever: {} %)",
        account.users.active,
        account.users.total,
        account.frequency.active_days,
        account.frequency.days,
        whole(account.adoption.window_percent),
        whole(account.adoption.all_time_percent)
    );
    let days = account.tenure_days.map_or_else(|| "–".into(), |days| days.to_string());
    let _ = writeln!(out, "  last active {}, customer for {days} days\n", text(account.last_active.as_deref()));
    if !report.parts.is_empty() {
        let rows: Vec<Vec<String>> = report
            .parts
            .iter()
            .map(|part| {
                vec![
                    part.event.clone(),
                    part.count.to_string(),
                    format!("{}", part.weight),
                    number(Some(part.points)),
                    part.count_before.to_string(),
                ]
            })
            .collect();
        out.push_str(&table(&["what makes the score", "count", "weight", "points", "window before"], &rows));
        out.push('\n');
    }
    if report.told.is_empty() {
        out.push_str("no tool was told anything about it yet\n");
    }
    for told in &report.told {
        let _ = write!(out, "told {} {}", told.destination, told.slot);
        let _ = match (&told.remote_id, told.absent) {
            (_, true) => writeln!(out, ": not there, and not to be created"),
            (Some(id), _) => writeln!(out, " (its id {id}), {}", text(told.at.as_deref())),
            (None, _) => writeln!(out, ", {}", text(told.at.as_deref())),
        };
        for (field, value) in told.fields.iter().filter(|(field, _)| *field != "blocks") {
            let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let _ = writeln!(out, "    {field}: {}", shown.replace('\n', " "));
        }
    }
    for refused in &report.quarantined {
        let _ = writeln!(out, "refused by {} {} at {}: {}", refused.destination, refused.slot, refused.at, refused.why);
    }
    out
}
