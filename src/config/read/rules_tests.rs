//! Named rules as the config means them: rings, order, words that can never be.

use super::tests::{faults, read};

const PROFILE: &str = "profiles:\n  - name: main\n    events: { A: 1 }\n";

#[test]
fn rules_that_need_each_other_are_refused_with_the_path() {
    let text = format!(
        "{PROFILE}segments:\n  a: segments.b\n  b: segments.c\n  c: '!segments.a'\nlifecycle:\n  x: lifecycle.y\n  y: lifecycle.x\n"
    );
    let found = faults(&text);
    assert!(found[0].ends_with("segments that need each other: a → b → c → a"), "{found:?}");
    assert!(found[1].ends_with("lifecycle that need each other: x → y → x"), "{found:?}");
}

#[test]
fn what_a_name_can_never_be_is_refused() {
    for (rule, fault) in [
        ("'big' in segments", "`segments` is never \"big\"; one of: a"),
        ("profile == 'mian'", "`profile` is never \"mian\"; did you mean `main`?"),
        ("health.band == 'risk'", "`health.band` is never \"risk\""),
        ("'matur' in ready_segments", "did you mean `mature`?"),
        ("segments.matur", "unknown name `segments.matur`; did you mean `segments.mature`?"),
    ] {
        let found = faults(&format!("{PROFILE}segments:\n  a: \"{rule}\"\n"));
        assert!(found[0].contains(fault), "{rule}: {found:?}");
    }
}

#[test]
fn own_segments_take_the_place_of_ready_made_ones_and_come_in_order() {
    let model =
        read(&format!("{PROFILE}segments:\n  loud: segments.new && segments.mature\n  new: tenure_days < 5\n")).model;
    let names: Vec<&str> = model.segments.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["new", "loud"]);
    let ready: Vec<&str> = model.ready.iter().map(|(name, _)| name.as_str()).collect();
    assert!(!ready.contains(&"new") && ready.contains(&"mature"));
}
