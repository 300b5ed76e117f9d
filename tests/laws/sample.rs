//! Random configs of a connector, and what they could want: parts of `connectors/NAME/laws.yaml`, accounts and users with
//! values of every kind.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Value as Json, json};
use vitalsync::config::Config;
use vitalsync_core::alert::{Alert, AlertRule};
use vitalsync_core::connector::Wanted;
use vitalsync_core::expr::Names;
use vitalsync_core::{Calendar, Connector, Timestamp, Value};

/// Stands in every value of a record.
pub const PERSONAL: &str = "qwerz";
/// Stands in every secret.
pub const SECRET: &str = "s3cr3t";

/// What the sections name beside the fixed measures.
const CONTEXT: &str = r#"{
    "sources": {"product": {"type": "segment_archive", "location": "./archive"}},
    "profiles": [{"name": "customer", "events": {"Report Shared": 9}}],
    "activation": {"steps": {"invited_team": "Teammate Invited"}},
    "lifecycle": {"trial": "traits.plan == \"trial\"", "customer": "traits.plan == \"team\""},
    "segments": {"vip": "traits.plan == \"enterprise\""}
}"#;

/// A stream of numbers that follows from a seed (splitmix64).
#[derive(Debug, Clone, Copy)]
struct Dice(u64);

impl Dice {
    fn of(seed: u64, words: &[&str]) -> Self {
        let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self(words.iter().flat_map(|word| word.bytes().chain([0])).fold(seed ^ 0xcbf2_9ce4_8422_2325, fold))
    }

    fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

/// So many configs are made of a section.
pub const CONFIGS: u64 = 24;

/// A config's section, and the connector that was read from it.
type Read = (String, Box<dyn Connector>);

/// The configs of each connector: first the whole section, then with parts left out.
static READ: LazyLock<BTreeMap<&str, Vec<Read>>> = LazyLock::new(|| {
    let names = vitalsync::connectors::ALL.iter().map(|registered| registered.manifest.name);
    names.map(|name| (name, (0..CONFIGS).map(|seed| config(name, seed)).collect())).collect()
});

/// A configured connector, and the seed of what it is told.
pub struct Sample {
    pub connector: &'static dyn Connector,
    /// The section that it was read from.
    pub text: &'static str,
    seed: u64,
}

fn section(name: &str) -> Json {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors").join(name).join("laws.yaml");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn read(section: &Json) -> Result<Box<dyn Connector>, String> {
    let mut config: Json = serde_json::from_str(CONTEXT).expect("the context");
    config["destinations"] = json!({ "d": section });
    // JSON is YAML.
    let config = Config::parse(&config.to_string(), Path::new("laws.yaml"), &|_| None);
    config.map(|mut config| config.destinations.remove(0).connector).map_err(|refused| refused.text)
}

/// Leaves parts of a section out, one in four.
fn thinned(json: &Json, dice: &mut Dice) -> Json {
    match json {
        Json::Object(entries) => {
            let kept = entries.iter().filter(|_| dice.throw(4) > 0).collect::<Vec<_>>();
            kept.into_iter().map(|(key, value)| (key.clone(), thinned(value, dice))).collect()
        }
        Json::Array(items) => {
            let kept = items.iter().filter(|_| dice.throw(4) > 0).collect::<Vec<_>>();
            kept.into_iter().map(|item| thinned(item, dice)).collect()
        }
        other => other.clone(),
    }
}

/// A good config by a seed; the whole section for seed 0, and where no try with less is good.
fn config(name: &str, seed: u64) -> Read {
    let (whole, mut dice) = (section(name), Dice(seed));
    let tries = (0..12 * seed.min(1)).find_map(|_| {
        let section = thinned(&whole, &mut dice);
        Some((section.to_string(), read(&section).ok()?))
    });
    tries.unwrap_or_else(|| {
        let connector = read(&whole).unwrap_or_else(|why| panic!("connectors/{name}/laws.yaml:\n{why}"));
        (whole.to_string(), connector)
    })
}

impl Sample {
    /// With everything that `laws.yaml` has.
    pub fn whole(name: &str) -> Self {
        Self::of(name, 0)
    }

