//! Slack: alerts, each posted once.
//!
//! This file reads `alerts:` and plans; `render.rs` writes the message, `wire.rs` speaks with the API. An alert is
//! rendered complete when it is planned, so that a dry run shows what would be posted and a restart posts the same.
//!
//! Deliberately not here: incoming webhooks (they return no id and can't be read back, so *once* can't be kept),
//! threads, editing and deleting, digests, joining channels, and when a rule fires: the core finds the edges.

pub mod render;
mod wire;

use std::collections::BTreeSet;
use std::time::Duration;

use vitalsync_core::alert::{Alert, AlertRule};
use vitalsync_core::connector::{
    Auth, COMMON_KEYS, Change, Connector, Known, Manifest, Mode, Operation, Quota, Registered, Reply, Step, Wanted,
};
use vitalsync_core::expr::{Expr, Scopes};
use vitalsync_core::mapping::RecordSet;
use vitalsync_core::section::{Faults, Kind, Node};
use vitalsync_core::time::DAY_MS;
use vitalsync_core::{Type, Value};

/// Batch key and slot kind.
const ALERT: &str = "alert";
/// The fields of an operation.
const CHANNEL: &str = "channel";
const TEXT: &str = "text";
const BLOCKS: &str = "blocks";

/// The most days that `within` may look back.
const LONGEST_WITHIN: i32 = 365;

/// About one message a second and channel; the reads take part in tier 2 (20 a minute), the lowest of those used.
static MANIFEST: Manifest = Manifest {
    name: "slack",
    title: "Slack",
    base_url: "https://slack.com",
    auth: Auth::Bearer,
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
    for key in COMMON_KEYS {
        table.get(key);
    }
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
        rules.extend(read_rule(name, node, scopes, faults));
    }
    (!rules.is_empty() && rules.len() == entries.len()).then(|| Box::new(Slack { rules }) as Box<dyn Connector>)
}

fn read_rule(name: &str, node: &Node, scopes: &Scopes, faults: &mut Faults) -> Option<AlertRule> {
    let table = node.table(faults, "an alert rule")?;
    let expected = "points from 1 to 99";
    let drop = table
        .need(faults, "drop", "fires when the score fell by so many points")
        .and_then(|node| node.number_within(faults, expected, 1.0, 99.0));
    let within_days = table.get("within").map_or(Some(7), |node| {
        let days = node.days(faults, "within")?;
        if days > LONGEST_WITHIN {
            faults.error(node.place, format!("within looks back {LONGEST_WITHIN} days at most"));
        }
        Some(days)
    });
    let only = match table.get("for") {
        Some(node) => Expr::read(node, &scopes.account, Type::Bool, faults).map(Some),
        None => Some(None),
    };
    let to = table.need(faults, "to", "a channel's name or id").and_then(|node| read_channel(node, faults));
    let cooldown_ms =
        table.get("cooldown").map_or(Some(3 * DAY_MS), |node| Some(node.span(faults, "cooldown")?.millis()));
    table.finish(faults);
    Some(AlertRule {
        name: name.trim().to_owned(),
        drop: drop?,
        within_days: within_days?,
        only: only?,
        to: to?,
        cooldown_ms: cooldown_ms?,
    })
}

/// Reads a channel: an id as it is, a name with its `#`.
fn read_channel(node: &Node, faults: &mut Faults) -> Option<String> {
    let written = node.text(faults, "a channel's name or id, such as \"#cs-alerts\"")?;
    let channel = written.trim();
    if channel == "owner" {
        faults.error_with_hint(
            node.place,
            "alerts to an account's owner are not supported by this version",
            "name a channel, as in \"#cs-alerts\"; a channel that is really called owner is \"#owner\"",
        );
        return None;
    }
    if is_channel_id(channel) {
        return Some(channel.to_owned());
    }
    let name = channel.strip_prefix('#').unwrap_or(channel);
    // Slack's own rule for names: 80 characters, no capitals, spaces or periods.
    let fits = |c: char| (c.is_alphanumeric() && !c.is_uppercase()) || matches!(c, '-' | '_');
    if name.is_empty() || name.chars().count() > 80 || !name.chars().all(fits) {
        faults.error_with_hint(
            node.place,
            format!("expected a channel's name or id, found {}", node.described()),
            "as in \"#cs-alerts\" or C0123456789; names have small letters, digits, `-` and `_`",
        );
        return None;
    }
    Some(format!("#{name}"))
}

/// Whether a channel is given by its id (`C…`, `G…`); names have no capitals.
fn is_channel_id(channel: &str) -> bool {
    channel.len() >= 3
        && channel.starts_with(['C', 'G'])
        && channel.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
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
