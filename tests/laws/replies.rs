//! Arbitrary replies: what the vendor really says, as its cases have it, whole, cut, or with parts replaced; and noise.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value as Json, json};
use vitalsync_core::Timestamp;
use vitalsync_core::connector::{Answer, Operation, Reply};

/// When every answer arrives: 2026-08-13T12:00:00Z.
const NOW: Timestamp = Timestamp(1_786_622_400_000);
/// Stands for a value of the record that is spoken of.
const QUOTED: &str = "\u{1}quoted\u{1}";

/// All JSON in the cases of each connector.
static REAL: LazyLock<BTreeMap<String, Vec<Json>>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors");
    let mut real = BTreeMap::new();
    for registered in vitalsync::connectors::ALL {
        let name = registered.manifest.name;
        let mut files: Vec<_> = std::fs::read_dir(folder.join(name).join("cases"))
            .expect("cases")
            .map(|entry| entry.expect("a case").path())
            .collect();
        files.sort();
        let texts: Vec<String> = files.iter().map(|file| std::fs::read_to_string(file).expect("a case")).collect();
        let found = texts.iter().flat_map(|text| text.lines()).filter_map(|line| {
            let json: Json = serde_json::from_str(line.get(line.find(['{', '['])?..)?).ok()?;
            (json.is_object() || json.is_array()).then_some(json)
        });
        let mut found: Vec<Json> = found.collect();
        found.sort_by_key(Json::to_string);
        found.dedup();
        real.insert(name.to_owned(), found);
    }
    real
});

/// What a connector's vendor really says.
pub fn real(name: &str) -> &'static [Json] {
    REAL.get(name).map_or(&[], Vec::as_slice)
}

