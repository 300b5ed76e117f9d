//! The naive recount: every figure from the raw lines in memory, by loops. It shares nothing with the program.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, TimeDelta};
use chrono_tz::Tz;
use serde_json::{Map, Value, json};

use super::calls::Line;

pub const WEIGHTS: [(&str, f64); 6] =
    [("Core", 5.0), ("Minor", 0.3), ("Page Viewed", 1.0), ("Screen Viewed", 2.0), ("Home", 1.5), ("Big", 4.0)];
pub const WINDOW: i64 = 14;
pub const BENCHMARK: f64 = 40.0;

struct Told {
    json: Value,
    actor: String,
    at: i64,
    day: NaiveDate,
    person: String,
}

struct Event {
    account: Option<String>,
    person: String,
    name: String,
    at: i64,
    day: NaiveDate,
    big: bool,
}

pub struct Books {
    zone: Tz,
    today: NaiveDate,
    told: Vec<Told>,
    events: Vec<Event>,
    /// By id, when it was said to be whom, in order.
    links: BTreeMap<String, Vec<(i64, NaiveDate, String)>>,
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn ms(value: &Value) -> Option<i64> {
    Some(DateTime::parse_from_rfc3339(value.as_str()?).unwrap().timestamp_millis())
}

fn day(ms: i64, zone: Tz) -> NaiveDate {
    DateTime::from_timestamp_millis(ms).unwrap().with_timezone(&zone).date_naive()
}

/// Once each: copies that were received at most `window` days apart, also in chains, are one call.
fn once(lines: &[Line], zone: Tz, window: i64) -> Vec<Value> {
    let mut by_id: BTreeMap<(usize, String), Vec<(NaiveDate, Value)>> = BTreeMap::new();
    for (source, line) in lines {
        let json: Value = serde_json::from_str(line).unwrap();
        let id = text(&json["messageId"]).unwrap_or_else(|| line.clone());
        let received = ms(&json["receivedAt"]).or(ms(&json["timestamp"])).unwrap();
        by_id.entry((*source, id)).or_default().push((day(received, zone), json));
    }
    let mut once = Vec::new();
    for mut copies in by_id.into_values() {
        copies.sort_by_key(|(day, _)| *day);
        let mut before: Option<NaiveDate> = None;
        for (day, json) in copies {
            if before.is_none_or(|before| (day - before).num_days() > window) {
                once.push(json);
            }
            before = Some(day);
        }
    }
    once
}

/// What was said last up to the end of a day, else first after.
fn at<T: Clone>(said: &[(i64, NaiveDate, T)], day: NaiveDate) -> Option<T> {
    let before = said.iter().rfind(|(_, stated, _)| *stated <= day);
    before.or(said.first()).map(|(.., what)| what.clone())
}

impl Books {
    /// As of the last millisecond of a day.
    pub fn open(lines: &[Line], zone: Tz, window: i64, today: NaiveDate) -> Self {
        let mut told: Vec<Told> = Vec::new();
        for json in once(lines, zone, window) {
            let at = ms(&json["timestamp"]).unwrap();
            let actor = match (text(&json["userId"]), text(&json["anonymousId"])) {
                (Some(user), _) => format!("u:{user}"),
                (None, device) => format!("a:{}", device.unwrap()),
            };
            let day = day(at, zone);
            if day <= today {
                told.push(Told { json, actor, at, day, person: String::new() });
            }
        }
        told.sort_by(|a, b| {
            a.at.cmp(&b.at).then_with(|| a.json["messageId"].as_str().cmp(&b.json["messageId"].as_str()))
        });
        let mut links: BTreeMap<String, Vec<(i64, NaiveDate, String)>> = BTreeMap::new();
        for call in &told {
            let kind = call.json["type"].as_str().unwrap();
            let mut link = |id: String, is: &str| {
                links.entry(id).or_default().push((call.at, call.day, is.to_owned()));
            };
            if let (Some(_), Some(device)) = (text(&call.json["userId"]), text(&call.json["anonymousId"]))
                && matches!(kind, "identify" | "group" | "alias")
            {
                link(format!("a:{device}"), &call.actor);
            }
            if kind == "alias" {
                let previous = text(&call.json["previousId"]).unwrap();
                for id in [format!("u:{previous}"), format!("a:{previous}")] {
                    if id != call.actor {
                        link(id, &call.actor);
                    }
                }
            }
        }
        let mut books = Self { zone, today, told, events: Vec::new(), links };
        let people: Vec<String> = books.told.iter().map(|call| books.person(&call.actor, call.day)).collect();
        books.told.iter_mut().zip(people).for_each(|(call, person)| call.person = person);
        let mut memberships: BTreeMap<String, Vec<(i64, NaiveDate, String)>> = BTreeMap::new();
        for call in books.told.iter().filter(|call| call.json["type"] == "group") {
            let account = text(&call.json["groupId"]).unwrap();
            memberships.entry(call.person.clone()).or_default().push((call.at, call.day, account));
        }
        let mut events = Vec::new();
        for call in &books.told {
            let unnamed = match call.json["type"].as_str().unwrap() {
                "track" => "",
                "page" => "Page Viewed",
                "screen" => "Screen Viewed",
                _ => continue,
            };
            let person = call.person.clone();
            let stated = text(&call.json["context"]["groupId"]).or(text(&call.json["properties"]["org"]));
            let account = stated.or_else(|| at(memberships.get(&person)?, call.day));
            let name = text(&call.json["event"]).or(text(&call.json["name"])).unwrap_or(unnamed.to_owned());
            let big = name == "Core" && call.json["properties"]["size"].as_i64().unwrap() > 3;
            events.push(Event { account, person, name, at: call.at, day: call.day, big });
        }
        books.events = events;
        books
    }

