//! `vitalsync run` and `vitalsync run --once`

use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use vitalsync_core::time::DAY_MS;

use super::{Failure, Options, Outcome, say, say_json};
use crate::deliver::Delivered;
use crate::report::{DestinationReport, DriftReport, RunReport, said_of_stale};
use crate::tick::Engine;
use crate::{app, clock, web};

/// A clock that was set back by so little is waited for.
const CLOCK_SET_BACK_MS: i64 = 60_000;

fn open(options: &Options) -> Result<Engine, Failure> {
    let config = options.load()?;
    config.warnings.iter().for_each(|warning| eprint!("{}", config.shown(warning)));
    let clock = options.clock(&config.model.calendar)?;
    if let (Some(text), true) = (&options.as_of, clock.now().0 > clock::system().0 + DAY_MS) {
        return Err(Failure::Usage(format!(
            "--as-of {text} is more than a day ahead of the clock: the tools would be told figures of a time to come, and nothing could be run before then; name an earlier time, or look ahead with `accounts --as-of {text}`"
        )));
    }
    Ok(Engine::open(config, clock)?)
}

/// Resolves when the process is asked to end.
pub(super) async fn asked_to_end() -> std::io::Result<()> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}

pub(super) async fn once(options: &Options, batch: Option<usize>, block: Option<usize>) -> Outcome {
    let mut engine = open(options)?;
    engine.grain.batch = batch.unwrap_or(engine.grain.batch);
    engine.grain.block = block.unwrap_or(engine.grain.block);
    let at = engine.clock.now();
    if at > clock::system() {
        tracing::warn!("as of {at}, which is yet to come: no run without --as-of is taken before then");
    }
    let stop = engine.stop.clone();
    // In a task of its own, because reading keeps this one busy.
    let ended = tokio::spawn(async move {
        let _ = asked_to_end().await;
        stop.store(true, Ordering::Relaxed);
        tokio::time::sleep(app::GRACE).await;
    });
    let report = tokio::select! {
        report = engine.run_once(at) => report?,
        _ = ended => return Err(Failure::Failed(anyhow::anyhow!("interrupted: the next run goes on where this one stopped"))),
    };
    if options.json() {
        say_json(&report);
    } else {
        say(&summary(&report));
    }
    Ok(report.exit_code())
}

pub(super) async fn daemon(options: &Options) -> Outcome {
    let engine = open(options)?;
    let ahead = engine.last_evaluated()?.map_or(0, |last| last.0 - engine.clock.now().0);
    if (1..=CLOCK_SET_BACK_MS).contains(&ahead) {
        tracing::warn!("the clock was set back by {} s: waiting for it", ahead / 1000 + 1);
        tokio::time::sleep(Duration::from_millis(ahead as u64)).await;
    }
    engine.check_order(engine.clock.now())?;
    let listener = web::listen(&engine.config.state)?;
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let asked = async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    };
    app::serve(engine, listener, asked).await?;
    Ok(0)
}