/// A reply before it is known whose, and about what.
#[derive(Debug, Clone)]
pub struct Recipe {
    status: u16,
    body: Body,
    header: (&'static str, String),
}

#[derive(Debug, Clone)]
enum Body {
    Lost,
    Real(Index, Vec<(Index, u8)>, Option<Index>),
    Noise(String),
}

/// A reply of one vendor.
#[derive(Debug, Clone)]
pub struct Said(Option<(u16, String, (&'static str, String))>);

const STATUSES: [u16; 32] = [
    200, 200, 200, 200, 200, 200, 201, 202, 204, 207, 302, 400, 400, 401, 402, 403, 404, 404, 408, 409, 409, 410, 413,
    415, 422, 423, 429, 451, 477, 500, 503, 530,
];

fn body() -> impl Strategy<Value = Body> {
    let edits = proptest::collection::vec((any::<Index>(), 0..8u8), 0..4);
    prop_oneof![
        1 => Just(Body::Lost),
        10 => (any::<Index>(), edits, prop_oneof![6 => Just(None), 1 => any::<Index>().prop_map(Some)])
            .prop_map(|(which, edits, cut)| Body::Real(which, edits, cut)),
        1 => prop::sample::select(&["", "{}", "[]", "null", "ok", "<html>", "7", r#"{"ok":true}"#][..])
            .prop_map(|text| Body::Noise(text.into())),
        1 => proptest::collection::vec(any::<u8>(), 0..60)
            .prop_map(|bytes| Body::Noise(String::from_utf8_lossy(&bytes).into_owned())),
    ]
}

fn header() -> impl Strategy<Value = (&'static str, String)> {
    let names = prop::sample::select(&["retry-after", "x-ratelimit-reset", "link", "content-type"][..]);
    (names, prop_oneof![Just(String::new()), Just("604800".into()), "[0-9.x-]{0,20}", "\\PC{0,12}"])
}

/// Any reply.
pub fn said() -> impl Strategy<Value = Recipe> {
    (prop::sample::select(&STATUSES[..]), body(), header()).prop_map(|(status, body, header)| Recipe {
        status,
        body,
        header,
    })
}

/// A success with a body of the vendor's, so that conversations get further.
pub fn kind() -> impl Strategy<Value = Recipe> {
    any::<Index>().prop_map(|which| Recipe {
        status: 200,
        body: Body::Real(which, Vec::new(), None),
        header: ("content-type", "application/json".into()),
    })
}

/// A success with one of the vendor's bodies.
pub fn nth(name: &str, at: usize) -> Reply {
    let real = real(name);
    answer(200, &real[at % real.len()].to_string())
}

/// All that the vendor really says, each text of it in turn in words that quote the record; with statuses that are read.
pub fn quoting(name: &str) -> impl Iterator<Item = (u16, Said)> {
    // Long answers are the short ones with more in them.
    let short = real(name).iter().filter(|json| json.to_string().len() < 800);
    let texts = short.flat_map(|json| {
        (0..count(json)).filter_map(move |place| {
            let mut edited = json.clone();
            visit(&mut edited, &mut { place }, 1);
            let text = edited.to_string();
            // Only texts: other places would say what the vendor never says.
            (strings(&edited) == strings(json)).then_some(text)
        })
    });
    texts.flat_map(|text| {
        let header = ("content-type", "application/json".to_owned());
        [200, 400, 403, 409].map(|status| (status, Said(Some((status, text.clone(), header.clone())))))
    })
}

fn strings(json: &Json) -> usize {
    match json {
        Json::String(_) => 1,
        Json::Array(items) => items.iter().map(strings).sum(),
        Json::Object(entries) => entries.values().map(strings).sum(),
        _ => 0,
    }
}

/// An answer without headers.
pub fn answer(status: u16, body: &str) -> Reply {
    Reply::Answer(Answer { status, headers: Vec::new(), body: body.to_owned(), at: NOW })
}

impl Recipe {
    /// As one vendor would say it.
    pub fn of(&self, name: &str) -> Said {
        let text = match &self.body {
            Body::Lost => return Said(None),
            Body::Noise(text) => text.clone(),
            Body::Real(which, edits, cut) => {
                let real = real(name);
                let mut json = real[which.index(real.len())].clone();
                for (at, edit) in edits {
                    change(&mut json, *at, *edit);
                }
                let text = json.to_string();
                let length = text.chars().count();
                cut.map_or(text.clone(), |cut| text.chars().take(cut.index(length + 1)).collect())
            }
        };
        Said(Some((self.status, text, self.header.clone())))
    }
}

impl Said {
    /// As it speaks of a batch: a value of the record is quoted where it can only be that record's.
    pub fn about(&self, batch: &[Operation]) -> Reply {
        let Some((status, text, (header, value))) = &self.0 else { return Reply::Lost { at: NOW } };
        let texts = |operation: &Operation| {
            let fields = operation.fields.values().filter_map(|change| change.new.as_text().map(str::to_owned));
            let mut texts: Vec<String> = fields.chain([operation.subject.clone(), operation.slot.clone()]).collect();
            texts.extend(operation.keys.iter().map(|key| key.value.clone()));
            texts
        };
        let alone = batch.iter().filter(|_| batch.len() == 1);
        let quoted = alone.flat_map(texts).max_by_key(|text| text.len()).unwrap_or_default();
        let quoted = Json::from(quoted).to_string();
        let quoted = quoted.trim_matches('"');
        let mark = Json::from(QUOTED).to_string();
        let body = text.replace(mark.trim_matches('"'), quoted);
        let headers = vec![((*header).to_owned(), value.clone())];
        Reply::Answer(Answer { status: *status, headers, body, at: NOW })
    }
}

/// Changes one place of some JSON.
fn change(json: &mut Json, at: Index, edit: u8) {
    let places = count(json);
    let mut left = at.index(places);
    visit(json, &mut left, edit);
}

fn count(json: &Json) -> usize {
    1 + match json {
        Json::Array(items) => items.iter().map(count).sum::<usize>(),
        Json::Object(entries) => entries.values().map(count).sum(),
        _ => 0,
    }
}

/// True once the place was found.
fn visit(json: &mut Json, left: &mut usize, edit: u8) -> bool {
    if *left == 0 {
        *json = match edit {
            0 => Json::Null,
            1 => json!(format!("the value {QUOTED} is no good")),
            2 => json!(QUOTED),
            3 => json!(-7.5),
            4 => json!([]),
            5 => json!({}),
            6 => json!([json.clone(), json.clone()]),
            _ => json!(true),
        };
        return true;
    }
    *left -= 1;
    match json {
        Json::Array(items) => items.iter_mut().any(|item| visit(item, left, edit)),
        Json::Object(entries) => entries.values_mut().any(|value| visit(value, left, edit)),
        _ => false,
    }
}
