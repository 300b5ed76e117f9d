//! HubSpot companies: what to write, and how to read the answers.
//!
//! Pure, as every connector: no client, no token, no clock. `plan` compares what is wanted with what HubSpot last
//! confirmed, field by field; `step` turns operations and the replies so far into the next request.
//!
//! One property of our own, unique in HubSpot, holds the account's id. It makes creation an upsert, so that a lost
//! answer can't create a company twice; it is planned like any other field, and so seen in every plan.
//!
//! Deliberately not here: contacts, deals, associations, OAuth, merging of duplicates, deletion.

mod config;
mod domain;
mod plan;
mod wire;

use std::time::Duration;

use vitalsync_core::connector::{Auth, Known, Manifest, Operation, Quota, Registered, Reply, Step, Wanted};
use vitalsync_core::mapping::RecordSet;
use vitalsync_core::{Connector, Type};

/// The pool of everything but search.
pub(crate) const API: &str = "api";
/// The pool of search, which HubSpot counts per account over all its apps.
pub(crate) const SEARCH: &str = "search";

/// The registry's line.
pub const HUBSPOT: Registered = Registered { manifest: &MANIFEST, read: config::read };

static MANIFEST: Manifest = Manifest {
    name: "hubspot",
    title: "HubSpot",
    base_url: "https://api.hubapi.com",
    auth: &[Auth::Bearer],
    content_type: "application/json",
    quotas: &[
        // The smallest plan's limit; larger ones have 190.
        Quota { pool: API, limit: 100, window: Duration::from_secs(10), keyed: false },
        // HubSpot allows five a second, shared with every other app of the account.
        Quota { pool: SEARCH, limit: 4, window: Duration::from_secs(1), keyed: false },
    ],
};

/// The most inputs of any batch request. Source: HubSpot's guide *Using object APIs*.
pub(crate) const BATCH: usize = 100;

/// A configured HubSpot destination.
#[derive(Debug, Clone)]
pub struct HubSpot {
    /// The API version as it stands in paths: `v3`, or a date such as `2026-09`.
    pub(crate) version: String,
    /// The property group of the properties that we create.
    pub(crate) group: String,
    /// Our own unique property, which holds the account's id.
    pub(crate) own: Option<String>,
    /// The mapped properties and the kinds of value that they hold.
    pub(crate) properties: Vec<(String, Type)>,
    /// One: the companies.
    pub(crate) sets: Vec<RecordSet>,
}

impl HubSpot {
    /// A path of the object API: `/crm/objects/2026-09/companies/search`, `/crm/v3/objects/companies/search`.
    pub(crate) fn objects(&self, rest: &str) -> String {
        self.crm("objects", &format!("companies/{rest}"))
    }

    /// A path of the property API: `/crm/properties/2026-09/companies`, `/crm/v3/properties/companies/groups`.
    pub(crate) fn schema(&self, rest: &str) -> String {
        self.crm("properties", &format!("companies{rest}"))
    }

    fn crm(&self, area: &str, rest: &str) -> String {
        let version = &self.version;
        match version.starts_with('v') {
            true => format!("/crm/{version}/{area}/{rest}"),
            false => format!("/crm/{area}/{version}/{rest}"),
        }
    }
}

impl Connector for HubSpot {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn record_sets(&self) -> &[RecordSet] {
        &self.sets
    }

    fn batch_size(&self, batch_key: &str) -> usize {
        match batch_key {
            plan::UPDATE | plan::MATCH | plan::PROPERTY => BATCH,
            _ => 1,
        }
    }

    /// Two accounts may meet one company by different domains: the second must see that the first has taken it.
    fn in_turn(&self, batch_key: &str) -> bool {
        batch_key == plan::MATCH
    }

    fn plan(&self, wanted: &Wanted, known: &Known) -> Vec<Operation> {
        plan::plan(self, wanted, known)
    }

    fn step(&self, operations: &[Operation], replies: &[Reply]) -> Step {
        wire::step(self, operations, replies)
    }
}
