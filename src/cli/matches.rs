//! `vitalsync match`: which account is which record in which tool; as CSV for a spreadsheet, and back.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::ask::{self, Source};
use super::table::table;
use super::{Failure, Options, Outcome, say, say_json};
use crate::report::{ImportReport, MatchReport};
use crate::tick::matches::Line;

/// The columns, in their order.
const COLUMNS: [&str; 8] = ["destination", "record", "account", "name", "record_id", "state", "why", "candidates"];
/// So many open matches are shown to people.
const SHOWN: usize = 200;

#[derive(Debug, Clone, Subcommand)]
pub(super) enum Command {
    /// Write all of them as CSV.
    Export {
        /// The file; standard output if left out.
        file: Option<PathBuf>,
    },
    /// Read decisions: a `record_id` that was filled in, or `ignore` as the `state`.
    Import {
        /// The file.
        file: PathBuf,
    },
}

pub(super) async fn run(options: &Options, command: Option<Command>) -> Outcome {
    match command {
        Some(Command::Import { file }) => import(options, &file).await,
        Some(Command::Export { file }) => export(options, file.as_deref()).await,
        None => show(options).await,
    }
}

async fn all(options: &Options) -> Result<Vec<MatchReport>, Failure> {
    let config = options.load()?;
    let at = options.at(&config.model.calendar)?;
    match ask::source(options, config, true).await? {
        Source::Daemon(client, _socket) => ask::known(&client, "/v1/match", &ask::as_of(at)).await,
        Source::State(engine) => Ok(engine.matches(engine.clock.now())?),
    }
}

async fn show(options: &Options) -> Outcome {
    let list = all(options).await?;
    if options.json() {
        say_json(&list);
        return Ok(0);
    }
    let count = |state: &str| list.iter().filter(|one| one.state == state).count();
    let (matched, ignored) = (count("matched"), count("ignored"));
    let open: Vec<&MatchReport> =
        list.iter().filter(|one| !matches!(one.state.as_str(), "matched" | "ignored")).collect();
    let row = |one: &&MatchReport| {
        [&one.destination, &one.record, &one.account, &one.name, &one.state, &one.why].map(Clone::clone).to_vec()
    };
    let rows: Vec<Vec<String>> = open.iter().take(SHOWN).map(row).collect();
    if !rows.is_empty() {
        say(&table(&["destination", "record", "account", "name", "state", "why"], &rows));
    }
    if open.len() > SHOWN {
        say(&format!("… and {} more (all of them with `vitalsync match export`)", open.len() - SHOWN));
    }
    let ignored = if ignored == 0 { String::new() } else { format!(", {ignored} ignored") };
    say(&format!("{matched} matched, {} not{ignored}", open.len()));
    Ok(0)
}

async fn export(options: &Options, file: Option<&Path>) -> Outcome {
    let list = all(options).await?;
    let mut writer = csv::Writer::from_writer(Vec::new());
    let unwritten = |error: csv::Error| Failure::Failed(anyhow::anyhow!("the list can't be written: {error}"));
    writer.write_record(COLUMNS).map_err(unwritten)?;
    for one in &list {
        let MatchReport { destination, record, account, name, record_id, state, why, candidates } = one;
        writer
            .write_record([destination, record, account, name, record_id, state, why, candidates])
            .map_err(unwritten)?;
    }
    let bytes = writer.into_inner().map_err(|error| unwritten(error.into_error().into()))?;
    match file {
        None => say(&String::from_utf8_lossy(&bytes)),
        Some(file) => {
            std::fs::write(file, bytes)
                .map_err(|error| Failure::Failed(anyhow::anyhow!("can't write {}: {error}", file.display())))?;
            eprintln!("{} lines written to {}", list.len(), file.display());
        }
    }
    Ok(0)
}

async fn import(options: &Options, file: &Path) -> Outcome {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::Usage(format!("can't read {} as UTF-8 text: {error}", file.display())))?;
    // What is no table is found out before anybody is asked.
    let lines = Line::read(&text).map_err(|why| Failure::Usage(format!("{}: {why}", file.display())))?;
    let config = options.load()?;
    let at = options.at(&config.model.calendar)?;
    let report: ImportReport = match ask::source(options, config, true).await? {
        Source::Daemon(client, _socket) => ask::tell(&client, "/v1/match", &ask::as_of(at), text).await?,
        Source::State(engine) => engine.decide(&lines, engine.clock.now()).await?,
    };
    if options.json() {
        say_json(&report);
        return Ok(0);
    }
    let ImportReport { lines, chosen, ignored, looked_for_again, unchanged } = report;
    say(&format!(
        "{lines} lines: {chosen} records named, {ignored} ignored, {looked_for_again} looked for again, {unchanged} as they were; the next sync writes to what was named"
    ));
    Ok(0)
}