    fn person(&self, id: &str, day: NaiveDate) -> String {
        let mut path = vec![id.to_owned()];
        while let Some(next) = self.links.get(path.last().unwrap()).and_then(|links| at(links, day)) {
            if let Some(begin) = path.iter().position(|one| *one == next) {
                // A ring is the one whose name comes first; devices come before users.
                return path[begin..].iter().min().unwrap().clone();
            }
            path.push(next);
        }
        path.pop().unwrap()
    }

    pub fn unassigned(&self) -> u64 {
        self.events.iter().filter(|event| event.account.is_none()).count() as u64
    }

    fn groups<'s>(&'s self, account: &'s str) -> impl Iterator<Item = &'s Told> {
        self.told.iter().filter(move |call| call.json["type"] == "group" && call.json["groupId"] == account)
    }

    pub fn accounts(&self) -> Vec<Value> {
        let mut ids: BTreeSet<String> = self.events.iter().filter_map(|event| event.account.clone()).collect();
        ids.extend(self.told.iter().filter_map(|call| text(&call.json["groupId"])));
        ids.iter().map(|id| self.account(id)).collect()
    }

    fn account(&self, id: &str) -> Value {
        let events: Vec<&Event> = self.events.iter().filter(|event| event.account.as_deref() == Some(id)).collect();
        let mut traits: Map<String, Value> = Map::new();
        for call in self.groups(id) {
            traits.extend(call.json["traits"].as_object().unwrap().clone());
        }
        traits.retain(|_, value| !value.is_null());
        let age = |event: &Event| (self.today - event.day).num_days();
        let first = events.iter().map(|event| event.day).min();

        // Health, in tenths: exact.
        let tenths = |last: NaiveDate| -> i64 {
            let within = |event: &&&Event| (0..WINDOW).contains(&(last - event.day).num_days());
            events.iter().filter(within).map(|event| points(event)).sum()
        };
        let score = |last: NaiveDate| {
            let raw = tenths(last) as f64 / 10.0;
            if raw == 0.0 {
                1.0
            } else {
                1.0 + 99.0 * (1.0 - (-2.0 * (raw / BENCHMARK).min(1.0)).exp()) / (1.0 - (-2.0f64).exp())
            }
        };
        let change = |days: i64| {
            let then = self.today - TimeDelta::days(days);
            first.filter(|first| *first <= then).map(|_| score(self.today) - score(then))
        };
        let band = |score: f64| {
            if score >= 70.0 {
                "healthy"
            } else if score < 40.0 {
                "at_risk"
            } else {
                "normal"
            }
        };
        let now = first.map(|_| score(self.today));

        // Activation.
        let mut core: Vec<NaiveDate> =
            events.iter().filter(|event| event.name == "Core").map(|event| event.day).collect();
        core.sort();
        let minor = events.iter().filter(|event| event.name == "Minor").map(|event| event.day).min();
        let people: BTreeSet<&String> = events.iter().map(|event| &event.person).collect();
        let own: Vec<&Told> = self.groups(id).collect();
        let mut ready: Vec<NaiveDate> = set_since(&own).into_iter().collect();
        let mut theirs: BTreeMap<&String, Vec<&Told>> = BTreeMap::new();
        for call in self.told.iter().filter(|call| call.json["type"] == "identify" && people.contains(&call.person)) {
            theirs.entry(&call.person).or_default().push(call);
        }
        ready.extend(theirs.values().filter_map(|calls| set_since(calls)));
        let steps: BTreeMap<&str, Option<NaiveDate>> =
            [("core", core.get(2).copied()), ("minor", minor), ("ready", ready.into_iter().min())].into();
        let done: Vec<NaiveDate> = steps.values().flatten().copied().collect();

        let scored = |event: &&&Event| points(event) > 0;
        let active: Vec<&&Event> =
            events.iter().filter(scored).filter(|event| (0..WINDOW).contains(&age(event))).collect();
        let users = active.iter().map(|event| &event.person).collect::<BTreeSet<_>>().len();
        let total =
            events.iter().filter(|event| age(event) < 90).map(|event| &event.person).collect::<BTreeSet<_>>().len();
        let adopted = |days: i64| {
            let used = |name: &str| {
                let is = |event: &&&Event| event.name == name || name == "Big" && event.big;
                events.iter().filter(is).any(|event| age(event) < days)
            };
            100.0 * WEIGHTS.iter().filter(|(name, _)| used(name)).count() as f64 / WEIGHTS.len() as f64
        };
        let stated = traits.get("createdAt").map(|value| day(ms(value).unwrap(), self.zone));
        let age_since = |start: NaiveDate| (self.today - start).num_days();
        // Who has acted has begun, whatever is stated.
        let tenure = match (stated.map(age_since), first.map(age_since)) {
            (Some(stated), Some(first)) if stated < 0 => Some(first),
            (stated, first) => stated.or(first).filter(|days| *days >= 0),
        };
        json!({
            "account": id,
            "profile": "all",
            "name": traits.get("name"),
            "health": {
                "raw": first.map(|_| tenths(self.today) as f64 / 10.0),
                "score": now, "band": now.map(band), "change_7d": change(7), "change_30d": change(30),
            },
            "activation": {
                "percent": 100.0 * done.len() as f64 / 3.0, "steps_done": done.len(), "steps_total": 3,
                "activated_at": done.iter().max().filter(|_| done.len() == 3).map(NaiveDate::to_string),
                "steps": steps.iter().map(|(name, day)| (*name, day.map(|day| day.to_string()))).collect::<BTreeMap<_, _>>(),
            },
            "adoption": {"window_percent": adopted(WINDOW), "all_time_percent": adopted(i64::MAX)},
            "users": {"active": users, "total": total,
                "active_percent": (total > 0).then(|| users as f64 / total as f64 * 100.0)},
            "frequency": {"days": WINDOW, "active_days": active.iter().map(|event| event.day).collect::<BTreeSet<_>>().len()},
            "last_active": events.iter().map(|event| event.at).max(),
            "tenure_days": tenure,
            "traits": traits,
        })
    }

