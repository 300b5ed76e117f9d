//! No config, broken config: what `validate` and the others say about it.

use super::site::{Output, program, write};

/// `validate` on a config of its own, without any vendor.
fn validate(text: &str) -> Output {
    let dir = tempfile::tempdir().expect("a directory");
    write(&dir.path().join("vitalsync.yaml"), text.as_bytes());
    std::fs::create_dir(dir.path().join("archive")).expect("an archive");
    let done = program().current_dir(dir.path()).arg("validate").output().expect("the program starts");
    Output {
        code: done.status.code(),
        stdout: String::from_utf8_lossy(&done.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&done.stderr).into_owned(),
    }
}

/// `vitalsync.yaml:LINE:COLUMN: ` of the first place where a text stands.
fn place(config: &str, needle: &str) -> String {
    let (line, text) =
        config.lines().enumerate().find(|(_, line)| line.contains(needle)).unwrap_or_else(|| panic!("no `{needle}`"));
    let column = text.find(needle).expect("it is there") + 1;
    format!("vitalsync.yaml:{}:{column}: ", line + 1)
}

/// The messages at a place, each with the line and its hint.
#[track_caller]
fn message(output: &Output, config: &str, needle: &str) -> String {
    let place = place(config, needle);
    let mut found = String::new();
    let mut inside = false;
    for line in output.stderr.lines() {
        if line.starts_with("vitalsync.yaml:") {
            inside = line.starts_with(&place);
        }
        if inside {
            found.push_str(line);
            found.push('\n');
        }
    }
    assert!(!found.is_empty(), "nothing at {place} in\n{}", output.stderr);
    let line = config.lines().find(|line| line.contains(needle)).expect("it is there").trim();
    assert!(found.contains(line), "the line itself is not shown:\n{found}");
    found
}

const MINIMAL: &str = r##"version: 1
sources:
  product:
    type: segment_archive
    location: ./archive
profiles:
  - name: customer
    events: { Report Shared: 9 }
"##;

#[test]
fn without_a_config_it_says_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    for command in ["validate", "run", "plan", "accounts", "status"] {
        let done = program().current_dir(dir.path()).arg(command).output().expect("the program starts");
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(2), "{command}: {said}");
        for part in ["vitalsync.yaml", "--config", "vitalsync demo"] {
            assert!(said.contains(part), "{command} does not say `{part}`: {said}");
        }
    }
}

#[test]
fn a_config_that_cannot_be_read_is_wrong_use() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("bytes.yaml");
    std::fs::write(&file, b"version: \xff\xfe").expect("it is written");
    for path in [dir.path(), &file] {
        let done = program().arg("validate").arg("--config").arg(path).output().expect("the program starts");
        assert_eq!(done.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&done.stderr).contains(path.to_str().expect("UTF-8")));
    }
}

#[test]
fn a_good_config_is_good() {
    let five = MINIMAL.replace("Report Shared: 9", "A: 9, B: 7, C: 5, D: 3, Logged In: 1");
    let output = validate(&five).exits(0);
    assert!(output.stdout.contains("good") && output.stderr.is_empty(), "{}", output.all());
    assert!(output.stdout.contains("looked at the config only: nothing was read yet"), "{}", output.all());
}

#[test]
fn all_faults_are_reported_in_one_go() {
    let config = r##"version: 1
timezone: Europe/Brussel
surces: {}
sources:
  product:
    type: segment_archive
    schedule: "61 * * * *"
profiles:
  - name: customer
    windw: 30d
    events:
      Report Shared: lots
      Logged In: 11
activation:
  steps:
    often: { event: Logged In, count: none }
destinations:
  crm:
    type: hubspot
    token: "${VITALSYNC_TEST_UNSET}"
    companies:
      properties:
        score: health.scor
  team:
    type: slack
    token: "${VITALSYNC_TEST_TOKEN}"
    alerts:
      score_drop:
        drop: 15
        to: #cs-alerts
"##;
    let output = validate(config).exits(2);
    let said = |needle: &str, parts: &[&str]| {
        let message = message(&output, config, needle);
        for part in parts {
            assert!(message.contains(part), "`{part}` is not in:\n{message}");
        }
    };
    said("Europe/Brussel", &["no time zone", "did you mean `Europe/Brussels`?"]);
    said("surces", &["unknown key `surces`", "did you mean `sources`?"]);
    said("\"61 * * * *\"", &["61"]);
    said("windw", &["unknown key `windw`", "did you mean `window`?"]);
    said("lots", &["a weight from 0 to 10", "found the text `lots`"]);
    said("11", &["a weight from 0 to 10", "11"]);
    said("none", &["found the text `none`"]);
    said("\"${VITALSYNC_TEST_UNSET}\"", &["`VITALSYNC_TEST_UNSET` is not set", "export"]);
    said("health.scor", &["health.scor", "did you mean `health.score`?"]);
    assert!(output.stderr.contains("location"), "{}", output.stderr);
    let channel = output.stderr.lines().find(|line| line.contains("vitalsync.yaml:30:"));
    assert!(channel.is_some(), "nothing about the unquoted channel:\n{}", output.stderr);
    assert!(output.stderr.contains("quotes"), "nothing about quotes:\n{}", output.stderr);
    assert!(output.stderr.trim_end().ends_with("11 errors"), "{}", output.stderr);
}

