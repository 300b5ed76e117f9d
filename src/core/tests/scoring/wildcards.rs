//! `Report *` in `events`.

use vitalsync_core::model::{MICRO, Profile, Refresh};
use vitalsync_core::wildcard::Wildcard;

use crate::{AT, account, close, of, seen, used, weighed};

/// Exact names, then wildcards as the config sorts them.
fn profile() -> Profile {
    let wildcards = [("Report Draft", 0), ("Report S*", 5), ("Report *", 3), ("*", 1)];
    let wildcards = wildcards.map(|(name, weight)| (Wildcard::new(name), weight * MICRO)).into();
    Profile { wildcards, ..weighed(&[("Report Shared", 9), ("Never Seen", 2)], Refresh::Fixed(100.0)) }
}

#[test]
fn an_exact_name_goes_first_then_the_longer_wildcard() {
    let day = "2026-08-01";
    for (event, raw) in [
        ("Report Shared", 9.0),
        ("Report Saved", 5.0),
        ("Report Opened", 3.0),
        ("Logged In", 1.0),
        ("Report Draft", 0.0),
    ] {
        let lines = used("a", "u", event, day, 1);
        close(account(&seen(&lines, &of(profile()), AT), "a").health.raw, raw);
    }
}

#[test]
fn each_event_that_was_seen_is_one_feature() {
    let events = ["Report Shared", "Report Saved", "Report Opened", "Report Draft"];
    let mut lines: Vec<String> = events.iter().flat_map(|event| used("a", "u", event, "2026-08-01", 2)).collect();
    lines.extend(used("b", "v", "Report Saved", "2026-06-01", 1));
    let evaluation = seen(&lines, &of(profile()), AT);
    // Four features: two by name, one of them never seen, and two that a wildcard stands for.
    close(account(&evaluation, "a").adoption_window, 75.0);
    close(account(&evaluation, "b").adoption_window, 0.0);
    close(account(&evaluation, "b").adoption_all_time, 25.0);
    // As of June nobody had opened or shared a report.
    let then = seen(&lines, &of(profile()), "2026-06-02T23:59:59Z");
    close(account(&then, "b").adoption_window, 100.0 / 3.0);
    let a = account(&evaluation, "a");
    let parts = a.weighed(&profile(), evaluation.over.plus(-30), evaluation.over, &evaluation.events);
    let parts: Vec<(&str, u64, i64)> =
        parts.iter().map(|(name, part)| (name.as_str(), part.1, part.2 / MICRO)).collect();
    assert_eq!(parts, [("Report Opened", 2, 3), ("Report Saved", 2, 5), ("Report Shared", 2, 9)]);
}
