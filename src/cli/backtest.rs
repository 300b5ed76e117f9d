//! `vitalsync backtest`

use std::fmt::Write;
use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;
use vitalsync_core::Day;
use vitalsync_core::backtest::Terms;
use vitalsync_core::time::Span;

use super::ask::{self, Source};
use super::table::table;
use super::{Failure, Options, Outcome, say, say_json};
use crate::progress::{Steps, clock, step_bar, step_lines};
use crate::report::{BacktestReport, FitReport, PredictorReport, page};

/// What it takes.
#[derive(Debug, Clone, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    cohort: Cohort,
    /// Judge the score of this profile; each account's own health if left out.
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// How long before the end it is asked who was flagged; several with commas.
    #[arg(long, value_name = "SPAN", default_value = "30d,60d,90d", value_delimiter = ',', value_parser = days)]
    lead: Vec<i32>,
    /// The share of accounts that is flagged, the worst first.
    #[arg(long, value_name = "PERCENT", default_value = "10%", value_parser = percent)]
    k: f64,
    /// Write a page with the curves, too.
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Propose other weights for the churn risk, learned from the earlier snapshots and judged by the later ones.
    #[arg(long)]
    fit: bool,
}

/// Which accounts are looked at, and when.
#[derive(Debug, Clone, Args)]
pub(super) struct Cohort {
    /// The first snapshot (its end); as early as the data allows if left out.
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// The last snapshot; as late as the data allows if left out.
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// From one snapshot to the next.
    #[arg(long, value_name = "SPAN", default_value = "1mo", value_parser = span)]
    every: Span,
    /// Who leaves within so many days after a snapshot has left.
    #[arg(long, value_name = "SPAN", default_value = "90d", value_parser = days)]
    horizon: i32,
    /// Leave out accounts that are younger; the profile's window, if that is longer.
    #[arg(long, value_name = "SPAN", default_value = "60d", value_parser = days)]
    min_age: i32,
    /// Leave out accounts that were silent for so long: they are gone already.
    #[arg(long, value_name = "SPAN", default_value = "60d", value_parser = days)]
    active_within: i32,
}

fn span(text: &str) -> Result<Span, String> {
    let span = Span::parse(text).filter(|span| span.days().is_some_and(|days| days >= 1));
    span.ok_or_else(|| "expected whole days, as in 7d, 2w or 1mo".into())
}

fn days(text: &str) -> Result<i32, String> {
    let days = span(text)?.days().filter(|days| *days <= 3650);
    days.ok_or_else(|| "expected ten years at most".into())
}

/// `10%` as a share.
fn percent(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    let share = percent.map(|percent| percent / 100.0).filter(|share| *share > 0.0 && *share <= 0.5);
    share.ok_or_else(|| "expected a percentage above 0 and up to 50, as in 10%".into())
}

impl Cohort {
    /// The terms, as far as they are about that.
    pub(super) fn terms(&self) -> Result<Terms, Failure> {
        let date = |name: &str, text: &Option<String>| {
            let Some(text) = text else { return Ok(None) };
            let wrong = || Failure::Usage(format!("--{name} `{text}` is not a date, as in 2026-08-13"));
            Day::parse(text).map(Some).ok_or_else(wrong)
        };
        Ok(Terms {
            from: date("from", &self.from)?,
            to: date("to", &self.to)?,
            every: self.every,
            horizon: self.horizon,
            min_age: self.min_age,
            active_within: self.active_within,
            ..Terms::default()
        })
    }
}

/// Asks for what terms describe, or opens the state.
pub(super) async fn source(options: &Options, terms: &Terms) -> Result<(Source, Vec<(&'static str, String)>), Failure> {
    let config = options.load()?;
    let mut parameters = ask::as_of(options.at(&config.model.calendar)?);
    parameters.push(("terms", serde_json::to_string(terms).unwrap_or_default()));
    Ok((ask::source(options, config, true).await?, parameters))
}

pub(super) async fn run(options: &Options, arguments: &Arguments) -> Outcome {
    let Arguments { cohort, profile, lead, k, fit, .. } = arguments.clone();
    let terms = Terms { profile, leads: lead, k, fit, ..cohort.terms()? };
    let report: BacktestReport = match source(options, &terms).await? {
        (Source::Daemon(client, _socket), parameters) => ask::known(&client, "/v1/backtest", &parameters).await?,
        (Source::State(engine), _) => engine.backtest(&terms, engine.clock.now(), &*watch())?,
    };
    if let Some(file) = &arguments.report {
        std::fs::write(file, page(&report))
            .map_err(|error| Failure::Failed(anyhow::anyhow!("can't write {}: {error}", file.display())))?;
    }
    if options.json() {
        say_json(&report);
        return Ok(0);
    }
    say(&told(&report));
    if let Some(fit) = &report.fit {
        say(&proposal(fit));
    }
    Ok(0)
}

/// How far looking at snapshots is.
pub(super) fn watch() -> Steps {
    const WHAT: &str = "snapshots";
    if std::io::stderr().is_terminal() {
        step_bar(WHAT)
    } else {
        step_lines(WHAT, clock(), Box::new(|line| eprintln!("{line}")))
    }
}

fn told(report: &BacktestReport) -> String {
    let mut out = format!("{}\n\n", report.said());
    let figure = |value: Option<f64>| value.map_or_else(|| "–".into(), |value| format!("{value:.2}"));
    let row = |one: &PredictorReport| {
        let interval = format!("{}–{}", figure(one.auc_low), figure(one.auc_high));
        let mut row = vec![one.name.clone(), figure(one.auc), interval];
        row.extend([one.precision_at_k, one.recall_at_k, one.lift_at_k].map(figure));
        row.extend(one.recall_at_lead.iter().map(|lead| figure(lead.recall)));
        row
    };
    let mut head: Vec<String> = ["figure", "AUC", "95 %", "precision", "recall", "lift"].map(String::from).into();
    let leads = report.predictors.first().into_iter().flat_map(|one| &one.recall_at_lead);
    head.extend(leads.map(|lead| format!("{} d before", lead.lead_days)));
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    out.push_str(&table(&head, &report.predictors.iter().map(row).collect::<Vec<_>>()));
    let _ = writeln!(out, "\nthe worst {:.0} % of each snapshot flagged:", report.k_share * 100.0);
    for one in &report.predictors {
        let _ = writeln!(out, "  {}: {}", one.name, one.said());
    }
    out
}

/// The proposed weights as a change of the config.
fn proposal(fit: &FitReport) -> String {
    let FitReport { learned_from, judged_by, churned, auc_now, auc_proposed, changes } = fit;
    let mut out = format!(
        "weights learned from the snapshots {} to {}, judged by those from {} to {} ({churned} accounts left):\n",
        learned_from.0, learned_from.1, judged_by.0, judged_by.1
    );
    let area = |auc: &Option<[f64; 3]>| {
        auc.map_or_else(|| "–".into(), |[value, low, high]| format!("{value:.3} ({low:.3}–{high:.3})"))
    };
    let _ = writeln!(out, "  AUC of the config's weights {}, of these {}", area(auc_now), area(auc_proposed));
    let _ = writeln!(out, "to be looked at, not applied:\n  churn_risk:\n    weights:");
    for (name, now, proposed) in changes {
        let _ = writeln!(out, "-     {name}: {now}\n+     {name}: {proposed}");
    }
    out
}
