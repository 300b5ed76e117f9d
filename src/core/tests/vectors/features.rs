//! Features over several events.

use std::collections::BTreeSet;

use vitalsync_core::model::Feature;
use vitalsync_core::wildcard::Wildcard;

use super::*;

#[test]
fn a_feature_is_used_by_any_of_its_events() {
    let feature = |name: &str, events: &[&str], wildcard: Option<&str>| Feature {
        name: name.into(),
        events: events.iter().map(|event| (*event).to_owned()).collect::<BTreeSet<_>>(),
        wildcards: wildcard.map(Wildcard::new).into_iter().collect(),
    };
    let features = vec![
        feature("reporting", &["Shared"], Some("Report *")),
        feature("calls", &["Called", "Rang"], None),
        feature("never", &["Never"], None),
        feature("unscored", &["Looked"], None),
    ];
    let model = of(Profile { features, ..profile(&[("Shared", 1.0), ("Called", 1.0)], 30, Refresh::EveryRun) });
    let before = day(30);
    let tracks: Tracks<'_> = &[
        ("a", "u", "Report Opened", LAST, 1),
        ("a", "u", "Report Printed", LAST, 1),
        ("a", "v", "Rang", &before, 1),
        ("a", "v", "Looked", LAST, 1),
    ];
    let account = only(tracks, &model, AT);
    close(account.adoption_window, 50.0, "in the window");
    close(account.adoption_all_time, 75.0, "of all time");
    assert_eq!((account.used_features(), account.features.len()), (2, 4));
    assert_eq!(account.unused_features().collect::<Vec<_>>(), ["calls", "never"]);
    // Without names each scored event is a feature.
    let model = of(profile(&[("Shared", 1.0), ("Called", 1.0)], 30, Refresh::EveryRun));
    let account = only(&[("a", "u", "Shared", LAST, 1)], &model, AT);
    assert_eq!(account.unused_features().collect::<Vec<_>>(), ["Called"]);
}
