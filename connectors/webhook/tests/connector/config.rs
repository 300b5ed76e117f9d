//! The section as people write it: what is taken, and that all faults are found and say what to do.

use serde_json::{Value as Json, json};
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
    assert!(faults(json!({})).contains("neither `accounts` nor `users`"));
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
