//! `vitalsync explain ACCOUNT`

use std::fmt::Write;

use clap::Args;
use vitalsync_core::identity::Horizon;

use super::ask::{self, Source};
use super::table::{change, number, percent, table, text, whole};
use super::{Failure, KnownOn, Options, Outcome, day, say, say_json};
use crate::report::{BenchmarkReport, ChampionReport, DayReport, ExplainReport, RiskPart};
use crate::tick::attribute::Between;

/// Whom to explain, and what of it.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Its id, name or domain.
    account: String,
    #[command(flatten)]
    known: KnownOn,
    /// What moved its score since this day (2026-08-13); if left out since the same phase of its cycle, or 30 days ago.
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// … up to this day; the last that is over if left out.
    #[arg(long, value_name = "DATE", requires = "from")]
    to: Option<String>,
    /// Its score and band on each of the last 90 days, and nothing else.
    #[arg(long)]
    history: bool,
}

impl Arguments {
    fn between(&self) -> Result<Option<Between>, Failure> {
        let (from, to) = (day("--from", self.from.as_deref())?, day("--to", self.to.as_deref())?);
        let Some(from) = from else { return Ok(None) };
        if let Some(to) = to.filter(|to| *to <= from) {
            return Err(Failure::Usage(format!("--from {from} is not before --to {to}: give the earlier day first")));
        }
        Ok(Some(Between { from, to }))
    }
}

pub(super) async fn run(options: &Options, arguments: &Arguments) -> Outcome {
    let (account, known, between) = (&arguments.account, &arguments.known, arguments.between()?);
    let config = options.load()?;
    let (at, received) = (options.at(&config.model.calendar)?, known.day()?);
    let found: Option<ExplainReport> = match ask::source(options, config, true).await? {
        Source::Daemon(client, _socket) => {
            let mut parameters = ask::horizon(at, received);
            parameters.push(("account", account.to_owned()));
            let days = between.map(|between| [("from", Some(between.from)), ("to", between.to)]).into_iter().flatten();
            parameters.extend(days.filter_map(|(name, day)| Some((name, day?.to_string()))));
            ask::ask(&client, reqwest::Method::GET, "/v1/explain", &parameters).await?
        }
        Source::State(engine) => engine.explain(account, Horizon { at: engine.clock.now(), received }, between)?,
    };
    let Some(report) = found else {
        return Err(no_account(account));
    };
    if options.json() {
        say_json(&report);
    } else if arguments.history {
        say(&history(&report));
    } else {
        say(&story(&report));
    }
    Ok(0)
}

pub(super) fn no_account(wanted: &str) -> Failure {
    Failure::Failed(anyhow::anyhow!(
        "there is no account with the id, name or domain `{wanted}`; see `vitalsync accounts`"
    ))
}

/// The days of a history, from 1 to 100 in eight steps.
fn sparkline(report: &ExplainReport) -> String {
    const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let step = |score: f64| STEPS[((score / 100.0 * 8.0) as usize).min(7)];
    report.history.iter().map(|day| step(day.score)).collect()
}

fn history(report: &ExplainReport) -> String {
    let row = |day: &DayReport| {
        let said = if day.stored { "as said then" } else { "under today's config" };
        vec![day.day.clone(), number(Some(day.score)), text(day.band.as_deref()), said.to_owned()]
    };
    table(&["day", "score", "band", ""], &report.history.iter().map(row).collect::<Vec<_>>())
}

/// What moved the score, and who stopped.
fn moved(report: &ExplainReport, out: &mut String) {
    if let Some(change) = &report.attribution {
        let score = |score: f64, stored: bool| format!("{score:.1}{}", if stored { "" } else { " as computed now" });
        let _ = writeln!(
            out,
            "  change      {:+.1} from {} ({}) to {} ({:.1}){}",
            change.change,
            change.from,
            score(change.score_from, change.from_stored),
            change.to,
            change.score_to,
            if change.parts.is_empty() { "" } else { ":" }
        );
        for part in &change.parts {
            let _ = writeln!(out, "              {:>+6.1}  {}", part.points, part.said);
        }
        for note in &change.notes {
            let _ = writeln!(out, "              {note}");
        }
    }
    let stopped = report.account.number("users.stopped").unwrap_or_default();
    if !report.stopped.is_empty() {
        let more = stopped - report.stopped.len() as f64;
        let more = if more > 0.0 { format!(" and {more} more") } else { String::new() };
        let days = whole(report.account.number("frequency.days"));
        let _ = writeln!(
            out,
            "  stopped     {}{more}: active in {}, and not in the last {days} days",
            report.stopped.join(", "),
            report.against
        );
    }
}

