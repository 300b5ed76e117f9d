//! `vitalsync state export | import | compact | verify`

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use super::ask;
use super::{Failure, Options, Outcome, say, say_json};
use crate::clock;
use crate::store::check::Verified;
use crate::store::portable::{self, PortableError, Summary};
use crate::store::{Store, StoreError};

/// Back the state up, restore it, make it small, check it.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum Command {
    /// Write the whole state to one checksummed file that any later version reads. Works beside a daemon.
    Export {
        /// The file; `-` for standard output.
        file: PathBuf,
        /// Write over a file that is there.
        #[arg(long)]
        force: bool,
    },
    /// Make such a file the state. Needs the daemon stopped.
    Import {
        /// The file; `-` for standard input.
        file: PathBuf,
        /// Even if the state is not empty: what it holds is replaced.
        #[arg(long)]
        replace: bool,
    },
    /// Write the state anew, as small as it gets. Needs the daemon stopped, and room for the copy.
    Compact,
    /// Read and check all of it. Needs the daemon stopped.
    Verify,
}

impl From<PortableError> for Failure {
    fn from(error: PortableError) -> Self {
        match error {
            PortableError::Store(error) => error.into(),
            other => Self::Failed(other.into()),
        }
    }
}

pub(super) async fn run(options: &Options, command: Command) -> Outcome {
    let dir = options.load()?.state;
    match command {
        Command::Export { file, force } => export(options, &dir, &file, force).await,
        Command::Import { file, replace } => import(options, &dir, &file, replace),
        Command::Compact => {
            let done = open(&dir)?.compact()?;
            tell(options, &done, &format!("{} keys: {}", done.keys, done.said()));
            Ok(0)
        }
        Command::Verify => {
            let seen = open(&dir)?.verify();
            tell(options, &seen, &lines(&seen, &dir));
            Ok(if seen.problem_count == 0 { 0 } else { 1 })
        }
    }
}

/// The state that is there; these commands make none. `held`: what is said where another process holds it.
fn there(dir: &Path, held: fn(&Path) -> Failure) -> Result<Store, Failure> {
    if !dir.exists() {
        return Err(Failure::Failed(anyhow::anyhow!("there is no state in {}", dir.display())));
    }
    Store::open(dir).map_err(|error| match error {
        StoreError::Busy { dir } => held(&dir),
        other => other.into(),
    })
}

/// The state, which nobody else may hold meanwhile.
fn open(dir: &Path) -> Result<Store, Failure> {
    there(dir, |dir| {
        Failure::Failed(anyhow::anyhow!(
            "the state in {} is held by another vitalsync process: stop it first, or wait until it has ended (beside a daemon `vitalsync state export` alone works)",
            dir.display()
        ))
    })
}

fn tell<T: serde::Serialize>(options: &Options, report: &T, text: &str) {
    if options.json() { say_json(report) } else { say(text) }
}

fn failed(what: &str, file: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::Failed(anyhow::anyhow!("can't {what} {}: {error}", file.display()))
}

async fn export(options: &Options, dir: &Path, file: &Path, force: bool) -> Outcome {
    if file == Path::new("-") {
        let mut out = io::stdout().lock();
        write(dir, &mut out).await?;
        out.flush()?;
        return Ok(0);
    }
    let target = target(file, force)?;
    let mut partial = OsString::from(&target);
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let written = to_file(dir, &partial, &target).await;
    if written.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    let (summary, bytes) = written?;
    let report = json!({"file": file, "bytes": bytes, "keys": summary.keys, "layout": summary.layout,
        "created_at": summary.created_at.to_string(), "checksum": summary.checksum});
    let size = bytes as f64 / 1e6;
    tell(options, &report, &format!("{} keys in {} ({size:.1} MB), read back and whole", summary.keys, file.display()));
    Ok(0)
}

