//! Alert rules that nothing in the config gives an occasion.

use super::parse;

const TEXT: &str = "\
sources:
  product: { type: segment_archive, location: ./archive, expect_every: 6h }
activation:
  steps: { first: Report Shared }
profiles:
  - events: { Report Shared: 9, A: 1, B: 1, C: 1, D: 1 }
destinations:
  team:
    type: slack
    token: sandbox
    alerts:
      done: { activated: true, to: \"#cs\" }
      one: { step: first, to: \"#cs\" }
      silence: { data_stopped: true, to: \"#cs\" }
      down: { drop: 10, within: 7d, to: \"#cs\" }
";

#[test]
fn a_rule_that_can_never_fire_is_told_where_it_stands() {
    let warnings = |text: &str| -> Vec<String> {
        let config = parse(text).unwrap();
        config.warnings.iter().map(|fault| format!("{} {}", fault.place.line, fault.message)).collect()
    };
    assert_eq!(warnings(TEXT), Vec::<String>::new());
    let without =
        TEXT.replace("activation:\n  steps: { first: Report Shared }\n", "").replace(", expect_every: 6h", "");
    assert_eq!(
        warnings(&without),
        [
            "10 the alert rule `done` never fires: there are no steps of activation",
            "11 the alert rule `one` never fires: there are no steps of activation",
            "12 the alert rule `silence` never fires: no source says how often data comes",
        ]
    );
}
