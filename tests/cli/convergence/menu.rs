//! What can go wrong, by vendor: every kind of fault that its documents and other people's bug reports know.

use serde_json::{Value as Json, json};

use super::world::Way;
use crate::site::{Random, Site};

fn answer(status: u16, headers: Json, body: &str) -> Json {
    json!({"answer": {"status": status, "headers": headers, "body": body}})
}

/// What every vendor can do to a request.
fn common(random: &mut Random) -> Json {
    match random.below(10) {
        0 => json!("drop_before"),
        1..=3 => json!("drop_after"),
        4 => json!({"slow_ms": 400}),
        5 => answer(500, json!({}), "internal error"),
        6 => answer(502, json!({"content-type": "text/html"}), "<html><h1>Bad Gateway</h1></html>"),
        7 => answer(503, json!({"Retry-After": "1"}), "\u{0}\u{fffd}{\"half"),
        8 => answer(200, json!({"content-type": "text/html"}), "<html>a proxy says hello</html>"),
        _ => answer(521, json!({}), ""),
    }
}

fn of_hubspot(random: &mut Random) -> Json {
    let limited = |policy: &str, headers| {
        let body = json!({"status": "error", "message": "You have reached your limit.", "errorType": "RATE_LIMIT",
            "correlationId": "c", "policyName": policy});
        answer(429, headers, &body.to_string())
    };
    let error = |status, category: &str, message: &str| {
        let body = json!({"status": "error", "message": message, "correlationId": "c", "category": category});
        answer(status, json!({}), &body.to_string())
    };
    match random.below(19) {
        0 => limited("TEN_SECONDLY_ROLLING", json!({"X-HubSpot-RateLimit-Interval-Milliseconds": "1000"})),
        1 => limited("SECONDLY", json!({})),
        2 => limited("TEN_SECONDLY_ROLLING", json!({"Retry-After": "1"})),
        3 => json!("empty_results"),
        4 | 5 => json!({"partial": 200}),
        6 => json!({"partial": 207}),
        7 => error(400, "VALIDATION_ERROR", "Property values were not valid"),
        8 => error(409, "CONFLICT", "it changed meanwhile"),
        9 => answer(423, json!({}), "{\"status\":\"error\",\"message\":\"locked\"}"),
        10 => answer(477, json!({"Retry-After": "1"}), "{\"status\":\"error\",\"message\":\"migrating\"}"),
        11 => error(401, "EXPIRED_AUTHENTICATION", "the token expired"),
        12 => limited("DAILY", json!({})),
        13 => error(400, "VALIDATION_ERROR", "Property values were not valid: [{\"error\":\"PROPERTY_DOESNT_EXIST\"}]"),
        _ => common(random),
    }
}

fn of_intercom(random: &mut Random) -> Json {
    let error = |status, code: &str, message: &str| {
        let body = json!({"type": "error.list", "request_id": "r", "errors": [{"code": code, "message": message}]});
        answer(status, json!({}), &body.to_string())
    };
    match random.below(12) {
        0 => error(429, "rate_limit_exceeded", "Exceeded rate limit of 83 in 10_seconds"),
        1 => error(401, "token_expired", "Access Token Expired"),
        2 => error(409, "conflict", "A contact matching those details already exists with id=nobody"),
        3 => error(400, "parameter_invalid", "no"),
        4 => error(404, "not_found", "not found"),
        _ => common(random),
    }
}

fn of_slack(random: &mut Random) -> Json {
    let refused = |code: &str| answer(200, json!({}), &json!({"ok": false, "error": code}).to_string());
    let after = |code: &str| json!({"answer_after": {"status": 200, "headers": {}, "body": json!({"ok": false, "error": code}).to_string()}});
    match random.below(14) {
        0 => answer(429, json!({"Retry-After": "1"}), "{\"ok\":false,\"error\":\"ratelimited\"}"),
        1 => answer(429, json!({}), "{\"ok\":false,\"error\":\"rate_limited\",\"retry_after\":1}"),
        2 => refused("service_unavailable"),
        3 => refused("internal_error"),
        4 => after("internal_error"),
        5 => after("fatal_error"),
        6 => refused("channel_not_found"),
        7 => refused("token_expired"),
        8 => refused("something_new"),
        _ => common(random),
    }
}

fn of_webhook(random: &mut Random) -> Json {
    let after = |status: u16| json!({"answer_after": {"status": status, "headers": {}, "body": "<html>"}});
    match random.below(14) {
        0 => answer(429, json!({"Retry-After": "1"}), "slowly"),
        1 => answer(425, json!({}), ""),
        2 => answer(422, json!({}), "{\"error\":\"no\"}"),
        3 => answer(404, json!({}), ""),
        4 => answer(401, json!({}), ""),
        5 => after(408),
        6 => after(502),
        7 => answer(302, json!({"Location": "/elsewhere"}), ""),
        // Whoever says 200 has taken it.
        8 => after(200),
        _ => Some(common(random)).filter(|fault| fault["answer"]["status"] != 200).unwrap_or(json!("drop_after")),
    }
}

/// What can befall the renewal of a token. Where the answer is lost, so is the login: the token before it counts no more.
fn of_login(random: &mut Random) -> Json {
    match random.below(5) {
        0 => answer(502, json!({}), "<html>bad gateway</html>"),
        1 => json!("drop_before"),
        2 => answer(200, json!({}), "not json"),
        3 => answer(429, json!({}), "{}"),
        _ => json!("drop_after"),
    }
}

/// The faults of a day.
pub fn plan_faults(site: &Site, way: Way, random: &mut Random) {
    // What is said at the token's address is of another kind.
    let crm = if way == Way::Login { "/crm" } else { "" };
    let vendors = [
        (&site.vendors.hubspot, crm, of_hubspot as fn(&mut Random) -> Json),
        (&site.vendors.intercom, "", of_intercom),
        (&site.vendors.slack, "", of_slack),
        (&site.vendors.webhook, "", of_webhook),
    ];
    for (vendor, place, menu) in vendors {
        let count = random.below(4);
        let faults = (0..count).map(|_| json!({"match": place, "skip": random.below(6), "kind": menu(random)}));
        vendor.faults(&faults.collect());
    }
    if way == Way::Login && random.below(2) == 0 {
        let fault = json!({"match": "POST /oauth", "skip": random.below(3), "kind": of_login(random)});
        site.vendors.hubspot.faults(&json!([fault]));
    }
}
