//! Intercom's strictness, rule by rule.

mod common;

use vitalsync_sandbox::{Sandbox, Vendor};

const SETUP: &str = r#"
seed {"data_attributes":[{"name":"score","model":"contact","data_type":"integer"},{"name":"ratio","model":"contact","data_type":"float"},{"name":"note","model":"contact","data_type":"string"},{"name":"ok","model":"contact","data_type":"boolean"},{"name":"at","model":"contact","data_type":"datetime"},{"name":"band","model":"contact","data_type":"options","options":[{"value":"red"},{"value":"green"}]},{"name":"seats","model":"company","data_type":"integer"}],"companies":[{"company_id":"acme","name":"Acme"}],"contacts":[{"external_id":"u1","email":"ann@acme.com","name":"Ann"},{"external_id":"u2","email":"bob@acme.com"}]}
"#;
const CO: &str = "6762f0dd1bb69f9f21930001";
const ANN: &str = "6762f0dd1bb69f9f21930002";
const BOB: &str = "6762f0dd1bb69f9f21930003";

fn check(script: &str) -> Sandbox {
    let script = script.replace("MANY", &r#"{"id":"CO_ID"},"#.repeat(50));
    let script = script.replace("ANN", ANN).replace("BOB", BOB).replace("CO_ID", CO);
    common::check(Vendor::Intercom, &format!("{SETUP}{script}"))
}

#[test]
fn only_the_right_token_is_let_in() {
    check(
        r#"
as wrong
GET /me
    401 | "type":"error.list" | unauthorized | Access Token Invalid | "request_id" | !X-RateLimit
as key
GET /me
    200 | "id_code" | X-RateLimit-Limit: 1666 | X-RateLimit-Remaining: 1665 | X-RateLimit-Reset: 1795334410
GET /nowhere
    404 | not_found
"#,
    );
}

#[test]
fn windows_are_ten_seconds_of_the_clock() {
    check(
        r#"
limits {"per_window":2}
+9000
GET /me
    200 | X-RateLimit-Remaining: 1
GET /me
    200
GET /me
    429 | Exceeded rate limit of 2 in 10_seconds | rate_limit_exceeded | X-RateLimit-Remaining: 0 | !Retry-After
+1000
GET /me
    200
"#,
    );
}

#[test]
fn creation_never_updates() {
    let sandbox = check(
        r#"
POST /contacts {"external_id":"u1","email":"other@acme.com"}
    409 | "code":"conflict" | A contact matching those details already exists with id=ANN
POST /contacts {"email":"Ann@acme.com"}
    409
POST /contacts {"external_id":"u9","email":"ann@acme.com"}
    200 | "role":"user"
POST /contacts/BOB/archive
    200 | "archived":true
POST /contacts {"external_id":"u2"}
    409 | An archived contact matching those details already exists with id=BOB
GET /contacts/find_by_external_id/u2
    404
POST /contacts {"name":"x"}
    400 | parameter_not_found
POST /contacts {"external_id":"u3","nonsense":1}
    400 | bad 'nonsense' parameter
POST /contacts {"external_id":3}
    400 | must be a string
POST /contacts {"role":"lead","external_id":"u4"}
    400 | lead
POST /contacts {"external_id":"u5","signed_up_at":1795334400000}
    400 | seconds
POST /contacts nonsense
    400 | client_error
"#,
    );
    assert_eq!(sandbox.contacts().len(), 2);
}

#[test]
fn contacts_are_found_by_their_own_and_by_our_id() {
    check(
        r#"
GET /contacts/ANN
    200 | "external_id":"u1" | "type":"contact"
GET /contacts/u1
    404 | User Not Found
PUT /contacts/u1 {"name":"x"}
    404
GET /contacts/find_by_external_id/u1
    200 | "id":"ANN"
GET /contacts/find_by_external_id/u%2F9
    404 | not_found
PUT /contacts/ANN {"name":"Anna"}
    200 | Anna | "email":"ann@acme.com"
PUT /contacts/ANN {"name":null}
    200 | "name":null
PUT /contacts/ANN {"external_id":"u2"}
    409
POST /contacts/merge {"from":"ANN","into":"BOB"}
    200 | "id":"BOB"
GET /contacts/find_by_external_id/u1
    410 | contact_merged | Link: </contacts/BOB>; rel="canonical"
GET /contacts/ANN
    410 | contact_merged | Link: </contacts/BOB>; rel="canonical"
PUT /contacts/ANN {"name":"x"}
    404
"#,
    );
}

#[test]
fn attributes_must_exist_and_values_fit() {
    let long = format!("\"{}\"", "x".repeat(256));
    let fits = format!("\"{}\"", "é".repeat(255));
    for (name, value, good) in [
        ("score", "3", true),
        ("score", "3.5", false),
        ("score", "\"3\"", false),
        ("ratio", "3.5", true),
        ("ok", "true", true),
        ("ok", "\"true\"", false),
        ("at", "1795334400", true),
        ("at", "1795334400000", false),
        ("at", "-9223372036854775808", false),
        ("at", "\"2026-11-22\"", false),
        ("band", "\"red\"", true),
        ("band", "\"Red\"", false),
        ("note", "\"x\"", true),
        ("note", &long, false),
        ("note", &fits, true),
        ("note", "[1]", false),
        ("note", "{\"a\":1}", false),
        ("note", "null", true),
        ("absent", "1", false),
        ("seats", "1", false),
    ] {
        let reply = if good { "200" } else { "400 | parameter_invalid" };
        check(&format!(
            "PUT /contacts/ANN {{\"name\":\"new\",\"custom_attributes\":{{\"{name}\":{value}}}}}\n    {reply}\n\
             GET /contacts/ANN\n    200 | \"name\":\"{}\"\n",
            if good { "new" } else { "Ann" }
        ));
    }
    check(
        r#"
PUT /contacts/ANN {"custom_attributes":{"nope":1}}
    400 | Custom attribute 'nope' does not exist
PUT /contacts/ANN {"custom_attributes":{"score":5}}
    200
PUT /contacts/ANN {"custom_attributes":{"note":"n"}}
    200 | "score":5
PUT /contacts/ANN {"custom_attributes":{"score":null}}
    200 | !"score"
"#,
    );
}

#[test]
fn definitions_are_checked() {
    check(
        r#"
POST /data_attributes {"name":"vs_band_2 x","model":"contact","data_type":"string"}
    200 | "custom":true | "data_type":"string" | custom_attributes.vs_band_2 x
POST /data_attributes {"name":"Score","model":"company","data_type":"integer"}
    400 | You already have 'score' in your people data. To save this as new company data, use a different name.
POST /data_attributes {"name":"a.b","model":"contact","data_type":"string"}
    400 | must only contain alphanumeric characters
POST /data_attributes {"name":"x","model":"user","data_type":"string"}
    400 | either contact or company
POST /data_attributes {"name":"x","model":"contact","data_type":"number"}
    400 | Data Type isn't an option
POST /data_attributes {"name":"x","model":"contact","data_type":"options","options":[{"value":"a"}]}
    400 | two options
GET /data_attributes?model=company
    200 | "name":"seats" | !"name":"score"
PUT /data_attributes/12878 {"data_type":"string"}
    400
PUT /data_attributes/12878 {"archived":true}
    200 | "archived":true
PUT /data_attributes/9 {}
    404
GET /data_attributes?model=contact
    200 | !"name":"score"
GET /data_attributes?model=contact&include_archived=true
    200 | "name":"score"
PUT /contacts/ANN {"custom_attributes":{"score":1}}
    400
"#,
    );
    let mut script = String::new();
    for at in 7..251 {
        let reply = if at < 250 { "200" } else { "400 | 250" };
        script += &format!(
            "POST /data_attributes {{\"name\":\"a{at}\",\"model\":\"contact\",\"data_type\":\"string\"}}\n    {reply}\n"
        );
    }
    check(&script);
}

#[test]
fn tags_are_one_to_a_name_and_go_on_and_off() {
    let sandbox = check(
        r#"
POST /tags {"name":"At risk"}
    200 | "id":"7522904" | "type":"tag"
POST /tags {"name":"AT RISK"}
    200 | "id":"7522904" | At risk
POST /tags {"test":"invalid"}
    400 | invalid tag parameters
POST /tags {"name":"x","companies":[],"users":[]}
    400
POST /tags {"name":"new","companies":[{"company_id":"123"}]}
    404 | company_not_found
POST /tags {"name":"new","users":[{"id":"123"}]}
    404 | not_found
GET /tags
    200 | At risk | !new
POST /contacts/ANN/tags {"id":7522904}
    200 | At risk | applied_at
POST /contacts/ANN/tags {"id":"7522904"}
    200
GET /contacts/ANN
    200 | "total_count":1 | "url":"/tags/7522904"
POST /contacts/ANN/tags {"id":"1"}
    404 | Resource Not Found
POST /contacts/u1/tags {"id":"7522904"}
    404 | User Not Found
GET /contacts/ANN/tags
    200 | "name":"At risk"
DELETE /tags/7522904
    400 | tag_has_dependent_objects
DELETE /contacts/ANN/tags/7522904
    200
DELETE /contacts/ANN/tags/7522904
    404
POST /tags {"name":"At risk","users":[{"id":"ANN"},{"id":"BOB"}]}
    200
POST /tags {"name":"at risk","companies":[{"company_id":"acme"}]}
    200 | "tagged":true
GET /companies?company_id=acme
    200 | At risk
POST /tags {"name":"at risk","companies":[{"id":"CO_ID","untag":true}]}
    200 | "tagged":false
POST /tags {"name":"at risk","companies":[MANY{"id":"CO_ID"}]}
    400 | 50 items
DELETE /contacts/ANN/tags/7522904
    200
DELETE /companies/CO_ID
    200 | "deleted":true
POST /tags {"name":"at risk","companies":[{"id":"CO_ID","untag":true}]}
    404 | company_not_found
DELETE /companies/CO_ID
    404 | company_not_found
"#,
    );
    assert_eq!((sandbox.tags_of("u1"), sandbox.tags_of("u2")), (vec![], vec!["At risk".to_owned()]));
}

#[test]
fn companies_are_upserted_by_company_id_and_attached_by_intercoms() {
    check(
        r#"
POST /companies {"company_id":"acme","monthly_spend":12.9,"custom_attributes":{"seats":4}}
    200 | "id":"CO_ID" | "name":"Acme" | "monthly_spend":12, | "seats":4
POST /companies {"name":"no id"}
    400 | company_id
POST /companies {"company_id":"acme","custom_attributes":{"score":4}}
    400 | does not exist
POST /companies {"company_id":"acme","test":"invalid"}
    400 | bad 'test' parameter
PUT /companies/CO_ID {"company_id":"other"}
    400
GET /companies?company_id=nope
    404 | company_not_found
POST /companies/list
    200 | "total_count":0
POST /contacts/ANN/companies {"id":"acme"}
    404 | company_not_found
POST /contacts/ANN/companies {}
    400 | company not specified
POST /contacts/ANN/companies {"id":"CO_ID"}
    200 | "user_count":1
GET /contacts/ANN/companies
    200 | "company_id":"acme"
POST /companies/list
    200 | "total_count":1
DELETE /contacts/ANN/companies/CO_ID
    200
"#,
    );
}

#[test]
fn search_lags_and_nests_two_deep() {
    check(
        r#"
POST /contacts/search {"query":{"field":"external_id","operator":"=","value":"u1"}}
    200 | "total_count":1 | ann@acme.com
POST /contacts/search {"query":{"operator":"AND","value":[{"field":"role","operator":"=","value":"user"},{"field":"external_id","operator":"IN","value":["u1","u2"]}]},"pagination":{"per_page":1}}
    200 | "total_count":2 | "starting_after":"ANN" | !bob@
POST /contacts/search {"query":{"field":"role","operator":"=","value":"user"},"pagination":{"per_page":1,"starting_after":"ANN"}}
    200 | bob@ | !starting_after
POST /contacts/search {"query":{"field":"role","operator":"=","value":"user"},"pagination":{"per_page":151}}
    400
POST /contacts/search {"query":{"operator":"AND","value":[{"operator":"AND","value":[{"operator":"AND","value":[]}]}]}}
    400
limits {"index_lag_ms":60000}
PUT /contacts/ANN {"name":"Zoe"}
    200
POST /contacts/search {"query":{"field":"name","operator":"=","value":"Zoe"}}
    200 | "total_count":0
+60000
POST /contacts/search {"query":{"field":"name","operator":"=","value":"Zoe"}}
    200 | "total_count":1
"#,
    );
}

#[test]
fn the_version_is_in_the_journal() {
    let sandbox = check("GET /me\n    200\n");
    assert!(sandbox.journal()[0].note.contains("not pinned"));
}
