//! What the tests of this crate share: a connector from its section as JSON, and what the shell does between a plan and its steps.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use vitalsync_core::Connector;
use vitalsync_core::connector::{Known, Operation, Outcome, Wanted};
use vitalsync_core::mapping::WantedRecord;

/// The connector of a section, or its faults, one line each.
pub fn read(section: &Json) -> Result<Box<dyn Connector>, String> {
    vitalsync_cases::read(&vitalsync_intercom::INTERCOM, section)
}

/// The config of the cases.
pub fn config() -> Json {
    serde_json::json!({
        "type": "intercom",
        "token": "t",
        "companies": {
            "missing": "create",
            "attributes": { "score": "health.score", "renewal": "renewal", "band": "health.band" },
            "tag_groups": {
                "health": {
                    "Health: at risk": "health.band == \"at_risk\"",
                    "Health: healthy": "health.band == \"healthy\"",
                },
            },
        },
        "contacts": {
            "missing": "create",
            "name": "user.traits.name",
            "attributes": {
                "health_score": "account.health.score",
                "last_active": "account.last_active",
                "plan": "account.traits.plan",
            },
            "tag_groups": {
                "health": {
                    "Health: at risk": "account.health.band == \"at_risk\"",
                    "Health: healthy": "account.health.band == \"healthy\"",
                },
                "stage": { "Trial": "account.traits.plan == \"trial\"" },
            },
        },
    })
}

/// What the config asks for.
pub fn wanted(records: Vec<WantedRecord>) -> Wanted {
    Wanted { records, ..Wanted::default() }
}

/// Confirms every operation, as the shell does when all goes well.
pub fn confirm_all(operations: &[Operation], known: &mut Known) {
    for operation in operations {
        known.confirm(operation, &Outcome::Done { remote_id: Some(format!("id of {}", operation.slot)) });
    }
}

/// Fills in what the shell fills in before `step`.
pub fn fill(operations: &mut [Operation], known: &Known) {
    for operation in operations {
        for need in &operation.needs {
            if let Some(id) = known.remote_id(&need.slot) {
                operation.refs.insert(need.slot.clone(), id.into());
            }
        }
    }
}

/// What operations are about.
pub fn slots(operations: &[Operation]) -> Vec<&str> {
    operations.iter().map(|operation| operation.slot.as_str()).collect()
}

/// Operations as the shell sends them: those of one batch key together.
pub fn batches(connector: &dyn Connector, operations: Vec<Operation>) -> Vec<Vec<Operation>> {
    let mut by_key: BTreeMap<String, Vec<Operation>> = BTreeMap::new();
    for operation in operations {
        by_key.entry(operation.batch_key.clone()).or_default().push(operation);
    }
    let cut = |(key, operations): (String, Vec<Operation>)| {
        operations.chunks(connector.batch_size(&key)).map(<[Operation]>::to_vec).collect::<Vec<_>>()
    };
    by_key.into_iter().flat_map(cut).collect()
}
