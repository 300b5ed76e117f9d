//! What the tests of every connector share: a connector from its section as JSON, a vendor's answers, steps as lines of text,
//! and the text files of `cases/`, each of which says in its first line why it is there.
//!
//! A connector's own tests add what its cases begin with: operations, or a config and what is wanted.

use std::path::Path;

use serde_json::Value as Json;
use vitalsync_core::connector::{Answer, Operation, Outcome, Registered, Reply, Request, Step};
use vitalsync_core::expr::{Scope, Scopes};
use vitalsync_core::section::{Faults, Node};
use vitalsync_core::{Connector, Timestamp, Type};

/// When every answer arrives: 2026-08-13T12:00:00Z.
pub const NOW: Timestamp = Timestamp(1_786_622_400_000);

/// Names as the core makes them known, as far as the tests need them.
pub fn scopes() -> Scopes {
    let mut account = Scope::default();
    account.name("account", Type::Text);
    account.name("health.score", Type::Number);
    account.words("health.band", &["healthy", "normal", "at_risk"]);
    account.name("last_active", Type::Time);
    account.name("renewal", Type::Date);
    account.name("lifecycle.customer", Type::Bool);
    account.name("segments.vip", Type::Bool);
    account.words("activation.missing_step", &["invited_team"]);
    account.open("traits");
    let mut user = Scope::default();
    account.nest_into("account", &mut user);
    user.name("account.id", Type::Text);
    user.name("user.id", Type::Text);
    user.open("user.traits");
    Scopes { account, user }
}

/// The connector of a section, or its faults, one line each.
pub fn read(registered: &Registered, section: &Json) -> Result<Box<dyn Connector>, String> {
    let mut faults = Faults::default();
    let connector = (registered.read)(&Node::from_json(section), &scopes(), &mut faults);
    let broken = faults.any_error();
    connector.filter(|_| !broken).ok_or_else(|| faults.into_lines().join("\n"))
}

/// An answer that arrives now.
pub fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<String>) -> Reply {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Reply::Answer(Answer { status, headers, body: body.into(), at: NOW })
}

/// A reply as a line: a status, `name=value` headers, the body; or `lost`. `at=5` is no header: it comes five seconds later.
pub fn reply(line: &str) -> Reply {
    if line == "lost" {
        return Reply::Lost { at: NOW };
    }
    let (status, mut rest) = line.split_once(' ').unwrap_or((line, ""));
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let mut headers = Vec::new();
    let mut later = 0;
    while let Some((name, after)) = rest.split_once('=').filter(|(name, _)| is_name(name)) {
        let (value, after) = after.split_once(' ').unwrap_or((after, ""));
        match name {
            "at" => later = value.parse().expect("seconds"),
            _ => headers.push((name, value)),
        }
        rest = after;
    }
    let mut reply = answer(status.parse().expect("a status"), &headers, rest);
    if let Reply::Answer(answer) = &mut reply {
        answer.at = Timestamp(NOW.0 + later * 1_000);
    }
    reply
}

/// A request as a line: method, path and body.
pub fn asked(request: &Request) -> String {
    let body = request.body.as_deref().map(|body| format!(" {body}")).unwrap_or_default();
    format!("{} {}{body}", request.method.as_str(), request.path)
}

/// A step as a line: `>` sends, `=` is how it ended.
pub fn shown(step: &Step) -> String {
    match step {
        Step::Send(request) => format!("> {}", asked(request)),
        Step::Done(receipts) => {
            let receipts = receipts.iter().map(|receipt| match &receipt.outcome {
                Outcome::Done { remote_id } => format!("{} is {}", receipt.slot, remote_id.as_deref().unwrap_or("–")),
                Outcome::Found { differs, .. } => format!("{} found, differs {differs:?}", receipt.slot),
                Outcome::Partly { why, .. } => format!("{} partly: {why}", receipt.slot),
                Outcome::Gone { why } => format!("{} gone: {why}", receipt.slot),
                Outcome::Absent { why } => format!("{} absent: {why}", receipt.slot),
                Outcome::Rejected { why } | Outcome::Refused { why } => format!("{} rejected: {why}", receipt.slot),
            });
            format!("= done; {}", receipts.collect::<Vec<_>>().join("; "))
        }
        Step::Retry { after, why } => {
            format!("= retry{}: {why}", after.map(|after| format!(" after {after:?}")).unwrap_or_default())
        }
        Step::Split { why } => format!("= split: {why}"),
        Step::Reject { why } => format!("= reject: {why}"),
        Step::Conflict { why } => format!("= conflict: {why}"),
        Step::Missing { slots, why } => format!("= missing {}: {why}", slots.join(" ")),
        Step::NeedsLogin { why } => format!("= needs login: {why}"),
    }
}

/// A case in which operations meet the replies of its `<` lines: what is neither a reply nor a step, then the conversation, each
/// step in the words of `shown`. After a step that sends nothing the next reply stands in the place of the last one.
pub fn conversation(
    connector: &dyn Connector,
    operations: &[Operation],
    written: &str,
    shown: impl Fn(&Step) -> String,
) -> String {
    let given = written.lines().filter(|line| !line.starts_with(['<', '>', '=']));
    let mut lines: Vec<String> = given.map(Into::into).collect();
    let mut replies = Vec::new();
    lines.push(shown(&connector.step(operations, &replies)));
    for line in written.lines().filter_map(|line| line.strip_prefix("< ")) {
        replies.push(reply(line));
        let step = connector.step(operations, &replies);
        lines.extend([format!("< {line}"), shown(&step)]);
        if !matches!(step, Step::Send(_)) {
            replies.pop();
        }
    }
    lines.join("\n") + "\n"
}

/// Holds every file of a folder to be what comes of it. With `UPDATE=1` those that are not are written anew, and fail once.
pub fn hold(folder: &Path, at_least: usize, came: impl Fn(&str) -> String) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    assert!(files.len() >= at_least, "{}: only {} cases", folder.display(), files.len());
    let mut wrong = Vec::new();
    for file in files {
        let written = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(written.starts_with("# "), "{}: say in the first line why it is there", file.display());
        let came = came(&written);
        if came != written {
            if std::env::var_os("UPDATE").is_some() {
                std::fs::write(&file, &came).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            }
            wrong.push(format!("{}: this is what came:\n{came}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
