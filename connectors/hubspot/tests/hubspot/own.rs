//! What is HubSpot's own of plans and conversations: what may be created, how many calls it takes, the limits of search, and what
//! its answers mean. The laws of every connector are in the program's `tests/laws`.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use vitalsync_core::connector::{ACCOUNT, Known, Operation, Outcome, Reply, Step, account_operation};
use vitalsync_core::{Connector, Timestamp};

use crate::common::{batch, both, by_slot, connector, wanted, with_refs, with_schema};
use vitalsync_cases::answer;

fn sample() -> Box<dyn Connector> {
    connector(&json!({
        "match": [{"record_id": "traits.hubspot_id"}, {"property": "vitalsync_account_id"}, {"domain": "traits.domain"}],
        "missing": "lifecycle.customer",
        "properties": {"score": "health.score", "band": "health.band", "contact": "traits.contact"},
    }))
}

/// Companies and contacts.
fn whole() -> Box<dyn Connector> {
    both(
        &json!({
            "match": [{"record_id": "traits.hubspot_id"}, {"property": "vitalsync_account_id"}, {"domain": "traits.domain"}],
            "missing": "lifecycle.customer",
            "properties": {"score": "health.score", "band": {"value": "health.band", "type": "enumeration"}, "contact": "traits.contact"},
        }),
        &json!({"missing": "account.lifecycle.customer", "properties": {"user_score": "account.health.score"}}),
    )
}

/// Accounts, each with a user.
fn accounts(count: usize) -> Vec<Json> {
    (0..count)
        .map(|i| {
            let mut account = json!({"account": format!("Jane Doe {i}"), "health.score": i % 100, "lifecycle.customer": i % 2 == 0,
                "traits.domain": format!("d{i}.example"), "traits.contact": format!("jane.doe{i}@acme.example"),
                "user.id": format!("jane-doe-{i}"), "account.id": format!("Jane Doe {i}"), "account.health.score": i % 100,
                "account.lifecycle.customer": i % 3 == 0, "user.traits.email": format!("Jane.Doe{i}@acme.example")});
            if i % 5 == 0 {
                account["traits.hubspot_id"] = json!(1000 + i);
            }
            account
        })
        .collect()
}

/// Every batch of a first plan with ids behind what it needs, every question, and whose account it is.
fn batches(connector: &dyn Connector, size: usize) -> Vec<Vec<Operation>> {
    let mut operations = connector.plan(&wanted(connector, &accounts(size)), &Known::default());
    let mut known = Known::default();
    for (operation, id) in operations.iter_mut().zip(2000..) {
        let ids = operation.needs.iter().zip(1..).map(|(need, id)| (need.slot.clone(), id.to_string()));
        operation.refs = ids.collect();
        let remote_id = Some(if operation.slot.starts_with("association/") { "1/2".into() } else { id.to_string() });
        known.confirm(operation, &Outcome::Done { remote_id });
    }
    operations.extend(connector.read_back(&known));
    operations.extend(
        connector
            .inspect()
            .into_iter()
            .map(|(_, question)| Operation { batch_key: format!("{}?", question.batch_key), ..question }),
    );
    let keys: BTreeSet<&str> = operations.iter().map(|operation| operation.batch_key.as_str()).collect();
    let mut batches = vec![vec![account_operation()]];
    for key in keys {
        let all = batch(&operations, key, usize::MAX);
        let key = key.trim_end_matches('?');
        let all: Vec<Operation> = all.into_iter().map(|ask| Operation { batch_key: key.to_owned(), ..ask }).collect();
        batches.extend(all.chunks(connector.batch_size(key)).map(<[_]>::to_vec));
    }
    assert_eq!(connector.batch_size(ACCOUNT), 1);
    batches
}

/// An answer of a HubSpot where everything goes well and nothing is there yet.
fn kind_answer(method: &str, path: &str, body: Option<&str>) -> Reply {
    let body: Json = body.map(|body| serde_json::from_str(body).unwrap()).unwrap_or_default();
    let inputs = body["inputs"].as_array().cloned().unwrap_or_default();
    let text = match path {
        path if path.ends_with("/details") => json!({"portalId": 7}),
        path if method == "GET" => json!({"results": [], "path": path}),
        path if path.ends_with("/batch/associate/default") => json!({"results": inputs}),
        path if path.ends_with("/search") || path.ends_with("/batch/read") => json!({"results": [], "total": 0}),
        path if path.ends_with("/groups") => json!({"name": body["name"]}),
        path if path.ends_with("/batch/create") => json!({"results": inputs}),
        path if path.ends_with("/batch/upsert") => {
            let result = |(at, input): (usize, &Json)| json!({"id": (5000 + at).to_string(), "properties": input["properties"], "new": true});
            json!({"results": inputs.iter().enumerate().map(result).collect::<Vec<_>>()})
        }
        _ => json!({"results": inputs}),
    };
    answer(200, &[], text.to_string())
}