/// The pass in a few lines for people.
pub(super) fn summary(report: &RunReport) -> String {
    let mut out = format!("as of {}\n", report.as_of);
    for (name, source) in &report.sources {
        let _ = match &source.failed {
            Some(why) => writeln!(out, "source {name}: FAILED: {why}"),
            None => writeln!(
                out,
                "source {name}: {} calls read, {} events counted, {} duplicates, {} rejected",
                source.calls_read,
                source.events_counted,
                source.duplicates,
                source.rejected.values().sum::<u64>()
            ),
        };
        source.said_of_rejected().for_each(|line| {
            let _ = writeln!(out, "  {line}");
        });
        if source.files_rewritten > 0 {
            let _ = writeln!(
                out,
                "  {} files had other bytes than before: read again, counted once",
                source.files_rewritten
            );
        }
        source.said_of_days().for_each(|line| {
            let _ = writeln!(out, "  {line}");
        });
        source.said_of_names().for_each(|line| {
            let _ = writeln!(out, "  {line}");
        });
        if source.suppressed > 0 {
            let _ = writeln!(out, "  {} of people and accounts that were forgotten: not counted", source.suppressed);
        }
        if source.deletions > 0 {
            let _ = writeln!(
                out,
                "  {} users forgotten, because the source asked for it; what tools hold of them stands in the log; now run `vitalsync state compact`",
                source.deletions
            );
        }
    }
    if report.sources.values().any(|source| source.failed.is_some()) {
        let _ = writeln!(
            out,
            "nothing was measured or synced: a source can't be read, and old figures would look like a fall"
        );
        return out;
    }
    for (name, reading) in &report.readings {
        let _ = writeln!(out, "source {name}: {}", reading.said());
        reading.notes.iter().for_each(|note| {
            let _ = writeln!(out, "  {note}");
        });
        if let Some(why) = &reading.failed {
            let _ = writeln!(out, "  not read to its end, traits keep their last values: {why}");
        }
    }
    let _ = writeln!(out, "{} accounts measured", report.accounts);
    for (profile, benchmark) in &report.benchmarks {
        let _ = writeln!(out, "  benchmark of {profile}: {}", benchmark.said());
        for group in benchmark.groups.values() {
            let _ = writeln!(out, "    {}", group.said());
        }
    }
    for held in &report.counted_since {
        let _ = writeln!(out, "  {}", held.said());
    }
    for source in &report.unknown_sources {
        let _ = writeln!(
            out,
            "  the state has calls of a source {source}, which the config does not have: they count for nothing until it has"
        );
    }
    for (source, last) in &report.stale {
        let _ = writeln!(out, "  {}", said_of_stale(source, last));
    }
    for stopped in &report.stopped {
        let _ = writeln!(out, "  {}", stopped.said());
    }
    for said in report.rules.iter().filter_map(|(rule, missed)| missed.said(rule)) {
        let _ = writeln!(out, "  {said}");
    }
    for doubt in &report.doubts {
        let _ = writeln!(out, "  {doubt}");
    }
    if report.unassigned_events > 0 {
        let _ = writeln!(
            out,
            "  {} events belong to no account: they state none, and their user has none",
            report.unassigned_events
        );
    }
    for (name, destination) in &report.destinations {
        out.push_str(&destination_line(name, destination));
    }
    let _ = writeln!(out, "alerts: {}", report.alerts.said());
    if let Some(compacted) = &report.compacted {
        let _ = writeln!(out, "state written anew: {}", compacted.said());
    }
    let _ = writeln!(out, "took {:.1} s", report.duration_ms as f64 / 1000.0);
    out
}

fn destination_line(name: &str, report: &DestinationReport) -> String {
    let delivered = &report.delivered;
    let mut out = format!("destination {name}: ");
    if delivered.changed == 0 && delivered.sent_calls == 0 {
        out.push_str("nothing changed, nothing sent");
    } else if !report.observing {
        let _ = write!(
            out,
            "{} changed, {} calls sent, {} acknowledged, {} absent, {} rejected, {} waiting",
            delivered.changed,
            delivered.sent_calls,
            delivered.acknowledged,
            delivered.absent,
            delivered.rejected,
            delivered.waiting
        );
        if delivered.retried > 0 {
            let _ = write!(out, ", {} sent again", delivered.retried);
        }
    }
    if delivered.read > 0 {
        let _ = write!(out, "; {} read back, {} changed by others", delivered.read, delivered.drifted);
    }
    out.push('\n');
    out.push_str(&reasons(delivered));
    for note in &delivered.notes {
        let _ = writeln!(out, "  {note}");
    }
    if let Some(circuit) = &report.circuit {
        let _ = writeln!(out, "  {}", circuit.said());
    }
    out.push_str(&drift(&report.drift));
    if report.quarantined > 0 {
        let _ = writeln!(out, "  {} in quarantine: `vitalsync quarantine` says why", report.quarantined);
    }
    out
}

/// Why records were rejected, wait or are absent, with how many each.
pub(super) fn reasons(delivered: &Delivered) -> String {
    let mut out = String::new();
    let kinds =
        [("rejected", &delivered.rejected_why), ("waiting", &delivered.waiting_why), ("absent", &delivered.absent_why)];
    for (kind, reasons) in kinds {
        for (why, count) in &reasons.0 {
            let _ = writeln!(out, "  {count} {kind}: {why}");
        }
    }
    out
}

/// What others changed; the first few.
pub(super) fn drift(drift: &[DriftReport]) -> String {
    const SHOWN: usize = 10;
    let mut out = String::new();
    for one in drift.iter().take(SHOWN) {
        let _ = writeln!(out, "  changed by others: {}", one.said());
    }
    if drift.len() > SHOWN {
        let _ = writeln!(out, "  … and {} more fields (all of them with --format json)", drift.len() - SHOWN);
    }
    out
}
