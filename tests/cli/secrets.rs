//! Secrets appear nowhere: not in messages about the config, not in what a vendor says back, not in a log of any level.

use serde_json::json;

use super::site::{Output, Site, TOKEN, program, write};

const DATE: &str = "2026-03-10";
const LITERAL: &str = "pat-eu1-5f2c9d11-88aa";

#[track_caller]
fn clean(what: &str, output: &Output) {
    assert!(!output.all().contains(TOKEN), "{what} shows the token:\n{}", output.all());
}

#[test]
fn a_vendor_that_echoes_the_token_is_not_quoted() {
    let site = Site::with_story();
    let body = |status: u16| {
        json!({"status": "error", "message": format!("the token {TOKEN} is not welcome"), "code": "unauthorized",
            "category": "VALIDATION_ERROR", "correlationId": "c-1", "type": "error.list",
            "errors": [{"code": "parameter_invalid", "message": format!("Bearer {TOKEN} {status}")}],
            "ok": false, "error": format!("no_{TOKEN}")})
        .to_string()
    };
    let faults = |method: &str, status: u16| json!([{"match": method, "times": 6, "kind": {"answer": {"status": status, "body": body(status)}}}]);
    for (method, status) in [("", 401), ("POST", 400), ("PUT", 403), ("", 503)] {
        site.vendors.hubspot.faults(&faults(method, status));
        site.vendors.intercom.faults(&faults(method, status));
        for format in ["table", "json"] {
            let mut command = site.command(&["run", "--once", "--format", format, "--as-of", DATE]);
            command.env("VITALSYNC_LOG", "trace");
            clean(&format!("run after {method} {status}"), &site.run_command(command));
            clean("status", &site.run(&["status", "--format", format]));
            clean("plan", &site.run(&["plan", "--format", format, "--as-of", DATE]));
            clean("explain", &site.run(&["explain", "acme", "--format", format, "--as-of", DATE]));
            clean("validate", &site.run(&["validate", "--format", format]));
        }
        site.vendors.hubspot.forget_faults();
        site.vendors.intercom.forget_faults();
    }
    site.once(DATE, 0);
    site.vendors.slack.faults(&faults("POST", 200));
    let mut command = site.command(&["run", "--once", "--as-of", "2026-03-14"]);
    command.env("VITALSYNC_LOG", "trace");
    clean("run after Slack's error", &site.run_command(command));
    clean("status", &site.run(&["status"]));
    clean("explain", &site.run(&["explain", "acme", "--as-of", DATE]));
}

/// A token in the file itself is unwise, not forbidden; quoting the file must not spread it to logs and terminals.
#[test]
fn a_token_in_the_file_is_not_quoted_with_its_line() {
    let config = |line: &str| {
        format!(
            "version: 1\nsources:\n  product:\n    type: segment_archive\n    location: ./archive\nprofiles:\n  - name: customer\n    events: {{ Report Shared: 9 }}\ndestinations:\n  crm:\n    type: hubspot\n{line}\n    companies:\n      properties:\n        score: health.score\n"
        )
    };
    let cases = [
        ("a literal token", format!("    token: \"{LITERAL}\"")),
        ("a misspelt key", format!("    tokn: \"{LITERAL}\"")),
        ("a token in a list", format!("    token: [\"{LITERAL}\"]")),
        ("a broken quote", format!("    token: \"{LITERAL}")),
        ("a token given twice", format!("    token: \"{LITERAL}\"\n    token: \"{LITERAL}\"")),
        ("a token with a blank", format!("    token: \"{LITERAL}\\tx\"")),
        ("a flow map", format!("    only: {{ token: \"{LITERAL}\" }}")),
    ];
    let mut shown = Vec::new();
    for (what, line) in cases {
        let dir = tempfile::tempdir().expect("a directory");
        write(&dir.path().join("vitalsync.yaml"), config(&line).as_bytes());
        for format in ["table", "json"] {
            let done = program().current_dir(dir.path()).args(["validate", "--format", format]).output();
            let done = done.expect("the program starts");
            let said = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
            if said.contains(LITERAL) {
                shown.push(format!("{what} ({format}):\n{said}"));
            }
        }
    }
    assert!(shown.is_empty(), "{}", shown.join("\n"));
}

#[test]
fn a_token_from_the_environment_is_not_shown_wherever_it_stands() {
    let dir = tempfile::tempdir().expect("a directory");
    let variable = "${VITALSYNC_TEST_TOKEN}";
    for (key, place) in [("timezone", "top"), ("schedule", "source"), ("location", "source"), ("type", "source")] {
        let (top, source) = match place {
            "top" => (format!("{key}: \"{variable}\"\n"), String::new()),
            _ => (String::new(), format!("    {key}: \"{variable}\"\n")),
        };
        let location = if key == "location" { "" } else { "    location: ./archive\n" };
        let kind = if key == "type" { "" } else { "    type: segment_archive\n" };
        let text = format!(
            "version: 1\n{top}sources:\n  product:\n{kind}{location}{source}profiles:\n  - events: {{ Report Shared: 9 }}\n"
        );
        write(&dir.path().join("vitalsync.yaml"), text.as_bytes());
        let done = program().current_dir(dir.path()).arg("validate").output().expect("the program starts");
        let said = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(!said.contains(TOKEN), "{key}: {said}");
    }
}
