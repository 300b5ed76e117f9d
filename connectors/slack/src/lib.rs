//! Slack: alerts, each posted once.
//!
//! This file reads `alerts:` and plans; `rule.rs` reads a rule, `render.rs` writes the message, `wire.rs` speaks with the API. An alert is
//! rendered complete when it is planned, so that a dry run shows what would be posted and a restart posts the same.
//!
//! Deliberately not here: incoming webhooks (they return no id and can't be read back, so *once* can't be kept),
//! threads, editing and deleting, digests, joining channels, and when a rule fires: the core finds the edges.

pub mod render;
mod rule;
mod wire;

use std::collections::BTreeSet;
use std::time::Duration;

use vitalsync_core::Value;
use vitalsync_core::alert::{Alert, AlertRule};
use vitalsync_core::connector::{
    Auth, Change, Connector, Known, Manifest, Mode, Operation, Quota, Registered, Reply, Step, Wanted,
};
use vitalsync_core::expr::Scopes;
use vitalsync_core::mapping::RecordSet;
use vitalsync_core::section::{Faults, Kind, Node};

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
pub const SLACK: Registered = Registered { manifest: &MANIFEST, read };

/// A configured Slack destination: its alert rules.
#[derive(Debug, Clone)]
pub struct Slack {
    rules: Vec<AlertRule>,
}

fn read(node: &Node, scopes: &Scopes, faults: &mut Faults) -> Option<Box<dyn Connector>> {
    let table = node.table(faults, "a Slack destination")?;
    MANIFEST.leave_common(&table);
    let alerts = table.need(faults, "alerts", "which changes of health are told, and where");
    table.finish(faults);
    let alerts = alerts?;
    let entries = alerts.entries(faults, "alerts");
    if entries.is_empty() && matches!(alerts.kind, Kind::Map(_)) {
        faults.error(alerts.place, "alerts: expected at least one rule");
    }
    let mut rules = Vec::new();
    let mut names = BTreeSet::new();
    for (name, place, node) in entries {
        if name.trim().is_empty() {
            faults.error(*place, "an alert rule needs a name");
        } else if !names.insert(name.trim()) {
            faults.error(*place, format!("there are two alert rules named `{}`", name.trim()));
        }
        rules.extend(rule::read(name, node, scopes, faults));
    }
    (!rules.is_empty() && rules.len() == entries.len()).then(|| Box::new(Slack { rules }) as Box<dyn Connector>)
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
