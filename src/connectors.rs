//! The registry of connectors: one line each.

use vitalsync_core::connector::Registered;
use vitalsync_core::reader::RegisteredSource;

/// Every kind of destination, by its name in `type:`.
pub static ALL: &[Registered] =
    &[vitalsync_hubspot::HUBSPOT, vitalsync_intercom::INTERCOM, vitalsync_slack::SLACK, vitalsync_webhook::WEBHOOK];

/// Every kind of source that asks a tool.
pub const SOURCES: [RegisteredSource; 2] = [vitalsync_hubspot::SOURCE, vitalsync_intercom::SOURCE];

/// The connector of a `type:`.
pub fn find(name: &str) -> Option<&'static Registered> {
    ALL.iter().find(|connector| connector.manifest.name == name)
}
