//! Conversations as text: operations and replies in, steps out. Each file of `cases/` says in its first line why it is
//! there. `#` comments, `op` one operation (what is left out has its default), `<` a reply (status, `name=value`
//! headers, body; or `lost`), `>` and `=` the steps that must follow.

#![expect(clippy::disallowed_methods, reason = "the cases are text files; the crate itself reads none")]

use crate::support;
use serde_json::{Value as Json, json};
use vitalsync_core::connector::{Operation, Reply, Step};

fn operation(text: &str) -> Operation {
    let mut json = json!({
        "mode": "once", "batch_key": "alert", "title": "post alert score_drop", "subject": "acme",
        "remote_id": null, "keys": [], "create": null, "fields": {
            "channel": {"old": "null", "new": {"text": "#cs-alerts"}},
            "text": {"old": "null", "new": {"text": "t"}},
            "blocks": {"old": "null", "new": {"text": "[]"}},
        }, "needs": [], "refs": {},
    });
    let given: serde_json::Map<String, Json> = serde_json::from_str(text).expect("an operation as JSON");
    for (key, value) in given {
        json[key] = value;
    }
    serde_json::from_value(json).expect("an operation")
}

fn reply(text: &str) -> Reply {
    if text == "lost" {
        return Reply::Lost { at: support::NOW };
    }
    let (status, mut rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut headers = Vec::new();
    while let Some((name, after)) = rest
        .split_once('=')
        .filter(|(name, _)| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
    {
        let (value, after) = after.split_once(' ').unwrap_or((after, ""));
        headers.push((name, value));
        rest = after;
    }
    support::answer(status.parse().expect("a status"), &headers, rest)
}

#[test]
fn every_case_is_answered_as_written() {
    let connector = support::read(&support::config()).expect("a config");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("cases").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    assert!(files.len() >= 15, "cases are missing");
    for file in files {
        let written = std::fs::read_to_string(&file).expect("a case");
        assert!(written.starts_with("# "), "{}: say why", file.display());
        let operations: Vec<_> = written.lines().filter_map(|line| line.strip_prefix("op ")).map(operation).collect();
        let mut replies = Vec::new();
        let mut transcript: Vec<String> =
            written.lines().filter(|line| line.starts_with('#') || line.starts_with("op ")).map(Into::into).collect();
        transcript.push(support::shown(&connector.step(&operations, &replies)));
        for line in written.lines().filter(|line| line.starts_with('<')) {
            replies.push(reply(line.trim_start_matches("< ")));
            let step = connector.step(&operations, &replies);
            transcript.push(line.into());
            transcript.push(support::shown(&step));
            if matches!(step, Step::Retry { .. }) {
                replies.pop();
            }
        }
        let transcript = transcript.join("\n");
        assert_eq!(transcript, written.trim_end(), "\n{}: this is what came:\n{transcript}\n", file.display());
    }
}