/// The file that an export becomes: what is named, or what a link of that name leads to. It takes the place of what is there,
/// which must be a file: a device would be gone.
fn target(file: &Path, force: bool) -> Result<PathBuf, Failure> {
    let Ok(there) = std::fs::symlink_metadata(file) else { return Ok(file.to_owned()) };
    let target = if there.is_symlink() { std::fs::canonicalize(file).unwrap_or_default() } else { file.to_owned() };
    if !target.is_file() {
        return Err(Failure::Usage(format!(
            "{} is no regular file, nor a link to one: name a file, or take the export from standard output (`vitalsync state export -`)",
            file.display()
        )));
    }
    if !force {
        return Err(Failure::Usage(format!(
            "{} is there already: name another file, or write over it with --force",
            file.display()
        )));
    }
    Ok(target)
}

async fn to_file(dir: &Path, partial: &Path, file: &Path) -> Result<(Summary, u64), Failure> {
    let cant = |error: io::Error| failed("write", file, &error);
    // What customers did stands in it, so from its beginning it is its owner's alone; what a killed export left may not be.
    match std::fs::remove_file(partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cant(error)),
        _ => {}
    }
    let mut out = File::options().create_new(true).read(true).write(true).mode(0o600).open(partial).map_err(cant)?;
    write(dir, &mut out).await?;
    out.sync_all().map_err(cant)?;
    out.rewind().map_err(cant)?;
    let bytes = out.metadata().map_err(cant)?.len();
    let summary = portable::inspect(BufReader::new(&out)).map_err(|error| failed("read back", file, &error))?;
    std::fs::rename(partial, file).map_err(cant)?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(cant)?;
    Ok((summary, bytes))
}

/// Writes an export of the state itself, or of the daemon that holds it.
async fn write(dir: &Path, out: &mut impl Write) -> Result<(), Failure> {
    let cant = |error: io::Error| Failure::Failed(anyhow::anyhow!("can't write the export: {error}"));
    let Some((client, _socket)) = ask::daemon_in(dir).await else {
        let store = there(dir, ask::silent)?;
        portable::export(&store, out, clock::system()).map_err(|error| match error {
            PortableError::Io(error) => cant(error),
            other => other.into(),
        })?;
        return Ok(());
    };
    let mut answer = ask::stream(&client, reqwest::Method::GET, "/v1/export").await?;
    while let Some(chunk) = answer.chunk().await.map_err(ask::no_answer)? {
        out.write_all(&chunk).map_err(cant)?;
    }
    Ok(())
}

fn import(options: &Options, dir: &Path, file: &Path, replace: bool) -> Outcome {
    let input: Box<dyn Read> = if file == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(file).map_err(|error| failed("read", file, &error))?)
    };
    let summary =
        portable::import(dir, BufReader::with_capacity(1 << 16, input), replace).map_err(|error| match error {
            PortableError::Store(StoreError::Busy { dir }) => Failure::Failed(anyhow::anyhow!(
                "the state in {} is held by another vitalsync process: stop it first, or wait until it has ended; nothing was changed",
                dir.display()
            )),
            PortableError::Store(error) => error.into(),
            other => failed("import", file, &other),
        })?;
    let text = format!("{} keys of {} are the state in {}", summary.keys, summary.created_at, dir.display());
    let report = json!({"keys": summary.keys, "created_at": summary.created_at.to_string(), "layout": summary.layout,
        "checksum": summary.checksum, "state": dir});
    tell(options, &report, &text);
    Ok(0)
}

fn lines(seen: &Verified, dir: &Path) -> String {
    use std::fmt::Write;
    let mut out = String::new();
    for (name, size) in &seen.kinds {
        let _ = writeln!(out, "{:>10} keys {:>10.1} MB  {name}", size.keys, size.bytes as f64 / 1e6);
    }
    let disk = seen.disk_bytes as f64 / 1e6;
    let _ = writeln!(out, "{:>10} keys {:>10.1} MB  in all, {disk:.1} MB on disk", seen.keys, seen.bytes as f64 / 1e6);
    for problem in &seen.problems {
        let _ = writeln!(out, "DAMAGED: {problem}");
    }
    if seen.problem_count > 0 {
        let _ = writeln!(
            out,
            "{} problems in the state in {dir}: put the last export back with `vitalsync state import FILE --replace`; without an export move {dir}/db away and run again: usage is read anew from the sources, and every record is compared and written again",
            seen.problem_count,
            dir = dir.display()
        );
    }
    out
}
