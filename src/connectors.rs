//! The registry of connectors: one line each.

use vitalsync_core::connector::Registered;

/// Every kind of destination, by its name in `type:`.
pub static ALL: &[Registered] =
    &[vitalsync_hubspot::HUBSPOT, vitalsync_intercom::INTERCOM, vitalsync_slack::SLACK, vitalsync_webhook::WEBHOOK];

/// The connector of a `type:`.
pub fn find(name: &str) -> Option<&'static Registered> {
    ALL.iter().find(|connector| connector.manifest.name == name)
}
