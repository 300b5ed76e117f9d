//! `vitalsync preview --config NEW.yaml`

use std::fmt::Write;
use std::path::PathBuf;

use super::ask::{self, Source};
use super::table::{number, table, text};
use super::{Failure, Options, Outcome, say, say_json};
use crate::config::Config;
use crate::report::{BandChange, Distribution, PreviewReport};

pub(super) async fn run(options: &Options, current: Option<PathBuf>) -> Outcome {
    let other = options.load()?;
    let current = current.unwrap_or_else(|| options.config.with_file_name("vitalsync.yaml"));
    if current == options.config {
        return Err(Failure::Usage(format!(
            "--config {} is the config in force: name another one to preview, or the one in force with --current FILE",
            current.display()
        )));
    }
    let config = Config::load(&current)
        .map_err(|refused| Failure::Usage(format!("the config in force (--current FILE):\n{refused}")))?;
    let at = options.at(&config.model.calendar)?;
    let report: PreviewReport = match ask::source(options, config, true).await? {
        Source::Daemon(client, _socket) => {
            let mut parameters = ask::as_of(at);
            parameters.push(("file", options.config.display().to_string()));
            ask::tell(&client, "/v1/preview", &parameters, std::fs::read_to_string(&options.config)?).await?
        }
        Source::State(engine) => engine.preview(&other, engine.clock.now())?,
    };
    if options.json() {
        say_json(&report);
    } else {
        say(&told(&report));
    }
    Ok(0)
}

fn told(report: &PreviewReport) -> String {
    let row = |name: &str, now: &Distribution| {
        let count = |count: usize| format!("{count} ({:.0} %)", count as f64 / report.accounts.max(1) as f64 * 100.0);
        let counts = [now.healthy, now.normal, now.at_risk, now.unknown].map(count);
        [vec![name.to_owned()], counts.to_vec(), vec![number(now.median_score)]].concat()
    };
    let head = ["", "healthy", "normal", "at risk", "unknown", "median score"];
    let mut out = format!("{} accounts as of {}\n", report.accounts, report.as_of);
    out.push_str(&table(&head, &[row("now", &report.before), row("then", &report.after)]));
    let change = |change: &BandChange| {
        let scores = format!("{} → {}", number(change.old_score), number(change.new_score));
        let bands = format!("{} → {}", text(change.old.as_deref()), text(change.new.as_deref()));
        vec![change.account.clone(), text(change.name.as_deref()), bands, scores]
    };
    let _ = writeln!(out, "\n{} would change band", report.changes.len());
    if !report.changes.is_empty() {
        out.push_str(&table(
            &["account", "name", "band", "score"],
            &report.changes.iter().map(change).collect::<Vec<_>>(),
        ));
    }
    for (accounts, what) in [(&report.gone, "left out"), (&report.added, "measured besides")] {
        if !accounts.is_empty() {
            let _ = writeln!(out, "{} {what}: {}", accounts.len(), accounts.join(", "));
        }
    }
    report.notes.iter().for_each(|note| out.push_str(&format!("{note}\n")));
    out
}
