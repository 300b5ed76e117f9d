//! Slack: alerts, each posted once.
//!
//! This file reads the config and plans; `place.rs` knows where an alert may go, `render.rs` writes the message, `wire.rs` speaks
//! with the API: `post.rs` posts, `find.rs` finds out ids of channels and people, `ask.rs` whether alerts can go where they are sent,
//! `hook.rs` posts to an incoming webhook. A message
//! is rendered complete when it is planned, so that a dry run shows what would be posted and a restart posts the same.
//!
//! Deliberately not here: editing and deleting, joining channels, and when a rule fires, whom it is told to and whether alone or
//! with others: the core decides that.

mod place;
pub mod render;
mod wire;

use std::collections::BTreeSet;
use std::time::Duration;

use vitalsync_core::Value;
use vitalsync_core::alert::read::{self, Tells};
use vitalsync_core::alert::{ALERT, Alert, Alerting, Delivery, Form, Route};
use vitalsync_core::connector::{
    Auth, Change, Connector, Known, Manifest, Need, Operation, Quota, Registered, Reply, Step, Wanted,
};
use vitalsync_core::expr::Scopes;
use vitalsync_core::mapping::RecordSet;
use vitalsync_core::section::{Faults, Node, Place};

/// The fields of an operation that are sent.
const CHANNEL: &str = "channel";
const FALLBACK: &str = "fallback";
const THREAD: &str = "thread";
const TEXT: &str = "text";
const BLOCKS: &str = "blocks";
/// So many channels are looked for in one reading of the list.
const CHANNELS: usize = 100;
/// Batch key and slot kind of the questions whether alerts can go where the config sends them.
const ASKED: &str = "asked";
/// The place of such a question that is about owners.
const OWNER: &str = "owner";
/// The key of an incoming webhook's address.
const WEBHOOK: &str = "webhook";

/// About one message a second and channel, and several hundred a minute in all, of which Slack gives no number: here the least
/// that the words can mean. `conversations.list` is in tier 2 (20 a minute), the other reads in tier 3 (50).
static MANIFEST: Manifest = Manifest {
    name: "slack",
    title: "Slack",
    base_url: "https://slack.com",
    auth: &[Auth::Bearer, Auth::Address { key: WEBHOOK }],
    content_type: "application/json; charset=utf-8",
    quotas: &[
        Quota { pool: "post", limit: 1, window: Duration::from_secs(1), keyed: true },
        Quota { pool: "post", limit: 300, window: Duration::from_secs(60), keyed: false },
        Quota { pool: "list", limit: 20, window: Duration::from_secs(60), keyed: false },
        Quota { pool: "read", limit: 50, window: Duration::from_secs(60), keyed: false },
    ],
};

/// The line of the registry.
pub const SLACK: Registered = Registered { manifest: &MANIFEST, read: configured };

/// A configured Slack destination.
#[derive(Debug, Clone)]
pub struct Slack {
    alerting: Alerting,
    /// Posts to an incoming webhook; `None`: as a bot.
    hook: Option<Delivery>,
}

fn configured(node: &Node, scopes: &Scopes, faults: &mut Faults) -> Option<Box<dyn Connector>> {
    let table = node.table(faults, "a Slack destination")?;
    MANIFEST.leave_common(&table);
    let hooked = table.get(WEBHOOK).is_some();
    let delivery = match table.get("delivery") {
        Some(node) if !hooked => {
            let why = "`delivery` goes with `webhook`: what a bot posts can be read back, so it comes exactly once";
            faults.error(node.place, why);
            None
        }
        Some(node) => Delivery::read(node, faults),
        None => Some(Delivery::default()),
    };
    let places = (!hooked).then_some(place::PLACES);
    let tells = Tells { places, form: Form::Text(render::piece), together: render::TOGETHER };
    let alerting = read::alerting(&table, &tells, scopes, faults);
    table.finish(faults);
    Some(Box::new(Slack { alerting: alerting?, hook: hooked.then_some(delivery?) }))
}

