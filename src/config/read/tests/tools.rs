//! Destinations, logins and sources that ask a tool, as they are written.

use std::path::Path;

use vitalsync_core::mapping::Ownership;

use super::{PROFILE, faults, read};
use crate::config::{Brake, Conduct, Config, WhenGone};

#[test]
fn a_destination_behaves_as_the_config_says() {
    let with = |keys: &str| {
        format!(
            "destinations:\n  crm:\n    type: hubspot\n    token: sandbox\n{keys}    companies: {{ match: [ domain: traits.domain ], properties: {{ x: health.score }} }}\n"
        )
    };
    let conduct = |keys: &str| read(&with(keys)).destinations.remove(0).conduct;
    assert_eq!(conduct(""), Conduct::default());
    let said = conduct(
        "    brake: { bands: 5, creates: off }\n    refresh: weekly\n    ownership: yield\n    when_gone: clear\n",
    );
    assert_eq!(said.brake, Brake { bands: Some(5), creates: None });
    assert_eq!((said.refresh_days, said.ownership, said.when_gone), (Some(7), Ownership::Yield, WhenGone::Clear));
    assert_eq!(conduct("    brake: off\n    refresh: off\n").brake, Brake { bands: None, creates: None });
    assert_eq!(conduct("    brake: { creates: 500 }\n").brake, Brake { bands: Some(20), creates: Some(500) });
    assert_eq!(
        faults(&with("    brake: on\n    refresh: hourly\n    ownership: wins\n    when_gone: delete\n")),
        [
            "5:12 a brake is `off` or two bounds; as in {bands: 20, creates: 50}: percent of accounts that change their band, records that are created",
            "6:14 expected how often records are read back: one of daily, weekly, off, found the text `hourly`",
            "7:16 expected the ownership: one of win, yield, report, found the text `wins`; did you mean `win`?",
            "8:16 expected what becomes of records of those who are gone: one of keep, clear, found the text `delete`",
            "4 errors"
        ]
    );
    assert_eq!(
        faults(&with("    brake: { bands: 101, creates: -1, alerts: 5 }\n")),
        [
            "5:21 a percentage is at most 100",
            "5:35 expected how many records a run may create, or off, found -1",
            "5:39 unknown key `alerts` in the brake; known here: bands, creates",
            "3 errors"
        ]
    );
}

#[test]
fn an_app_says_where_to_log_in_and_what_for() {
    let with = |keys: &str| {
        format!(
            "destinations:\n  crm:\n    type: hubspot\n{keys}    companies: {{ match: [ domain: traits.domain ], properties: {{ x: health.score }} }}\n"
        )
    };
    let app = |keys: &str| match &read(&with(keys)).destinations[0].credentials {
        crate::config::Credentials::OAuth(app) => app.clone(),
        other => panic!("{other:?}"),
    };
    let here = app("    oauth: { client_id: c, client_secret: test }\n");
    assert_eq!(here.authorize_url, "https://app.hubspot.com/oauth/authorize");
    assert_eq!(here.token_url, "https://api.hubapi.com/oauth/2026-09/token");
    assert_eq!((here.redirect_port, here.scopes.len()), (8123, 5), "{:?}", here.scopes);
    let there = app(
        "    base_url: http://127.0.0.1:9\n    api_version: v3\n    oauth: { client_id: c, client_secret: test, redirect_port: 0, scopes: [a, b], account: eu }\n",
    );
    assert_eq!(there.authorize_url, "http://127.0.0.1:9/oauth/authorize");
    assert_eq!(there.token_url, "http://127.0.0.1:9/oauth/v3/token");
    assert_eq!(there.scopes, ["a", "b"]);
    assert!(!format!("{there:?}").contains("test") && there.login() != here.login());
    assert_eq!(
        faults(&with("    oauth: { client_id: \"\", redirect_port: 80, secret: x }\n")),
        [
            "4:12 oauth: `client_secret` is missing (the app's client secret, best as \"${NAME}\")",
            "4:25 the client id is empty or has characters that no client id has",
            "4:44 expected a port from 1024 to 65535, or 0 for any that is free",
            "4:48 unknown key `secret` in oauth; known here: account, client_id, client_secret, redirect_port, scopes",
            "4 errors"
        ]
    );
    let both = "    token: test\n    oauth: { client_id: c, client_secret: test }\n";
    assert!(faults(&with(both))[0].contains("`token` and `oauth` are two ways"));
}

#[test]
fn a_source_that_asks_a_tool_shares_a_destination_or_has_its_own_token() {
    let with = |keys: &str, destination: &str| {
        format!(
            "sources:\n  product: {{ type: segment_archive, location: ./a }}\n  crm: {{ type: hubspot, {keys} }}\ndestinations:\n  crm:\n    type: hubspot\n{destination}    companies: {{ match: [ domain: traits.domain ], properties: {{ x: health.score }} }}\n"
        )
    };
    let whole = |text: &str| {
        let lookup = |_: &str| None;
        Config::parse(&format!("{text}{PROFILE}"), Path::new("there/vitalsync.yaml"), &lookup)
    };
    let wrong = |text: &str| whole(text).expect_err("refused").text;
    let app = "    base_url: http://127.0.0.1:9\n    oauth: { client_id: c, client_secret: test }\n";
    let config = whole(&with("destination: crm, read: [hubspot_owner_id, arr]", app)).expect("good");
    let reading = &config.readings[0];
    assert_eq!((config.sources.len(), reading.name.as_str(), reading.tool.name.as_str()), (1, "crm", "sources.crm"));
    assert_eq!(reading.tool.base_url, "http://127.0.0.1:9");
    assert_eq!(reading.tool.credentials.holder(), config.destinations[0].credentials.holder());
    let crate::config::Credentials::OAuth(app) = &reading.tool.credentials else { panic!("no login") };
    assert!(app.scopes.contains(&"crm.objects.owners.read".to_owned()), "{:?}", app.scopes);
    let own = whole(&with("token: test, read: arr, schedule: \"0 * * * *\", property: our_id", "    token: test\n"));
    assert_eq!(own.expect("good").readings.len(), 1);

    let token = "    token: test\n";
    for (keys, said) in [
        (
            "destination: crm, token: test, read: [arr]",
            "`token` is that of the destination `crm` here: leave one of them out",
        ),
        ("destination: crn, read: [arr]", "there is no destination `crn`\n"),
        ("destination: crm", "`read` is missing (which properties of companies)"),
        ("destination: crm, read: [Arr, x, x]", "`Arr` is no internal name of a HubSpot property"),
        ("destination: crm, read: [x, x]", "`x` stands there twice"),
        ("destination: crm, read: [x], lokation: y", "unknown key `lokation` in the HubSpot source"),
        ("read: [x]", "`token` or `oauth` is missing"),
    ] {
        let text = wrong(&with(keys, token));
        assert!(text.contains(said), "{keys}: {text}");
    }
    let only = "sources: { crm: { type: intercom, token: test } }\n";
    assert!(wrong(only).contains("there is no source of usage"));
}
