//! What can be turned off is turned off by the same word, bare, quoted, or as people write it who know YAML's booleans.

use vitalsync_core::pulse::Expect;

use super::read;
use crate::config::{Brake, Retention};

#[test]
fn off_turns_off_wherever_it_is_known_however_it_is_written() {
    for off in ["off", "\"off\"", "false"] {
        let config = read(&format!(
            "\
sources:
  product: {{ type: segment_archive, location: ./archive, expect_every: {off} }}
retention: {off}
lifecycle:
  new: {off}
profiles:
  - events: {{ Report Shared: 9 }}
    hold: {off}
destinations:
  team:
    type: slack
    token: sandbox
    brake: {off}
    refresh: {off}
    cap: {off}
    quiet_hours: {off}
    alerts:
      down: {{ drop: 10, within: 7d, to: \"#cs\" }}
"
        ));
        assert_eq!(config.sources[0].expect, Expect::Nothing, "{off}");
        assert_eq!(config.retention, Retention::default(), "{off}");
        assert_eq!(config.model.new_days, 0, "{off}");
        let bands = config.model.profiles[0].bands;
        assert_eq!((bands.hold_days, bands.hold_points), (1, 0.0), "{off}");
        let team = &config.destinations[0];
        assert_eq!(team.conduct.brake, Brake { bands: None, creates: None }, "{off}");
        assert_eq!(team.conduct.refresh_days, None, "{off}");
        assert_eq!(team.connector.alerting().map(|alerting| alerting.cap), Some(0), "{off}");
    }
}
