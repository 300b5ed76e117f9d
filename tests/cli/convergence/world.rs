//! The story, the tools that it is told to, and what people see there in the end.

use serde_json::{Value as Json, json};

use crate::login::{self, SECRET};
use crate::site::{Site, TOKEN, track};

/// Accounts that are used all the time, that stop, that begin late, that come back.
const ACCOUNTS: [(&str, &[(u32, u32)]); 8] = [
    ("acme", &[(1, 10)]),
    ("beta", &[(1, 31)]),
    ("cyan", &[(1, 13)]),
    ("dune", &[(9, 31)]),
    ("echo", &[(1, 7), (16, 31)]),
    ("fern", &[(1, 12)]),
    ("gold", &[(1, 4), (11, 17)]),
    ("hill", &[(1, 31)]),
];

/// Contacts in HubSpot, at the end of its section.
const PEOPLE: &str = "    contacts:
      missing: create
      properties:
        vitalsync_days: user.frequency.active_days
";
/// Companies in Intercom, at the end of its section.
const FIRMS: &str = "    companies:
      missing: create
      attributes: { company_health: health.score }
      tag_groups:
        band:
          \"Account: at risk\": health.band == \"at_risk\"
          \"Account: fine\": health.band == \"healthy\"
";

/// An address of somebody's own, at the end of the config: who gets records, and alerts until they were taken; and who gets alerts
/// that may not come twice.
const HOOKS: &str = "  hook:
    type: webhook
    mode: live
    brake: off
    url: ADDRESS/hooks/TOKEN
    secret: whsec_c2VjcmV0
    batch: 3
    delivery: at_least_once
    accounts: { fields: { score: health.score, band: health.band } }
    users: { fields: { score: account.health.score } }
    alerts:
      score_drop: { drop: 15, within: 7d, to: hook, cooldown: 3d }
      gone_quiet: { quiet: 3d, to: hook }
  once:
    type: webhook
    mode: live
    brake: off
    url: ADDRESS/hooks/TOKEN?once
    alerts:
      score_drop: { drop: 15, within: 7d, to: once, cooldown: 3d }
      gone_quiet: { quiet: 3d, to: once }
";

/// How HubSpot is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Token,
    /// By a login whose tokens live for a few seconds, and of which each renewal gives the next one.
    Login,
}

/// A site whose archive tells the story, and whose vendors know some of the customers.
pub fn site(way: Way) -> Site {
    let site = Site::new();
    // Few accounts, and more than a fifth of them move: nobody is there to approve that.
    let config = site.standard().replace("mode: live\n", "mode: live\n    brake: off\n");
    let config = config.replace("    companies:\n", "    companies:\n      missing: create\n");
    let config =
        config.replace("    contacts:\n", "    contacts:\n      missing: create\n      email: user.traits.email\n");
    let config =
        config.replace("  desk:\n", &format!("{PEOPLE}  desk:\n")).replace("  team:\n", &format!("{FIRMS}  team:\n"));
    let rule = "score_drop: { drop: 15, within: 7d, to: \"#cs-alerts\", cooldown: 3d }";
    let rules = "\n      up: { rise: 20, to: \"#sales\" }\n      gone_quiet: { quiet: 3d, to: \"#cs-alerts\" }";
    let hooks = HOOKS.replace("ADDRESS", &site.vendors.webhook.base_url).replace("TOKEN", TOKEN);
    let config = config.replace(rule, &format!("{rule}{rules}")) + &hooks;
    let login = format!("oauth: {{ client_id: app-1, client_secret: {SECRET}, redirect_port: 0 }}");
    site.config(&match way {
        Way::Token => config,
        Way::Login => config.replacen("token: \"${VITALSYNC_TEST_TOKEN}\"", &login, 1),
    });
    for (account, spans) in ACCOUNTS {
        let mut lines = Vec::new();
        let begin = "2026-03-01T08:00:00.000Z";
        for user in 0..3 {
            lines.push(
                json!({"type": "identify", "messageId": format!("{account}-i{user}"), "userId": format!("{account}-{user}"),
                    "traits": {"email": format!("{account}-{user}@people.example")}, "context": {"groupId": account},
                    "timestamp": begin, "receivedAt": begin})
                .to_string(),
            );
        }
        lines.push(
            json!({"type": "group", "messageId": format!("{account}-g"), "userId": format!("{account}-0"),
                "groupId": account, "traits": {"name": account, "domain": format!("{account}.example")},
                "timestamp": begin, "receivedAt": begin})
            .to_string(),
        );
        for day in spans.iter().flat_map(|(from, to)| *from..=*to) {
            for user in 0..3 {
                let id = format!("{account}-{day}-{user}");
                lines.push(track(
                    &id,
                    account,
                    &format!("{account}-{user}"),
                    "Report Shared",
                    &format!("2026-03-{day:02}"),
                ));
            }
        }
        site.archive(&format!("{account}.ndjson"), &lines);
    }
    let companies = ["acme", "beta", "gold"].map(|name| json!({"name": name, "domain": format!("{name}.example")}));
    site.vendors.hubspot.seed(&json!({ "companies": companies }));
    let contacts = ["acme-0", "acme-1", "beta-0", "fern-2", "hill-0"]
        .map(|user| json!({"external_id": user, "email": format!("{user}@people.example")}));
    site.vendors.intercom.seed(&json!({ "contacts": contacts }));
    site.vendors.slack.seed(&json!({ "channels": ["cs-alerts", "sales"] }));
    if way == Way::Login {
        let app = json!({"client_id": "app-1", "client_secret": SECRET, "rotate": true, "expires_in": 3});
        site.vendors.hubspot.seed(&json!({ "oauth": app }));
        login::log_in(&site, &[]);
    }
    site
}

