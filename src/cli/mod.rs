//! The command line: one file a command. Exit codes: 0 done, 1 failed, 2 wrong use or config, 3 done but something was rejected
//! or waits, 4 (`plan --exit-code`) something would change.

mod accounts;
mod alerts;
mod ask;
mod auth;
mod backfill;
mod backtest;
mod demo;
mod events;
mod explain;
mod forget;
mod init;
mod matches;
mod plan;
mod portfolio;
mod preview;
mod quarantine;
mod reasons;
mod run;
mod sandbox;
mod state;
mod status;
mod table;
mod users;
mod validate;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tracing::level_filters::LevelFilter;
use vitalsync_core::{Calendar, Day, Timestamp};

use crate::clock::Clock;
use crate::config::{Config, Refused, Unreadable};
use crate::store::StoreError;
use crate::telemetry;
use crate::tick::ingest::IngestError;
use crate::tick::matches::WrongLines;

/// Customer health as code: usage events in, health and activation out, kept true in HubSpot, Intercom and Slack.
#[derive(Debug, Parser)]
#[command(name = "vitalsync", version, about, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    options: Options,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
struct Options {
    /// The config file.
    #[arg(long, short, global = true, default_value = "vitalsync.yaml", value_name = "FILE")]
    config: PathBuf,
    /// Tables for people, or one JSON document for programs.
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Figures as of a date (its end, in the config's time zone) or an RFC 3339 time; now if left out.
    #[arg(long, global = true, value_name = "DATE|TIME")]
    as_of: Option<String>,
    /// Logs as JSON lines.
    #[arg(long, global = true)]
    log_json: bool,
}

/// What commands that look take besides.
#[derive(Debug, Clone, Args)]
struct KnownOn {
    /// Only calls that were received by the end of this day: what was known then, without what came late.
    #[arg(long, value_name = "DATE")]
    known_on: Option<String>,
}

impl KnownOn {
    /// The last day of receipt, if one is asked for.
    fn day(&self) -> Result<Option<Day>, Failure> {
        day("--known-on", self.known_on.as_deref())
    }
}

/// A date of an option.
fn day(option: &str, text: Option<&str>) -> Result<Option<Day>, Failure> {
    let wrong = |text: &str| Failure::Usage(format!("{option} `{text}` is not a date, as in 2026-08-13"));
    text.map(|text| Day::parse(text).ok_or_else(|| wrong(text))).transpose()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// One document.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything on this machine with invented customers and sandbox vendors; nothing to set up.
    Demo {
        /// One pass, then exit.
        #[arg(long)]
        once: bool,
    },
    /// Write a first config from what a source really contains.
    Init(init::Arguments),
    /// Check the config: all faults at once, each with its place; and what the data says to it.
    Validate {
        /// Ask the tools too: tokens, scopes, properties, types, channels. Writes nothing.
        #[arg(long)]
        online: bool,
    },
    /// Run the daemon, or one full pass with `--once`.
    Run {
        /// One full pass and a summary.
        #[arg(long)]
        once: bool,
        /// For tests: write after so many calls, that a kill may fall between two writes.
        #[arg(long, hide = true, requires = "once")]
        batch: Option<usize>,
        /// For tests: hand out so many bytes of a file at once.
        #[arg(long, hide = true, requires = "once")]
        block: Option<usize>,
    },
    /// Show what the next sync would do, and write nothing.
    Plan {
        /// Exit with 4 if something would change.
        #[arg(long)]
        exit_code: bool,
        /// Read back first what the tools hold: what others changed is shown, and planned as its ownership says.
        #[arg(long)]
        refresh: bool,
        /// Only this destination.
        destination: Option<String>,
    },
    /// Release a destination: it writes from now on if it observed, and does what its brake holds.
    Approve {
        /// The destination's name in the config.
        destination: String,
    },
    /// Log in to a tool in the browser, see how logins stand, or forget one.
    Auth(auth::Arguments),
    /// All accounts with their health and activation.
    Accounts {
        #[command(flatten)]
        known: KnownOn,
    },
    /// Alerts that wait, and accounts of which nobody wants to hear for a while.
    Alerts {
        #[command(subcommand)]
        command: Option<alerts::Command>,
    },
    /// Events: how often and by whom each is done, what it counts for, and what the config misses.
    Events {
        #[command(flatten)]
        known: KnownOn,
    },
    /// One account's story: its measures, what they are made of, what moved its score, and what each tool was told.
    Explain(explain::Arguments),
    /// Users with their health, those of one account or all.
    Users {
        /// Only those whose primary account this is: its id, name or domain.
        #[arg(long)]
        account: Option<String>,
        #[command(flatten)]
        known: KnownOn,
    },
    /// All accounts together: bands, scores, churn, and how far they come with each checklist.
    Portfolio {
        /// Against how they stood at the end of this day; 30 days before, if left out.
        #[arg(long, value_name = "DATE")]
        from: Option<String>,
        #[command(flatten)]
        known: KnownOn,
    },
    /// How well the figures of the past would have foreseen who left.
    Backtest(backtest::Arguments),
    /// What goes together with leaving, and with being among the best; as association, not as cause.
    Reasons(backtest::Cohort),
    /// What another config (`--config NEW.yaml`) would say of today's accounts; nothing is stored.
    Preview {
        /// The config in force, whose state is asked; `vitalsync.yaml` beside the other if left out.
        #[arg(long, value_name = "FILE")]
        current: Option<PathBuf>,
    },
    /// Which account is which record in which tool; what is ambiguous or not found.
    Match {
        #[command(subcommand)]
        command: Option<matches::Command>,
    },
    /// What tools refused, with the reason; try it again, or drop it.
    Quarantine {
        #[command(subcommand)]
        command: Option<quarantine::Command>,
    },
    /// Runs, lag, and what was rejected with the reason.
    Status {
        /// Ask the daemon only, and fail if none runs: a health check.
        #[arg(long)]
        daemon: bool,
    },
    /// Read what was not read yet, or count days anew with `--rebuild`.
    Backfill(backfill::Arguments),
    /// Erase a person or an account from the state, for good.
    Forget(forget::Arguments),
    /// Back the state up, restore it, make it small, check it.
    State {
        #[command(subcommand)]
        command: state::Command,
    },
    /// Serve the sandbox vendors alone, to try a config against.
    Sandbox,
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
enum Failure {
    /// Wrong use or config: exit code 2.
    Usage(String),
    /// Anything else: exit code 1.
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        if let Some(IngestError::TimeZone { .. }) = error.downcast_ref() {
            return Self::Usage(error.to_string());
        }
        if let Some(error) = error.downcast_ref::<Unreadable>() {
            return Self::Usage(error.to_string());
        }
        if let Some(error) = error.downcast_ref::<WrongLines>() {
            return Self::Usage(error.to_string());
        }
        Self::Failed(error)
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Usage(refused.text)
    }
}

impl From<Unreadable> for Failure {
    fn from(error: Unreadable) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Between which times figures may be asked for, in milliseconds since 1970: the years whose dates can be told from numbers.
const AS_OF: std::ops::Range<i64> = 0..4_102_444_800_000;

type Outcome = Result<u8, Failure>;

impl Options {
    fn load(&self) -> Result<Config, Failure> {
        Ok(Config::load(&self.config)?)
    }

