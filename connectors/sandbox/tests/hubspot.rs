//! HubSpot's strictness, rule by rule.

mod common;

use common::START;
use vitalsync_sandbox::{Sandbox, Vendor};

fn check(script: &str) -> Sandbox {
    common::check(Vendor::HubSpot, script)
}

/// A unique property, a number, a date, a flag, a time and two kinds of list, and two companies.
const SETUP: &str = r#"
seed {"groups":[{"name":"health","label":"Health"}],"properties":[{"name":"acct","label":"A","type":"string","fieldType":"text","groupName":"health","hasUniqueValue":true},{"name":"score","label":"S","type":"number","fieldType":"number","groupName":"health"},{"name":"day","label":"D","type":"date","fieldType":"date","groupName":"health"},{"name":"at","label":"T","type":"datetime","fieldType":"date","groupName":"health"},{"name":"risk","label":"R","type":"bool","fieldType":"booleancheckbox","groupName":"health","options":[]},{"name":"band","label":"B","type":"enumeration","fieldType":"select","groupName":"health","options":[{"label":"R","value":"red","displayOrder":0,"hidden":false},{"label":"G","value":"green","displayOrder":1,"hidden":false}]},{"name":"why","label":"W","type":"enumeration","fieldType":"checkbox","groupName":"health","options":[{"label":"a","value":"a","displayOrder":0,"hidden":false},{"label":"b","value":"b","displayOrder":1,"hidden":false}]}]}
seed {"companies":[{"name":"Acme","domain":"acme.com","acct":"a1"},{"name":"Beta","domain":"Beta.io"}]}
"#;
const ACME: &str = "15406318607";
const BETA: &str = "15406318614";

fn check_seeded(script: &str) -> Sandbox {
    check(&format!("{SETUP}{}", script.replace("ACME", ACME).replace("BETA", BETA)))
}

#[test]
fn only_the_right_token_is_let_in() {
    check(
        r#"
as wrong
GET /account-info/2026-09/details
    401 | "category":"INVALID_AUTHENTICATION" | "correlationId" | !RateLimit
as nobody
GET /account-info/v3/details
    401
as key
GET /account-info/v3/details
    200 | "portalId":14 | "timeZone":"UTC" | X-HubSpot-RateLimit-Max: 100 | X-HubSpot-RateLimit-Interval-Milliseconds: 10000
GET /account-info/2026-09/details
    200 | X-HubSpot-RateLimit-Remaining: 98 | X-HubSpot-RateLimit-Daily-Remaining: 249998
GET /account-info/2031-01/details
    404
GET /account-info/2026-09/api-usage/daily/private-apps
    200 | "currentUsage":3 | "usageLimit":250000
"#,
    );
}

#[test]
fn two_accounts_have_two_portal_ids() {
    let portal = |token| Sandbox::new(Vendor::HubSpot, token).state()["portalId"].clone();
    assert_ne!(portal("a"), portal("b"));
    assert_eq!(portal("a"), portal("a"));
}

#[test]
fn values_fit_their_property_or_are_refused() {
    let long = "x".repeat(65_537);
    for (property, sent, outcome) in [
        ("score", "5.0", Ok("5")),
        ("score", "1,000", Err("INVALID_LONG")),
        ("score", "NaN", Err("INVALID_LONG")),
        ("risk", "true", Ok("true")),
        ("risk", "yes", Err("INVALID_OPTION")),
        ("day", "2026-08-13", Ok("2026-08-13")),
        ("day", "1786579200000", Ok("2026-08-13")),
        ("day", "1786579200001", Err("is at 0:0:0.1 UTC, not midnight!")),
        ("day", "13/08/2026", Err("INVALID_DATE")),
        ("at", "2026-08-13T10:00:00+02:00", Ok("2026-08-13T08:00:00Z")),
        ("at", "1786579200000", Ok("2026-08-13T00:00:00Z")),
        ("at", "2026-08-13", Err("INVALID_DATE")),
        ("at", "2026-08-13T10:00:00", Err("INVALID_DATE")),
        ("band", "red", Ok("red")),
        ("band", "Red", Err("INVALID_OPTION")),
        ("band", "red;green", Err("INVALID_OPTION")),
        ("why", "b;a", Ok("b;a")),
        ("why", "a;c", Err("INVALID_OPTION")),
        ("domain", "https://WWW.Acme.com/x", Ok("acme.com")),
        ("name", long.as_str(), Err("TOO_LONG")),
        ("createdate", "2026-08-13T10:00:00Z", Err("READ_ONLY_VALUE")),
        ("hs_lastmodifieddate", "1", Err("READ_ONLY_VALUE")),
        ("hs_object_id", "1", Err("READ_ONLY_VALUE")),
        ("nonsense", "1", Err("PROPERTY_DOESNT_EXIST")),
    ] {
        let reply = match outcome {
            Ok(stored) => format!("200 | \"{property}\":\"{stored}\""),
            Err(code) => format!("400 | {code} | VALIDATION_ERROR | Property values were not valid: [{{\\\"error\\\""),
        };
        check_seeded(&format!(
            "PATCH /crm/v3/objects/companies/ACME {{\"properties\":{{\"{property}\":\"{sent}\"}}}}\n    {reply}\n"
        ));
    }
}