/// All steps of a conversation that goes well.
fn converse(connector: &dyn Connector, operations: &[Operation]) -> (Vec<Reply>, Step) {
    let mut replies = Vec::new();
    loop {
        match connector.step(operations, &replies) {
            Step::Send(request) => {
                replies.push(kind_answer(request.method.as_str(), &request.path, request.body.as_deref()));
            }
            end => return (replies, end),
        }
    }
}

#[test]
fn only_what_two_may_meet_goes_one_batch_after_the_other() {
    let by = |ways: Json| connector(&json!({"match": ways, "properties": {"score": "health.score"}}));
    let own = by(json!([{"record_id": "traits.hubspot_id"}, {"property": "vitalsync_account_id"}]));
    let domain = by(json!([{"property": "vitalsync_account_id"}, {"domain": "traits.domain"}]));
    let in_turn = |connector: &dyn Connector| ["company:match", "company:update"].map(|key| connector.in_turn(key));
    assert_eq!((in_turn(&*own), in_turn(&*domain)), ([false, false], [true, false]));
}

#[test]
fn a_first_plan_leaves_ids_absences_and_associations() {
    let connector = whole();
    let mut known = Known::default();
    let operations = connector.plan(&wanted(&*connector, &accounts(250)), &known);
    let keys: BTreeSet<&String> = operations.iter().map(|operation| &operation.batch_key).collect();
    // What needs others comes after them.
    let (last, first): (Vec<&String>, Vec<&String>) = keys.into_iter().partition(|key| key.starts_with("association"));
    for key in first.into_iter().chain(last) {
        for chunk in batch(&operations, key, usize::MAX).chunks(connector.batch_size(key)) {
            let chunk = with_refs(chunk.to_vec(), &known);
            let (_, end) = converse(&*connector, &chunk);
            let Step::Done(receipts) = end else { panic!("{end:?}") };
            let outcomes = by_slot(&receipts);
            for operation in &chunk {
                known.confirm(operation, outcomes[operation.slot.as_str()]);
            }
        }
    }
    // Companies that were created and updated are known by their ids.
    assert!(known.remote_id("company/Jane Doe 2").is_some());
    assert_eq!(known.remote_id("company/Jane Doe 5"), Some("1005"));
    assert!(known.records["company/Jane Doe 1"].absent);
    assert_eq!(known.field("association/jane-doe-6", "company"), "Jane Doe 6".into());
    assert_eq!(known.remote_id("association/jane-doe-1"), None);
}

#[test]
fn nothing_but_what_changed_is_planned() {
    let connector = sample();
    let mut known = with_schema(&*connector);
    let mut all = accounts(50);
    for operation in connector.plan(&wanted(&*connector, &all), &known.clone()) {
        let remote_id =
            operation.remote_id.clone().or(Some(operation.subject.len().to_string() + &operation.subject[9..]));
        known.confirm(&operation, &Outcome::Done { remote_id });
    }
    assert!(connector.plan(&wanted(&*connector, &all), &known).is_empty());
    all[3]["health.score"] = json!(99);
    all[4]["traits.contact"] = Json::Null;
    let operations = connector.plan(&wanted(&*connector, &all), &known);
    let changed: Vec<Vec<&str>> =
        operations.iter().map(|operation| operation.fields.keys().map(String::as_str).collect()).collect();
    assert_eq!(changed, [["score"], ["contact"]]);
    let (_, end) = converse(&*connector, &operations);
    assert!(matches!(end, Step::Done(_)));
}

#[test]
fn a_thousand_changed_companies_are_ten_calls() {
    let connector = connector(&json!({
        "match": [{"record_id": "traits.hubspot_id"}],
        "properties": {"score": "health.score"},
    }));
    let all: Vec<Json> = (0..1000)
        .map(|i| json!({"account": format!("a{i}"), "health.score": i % 90, "traits.hubspot_id": 1 + i}))
        .collect();
    let operations = connector.plan(&wanted(&*connector, &all), &with_schema(&*connector));
    assert_eq!(operations.len(), 1000);
    let key = &operations[0].batch_key;
    let all = batch(&operations, key, usize::MAX);
    assert_eq!(all.len(), 1000, "one batch key for all");
    let mut sends = 0;
    for chunk in all.chunks(connector.batch_size(key)) {
        let (replies, end) = converse(&*connector, chunk);
        sends += replies.len();
        let Step::Done(receipts) = end else { panic!("{end:?}") };
        assert!(receipts.iter().all(|receipt| matches!(receipt.outcome, Outcome::Done { .. })));
    }
    assert_eq!(sends, 10);
}

