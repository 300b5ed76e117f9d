//! The readers of tools, page by page against the sandbox, with time at will: nothing is missed, nothing read for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use vitalsync::config::Config;
use vitalsync_core::connector::{Answer, Reply, Request, Step};
use vitalsync_core::reader::{Page, Reader};
use vitalsync_core::{Timestamp, Value};
use vitalsync_sandbox::{Sandbox, Vendor};

const TOKEN: &str = "sandbox-token";
const BEGIN: i64 = 1_772_000_000_000;
const MINUTE: i64 = 60_000;

fn config(source: &str) -> Config {
    let text = format!(
        "sources:\n  product: {{ type: segment_archive, location: ./archive }}\n  crm: {source}\nprofiles: [ {{ name: a, events: {{ Shared: 1 }} }} ]\n"
    );
    Config::parse(&text, Path::new("vitalsync.yaml"), &|_| None).unwrap_or_else(|refused| panic!("{refused}"))
}

fn hubspot() -> Config {
    config("{ type: hubspot, token: sandbox-token, read: [city, numberofemployees, hubspot_owner_id] }")
}

/// A company by name, with other properties.
fn company(name: &str, more: &Json) -> Json {
    let mut company = json!({ "name": name });
    company.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    company
}

fn send(sandbox: &mut Sandbox, request: &Request, now: i64) -> Reply {
    let mut headers = vec![("Authorization".to_owned(), format!("Bearer {TOKEN}"))];
    headers.extend(request.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    let body = request.body.clone().unwrap_or_default().into_bytes();
    let request = vitalsync_sandbox::Request {
        method: request.method.as_str().into(),
        path: request.path.clone(),
        headers,
        body,
    };
    let reply = sandbox.handle(&request, now);
    let headers = reply.headers.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
    Reply::Answer(Answer { status: reply.status, headers, body: reply.body, at: Timestamp(now) })
}

/// The page after a cursor. Time passes with each request.
fn page(reader: &dyn Reader, sandbox: &mut Sandbox, cursor: &Json, now: &mut i64) -> Page {
    let mut replies = Vec::new();
    loop {
        match reader.read(cursor, &replies) {
            Ok(page) => return page,
            Err(Step::Send(request)) => {
                *now += 300;
                replies.push(send(sandbox, &request, *now));
            }
            Err(other) => panic!("{other:?} after {replies:?}"),
        }
    }
}

/// Everything that one reading finds, by the tool's id, and where the next one goes on.
fn all(
    reader: &dyn Reader,
    sandbox: &mut Sandbox,
    mut cursor: Json,
    now: &mut i64,
) -> (BTreeMap<String, BTreeMap<String, Value>>, Json) {
    let mut found = BTreeMap::new();
    for _ in 0..200 {
        let page = page(reader, sandbox, &cursor, now);
        found.extend(page.found.into_iter().map(|found| (found.remote_id, found.traits)));
        cursor = page.cursor;
        if !page.more {
            return (found, cursor);
        }
    }
    panic!("the reading does not end");
}

fn searches(sandbox: &Sandbox) -> usize {
    sandbox.journal().iter().filter(|entry| entry.path.ends_with("/search")).count()
}

fn seed(sandbox: &mut Sandbox, things: &Json) -> Json {
    sandbox.seed(things).unwrap_or_else(|error| panic!("{error}"))
}

/// More companies than a search has results, all changed at the same moment.
#[test]
fn a_search_that_has_no_end_is_no_obstacle() {
    let config = hubspot();
    let reader = config.readings[0].tool.connector.reader().expect("a reader");
    let mut sandbox = Sandbox::new(Vendor::HubSpot, TOKEN);
    let companies: Vec<Json> =
        (0..10_450).map(|n| company(&format!("c{n}"), &json!({"numberofemployees": n.to_string()}))).collect();
    seed(&mut sandbox, &json!({ "companies": companies }));
    let mut now = BEGIN;
    let (found, cursor) = all(reader, &mut sandbox, Json::Null, &mut now);
    assert_eq!((found.len(), searches(&sandbox)), (10_450, 53));
    assert!(found.values().any(|traits| traits["numberofemployees"] == Value::Number(10_449.0)));
    // An hour later nothing has changed: one search.
    now += 60 * MINUTE;
    let (found, cursor) = all(reader, &mut sandbox, cursor, &mut now);
    assert_eq!((found.len(), searches(&sandbox)), (0, 54));
    // What the index shows late is found by the next reading.
    sandbox.set_limits(&vitalsync_sandbox::Limits { index_lag_ms: Some(30_000), ..Default::default() });
    sandbox.handle(&vitalsync_sandbox::Request { method: "GET".into(), path: "/".into(), ..Default::default() }, now);
    let id = seed(&mut sandbox, &json!({"companies": [company("late", &json!({"city": "Ghent"}))]}))["companies"][0]
        .as_str()
        .expect("an id")
        .to_owned();
    let (found, cursor) = all(reader, &mut sandbox, cursor, &mut now);
    assert!(!found.contains_key(&id), "the index lags");
    now += 5 * MINUTE;
    let (found, _) = all(reader, &mut sandbox, cursor, &mut now);
    assert_eq!(found[&id]["city"], Value::Text("Ghent".into()));
}

/// An owner who has another address changes no company, and other properties need all companies.
#[test]
fn what_no_company_shows_as_changed_leads_to_a_full_reading() {
    let config = hubspot();
    let reader = config.readings[0].tool.connector.reader().expect("a reader");
    let mut sandbox = Sandbox::new(Vendor::HubSpot, TOKEN);
    let owners: Vec<Json> =
        (0..1_200).map(|n| json!({"id": n.to_string(), "email": format!("o{n}@x.example")})).collect();
    seed(
        &mut sandbox,
        &json!({"owners": owners, "companies": [company("a", &json!({"hubspot_owner_id": "1100"})), company("b", &json!({}))]}),
    );
    let mut now = BEGIN;
    let (found, cursor) = all(reader, &mut sandbox, Json::Null, &mut now);
    let emails: BTreeSet<String> = found.values().map(|traits| traits["owner_email"].to_json().to_string()).collect();
    assert_eq!(emails, BTreeSet::from(["\"o1100@x.example\"".to_owned(), "null".to_owned()]));
    now += 60 * MINUTE;
    let (found, cursor) = all(reader, &mut sandbox, cursor, &mut now);
    assert!(found.is_empty());
    seed(&mut sandbox, &json!({"owners": [{"id": "1100", "email": "new@x.example"}]}));
    let (found, cursor) = all(reader, &mut sandbox, cursor, &mut now);
    assert!(
        found.len() == 2 && found.values().any(|traits| traits["owner_email"] == Value::Text("new@x.example".into()))
    );
    now += 60 * MINUTE;
    let other = self::config("{ type: hubspot, token: sandbox-token, read: [city] }");
    let reader = other.readings[0].tool.connector.reader().expect("a reader");
    assert_eq!(all(reader, &mut sandbox, cursor, &mut now).0.len(), 2);
}

#[test]
fn other_properties_lead_to_a_full_reading_also_in_the_middle_of_one() {
    let config = |read: &str| config(&format!("{{ type: hubspot, token: sandbox-token, read: [{read}] }}"));
    let (before, after) = (config("city"), config("numberofemployees"));
    let [before, after] = [&before, &after].map(|config| config.readings[0].tool.connector.reader().expect("a reader"));
    let mut sandbox = Sandbox::new(Vendor::HubSpot, TOKEN);
    let companies: Vec<Json> = (0..250).map(|n| company(&format!("c{n}"), &json!({}))).collect();
    seed(&mut sandbox, &json!({ "companies": companies }));
    let mut now = BEGIN;
    let (_, whole) = all(before, &mut sandbox, Json::Null, &mut now);
    now += 60 * MINUTE;
    assert_eq!(all(after, &mut sandbox, whole, &mut now).0.len(), 250);
    let first = page(before, &mut sandbox, &Json::Null, &mut now);
    assert!(first.more && first.found.len() == 200);
    assert_eq!(all(after, &mut sandbox, first.cursor, &mut now).0.len(), 250);
}

/// The page of two answers: the properties that there are, and companies.
fn told(results: Json, more: &Json) -> Result<Page, Step> {
    let read = "{ type: hubspot, token: sandbox-token, read: [flag, day, moment, amount, words] }";
    let config = config(read);
    let kinds =
        [("flag", "bool"), ("day", "date"), ("moment", "datetime"), ("amount", "number"), ("words", "enumeration")];
    let there: Vec<Json> = kinds.iter().map(|(name, kind)| json!({"name": name, "type": kind})).collect();
    let replies = [json!({ "results": there }), json!({"results": results, "paging": more})];
    let replies = replies.map(|body| {
        Reply::Answer(Answer { status: 200, headers: vec![], body: body.to_string(), at: Timestamp(BEGIN) })
    });
    config.readings[0].tool.connector.reader().expect("a reader").read(&Json::Null, &replies)
}

/// HubSpot sends texts; what does not read as its property's type is unknown, not a text.
#[test]
fn values_are_read_by_the_type_of_their_property() {
    let values = |flag: &str, day: &str, moment: &str, amount: &str| {
        let properties = json!({"flag": flag, "day": day, "moment": moment, "amount": amount, "words": "a;b"});
        let page = told(json!([{"id": "7", "properties": properties}]), &Json::Null).expect("a page");
        page.found[0].traits.clone()
    };
    let day = vitalsync_core::Day::parse("2026-09-30").expect("a day");
    let written = values("true", "2026-09-30", "2026-09-30T10:00:00Z", "48000.5");
    assert_eq!((&written["flag"], &written["day"]), (&Value::Bool(true), &Value::Date(day)));
    let ten = Timestamp::parse("2026-09-30T10:00:00Z").expect("a time");
    assert_eq!((&written["moment"], &written["amount"]), (&Value::Time(ten), &Value::Number(48_000.5)));
    assert_eq!(written["words"], Value::Text("a;b".into()));
    let counted = values("false", "1790726400000", &ten.0.to_string(), "7");
    assert_eq!((&counted["flag"], &counted["day"]), (&Value::Bool(false), &Value::Date(day)));
    assert_eq!(counted["moment"], Value::Time(ten));
    let spoilt = values("yes", "soon", "noon", "NaN");
    assert!(["flag", "day", "moment", "amount"].iter().all(|name| spoilt[*name] == Value::Null), "{spoilt:?}");
}

#[test]
fn a_full_page_has_another_after_it_and_one_that_leads_nowhere_ends_the_reading() {
    let companies = |count: usize| (0..count).map(|n| json!({"id": (n + 1).to_string()})).collect::<Vec<_>>();
    let more = |count: usize| told(json!(companies(count)), &Json::Null).map(|page| (page.found.len(), page.more));
    assert_eq!((more(199), more(200)), (Ok((199, false)), Ok((200, true))));
    let next = json!({"next": {"after": "9"}});
    assert!(told(json!(companies(3)), &next).expect("a page").more);
    let stuck = told(json!([]), &next);
    assert!(matches!(&stuck, Err(Step::Reject { why }) if why.contains("does not go on")), "{stuck:?}");
}

/// Many tickets, of contacts of several companies, over pages.
#[test]
fn tickets_are_counted_over_all_pages() {
    let config = config("{ type: intercom, token: sandbox-token }");
    let reader = config.readings[0].tool.connector.reader().expect("a reader");
    let mut sandbox = Sandbox::new(Vendor::Intercom, TOKEN);
    let contacts: Vec<Json> = (0..120).map(|n| json!({ "external_id": format!("u{n}") })).collect();
    let tickets: Vec<Json> = (0..333).map(|n| json!({"contacts": [format!("u{}", n % 120), "u0"]})).collect();
    let ids =
        seed(&mut sandbox, &json!({"contacts": contacts, "companies": [{"company_id": "acme"}], "tickets": tickets}));
    let mut now = BEGIN;
    for contact in 0..2 {
        let request = Request {
            method: vitalsync_core::connector::Method::Post,
            path: format!("/contacts/{}/companies", ids["contacts"][contact].as_str().expect("an id")),
            headers: vec![],
            body: Some(json!({"id": ids["companies"][0]}).to_string()),
            pool: vitalsync_core::connector::Pool::of("api"),
        };
        send(&mut sandbox, &request, now);
    }
    let before = sandbox.journal().len();
    let (found, cursor) = all(reader, &mut sandbox, Json::Null, &mut now);
    assert_eq!(sandbox.journal().len() - before, 3 + 120, "three pages, and each contact once");
    let of = |list: &str, at: usize| found[ids[list][at].as_str().expect("an id")]["open_tickets"].clone();
    assert_eq!((of("contacts", 0), of("contacts", 5)), (Value::Number(333.0), Value::Number(3.0)));
    assert_eq!(of("companies", 0), Value::Number(333.0), "a ticket of two of its contacts counts once");
    assert_eq!(cursor, Json::Null, "the next reading is of everything");
}

/// A contact that is gone has no companies, and what is not open though it was listed does not count.
#[test]
fn what_is_gone_or_closed_meanwhile_does_not_count() {
    let config = config("{ type: intercom, token: sandbox-token }");
    let reader = config.readings[0].tool.connector.reader().expect("a reader");
    let answered = |status: u16, body: Json| {
        Reply::Answer(Answer { status, headers: vec![], body: body.to_string(), at: Timestamp(BEGIN) })
    };
    let of = |id: &str, ours: &str| json!({"contacts": [{"id": id, "external_id": ours}]});
    let listed = json!([{"open": true, "contacts": of("1", "")}, {"open": false, "contacts": of("2", "u2")}]);
    let tickets = reader.read(&Json::Null, &[answered(200, json!({ "tickets": listed }))]).expect("tickets");
    let companies = reader.read(&tickets.cursor, &[answered(404, json!({}))]).expect("no companies");
    let counted = reader.read(&companies.cursor, &[]).expect("the figures");
    assert_eq!((counted.found.len(), counted.found[0].remote_id.as_str()), (1, "1"));
    assert_eq!(counted.found[0].subject, None, "no id of ours is none");
    assert_eq!(counted.found[0].traits["open_tickets"], Value::Number(1.0));
}

#[test]
fn a_list_that_goes_round_in_a_ring_is_asked_again_and_other_kinds_begin_anew() {
    let readers = ["open_tickets", "open_conversations"]
        .map(|kind| config(&format!("{{ type: intercom, token: sandbox-token, read: [{kind}] }}")));
    let [tickets, conversations] =
        [&readers[0], &readers[1]].map(|config| config.readings[0].tool.connector.reader().expect("a reader"));
    let page = |after: &str| {
        let body = json!({"tickets": [], "pages": {"next": {"starting_after": after}}}).to_string();
        Reply::Answer(Answer { status: 200, headers: vec![], body, at: Timestamp(BEGIN) })
    };
    let first = tickets.read(&Json::Null, &[page("a")]).expect("a page");
    // A ring of one page, and of three.
    for ring in [&["a"][..], &["b", "c", "a"]] {
        let mut cursor = first.cursor.clone();
        let end = (0..20).find_map(|at| match tickets.read(&cursor, &[page(ring[at % ring.len()])]) {
            Ok(page) => {
                cursor = page.cursor;
                None
            }
            Err(step) => Some(step),
        });
        assert!(matches!(&end, Some(Step::Retry { why, .. }) if why.contains("circle")), "{end:?}");
    }
    let Err(Step::Send(request)) = conversations.read(&first.cursor, &[]) else { panic!("a request") };
    assert_eq!(request.path, "/conversations/search");
    assert!(!request.body.unwrap_or_default().contains("starting_after"));
}

static READERS: std::sync::LazyLock<[Config; 2]> = std::sync::LazyLock::new(|| {
    [hubspot(), config("{ type: intercom, token: sandbox-token, read: [open_tickets, open_conversations] }")]
});

proptest! {
    /// Whatever a tool answers, a reader ends within some requests and never panics.
    #[test]
    fn readers_end_whatever_they_are_told(
        answers in proptest::collection::vec((prop_oneof![Just(200u16), Just(200), Just(401), Just(403), Just(404), Just(429), Just(500), 200..600u16], any_body()), 0..12),
        cursor in any_body(),
    ) {
        for config in &*READERS {
            let connector = &config.readings[0].tool.connector;
            for (_, question) in connector.inspect() {
                let (question, mut replies) = ([question], Vec::new());
                while let Step::Send(_) = connector.step(&question, &replies) {
                    prop_assert!(replies.len() < 10, "no end");
                    replies.push(answer(&answers, replies.len()));
                }
            }
            let reader = connector.reader().expect("a reader");
            for cursor in [Json::Null, serde_json::from_str(&cursor).unwrap_or_default()] {
                let mut replies = Vec::new();
                for asked in 0.. {
                    prop_assert!(asked < 100, "no end");
                    match reader.read(&cursor, &replies) {
                        Err(Step::Send(_)) => replies.push(answer(&answers, asked)),
                        _ => break,
                    }
                }
            }
        }
    }
}

/// The answer to the so-many-th request, of some that come again and again.
fn answer(answers: &[(u16, String)], asked: usize) -> Reply {
    let (status, body) = answers.get(asked % answers.len().max(1)).cloned().unwrap_or((200, "{}".into()));
    Reply::Answer(Answer { status, headers: vec![], body, at: Timestamp(BEGIN) })
}

/// Bodies that look like answers, and such that do not.
fn any_body() -> impl Strategy<Value = String> {
    let texts = [
        r#"{"results":[]}"#,
        r#"{"results":[{"name":"city","type":"string"},{"name":"numberofemployees","type":"number"}]}"#,
        r#"{"results":[{"id":"7","properties":{"city":"x","numberofemployees":"NaN"}}],"paging":{"next":{"after":"1"}}}"#,
        r#"{"results":[{"id":"0","properties":null}],"paging":{"next":{"after":"1"}}}"#,
        r#"{"results":[{"id":"x"}],"paging":{"next":{"after":"a b"}}}"#,
        r#"{"tickets":[{"open":true,"contacts":{"contacts":[{"id":"1","external_id":null},{}]}}],"pages":{"next":{"starting_after":"a"}}}"#,
        r#"{"conversations":[],"data":[{"id":1}],"pages":{"next":{"starting_after":"a"}}}"#,
        r#"{"asked":["city","numberofemployees","hubspot_owner_id"],"next":5,"open":{"after":7}}"#,
        r#"{"kinds":["open_tickets","open_conversations"],"done":9,"open":[[7,["1"]]],"contacts":{"1":null}}"#,
        "null",
        "[]",
        "<html>",
    ];
    prop_oneof![proptest::sample::select(texts.to_vec()).prop_map(str::to_owned), ".{0,40}"]
}