/// What people see in the tools, without ids and times that only the vendors give.
pub fn seen(site: &Site) -> Json {
    let list = |state: &Json, name: &str| state[name].as_array().cloned().unwrap_or_default();
    let sorted = |mut list: Vec<Json>| {
        list.sort_by_key(Json::to_string);
        list
    };
    let ours = |record: &Json| {
        let properties = record["properties"].as_object().cloned().unwrap_or_default();
        let ours = |name: &str| name.starts_with("vitalsync") || matches!(name, "name" | "domain" | "email");
        properties.into_iter().filter(|(name, _)| ours(name)).collect::<serde_json::Map<_, _>>().into()
    };
    let of_intercom = |record: &Json| {
        let tags = sorted(list(record, "tags"));
        json!([record["external_id"], record["company_id"], record["email"], record["custom_attributes"], tags])
    };
    let hubspot = site.vendors.hubspot.state();
    let intercom = site.vendors.intercom.state();
    let slack = site.vendors.slack.state();
    let hooked = site.vendors.webhook.state();
    let posted: Vec<Json> = hooked["records"].as_object().into_iter().flat_map(|all| all.values()).cloned().collect();
    let only_once = |key: &Json| posted.iter().any(|one| one["id"] == *key && one["to"] == "once");
    let record = |record: &Json| json!([record["type"], record["id"], record["fields"]]);
    let is_alert = |record: &&Json| record["type"] == "alert";
    let alerts = |to: &str| sorted(posted.iter().filter(|one| one["to"] == to).cloned().collect());
    let objects = |kind: &str| sorted(list(&hubspot, kind).iter().map(ours).collect());
    let people = |kind: &str| sorted(list(&intercom, kind).iter().map(of_intercom).collect());
    let messages = list(&slack, "messages");
    let called = |kind: &str, id: &Json, name: &str| {
        let found = list(&hubspot, kind).into_iter().find(|one| one["id"] == *id).unwrap_or_default();
        found["properties"][name].clone()
    };
    let associated =
        |pair: &Json| json!([called("contacts", &pair[0], "email"), called("companies", &pair[1], "domain")]);
    json!({
        "companies": objects("companies"),
        "contacts": objects("contacts"),
        "people": people("contacts"),
        "their companies": people("companies"),
        "associations": sorted(list(&hubspot, "associations").iter().map(associated).collect()),
        "hook": sorted(posted.iter().filter(|one| !is_alert(one)).map(record).collect()),
        "hook alerts": alerts("hook"),
        "once alerts": alerts("once"),
        "twice": list(&hooked, "repeats").into_iter().filter(only_once).collect::<Vec<_>>(),
        "messages": sorted(messages.iter().map(|message| json!([message["channel"], message["text"]])).collect()),
    })
}
