//! The config as written: a tree in which everything knows its place, and readers that collect all faults.
//!
//! The shell turns YAML into [`Node`]s; core and connectors read their sections from them and say what is
//! wrong in terms of places. Nothing here stops at the first fault, and a value that came from the
//! environment is never printed: faults quote what was written, `${NAME}`, not what it stands for.

use std::cell::RefCell;

use serde::{Deserialize, Serialize};

use crate::time::Span;

/// Line and column in the config file, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Place {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

/// One thing that is wrong, or worth a warning, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Where in the file.
    pub place: Place,
    /// What is wrong, as a lower-case fragment.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// A warning does not stop anything.
    pub warning: bool,
}

/// All faults of a file, in the order they were found.
#[derive(Debug, Default)]
pub struct Faults {
    list: Vec<Fault>,
}

impl Faults {
    /// Adds an error.
    pub fn error(&mut self, place: Place, message: impl Into<String>) {
        self.list.push(Fault { place, message: message.into(), hint: None, warning: false });
    }

    /// Adds an error that says what to do.
    pub fn error_with_hint(&mut self, place: Place, message: impl Into<String>, hint: impl Into<String>) {
        self.list.push(Fault { place, message: message.into(), hint: Some(hint.into()), warning: false });
    }

    /// Adds a warning.
    pub fn warning(&mut self, place: Place, message: impl Into<String>) {
        self.list.push(Fault { place, message: message.into(), hint: None, warning: true });
    }

    /// Adds a warning that says what to do.
    pub fn warning_with_hint(&mut self, place: Place, message: impl Into<String>, hint: impl Into<String>) {
        self.list.push(Fault { place, message: message.into(), hint: Some(hint.into()), warning: true });
    }

    /// True if something at a place is wrong, so that what follows from it need not be said.
    fn any_at(&self, place: Place) -> bool {
        self.list.iter().any(|fault| !fault.warning && fault.place == place)
    }

    /// True if anything but warnings was found.
    pub fn any_error(&self) -> bool {
        self.list.iter().any(|fault| !fault.warning)
    }

    /// The faults by place, each a line with its hint in brackets.
    pub fn into_lines(self) -> Vec<String> {
        let line = |fault: Fault| match fault.hint {
            Some(hint) => format!("{} ({hint})", fault.message),
            None => fault.message,
        };
        self.into_sorted().into_iter().map(line).collect()
    }

    /// The faults by place, each once.
    pub fn into_sorted(mut self) -> Vec<Fault> {
        self.list.sort_by(|a, b| (a.place, &a.message).cmp(&(b.place, &b.message)));
        self.list.dedup();
        self.list
    }
}

/// A piece of the config with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it stands.
    pub place: Place,
    /// What stands there.
    pub kind: Kind,
}

/// What stands at a place.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Nothing, `~` or `null`.
    Null,
    /// True or false and how it was written: `No` may be an id.
    Bool(bool, String),
    /// A number and how it was written: `007`, `12e5` and `1_000` may be ids.
    Number(f64, String),
    /// Text, with `${…}` filled in.
    Text(Text),
    /// A list.
    List(Vec<Node>),
    /// Keys and values in the order of the file.
    Map(Vec<(String, Place, Node)>),
}

/// Text of the config: what it means, and what was written.
#[derive(Clone, PartialEq, Eq)]
pub struct Text {
    /// With `${NAME}` and `${file:PATH}` filled in.
    pub value: String,
    /// As it stands in the file; the only form that may be printed.
    pub written: String,
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.written)
    }
}

impl Node {
    /// A piece of config that came as JSON; every value stands on a line of its own, in the order of the text.
    pub fn from_json(json: &serde_json::Value) -> Self {
        fn build(json: &serde_json::Value, line: &mut u32) -> Node {
            *line += 1;
            let place = Place { line: *line, column: 1 };
            let kind = match json {
                serde_json::Value::Null => Kind::Null,
                serde_json::Value::Bool(flag) => Kind::Bool(*flag, flag.to_string()),
                serde_json::Value::Number(number) => {
                    Kind::Number(number.as_f64().unwrap_or(f64::NAN), number.to_string())
                }
                serde_json::Value::String(text) => Kind::Text(Text { value: text.clone(), written: text.clone() }),
                serde_json::Value::Array(items) => Kind::List(items.iter().map(|item| build(item, line)).collect()),
                serde_json::Value::Object(entries) => {
                    let entry = |(name, value): (&String, &serde_json::Value)| {
                        let node = build(value, line);
                        (name.clone(), node.place, node)
                    };
                    Kind::Map(entries.iter().map(entry).collect())
                }
            };
            Node { place, kind }
        }
        build(json, &mut 0)
    }