impl Slack {
    fn post(&self, alert: &Alert) -> Operation {
        let message = render::message(alert);
        // What goes to one place goes in the order in which it was planned, and waits for no other place.
        let batch_key = if self.hook.is_some() { WEBHOOK.to_owned() } else { format!("{ALERT}/{}", alert.to) };
        let mut operation = alert.operation(&batch_key);
        let mut put = |name: &str, new: Value| {
            operation.fields.insert(name.to_owned(), Change { old: Value::Null, new });
        };
        put(TEXT, message.text.into());
        put(BLOCKS, message.blocks.into());
        if self.hook.is_some() {
            return operation;
        }
        put(CHANNEL, alert.to.as_str().into());
        let fallback = alert.fallback.as_ref().filter(|fallback| **fallback != alert.to);
        if let Some(fallback) = fallback {
            put(FALLBACK, fallback.as_str().into());
        }
        if let Some(began) = &alert.reply_to {
            let slot = format!("{ALERT}/{began}");
            put(THREAD, slot.as_str().into());
            operation.needs.push(Need { slot, field: Some(THREAD.into()) });
        }
        // Without the one there is the other.
        let field = |name: &str| fallback.is_some().then(|| name.to_owned());
        let found = [(CHANNEL, Some(&alert.to)), (FALLBACK, fallback)].into_iter();
        let needs = found.filter_map(|(name, place)| Some(Need { slot: place::slot(place?)?, field: field(name) }));
        operation.needs.extend(needs.filter(|need| !alert.to.is_empty() || need.field.as_deref() == Some(FALLBACK)));
        operation
    }
}

/// Whether a batch key is that of a bot's messages: `alert/PLACE`, in states of old `alert`.
fn is_post(batch_key: &str) -> bool {
    batch_key.split('/').next() == Some(ALERT)
}

/// The operation that finds out the id of a channel or a person.
fn find(slot: &str) -> Operation {
    let (kind, place) = slot.split_once('/').unwrap_or_default();
    let title = if kind == place::CHANNEL_KIND { format!("find the channel {place}") } else { "find somebody".into() };
    Operation::new(slot, kind, title)
}

impl Connector for Slack {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn record_sets(&self) -> &[RecordSet] {
        &[]
    }

    fn alerting(&self) -> Option<&Alerting> {
        Some(&self.alerting)
    }

    fn batch_size(&self, batch_key: &str) -> usize {
        if matches!(batch_key, place::CHANNEL_KIND | ASKED) { CHANNELS } else { 1 }
    }

    fn in_turn(&self, batch_key: &str) -> bool {
        batch_key == WEBHOOK || is_post(batch_key)
    }

    fn plan(&self, wanted: &Wanted, known: &Known) -> Vec<Operation> {
        let mut seen = BTreeSet::new();
        let posts = wanted.alerts.iter().filter(|alert| seen.insert(&alert.occasion)).map(|alert| self.post(alert));
        let posts: Vec<Operation> = posts.filter(|post| !known.records.contains_key(&post.slot)).collect();
        let needs = posts.iter().flat_map(|post| &post.needs).map(|need| need.slot.as_str());
        let unknown = |slot: &&str| {
            let is_absent = known.records.get(*slot).is_some_and(|record| record.absent);
            !slot.starts_with(ALERT) && known.remote_id(slot).is_none() && !is_absent
        };
        let finds: BTreeSet<&str> = needs.filter(unknown).collect();
        finds.into_iter().map(find).collect::<Vec<_>>().into_iter().chain(posts).collect()
    }

    fn inspect(&self) -> Vec<(Place, Operation)> {
        // An address can't be asked.
        let rules = self.alerting.rules.iter().filter(|_| self.hook.is_none());
        let asked = rules.flat_map(|rule| {
            let to = match &rule.to {
                Route::Place(place) => place,
                Route::Owner(_) => OWNER,
                Route::Rule(..) | Route::Only => "",
            };
            [Some((rule.to_at, to)), rule.fallback.as_deref().map(|place| (rule.fallback_at, place))]
        });
        let asked: BTreeSet<(Place, &str)> = asked.flatten().collect();
        asked.into_iter().enumerate().map(|(number, (at, place))| (at, wire::ask::question(number, place))).collect()
    }

    fn step(&self, operations: &[Operation], replies: &[Reply]) -> Step {
        wire::step(operations, replies, self.hook)
    }
}