    /// The as-of time; a bare date means its end.
    fn at(&self, calendar: &Calendar) -> Result<Option<Timestamp>, Failure> {
        let Some(text) = &self.as_of else { return Ok(None) };
        let time = Day::parse(text).map(|day| calendar.end(day)).or_else(|| Timestamp::parse(text));
        match time {
            Some(time) if AS_OF.contains(&time.0) => Ok(Some(time)),
            Some(_) => Err(Failure::Usage(format!(
                "--as-of `{text}` is out of range: it may be from 1970-01-01 to 2099-12-31, in UTC"
            ))),
            None => Err(Failure::Usage(format!(
                "--as-of `{text}` is neither a date (2026-08-13) nor an RFC 3339 time (2026-08-13T12:00:00Z)"
            ))),
        }
    }

    fn clock(&self, calendar: &Calendar) -> Result<Clock, Failure> {
        Ok(self.at(calendar)?.map_or(Clock::System, Clock::Fixed))
    }

    fn json(&self) -> bool {
        self.format == Format::Json
    }
}

/// Why something could not be said, the first time. Kept for the end: what a command does is not left half done for it.
static UNSAID: OnceLock<io::Error> = OnceLock::new();

/// Prints on standard output; a reader that has gone away is no failure, anything else is told by [`all_said`]. Names come from
/// strangers' browsers: what they have of control characters does nothing to a terminal.
fn say(text: &str) {
    let text = table::tame(text, |c| c == '\n');
    let mut out = io::stdout().lock();
    let said = out
        .write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") })
        .and_then(|()| out.flush());
    if let Err(error) = said
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        let _ = UNSAID.set(error);
    }
}

/// A command's exit code, if all that it said was written.
fn all_said(code: u8) -> Outcome {
    let failed = |error| {
        anyhow::anyhow!(
            "can't write to standard output: {error}; what was asked is done, but its report is not whole: make room, or let it go elsewhere, and ask again"
        )
    };
    UNSAID.get().map_or(Ok(code), |error| Err(Failure::Failed(failed(error))))
}

fn say_json<T: serde::Serialize>(value: &T) {
    say(&serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Runs the command of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let quiet = match &cli.command {
        Command::Run { once: false, .. } => LevelFilter::INFO,
        Command::Demo { .. } => LevelFilter::ERROR,
        _ => LevelFilter::WARN,
    };
    telemetry::start(cli.options.log_json, quiet);
    // TLS by ring: the other provider costs a minute of every build.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("vitalsync: can't start: {error}");
            return ExitCode::from(1);
        }
    };
    let options = cli.options;
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Demo { once } => demo::run(once, &options).await,
            Command::Init(arguments) => init::run(&options, &arguments),
            Command::Validate { online } => validate::run(&options, online).await,
            Command::Run { once: true, batch, block } => run::once(&options, batch, block).await,
            Command::Run { once: false, .. } => run::daemon(&options).await,
            Command::Plan { exit_code, refresh, destination } => {
                plan::run(&options, exit_code, refresh, destination.as_deref()).await
            }
            Command::Match { command } => matches::run(&options, command).await,
            Command::Quarantine { command } => quarantine::run(&options, command).await,
            Command::Approve { destination } => plan::approve(&options, &destination).await,
            Command::Auth(arguments) => auth::run(&options, &arguments).await,
            Command::Accounts { known } => accounts::run(&options, &known).await,
            Command::Alerts { command } => alerts::run(&options, command).await,
            Command::Events { known } => events::run(&options, &known).await,
            Command::Explain(arguments) => explain::run(&options, &arguments).await,
            Command::Users { account, known } => users::run(&options, account.as_deref(), &known).await,
            Command::Portfolio { from, known } => portfolio::run(&options, from.as_deref(), &known).await,
            Command::Backtest(arguments) => backtest::run(&options, &arguments).await,
            Command::Reasons(cohort) => reasons::run(&options, &cohort).await,
            Command::Preview { current } => preview::run(&options, current).await,
            Command::Status { daemon } => status::run(&options, daemon).await,
            Command::Backfill(arguments) => backfill::run(&options, arguments).await,
            Command::Forget(arguments) => forget::run(&options, &arguments).await,
            Command::State { command } => state::run(&options, command).await,
            Command::Sandbox => sandbox::run(&options).await,
        }
    });
    // What still runs in the background (a read in a thread) is not waited for.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    match outcome.and_then(all_said) {
        Ok(code) => ExitCode::from(code),
        Err(Failure::Usage(text)) => {
            eprintln!("{text}");
            ExitCode::from(2)
        }
        Err(Failure::Failed(error)) => {
            eprintln!("vitalsync: {error:#}");
            ExitCode::from(1)
        }
    }
}
