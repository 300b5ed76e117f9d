//! HubSpot companies and contacts: what to write, and how to read the answers.
//!
//! Pure, as every connector: no client, no token, no clock. `plan` compares what is wanted with what HubSpot last
//! confirmed, field by field; `step` turns operations and the replies so far into the next request. Both object types
//! take the same way; `kind` has what differs.
//!
//! One property of our own, unique in HubSpot, holds the account's or user's id. It makes creation an upsert, so that a
//! lost answer can't create a record twice; it is planned like any other field, and so seen in every plan.
//!
//! Deliberately not here: deals, removing associations, merging of duplicates, deletion.

mod config;
mod domain;
mod email;
mod kind;
mod plan;
mod source;
mod wire;

use std::time::Duration;

use vitalsync_core::connector::{
    Answer, Auth, Known, Limit, Manifest, OAuth, Operation, Pool, Quota, Registered, Reply, Step, Wanted,
};
use vitalsync_core::mapping::{Level, RecordSet};
use vitalsync_core::section::Place;
use vitalsync_core::{Connector, Type};

use kind::Kind;

/// The pool of everything but search.
pub(crate) const API: &str = "api";
/// The pool of search, which HubSpot counts per account over all its apps.
pub(crate) const SEARCH: &str = "search";

pub use source::SOURCE;

/// The registry's line.
pub const HUBSPOT: Registered = Registered { manifest: &MANIFEST, read: config::read };

pub(crate) static MANIFEST: Manifest = Manifest {
    name: "hubspot",
    title: "HubSpot",
    base_url: "https://api.hubapi.com",
    auth: &[Auth::Bearer, Auth::OAuth],
    content_type: "application/json",
    quotas: &[
        // The smallest plan's limit; larger ones have 190.
        Quota { pool: API, limit: 100, window: Duration::from_secs(10), keyed: false },
        // HubSpot allows five a second, shared with every other app of the account.
        Quota { pool: SEARCH, limit: 4, window: Duration::from_secs(1), keyed: false },
    ],
};

/// How to log in to HubSpot. Source: HubSpot's guide *OAuth*; `oauth` is the scope that every app has.
pub(crate) fn oauth(version: &str, scopes: impl IntoIterator<Item = String>) -> OAuth {
    OAuth {
        authorize_url: "https://app.hubspot.com/oauth/authorize",
        token_path: format!("/oauth/{version}/token"),
        scopes: std::iter::once("oauth".to_owned()).chain(scopes).collect(),
    }
}

/// The most inputs of any batch request. Source: HubSpot's guide *Using object APIs*.
pub(crate) const BATCH: usize = 100;

/// The most inputs of one request that associates records, and of one that reads associations. Source: HubSpot's guide
/// *Associations v4*.
pub(crate) const ASSOCIATIONS: usize = 2_000;
/// See [`ASSOCIATIONS`].
pub(crate) const ASSOCIATIONS_READ: usize = 1_000;

/// A configured HubSpot destination.
#[derive(Debug, Clone)]
pub struct HubSpot {
    /// The API version as it stands in paths: `v3`, or a date such as `2026-09`.
    pub(crate) version: String,
    /// The property group of the properties that we create.
    pub(crate) group: String,
    /// What is written of each object type.
    pub(crate) sections: Vec<Section>,
    /// True: contacts are associated with the companies of their accounts.
    pub(crate) associate: bool,
    /// One for each section, and one for the associations.
    pub(crate) sets: Vec<RecordSet>,
}

/// What is written of one object type.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    /// Which.
    pub kind: &'static Kind,
    /// Where it stands in the config.
    pub place: Place,
    /// The ways to find a record, in their order.
    pub ways: Vec<String>,
    /// Our own unique property, which holds the subject's id, and where the config says so.
    pub own: Option<Property>,
    /// The mapped properties.
    pub properties: Vec<Property>,
}

/// A property that we write.
#[derive(Debug, Clone)]
pub(crate) struct Property {
    /// Its internal name.
    pub name: String,
    /// The kind of value that it holds.
    pub kind: Type,
    /// The only words that it holds, where they are known.
    pub words: Vec<String>,
    /// True: created as an enumeration of these words.
    pub enumeration: bool,
    /// Where it stands in the config.
    pub place: Place,
}

impl Section {
    /// The name of our own property.
    pub fn own(&self) -> Option<&str> {
        self.own.as_ref().map(|own| own.name.as_str())
    }
}

