//! The registry of connectors: one line each.

use vitalsync_core::connector::Registered;

/// Every kind of destination, by its name in `type:`.
pub const ALL: [Registered; 3] = [vitalsync_hubspot::HUBSPOT, vitalsync_intercom::INTERCOM, vitalsync_slack::SLACK];

/// The connector of a `type:`.
pub fn find(name: &str) -> Option<&'static Registered> {
    static REGISTRY: [Registered; 3] = ALL;
    REGISTRY.iter().find(|connector| connector.manifest.name == name)
}
