//! The laws of every connector, and what is Slack's own: at most once, and messages that can't be refused.

use std::sync::LazyLock;

use crate::support;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use vitalsync_core::alert::{Alert, Route, Side, Trigger, What};
use vitalsync_core::connector::{
    Known, Method, Mode, Operation, Outcome, Reply, Request, Step, Wanted, account_operation,
};
use vitalsync_core::model::Band;
use vitalsync_core::{Connector, Day, Timestamp};
use vitalsync_slack::render;

fn connector() -> Box<dyn Connector> {
    support::read(&support::config()).unwrap()
}

fn wanted(alerts: Vec<Alert>) -> Wanted {
    Wanted { alerts, ..Wanted::default() }
}

#[test]
fn a_plan_is_the_same_twice_and_empty_after_success() {
    let connector = connector();
    let wanted = wanted(vec![support::alert(), support::alert(), Alert { occasion: "2".into(), ..support::alert() }]);
    let mut known = Known::default();
    let plan = connector.plan(&wanted, &known);
    assert_eq!(plan, connector.plan(&wanted, &known));
    let shown: Vec<_> = plan.iter().map(|one| (one.slot.as_str(), one.title.as_str(), one.mode)).collect();
    let (title, find) = ("post alert score_drop", "find the channel #cs-alerts");
    let (first, second) = (("alert/0a1b", title, Mode::Once), ("alert/2", title, Mode::Once));
    assert_eq!(shown, [("channel/#cs-alerts", find, Mode::State), first, second]);
    assert_eq!(plan[1].fields.keys().collect::<Vec<_>>(), ["about", "blocks", "channel", "text"]);
    assert_eq!(plan[1].needs[0].slot, "channel/#cs-alerts");
    for operation in &plan {
        known.confirm(operation, &Outcome::Done { remote_id: Some("C1".into()) });
    }
    assert_eq!(connector.plan(&wanted, &known), []);
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
            step => json!({ "step": support::shown(&step) }),
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
    let ends = |config: &Json, replies: &[Reply]| support::shown(&support::read(config).unwrap().step(&plan, replies));
    let said = |status: u16, body: &str| vec![support::answer(status, &[], body)];
    let lost = vec![Reply::Lost { at: support::NOW }];
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
fn a_digest_lists_the_worst_and_counts_the_rest() {
    let alerts: Vec<Alert> = (0..1000).map(|n| Alert { occasion: n.to_string(), ..support::alert() }).collect();
    let what = What::Many { alerts, kind: "daily".into() };
    let digest = Alert { what, rule: String::new(), account: String::new(), ..support::alert() };
    let message = render::message(&digest);
    assert!(message.text.starts_with("Daily digest: 1000 alerts, first of all: Acme &amp; Söhne"), "{}", message.text);
    let blocks: Vec<Json> = serde_json::from_str(&message.blocks).unwrap();
    let lengths: Vec<usize> =
        blocks.iter().map(|block| block["text"]["text"].as_str().unwrap().encode_utf16().count()).collect();
    assert!(
        blocks.len() < 10 && lengths.iter().all(|length| *length <= 3_000) && lengths.iter().sum::<usize>() < 12_000
    );
    let listed = message.blocks.matches("• *").count();
    assert!(
        listed > 30 && message.blocks.contains(&format!("… and {} more that matter less", 1000 - listed)),
        "{listed}"
    );
}

#[test]
fn a_templates_text_stands_for_header_and_figures() {
    let body = "*Acme* fell &amp; <https://x.example|open>".to_owned();
    let links =
        vec![("CRM".to_owned(), "https://crm.example/1?a=b&c".to_owned()), ("x".to_owned(), "bad|<link".to_owned())];
    let message = render::message(&Alert { body: Some(body.clone()), links, ..support::alert() });
    let blocks: Vec<Json> = serde_json::from_str(&message.blocks).unwrap();
    assert_eq!(blocks[0]["text"]["text"], body);
    assert_eq!(
        blocks[1]["text"]["text"],
        "*Look at*  <https://crm.example/1?a=b&amp;c|CRM>  ·  `vitalsync explain acme`"
    );
    assert_eq!(blocks.len(), 3);
    let long = Alert { body: Some("<https://x|y> &amp; ".repeat(2_000)), ..support::alert() };
    let blocks: Vec<Json> = serde_json::from_str(&render::message(&long).blocks).unwrap();
    for text in blocks.iter().filter_map(|block| block["text"]["text"].as_str()) {
        assert!(
            text.encode_utf16().count() <= 3_000 && text.matches('<').count() == text.matches('>').count(),
            "{text}"
        );
    }
}

#[test]
fn the_message_reads_well_and_smuggles_nothing_in() {
    let message = render::message(&support::alert());
    assert_eq!(
        message.text,
        "Acme &amp; Söhne &lt;!channel&gt;'s health fell 23 points in 7 days: 63 → 40\n\
         • Report Shared: 2, was 14\n• 3 of 5 users stopped &gt; quoted"
    );
    let mrkdwn = |text: &str| json!({ "type": "mrkdwn", "text": text, "verbatim": true });
    let blocks: Json = serde_json::from_str(&message.blocks).unwrap();
    assert_eq!(
        blocks,
        json!([
            { "type": "header", "text": {
                "type": "plain_text", "emoji": false,
                "text": "Acme &amp; Söhne &lt;!channel&gt;'s health fell 23 points in 7 days",
            } },
            { "type": "section", "fields": [
                mrkdwn("*Health now*\n40"),
                mrkdwn("*Health before*\n63 on 5 Aug 2026"),
                mrkdwn("*Band*\nat risk"),
                mrkdwn("*Last active*\n<!date^1785844800^{date}|4 Aug 2026> (9 days ago)"),
            ] },
            { "type": "section", "text": mrkdwn("*Why*\n• Report Shared: 2, was 14\n• 3 of 5 users stopped &gt; quoted") },
            { "type": "section", "text": mrkdwn("*Look at*  `vitalsync explain acme`") },
            { "type": "context", "elements": [mrkdwn("Rule score_drop: 15 or more points within 7 days · account acme")] },
        ])
    );
    let bare = Alert {
        name: " ".into(),
        band: None,
        reasons: vec![],
        last_active: None,
        what: What::Moved { from_score: 41.0, from_day: Day(20_670), threshold: 15.0, within_days: 1 },
        score: Some(40.4),
        ..support::alert()
    };
    let message = render::message(&bare);
    assert_eq!(message.text, "acme's health fell 1 point in 1 day: 41 → 40");
    assert!(
        message.blocks.contains("never seen")
            && !message.blocks.contains("*Band*")
            && !message.blocks.contains("*Why*")
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
fn what_is_not_about_the_scores_course_is_said_as_it_is() {
    let said = |said: &str| Alert {
        what: What::Said { said: said.into() },
        score: None,
        band: None,
        reasons: vec![],
        ..support::alert()
    };
    let message = render::message(&said("is now one of <vips>"));
    assert_eq!(message.text, "Acme &amp; Söhne &lt;!channel&gt; is now one of &lt;vips&gt;");
    assert!(!message.blocks.contains("Health") && message.blocks.contains("Rule score_drop · account acme"));
    let stopped = Alert { what: What::Stopped { source: "product".into() }, ..said("") };
    let message = render::message(&stopped);
    assert_eq!(message.text, "No data from product: health stands still until it is back");
    assert!(message.blocks.contains("Last received") && message.blocks.contains("Rule score_drop · source product"));
    let rose = Alert { score: Some(80.0), reasons: vec![], ..support::alert() };
    let headline = "Acme &amp; Söhne &lt;!channel&gt;'s health rose 17 points in 7 days: 63 → 80";
    assert_eq!(render::message(&rose).text, headline);
}

#[test]
fn text_is_cut_between_characters_and_never_within_an_entity() {
    assert_eq!(render::escaped("a & b", 9), "a &amp; b");
    assert_eq!(render::escaped("a & b", 8), "a &amp;…");
    assert_eq!(render::escaped("a & b", 7), "a …");
    assert_eq!(render::escaped("a\u{202e}b\u{0}c\n\td", 9), "abc d");
    assert_eq!(render::escaped("😀😀", 3), "😀…");
    assert_eq!(render::escaped("x", 0), "");
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
        2 => Just(Reply::Lost { at: support::NOW }),
        12 => (status, body, "[0-9.x-]{0,20}").prop_map(|(status, body, wait)| {
            support::answer(status, &[("retry-after", &wait)], &body)
        }),
    ]
}

fn why(step: &Step) -> &str {
    match step {
        Step::Send(_) | Step::Done(_) => "",
        Step::Retry { why, .. }
        | Step::Split { why }
        | Step::Reject { why }
        | Step::Conflict { why }
        | Step::Missing { why, .. }
        | Step::NeedsLogin { why } => why,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_operation_ends_and_nothing_is_posted_twice(
        which in 0..7usize,
        incoming in proptest::collection::vec(reply(), 60),
    ) {
        let (connector, batches) = &*ALL;
        let batch = &batches[which];
        let mut replies: Vec<Reply> = Vec::new();
        let mut refused: Vec<Request> = Vec::new();
        let mut posts = 0;
        let mut unread = false;
        for reply in incoming {
            let Step::Send(request) = connector.step(batch, &replies) else { break };
            prop_assert!(!refused.contains(&request), "sent again after a refusal: {:?}", request);
            let post = request.path == "/api/chat.postMessage";
            // After a post with an unknown end comes a look at the channel, never another post.
            prop_assert!(!(post && unread), "posted again without reading back");
            // Another place may be tried once this one refused in so many words.
            let refused_here = matches!(&reply, Reply::Answer(answer) if answer.status < 300
                && answer.json()["ok"] == false && answer.json()["error"].is_string()
                && answer.json()["error"] != "internal_error");
            unread = post && !refused_here;
            replies.push(reply.clone());
            let after = connector.step(batch, &replies);
            prop_assert!(!["@", "Acme", "Söhne"].iter().any(|personal| why(&after).contains(personal)), "{:?}", after);
            if let Reply::Answer(answer) = &reply {
                let patience = matches!(answer.status, 408 | 429 | 500..);
                if patience && !post {
                    prop_assert!(matches!(after, Step::Retry { .. }), "{:?}", after);
                }
                if patience && post {
                    prop_assert!(matches!(after, Step::Retry { .. } | Step::Send(_)), "{:?}", after);
                }
                if (400..500).contains(&answer.status) && !patience {
                    // What was refused may be asked for in another way.
                    prop_assert!(!matches!(after, Step::Retry { .. }), "{:?}", after);
                    refused.push(request);
                }
            }
            if matches!(after, Step::Retry { .. }) {
                replies.pop();
                unread = false;
            } else if post {
                posts += 1;
            }
            prop_assert!(posts <= 3 && replies.len() <= 80);
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
                replies.push(Reply::Lost { at: support::NOW });
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
            replies.push(support::answer(200, &[], &page.to_string()));
            assert!(replies.len() <= 80);
        }
    }
}

proptest! {
    // Few, because the texts are long.
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_message_keeps_every_limit(
        name in "\\PC{0,200}|[&<>]{0,200}|(😀){0,200}",
        reasons in proptest::collection::vec("\\PC{0,450}|[&<>\n]{0,500}", 0..20),
        rule in "\\PC{0,400}",
        band in proptest::option::of("\\PC{0,400}"),
        scores in any::<(Option<f64>, f64, i32, i32)>(),
        said in proptest::option::of("\\PC{0,300}|[&<>]{0,200}"),
        times in any::<(Option<i64>, i64)>(),
    ) {
        let alert = Alert {
            name, reasons, rule, band,
            account: "<&>".repeat(500),
            score: scores.0,
            what: match said {
                Some(said) => What::Said { said },
                None => What::Moved { from_score: scores.1, from_day: Day(scores.3), threshold: 15.0, within_days: scores.2 },
            },
            last_active: times.0.map(Timestamp),
            at: Timestamp(times.1),
            ..support::alert()
        };
        let message = render::message(&alert);
        let length = |text: &str| text.encode_utf16().count();
        prop_assert!(length(&message.text) <= 4_000 && !message.text.is_empty());
        let blocks: Json = serde_json::from_str(&message.blocks).unwrap();
        let mut texts: Vec<(&str, usize)> = vec![(&message.text, 4_000)];
        for block in blocks.as_array().unwrap() {
            match block["type"].as_str().unwrap() {
                "header" => texts.push((block["text"]["text"].as_str().unwrap(), 150)),
                "context" => texts.extend(block["elements"].as_array().unwrap().iter().map(|one| (one["text"].as_str().unwrap(), 2_000))),
                _ => {
                    texts.extend(block["text"]["text"].as_str().map(|text| (text, 3_000)));
                    let fields = block["fields"].as_array().map(Vec::as_slice).unwrap_or_default();
                    prop_assert!(fields.len() <= 10);
                    texts.extend(fields.iter().map(|one| (one["text"].as_str().unwrap(), 2_000)));
                }
            }
        }
        prop_assert!(texts.iter().skip(1).map(|(text, _)| length(text)).sum::<usize>() < 12_000);
        for (text, limit) in texts {
            prop_assert!((1..=limit).contains(&length(text)), "{} of {limit}", length(text));
            // The only markup is our own date; every `&` begins a whole entity.
            let text = text.replace("<!date^", "").replace("^{date}|", "").replacen("> (", " (", 1);
            let text = if text.starts_with("*Last active*") { text.replace('>', "") } else { text };
            prop_assert!(!text.contains(['<', '>']), "{:?}", text);
            for (at, _) in text.match_indices('&') {
                let rest = &text[at..];
                prop_assert!(["&amp;", "&lt;", "&gt;"].iter().any(|entity| rest.starts_with(entity)), "{:?}", rest);
            }
        }
    }
}
