//! HubSpot as a source: what it holds of companies, brought to accounts as traits.
//!
//! Deliberately not here: contacts, deals, and companies that nobody's account is.

use serde_json::Value as Json;
use vitalsync_core::Connector;
use vitalsync_core::connector::{Answer, Known, Limit, Manifest, Mode, OAuth, Operation, Pool, Reply, Step, Wanted};
use vitalsync_core::mapping::RecordSet;
use vitalsync_core::reader::{Page, Reader, RegisteredSource};
use vitalsync_core::section::{Faults, Node, Place};

use crate::kind::COMPANY;
use crate::plan::{PROPERTY, READ};
use crate::{BATCH, HubSpot, config, wire};

/// The registry's line.
pub const SOURCE: RegisteredSource = RegisteredSource { manifest: &crate::MANIFEST, read };

/// HubSpot's property with the id of a record's owner: with it comes [`OWNER_EMAIL`].
pub(crate) const OWNER: &str = "hubspot_owner_id";
/// What HubSpot calls those who own records.
pub(crate) const OWNERS: &str = "owners";
/// The trait with the owner's e-mail.
pub(crate) const OWNER_EMAIL: &str = "owner_email";

/// All names together have at most so many bytes: they go into every search, whose body has 3,000.
const LONGEST_NAMES: usize = 2_000;

/// A configured source.
#[derive(Debug)]
pub(crate) struct Source {
    /// The API, without anything to write.
    pub hubspot: HubSpot,
    /// The properties to read.
    pub properties: Vec<String>,
    /// Where each of them stands in the config.
    places: Vec<Place>,
    /// Where all of them do.
    place: Place,
    /// The property with the account's id.
    pub own: String,
}

impl Source {
    /// The address of the owners: `/crm/owners/2026-09`, `/crm/v3/owners`.
    pub fn owners(&self, query: &str) -> String {
        format!("{}{query}", self.hubspot.crm(OWNERS, &self.hubspot.version, "").trim_end_matches('/'))
    }
}

fn read(node: &Node, faults: &mut Faults) -> Option<Box<dyn Connector>> {
    let table = node.table(faults, "the HubSpot source")?;
    crate::MANIFEST.leave_source(&table);
    let version = match table.get("api_version") {
        Some(node) => config::version(node, faults),
        None => Some(config::VERSION.to_owned()),
    };
    let own = match table.get("property") {
        Some(node) => config::name(node, faults, "the name of the property with the account's id"),
        None => Some(COMPANY.own.to_owned()),
    };
    let read = table.need(faults, "read", "which properties of companies").map(|node| {
        let (mut names, mut places): (Vec<String>, Vec<Place>) = Default::default();
        for item in node.items() {
            let Some(name) = item.text(faults, "the internal name of a HubSpot property") else { continue };
            if !config::is_name(&name) {
                let message = format!("`{}` is no internal name of a HubSpot property", config::short(&name));
                faults.error_with_hint(item.place, message, config::NAME_FORM);
            } else if names.contains(&name) {
                faults.error(item.place, format!("`{name}` stands there twice"));
            } else {
                names.push(name);
                places.push(item.place);
            }
        }
        if names.is_empty() || names.iter().map(|name| name.len() + 3).sum::<usize>() > LONGEST_NAMES {
            faults.error(node.place, "read needs at least one property, and fewer than a search of HubSpot can name");
        }
        (names, places, node.place)
    });
    table.finish(faults);
    let (properties, places, place) = read?;
    Some(Box::new(Source { hubspot: HubSpot::to_read(version?), properties, places, place, own: own? }))
}

impl Reader for Source {
    fn read(&self, cursor: &Json, replies: &[Reply]) -> Result<Page, Step> {
        wire::pages::read(self, cursor, replies)
    }
}

impl Connector for Source {
    fn manifest(&self) -> &'static Manifest {
        &crate::MANIFEST
    }

    fn record_sets(&self) -> &[RecordSet] {
        &[]
    }

    fn oauth(&self) -> Option<OAuth> {
        let owners = self.properties.iter().any(|name| name == OWNER).then_some("crm.objects.owners.read");
        let scopes = ["crm.objects.companies.read", "crm.schemas.companies.read"].into_iter().chain(owners);
        Some(crate::oauth(&self.hubspot.version, scopes.map(str::to_owned)))
    }

    fn reader(&self) -> Option<&dyn Reader> {
        Some(self)
    }

    fn batch_size(&self, batch_key: &str) -> usize {
        match batch_key {
            PROPERTY => BATCH,
            _ => 1,
        }
    }

    fn limit(&self, pool: &Pool, answer: &Answer) -> Option<Limit> {
        self.hubspot.limit(pool, answer)
    }

    fn is_shared(&self, pool: &str) -> bool {
        self.hubspot.is_shared(pool)
    }

    fn plan(&self, _wanted: &Wanted, _known: &Known) -> Vec<Operation> {
        Vec::new()
    }

    /// Whether companies may be read, which of the properties there are, and whether owners may be read, where they are.
    fn inspect(&self) -> Vec<(Place, Operation)> {
        let ask = |place: Place, key: &str, name: &str| {
            let operation = Operation::new(format!("{key}/{name}"), key, format!("ask for {name}"));
            (place, Operation { mode: Mode::Read, ..operation })
        };
        let mut questions = vec![ask(self.place, READ, COMPANY.plural)];
        for (name, place) in self.properties.iter().zip(&self.places) {
            questions.push(ask(*place, PROPERTY, name));
            if name == OWNER {
                questions.push(ask(*place, READ, OWNERS));
            }
        }
        questions
    }

    fn step(&self, operations: &[Operation], replies: &[Reply]) -> Step {
        wire::ask_source(self, operations, replies)
    }
}