#[test]
fn a_hundred_unknown_companies_fit_the_limits_of_search() {
    let connector = sample();
    let long = "x".repeat(60);
    let all: Vec<Json> = (0..100)
        .map(|i| json!({"account": format!("a{i}"), "health.score": 1, "traits.domain": format!("{long}.{long}.{long}.d{i}.example")}))
        .collect();
    let operations = connector.plan(&wanted(&*connector, &all), &with_schema(&*connector));
    let mut replies = Vec::new();
    let mut asked = BTreeSet::new();
    while let Step::Send(request) = connector.step(&operations, &replies) {
        if request.path.ends_with("/search") {
            assert_eq!(request.pool.name, "search");
            let body = request.body.as_deref().unwrap();
            if body.contains("HAS_PROPERTY") {
                replies.push(answer(400, &[], "{}"));
                continue;
            }
            assert!(body.chars().count() <= 2_900, "{}", body.len());
            let body: Json = serde_json::from_str(body).unwrap();
            let groups = body["filterGroups"].as_array().unwrap();
            assert!(groups.len() <= 5);
            for filter in groups.iter().map(|group| &group["filters"][0]) {
                match filter["operator"].as_str() {
                    Some("IN") => {
                        let values = filter["values"].as_array().unwrap();
                        assert!(values.len() <= 100);
                        asked.extend(values.iter().map(|value| format!("first {value}")));
                    }
                    _ => drop(asked.insert(format!("further {}", filter["value"]))),
                }
            }
        } else {
            assert_eq!(request.pool.name, "api");
        }
        replies.push(kind_answer(request.method.as_str(), &request.path, request.body.as_deref()));
    }
    assert_eq!(asked.len(), 200, "every domain is asked for in both ways");
    assert!(replies.len() <= 40, "{}", replies.len());
}

/// At every request of every kind: what is no JSON object confirms nothing, what is lost is asked again, who is denied must log in.
#[test]
fn what_can_t_be_read_confirms_nothing_and_who_is_denied_must_log_in() {
    let connector = whole();
    for operations in batches(&*connector, 12).iter().chain(batches(&*connector, 2).iter()) {
        let (replies, _) = converse(&*connector, operations);
        for at in 0..replies.len() {
            let then = |reply: Reply| connector.step(operations, &[&replies[..at], &[reply]].concat());
            let lost = then(Reply::Lost { at: Timestamp(0) });
            assert!(matches!(lost, Step::Retry { after: None, .. }), "{lost:?}");
            for body in ["", "<html>ok</html>", "[]", "null", "7"] {
                let step = then(answer(200, &[], body));
                assert!(matches!(step, Step::Retry { .. }), "200 {body}: {step:?}");
            }
            assert!([401, 403].iter().all(|status| matches!(then(answer(*status, &[], "")), Step::NeedsLogin { .. })));
        }
    }
}

/// Nothing smaller would help: each half would begin the search anew.
#[test]
fn a_search_that_leads_in_a_circle_is_asked_again_and_not_split() {
    let connector = sample();
    let operations = connector.plan(&wanted(&*connector, &accounts(3)[1..3]), &with_schema(&*connector));
    for (count, new) in [(1, false), (2, false), (1, true), (2, true)] {
        let operations = &operations[..count];
        let mut replies = vec![answer(200, &[], json!({"results": []}).to_string())];
        while let Step::Send(_) = connector.step(operations, &replies) {
            assert!(replies.len() < 5);
            let results = if new { json!([{"id": replies.len()}]) } else { json!([]) };
            let page = json!({"results": results, "paging": {"next": {"after": "1"}}});
            replies.push(answer(200, &[], page.to_string()));
        }
        let end = connector.step(operations, &replies);
        assert!(matches!(end, Step::Retry { after: None, .. }), "{end:?}");
    }
}

#[test]
fn without_our_own_property_nothing_is_found_or_created_by_it() {
    let connector = sample();
    let operations = connector.plan(&wanted(&*connector, &accounts(3)[1..3]), &with_schema(&*connector));
    for mut operation in operations {
        // As the shell does where HubSpot has no property that fits.
        operation.fields.remove("vitalsync_account_id");
        let operations = [operation];
        let Step::Send(request) = connector.step(&operations, &[]) else { panic!("nothing is asked") };
        assert!(request.path.ends_with("/search"), "{}", request.path);
        let (replies, end) = converse(&*connector, &operations);
        assert_eq!(replies.len(), 2, "by domain, by further domains");
        let Step::Done(receipts) = end else { panic!("{end:?}") };
        match &receipts[0].outcome {
            Outcome::Absent { .. } => assert!(operations[0].create.is_none()),
            Outcome::Rejected { .. } => assert!(operations[0].create.is_some()),
            other => panic!("without a property of our own: {other:?}"),
        }
    }
}
