//! The laws of every connector, over the registry: a new one is held to them by being registered.
//!
//! Each brings `laws.yaml`, a section with everything in it, and `cases/`, whose JSON is what its vendor really says. From the
//! first come random configs, from the second arbitrary replies; nothing here knows a vendor.

mod replies;
mod sample;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use vitalsync::connectors;
use vitalsync_core::connector::{Auth, Known, Mode, Operation, Outcome, Reply, Request, Step, account_operation};
use vitalsync_core::{Connector, Value};

use self::replies::Said;
use self::sample::{CONFIGS, PERSONAL, SECRET, Sample};
use self::told::Told;

/// So many replies end every conversation, whatever they are: the shell sends no more.
const MOST: usize = 200;
/// No tool is waited for longer, whatever it says.
const DAY: Duration = Duration::from_secs(86_400);
/// Statuses that ask for patience.
const PATIENCE: [u16; 10] = [408, 423, 429, 477, 500, 502, 503, 504, 521, 530];

/// Everything that a tool's reader may see of a step.
fn whys(step: &Step) -> Vec<&str> {
    match step {
        Step::Send(_) => Vec::new(),
        Step::Done(receipts) => receipts.iter().filter_map(|receipt| receipt.outcome.why()).collect(),
        Step::Retry { why, .. }
        | Step::Split { why }
        | Step::Reject { why }
        | Step::Conflict { why }
        | Step::Missing { why, .. }
        | Step::NeedsLogin { why } => vec![why],
    }
}

/// What the shell does when all goes well: everything is confirmed, under an id of the vendor's.
fn confirm(operations: &[Operation], known: &mut Known) {
    for operation in operations {
        let id = operation.remote_id.clone().unwrap_or_else(|| (1000 + known.records.len()).to_string());
        known.confirm(operation, &Outcome::Done { remote_id: Some(id) });
    }
}

/// What the shell does before `step`: batches by their key, with the ids of what they need.
fn batches(connector: &dyn Connector, mut operations: Vec<Operation>, known: &Known) -> Vec<Vec<Operation>> {
    let mut by_key: BTreeMap<String, Vec<Operation>> = BTreeMap::new();
    for operation in &mut operations {
        for need in &operation.needs {
            if let Some(id) = known.remote_id(&need.slot) {
                operation.refs.insert(need.slot.clone(), id.to_owned());
            }
        }
    }
    for operation in operations {
        by_key.entry(operation.batch_key.clone()).or_default().push(operation);
    }
    let chunks = |(key, all): (String, Vec<Operation>)| {
        let size = connector.batch_size(&key);
        assert!(size >= 1, "{key}");
        all.chunks(size).map(<[Operation]>::to_vec).collect::<Vec<_>>()
    };
    by_key.into_iter().flat_map(chunks).collect()
}

/// Every batch that a config can come to: first and later plans, questions, inspection.
fn all_batches(sample: &Sample) -> Vec<Vec<Operation>> {
    let connector = sample.connector;
    let mut known = Known::default();
    let first = connector.plan(&sample.wanted(0), &known);
    confirm(&first, &mut known);
    let later = connector.plan(&sample.wanted(1), &known);
    let read_back = connector.read_back(&known);
    assert!(read_back.iter().all(|operation| operation.mode == Mode::Read), "a question changes nothing");
    let inspection = connector.inspect().into_iter().map(|(_, operation)| operation).collect();
    let groups = [vec![account_operation()], first, later, read_back, inspection];
    groups.into_iter().flat_map(|operations| batches(connector, operations, &known)).collect()
}

/// What no reader may see: a value of a record, or a secret.
fn leaks(text: &str) -> bool {
    let lower = text.to_lowercase();
    lower.contains(PERSONAL) || lower.contains(SECRET) || text.contains('@')
}

