//! Intercom: health as custom attributes and exclusive tags of contacts and companies.
//!
//! Pure, as every connector: no client, no token, no clock. `config` reads the section, `plan` compares what is wanted with
//! what Intercom last confirmed, `wire` speaks with the API.
//!
//! Contacts and companies are written one at a time, since Intercom knows no other way. Tags are set in lists of fifty, and taken
//! away from companies so, too.
//!
//! Deliberately not here: search to find whom to write to (its index lags by minutes), the bulk endpoints (a preview without errors per record),
//! scrolling through all companies (one scroll at a time per app), archiving, merging, detaching and deleting.

mod config;
mod plan;
mod read_back;
mod source;
mod wire;

use std::time::Duration;

use vitalsync_core::connector::{
    Answer, Auth, Connector, Known, Limit, Manifest, Operation, Pool, Quota, Registered, Reply, Slot, Step, Wanted,
};
use vitalsync_core::mapping::RecordSet;
use vitalsync_core::section::Place;
use vitalsync_core::{Type, Value};

/// The window of Intercom's limits. Source: Intercom's guide *Rate limiting*.
const WINDOW: Duration = Duration::from_secs(10);
/// The most requests of a window: a sixth of a workspace's 25,000 a minute, which Intercom rounds up.
const LARGEST_WINDOW: u32 = 4_167;
/// A kind of record, in Intercom's own word for it: in slots, record sets, batch keys and data attributes.
const CONTACT: &str = "contact";
/// The other kind.
const COMPANY: &str = "company";
/// That a contact belongs to a company: record set, slot kind and batch key.
const MEMBERSHIP: &str = "membership";
/// The tag of one group on one company: slot kind and batch key.
const COMPANY_TAGS: &str = "company_tags";
/// Its one field.
const TAG_FIELD: &str = "tag";
/// Batch key and slot kind of a data attribute.
const ATTRIBUTE: &str = "attribute";
/// Batch key of the questions whether an attribute could be had: all are asked together, since all count towards one limit.
const ASKED_ATTRIBUTES: &str = "asked attributes";
/// An attribute's field: its type in Intercom.
const DATA_TYPE: &str = "data_type";
/// An attribute's field: the only texts that it can hold, where they are known. A list in Intercom must have them all.
const VALUES: &str = "values";
/// Batch key and slot kind of a tag.
const TAG: &str = "tag";
/// Batch key: contacts that get a tag.
const TAGGED_CONTACT: &str = "tagged contact";
/// Batch key: what a contact holds now.
const READ_CONTACT: &str = "read contact";
/// Batch key: what a company and its tag groups hold now.
const READ_COMPANY: &str = "read company";
/// Batch key: which tags there are, and under which ids.
const READ_TAG: &str = "read tag";
/// One list answers for so many tags.
const TAGS_LISTED: usize = 1_000;
/// What stands before a tag group's name where it is a field. Attribute names have no dot, so they can't collide.
const GROUP_PREFIX: &str = "tags.";
/// The one way to find a contact.
const EXTERNAL_ID: &str = "external_id";
/// The one way to find a company; also a field, which says by which id it was found.
const COMPANY_ID: &str = "company_id";

/// The most companies or contacts of one `POST /tags`. Source: Intercom's older documents; the present ones name no limit.
const TAG_LIST: usize = 50;
/// So many companies' tags are moved in one conversation: five full lists to take away and five to set.
const TAG_BATCH: usize = 5 * TAG_LIST;
/// So many contacts are looked for in one search, and so many companies are read back together. Source: the most results of a
/// page by Intercom's reference, *Search contacts*.
const FOUND_TOGETHER: usize = 150;
/// So many attributes are made sure of by one list of those that there are.
const ATTRIBUTE_BATCH: usize = 100;

/// 10,000 requests a minute and app are handed out in windows of ten seconds, 1,666 each; a little is left to others.
pub(crate) static MANIFEST: Manifest = Manifest {
    name: "intercom",
    title: "Intercom",
    base_url: "https://api.intercom.io",
    auth: &[Auth::Bearer],
    content_type: "application/json",
    quotas: &[Quota { pool: "api", limit: 1_600, window: WINDOW, keyed: false }],
};

pub use source::SOURCE;

/// The line of the registry.
pub const INTERCOM: Registered = Registered { manifest: &MANIFEST, read: config::read };

/// A configured Intercom destination.
#[derive(Debug, Clone)]
pub struct Intercom {
    /// The API version that every request names.
    version: String,
    /// Where the workspace's region is served.
    home: &'static str,
    /// Contacts, companies, and who belongs to which: each at most once.
    sets: Vec<RecordSet>,
    /// Every mapped attribute.
    attributes: Vec<Mapped>,
}

