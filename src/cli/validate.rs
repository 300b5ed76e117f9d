//! `vitalsync validate`: the config by itself, and what the data says to it where something was read already. It reads no
//! source and makes no state, and asks the tools only with `--online`: what they can't take is a fault of the config. What is
//! odd is a warning: the exit code is that of a good config.

use std::time::Duration;

use vitalsync_core::lint;
use vitalsync_core::section::Fault;

use super::ask::{self, Source};
use super::{Failure, Options, Outcome, say, say_json};
use crate::config::{Config, Credentials, Destination};
use crate::report::{ValidateReport, Warning};
use crate::scratch::Scratch;
use crate::store::Store;
use crate::tick::Engine;

/// How long each tool is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn run(options: &Options, online: bool) -> Outcome {
    let config = options.load()?;
    config.suppressed()?;
    let at = options.at(&config.model.calendar)?;
    let mut notes = Vec::new();
    let excluded: Vec<String> = lint::excluded(&config.model).into_iter().map(|(event, _)| event).collect();
    if !excluded.is_empty() {
        notes.push(format!("weight 0, left out on purpose: {}", excluded.join(", ")));
    }
    let looked = match ask::daemon(&config).await {
        Some(Source::Daemon(client, _socket)) => {
            let file = std::path::absolute(&config.file)?.display().to_string();
            let parameters = [vec![("file", file)], ask::as_of(at)].concat();
            ask::ask(&client, reqwest::Method::GET, "/v1/lint", &parameters).await
        }
        _ if Store::is_in(&config.state) => here(options),
        _ => Ok(None),
    };
    let (faults, data): (Vec<Fault>, bool) = match looked {
        Ok(Some(faults)) => (faults, true),
        // Whoever holds the state refuses the config: so would a run.
        Err(refused @ Failure::Usage(_)) => return Err(refused),
        unseen => {
            let why = match unseen {
                Err(Failure::Failed(error)) => format!("{error:#}"),
                _ => format!("nothing was read yet into {}", config.state.display()),
            };
            notes.push(format!("looked at the config only: {why}"));
            (config.linted(), false)
        }
    };
    let (refused, unasked) = if online { ask_tools(options).await? } else { (Vec::new(), Vec::new()) };
    let code = match (refused.is_empty(), unasked.is_empty()) {
        (true, true) => 0,
        (true, false) => 1,
        (false, _) => 2,
    };
    notes.extend(unasked);
    let usage = config.sources.iter().map(|source| &source.name);
    let names = |names: &mut dyn Iterator<Item = &String>| names.cloned().collect();
    let report = ValidateReport {
        config: config.file.display().to_string(),
        valid: refused.is_empty(),
        faults: Warning::all(&refused, &config.file),
        online,
        warnings: Warning::all(&faults, &config.file),
        data,
        notes,
        sources: names(&mut usage.chain(config.readings.iter().map(|reading| &reading.name))),
        profiles: names(&mut config.model.profiles.iter().map(|profile| &profile.name)),
        destinations: names(&mut config.destinations.iter().map(|destination| &destination.name)),
    };
    if options.json() {
        say_json(&report);
        return Ok(code);
    }
    faults.iter().chain(&refused).for_each(|fault| eprint!("{}", config.shown(fault)));
    let judgement = match refused.len() {
        0 => "good".to_owned(),
        1 => "1 error".to_owned(),
        count => format!("{count} errors"),
    };
    say(&format!(
        "{}: {judgement}: {} source(s), {} profile(s), {} activation step(s), {} destination(s)",
        report.config,
        report.sources.len(),
        report.profiles.len(),
        config.model.activation.iter().map(|list| list.steps.len()).sum::<usize>(),
        report.destinations.len()
    ));
    report.notes.iter().for_each(|note| say(note));
    Ok(code)
}

/// What the tools can't take, and why one could not be asked. The state is not touched, so that a daemon may hold it; but for
/// logins, which are in it and may be renewed.
async fn ask_tools(options: &Options) -> Result<(Vec<Fault>, Vec<String>), Failure> {
    let scratch = Scratch::new("validate");
    let mut config = options.load()?;
    let (mut faults, mut unasked) = (Vec::new(), Vec::new());
    let logs_in = |tool: &Destination| matches!(tool.credentials, Credentials::OAuth(_));
    let logins = config.tools().any(logs_in) && Store::is_in(&config.state);
    let held = logins && ask::daemon(&config).await.is_some();
    if !logins || held {
        config.state = scratch.path().to_owned();
    }
    let clock = options.clock(&config.model.calendar)?;
    let mut engine = Engine::open(config, clock)?;
    engine.patience = PATIENCE;
    if held {
        let theirs = engine.config.tools().filter(|tool| logs_in(tool));
        unasked.extend(theirs.map(|tool| {
            format!("{} could not be asked: a running daemon has its login; stop it, or validate without it", tool.name)
        }));
    }
    for (destination, inspected) in engine.inspect(|tool| !(held && logs_in(tool))).await? {
        faults.extend(inspected.faults);
        unasked.extend(inspected.unasked.map(|why| format!("{destination} could not be asked: {why}")));
    }
    faults.sort_by(|a, b| (a.place, &a.message).cmp(&(b.place, &b.message)));
    Ok((faults, unasked))
}

/// What the state says, where no daemon holds it.
fn here(options: &Options) -> Result<Option<Vec<Fault>>, Failure> {
    let config: Config = options.load()?;
    let clock = options.clock(&config.model.calendar)?;
    let engine = Engine::open(config, clock)?;
    Ok(engine.lint(&engine.config, engine.clock.now())?)
}