#[test]
fn lists_append_and_empty_text_clears() {
    check_seeded(
        r#"
PATCH /crm/objects/2026-09/companies/ACME {"properties":{"why":"a"}}
    200
PATCH /crm/objects/2026-09/companies/ACME {"properties":{"why":";b"}}
    200 | "why":"a;b"
PATCH /crm/objects/2026-09/companies/ACME {"properties":{"why":""}}
    200
GET /crm/objects/2026-09/companies/ACME?properties=why,name
    200 | "why":null | "name":"Acme" | !domain
PATCH /crm/objects/2026-09/companies/ACME {"properties":{"why":null}}
    400 | Invalid input JSON
PATCH /crm/objects/2026-09/companies/ACME {"properties":{"score":7.50}}
    200 | "score":"7.5"
"#,
    );
}

#[test]
fn a_bad_value_fails_its_input_only_with_trace_ids_on_all() {
    let good = r#"{"id":"ACME","objectWriteTraceId":"t1","properties":{"score":"1"}}"#;
    let bad = r#"{"id":"BETA","objectWriteTraceId":"t2","properties":{"score":"x"}}"#;
    let untraced = bad.replace(r#""objectWriteTraceId":"t2","#, "");
    let twice = bad.replace("t2", "t1");
    let read = "GET /crm/v3/objects/companies/ACME?properties=score\n";
    for (second, version, reply, stored) in [
        (bad, "v3", r#"207 | "numErrors":1 | "context":{"objectWriteTraceId":["t2"]} | "id":"ACME""#, r#""score":"1""#),
        (bad, "2026-03", r#"207 | "numErrors":1"#, r#""score":"1""#),
        (bad, "2026-09", r#"200 | "numErrors":1 | "objectWriteTraceId":["t2"] | COMPLETE"#, r#""score":"1""#),
        (&untraced, "2026-09", "400 | INVALID_LONG | !results", r#""score":null"#),
        (&twice, "v3", "400 | INVALID_LONG", r#""score":null"#),
    ] {
        let path = if version == "v3" { "/crm/v3/objects".to_owned() } else { format!("/crm/objects/{version}") };
        check_seeded(&format!(
            "POST {path}/companies/batch/update {{\"inputs\":[{good},{second}]}}\n    {reply}\n{read}    200 | {stored}\n"
        ));
    }
}

#[test]
fn what_fails_a_whole_batch() {
    let many = vec![r#"{"id":"1"}"#; 101].join(",");
    let bodies = [
        (
            r#"{"inputs":[{"id":"ACME","objectWriteTraceId":"1","properties":{"score":"1"}},{"id":"BETA","objectWriteTraceId":"2","properties":{"nope":"1"}}]}"#,
            "400 | PROPERTY_DOESNT_EXIST | nope",
        ),
        (
            r#"{"inputs":[{"id":"ACME","properties":{}},{"id":"ACME","properties":{}}]}"#,
            r#"400 | Duplicate IDs found in batch input: [ACME]. IDs must be unique | "ids":["ACME"]"#,
        ),
        (
            r#"{"inputs":[{"id":"ACME","idProperty":"hs_object_id","properties":{}}]}"#,
            "400 | non-unique 0-2 property hs_object_id",
        ),
        (
            r#"{"inputs":[{"id":"acme.com","idProperty":"domain","properties":{}}]}"#,
            "400 | non-unique 0-2 property domain",
        ),
        (r#"{"inputs":[{"properties":{}}]}"#, "400 | [id]"),
        (r#"{"inputs":[{"id":5,"properties":{}}]}"#, "400 | not a string"),
        (r#"{"inputs":[{"id":"ACME"}]}"#, "400 | [properties]"),
        ("{", "400 | Invalid input JSON"),
        ("{}", r#"200 | "results":[] | !errors"#),
    ];
    for (body, reply) in bodies {
        for how in ["update", "upsert"] {
            let none = r#"GET /crm/v3/objects/companies/ACME?properties=score
    200 | "score":null"#;
            check_seeded(&format!("POST /crm/v3/objects/companies/batch/{how} {body}\n    {reply}\n{none}\n"));
        }
    }
    check(&format!("POST /crm/v3/objects/companies/batch/read {{\"inputs\":[{many}]}}\n    400 | 100\n"));
}

#[test]
fn upsert_goes_by_a_unique_property() {
    let sandbox = check_seeded(
        r#"
POST /crm/objects/2026-09/companies/batch/upsert {"inputs":[{"id":"a1","idProperty":"acct","objectWriteTraceId":"x","properties":{"score":"1"}},{"id":"c3","idProperty":"acct","objectWriteTraceId":"y","properties":{"name":"Gamma"}},{"id":"d4","idProperty":"acct","objectWriteTraceId":"z","properties":{"score":"2"}}]}
    200 | "new":false | "new":true | "id":"ACME" | "objectWriteTraceId":"y" | "numErrors":1 | Some required properties were not set | ["z"]
POST /crm/objects/2026-09/companies/batch/read {"idProperty":"acct","properties":["name"],"inputs":[{"id":"a1"},{"id":"c3"},{"id":"d4"}]}
    200 | Gamma | Acme | OBJECT_NOT_FOUND | "ids":["d4"]
POST /crm/v3/objects/companies/batch/read {"idProperty":"acct","inputs":[{"id":"d4"}]}
    207 | OBJECT_NOT_FOUND
POST /crm/v3/objects/companies/batch/read {"idProperty":"hs_object_id","inputs":[{"id":"ACME"}]}
    400
POST /crm/v3/objects/companies/batch/update {"inputs":[{"id":"77","properties":{}},{"id":"ACME","properties":{"score":"9"}}]}
    207 | OBJECT_NOT_FOUND | "ids":["77"] | "score":"9"
"#,
    );
    assert_eq!(sandbox.companies().len(), 3);
}

#[test]
fn creation_needs_a_name_or_a_domain_and_never_looks_for_twins() {
    let sandbox = check_seeded(
        r#"
POST /crm/v3/objects/companies {"properties":{"score":"1"}}
    400 | Some required properties were not set
POST /crm/v3/objects/companies {"properties":{"domain":"acme.com"}}
    201 | "domain":"acme.com" | "hs_object_id"
POST /crm/objects/2026-09/companies/batch/create {"inputs":[{"properties":{"name":"Acme","domain":"acme.com"}}]}
    201 | "status":"COMPLETE"
POST /crm/v3/objects/companies {"properties":{"name":"x","acct":"a1"}}
    409 | "category":"CONFLICT" | ACME already has that value
POST /crm/v3/objects/companies/batch/create {"inputs":[{"properties":{"name":"x","acct":"new"}},{"properties":{"name":"y","acct":"new"}}]}
    409 | CONFLICT
POST /crm/v3/objects/companies/batch/create {"inputs":[{"objectWriteTraceId":"1","properties":{"name":"x","acct":"new"}},{"objectWriteTraceId":"2","properties":{"name":"y","acct":"new"}}]}
    207 | CONFLICT | "objectWriteTraceId":["2"]
"#,
    );
    assert_eq!(sandbox.companies().len(), 5);
}

#[test]
fn contacts_are_one_to_an_email() {
    check(
        r#"
POST /crm/v3/objects/contacts {"properties":{"email":"Ann@Acme.com"}}
    201 | ann@acme.com
POST /crm/v3/objects/contacts {"properties":{"email":"ANN@acme.com"}}
    409 | Contact already exists. Existing ID: 70850147307
POST /crm/v3/objects/contacts {"properties":{"email":"ann"}}
    400 | INVALID_EMAIL
POST /crm/v3/objects/contacts/batch/upsert {"inputs":[{"id":"ann@acme.com","idProperty":"email","properties":{}},{"id":"ANN@ACME.com","idProperty":"email","properties":{}}]}
    400 | Duplicate IDs
"#,
    );
}

#[test]
fn contacts_belong_to_companies() {
    let sandbox = check_seeded(
        r#"
seed {"contacts":[{"email":"ann@acme.com"},{"email":"bob@acme.com"}]}
POST /crm/associations/2026-09/contacts/companies/batch/associate/default {"inputs":[{"from":{"id":"70850147307"},"to":{"id":"ACME"}},{"from":{"id":"70850147307"},"to":{"id":"7"}}]}
    200 | "from":{"id":"70850147307"},"to":{"id":"ACME"} | "associationTypeId":279 | "associationTypeId":280 | "numErrors":1 | No company with ID 7 exists
POST /crm/v4/associations/contacts/companies/batch/associate/default {"inputs":[{"from":{"id":"70850147307"},"to":{"id":"7"}}]}
    207 | "results":[] | "toObjectId":["7"]
PUT /crm/v4/objects/contacts/70850147314/associations/default/companies/ACME
    200 | "to":{"id":"ACME"}
PUT /crm/objects/2026-09/companies/BETA/associations/default/contacts/70850147314
    200
POST /crm/v4/associations/companies/contacts/batch/read {"inputs":[{"id":"ACME"}]}
    200 | "toObjectId":70850147307 | "toObjectId":70850147314
POST /crm/objects/2026-09/companies/batch/archive {"inputs":[{"id":"ACME"}]}
    204
POST /crm/associations/2026-09/contacts/companies/batch/read {"inputs":[{"id":"70850147307"},{"id":"70850147314"}]}
    200 | "fromObjectId":["70850147307"] | "toObjectId":BETA | !ACME
POST /crm/objects/2026-09/contacts/merge {"primaryObjectId":"70850147307","objectIdToMerge":"70850147314"}
    200 | "hs_additional_emails":"bob@acme.com"
POST /crm/objects/2026-09/contacts/batch/read {"idProperty":"email","inputs":[{"id":"Bob@acme.com"}]}
    200 | "id":"70850147307"
POST /crm/associations/2026-09/contacts/companies/batch/archive {"inputs":[{"from":{"id":"70850147307"},"to":[{"id":"BETA"}]}]}
    204
GET /crm/v4/objects/contacts
    404
"#,
    );
    assert_eq!(sandbox.state()["associations"], serde_json::json!([["70850147307", ACME]]), "of an archived company");
}

#[test]
fn merged_and_archived_records_are_gone() {
    let sandbox = check_seeded(
        r#"
POST /crm/v3/objects/companies/merge {"primaryObjectId":"BETA","objectIdToMerge":"ACME"}
    200 | "hs_merged_object_ids":"ACME" | "acct":"a1"
POST /crm/objects/2026-09/companies/batch/update {"inputs":[{"id":"ACME","properties":{"score":"1"}}]}
    200 | OBJECT_NOT_FOUND | "results":[]
POST /crm/v3/objects/companies/search {"query":"acme"}
    200 | "total":0
GET /crm/v3/objects/companies/a1?idProperty=acct
    200 | "id":"BETA"
POST /crm/objects/2026-09/companies/batch/read {"inputs":[{"id":"ACME"}]}
    200 | "id":"BETA"
GET /crm/v3/objects/companies/ACME
    200 | "id":"BETA"
DELETE /crm/v3/objects/companies/BETA
    204
GET /crm/v3/objects/companies/BETA
    404 | OBJECT_NOT_FOUND
POST /crm/v3/objects/companies/batch/upsert {"inputs":[{"id":"a1","idProperty":"acct","properties":{"name":"again"}}]}
    200 | "new":true
"#,
    );
    assert_eq!(sandbox.companies().len(), 1);
}

#[test]
fn search_filters_and_refuses() {
    let search = |filter: &str| {
        format!("POST /crm/v3/objects/companies/search {{\"filterGroups\":[{{\"filters\":[{filter}]}}]}}\n")
    };
    for (filter, reply) in [
        (r#"{"propertyName":"domain","operator":"EQ","value":"bEtA.io"}"#, r#""total":1 | Beta"#),
        (r#"{"propertyName":"domain","operator":"IN","values":["beta.io","acme.com"]}"#, r#""total":2"#),
        (r#"{"propertyName":"name","operator":"IN","values":["Beta"]}"#, r#""total":0"#),
        (r#"{"propertyName":"name","operator":"IN","values":["beta"]}"#, r#""total":1"#),
        (r#"{"propertyName":"acct","operator":"HAS_PROPERTY"}"#, r#""total":1 | Acme"#),
        (r#"{"propertyName":"acct","operator":"NOT_HAS_PROPERTY"}"#, r#""total":1 | Beta"#),
        (r#"{"propertyName":"domain","operator":"CONTAINS_TOKEN","value":"*cme"}"#, r#""total":1 | Acme"#),
        (r#"{"propertyName":"score","operator":"GT","value":"9"}"#, r#""total":1 | Acme"#),
        (r#"{"propertyName":"band","operator":"EQ","value":"Red"}"#, r#""total":0"#),
    ] {
        let set =
            "PATCH /crm/v3/objects/companies/ACME {\"properties\":{\"score\":\"10\",\"band\":\"red\"}}\n    200\n";
        check_seeded(&format!("{set}{}    200 | {reply} | !RateLimit-Remaining\n", search(filter)));
    }
    for (filter, reply) in [
        (r#"{"propertyName":"nope","operator":"HAS_PROPERTY"}"#, "PROPERTY_DOESNT_EXIST"),
        (r#"{"propertyName":"name","operator":"LIKE","value":"x"}"#, "Invalid input JSON"),
        (r#"{"propertyName":"name","operator":"IN"}"#, "lacks"),
        (&[r#"{"propertyName":"name","operator":"HAS_PROPERTY"}"#; 7].join(","), "too many filters"),
    ] {
        check_seeded(&format!("{}    400 | {reply}\n", search(filter)));
    }
    let long = "x".repeat(3000);
    check_seeded(&format!(
        r#"
POST /crm/v3/objects/companies/search {{"limit":1,"sorts":[{{"propertyName":"name","direction":"DESCENDING"}}]}}
    200 | "total":2 | Beta | !Acme | "after":"1"
POST /crm/v3/objects/companies/search {{"limit":1,"after":"1","sorts":["-name"]}}
    200 | Acme | !paging
POST /crm/v3/objects/companies/search {{"limit":201}}
    400
POST /crm/v3/objects/companies/search {{"limit":200,"after":"9801"}}
    400 | 10000
+1000
POST /crm/v3/objects/companies/search {{"after":"18446744073709551615"}}
    400 | 10000
POST /crm/v3/objects/companies/search {{"query":"{long}"}}
    400 | 3000
"#
    ));
}

#[test]
fn the_index_lags_behind() {
    check_seeded(
        r#"
limits {"index_lag_ms":2000}
+10000
PATCH /crm/v3/objects/companies/ACME {"properties":{"domain":"new.com"}}
    200
GET /crm/v3/objects/companies/ACME
    200 | new.com
POST /crm/v3/objects/companies/search {"query":"new.com"}
    200 | "total":0
+1999
POST /crm/v3/objects/companies/search {"query":"acme.com"}
    200 | "total":1
+1
POST /crm/v3/objects/companies/search {"query":"new.com"}
    200 | "total":1
"#,
    );
}

#[test]
fn the_windows_roll() {
    check(
        r#"
limits {"ten_secondly":2,"search_secondly":1,"daily":5}
GET /account-info/v3/details
    200 | Remaining: 1
+9000
GET /account-info/v3/details
    200 | Remaining: 0
POST /crm/v3/objects/companies/search {}
    200 | x-hubspot-rate-limit-exemptions: ten-secondly | !X-HubSpot-RateLimit
POST /crm/v3/objects/companies/search {}
    429 | "policyName":"SECONDLY" | You have reached your secondly limit. | !X-HubSpot-RateLimit
GET /account-info/v3/details
    429 | "policyName":"TEN_SECONDLY_ROLLING" | "errorType":"RATE_LIMIT" | "status":"error" | !Retry-After
+1000
GET /account-info/v3/details
    200
GET /account-info/v3/details
    429 | TEN_SECONDLY_ROLLING
+9000
GET /account-info/v3/details
    200 | Daily-Remaining: 0
+9000
GET /account-info/v3/details
    429 | "policyName":"DAILY"
+86400000
GET /account-info/v3/details
    200
"#,
    );
}

#[test]
fn definitions_are_checked() {
    let property = |more: &str| {
        format!(
            r#"POST /crm/properties/2026-09/companies {{"name":"p","label":"P","groupName":"companyinformation",{more}}}"#
        )
    };
    let option = r#"{"label":"a","value":"a","displayOrder":0,"hidden":false}"#;
    for (more, reply) in [
        (r#""type":"string","fieldType":"text""#.to_owned(), r#"201 | "readOnlyValue":false | "hasUniqueValue":false"#),
        (r#""type":"string","fieldType":"number""#.into(), "400 | does not go with"),
        (r#""type":"text","fieldType":"text""#.into(), "400 | type must be one of"),
        (r#""type":"string""#.into(), "400 | [fieldType]"),
        (r#""type":"enumeration","fieldType":"select""#.into(), "400 | at least one option"),
        (format!(r#""type":"enumeration","fieldType":"select","options":[{option}]"#), "201"),
        (format!(r#""type":"enumeration","fieldType":"select","options":[{option},{option}]"#), "400 | twice"),
        (
            r#""type":"enumeration","fieldType":"select","options":[{"label":"a","value":"a"}]"#.into(),
            "400 | displayOrder",
        ),
        (r#""type":"string","fieldType":"text","groupName":"nope""#.into(), "400 | group 'nope' does not exist"),
        (r#""type":"string","fieldType":"text","name":"Bad""#.into(), "400 | invalid"),
        (r#""type":"string","fieldType":"text","name":"hs_x""#.into(), "400 | invalid"),
        (r#""type":"string","fieldType":"text","name":"domain""#.into(), "409 | CONFLICT"),
    ] {
        check(&format!("{}\n    {reply}\n", property(&more)));
    }
    check_seeded(
        r#"
GET /crm/v3/properties/companies
    200 | "name":"hs_additional_domains" | "readOnlyValue":true | "name":"score"
GET /crm/v3/properties/companies/nope
    404 | OBJECT_NOT_FOUND
PATCH /crm/v3/properties/companies/acct {"hasUniqueValue":false}
    400
PATCH /crm/v3/properties/companies/acct {"type":"number","fieldType":"number"}
    400 | used
PATCH /crm/v3/properties/companies/band {"options":[]}
    400
PATCH /crm/v3/properties/companies/domain {"label":"x"}
    400
PATCH /crm/v3/properties/companies/band {"label":"Ampel"}
    200 | Ampel | "value":"red"
POST /crm/v3/properties/companies/groups {"name":"health","label":"H"}
    409
POST /crm/properties/2026-09/companies/groups {"name":"other","label":"O"}
    201
GET /crm/properties/2026-09/companies/groups
    200 | "name":"other"
GET /crm/properties/2026-09/companies/groups/nope
    404
POST /crm/properties/2026-09/companies/batch/create {"inputs":[{"name":"n1","label":"N","type":"string","fieldType":"text","groupName":"other"},{"name":"score","label":"N","type":"string","fieldType":"text","groupName":"other"}]}
    200 | "numErrors":1 | CONFLICT | "name":["score"]
POST /crm/v3/properties/companies/batch/create {"inputs":[{"name":"n1","label":"N","type":"string","fieldType":"text","groupName":"other"}]}
    207
POST /crm/v3/properties/companies/batch/create {"inputs":[{"name":"n2","label":"N","type":"string","fieldType":"text","groupName":"other"}]}
    201
POST /crm/v3/properties/companies/batch/read {"inputs":[{"name":"n1"},{"name":"zz"}]}
    207 | "name":"n1" | zz
DELETE /crm/v3/properties/companies/n1
    204
DELETE /crm/v3/properties/companies/name
    400
"#,
    );
}

#[test]
fn at_most_ten_unique_properties() {
    let mut script = String::new();
    for at in 0..11 {
        let reply = if at < 10 { "201" } else { "400 | 10" };
        script += &format!(
            "POST /crm/v3/properties/companies {{\"name\":\"u{at}\",\"label\":\"U\",\"type\":\"string\",\
             \"fieldType\":\"text\",\"groupName\":\"companyinformation\",\"hasUniqueValue\":true}}\n    {reply}\n"
        );
    }
    check(&script);
}

#[test]
fn seeding_by_type_gives_ids() {
    let mut sandbox = Sandbox::new(Vendor::HubSpot, "key");
    let id = sandbox.seed_company(&[("domain", "acme.com")]);
    let reply = common::send(&mut sandbox, "key", &format!("GET /crm/v3/objects/companies/{id}"), START);
    assert_eq!(reply.status, 200);
    assert_eq!(sandbox.companies()[0].properties["domain"], "acme.com");
}
