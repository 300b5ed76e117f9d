//! The section as people write it: what is taken, and that all faults are found and say what to do.

use serde_json::{Value as Json, json};
use vitalsync_core::alert::Route;
use vitalsync_core::mapping::Level;

use crate::support;

#[test]
fn a_body_is_followed_as_fields_are() {
    let connector = support::read(&json!({
        "type": "webhook", "url": "https://x.example/y", "secret": "s", "headers": {"x": "y"}, "batch": 500, "method": "PUT",
        "accounts": {
            "only": "has(traits.plan)",
            "fields": {"score": "health.score", "a.b": {"value": "traits.plan", "when_null": "keep"}},
            "body": "{\"who\": {{ id }}, \"s\": {{ fields.score }}, \"was\": {{ changed.score.old }}, \
                      \"last\": {{ last_active }}, \"plan\": {{ fields[\"a.b\"] }}, \"city\": {{ traits.address.city }}}",
        },
        "users": {"body": "{\"id\": {{ user.id }}, \"score\": {{ account.health.score }}}"},
    }))
    .unwrap();
    let [accounts, users] = connector.record_sets() else { panic!("two sets") };
    let names = |at: usize| connector.record_sets()[at].fields.iter().map(|map| map.field.as_str()).collect::<Vec<_>>();
    assert_eq!(names(0), ["a.b", "score", "last_active", "traits.address.city"]);
    assert_eq!(names(1), ["account.health.score", "user.id"]);
    assert_eq!((accounts.level, users.level), (Level::Account, Level::User));
    assert_eq!((connector.batch_size("accounts"), connector.batch_size("account")), (500, 1));
}

#[test]
fn faults_are_all_found_and_say_what_to_do() {
    let faults = |config: Json| support::read(&config).map(|_| ()).unwrap_err();
    assert!(faults(json!({})).contains("neither `accounts` nor `users` nor `alerts`"));
    assert!(faults(json!({"account": {}})).contains("did you mean `accounts`?"));
    let several = faults(json!({
        "method": "GET",
        "accounts": {"fields": {"sequence": "1", " ": "1", "score": "helth.score"}, "field": {}},
    }));
    assert!(several.contains("one of POST, PUT"), "{several}");
    let several = faults(json!({
        "batch": 501,
        "accounts": {"fields": {"sequence": "1", " ": "1", "score": "helth.score"}, "field": {}},
        "users": {"only": "user.id", "body": "{\"a\": {{ user.idd }}}"},
    }));
    for part in [
        "records of one request, from 1 to 500, found 501",
        "`sequence` is the number of a record's message",
        "a field needs a name",
        "did you mean `health.score`?",
        "did you mean `fields`?",
        "expected true or false",
        "did you mean `user.id`?",
    ] {
        assert!(several.contains(part), "{part} is not in:\n{several}");
    }
    for (section, part) in [
        (json!({}), "accounts: nothing to send, neither `fields` nor a value in `body`"),
        (json!({"body": "{}"}), "nothing to send"),
        (
            json!({"body": "{\"a\": {{ fields.scroe }}}", "fields": {"score": "health.score"}}),
            "did you mean `fields.score`?",
        ),
        (json!({"body": "{\"a\": \"{{ id }}\"}", "fields": {"score": "health.score"}}), "gives no JSON"),
        (
            json!({"body": "{\"a\": {{ health.score }}}", "fields": {"health.score": "health.score / 2"}}),
            "`health.score` in the body is not what the field `health.score` holds",
        ),
    ] {
        let said = faults(json!({"accounts": section}));
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
}

#[test]
fn alerts_are_read_as_everywhere_and_a_name_is_handed_on() {
    let connector = support::read(&json!({
        "template": "{\"what\": {{ alert.said }}, \"edge\": {{ alert.edge }}, \"plan\": {{ traits.plan }}}",
        "alerts": {
            "nobody": { "drop": 15 },
            "channel": { "drop": 15, "to": "#cs-alerts" },
            "jo": { "drop": 15, "to": "jo@ourselves.example" },
            "owner": { "quiet": "14d", "to": "owner", "fallback": "the team" },
            "by_rule": { "quiet": "14d", "to": "traits.team", "level": "account" },
        },
    }))
    .unwrap();
    let routes: Vec<&Route> = connector.alert_rules().iter().map(|rule| &rule.to).collect();
    let place = |route: &Route, wanted: &str| matches!(route, Route::Place(place) if place == wanted);
    assert!(routes.iter().any(|route| matches!(route, Route::Only)), "{routes:?}");
    assert!(routes.iter().any(|route| place(route, "#cs-alerts")), "{routes:?}");
    assert!(routes.iter().any(|route| place(route, "jo@ourselves.example")), "{routes:?}");
    assert!(routes.iter().any(|route| matches!(route, Route::Owner(_))), "{routes:?}");
    assert!(routes.iter().any(|route| matches!(route, Route::Rule(rule, _) if rule.source() == "traits.team")));
    assert_eq!((connector.record_sets().len(), connector.batch_size("alert")), (0, 1));
    for (config, part) in [
        (json!({"alerts": {"r": {"drop": 15, "to": ["a"]}}}), "a name or an e-mail that is handed on as `to`"),
        (json!({"alerts": {"r": {"drop": 15, "to": "trait.team"}}}), "unknown name `trait.team`"),
        (json!({"alerts": {"r": {"drop": 15, "to": "a\nb"}}}), "as in \"#cs-alerts\""),
        (json!({"alerts": {"r": {"drop": 15, "fallback": "#cs"}}}), "`fallback` stands in for a `to`"),
        (json!({"alerts": {"r": {"drop": 15}}, "delivery": "once"}), "one of at_most_once, at_least_once"),
        (json!({"alerts": {"r": {"drop": 15, "template": "*{{ account }}*"}}}), "gives no JSON"),
        (
            json!({"alerts": {"r": {"drop": 15, "template": "{\"a\": {{ alert.edges }}}"}}}),
            "did you mean `alert.edge`?",
        ),
        (
            json!({"accounts": {"fields": {"score": "health.score"}}, "delivery": "at_least_once"}),
            "`delivery` is about alerts, and there are none",
        ),
        (json!({"accounts": {"fields": {"score": "health.score"}}, "template": "{}"}), "`template` is about alerts"),
    ] {
        let said = support::read(&config).map(|_| ()).unwrap_err();
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
}
