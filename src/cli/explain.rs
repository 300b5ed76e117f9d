//! `vitalsync explain ACCOUNT`

use std::fmt::Write;

use vitalsync_core::identity::Horizon;

use super::ask::{self, Source};
use super::table::{change, number, table, text, whole};
use super::{Failure, KnownOn, Options, Outcome, say, say_json};
use crate::report::{BenchmarkReport, ExplainReport, RiskPart};

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
    let of = |name: &str| account.number(name);
    let mut out = format!("{} ({})\n", account.text("name").unwrap_or(account.id()), account.id());
    let _ = writeln!(
        out,
        "  health      {} ({}), {} in 7 days, {} in 30 days: {}",
        whole(of("health.score")),
        account.text("health.band").unwrap_or(if account.is_new() { "new: no band yet" } else { "–" }),
        change(of("health.change_7d")),
        change(of("health.change_30d")),
        text(account.text("health.top_reason"))
    );
    let _ = writeln!(
        out,
        "  raw score   {}{}; a score of 100 takes {}",
        number(of("health.raw")),
        of("health.size").map(|size| format!(", divided by {}", number(Some(size)))).unwrap_or_default(),
        report.benchmark.as_ref().map_or_else(|| "–".into(), BenchmarkReport::said)
    );
    let components: Vec<String> =
        account.components().map(|(name, points)| format!("{name} {}", whole(points))).collect();
    if !components.is_empty() {
        let coverage = whole(of("health.coverage").map(|share| share * 100.0));
        let _ = writeln!(out, "  made of     {}; {coverage} % of the weight has a value", components.join(", "));
    }
    if let Some(left) = account.text("churned_on") {
        let _ = writeln!(out, "  churned     on {left}");
    }
    if let Some(reason) = account.text("health.override") {
        let until = text(account.text("health.override_until"));
        let _ = writeln!(out, "  band        as a person stated it until {until}: {reason}");
    }
    for held in account.counted_since() {
        let _ = writeln!(out, "              {}", held.said());
    }
    if let Some(parent) = account.text("parent") {
        let _ = writeln!(out, "  rolled up   into {parent}");
    }
    if of("children").is_some_and(|children| children > 0.0) {
        let _ = writeln!(out, "  rolled up   {} accounts into it", whole(of("children")));
    }
    let _ = writeln!(
        out,
        "  activation  {} of {} steps, activated at {}",
        whole(of("activation.steps_done")),
        whole(of("activation.steps_total")),
        text(account.text("activation.activated_at"))
    );
    for (step, done) in account.steps() {
        let _ = writeln!(out, "                {step}: {}", done.unwrap_or("not done"));
    }
    let _ = writeln!(
        out,
        "  use         {} of {} users active, {} of {} days, {} % of the features (ever: {} %)",
        whole(of("users.active")),
        whole(of("users.total")),
        whole(of("frequency.active_days")),
        whole(of("frequency.days")),
        whole(of("adoption.window_percent")),
        whole(of("adoption.all_time_percent"))
    );
    for (place, (rule, day)) in account.rules().into_iter().enumerate() {
        let head = if place == 0 { "in" } else { "" };
        let since = day.map_or_else(|| "not seen by a run yet".to_owned(), |day| format!("since {day}"));
        let _ = writeln!(out, "  {head:<12}{rule}: {since}");
    }
    let days = whole(of("tenure_days"));
    let _ = writeln!(out, "  last active {}, customer for {days} days\n", text(account.text("last_active")));
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
    out.push_str(&risk(report));
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

/// The churn risk and what it is made of.
fn risk(report: &ExplainReport) -> String {
    let Some(risk) = report.account.number("churn_risk") else { return String::new() };
    let mut out = format!("churn risk {risk:.0} of 100");
    if let Some(failed) = report.account.number("churn_risk_involuntary") {
        let _ = write!(out, "; by a payment that fails {failed:.0}");
    }
    out.push('\n');
    let row = |part: &RiskPart| {
        let says = if part.adds > 0.0 { part.says.as_str() } else { "" };
        vec![
            part.signal.clone(),
            format!("{:+.2}", (part.adds * 100.0).round() / 100.0 + 0.0),
            part.detail.clone(),
            says.to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> = report.risk.iter().map(row).collect();
    let _ = writeln!(out, "{}", table(&["signal", "log odds", "what is known", "which says"], &rows));
    out
}
