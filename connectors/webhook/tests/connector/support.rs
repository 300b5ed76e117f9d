//! What the tests of this crate share: a connector from its section as JSON.

use serde_json::Value as Json;
use vitalsync_core::Connector;

/// The connector of a section, or its faults, one line each.
pub fn read(section: &Json) -> Result<Box<dyn Connector>, String> {
    vitalsync_cases::read(&vitalsync_webhook::WEBHOOK, section)
}
