//! Slack: alerts, each posted once.
//!
//! This file reads the config and plans; `place.rs` knows where an alert may go, `render.rs` writes the message, `wire.rs` speaks with the API. An alert is
//! rendered complete when it is planned, so that a dry run shows what would be posted and a restart posts the same.
//!
//! Deliberately not here: incoming webhooks (they return no id and can't be read back, so *once* can't be kept),
//! threads, editing and deleting, digests, joining channels, and when a rule fires: the core finds the edges.

mod place;
pub mod render;
mod wire;

use std::collections::BTreeSet;
use std::time::Duration;

use vitalsync_core::Value;
use vitalsync_core::alert::{Alert, AlertRule, read};
use vitalsync_core::connector::{
    Auth, Change, Connector, Known, Manifest, Mode, Operation, Quota, Registered, Reply, Step, Wanted,
};
use vitalsync_core::expr::Scopes;
use vitalsync_core::mapping::RecordSet;
use vitalsync_core::section::{Faults, Node};

use crate::place::PLACES;

/// Batch key and slot kind.
const ALERT: &str = "alert";
/// The fields of an operation.
const CHANNEL: &str = "channel";
const TEXT: &str = "text";
const BLOCKS: &str = "blocks";

/// About one message a second and channel; the reads take part in tier 2 (20 a minute), the lowest of those used.
static MANIFEST: Manifest = Manifest {
    name: "slack",
    title: "Slack",
    base_url: "https://slack.com",
    auth: &[Auth::Bearer],
    content_type: "application/json; charset=utf-8",
    quotas: &[
        Quota { pool: "post", limit: 1, window: Duration::from_secs(1), keyed: true },
        Quota { pool: "read", limit: 20, window: Duration::from_secs(60), keyed: false },
    ],
};

/// The line of the registry.
pub const SLACK: Registered = Registered { manifest: &MANIFEST, read: configured };

/// A configured Slack destination: its alert rules.
#[derive(Debug, Clone)]
pub struct Slack {
    rules: Vec<AlertRule>,
}

fn configured(node: &Node, scopes: &Scopes, faults: &mut Faults) -> Option<Box<dyn Connector>> {
    let table = node.table(faults, "a Slack destination")?;
    MANIFEST.leave_common(&table);
    let alerts = table.need(faults, "alerts", "which changes of health are told, and where");
    table.finish(faults);
    let rules = read::rules(alerts?, &PLACES, scopes, faults)?;
    Some(Box::new(Slack { rules }))
}

fn plan_alert(alert: &Alert) -> Operation {
    let message = render::message(alert);
    let fields = [(CHANNEL, alert.to.clone()), (TEXT, message.text), (BLOCKS, message.blocks)];
    let mut operation =
        Operation::new(format!("{ALERT}/{}", alert.occasion), ALERT, format!("post alert {}", alert.rule));
    operation.mode = Mode::Once;
    operation.subject.clone_from(&alert.account);
    for (name, new) in fields {
        operation.fields.insert(name.to_owned(), Change { old: Value::Null, new: new.into() });
    }
    operation
}

impl Connector for Slack {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn record_sets(&self) -> &[RecordSet] {
        &[]
    }

    fn alert_rules(&self) -> &[AlertRule] {
        &self.rules
    }

    fn batch_size(&self, _: &str) -> usize {
        1
    }

    fn plan(&self, wanted: &Wanted, known: &Known) -> Vec<Operation> {
        let mut seen = BTreeSet::new();
        wanted
            .alerts
            .iter()
            .filter(|alert| seen.insert(&alert.occasion))
            .map(plan_alert)
            .filter(|operation| !known.records.contains_key(&operation.slot))
            .collect()
    }

    fn step(&self, operations: &[Operation], replies: &[Reply]) -> Step {
        wire::step(operations, replies)
    }
}
