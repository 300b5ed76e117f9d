//! `vitalsync quarantine`: what tools refused; looked at, tried again, dropped.

use clap::{Args, Subcommand};
use reqwest::Method;
use vitalsync_core::time::Span;
use vitalsync_core::{Calendar, Day, Timestamp};

use super::ask::{self, Source};
use super::plan::fields;
use super::table::table;
use super::{Failure, Options, Outcome, say, say_json};
use crate::clock;
use crate::report::RefusedReport;
use crate::tick::quarantine::{Verdict, Which};

#[derive(Debug, Clone, Subcommand)]
pub(super) enum Command {
    /// What was refused, with why and when it is tried again.
    List(Filter),
    /// One refusal in full, with what would be sent.
    Show {
        /// What it is about, as `list` names it: `company/acme`.
        slot: String,
        #[command(flatten)]
        filter: Filter,
    },
    /// Try again at the next sync; at once where a daemon runs.
    Retry {
        /// Only this one; all that the options name, if left out.
        slot: Option<String>,
        #[command(flatten)]
        filter: Filter,
    },
    /// Try no more until the record changes. An alert is never sent.
    Drop {
        /// Only this one; all that the options name, if left out.
        slot: Option<String>,
        #[command(flatten)]
        filter: Filter,
    },
}

#[derive(Debug, Clone, Default, Args)]
pub(super) struct Filter {
    /// Only of this destination.
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,
    /// Only with these words in the reason.
    #[arg(long, value_name = "WORDS")]
    reason: Option<String>,
    /// Only what was refused since then: a date, a time, or so long ago (`2d`).
    #[arg(long, value_name = "SINCE")]
    since: Option<String>,
}

impl Filter {
    fn which(self, slot: Option<String>, calendar: &Calendar) -> Result<Which, Failure> {
        let since = self.since.map(|text| since(&text, calendar)).transpose()?;
        Ok(Which { slot, destination: self.destination, reason: self.reason, since })
    }
}

fn since(text: &str, calendar: &Calendar) -> Result<Timestamp, Failure> {
    let ago = || Some(clock::system().plus_ms(-Span::parse(text)?.millis()));
    let time = Day::parse(text).map(|day| calendar.start(day)).or_else(|| Timestamp::parse(text)).or_else(ago);
    time.ok_or_else(|| {
        Failure::Usage(format!(
            "--since `{text}` is neither a date (2026-08-13), nor a time, nor so long ago (12h, 2d)"
        ))
    })
}

/// What is meant, as parameters for the daemon.
fn parameters(which: &Which) -> Vec<(&'static str, String)> {
    let texts = [("slot", &which.slot), ("destination", &which.destination), ("reason", &which.reason)];
    let texts = texts.into_iter().filter_map(|(name, text)| Some((name, text.clone()?)));
    texts.chain(which.since.map(|since| ("since", since.to_string()))).collect()
}

pub(super) async fn run(options: &Options, command: Option<Command>) -> Outcome {
    let config = options.load()?;
    let calendar = config.model.calendar;
    let (which, verdict, in_full) = match command.unwrap_or(Command::List(Filter::default())) {
        Command::List(filter) => (filter.which(None, &calendar)?, None, false),
        Command::Show { slot, filter } => (filter.which(Some(slot), &calendar)?, None, true),
        Command::Retry { slot, filter } => (filter.which(slot, &calendar)?, Some(Verdict::Retry), false),
        Command::Drop { slot, filter } => (filter.which(slot, &calendar)?, Some(Verdict::Drop), false),
    };
    if let Some(name) = &which.destination
        && !config.destinations.iter().any(|destination| destination.name == *name)
    {
        return Err(Failure::Usage(format!("there is no destination `{name}` in {}", config.file.display())));
    }
    let at = options.at(&calendar)?;
    let list: Vec<RefusedReport> = match ask::source(options, config, false).await? {
        Source::Daemon(client, _socket) => {
            let mut parameters = parameters(&which);
            parameters.extend(ask::as_of(at));
            parameters.push(("full", in_full.to_string()));
            let method = match verdict {
                None => Method::GET,
                Some(verdict) => {
                    parameters.push(("verdict", if verdict == Verdict::Retry { "retry" } else { "drop" }.to_owned()));
                    Method::POST
                }
            };
            ask::ask(&client, method, "/v1/quarantine", &parameters).await?.unwrap_or_default()
        }
        Source::State(engine) => match verdict {
            Some(verdict) => engine.judge_refusals(&which, verdict)?,
            None if in_full => engine.refusals_in_full(&which, engine.clock.now())?,
            None => engine.refusals(&which)?,
        },
    };
    if list.is_empty()
        && let Some(slot) = &which.slot
    {
        return Err(Failure::Failed(anyhow::anyhow!(
            "nothing about `{slot}` was refused; `vitalsync quarantine` lists all"
        )));
    }
    if options.json() {
        say_json(&list);
        return Ok(0);
    }
    match verdict {
        Some(Verdict::Retry) => say(&format!("{} tried again at the next sync", list.len())),
        Some(Verdict::Drop) => say(&format!("{} dropped: not tried again until the record changes", list.len())),
        None if in_full => list.iter().for_each(|one| say(&shown(one))),
        None => say(&listed(&list)),
    }
    Ok(0)
}

fn listed(list: &[RefusedReport]) -> String {
    let row = |one: &RefusedReport| {
        [&one.destination, &one.slot, &one.at, &one.next_try, &one.why].map(Clone::clone).to_vec()
    };
    let rows: Vec<Vec<String>> = list.iter().map(row).collect();
    let head = ["destination", "about", "refused", "tried again", "why"];
    format!("{}{} in quarantine\n", table(&head, &rows), list.len())
}

fn shown(one: &RefusedReport) -> String {
    let RefusedReport { destination, slot, why, at, next_try, .. } = one;
    let mut out = format!("{destination} {slot}\n  refused at {at}: {why}\n  tried again: {next_try}\n");
    match &one.operation {
        Some(operation) => {
            out.push_str(&format!("  {}:\n", operation.title));
            out.push_str(&fields(operation));
        }
        None => out.push_str("  nothing would be sent now\n"),
    }
    out
}
