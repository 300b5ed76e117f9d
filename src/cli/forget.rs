//! `vitalsync forget`

use std::fmt::Write;

use clap::Args;

use super::ask::{self, Source};
use super::{Failure, Options, Outcome, say, say_json};
use crate::config::Config;
use crate::tick::Engine;
use crate::tick::forget::{Answer, Forgotten, Kind, audits};

/// Whom to forget.
#[derive(Debug, Clone, Args)]
#[command(group(clap::ArgGroup::new("whom").required(true).args(["user", "account", "who", "list"])))]
pub(super) struct Arguments {
    /// A user's id, an account's id, or a user's email.
    #[arg(value_name = "USER|ACCOUNT")]
    who: Option<String>,
    /// A user, by their id.
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// An account, by its id.
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// Show what would go, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Do it: it can't be undone.
    #[arg(long)]
    yes: bool,
    /// Who was forgotten, without saying who.
    #[arg(long)]
    list: bool,
}

impl Arguments {
    fn whom(&self) -> (Option<Kind>, &str) {
        match (&self.user, &self.account, &self.who) {
            (Some(user), ..) => (Some(Kind::User), user),
            (_, Some(account), _) => (Some(Kind::Account), account),
            (.., who) => (None, who.as_deref().unwrap_or_default()),
        }
    }
}

pub(super) async fn run(options: &Options, arguments: &Arguments) -> Outcome {
    let config = options.load()?;
    if arguments.list {
        return list(options, &config);
    }
    let (kind, name) = arguments.whom();
    if !arguments.dry_run && !arguments.yes {
        return Err(Failure::Usage(
            "this can't be undone: see with --dry-run what would go, then say --yes".to_owned(),
        ));
    }
    let (answer, daemon) = match ask::source(options, config, false).await? {
        Source::Daemon(client, _socket) => {
            let kind = kind.map_or("", Kind::word).to_owned();
            let parameters = [("kind", kind), ("name", name.to_owned()), ("dry_run", arguments.dry_run.to_string())];
            let answer: Option<Answer> = ask::ask(&client, reqwest::Method::POST, "/v1/forget", &parameters).await?;
            (answer.unwrap_or(Answer::Unknown), true)
        }
        Source::State(engine) => (here(*engine, kind, name, arguments.dry_run)?, false),
    };
    let what = kind.map_or("user, account or email", Kind::word);
    match answer {
        Answer::Done(done) => {
            if options.json() {
                say_json(&done);
            } else {
                say(&told(&done, daemon));
            }
            Ok(0)
        }
        Answer::Before => {
            if options.json() {
                say_json(&serde_json::json!({"forgotten_before": true}));
            } else {
                say("forgotten before: nothing of it is here");
            }
            Ok(0)
        }
        Answer::Unknown => Err(Failure::Usage(format!("there is no {what} `{name}` in the state"))),
        Answer::Ambiguous(found) => Err(Failure::Usage(format!(
            "`{name}` is {}: say which with --user ID or --account ID",
            found.join(" and ")
        ))),
    }
}

/// Without a daemon: and then the state is written anew, because its log still holds what was erased.
fn here(engine: Engine, kind: Option<Kind>, name: &str, dry_run: bool) -> Result<Answer, Failure> {
    let answer = engine.forget(kind, name, dry_run)?;
    Ok(match answer {
        Answer::Done(mut done) if !dry_run => {
            done.compacted = Some(engine.store.compact()?);
            Answer::Done(done)
        }
        // Whoever erased it may not have come so far.
        Answer::Before if !dry_run => {
            engine.store.compact()?;
            Answer::Before
        }
        other => other,
    })
}

fn told(done: &Forgotten, daemon: bool) -> String {
    let mut out = String::new();
    let would = if done.dry_run { "would go" } else { "erased" };
    let what = match done.kind {
        Kind::User => format!("{} user id(s) and {} device(s)", done.users, done.devices),
        Kind::Account => "the account; its users stay".to_owned(),
    };
    let _ = write!(
        out,
        "{would}: {what}; {} counted events and {} statements",
        done.counts_removed, done.statements_removed
    );
    match done.snapshots_removed {
        0 => out.push('\n'),
        snapshots => {
            let _ = writeln!(out, ", {snapshots} snapshots of its days");
        }
    }
    if done.shared_devices > 0 {
        let _ = writeln!(
            out,
            "  {} of the devices were somebody else's, too: what was done on them without a user id goes as well",
            done.shared_devices
        );
    }
    let remain = if done.dry_run { "would remain elsewhere" } else { "remains elsewhere" };
    let _ = writeln!(out, "{remain}, to be erased there:");
    for record in &done.remains {
        let _ = writeln!(out, "  {}: {} {}", record.destination, record.record, record.id);
    }
    if done.messages > 0 {
        let _ = writeln!(out, "  {} message(s) that were sent about it", done.messages);
    }
    out.push_str(
        "  the sources' own archives (Segment: its deletion and suppression API); what is read again is not counted\n",
    );
    out.push_str("  exports and backups made before, whatever their names\n");
    out.push_str("  figures of accounts that were told before: they are sums, and follow at the next sync\n");
    if !done.dry_run {
        match &done.compacted {
            Some(_) => out.push_str("the state was written anew: no file of it holds the ids any more\n"),
            None if daemon => out.push_str(
                "the log of the state still holds old bytes: stop the daemon and run `vitalsync state compact`, which removes them from the disk\n",
            ),
            None => {}
        }
        let _ = writeln!(out, "written down as {} in audit.jsonl", done.hash);
    }
    out
}

fn list(options: &Options, config: &Config) -> Outcome {
    let audits = audits(&config.state)?;
    if options.json() {
        say_json(&audits);
        return Ok(0);
    }
    if audits.is_empty() {
        say("nobody was forgotten");
    }
    for line in audits {
        say(&format!(
            "{}  {:<7}  {}  {} counted events, {} statements, by {}",
            line.at,
            line.kind.word(),
            line.hash,
            line.counts_removed,
            line.statements_removed,
            line.by.word()
        ));
    }
    Ok(0)
}
