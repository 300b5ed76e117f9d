//! The section: what is taken, what is refused, and where.

use serde_json::{Value as Json, json};
use vitalsync_core::mapping::Missing;
use vitalsync_core::section::Kind;

use crate::common;

fn faults(section: Json) -> String {
    let (connector, faults) = common::read(&section);
    // An unknown key alone leaves a connector, and the shell refuses the config all the same.
    assert!(connector.is_some() || faults.iter().any(|fault| !fault.warning), "{faults:?}");
    let line = |fault: &vitalsync_core::section::Fault| {
        let hint = fault.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{}{}{hint}", if fault.warning { "warning: " } else { "" }, fault.message)
    };
    faults.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn companies(companies: Json) -> String {
    faults(json!({"type": "hubspot", "companies": companies}))
}

#[test]
fn the_shortest_section_has_sensible_defaults() {
    let connector = common::connector(&json!({"properties": {"score": "health.score"}}));
    let set = &connector.record_sets()[0];
    let ways: Vec<(&str, &str)> = set.keys.iter().map(|(by, expr)| (by.as_str(), expr.source())).collect();
    assert_eq!(ways, [("property:vitalsync_account_id", "account"), ("domain", "traits.domain")]);
    assert!(matches!(set.missing, Missing::Skip));
    let created: Vec<(&str, &str)> =
        set.create_fields.iter().map(|map| (map.field.as_str(), map.expr.source())).collect();
    assert_eq!(created, [("name", "default(traits.name, account)"), ("domain", "traits.domain")]);
}

#[test]
fn the_common_keys_are_the_shells() {
    let section = json!({"type": "hubspot", "token": "x", "base_url": "http://127.0.0.1:1", "schedule": "* * * * *",
        "mode": "live", "brake": "off", "api_version": "v3", "property_group": "ours",
        "companies": {"only": "lifecycle.customer", "match": {"domain": "traits.domain"}, "missing": "skip",
            "name": "traits.title", "domain": "traits.site", "properties": {"score": "health.score"}}});
    assert_eq!(faults(section), "");
}

#[test]
fn all_faults_are_found_at_once() {
    let found =
        faults(json!({"type": "hubspot", "api_versoin": "v3", "api_version": "latest", "property_group": "My Group",
        "companies": {"onyl": "true", "missing": "creat", "match": [{"record": "traits.x"}, {"property": "Account Id"}],
            "properties": {"Score": "health.score", "createdate": "health.score", "band": "helth.band"}}}));
    for part in [
        "unknown key `api_versoin` in the HubSpot destination (did you mean `api_version`?)",
        "expected api_version, such as \"2026-09\", \"2026-03\" or v3, found the text `latest`",
        "expected the name of a property group (small letters, digits and _, a letter first, at most 100 characters), found the text `My Group`",
        "unknown key `onyl` in companies (did you mean `only`?)",
        "expected missing: skip, create or a rule, found the text `creat` (did you mean `create`?)",
        "unknown way `record` to find a company (did you mean `record_id`?)",
        "found the text `Account Id`",
        "`Score` is no internal name of a HubSpot property",
        "`createdate` is kept by HubSpot and can't be written",
        "unknown name `helth.band` (did you mean `health.band`?)",
    ] {
        assert!(found.contains(part), "{part}\nis not in\n{found}");
    }
    assert_eq!(found.lines().count(), 10, "{found}");
}

#[test]
fn single_faults() {
    for (section, expected) in [
        (json!({}), "companies: `properties` is missing (HubSpot property: expression)"),
        (json!({"properties": {}}), "properties needs at least one HubSpot property"),
        (json!({"properties": {"a": "health.score", "again:a": "health.band"}}), "`a` is mapped twice"),
        (
            json!({"properties": {"vitalsync_account_id": "account"}}),
            "`vitalsync_account_id` is our own property of `match`: it holds the account's id",
        ),
        (
            json!({"match": [], "properties": {"a": "health.score"}}),
            "match needs at least one way: record_id, property or domain",
        ),
        (
            json!({"match": [{"property": "a"}, {"property": "b"}], "properties": {"c": "health.score"}}),
            "match: only one `property` can be our own",
        ),
        (
            json!({"match": [{"domain": "traits.a"}, {"domain": "traits.b"}], "properties": {"c": "health.score"}}),
            "match: `domain` stands there twice",
        ),
        (
            json!({"match": ["domain"], "properties": {"c": "health.score"}}),
            "expected a way to find a company as a section with keys, found the text `domain`",
        ),
        (json!({"missing": "health.score", "properties": {"c": "health.score"}}), "expected true or false, but"),
    ] {
        let found = companies(section.clone());
        assert!(found.starts_with(expected) && found.lines().count() == 1, "{section}\n{found}");
    }
    assert_eq!(
        faults(json!({"type": "hubspot"})),
        "the HubSpot destination: nothing to write, neither `companies` nor `contacts` \
         (companies: { properties: { vitalsync_health_score: health.score } })"
    );
    let long = format!("a{}", "b".repeat(100));
    assert!(companies(json!({"properties": {long: "health.score"}})).contains("no internal name"));
}

#[test]
fn creation_without_a_property_of_our_own_gets_one_and_a_warning() {
    for missing in ["create", "lifecycle.customer"] {
        let section = json!({"missing": missing, "match": [{"record_id": "traits.id"}, {"domain": "traits.domain"}],
            "properties": {"score": "health.score"}});
        let found = companies(section.clone());
        assert!(found.starts_with("warning: ") && found.contains("vitalsync_account_id"), "{found}");
        let connector = common::connector(&section);
        let ways: Vec<&str> = connector.record_sets()[0].keys.iter().map(|(by, _)| by.as_str()).collect();
        assert_eq!(ways, ["record_id", "property:vitalsync_account_id", "domain"]);
    }
}

#[test]
fn a_fault_stands_at_its_own_place() {
    let section =
        json!({"type": "hubspot", "companies": {"properties": {"good": "health.score", "hs_object_id": "account"}}});
    let Kind::Map(entries) = common::node(&section).kind else { panic!() };
    let Kind::Map(inner) = &entries[0].2.kind else { panic!() };
    let Kind::Map(properties) = &inner[0].2.kind else { panic!() };
    let (_, found) = common::read(&section);
    assert_eq!(found.iter().map(|fault| fault.place).collect::<Vec<_>>(), [properties[1].1]);
}

#[test]
fn contacts_have_defaults_of_their_own_and_belong_to_companies_that_are_written_too() {
    let mapped = json!({"properties": {"score": "account.health.score"}});
    let (connector, found) = common::read(&json!({"type": "hubspot", "contacts": mapped}));
    assert_eq!(found, []);
    let connector = connector.unwrap();
    let sets = connector.record_sets();
    let ways: Vec<(&str, &str)> = sets[0].keys.iter().map(|(by, expr)| (by.as_str(), expr.source())).collect();
    assert_eq!(ways, [("property:vitalsync_user_id", "user.id"), ("email", "user.traits.email")]);
    let created: Vec<&str> = sets[0].create_fields.iter().map(|map| map.field.as_str()).collect();
    assert_eq!(created, ["email", "firstname", "lastname"]);
    let kinds = |contacts: Json| {
        let connector = common::both(&json!({"properties": {"score": "health.score"}}), &contacts);
        connector.record_sets().iter().map(|set| set.kind).collect::<Vec<_>>()
    };
    assert_eq!(sets.len(), 1, "alone they belong to nobody");
    assert_eq!(kinds(mapped.clone()), ["company", "contact", "association"]);
    let alone = json!({"associate": false, "properties": {"score": "account.health.score"}});
    assert_eq!(kinds(alone), ["company", "contact"]);
    let wrong = faults(json!({"type": "hubspot", "contacts":
        {"associate": true, "match": {"domain": "user.traits.domain"}, "name": "user.id", "properties": {"email": "user.traits.email"}}}));
    for part in [
        "contacts can only be associated with companies that are written too",
        "unknown way `domain` to find a contact (known here: record_id, property, email)",
        "unknown key `name` in contacts",
    ] {
        assert!(wrong.contains(part), "{part}\nis not in\n{wrong}");
    }
    assert_eq!(companies(json!({"associate": false, "properties": {"score": "health.score"}})).lines().count(), 1);
}

#[test]
fn a_list_needs_words_that_are_known_beforehand() {
    let mapped = |mapping: Json| companies(json!({"properties": {"band": mapping}}));
    for good in ["health.band", "health.score < 40 ? 'red' : 'green'"] {
        assert_eq!(
            mapped(json!({"value": good, "type": "enumeration", "when_null": "keep", "ownership": "yield"})),
            ""
        );
    }
    let unknown = mapped(json!({"value": "traits.plan", "type": "enumeration"}));
    assert!(
        unknown.starts_with("an enumeration needs to know its options, and what `band` holds is not known"),
        "{unknown}"
    );
    let wrong = mapped(json!({"value": "health.band", "type": "list"}));
    assert!(wrong.starts_with("expected the type: one of number, text, date, bool, enumeration"), "{wrong}");
    let typo = mapped(json!({"value": "health.band", "typ": "enumeration"}));
    assert!(typo.contains("(did you mean `type`?)"), "{typo}");
}
