//! What is Slack's own: what its rules mean, where a message goes, and that it goes at most once. The laws of every connector are in the program's
//! `tests/laws`.

use std::sync::LazyLock;

use crate::support;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use vitalsync_core::Connector;
use vitalsync_core::alert::{Alert, Route, Side, Trigger};
use vitalsync_core::connector::{
    Known, Method, Mode, Operation, Outcome, Reply, Request, Step, Wanted, account_operation,
};
use vitalsync_core::model::Band;

fn connector() -> Box<dyn Connector> {
    support::read(&support::config()).unwrap()
}

fn wanted(alerts: Vec<Alert>) -> Wanted {
    Wanted { alerts, ..Wanted::default() }
}

#[test]
fn an_occasion_is_posted_once_and_after_its_channel_was_found() {
    let connector = connector();
    let wanted = wanted(vec![support::alert(), support::alert(), Alert { occasion: "2".into(), ..support::alert() }]);
    let plan = connector.plan(&wanted, &Known::default());
    let shown: Vec<_> = plan.iter().map(|one| (one.slot.as_str(), one.title.as_str(), one.mode)).collect();
    let (title, find) = ("post alert score_drop", "find the channel #cs-alerts");
    let (first, second) = (("alert/0a1b", title, Mode::Once), ("alert/2", title, Mode::Once));
    assert_eq!(shown, [("channel/#cs-alerts", find, Mode::State), first, second]);
    assert_eq!(plan[1].fields.keys().collect::<Vec<_>>(), ["about", "blocks", "channel", "text"]);
    assert_eq!(plan[1].needs[0].slot, "channel/#cs-alerts");
}

#[test]
fn a_post_carries_the_message_and_its_occasion() {
    let connector = connector();
    let mut plan = connector.plan(&wanted(vec![support::alert()]), &Known::default()).split_off(1);
    let Step::Send(Request { method, path, headers, body, pool }) = connector.step(&plan, &[]) else {
        panic!("a post")
    };
    assert_eq!((method, path.as_str()), (Method::Post, "/api/chat.postMessage"));
    assert!(headers.iter().all(|(name, _)| *name != "Content-Type"));
    assert_eq!((pool.name, pool.key.as_deref()), ("post", Some("#cs-alerts")));
    let body: Json = serde_json::from_str(&body.unwrap()).unwrap();
    assert_eq!(body["metadata"], json!({ "event_type": "vitalsync_alert", "event_payload": { "occasion": "0a1b" } }));
    assert_eq!((&body["channel"], &body["unfurl_links"]), (&json!("#cs-alerts"), &json!(false)));
    assert!(body["blocks"].is_array() && body["text"].is_string());
    // Once the channel is found, by its id.
    plan[0].refs.insert("channel/#cs-alerts".into(), "C7".into());
    let Step::Send(Request { body, pool, .. }) = connector.step(&plan, &[]) else { panic!("a post") };
    let body: Json = serde_json::from_str(&body.unwrap()).unwrap();
    assert_eq!((&body["channel"], pool.key.as_deref()), (&json!("C7"), Some("C7")));
}

#[test]
fn an_owner_is_found_and_a_fallback_takes_the_place_of_nobody() {
    let connector = connector();
    let known = |alert: &Alert, known: &Known| connector.plan(&wanted(vec![alert.clone()]), known);
    let owned = Alert { to: "jo@us.example".into(), fallback: Some("#cs-alerts".into()), ..support::alert() };
    let plan = known(&owned, &Known::default());
    let slots: Vec<&str> = plan.iter().map(|one| one.slot.as_str()).collect();
    assert_eq!(slots, ["channel/#cs-alerts", "user/jo@us.example", "alert/0a1b"]);
    assert!(!plan.iter().any(|one| one.title.contains('@')), "no title says who");
    let mut told = Known::default();
    told.confirm(&plan[0], &Outcome::Done { remote_id: Some("C1".into()) });
    told.confirm(&plan[1], &Outcome::Absent { why: "nobody".into() });
    assert_eq!(known(&owned, &told).len(), 1, "nobody is looked up twice");
    let sent = |refs: &[(&str, &str)], alert: &Alert| {
        let mut post = known(alert, &told).pop().unwrap();
        post.refs = refs.iter().map(|(slot, id)| ((*slot).to_owned(), (*id).to_owned())).collect();
        match connector.step(&[post], &[]) {
            Step::Send(request) => serde_json::from_str(&request.body.unwrap()).unwrap(),
            step => json!({ "step": vitalsync_cases::shown(&step) }),
        }
    };
    let owner = sent(&[("user/jo@us.example", "D1"), ("channel/#cs-alerts", "C1")], &owned);
    assert_eq!(owner["channel"], "D1");
    let fallback = sent(&[("channel/#cs-alerts", "C1")], &owned);
    assert_eq!(fallback["channel"], "C1");
    assert!(fallback["blocks"].to_string().contains("Meant for jo@us.example, where it could not be posted"));
    let nobody = sent(&[], &Alert { fallback: None, ..owned.clone() });
    assert!(nobody["step"].as_str().unwrap().contains("nobody in Slack has the e-mail"), "{nobody}");
    let nowhere = sent(&[], &Alert { to: String::new(), fallback: None, ..owned.clone() });
    assert!(nowhere["step"].as_str().unwrap().contains("no owner"), "{nowhere}");
    let reply = Alert { reply_to: Some("began".into()), ..support::alert() };
    let answer = sent(&[("alert/began", "C99/1.2"), ("channel/#cs-alerts", "C1")], &reply);
    assert_eq!((&answer["channel"], &answer["thread_ts"]), (&json!("C99"), &json!("1.2")));
}

