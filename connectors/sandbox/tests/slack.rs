//! Slack's strictness, rule by rule.

mod common;

use vitalsync_sandbox::{Sandbox, Vendor};

const SETUP: &str = r#"
limits {"post_burst":1000}
seed {"channels":["cs-alerts",{"name":"away","member":false},{"name":"old","archived":true},{"name":"secret","private":true},{"name":"hidden","private":true,"member":false}]}
"#;

fn check(script: &str) -> Sandbox {
    common::check(Vendor::Slack, &format!("{SETUP}{script}"))
}

#[test]
fn logical_errors_are_http_200() {
    check(
        r##"
as nobody
POST /api/auth.test
    200 | "error":"not_authed" | "ok":false
as wrong
POST /api/auth.test
    200 | invalid_auth
as nobody
POST /api/auth.test token=key
    200 | "ok":true
as key
POST /api/auth.test
    200 | "ok":true | "team_id":"T | "bot_id" | "url" | x-oauth-scopes: chat:write,
POST /api/chat.nothing
    200 | unknown_method
POST /api/chat.postMessage {
    200 | invalid_json
POST /api/chat.postMessage [1]
    200 | json_not_object
POST /api/chat.postMessage {"channel":"nope","text":"x"}
    200 | channel_not_found
POST /api/chat.postMessage {"channel":"C0SANDBOX03","text":"x"}
    200 | is_archived
POST /api/chat.postMessage {"channel":"#secret","text":"x"}
    200 | channel_not_found
POST /api/chat.postMessage {"channel":"C0SANDBOX04","text":"x"}
    200 | "ok":true
POST /api/chat.postMessage {"channel":"C0SANDBOX05","text":"x"}
    200 | channel_not_found
POST /api/chat.postMessage {"channel":"#cs-alerts"}
    200 | no_text
POST /api/chat.postMessage {"channel":"cs-alerts","text":"x","thread_ts":"1.000000"}
    200 | thread_not_found
POST /api/chat.postMessage {"channel":"away","text":"x"}
    200 | "ok":true
seed {"scopes":["chat:write"]}
POST /api/chat.postMessage {"channel":"away","text":"x"}
    200 | not_in_channel
GET /api/conversations.list
    200 | missing_scope | "needed":"channels:read" | "provided":"chat:write"
"##,
    );
}

#[test]
fn messages_have_rising_times_and_keep_their_metadata() {
    let sandbox = check(
        r##"
POST /api/chat.postMessage {"channel":"#cs-alerts","text":"one","metadata":{"event_type":"alert","event_payload":{"key":"k1"}}}
    200 | "ts":"1795334400.000000" | "channel":"C0SANDBOX01"
POST /api/chat.postMessage channel=cs-alerts&text=two+%26&blocks=%5B%7B%22type%22%3A%22divider%22%7D%5D
    200 | "ts":"1795334400.000001" | divider
GET /api/conversations.history?channel=C0SANDBOX01
    200 | "event_type":"alert" | !event_payload | two &
GET /api/conversations.history?channel=C0SANDBOX01&include_all_metadata=true
    200 | "event_payload":{"key":"k1"}
GET /api/conversations.history?channel=C0SANDBOX01&oldest=1795334400.000000
    200 | two | !"text":"one" | "has_more":false
GET /api/conversations.history?channel=C0SANDBOX01&oldest=1795334400.000000&inclusive=true
    200 | "text":"one"
GET /api/conversations.history?channel=C0SANDBOX01&limit=1
    200 | two | !"text":"one" | "has_more":true | bmV4dDo1
GET /api/conversations.history?channel=C0SANDBOX01&limit=1&cursor=bmV4dDo1
    200 | "text":"one" | "has_more":false
GET /api/conversations.history?channel=C0SANDBOX01&limit=1000
    200 | invalid_limit
GET /api/conversations.history?channel=cs-alerts
    200 | channel_not_found
POST /api/chat.update {"channel":"C0SANDBOX01","ts":"1795334400.000000","text":"uno"}
    200 | "ok":true | uno | "key":"k1"
POST /api/chat.update {"channel":"C0SANDBOX01","ts":"1.000000","text":"x"}
    200 | message_not_found
POST /api/chat.update {"channel":"cs-alerts","ts":"1795334400.000000","text":"x"}
    200 | channel_not_found
POST /api/chat.postMessage {"channel":"cs-alerts","text":"x","metadata":{"event_type":"a"}}
    200 | invalid_metadata_schema
POST /api/chat.postMessage {"channel":"cs-alerts","text":"x","metadata":"{"}
    200 | invalid_metadata_format
"##,
    );
    let texts: Vec<String> = sandbox.messages().into_iter().map(|message| message.text).collect();
    assert_eq!(texts, ["uno", "two &"]);
}

#[test]
fn texts_and_blocks_have_limits() {
    let x = |n: usize| "x".repeat(n);
    let section = |n| format!(r#"[{{"type":"section","text":{{"type":"mrkdwn","text":"{}"}}}}]"#, x(n));
    let header = |n| format!(r#"[{{"type":"header","text":{{"type":"plain_text","text":"{}"}}}}]"#, x(n));
    let field = |n| format!(r#"{{"type":"mrkdwn","text":"{}"}}"#, x(n));
    let list =
        |kind: &str, key: &str, items: Vec<String>| format!(r#"[{{"type":"{kind}","{key}":[{}]}}]"#, items.join(","));
    let divided = |n| format!("[{}]", vec![r#"{"type":"divider"}"#; n].join(","));
    let many = section(2800);
    let many = format!("[{}]", [&many[1..many.len() - 1]; 5].join(","));
    for (blocks, reply) in [
        (section(3000), "\"ok\":true"),
        (section(3001), "invalid_blocks | /blocks/0/text/text | less than 3001"),
        (section(0), "invalid_blocks | more than 0"),
        (header(150), "\"ok\":true"),
        (header(151), "invalid_blocks"),
        (r#"[{"type":"header","text":{"type":"mrkdwn","text":"x"}}]"#.into(), "invalid_blocks"),
        (r#"[{"type":"section"}]"#.into(), "invalid_blocks"),
        (r#"[{"type":"box"}]"#.into(), "invalid_blocks | unsupported type"),
        (r#"[{"type":"divider","block_id":"a"},{"type":"divider","block_id":"a"}]"#.into(), "invalid_blocks"),
        (r#"{"type":"divider"}"#.into(), "invalid_blocks_format"),
        (list("section", "fields", vec![field(2000); 6]), "\"ok\":true"),
        (list("section", "fields", vec![field(2001)]), "invalid_blocks"),
        (list("section", "fields", vec![field(1); 11]), "invalid_blocks"),
        (list("context", "elements", vec![field(1); 10]), "\"ok\":true"),
        (list("context", "elements", vec![field(1); 11]), "invalid_blocks"),
        (list("context", "elements", vec![]), "invalid_blocks"),
        (divided(50), "\"ok\":true"),
        (divided(51), "invalid_blocks"),
        (many, "msg_blocks_too_long"),
    ] {
        check(&format!(
            "POST /api/chat.postMessage {{\"channel\":\"cs-alerts\",\"text\":\"t\",\"blocks\":{blocks}}}\n    200 | {reply}\n"
        ));
    }
    for (length, method, reply) in [
        (40_000, "postMessage", "\"ok\":true"),
        (40_001, "postMessage", "msg_too_long"),
        (4001, "update", "msg_too_long"),
    ] {
        check(&format!(
            "POST /api/chat.{method} {{\"channel\":\"C0SANDBOX01\",\"ts\":\"1\",\"text\":\"{}\"}}\n    200 | {reply}\n",
            x(length)
        ));
    }
}

#[test]
fn channels_are_listed_in_pages_and_joined() {
    check(
        r#"
GET /api/conversations.list?limit=2
    200 | cs-alerts | away | !"name":"old" | "next_cursor":"bmV4dDo2"
GET /api/conversations.list?limit=2&cursor=bmV4dDo2
    200 | "name":"old" | "next_cursor":""
GET /api/conversations.list?limit=2&cursor=bmV4dDo2&exclude_archived=true
    200 | "channels":[]
GET /api/conversations.list?types=public_channel,private_channel
    200 | "name":"secret" | !hidden
GET /api/conversations.list?types=x
    200 | invalid_types
GET /api/conversations.list?limit=1001
    200 | invalid_limit
GET /api/conversations.list?cursor=x
    200 | invalid_cursor
GET /api/conversations.history?channel=C0SANDBOX02
    200 | not_in_channel
POST /api/conversations.join {"channel":"C0SANDBOX02"}
    200 | "is_member":true | !already_in_channel
POST /api/conversations.join {"channel":"C0SANDBOX02"}
    200 | already_in_channel
GET /api/conversations.history?channel=C0SANDBOX02
    200 | "ok":true
POST /api/conversations.join {"channel":"C0SANDBOX03"}
    200 | is_archived
GET /api/conversations.list?cursor=bmV4dDo18446744073709551615
    200 | "channels":[]
GET /api/conversations.info?channel=C0SANDBOX01
    200 | cs-alerts
"#,
    );
}

#[test]
fn posts_to_one_channel_are_limited() {
    let post = r#"POST /api/chat.postMessage {"channel":"cs-alerts","text":"x"}"#;
    let other = post.replace("cs-alerts", "away");
    let sandbox = common::check(
        Vendor::Slack,
        &format!(
            r#"
seed {{"channels":["cs-alerts","away"]}}
{post}
    200
{post}
    200
{post}
    200
{post}
    200
{post}
    429 | Retry-After: 4 | "error":"ratelimited" | "ok":false
{other}
    200 | "ok":true
+3999
{post}
    429 | Retry-After: 1
+1
{post}
    200 | "ok":true
"#
        ),
    );
    assert_eq!(sandbox.messages().len(), 6);
}

#[test]
fn webhooks_answer_in_plain_text() {
    let sandbox = check(
        r##"
as nobody
POST /services/T0/B0/xyz {"text":"hello","channel":"#away"}
    200 | !json | ok
POST /services/T0/B0/xyz payload=%7B%22text%22%3A%22form%22%7D
    200
POST /services/T0/B0/xyz {"text":""}
    400 | no_text
POST /services/T0/B0/xyz nonsense
    400 | invalid_payload
seed {"webhooks":{"/services/T0/B0/old":"old"}}
POST /services/T0/B0/old {"text":"x"}
    410 | channel_is_archived
POST /services/T0/B0/xyz {"text":"x"}
    404 | no_service
"##,
    );
    let seen: Vec<_> = sandbox.messages().into_iter().map(|one| (one.channel_name, one.text)).collect();
    assert_eq!(seen, [("cs-alerts", "hello"), ("cs-alerts", "form")].map(|(a, b)| (a.to_owned(), b.to_owned())));
}
