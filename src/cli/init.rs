//! `vitalsync init`: a first config from what a source really contains. It reads the source into a state of its own that goes
//! afterwards, asks at most whether to write, and never writes over a file.

use std::fs::File;
use std::io::{self, IsTerminal, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use vitalsync_core::Calendar;
use vitalsync_core::evaluate::Evaluation;
use vitalsync_core::lint::{Crowd, PROPOSED_AT_RISK, TOGETHER};
use vitalsync_core::model::Bands;
use vitalsync_core::propose::Proposal;

use super::backfill::watch;
use super::{Failure, Options, Outcome, say, say_json};
use crate::config::Config;
use crate::draft::{Draft, WINDOW};
use crate::report::{BandsReport, InitReport};
use crate::scratch::Scratch;
use crate::tick::Engine;
use crate::tick::read::Backfill;

/// What to read, and where to write.
#[derive(Debug, Clone, Args)]
pub(super) struct Arguments {
    /// The archive: a directory of NDJSON files, gzip or plain, or one such file.
    #[arg(long, value_name = "DIR|FILE")]
    source: PathBuf,
    /// The config to write; --config if left out.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write without asking.
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(options: &Options, arguments: &Arguments) -> Outcome {
    let out = arguments.out.as_ref().unwrap_or(&options.config);
    if out.symlink_metadata().is_ok() {
        let why =
            "is there already, and `init` writes over nothing: take another name with --out FILE, or move it away";
        return Err(Failure::Usage(format!("{} {why}", out.display())));
    }
    let scratch = Scratch::new("init");
    let engine = read(&arguments.source, &scratch, options)?;
    let (mut report, text) = draft(&engine, &arguments.source, out)?;
    let asks = io::stdin().is_terminal() && !arguments.yes && !options.json();
    if !options.json() {
        report.said().iter().for_each(|line| say(line));
    }
    if !asks || agreed(out)? {
        // Somebody may have made it since.
        File::create_new(out).and_then(|mut file| file.write_all(text.as_bytes())).map_err(|why| {
            Failure::Failed(anyhow::anyhow!("can't write {}: {why}: check the directory and its rights", out.display()))
        })?;
        report.written = Some(out.display().to_string());
    }
    if options.json() {
        say_json(&report);
    } else {
        say(&match &report.written {
            Some(file) => {
                format!("wrote {file}; next: `vitalsync validate`, `vitalsync run --once`, `vitalsync accounts`")
            }
            None => "nothing was written".to_owned(),
        });
    }
    Ok(0)
}

fn agreed(out: &Path) -> io::Result<bool> {
    print!("write {}? [Y/n] ", out.display());
    io::stdout().flush()?;
    let mut answer = String::new();
    // An end of input is no yes.
    let said = io::stdin().read_line(&mut answer)? > 0;
    Ok(said && matches!(answer.trim().to_lowercase().as_str(), "" | "y" | "yes"))
}

/// Reads a source into a state that goes with the directory.
fn read(source: &Path, scratch: &Scratch, options: &Options) -> Result<Engine, Failure> {
    let text = "sources: { product: { type: segment_archive, location: . } }";
    let mut config = Config::parse(text, &scratch.path().join("vitalsync.yaml"), &|_| None)?;
    for read in &mut config.sources {
        read.location = std::path::absolute(source)?;
    }
    let engine = Engine::open(config, options.clock(&Calendar::default())?)?;
    let report = engine.backfill(&Backfill::default(), &watch)?;
    for (_, source) in report.sources {
        if let Some(why) = source.failed {
            return Err(Failure::Failed(anyhow::anyhow!(why)));
        }
        source.examples.iter().for_each(|example| eprintln!("not counted: {example}"));
    }
    Ok(engine)
}

/// What was found, and the config for it.
fn draft(engine: &Engine, source: &Path, out: &Path) -> Result<(InitReport, String), Failure> {
    let calendar = engine.config.model.calendar;
    let mut at = engine.clock.now();
    let mut found = engine.used(&engine.config, at)?;
    let nobodys = found.unassigned_events;
    let nothing = || {
        let source = source.display();
        let why = match nobodys {
            0 => format!(
                "no event in {source} was counted: is it an archive of Segment's or RudderStack's calls, and is --as-of after its first?"
            ),
            some => format!(
                "none of {some} events in {source} says which account it belongs to: begin a config with `accounts: {{ id: [properties.company_id] }}`, by the name that your calls have for it (the default is context.groupId, and group calls)"
            ),
        };
        Failure::Failed(anyhow::anyhow!(why))
    };
    let (first, last) = found.activity.as_ref().and_then(|activity| activity.span()).ok_or_else(nothing)?;
    if last < calendar.day(at) {
        // What is done lately is what was done lately when the data end.
        at = calendar.end(last);
        found = engine.used(&engine.config, at)?;
    }
    let activity = found.activity.as_ref().ok_or_else(nothing)?;
    let proposal = Proposal::of(activity);
    if proposal.scored.is_empty() {
        return Err(nothing());
    }
    let mut report = InitReport {
        as_of: at.to_string(),
        accounts: found.accounts.len(),
        users: found.users.len(),
        events: activity.counted(),
        unassigned_events: found.unassigned_events,
        first_day: first.to_string(),
        last_day: last.to_string(),
        scored: proposal.scored.iter().cloned().collect(),
        excluded: proposal.excluded.iter().map(|(name, _)| name.clone()).collect(),
        steps: proposal.steps.iter().map(|(name, _)| name.clone()).collect(),
        ..InitReport::default()
    };
    let location = location(source, out)?;
    let line = report.found();
    let mut draft =
        Draft { location: &location, found: &line, proposal: &proposal, activity, bands: Bands::default(), spread: "" };
    let scored = engine.used(&Config::parse(&draft.text(), out, &|_| None)?, at)?;
    let spread;
    (draft.bands, spread) = fit(&scored, &mut report);
    draft.spread = &spread;
    report.bands = BandsReport { healthy: draft.bands.healthy, at_risk: draft.bands.at_risk, said: spread.clone() };
    let text = draft.text();
    // It must read: whatever names are in the data.
    Config::parse(&text, out, &|_| None)?;
    Ok((report, text))
}

/// Bands that fit the scores that they are for, and what they come to.
fn fit(evaluation: &Evaluation, report: &mut InitReport) -> (Bands, String) {
    let (crowd, mut bands) = (Crowd::of(&evaluation.accounts), Bands::default());
    if crowd.is_small() {
        return (bands, format!("the default: {} accounts are too few to fit others", evaluation.accounts.len()));
    }
    let spread = crowd.spread(&bands);
    if spread.at_risk as f64 > PROPOSED_AT_RISK * spread.all() as f64 {
        bands = crowd.fitting(&bands).unwrap_or(bands);
    }
    report.score_with_users = crowd.goes_with_size();
    report.goes_with_size = report.score_with_users.is_some_and(|correlation| correlation > TOGETHER);
    let mut said = crowd.spread(&bands).said();
    if crowd.gone() > 0 {
        said += &format!("; {} of them did nothing that scores in {WINDOW} days", crowd.gone());
    }
    (bands, said)
}

/// A source as the config says it: relative to the config's directory where it is below that, or as it was given.
fn location(source: &Path, out: &Path) -> io::Result<String> {
    let base = out.parent().unwrap_or(Path::new(""));
    let (full, base_full) =
        (std::path::absolute(source)?, std::path::absolute(if base == Path::new("") { Path::new(".") } else { base })?);
    Ok(match full.strip_prefix(&base_full) {
        Ok(below) => format!("./{}", below.display()),
        Err(_) if base == Path::new("") => source.display().to_string(),
        Err(_) => full.display().to_string(),
    })
}
