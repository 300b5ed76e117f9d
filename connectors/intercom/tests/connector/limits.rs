//! Limits: what Intercom says of its calls is meant of a window of ten seconds, and a workspace's attributes are counted all together.

use std::time::Duration;

use serde_json::json;
use vitalsync_core::Timestamp;
use vitalsync_core::connector::{Answer, Operation, Outcome, Pool, Step};

use crate::support;

#[test]
fn the_header_is_of_a_window_unless_no_window_can_be_so_large() {
    let connector = support::read(&support::config()).unwrap();
    let limit = |said: &str| {
        let headers = vec![("x-ratelimit-limit".to_owned(), said.to_owned())];
        let answer = Answer { status: 200, headers, body: "{}".into(), at: Timestamp(0) };
        connector.limit(&Pool::of("api"), &answer).map(|limit| (limit.requests, limit.window))
    };
    let window = |requests| Some((requests, Duration::from_secs(10)));
    // A sixth of what a minute allows, which Intercom rounds up: 500, 1,000, an app's 10,000, a workspace's 25,000.
    for said in ["84", "167", "1667", "4167"] {
        assert_eq!(limit(said), window(said.parse().unwrap()));
    }
    assert_eq!(limit("10000"), window(1_666));
    assert_eq!((limit("0"), limit("-1"), limit("many")), (None, None, None));
}

#[test]
fn what_does_not_fit_into_the_workspace_is_foreseen_over_all_attributes_together() {
    let mapped = |from: usize| -> serde_json::Value {
        let names = (from..from + 130).map(|n| (format!("a{n}"), "1".into()));
        serde_json::Map::from_iter(names).into()
    };
    let config = json!({ "contacts": { "attributes": mapped(0) }, "companies": { "attributes": mapped(130) } });
    let connector = support::read(&config).unwrap();
    let questions: Vec<Operation> = connector.inspect().into_iter().map(|(_, question)| question).collect();
    let listed = r#"{"data":[{"id":1,"model":"contact","full_name":"custom_attributes.b","data_type":"float"}]}"#;
    let mut refused = Vec::new();
    for batch in support::batches(&*connector, questions) {
        let Step::Done(receipts) = connector.step(&batch, &[vitalsync_cases::answer(200, &[], listed)]) else {
            panic!()
        };
        refused.extend(receipts.into_iter().filter(|one| matches!(one.outcome, Outcome::Rejected { .. })));
    }
    assert_eq!(refused.len(), 1 + 130 + 130 - 250, "{refused:?}");
    assert!(refused[0].outcome.why().unwrap().contains("would have 250"), "{:?}", refused[0]);
}