impl HubSpot {
    /// The API with nothing to write.
    pub(crate) fn to_read(version: String) -> Self {
        Self { version, group: String::new(), sections: Vec::new(), associate: false, sets: Vec::new() }
    }

    /// A path of the object API: `/crm/objects/2026-09/companies/search`, `/crm/v3/objects/companies/search`.
    pub(crate) fn objects(&self, kind: &Kind, rest: &str) -> String {
        self.crm("objects", &self.version, &format!("{}/{rest}", kind.plural))
    }

    /// A path of the property API: `/crm/properties/2026-09/companies`, `/crm/v3/properties/companies/groups`.
    pub(crate) fn schema(&self, kind: &Kind, rest: &str) -> String {
        self.crm("properties", &self.version, &format!("{}{rest}", kind.plural))
    }

    /// A path of the association API, from contacts to companies. Its last undated version is v4.
    pub(crate) fn associations(&self, rest: &str) -> String {
        let version = if self.version.starts_with('v') { "v4" } else { &self.version };
        self.crm("associations", version, &format!("contacts/companies/{rest}"))
    }

    pub(crate) fn crm(&self, area: &str, version: &str, rest: &str) -> String {
        match version.starts_with('v') {
            true => format!("/crm/{version}/{area}/{rest}"),
            false => format!("/crm/{area}/{version}/{rest}"),
        }
    }

    /// The section of a kind of record.
    pub(crate) fn section(&self, kind: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.kind.name == kind)
    }
}

impl Connector for HubSpot {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn record_url(&self, portal: &str, slot: &str, remote_id: &str) -> Option<String> {
        // HubSpot's own numbers of its kinds of records.
        let kind = match slot.split('/').next()? {
            "company" => "0-2",
            "contact" => "0-1",
            _ => return None,
        };
        let plain = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
        (plain(portal) && plain(remote_id))
            .then(|| format!("https://app.hubspot.com/contacts/{portal}/record/{kind}/{remote_id}"))
    }

    fn record_sets(&self) -> &[RecordSet] {
        &self.sets
    }

    fn oauth(&self) -> Option<OAuth> {
        let kinds = self.sets.iter().map(|set| match set.level {
            Level::Account => "companies",
            Level::User => "contacts",
        });
        let of_kind = |kind: &str| {
            ["crm.objects", "crm.schemas"].map(|area| [format!("{area}.{kind}.read"), format!("{area}.{kind}.write")])
        };
        Some(oauth(&self.version, kinds.flat_map(of_kind).flatten()))
    }

    fn batch_size(&self, batch_key: &str) -> usize {
        match batch_key.split_once(':') {
            Some((plan::ASSOCIATION, plan::CREATE)) => ASSOCIATIONS,
            Some((plan::ASSOCIATION, _)) => ASSOCIATIONS_READ,
            Some((_, plan::UPDATE | plan::MATCH | plan::READ | plan::PROPERTY)) => BATCH,
            _ => 1,
        }
    }

    /// Two accounts may meet one company by different domains: the second must see that the first has taken it. Our own property
    /// and record ids are each account's own.
    fn in_turn(&self, batch_key: &str) -> bool {
        let Some((kind, plan::MATCH)) = batch_key.split_once(':') else { return false };
        self.section(kind).is_some_and(|section| section.ways.iter().any(|way| way == section.kind.natural.by))
    }

    fn plan(&self, wanted: &Wanted, known: &Known) -> Vec<Operation> {
        plan::plan(self, wanted, known)
    }

    fn read_back(&self, known: &Known) -> Vec<Operation> {
        plan::read_back(self, known)
    }

    fn inspect(&self) -> Vec<(Place, Operation)> {
        plan::inspect(self)
    }

    /// HubSpot says with every answer but search's how much the plan allows.
    fn limit(&self, pool: &Pool, answer: &Answer) -> Option<Limit> {
        let number = |name: &str| answer.header(name)?.trim().parse::<u32>().ok().filter(|number| *number > 0);
        let requests = number("x-hubspot-ratelimit-max").filter(|_| pool.name == API)?;
        let window = number("x-hubspot-ratelimit-interval-milliseconds").unwrap_or(10_000);
        Some(Limit { requests, window: Duration::from_millis(window.into()) })
    }

    fn is_shared(&self, pool: &str) -> bool {
        pool == SEARCH
    }

    fn rest(&self, answer: &Answer) -> Option<(Duration, String)> {
        wire::rest(answer)
    }

    fn step(&self, operations: &[Operation], replies: &[Reply]) -> Step {
        wire::step(self, operations, replies)
    }
}