/// A mapped attribute.
#[derive(Debug, Clone)]
struct Mapped {
    /// Of which kind of record.
    model: &'static str,
    name: String,
    /// Where it stands in the config.
    place: Place,
    /// The only texts that it can hold; none where they are not known.
    words: Vec<String>,
}

impl Intercom {
    fn set(&self, kind: &str) -> Option<&RecordSet> {
        self.sets.iter().find(|set| set.kind == kind)
    }

    /// The kind of value that an attribute holds; unmapped ones hold whatever they are given.
    fn kind(&self, model: &str, attribute: &str) -> Type {
        let fields = self.set(model).into_iter().flat_map(|set| &set.fields);
        fields.into_iter().find(|map| map.field == attribute).map_or(Type::Any, |map| map.kind)
    }

    /// The tags of a group; none if the group is no longer in the config.
    fn tags(&self, model: &str, group: &str) -> impl Iterator<Item = &str> {
        let group = self.set(model).and_then(|set| set.groups.iter().find(|known| known.name == group));
        group.into_iter().flat_map(|group| group.tags.iter().map(|(tag, _)| tag.as_str()))
    }
}

/// Intercom's type for what an expression gives.
fn data_type(kind: Type) -> &'static str {
    match kind {
        Type::Bool => "boolean",
        Type::Number => "float",
        Type::Date | Type::Time => "date",
        Type::Any | Type::Text | Type::List | Type::Map => "string",
    }
}

fn attribute_slot(model: &str, name: &str) -> Slot {
    format!("{ATTRIBUTE}/{model}/{name}")
}

fn tag_slot(name: &str) -> Slot {
    format!("{TAG}/{name}")
}

fn record_slot(kind: &str, subject: &str) -> Slot {
    format!("{kind}/{subject}")
}

/// The slot of a company's tag group. A group's name may have slashes, which would run into the account's id.
fn group_slot(group: &str, subject: &str) -> Slot {
    format!("{COMPANY_TAGS}/{}/{subject}", group.replace('%', "%25").replace('/', "%2F"))
}

/// The group and the account of such a slot.
fn group_of(slot: &str) -> Option<(String, &str)> {
    let (group, subject) = slot.strip_prefix(COMPANY_TAGS)?.strip_prefix('/')?.split_once('/')?;
    Some((group.replace("%2F", "/").replace("%25", "%"), subject))
}

/// True if nobody knows which tags of a group a record carries: it was never told, or somebody or something came between.
/// Several are then written as a list.
fn is_unsure(told: Option<&Value>) -> bool {
    matches!(told, None | Some(Value::List(_)))
}

impl Connector for Intercom {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn home(&self) -> Option<&'static str> {
        Some(self.home)
    }

    fn record_sets(&self) -> &[RecordSet] {
        &self.sets
    }

    fn batch_size(&self, batch_key: &str) -> usize {
        match batch_key {
            ATTRIBUTE => ATTRIBUTE_BATCH,
            ASKED_ATTRIBUTES => usize::MAX,
            COMPANY_TAGS => TAG_BATCH,
            // One full list; what is taken away before takes a request each.
            TAGGED_CONTACT => TAG_LIST,
            // What answers for a record answers for its tag groups, and for who is attached to it.
            READ_TAG => TAGS_LISTED,
            READ_COMPANY => FOUND_TOGETHER * (1 + self.set(COMPANY).map_or(0, |set| set.groups.len())),
            READ_CONTACT => FOUND_TOGETHER * (1 + usize::from(self.set(MEMBERSHIP).is_some())),
            _ => 1,
        }
    }

    fn plan(&self, wanted: &Wanted, known: &Known) -> Vec<Operation> {
        plan::plan(self, wanted, known)
    }

    fn inspect(&self) -> Vec<(Place, Operation)> {
        plan::inspect(self)
    }

    fn read_back(&self, known: &Known) -> Vec<Operation> {
        read_back::questions(self, known)
    }

    /// Intercom says with every answer how much a window allows. A number beyond the largest window can only be a minute's, of
    /// which a window is a sixth.
    fn limit(&self, _pool: &Pool, answer: &Answer) -> Option<Limit> {
        let said: u32 = answer.header("x-ratelimit-limit")?.trim().parse().ok().filter(|number| *number > 0)?;
        Some(Limit { requests: if said > LARGEST_WINDOW { said / 6 } else { said }, window: WINDOW })
    }

    fn step(&self, operations: &[Operation], replies: &[Reply]) -> Step {
        wire::step(self, operations, replies)
    }
}
