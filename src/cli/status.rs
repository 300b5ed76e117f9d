//! `vitalsync status`

use std::fmt::Write;

use super::ask::{self, Source};
use super::run::{drift, reasons};
use super::table::text;
use super::{Failure, Options, Outcome, say, say_json};
use crate::report::{ParkedReport, StatusReport, said_of_stale};

pub(super) async fn run(options: &Options, daemon_only: bool) -> Outcome {
    let config = options.load()?;
    if daemon_only && ask::daemon(&config).await.is_none() {
        return Err(Failure::Failed(anyhow::anyhow!("no daemon runs on the state in {}", config.state.display())));
    }
    let status: StatusReport = match ask::source(options, config, false).await? {
        Source::Daemon(client, _socket) => {
            ask::ask(&client, reqwest::Method::GET, "/v1/status", &[]).await?.unwrap_or_default()
        }
        Source::State(engine) => engine.status()?,
    };
    if options.json() {
        say_json(&status);
    } else {
        say(&lines(&status));
    }
    Ok(0)
}

fn lines(status: &StatusReport) -> String {
    let mut out = String::new();
    let running = if status.running { "a daemon runs" } else { "no daemon runs" };
    let _ = writeln!(
        out,
        "{running}; {:.1} MB of state; last evaluation {}",
        status.state_bytes as f64 / 1e6,
        text(status.last_evaluation.as_deref())
    );
    for said in status.rules.iter().filter_map(|(rule, missed)| missed.said(rule)) {
        let _ = writeln!(out, "{said}");
    }
    for (name, source) in &status.sources {
        let _ = write!(out, "source {name}: read {}", text(source.last_run.as_deref()));
        if let Some(brought_at) = source.brought_at.as_ref().filter(|_| source.brought_at != source.last_run) {
            let _ = write!(out, ", nothing new since {brought_at}");
        }
        if status.running {
            let _ = write!(out, ", next {}", text(source.next_run.as_deref()));
        }
        out.push('\n');
        if let Some(last) = &source.stale_since {
            let _ = writeln!(out, "  {}", said_of_stale(name, last));
        }
        if let Some(last) = &source.last {
            if let Some(why) = &last.failed {
                let _ = writeln!(out, "  FAILED: {why}");
            }
            let _ = writeln!(
                out,
                "  {} calls read, {} events counted, {} duplicates, {} rejected",
                last.calls_read,
                last.events_counted,
                last.duplicates,
                last.rejected.values().sum::<u64>()
            );
            last.said_of_rejected().chain(last.said_of_names()).for_each(|line| {
                let _ = writeln!(out, "  {line}");
            });
        }
    }
    for (name, reading) in &status.readings {
        let _ = write!(out, "source {name} ({}): read {}", reading.kind, text(reading.last_run.as_deref()));
        if status.running {
            let _ = write!(out, ", next {}", text(reading.next_run.as_deref()));
        }
        out.push('\n');
        if let Some(late) = &reading.late_since {
            let _ = writeln!(out, "  late: last read to its end on {late}");
        }
        if let Some(last) = &reading.last {
            let _ = writeln!(out, "  {}", last.said());
            last.notes.iter().for_each(|note| {
                let _ = writeln!(out, "  {note}");
            });
            if let Some(why) = &last.failed {
                let _ = writeln!(out, "  not read to its end, traits keep their last values: {why}");
            }
        }
    }
    for (name, destination) in &status.destinations {
        let mode = if destination.observing { "observes" } else { "live" };
        let _ = write!(
            out,
            "destination {name} ({}, {mode}): synced {}",
            destination.kind,
            text(destination.last_run.as_deref())
        );
        if status.running {
            let _ = write!(out, ", next {}", text(destination.next_run.as_deref()));
        }
        out.push('\n');
        let braked = destination.braked.iter().map(|braked| braked.said(name));
        let parked = destination.parked.iter().map(ParkedReport::said);
        let circuit = destination.last.iter().filter_map(|last| Some(last.circuit.as_ref()?.said()));
        let standing: Vec<String> = braked.chain(parked).chain(circuit).collect();
        for said in &standing {
            let _ = writeln!(out, "  {said}");
        }
        if let Some(last) = &destination.last {
            let last = &last.delivered;
            let _ = writeln!(
                out,
                "  {} changed, {} calls sent, {} acknowledged, {} absent, {} rejected, {} waiting",
                last.changed, last.sent_calls, last.acknowledged, last.absent, last.rejected, last.waiting
            );
            out.push_str(&reasons(last));
            for note in last.notes.iter().filter(|note| !standing.iter().any(|said| said.contains(note.as_str()))) {
                let _ = writeln!(out, "  {note}");
            }
        }
        out.push_str(&drift(&destination.drift));
        if destination.outbox > 0 {
            let _ = writeln!(out, "  {} alerts wait", destination.outbox);
        }
        for refused in &destination.quarantine {
            let _ = writeln!(out, "  refused {} at {}: {}", refused.slot, refused.at, refused.why);
        }
    }
    for snooze in &status.snoozed {
        let _ = writeln!(out, "{}", snooze.said());
    }
    out
}