#[test]
fn a_webhook_gets_the_message_and_nothing_else() {
    let config = json!({ "webhook": "https://hooks.example/x", "alerts": { "r": { "drop": 15 } } });
    let connector = support::read(&config).unwrap();
    assert!(matches!(connector.step(&[account_operation()], &[]), Step::Done(_)));
    let plan = connector.plan(&wanted(vec![Alert { to: String::new(), ..support::alert() }]), &Known::default());
    assert_eq!((plan.len(), plan[0].needs.len()), (1, 0));
    let Step::Send(Request { path, body, .. }) = connector.step(&plan, &[]) else { panic!("a post") };
    let body: Json = serde_json::from_str(&body.unwrap()).unwrap();
    assert_eq!(
        (path.as_str(), body.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")),
        ("", "blocks text".into())
    );
    let ends =
        |config: &Json, replies: &[Reply]| vitalsync_cases::shown(&support::read(config).unwrap().step(&plan, replies));
    let said = |status: u16, body: &str| vec![vitalsync_cases::answer(status, &[], body)];
    let lost = vec![Reply::Lost { at: vitalsync_cases::NOW }];
    assert_eq!(ends(&config, &said(200, "ok")), "= done; alert/0a1b is –");
    assert!(ends(&config, &said(404, "no_service")).starts_with("= needs login"));
    assert!(ends(&config, &said(410, "channel_is_archived")).starts_with("= reject: the webhook can't post"));
    assert!(ends(&config, &said(400, "invalid_payload")).starts_with("= reject: Slack refused the message"));
    assert!(ends(&config, &said(429, "rate_limited")).starts_with("= retry after 1s"));
    for doubt in [lost.clone(), said(500, ""), said(200, "<html>")] {
        assert!(ends(&config, &doubt).starts_with("= done; alert/0a1b rejected: it is not known"), "{doubt:?}");
        let again = json!({ "webhook": "x", "delivery": "at_least_once", "alerts": { "r": { "drop": 15 } } });
        let again = ends(&again, &doubt);
        assert!(again.starts_with("= retry") || again.starts_with("> POST"), "{again}");
    }
    assert!(
        support::read(
            &json!({ "token": "t", "delivery": "at_least_once", "alerts": { "r": { "drop": 15, "to": "#x" } } })
        )
        .unwrap_err()
        .contains("goes with `webhook`")
    );
}

#[test]
fn every_kind_of_rule_is_read() {
    let trigger = |rule: Json| {
        let mut rule = rule;
        rule["to"] = "#x".into();
        support::read(&json!({ "alerts": { "r": rule } })).unwrap().alert_rules()[0].trigger.clone()
    };
    let milestone = Trigger::Milestone { event: "Report Shared".into(), count: 100 };
    for (written, read) in [
        (json!({ "rise": 15, "within": "14d" }), Trigger::Rise { points: 15.0, within_days: 14 }),
        (json!({ "band": "at_risk" }), Trigger::Band(Band::AtRisk, Side::Entered)),
        (json!({ "left_band": "healthy" }), Trigger::Band(Band::Healthy, Side::Left)),
        (json!({ "segment": "vip" }), Trigger::Segment("vip".into(), Side::Entered)),
        (json!({ "left": "segments.vip" }), Trigger::Segment("vip".into(), Side::Left)),
        (json!({ "step": "invited_team" }), Trigger::Step("invited_team".into())),
        (json!({ "activated": true }), Trigger::Activated),
        (json!({ "first_value": true }), Trigger::FirstValue),
        (json!({ "quiet": "14d" }), Trigger::Quiet(14)),
        (json!({ "back": true }), Trigger::Back(14)),
        (json!({ "back": "30d" }), Trigger::Back(30)),
        (json!({ "new_account": true }), Trigger::NewAccount),
        (json!({ "data_stopped": true }), Trigger::DataStopped),
        (json!({ "milestone": { "event": "Report Shared", "count": 100 } }), milestone),
    ] {
        assert_eq!(trigger(written.clone()), read, "{written}");
    }
}

#[test]
fn faults_are_all_found_and_say_what_to_do() {
    let faults = |alerts: Json| support::read(&json!({ "alerts": alerts })).map(|_| ()).unwrap_err();
    assert!(support::read(&json!({})).unwrap_err().contains("`alerts` is missing"));
    assert!(faults(json!({})).contains("at least one rule"));
    let several = faults(json!({
        "a": { "drop": 0, "to": null },
        "b": { "drop": 100, "to": "#CS Alerts", "within": "12h", "for": "user.id == 'x'", "cooldown": "soon" },
        "c": { "drops": 15, "to": "x" },
        " ": { "drop": 15, "to": "x" },
        "d": 15,
        "e": { "to": "x" },
        "f": { "rise": 5, "quiet": "14d", "to": "x" },
        "g": { "band": "at risk", "within": "7d", "to": "x" },
        "h": { "segment": "vips", "to": "x" },
        "i": { "step": "invite_team", "to": "x" },
        "j": { "activated": false, "to": "x" },
        "k": { "milestone": { "count": 0 }, "to": "x" },
        "l": { "quiet": "400d", "to": "x" },
    }));
    for part in [
        "points from 1 to 99",
        "as in \"#cs-alerts\"",
        "at least one whole day",
        "unknown name `user.id`",
        "cooldown as one number and one unit",
        "unknown key `drops`",
        "did you mean `drop`?",
        "needs a name",
        "expected an alert rule",
        "needs what fires it: one of drop, rise, band,",
        "fired by one thing, found rise, quiet",
        "did you mean `at_risk`?",
        "`within` goes with drop and rise, not with band",
        "did you mean `segments.vip`?",
        "did you mean `invited_team`?",
        "`activated: false` never fires",
        "`event` is missing",
        "a count from 1 up",
        "quiet looks back 365 days at most",
    ] {
        assert!(several.contains(part), "{part} is not in:\n{several}");
    }
    for (written, read) in [
        ("cs-alerts", "#cs-alerts"),
        ("Jo@Us.example", "jo@us.example"),
        ("U012AB", "U012AB"),
        ("#größe_1", "#größe_1"),
        ("C0123456789", "C0123456789"),
        ("G01", "G01"),
    ] {
        let connector = support::read(&json!({ "alerts": { "r": { "drop": 1, "to": written } } })).unwrap();
        let rule = &connector.alert_rules()[0];
        let drop = Trigger::Drop { points: 1.0, within_days: 7 };
        assert!(matches!(&rule.to, Route::Place(place) if place == read), "{:?}", rule.to);
        assert_eq!((&rule.trigger, rule.cooldown_ms), (&drop, 259_200_000));
    }
    assert_eq!(connector().alert_rules()[0].only.as_ref().unwrap().source(), "traits.plan == \"team\"");
}

type Batches = (Box<dyn Connector>, Vec<Vec<Operation>>);

static ALL: LazyLock<Batches> = LazyLock::new(|| {
    let connector = connector();
    let named = support::alert();
    let by_id = Alert { to: "C0123456789".into(), ..support::alert() };
    let owned = Alert { to: "jo@us.example".into(), fallback: Some("#cs-alerts".into()), ..support::alert() };
    let mut batches = vec![vec![account_operation()]];
    for alert in [named, by_id, owned] {
        batches.extend(connector.plan(&wanted(vec![alert]), &Known::default()).into_iter().map(|one| vec![one]));
    }
    (connector, batches)
});

const BODIES: [&str; 17] = [
    "",
    "{}",
    "ok",
    r#"{"ok":true}"#,
    r#"{"ok":true,"channel":"C1","ts":"1.2"}"#,
    r#"{"ok":true,"team_id":"T1"}"#,
    r#"{"ok":true,"channels":[{"id":"C2","name":"cs-alerts"}],"messages":[]}"#,
    r#"{"ok":true,"channels":[],"messages":[],"response_metadata":{"next_cursor":"a=b&c"}}"#,
    r#"{"ok":true,"channels":[7,{"name":"cs-alerts"}],"messages":[{"ts":"1786622399.1"},8],"response_metadata":{"next_cursor":"n"}}"#,
    r#"{"ok":true,"messages":[{"ts":"1786622399.1","metadata":{"event_type":"vitalsync_alert","event_payload":{"occasion":"0a1b"}}}]}"#,
    r#"{"ok":false,"error":"internal_error"}"#,
    r#"{"ok":false,"error":"missing_scope","needed":"jo@acme.example Acme"}"#,
    r#"{"ok":false,"error":"channel_not_found"}"#,
    r#"{"ok":false,"error":"token_revoked"}"#,
    r#"{"ok":false,"error":"rate_limited","retry_after":-1e308}"#,
    r#"{"ok":false,"error":"jo@acme.example Söhne"}"#,
    r#"{"ok":false,"error":{}}"#,
];

fn reply() -> impl Strategy<Value = Reply> {
    let status = prop::sample::select(
        &[200, 200, 200, 200, 201, 202, 204, 302, 400, 401, 403, 404, 408, 409, 410, 429, 500, 503][..],
    );
    let body = prop_oneof![
        6 => prop::sample::select(&BODIES[..]).prop_map(str::to_owned),
        1 => proptest::collection::vec(any::<u8>(), 0..60).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        1 => ("[a-z_]{1,9}", "\\PC{0,20}").prop_map(|(key, text)| json!({ key: text, "ok": false, "error": text }).to_string()),
    ];
    prop_oneof![
        2 => Just(Reply::Lost { at: vitalsync_cases::NOW }),
        12 => (status, body, "[0-9.x-]{0,20}").prop_map(|(status, body, wait)| {
            vitalsync_cases::answer(status, &[("retry-after", &wait)], &body)
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    /// After a post with an unknown end comes a look at the channel, never another post.
    #[test]
    fn nothing_is_posted_twice(which in 0..7usize, incoming in proptest::collection::vec(reply(), 60)) {
        let (connector, batches) = &*ALL;
        let batch = &batches[which];
        let mut replies: Vec<Reply> = Vec::new();
        let mut posts = 0;
        let mut unread = false;
        for reply in incoming {
            let Step::Send(request) = connector.step(batch, &replies) else { break };
            let post = request.path == "/api/chat.postMessage";
            prop_assert!(!(post && unread), "posted again without reading back");
            // Another place may be tried once this one refused in so many words.
            let refused_here = matches!(&reply, Reply::Answer(answer) if answer.status < 300
                && answer.json()["ok"] == false && answer.json()["error"].is_string()
                && answer.json()["error"] != "internal_error");
            unread = post && !refused_here;
            replies.push(reply);
            if matches!(connector.step(batch, &replies), Step::Retry { .. }) {
                replies.pop();
                unread = false;
            } else if post {
                posts += 1;
            }
            prop_assert!(posts <= 3);
        }
    }
}

/// The longest conversations: every post is lost, every list and history has many pages.
#[test]
fn the_longest_conversation_ends() {
    let (connector, batches) = &*ALL;
    for (which, lists, histories) in
        [2, 3, 6].into_iter().flat_map(|a| (1..16).flat_map(move |b| (1..16).map(move |c| (a, b, c))))
    {
        let mut replies = Vec::new();
        let (mut list, mut history) = (0, 0);
        while let Step::Send(request) = connector.step(&batches[which], &replies) {
            let (channels, last) = if request.path.contains("postMessage") {
                history = 0;
                replies.push(Reply::Lost { at: vitalsync_cases::NOW });
                continue;
            } else if request.path.contains("conversations.list") {
                list += 1;
                (if list == lists { json!([{ "id": "C2", "name": "cs-alerts" }]) } else { json!([]) }, false)
            } else {
                history += 1;
                (json!([]), history == histories)
            };
            let next = json!({ "next_cursor": if last { "" } else { "n" } });
            let page = json!({ "ok": true, "channels": channels, "messages": [], "response_metadata": next });
            replies.push(vitalsync_cases::answer(200, &[], page.to_string()));
            assert!(replies.len() <= 80);
        }
    }
}