    /// What kind of thing it is, for messages.
    pub fn described(&self) -> String {
        match &self.kind {
            Kind::Null => "nothing".into(),
            Kind::Bool(_, written) => format!("`{written}`"),
            Kind::Number(_, written) => format!("the number {written}"),
            Kind::Text(text) => format!("the text `{}`", shorten(&text.written)),
            Kind::List(_) => "a list".into(),
            Kind::Map(_) => "a section with keys".into(),
        }
    }

    fn wrong(&self, faults: &mut Faults, expected: &str) {
        faults.error(self.place, format!("expected {expected}, found {}", self.described()));
    }

    /// The value of a key, without asking for it: whatever else reads the section says what is wrong with it.
    pub fn key(&self, name: &str) -> Option<&Self> {
        let Kind::Map(entries) = &self.kind else { return None };
        entries.iter().find(|(key, ..)| key == name).map(|(_, _, node)| node)
    }

    /// Text; of a number or flag without quotes what was written, which is the name or id that is meant.
    pub fn text(&self, faults: &mut Faults, expected: &str) -> Option<String> {
        match &self.kind {
            Kind::Text(text) => Some(text.value.clone()),
            Kind::Number(_, written) | Kind::Bool(_, written) => Some(written.clone()),
            _ => {
                self.wrong(faults, expected);
                None
            }
        }
    }

    /// A finite number.
    pub fn number(&self, faults: &mut Faults, expected: &str) -> Option<f64> {
        match &self.kind {
            Kind::Number(number, _) if number.is_finite() => Some(*number),
            // A value from the environment arrives as text.
            Kind::Text(text) if text.value != text.written => match text.value.trim().parse::<f64>() {
                Ok(number) if number.is_finite() => Some(number),
                _ => {
                    self.wrong(faults, expected);
                    None
                }
            },
            _ => {
                self.wrong(faults, expected);
                None
            }
        }
    }

    /// A number within bounds, both included.
    pub fn number_within(&self, faults: &mut Faults, expected: &str, low: f64, high: f64) -> Option<f64> {
        let number = self.number(faults, expected)?;
        if (low..=high).contains(&number) {
            return Some(number);
        }
        faults.error(self.place, format!("expected {expected}, found {number}"));
        None
    }

    /// A whole number from `low` up.
    pub fn count(&self, faults: &mut Faults, expected: &str, low: u32) -> Option<u32> {
        let number = self.number_within(faults, expected, f64::from(low), f64::from(u32::MAX))?;
        if number.fract() == 0.0 {
            return Some(number as u32);
        }
        self.wrong(faults, expected);
        None
    }

    /// True or false.
    pub fn flag(&self, faults: &mut Faults, expected: &str) -> Option<bool> {
        match &self.kind {
            Kind::Bool(flag, _) => Some(*flag),
            Kind::Text(text) if text.value != text.written && matches!(text.value.trim(), "true" | "false") => {
                Some(text.value.trim() == "true")
            }
            _ => {
                self.wrong(faults, expected);
                None
            }
        }
    }

    /// A length of time: one number and one unit.
    pub fn span(&self, faults: &mut Faults, what: &str) -> Option<Span> {
        let expected = format!("{what} as one number and one unit (30m, 12h, 7d, 1mo)");
        let text = self.text(faults, &expected)?;
        let span = Span::parse(text.trim());
        if span.is_none() {
            self.wrong(faults, &expected);
        }
        span
    }

    /// A whole number of days from 1 up, written as `7d` or `1mo`.
    pub fn days(&self, faults: &mut Faults, what: &str) -> Option<i32> {
        let span = self.span(faults, what)?;
        match span.days() {
            Some(days) if days >= 1 => Some(days),
            _ => {
                faults.error(self.place, format!("{what} must be at least one whole day, found {}", self.described()));
                None
            }
        }
    }