    /// Identified users with an event in an account or with traits: their account, last event, days with scored events.
    pub fn users(&self) -> Vec<Value> {
        let mut people: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
        for event in self.events.iter().filter(|event| event.account.is_some()) {
            people.entry(event.person.clone()).or_default();
        }
        for call in self.told.iter().filter(|call| call.json["type"] == "identify") {
            let traits = call.json["traits"].as_object().unwrap();
            if !traits.is_empty() {
                people.entry(call.person.clone()).or_default().extend(traits.clone());
            }
        }
        let mut by_person: BTreeMap<&String, Vec<&Event>> = BTreeMap::new();
        self.events.iter().for_each(|event| by_person.entry(&event.person).or_default().push(event));
        let mut users = Vec::new();
        for (person, mut traits) in people {
            let Some(id) = person.strip_prefix("u:") else { continue };
            traits.retain(|_, value| !value.is_null());
            let own: Vec<&Event> = by_person.get(&person).cloned().unwrap_or_default();
            let assigned: Vec<&&Event> = own.iter().filter(|event| event.account.is_some()).collect();
            let last = assigned.iter().map(|event| event.at).max();
            let account =
                assigned.iter().filter(|event| Some(event.at) == last).filter_map(|event| event.account.clone()).min();
            let within = |event: &&&&Event| points(event) > 0 && (self.today - event.day).num_days() < WINDOW;
            users.push(json!({
                "user": id, "traits": traits, "account": account,
                "last_active": own.iter().map(|event| event.at).max(),
                "active_days": assigned.iter().filter(within).map(|event| event.day).collect::<BTreeSet<_>>().len(),
            }));
        }
        users
    }
}

/// In tenths.
fn points(event: &Event) -> i64 {
    let of = |wanted: &str| WEIGHTS.iter().find(|(name, _)| *name == wanted).map_or(0.0, |(_, points)| *points);
    let big = if event.big { of("Big") } else { 0.0 };
    ((of(&event.name) + big) * 10.0).round() as i64
}

/// Since which day `ready` is set: of each day its end counts.
fn set_since(calls: &[&Told]) -> Option<NaiveDate> {
    let mut days: BTreeMap<NaiveDate, bool> = BTreeMap::new();
    for call in calls {
        if let Some(value) = call.json["traits"].get("ready") {
            days.insert(call.day, value.as_bool().unwrap_or(false));
        }
    }
    let mut since = None;
    for (day, set) in days {
        since = if set { since.or(Some(day)) } else { None };
    }
    since
}