fn story(report: &ExplainReport) -> String {
    let account = &report.account;
    let mut out = format!("{} ({})\n", account.text("name").unwrap_or(account.id()), account.id());
    health(report, &mut out);
    moved(report, &mut out);
    made_of(report, &mut out);
    activation(report, &mut out);
    use_of_it(report, &mut out);
    wellness(report, &mut out);
    scored(report, &mut out);
    out.push_str(&risk(report));
    told(report, &mut out);
    out
}

/// Score and band, and the course of the last days.
fn health(report: &ExplainReport, out: &mut String) {
    let account = &report.account;
    let of = |name: &str| account.number(name);
    let _ = writeln!(
        out,
        "  health      {}, {}{}; {} in 7 days, {} in 30 days{}",
        whole(of("health.score")),
        account.text("health.band").unwrap_or(if account.is_new() { "new: no band yet" } else { "–" }),
        report.band_since.as_ref().map_or_else(String::new, |day| format!(" since {day}")),
        change(of("health.change_7d")),
        change(of("health.change_30d")),
        of("health.change_cycle").map_or_else(String::new, |points| {
            format!(", {} against the same phase of its cycle before", change(Some(points)))
        }),
    );
    let _ = writeln!(out, "  {:<12}{}", format!("{} days", report.history.len()), sparkline(report));
    for line in account.text("health.story").into_iter().flat_map(str::lines) {
        let _ = writeln!(out, "              {line}");
    }
}

/// What the score is made of, and what it is measured against; where the account stands besides.
fn made_of(report: &ExplainReport, out: &mut String) {
    let account = &report.account;
    let of = |name: &str| account.number(name);
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
}

/// The steps of its checklist.
fn activation(report: &ExplainReport, out: &mut String) {
    let account = &report.account;
    let of = |name: &str| account.number(name);
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
    if account.get("activation.stalled") == Some(&true.into()) {
        let _ = writeln!(out, "                stalled: no new step for {} days", whole(of("activation.days_stalled")));
    }
}

/// Users, days and features, and who carries it.
fn use_of_it(report: &ExplainReport, out: &mut String) {
    let account = &report.account;
    let of = |name: &str| account.number(name);
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
    let unused: Vec<&str> = account
        .get("adoption.unused")
        .and_then(|list| list.as_array())
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str())
        .collect();
    if !unused.is_empty() {
        let _ = writeln!(out, "  not in use  {}", unused.join(", "));
    }
    let champion = |top: &ChampionReport| {
        format!("{} ({})", top.user.as_deref().unwrap_or("somebody never identified"), percent(Some(top.share)))
    };
    if !report.champions.is_empty() {
        let all: Vec<String> = report.champions.iter().map(champion).collect();
        let risk = account.get("users.single_champion_risk") == Some(&true.into());
        let risk = if risk { "; one alone carries the account" } else { "" };
        let _ = writeln!(out, "  champions   {}{risk}", all.join(", "));
    }
}

/// Its users' health, the rules that it is in, and since when it is a customer.
fn wellness(report: &ExplainReport, out: &mut String) {
    let account = &report.account;
    let of = |name: &str| account.number(name);
    let _ = writeln!(
        out,
        "  well        {} of the users, the account for {} days in a row; readiness for more {}",
        percent(of("users.healthy_percent")),
        whole(of("health.days_healthy")),
        whole(of("expansion_readiness"))
    );
    for (place, (rule, day)) in account.rules().into_iter().enumerate() {
        let head = if place == 0 { "in" } else { "" };
        let since = day.map_or_else(|| "not seen by a run yet".to_owned(), |day| format!("since {day}"));
        let _ = writeln!(out, "  {head:<12}{rule}: {since}");
    }
    let days = whole(of("tenure_days"));
    let _ = writeln!(out, "  last active {}, customer for {days} days\n", text(account.text("last_active")));
}

/// The scored events of the window.
fn scored(report: &ExplainReport, out: &mut String) {
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
        out.push_str(&table(&["what makes the score", "count", "weight", "points", &report.against], &rows));
        out.push('\n');
    }
}

/// What each tool was told, and what it refused.
fn told(report: &ExplainReport, out: &mut String) {
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