    /// True for `off`, bare or quoted, and for `false`.
    pub fn is_off(&self) -> bool {
        match &self.kind {
            Kind::Bool(flag, _) => !flag,
            Kind::Text(text) => text.value == "off",
            _ => false,
        }
    }

    /// One of a few words; the index in `words`.
    pub fn one_of(&self, faults: &mut Faults, what: &str, words: &[&str]) -> Option<usize> {
        let expected = format!("{what}: one of {}", words.join(", "));
        let text = self.text(faults, &expected)?;
        let found = words.iter().position(|word| *word == text);
        if found.is_none() {
            let hint = nearest(&text, words.iter().copied()).map(|word| format!("did you mean `{word}`?"));
            faults.list.push(Fault {
                place: self.place,
                message: format!("expected {expected}, found {}", self.described()),
                hint,
                warning: false,
            });
        }
        found
    }

    /// The items of a list; a single value counts as a list of one.
    pub fn items(&self) -> Vec<&Node> {
        match &self.kind {
            Kind::List(items) => items.iter().collect(),
            Kind::Null => Vec::new(),
            _ => vec![self],
        }
    }

    /// A section with keys. `what` names it in messages.
    pub fn table<'a>(&'a self, faults: &mut Faults, what: &str) -> Option<Table<'a>> {
        match &self.kind {
            Kind::Map(entries) => {
                Some(Table { place: self.place, what: what.to_owned(), entries, asked: RefCell::default() })
            }
            Kind::Null => {
                Some(Table { place: self.place, what: what.to_owned(), entries: &[], asked: RefCell::default() })
            }
            _ => {
                self.wrong(faults, &format!("{what} as a section with keys"));
                None
            }
        }
    }

    /// The entries of a section whose keys are names that the user chose.
    pub fn entries<'a>(&'a self, faults: &mut Faults, what: &str) -> &'a [(String, Place, Node)] {
        match &self.kind {
            Kind::Map(entries) => entries,
            Kind::Null => &[],
            _ => {
                self.wrong(faults, &format!("{what} as a section with keys"));
                &[]
            }
        }
    }
}

/// A section while it is read: remembers which keys were asked for, so that the rest can be refused.
#[derive(Debug)]
pub struct Table<'a> {
    /// Where the section stands.
    pub place: Place,
    what: String,
    entries: &'a [(String, Place, Node)],
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Table<'a> {
    /// The value of a key, if it is there and not null.
    pub fn get(&self, key: &'static str) -> Option<&'a Node> {
        self.asked.borrow_mut().push(key);
        let (_, _, node) = self.entries.iter().find(|(name, _, _)| name == key)?;
        (node.kind != Kind::Null).then_some(node)
    }

    /// The value of a key that must be there.
    pub fn need(&self, faults: &mut Faults, key: &'static str, meaning: &str) -> Option<&'a Node> {
        let node = self.get(key);
        if node.is_none() {
            let place = self.entries.iter().find(|(name, _, _)| name == key).map_or(self.place, |(_, place, _)| *place);
            let value = if place == self.place { "is missing" } else { "has no value" };
            let hint = "a value that begins with `#`, `!`, `@`, `&` or `*` must stand in quotes, as in \"#cs-alerts\"";
            match place == self.place {
                true => faults.error(place, format!("{}: `{key}` {value} ({meaning})", self.what)),
                false if faults.any_at(place) => {}
                false => faults.error_with_hint(place, format!("{}: `{key}` {value} ({meaning})", self.what), hint),
            }
        }
        node
    }

    /// Refuses every key that nothing asked for, with the nearest right name.
    pub fn finish(self, faults: &mut Faults) {
        let asked = self.asked.into_inner();
        for (name, place, _) in self.entries {
            if asked.contains(&name.as_str()) {
                continue;
            }
            let mut known: Vec<&str> = asked.clone();
            known.sort_unstable();
            known.dedup();
            let hint = match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", known.join(", ")),
            };
            faults.error_with_hint(*place, format!("unknown key `{}` in {}", shorten(name), self.what), hint);
        }
    }
}

/// The nearest of some names, if one is near enough to be meant.
pub fn nearest<'n>(wrong: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let lower = wrong.to_lowercase();
    names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&lower, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= 1 + name.chars().count().max(lower.chars().count()) / 4)
        .min_by_key(|(distance, name)| (*distance, *name))
        .map(|(_, name)| name)
}

fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
