//! The demo, which needs nothing.

use std::time::{Duration, Instant};

use super::site::program;

#[test]
fn one_pass_of_the_demo_tells_what_was_written_where() {
    let dir = tempfile::tempdir().expect("a directory");
    let started = Instant::now();
    let mut command = program();
    command.current_dir(dir.path()).env("TMPDIR", dir.path()).args(["demo", "--once"]);
    let done = command.output().expect("the program starts");
    let (told, errors) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert_eq!(done.status.code(), Some(0), "{told}\n{errors}");
    for part in ["HubSpot", "Intercom", "Slack", "Northwind", "http://127.0.0.1:"] {
        assert!(told.contains(part), "`{part}` is not in\n{told}");
    }
    assert!(started.elapsed() < Duration::from_secs(60), "it took {:?}", started.elapsed());
    assert_eq!(errors, "", "a demo that works complains about nothing");
    let left: Vec<_> = std::fs::read_dir(dir.path()).expect("it lists").collect();
    assert!(left.is_empty(), "it left {left:?}");
}
