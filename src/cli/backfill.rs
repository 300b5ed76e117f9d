//! `vitalsync backfill`: read, or count anew, what a source holds. Beside a daemon the daemon does it, since it holds the state.

use std::fmt::Write;
use std::io::IsTerminal;
use std::sync::atomic::Ordering;

use clap::Args;
use vitalsync_core::Day;

use super::ask;
use super::run::asked_to_end;
use super::{Failure, Options, Outcome, say, say_json};
use crate::app;
use crate::config::Config;
use crate::progress::{Bar, Lines, clock};
use crate::tick::Engine;
use crate::tick::ingest::Watch;
use crate::tick::read::{Backfill, BackfillReport};
use crate::web::BackfillSaid;

/// What to read, and from when.
#[derive(Debug, Clone, Args)]
pub(super) struct Arguments {
    /// Only this source; may be given more than once.
    #[arg(long, value_name = "NAME")]
    source: Vec<String>,
    /// The first day of receipt (2026-08-13); from the beginning if left out.
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// The last day of receipt; to the end if left out.
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// Count anew what was counted before; until that is done, the old counts stay in force.
    #[arg(long)]
    rebuild: bool,
}

impl Arguments {
    fn order(self, config: &Config) -> Result<Backfill, Failure> {
        let day = |name: &str, text: Option<String>| match text.map(|text| (Day::parse(&text), text)) {
            None => Ok(None),
            Some((Some(day), _)) => Ok(Some(day)),
            Some((None, text)) => Err(Failure::Usage(format!("{name} `{text}` is not a date such as 2026-08-13"))),
        };
        let (from, to) = (day("--from", self.from)?, day("--to", self.to)?);
        let order = Backfill { sources: self.source, from, to, rebuild: self.rebuild };
        order.fault(&config.sources).map_or(Ok(order), |fault| Err(Failure::Usage(fault)))
    }
}

pub(super) async fn run(options: &Options, arguments: Arguments) -> Outcome {
    let config = options.load()?;
    let order = arguments.order(&config)?;
    let report = match ask::daemon_in(&config.state).await {
        Some((client, _socket)) => by_the_daemon(&client, &order).await?,
        None => here(options, config, order).await?,
    };
    if options.json() {
        say_json(&report)
    } else {
        say(&summary(&report))
    }
    Ok(report.exit_code())
}

pub(super) fn watch(source: &str) -> Box<dyn Watch> {
    if std::io::stderr().is_terminal() {
        Box::new(Bar::new(source, clock()))
    } else {
        Box::new(Lines::new(source, clock(), Box::new(|line| eprintln!("{line}"))))
    }
}

async fn here(options: &Options, config: Config, order: Backfill) -> Result<BackfillReport, Failure> {
    let clock = options.clock(&config.model.calendar)?;
    let engine = Engine::open(config, clock)?;
    let stop = engine.stop.clone();
    let mut work = tokio::task::spawn_blocking(move || {
        let report = engine.backfill(&order, &watch)?;
        engine.compact()?;
        Ok::<_, anyhow::Error>(report)
    });
    let done = tokio::select! {
        done = &mut work => done,
        _ = asked_to_end() => {
            stop.store(true, Ordering::Relaxed);
            match tokio::time::timeout(app::GRACE, work).await {
                Ok(done) => done,
                Err(_) => return Err(Failure::Failed(anyhow::anyhow!("interrupted: the next run goes on where this one stopped"))),
            }
        }
    };
    Ok(done.map_err(|error| Failure::Failed(error.into()))??)
}

async fn by_the_daemon(client: &reqwest::Client, order: &Backfill) -> Result<BackfillReport, Failure> {
    let order = serde_json::to_string(order).unwrap_or_default();
    let mut answer =
        ask::stream(client, reqwest::Method::POST, &format!("/v1/backfill?order={}", ask::encoded(&order))).await?;
    let mut rest: Vec<u8> = Vec::new();
    loop {
        let chunk = tokio::select! {
            chunk = answer.chunk() => chunk.map_err(ask::no_answer)?,
            _ = asked_to_end() => {
                return Err(Failure::Failed(anyhow::anyhow!("interrupted: the daemon goes on with it; `vitalsync status` says what it came to")));
            }
        };
        let Some(chunk) = chunk else {
            return Err(Failure::Failed(anyhow::anyhow!(
                "the daemon ended before it was done: the next run goes on where it stopped"
            )));
        };
        rest.extend_from_slice(&chunk);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            match serde_json::from_slice(&line) {
                Ok(BackfillSaid::Progress(line)) => eprintln!("{line}"),
                Ok(BackfillSaid::Done(report)) => return Ok(report),
                Ok(BackfillSaid::Failed(why)) => return Err(Failure::Failed(anyhow::anyhow!(why))),
                Err(error) => {
                    return Err(Failure::Failed(anyhow::anyhow!("the daemon's answer does not read: {error}")));
                }
            }
        }
    }
}

/// What it came to, for people.
fn summary(report: &BackfillReport) -> String {
    let mut out = String::new();
    for (name, source) in &report.sources {
        if let Some(why) = &source.failed {
            let _ = writeln!(out, "source {name}: FAILED: {why}");
            continue;
        }
        let _ = writeln!(
            out,
            "source {name}: {} files, {} calls read, {} events counted, {} duplicates, {} rejected",
            source.files_read,
            source.calls_read,
            source.events_counted,
            source.duplicates,
            source.rejected.values().sum::<u64>()
        );
        source.said_of_rejected().for_each(|line| {
            let _ = writeln!(out, "  {line}");
        });
        source.said_of_days().for_each(|line| {
            let _ = writeln!(out, "  {line}");
        });
        if source.too_old > 0 {
            let _ = writeln!(out, "  {} calls not counted: their months are beyond `retention`", source.too_old);
        }
    }
    let _ = writeln!(out, "took {:.1} s", report.duration_ms as f64 / 1000.0);
    out
}
