//! Faults, the control surface, the journal and the page.

mod common;

use common::{START, check, check_in, send};
use vitalsync_sandbox::{Request, Sandbox, Vendor};

const CREATE: &str = r#"POST /crm/v3/objects/companies {"properties":{"name":"Acme"}}"#;

#[test]
fn each_kind_of_fault_does_what_it_says() {
    for (kind, reply, companies) in [
        (
            r#"{"answer":{"status":429,"headers":{"Retry-After":"7"},"body":"slow down"}}"#,
            "429 | Retry-After: 7 | slow down",
            0,
        ),
        (r#"{"answer_after":{"status":502}}"#, "502", 1),
        (r#""drop_before""#, "dropped", 0),
        (r#""drop_after""#, "dropped", 1),
        (r#"{"slow_ms":900}"#, "201", 1),
        (r#""empty_results""#, r#"200 | "results":[] | !errors"#, 0),
    ] {
        let sandbox = check(
            Vendor::HubSpot,
            &format!(
                "POST /_sandbox/faults [{{\"match\":\"POST /crm\",\"kind\":{kind}}}]\n    200\n\
                 GET /account-info/v3/details\n    200\n{CREATE}\n    {reply}\n"
            ),
        );
        assert_eq!(sandbox.companies().len(), companies, "{kind}");
    }
    let mut sandbox = Sandbox::new(Vendor::Slack, "key");
    check_in(&mut sandbox, "POST /_sandbox/faults [{\"kind\":{\"slow_ms\":900}}]\n    200\n");
    assert_eq!(send(&mut sandbox, "key", "POST /api/auth.test", START).delay_ms, 900);
}

#[test]
fn faults_come_in_order_after_their_skip_and_vanish() {
    check(
        Vendor::HubSpot,
        r#"
POST /_sandbox/faults [{"match":"/account","skip":1,"times":2,"kind":{"answer":{"status":500}}},{"kind":{"answer":{"status":503}}}]
    200
GET /account-info/v3/details
    503
GET /account-info/v3/details
    500
GET /account-info/v3/details
    500
GET /account-info/v3/details
    200
GET /_sandbox/faults
    200 | []
POST /_sandbox/faults [{"kind":"drop_before"}]
    200
DELETE /_sandbox/faults
    204
GET /account-info/v3/details
    200
POST /_sandbox/faults [{"kind":"explode"}]
    400
POST /_sandbox/faults [{"kind":"drop_before","time":2}]
    400
"#,
    );
}

#[test]
fn control_needs_no_token_and_leaves_no_trace() {
    let sandbox = check(
        Vendor::HubSpot,
        r#"
as nobody
POST /_sandbox/seed {"companies":[{"name":"Acme"},{"properties":{"name":"Beta"}}]}
    200 | "companies":["15406318607","15406318614"]
POST /_sandbox/seed {"companies":[{"nope":"x"}]}
    400 | nope
POST /_sandbox/limits {"ten_secondly":1}
    204
POST /_sandbox/limits {"ten":1}
    400
GET /_sandbox/state
    200 | "name":"Acme" | portalId
GET /_sandbox/nothing
    404
as key
GET /account-info/v3/details?a=b
    200
GET /account-info/v3/details
    429
GET /_sandbox/journal
    200 | "path":"/account-info/v3/details?a=b" | "status":429 | TEN_SECONDLY
"#,
    );
    assert_eq!(sandbox.journal().iter().map(|entry| entry.status).collect::<Vec<_>>(), [200, 429]);
}

#[test]
fn the_page_shows_what_is_held_and_escapes_it() {
    let page = |sandbox: &mut Sandbox| {
        let headers = vec![("Accept".to_owned(), "text/html".to_owned())];
        let reply = sandbox.handle(&Request { method: "GET".into(), path: "/".into(), headers, body: vec![] }, START);
        assert!(reply.headers[0].1.starts_with("text/html"));
        reply.body
    };
    let mut hubspot = Sandbox::new(Vendor::HubSpot, "key");
    hubspot.seed_company(&[("name", "<script>"), ("city", "Gent")]);
    let html = page(&mut hubspot);
    assert!(html.contains("&lt;script&gt;") && html.contains("Gent") && !html.contains("<script"), "{html}");
    let mut intercom = Sandbox::new(Vendor::Intercom, "key");
    intercom.seed_contact("u<1", "a@b.c", "Ann");
    assert!(page(&mut intercom).contains("u&lt;1"));
    let mut slack = Sandbox::new(Vendor::Slack, "key");
    slack.add_channel("cs");
    let blocks = r#"[{"type":"header","text":{"type":"plain_text","text":"<i>Acme"}}]"#;
    let post = format!(r#"POST /api/chat.postMessage {{"channel":"cs","text":"t","blocks":{blocks}}}"#);
    assert_eq!(send(&mut slack, "key", &post, START).status, 200);
    assert!(page(&mut slack).contains("<b class=header>&lt;i&gt;Acme</b>"));
    assert!(slack.journal().len() == 1 && hubspot.journal().is_empty());
}

proptest::proptest! {
    /// No bytes whatever make it panic.
    #[test]
    fn any_bytes_get_an_answer(method in "GET|POST|PUT|PATCH|DELETE", path in "/[a-z0-9/._?&=%-]{0,40}", body: Vec<u8>) {
        for vendor in [Vendor::HubSpot, Vendor::Intercom, Vendor::Slack] {
            let mut sandbox = Sandbox::new(vendor, "key");
            for path in [path.as_str(), "/crm/v3/objects/companies/batch/upsert", "/crm/v3/objects/companies/search",
                "/contacts", "/contacts/search", "/tags", "/api/chat.postMessage", "/services/a/b/c", "/_sandbox/seed"] {
                let headers = vec![("authorization".to_owned(), "Bearer key".to_owned())];
                let request = Request { method: method.clone(), path: path.to_owned(), headers, body: body.clone() };
                sandbox.handle(&request, START);
            }
        }
    }
}
