//! Intercom as a source: how many tickets and conversations are open, of users and of their accounts.
//!
//! Every reading is of everything that is open: it is little, and only so is it known what was closed. Whoever has none of
//! them any more, or is known there and never had, has 0. Deliberately not here: what was said, ratings, closed tickets.

use serde_json::Value as Json;
use vitalsync_core::connector::{
    Answer, Connector, Known, Limit, Manifest, Mode, Operation, Pool, Reply, Step, Wanted,
};
use vitalsync_core::mapping::RecordSet;
use vitalsync_core::reader::{Page, Reader, RegisteredSource};
use vitalsync_core::section::{Faults, Node, Place};

use crate::{Intercom, config, wire};

/// The registry's line.
pub const SOURCE: RegisteredSource = RegisteredSource { manifest: &crate::MANIFEST, read };

/// What can be read, by the trait that it becomes.
pub(crate) const KINDS: [&str; 2] = ["open_tickets", "open_conversations"];

/// The batch key of the questions whether something may be read.
const ASK: &str = "ask";
/// The question about companies.
const COMPANIES: &str = "companies";

/// A configured source.
#[derive(Debug)]
pub(crate) struct Source {
    /// The API, without anything to write.
    pub intercom: Intercom,
    /// Those of [`KINDS`] that are read.
    pub kinds: Vec<&'static str>,
    /// Where each of them stands in the config.
    places: Vec<Place>,
    /// Where the source does.
    place: Place,
}

fn read(node: &Node, faults: &mut Faults) -> Option<Box<dyn Connector>> {
    let table = node.table(faults, "the Intercom source")?;
    crate::MANIFEST.leave_source(&table);
    let (mut kinds, mut places): (Vec<&'static str>, Vec<Place>) = Default::default();
    match table.get("read") {
        None => {
            kinds.push(KINDS[0]);
            places.push(node.place);
        }
        Some(node) => {
            for item in node.items() {
                let found = item.one_of(faults, "what to read", &KINDS).and_then(|at| KINDS.get(at).copied());
                if let Some(kind) = found.filter(|kind| !kinds.contains(kind)) {
                    kinds.push(kind);
                    places.push(item.place);
                }
            }
            if node.items().is_empty() {
                faults.error(node.place, "read needs at least one of open_tickets, open_conversations");
            }
        }
    }
    let intercom = config::workspace(&table, faults);
    table.finish(faults);
    Some(Box::new(Source { intercom: intercom?, kinds, places, place: node.place }))
}

impl Reader for Source {
    fn read(&self, cursor: &Json, replies: &[Reply]) -> Result<Page, Step> {
        wire::open::read(self, cursor, replies).map_err(|step| *step)
    }
}

impl Connector for Source {
    fn manifest(&self) -> &'static Manifest {
        &crate::MANIFEST
    }

    fn home(&self) -> Option<&'static str> {
        self.intercom.home()
    }

    fn record_sets(&self) -> &[RecordSet] {
        &[]
    }

    fn reader(&self) -> Option<&dyn Reader> {
        Some(self)
    }

    fn batch_size(&self, _batch_key: &str) -> usize {
        1
    }

    fn limit(&self, pool: &Pool, answer: &Answer) -> Option<Limit> {
        self.intercom.limit(pool, answer)
    }

    fn plan(&self, _wanted: &Wanted, _known: &Known) -> Vec<Operation> {
        Vec::new()
    }

    /// Whether what is open may be read, and the companies of those whom it names.
    fn inspect(&self) -> Vec<(Place, Operation)> {
        let ask = |what: &str| Operation { mode: Mode::Read, ..Operation::new(what, ASK, format!("ask for {what}")) };
        let kinds = self.kinds.iter().zip(&self.places).map(|(kind, place)| (*place, ask(kind)));
        kinds.chain([(self.place, ask(COMPANIES))]).collect()
    }

    fn step(&self, operations: &[Operation], replies: &[Reply]) -> Step {
        match operations {
            [question] if question.batch_key == ASK => wire::open::ask(self, question, replies),
            _ => self.intercom.step(operations, replies),
        }
    }
}
