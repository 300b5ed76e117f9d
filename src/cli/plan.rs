//! `vitalsync plan` and `vitalsync approve`

use std::fmt::Write;

use super::ask::{self, Source};
use super::run::drift;
use super::{Failure, Options, Outcome, say, say_json};
use crate::deliver::Delivered;
use crate::report::{PlanReport, PlannedOperation};

/// So many operations of a destination are shown in full to people.
const SHOWN: usize = 200;

pub(super) async fn run(options: &Options, exit_code: bool, refresh: bool, destination: Option<&str>) -> Outcome {
    let config = options.load()?;
    let at = options.at(&config.model.calendar)?;
    if let Some(wanted) = destination
        && !config.destinations.iter().any(|destination| destination.name == wanted)
    {
        return Err(Failure::Usage(format!("there is no destination `{wanted}` in {}", config.file.display())));
    }
    let mut plans: Vec<PlanReport> = match ask::source(options, config, true).await? {
        Source::Daemon(client, _socket) => {
            if refresh {
                let of = destination.map(|name| ("destination", name.to_owned()));
                let parameters: Vec<_> = of.into_iter().collect();
                let read: Option<Vec<(String, Delivered)>> =
                    ask::ask(&client, reqwest::Method::POST, "/v1/refresh", &parameters).await?;
                read.iter().flatten().for_each(|(name, delivered)| eprint!("{}", said_of_reading(name, delivered)));
            }
            ask::ask(&client, reqwest::Method::GET, "/v1/plan", &ask::as_of(at)).await?.unwrap_or_default()
        }
        Source::State(engine) => {
            if refresh {
                let read = engine.refresh(destination).await?;
                read.iter().for_each(|(name, delivered)| eprint!("{}", said_of_reading(name, delivered)));
            }
            engine.plan(engine.clock.now())?
        }
    };
    plans.retain(|plan| destination.is_none_or(|wanted| plan.destination == wanted));
    if options.json() {
        say_json(&plans);
    } else {
        // They are the same for every destination.
        let warnings = plans.iter().map(|plan| &plan.warnings).find(|warnings| !warnings.is_empty());
        warnings.into_iter().flatten().for_each(|warning| eprintln!("{}", warning.said()));
        plans.iter().for_each(|plan| say(&diff(plan)));
    }
    let changes = plans.iter().any(|plan| !plan.operations.is_empty());
    Ok(if exit_code && changes { 4 } else { 0 })
}

/// What reading a destination back came to, on standard error: the plan itself is what is asked for.
fn said_of_reading(name: &str, delivered: &Delivered) -> String {
    let Delivered { read, drifted, sent_calls, .. } = delivered;
    let mut out = format!("{name}: {read} records read back in {sent_calls} calls, {drifted} changed by others\n");
    for note in &delivered.notes {
        let _ = writeln!(out, "  {note}");
    }
    out
}

fn diff(plan: &PlanReport) -> String {
    let count = plan.operations.len();
    let mut out = format!("{} ({}): ", plan.destination, plan.kind);
    let _ = match count {
        0 => writeln!(out, "nothing to do"),
        1 => writeln!(out, "1 operation"),
        _ => writeln!(out, "{count} operations"),
    };
    for note in &plan.notes {
        let _ = writeln!(out, "  {note}");
    }
    out.push_str(&drift(&plan.drift));
    for operation in plan.operations.iter().take(SHOWN) {
        let _ = writeln!(out, "  {} {}", operation.title, operation.slot);
        out.push_str(&fields(operation));
        if let Some(create) = operation.create.as_ref().filter(|create| !create.is_empty()) {
            let fields: Vec<String> =
                create.iter().map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or("–"))).collect();
            let _ = writeln!(out, "      created if it is not there, with {}", fields.join(", "));
        }
    }
    if count > SHOWN {
        let _ = writeln!(out, "  … and {} more (all of them with --format json)", count - SHOWN);
    }
    for (slot, why) in &plan.quarantined {
        let _ = writeln!(out, "  refused before, not tried now: {slot}: {why}");
    }
    out
}

/// The fields of an operation, a line each.
pub(super) fn fields(operation: &PlannedOperation) -> String {
    let mut out = String::new();
    // What is told along with what changed is no change.
    let told = operation.fields.iter().filter(|(field, change)| *field != "blocks" && change.old != change.new);
    for (field, change) in told {
        let shown = |value: &serde_json::Value| match value {
            serde_json::Value::Null => "–".to_owned(),
            serde_json::Value::String(text) => text.replace('\n', " "),
            other => other.to_string(),
        };
        let _ = writeln!(out, "      {field}: {} → {}", shown(&change.old), shown(&change.new));
    }
    out
}

pub(super) async fn approve(options: &Options, destination: &str) -> Outcome {
    let config = options.load()?;
    if !config.destinations.iter().any(|known| known.name == destination) {
        let names: Vec<&str> = config.destinations.iter().map(|known| known.name.as_str()).collect();
        return Err(Failure::Usage(format!(
            "there is no destination `{destination}`; there are: {}",
            names.join(", ")
        )));
    }
    let said: String = match ask::source(options, config, false).await? {
        Source::Daemon(client, _socket) => {
            let parameters = [("destination", destination.to_owned())];
            ask::ask(&client, reqwest::Method::POST, "/v1/approve", &parameters).await?.unwrap_or_default()
        }
        Source::State(engine) => engine.approve(destination)?,
    };
    if options.json() {
        say_json(&serde_json::json!({"destination": destination, "message": said}));
    } else {
        say(&said);
    }
    Ok(0)
}