#[test]
fn a_fault_does_not_hide_another_of_the_same_destination() {
    let config = format!(
        "{MINIMAL}{}",
        r##"destinations:
  crm:
    type: hubspot
    mode: lve
    base_url: nowhere
    schedule: never
    token: "${VITALSYNC_TEST_UNSET}"
    companies:
      propertys: {}
"##
    );
    let output = validate(&config).exits(2);
    assert!(message(&output, &config, "lve").contains("did you mean `live`?"), "{}", output.stderr);
    assert!(message(&output, &config, "nowhere").contains("base_url"), "{}", output.stderr);
    message(&output, &config, "never");
    message(&output, &config, "\"${VITALSYNC_TEST_UNSET}\"");
    assert!(message(&output, &config, "propertys").contains("did you mean `properties`?"), "{}", output.stderr);
}

#[test]
fn a_variable_that_is_not_set_is_no_token_in_the_file() {
    let config =
        format!("{MINIMAL}destinations:\n  crm:\n    type: hubspot\n    token: \"${{VITALSYNC_TEST_UNSET}}\"\n");
    let output = validate(&config).exits(2);
    assert!(output.stderr.contains("is not set") && !output.stderr.contains("ends up in git"), "{}", output.stderr);
}

#[test]
fn broken_yaml_says_where() {
    for (text, places) in [
        ("version: 1\nsources: [\n", ["2:", "3:"]),
        ("version: 1\n\tsources: {}\n", ["1:", "2:"]),
        ("a: 1\na: 2\n", ["2:", "2:"]),
    ] {
        let output = validate(text).exits(2);
        let said = |place: &str| output.stderr.starts_with(&format!("vitalsync.yaml:{place}"));
        assert!(places.iter().any(|place| said(place)), "{text:?}: {}", output.stderr);
        assert!(output.stderr.contains("1 error"), "{}", output.stderr);
    }
    let rule = format!("{MINIMAL}segments:\n  quiet: !has(traits.plan)\n");
    let output = validate(&rule).exits(2);
    assert!(output.stderr.contains("vitalsync.yaml:10:"), "{}", output.stderr);
    assert!(output.stderr.contains("must stand in quotes"), "{}", output.stderr);
    validate("").exits(2);
}

#[test]
fn a_wrong_as_of_or_destination_is_wrong_use() {
    let dir = tempfile::tempdir().expect("a directory");
    write(&dir.path().join("vitalsync.yaml"), MINIMAL.as_bytes());
    let run = |arguments: &[&str]| {
        let done = program().current_dir(dir.path()).args(arguments).output().expect("the program starts");
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    for date in ["1800-01-01", "9999-12-31"] {
        let (code, said) = run(&["accounts", "--as-of", date]);
        assert_eq!(code, Some(2), "{said}");
        let range = format!("--as-of `{date}` is out of range: it may be from 1970-01-01 to 2099-12-31");
        assert!(said.contains(&range), "{said}");
    }
    let (code, said) = run(&["accounts", "--as-of", "yesterday"]);
    assert!(code == Some(2) && said.contains("2026-08-13"), "{code:?} {said}");
    let (code, said) = run(&["approve", "crm"]);
    assert!(code == Some(2) && said.contains("no destination `crm`"), "{code:?} {said}");
    let (code, said) = run(&["plan", "crm"]);
    assert!(code == Some(2) && said.contains("no destination `crm`"), "{code:?} {said}");
    assert_eq!(run(&["frobnicate"]).0, Some(2));
}

#[test]
fn a_state_that_no_run_can_have_is_refused() {
    for (state, why) in [
        ("\"\"", "expected the state directory, found no text"),
        ("./vitalsync.yaml", "vitalsync.yaml is a file"),
        ("./vitalsync.yaml/state", "vitalsync.yaml is a file"),
    ] {
        let config = format!("{MINIMAL}state: {state}\n");
        let output = validate(&config).exits(2);
        let said = message(&output, &config, state);
        assert!(said.contains(why) && said.contains("such as ./state"), "{said}");
    }
    let nowhere = MINIMAL.replace("./archive", "\"\"");
    assert!(message(&validate(&nowhere).exits(2), &nowhere, "\"\"").contains("found no text"));
    validate(&format!("{MINIMAL}state: ./archive/../not/yet\n")).exits(0);
}