    /// With parts left out.
    pub fn of(name: &str, seed: u64) -> Self {
        let read = &READ[name];
        let (text, connector) = &read[usize::try_from(seed % CONFIGS).unwrap_or(0)];
        Self { connector: &**connector, text, seed }
    }

    /// What is wanted at a turn; from turn to turn about half of the values change.
    pub fn wanted(&self, turn: u64) -> Wanted {
        let mut dice = Dice(self.seed);
        let count = 1 + dice.throw(7);
        let mut wanted = Wanted::default();
        for set in self.connector.record_sets() {
            for at in 0..count {
                let subject = format!("{PERSONAL} {at}/é");
                let names = Made { seed: self.seed, subject: &subject, turn };
                wanted.records.extend(set.wanted(&subject, &names, &Calendar::default()));
            }
        }
        for (at, rule) in self.connector.alert_rules().iter().enumerate() {
            wanted.alerts.push(alert(rule, at, &mut Dice::of(self.seed, &[&rule.name])));
        }
        wanted
    }
}

fn alert(rule: &AlertRule, at: usize, dice: &mut Dice) -> Alert {
    let to = rule.to.place(None).unwrap_or_else(|| "somebody@ourselves.example".to_owned());
    let mut alert = json!({
        "occasion": format!("{at:016x}"), "rule": rule.name, "fallback": rule.fallback, "account": format!("{PERSONAL} 1/é"),
        "name": format!("{PERSONAL} & Söhne <!channel>"), "to": to, "score": 39.6, "band": "at_risk",
        "reasons": [format!("{PERSONAL} stopped")], "last_active": 1_786_000_000_000_i64, "at": 1_786_622_400_000_i64,
    });
    let what = match dice.throw(3) {
        0 => json!({"from_score": 63.2, "from_day": 20_670, "threshold": 15.0, "within_days": 7}),
        1 => json!({"source": "product"}),
        _ => json!({"said": "is at risk now"}),
    };
    alert.as_object_mut().expect("an object").extend(what.as_object().expect("an object").clone());
    serde_json::from_value(alert).expect("an alert as the state keeps it")
}

/// Values of an account or user that was never there.
struct Made<'a> {
    seed: u64,
    subject: &'a str,
    turn: u64,
}

impl Names for Made<'_> {
    fn value(&self, name: &str) -> Value {
        let mut dice = Dice::of(self.seed, &[self.subject, name]);
        // Half of the values are the same in every turn.
        if dice.throw(2) == 0 {
            dice = Dice::of(self.seed ^ self.turn, &[self.subject, name, "turn"]);
        }
        let n = dice.throw(100);
        let text = |before: &str| Value::from(format!("{before}{PERSONAL}{n}"));
        let last = name.rsplit('.').next().unwrap_or(name);
        match last {
            "id" | "account" => return self.subject.into(),
            _ if dice.throw(6) == 0 => return Value::Null,
            "name" => return text("Jo "),
            "domain" => return Value::from(format!("{PERSONAL}{n}.example")),
            "hubspot_id" => return Value::from(format!("{}", 1000 + n)),
            "band" => return ["healthy", "normal", "at_risk"][usize::try_from(n % 3).unwrap_or(0)].into(),
            "last_active" => {
                return Value::Time(Timestamp(1_780_000_000_000 + i64::try_from(n).unwrap_or(0) * 86_400_000));
            }
            _ if last.contains("email") => return Value::from(format!("jo.{PERSONAL}{n}@{PERSONAL}.example")),
            _ => {}
        }
        if name.contains("lifecycle.") || name.contains("segments.") {
            return Value::Bool(n.is_multiple_of(2));
        }
        if !name.contains("traits.") {
            return Value::from(n as f64 / 2.0);
        }
        match n % 6 {
            0 => Value::from(n as f64 / 3.0),
            1 => Value::Bool(true),
            2 => Value::List(vec![text("a"), text("b \u{7}\n")]),
            _ => Value::from(format!("{PERSONAL} plan \"<&'` 😀 {n}")),
        }
    }
}