fn check_request(connector: &dyn Connector, request: &Request) -> Result<(), TestCaseError> {
    let manifest = connector.manifest();
    let (name, keyed) = (request.pool.name, request.pool.key.is_some());
    prop_assert!(manifest.quotas.iter().any(|quota| (quota.pool, quota.keyed) == (name, keyed)), "{:?}", request.pool);
    let bare = manifest.auth.iter().any(|auth| *auth != Auth::Bearer);
    prop_assert!(request.path.starts_with('/') || bare && request.path.is_empty(), "{}", request.path);
    prop_assert!(request.path.bytes().all(|byte| byte.is_ascii_graphic()), "{}", request.path);
    for (name, value) in &request.headers {
        prop_assert!(value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{name}: {value}");
    }
    if manifest.content_type.starts_with("application/json") {
        let body = request.body.as_deref().unwrap_or("null");
        prop_assert!(serde_json::from_str::<serde_json::Value>(body).is_ok(), "{body}");
    }
    prop_assert!(!format!("{request:?}").contains(SECRET), "a secret in a request");
    Ok(())
}

/// What every step must be, whatever came before.
fn check_step(connector: &dyn Connector, batch: &[Operation], step: &Step) -> Result<(), TestCaseError> {
    for why in whys(step) {
        prop_assert!(!leaks(why), "{why:?}");
        prop_assert!(!why.is_empty() && why.chars().count() <= 600 && !why.contains('\n'), "{why:?}");
    }
    match step {
        Step::Send(request) => check_request(connector, request)?,
        Step::Split { why } => prop_assert!(batch.len() > 1, "one operation is split: {why}"),
        Step::Missing { slots, .. } => {
            let own = |slot: &String| batch.iter().any(|operation| operation.slot == *slot);
            prop_assert!(!slots.is_empty() && !slots.iter().any(own), "what is missing is something else: {slots:?}");
        }
        Step::Done(receipts) => {
            let mut left: BTreeSet<&str> = batch.iter().map(|operation| operation.slot.as_str()).collect();
            for receipt in receipts {
                prop_assert!(left.remove(receipt.slot.as_str()), "a receipt too many: {receipt:?}");
                let asked = batch.iter().any(|one| one.slot == receipt.slot && one.mode == Mode::Read);
                let found = matches!(receipt.outcome, Outcome::Found { .. });
                prop_assert!(!found || asked, "what was not asked is answered: {receipt:?}");
            }
            prop_assert!(left.is_empty(), "nothing is said of {left:?}");
        }
        Step::Retry { after, .. } => prop_assert!(after.is_none_or(|after| after <= DAY), "too long: {after:?}"),
        _ => {}
    }
    Ok(())
}

/// What a reply must lead to.
fn check_reply(batch: &[Operation], sent: &Request, reply: &Reply, after: &Step) -> Result<(), TestCaseError> {
    let once = batch.iter().any(|operation| operation.mode == Mode::Once);
    let elsewhere = matches!(after, Step::Send(next) if next != sent);
    match reply {
        // What may have arrived is asked again; an alert is looked for, or given up.
        Reply::Lost { .. } => {
            prop_assert!(matches!(after, Step::Retry { .. }) || elsewhere || once, "lost: {after:?}");
        }
        Reply::Answer(answer) if PATIENCE.contains(&answer.status) => {
            let status = answer.status;
            prop_assert!(matches!(after, Step::Retry { .. }) || elsewhere || once, "{status}: {after:?}");
        }
        Reply::Answer(answer) if (400..500).contains(&answer.status) && answer.status != 425 => {
            let status = answer.status;
            prop_assert!(!matches!(after, Step::Retry { .. }), "{status} is sent again: {after:?}");
        }
        Reply::Answer(_) => {}
    }
    Ok(())
}

/// A conversation as the shell leads it, by these replies; it ends before they do, or they are all patience.
fn converse(connector: &dyn Connector, batch: &[Operation], said: &[Said]) -> Result<(), TestCaseError> {
    let (mut kept, mut refused): (Vec<Reply>, Vec<Request>) = (Vec::new(), Vec::new());
    for said in said {
        let step = connector.step(batch, &kept);
        prop_assert_eq!(&step, &connector.step(batch, &kept), "twice the same");
        check_step(connector, batch, &step)?;
        let Step::Send(request) = step else { return Ok(()) };
        prop_assert!(!refused.contains(&request), "sent again after it was refused: {request:?}");
        let reply = said.about(batch);
        kept.push(reply.clone());
        let after = connector.step(batch, &kept);
        check_step(connector, batch, &after)?;
        check_reply(batch, &request, &reply, &after)?;
        match (&after, &reply) {
            (Step::Retry { .. }, _) => drop(kept.pop()),
            (_, Reply::Answer(answer)) if (400..500).contains(&answer.status) && !PATIENCE.contains(&answer.status) => {
                refused.push(request);
            }
            _ => {}
        }
    }
    prop_assert!(kept.len() < MOST, "no end after {} replies", kept.len());
    Ok(())
}

fn cases(count: u32) -> ProptestConfig {
    ProptestConfig { cases: count, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn a_plan_is_the_same_twice_and_empty_after_its_work(seed in any::<u64>()) {
        for registered in connectors::ALL {
            let name = registered.manifest.name;
            let sample = Sample::of(name, seed);
            let connector = sample.connector;
            let mut told = Told::of(name);
            for turn in 0..3 {
                let wanted = sample.wanted(turn);
                let plan = connector.plan(&wanted, &told.known);
                prop_assert_eq!(&plan, &connector.plan(&wanted, &told.known));
                let slots: BTreeSet<String> = plan.iter().map(|operation| operation.slot.clone()).collect();
                prop_assert_eq!(slots.len(), plan.len(), "a slot is planned twice");
                for operation in &plan {
                    prop_assert!(operation.mode != Mode::Read, "a plan changes something: {}", operation.slot);
                    prop_assert!(!leaks(&operation.title), "{}", operation.title);
                    let there = |slot: &str| slots.contains(slot) || told.known.records.contains_key(slot);
                    prop_assert!(operation.needs.iter().all(|need| there(&need.slot)), "{:?}", operation.needs);
                }
                told.carry_out(connector, plan);
                // What could only be planned once its records had ids; nothing that was done is done again.
                let follows = connector.plan(&wanted, &told.known);
                let mut more = follows.iter().filter(|one| !told.refused.contains(&one.slot));
                let again = more.find(|one| slots.contains(&one.slot));
                prop_assert!(again.is_none(), "{name}, turn {turn}: {again:?}");
                told.carry_out(connector, follows);
                let mut left = connector.plan(&wanted, &told.known);
                left.retain(|one| !told.refused.contains(&one.slot));
                prop_assert_eq!(left, [], "{}, turn {}", name, turn);
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn every_conversation_ends_and_tells_patience_from_refusal(
        seed in any::<u64>(),
        which in any::<prop::sample::Index>(),
        said in proptest::collection::vec(replies::said(), MOST),
    ) {
        for registered in connectors::ALL {
            let sample = Sample::of(registered.manifest.name, seed);
            let batches = all_batches(&sample);
            let said: Vec<Said> = said.iter().map(|said| said.of(registered.manifest.name)).collect();
            for batch in [&batches[which.index(batches.len())], &batches[0], &batches[batches.len() - 1]] {
                converse(sample.connector, batch, &said)?;
                // Also where nobody leaves out what asked for patience.
                let all: Vec<Reply> = said.iter().map(|said| said.about(batch)).collect();
                let step = sample.connector.step(batch, &all);
                prop_assert!(!matches!(step, Step::Send(_)), "no end: {step:?}");
            }
        }
    }

}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn at_every_request_patience_is_told_from_refusal(seed in any::<u64>(), said in proptest::collection::vec(replies::kind(), 12)) {
        for registered in connectors::ALL {
            let sample = Sample::of(registered.manifest.name, seed);
            let said: Vec<Said> = said.iter().map(|said| said.of(registered.manifest.name)).collect();
            for batch in all_batches(&sample) {
                let mut kept = Vec::new();
                for said in &said {
                    let Step::Send(request) = sample.connector.step(&batch, &kept) else { break };
                    for (status, body) in PATIENCE.iter().flat_map(|status| [(*status, "<html>"), (*status, "{}")]) {
                        let reply = replies::answer(status, body);
                        let after = sample.connector.step(&batch, &[&kept[..], std::slice::from_ref(&reply)].concat());
                        check_reply(&batch, &request, &reply, &after)?;
                    }
                    kept.push(said.about(&batch));
                }
            }
        }
    }
}

/// Whatever text of an answer quotes the record, no reason repeats it.
#[test]
fn no_reason_quotes_a_record() {
    for registered in connectors::ALL {
        let sample = Sample::whole(registered.manifest.name);
        let quoting: Vec<(u16, Said)> = replies::quoting(registered.manifest.name).collect();
        // One operation of each kind, known and not.
        let mut kinds = BTreeSet::new();
        for batch in all_batches(&sample) {
            let batch = &batch[..1];
            if !kinds.insert((batch[0].batch_key.clone(), batch[0].mode == Mode::Read, batch[0].remote_id.is_some())) {
                continue;
            }
            for (status, said) in &quoting {
                let step = sample.connector.step(batch, &[said.about(batch)]);
                for why in whys(&step) {
                    assert!(!leaks(why), "{}: {status} {said:?}: {why}", registered.manifest.name);
                }
            }
        }
    }
}

/// Every request of many conversations, for `tests/specs`, which holds them against the vendors' published specifications.
#[test]
fn requests_are_written_down() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("requests");
    std::fs::create_dir_all(&folder).unwrap();
    for registered in connectors::ALL {
        let name = registered.manifest.name;
        let mut requests = BTreeSet::new();
        for seed in 0..CONFIGS {
            let sample = Sample::of(name, seed);
            for batch in all_batches(&sample) {
                // Each answer of the vendor's once as the first, then as they come.
                for (at, _) in replies::real(name).iter().enumerate() {
                    let mut kept: Vec<Reply> = Vec::new();
                    while let Step::Send(request) = sample.connector.step(&batch, &kept) {
                        let body = request.body.as_deref().unwrap_or("null");
                        requests.insert(format!("{} {} {body}", request.method.as_str(), request.path));
                        kept.push(replies::nth(name, at + kept.len()));
                        if kept.len() > 12 {
                            break;
                        }
                    }
                }
            }
        }
        assert!(requests.len() > 10, "{name}: {} requests", requests.len());
        let text: String = requests.iter().map(|request| format!("{request}\n")).collect();
        std::fs::write(folder.join(format!("{name}.txt")), text).unwrap();
    }
}

/// A registered connector without a sample would be held to nothing.
#[test]
fn every_connector_has_a_sample_and_says_something() {
    for registered in connectors::ALL {
        let sample = Sample::whole(registered.manifest.name);
        let batches = all_batches(&sample);
        assert!(batches.len() > 2, "{}", registered.manifest.name);
        let first = batches.iter().filter(|batch| matches!(sample.connector.step(batch, &[]), Step::Send(_)));
        assert!(first.count() >= 2, "{} sends nothing", registered.manifest.name);
        assert!(replies::real(registered.manifest.name).len() > 10, "{}: too few cases", registered.manifest.name);
    }
}

/// The random configs differ, and most of them are not the whole section.
#[test]
fn samples_differ() {
    for registered in connectors::ALL {
        let texts: BTreeSet<&str> = (0..CONFIGS).map(|seed| Sample::of(registered.manifest.name, seed).text).collect();
        assert!(texts.len() > 6, "{}: {} configs", registered.manifest.name, texts.len());
        let values = |seed| Sample::of(registered.manifest.name, seed).wanted(0);
        assert_ne!(format!("{:?}", values(1)), format!("{:?}", values(2)), "{}", registered.manifest.name);
        let null = (0..20).any(|seed| values(seed).records.iter().any(|one| one.fields.values().any(Value::is_null)));
        assert!(null || Sample::whole(registered.manifest.name).connector.record_sets().is_empty());
    }
}
