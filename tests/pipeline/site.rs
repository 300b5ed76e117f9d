//! A site: an archive, a config, the three vendors on loopback.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use vitalsync::clock::Clock;
use vitalsync::config::Config;
use vitalsync::demo::serve::{Served, serve};
use vitalsync::report::RunReport;
use vitalsync::tick::Engine;
use vitalsync_core::{Calendar, Day, Timestamp};
use vitalsync_sandbox::{Fault, Sandbox, Vendor};

pub const TOKEN: &str = "test-token-0123";

/// One customer's use: so many events a day from a day on, for so many days.
pub struct Use<'a>(pub &'a str, pub &'a str, pub i32, pub i32, pub u32);

pub struct Site {
    pub dir: tempfile::TempDir,
    pub hubspot: Served,
    pub intercom: Served,
    pub slack: Served,
}

pub async fn vendor(vendor: Vendor) -> Served {
    serve(TcpListener::bind("127.0.0.1:0").await.unwrap(), Sandbox::new(vendor, TOKEN)).unwrap()
}

/// Day 0 of all stories.
pub fn day(offset: i32) -> Day {
    Day::parse("2026-03-01").unwrap().plus(offset)
}

/// The end of a day.
pub fn end(offset: i32) -> Timestamp {
    Calendar::default().end(day(offset))
}

impl Site {
    pub async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let site = Self {
            dir: tempfile::tempdir().unwrap(),
            hubspot: vendor(Vendor::HubSpot).await,
            intercom: vendor(Vendor::Intercom).await,
            slack: vendor(Vendor::Slack).await,
        };
        site.slack.vendor().add_channel("cs-alerts");
        std::fs::create_dir_all(site.archive()).unwrap();
        site
    }

    pub fn archive(&self) -> std::path::PathBuf {
        self.dir.path().join("archive")
    }

    pub fn write(&self, file: &str, lines: &str) {
        let path = self.archive().join(file);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).unwrap();
        std::fs::write(path, lines).unwrap();
    }

    /// Accounts `a0…` with users `a0-u`, domains `a0.example`, and their use.
    pub fn customers(&self, file: &str, stories: &[Use<'_>]) {
        let mut lines = String::new();
        let mut id = 0;
        for Use(account, event, from, days, each) in stories {
            let user = format!("{account}-u");
            let first = day(*from);
            for (kind, extra) in [
                ("identify", json!({"traits": {"email": format!("{user}@{account}.example"), "name": user}})),
                (
                    "group",
                    json!({"groupId": account, "traits": {"name": account.to_uppercase(), "domain": format!("{account}.example"), "plan": "team"}}),
                ),
            ] {
                let mut call = json!({"type": kind, "messageId": format!("{file}-{kind}-{account}"), "userId": user, "timestamp": format!("{first}T08:00:00.000Z")});
                call.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
                let _ = writeln!(lines, "{call}");
            }
            for offset in 0..*days {
                for n in 0..*each {
                    id += 1;
                    let call = json!({"type": "track", "messageId": format!("{file}-{id}"), "userId": user, "event": event,
                        "context": {"groupId": account}, "timestamp": format!("{}T09:00:{:02}.000Z", first.plus(offset), n % 60)});
                    let _ = writeln!(lines, "{call}");
                }
            }
        }
        self.write(file, &lines);
    }

    pub fn config(&self, extra: &str) -> String {
        format!(
            r##"
sources:
  product: {{ type: segment_archive, location: ./archive }}
lifecycle: {{ new: off }}
profiles:
  - name: customer
    window: 7d
    benchmark: {{ fixed: 70 }}
    bands: {{ healthy: 70, at_risk: 40, hold: off }}
    events: {{ Core: 5, Minor: 1 }}
activation:
  steps: {{ used: Core, often: {{ event: Core, count: 20 }} }}
destinations:
  crm:
    type: hubspot
    mode: live
    token: "{TOKEN}"
    base_url: {hubspot}
    companies:
      match: [ property: vitalsync_account_id, domain: traits.domain ]
      missing: create
      properties: {{ vitalsync_health_score: health.score, vitalsync_health_band: health.band, vitalsync_last_active: last_active }}
  desk:
    type: intercom
    mode: live
    token: "{TOKEN}"
    base_url: {intercom}
    contacts:
      match: [ external_id: user.id ]
      attributes: {{ health_score: account.health.score }}
      tag_groups:
        health:
          "Health: at risk": account.health.band == "at_risk"
          "Health: healthy": account.health.band == "healthy"
  team:
    type: slack
    mode: live
    token: "{TOKEN}"
    base_url: {slack}
    alerts:
      drop: {{ drop: 15, within: 7d, to: "#cs-alerts", cooldown: 1d }}
{extra}"##,
            hubspot = self.hubspot.base_url(),
            intercom = self.intercom.base_url(),
            slack = self.slack.base_url(),
        )
    }

    pub fn open(&self) -> Engine {
        self.open_with(&self.config(""))
    }

    pub fn open_with(&self, config: &str) -> Engine {
        let file = self.dir.path().join("vitalsync.yaml");
        let config = Config::parse(config, &file, &|_| None).unwrap_or_else(|refused| panic!("{refused}"));
        let mut engine = Engine::open(config, Clock::System).unwrap();
        engine.patience = std::time::Duration::from_secs(5);
        engine
    }

    /// One pass in a process of its own.
    pub async fn run(&self, offset: i32) -> RunReport {
        self.open().run_once(end(offset)).await.unwrap()
    }

    pub fn calls(&self) -> usize {
        [&self.hubspot, &self.intercom, &self.slack].iter().map(|served| served.vendor().journal().len()).sum()
    }

    /// Companies by our id: their properties.
    pub fn company(&self, account: &str) -> Value {
        let companies = self.hubspot.vendor().companies();
        let mut found = companies
            .into_iter()
            .filter(|company| company.properties.get("vitalsync_account_id").is_some_and(|id| id == account));
        let company = found.next().map_or(Value::Null, |company| json!(company.properties));
        assert!(found.next().is_none(), "two companies of {account}");
        company
    }

    pub fn tags(&self, user: &str) -> Vec<String> {
        self.intercom.vendor().tags_of(user)
    }

    pub fn fail(served: &Served, faults: Value) {
        served.vendor().add_faults(serde_json::from_value::<Vec<Fault>>(faults).unwrap());
    }
}
