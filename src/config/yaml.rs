//! From YAML text to the tree of the config as written, every node with its place.
//!
//! `${NAME}` and `${file:PATH}` are filled in here; what they stand for is kept beside what was written and never printed.

use std::fmt;
use std::path::Path;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use serde_saphyr::options::NonFiniteFloatPolicy;
use vitalsync_core::section::{Faults, Kind, Node, Place, Text};

/// Looks up `${NAME}`: the environment in production, a table in tests.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Where `${…}` comes from, and what it was filled in with.
pub struct Filling<'a> {
    /// Looks up `${NAME}`.
    pub lookup: Lookup<'a>,
    /// `${file:PATH}` is relative to this directory.
    pub base: &'a Path,
    /// What was filled in, with what was written for it: must never be printed.
    pub filled: Vec<(String, String)>,
}

/// What the parser hands out: values, and where in the text they stand.
enum Raw {
    Scalar(Kind),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

fn place(location: serde_saphyr::Location) -> Place {
    Place { line: u32::try_from(location.line()).unwrap_or(0), column: u32::try_from(location.column()).unwrap_or(0) }
}

/// A node before `${…}` is filled in.
fn node(spanned: Spanned<Raw>, text: &str) -> Node {
    let kind = match spanned.value {
        Raw::Scalar(kind) => as_written(kind, slice(spanned.defined, text)),
        Raw::List(items) => Kind::List(items.into_iter().map(|item| node(item, text)).collect()),
        Raw::Map(entries) => Kind::Map(
            entries.into_iter().map(|(key, value)| (key.value, place(key.referenced), node(value, text))).collect(),
        ),
    };
    Node { place: place(spanned.referenced), kind }
}

/// What stands at a location of the text.
fn slice(location: serde_saphyr::Location, text: &str) -> Option<&str> {
    let span = location.span();
    let (from, length) = (usize::try_from(span.byte_offset()?).ok()?, usize::try_from(span.byte_len()?).ok()?);
    text.get(from..from.checked_add(length)?).map(str::trim)
}

/// A scalar with what was written for it, so that an id stays what it is: `0042`, `12e5`, `1_000`, `No`. The parser hands out
/// values only; of numbers beyond all bounds, such as `1e999`, a text of its own.
fn as_written(kind: Kind, found: Option<&str>) -> Kind {
    let Some(found) = found.filter(|found| !found.is_empty() && !found.starts_with(['"', '\'', '|', '>'])) else {
        return kind;
    };
    match kind {
        Kind::Number(number, _) => Kind::Number(number, found.to_owned()),
        Kind::Bool(flag, _) => Kind::Bool(flag, found.to_owned()),
        Kind::Text(text) if matches!(text.value.as_str(), ".inf" | "-.inf" | ".nan") => {
            Kind::Text(Text { value: found.to_owned(), written: found.to_owned() })
        }
        other => other,
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Raw;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("YAML")
            }
            fn visit_unit<E: de::Error>(self) -> Result<Raw, E> {
                Ok(Raw::Scalar(Kind::Null))
            }
            fn visit_none<E: de::Error>(self) -> Result<Raw, E> {
                Ok(Raw::Scalar(Kind::Null))
            }
            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
                Raw::deserialize(deserializer)
            }
            fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Raw, E> {
                Ok(Raw::Scalar(Kind::Bool(flag, flag.to_string())))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Raw, E> {
                Ok(Raw::Scalar(Kind::Number(number as f64, number.to_string())))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Raw, E> {
                Ok(Raw::Scalar(Kind::Number(number as f64, number.to_string())))
            }
            fn visit_i128<E: de::Error>(self, number: i128) -> Result<Raw, E> {
                Ok(Raw::Scalar(Kind::Number(number as f64, number.to_string())))
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Raw, E> {
                Ok(Raw::Scalar(Kind::Number(number, number.to_string())))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Raw, E> {
                Ok(Raw::Scalar(Kind::Text(Text { value: text.to_owned(), written: text.to_owned() })))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element::<Spanned<Raw>>()? {
                    items.push(item);
                }
                Ok(Raw::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
                let mut entries = Vec::new();
                while let Some(key) = map.next_key::<Spanned<String>>()? {
                    entries.push((key, map.next_value::<Spanned<Raw>>()?));
                }
                Ok(Raw::Map(entries))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// Reads YAML. Broken YAML is one fault; everything else is left to the readers of the sections.
pub fn parse(text: &str, filling: &mut Filling<'_>, faults: &mut Faults) -> Option<Node> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_nodes: 50_000, max_depth: 64 },
        // As text no reader takes them for numbers, and each is a fault at its own place.
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
    };
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options) {
        Ok(root) => {
            let mut root = node(root, text);
            let lines: Vec<&str> = text.lines().collect();
            bare(&root, &lines, faults);
            fill(&mut root, filling, faults);
            Some(root)
        }
        Err(error) => {
            let at = error.location().map_or(Place { line: 1, column: 1 }, place);
            if let Some((message, hint)) = in_our_words(error.without_snippet()) {
                faults.error_with_hint(at, message, hint);
                return None;
            }
            let message = error.without_snippet().to_string();
            let message = message.lines().next().unwrap_or_default();
            // The place is printed in front; the crate repeats it behind.
            let message = message.split(" at line ").next().unwrap_or(message);
            // Advice for programmers.
            let message = message.split(", set DuplicateKeyPolicy").next().unwrap_or(message);
            let line = text.lines().nth(at.line.saturating_sub(1) as usize).unwrap_or_default();
            let bare = |c: &char| line.contains(&format!(": {c}"));
            match ['#', '!', '@', '&', '*', '%', '`'].into_iter().find(bare) {
                Some(c) => {
                    faults.error_with_hint(at, message, format!("a value that begins with `{c}` must stand in quotes"))
                }
                None => faults.error(at, message),
            }
            None
        }
    }
}

/// What is wrong and what to do about it, where the parser gives advice for programmers.
fn in_our_words(error: &serde_saphyr::Error) -> Option<(&'static str, &'static str)> {
    use serde_saphyr::Error;
    Some(match error {
        Error::MultipleDocuments { .. } => {
            ("a second YAML document begins before this, and the config is one", "take out the line `---` between them")
        }
        Error::NullIntoString { .. } => {
            ("what stands here as a key is nothing for YAML", "the keys \"null\" and \"~\" must stand in quotes")
        }
        Error::Unexpected { expected: "string scalar", .. } => {
            ("a key is text, no list and no section", "a key that begins with `[` or `{` must stand in quotes")
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            ("what stands here holds itself", "write out what `*` stands for, or put it in quotes if it is text")
        }
        _ => return None,
    })
}

/// Finds values that YAML took for a tag or a comment, so that nothing is left of them: `for: !segments.x`, `to: #sales`. A
/// comment that people write has a space behind its `#`.
fn bare(node: &Node, lines: &[&str], faults: &mut Faults) {
    match &node.kind {
        Kind::Map(entries) => {
            for (_, key, value) in entries {
                let line = lines.get((key.line as usize).wrapping_sub(1)).copied().unwrap_or_default();
                let from_key: String = line.chars().skip((key.column as usize).saturating_sub(1)).collect();
                let written = from_key.split_once(": ").map_or("", |(_, rest)| rest.trim_start());
                let lost = written.starts_with('!')
                    || written.strip_prefix('#').is_some_and(|rest| rest.starts_with(char::is_alphanumeric));
                if value.kind == Kind::Null && lost {
                    let first = written.chars().next().unwrap_or_default();
                    let hint = format!("a value that begins with `{first}` must stand in quotes");
                    faults.error_with_hint(*key, "what stands here is no value for YAML", hint);
                } else {
                    bare(value, lines, faults);
                }
            }
        }
        Kind::List(items) => items.iter().for_each(|item| bare(item, lines, faults)),
        _ => {}
    }
}

fn fill(node: &mut Node, filling: &mut Filling<'_>, faults: &mut Faults) {
    match &mut node.kind {
        Kind::Text(text) if text.written.contains("${") => match substitute(&text.written, filling) {
            Ok(value) => text.value = value,
            Err((message, hint)) => faults.error_with_hint(node.place, message, hint),
        },
        Kind::List(items) => items.iter_mut().for_each(|item| fill(item, filling, faults)),
        Kind::Map(entries) => entries.iter_mut().for_each(|(_, _, value)| fill(value, filling, faults)),
        _ => {}
    }
}

/// Fills in `${NAME}` and `${file:PATH}`; `$${` stands for a literal `${`.
fn substitute(written: &str, filling: &mut Filling<'_>) -> Result<String, (String, String)> {
    let mut value = String::new();
    let mut rest = written;
    while let Some(at) = rest.find("${") {
        let (before, after) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            value.push_str(before);
            value.push_str("${");
            rest = after.get(2..).unwrap_or_default();
            continue;
        }
        value.push_str(before);
        let Some(end) = after.find('}') else {
            return Err(("`${` without `}`".into(), "write ${NAME}, or $${ for a literal ${".into()));
        };
        let name = after.get(2..end).unwrap_or_default();
        if let Some(path) = name.strip_prefix("file:") {
            let content = std::fs::read_to_string(filling.base.join(path)).map_err(|error| {
                (format!("can't read the file of ${{{name}}}: {error}"), "check the path and its rights".into())
            })?;
            let content = content.trim_end_matches(['\n', '\r']);
            filling.filled.push((content.to_owned(), format!("${{{name}}}")));
            value.push_str(content);
        } else {
            if name.is_empty() || name.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
                let hint = "write ${NAME} with letters, digits and `_`, ${file:PATH}, or $${ for a literal ${";
                return Err((format!("`${{{name}}}` names no environment variable"), hint.into()));
            }
            let found = (filling.lookup)(name).ok_or_else(|| {
                (
                    format!("the environment variable `{name}` is not set"),
                    format!("set it, as in `export {name}=…`, and try again"),
                )
            })?;
            value.push_str(&found);
            filling.filled.push((found, format!("${{{name}}}")));
        }
        rest = after.get(end + 1..).unwrap_or_default();
    }
    value.push_str(rest);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Result<Node, String> {
        let mut faults = Faults::default();
        let lookup = |name: &str| (name == "TOKEN").then(|| "s3cret".to_owned());
        let mut filling = Filling { lookup: &lookup, base: Path::new(""), filled: Vec::new() };
        let node = parse(text, &mut filling, &mut faults);
        let list = faults.into_sorted();
        match (node, list.first()) {
            (Some(node), None) => Ok(node),
            (_, Some(fault)) => Err(format!(
                "{}:{} {} {}",
                fault.place.line,
                fault.place.column,
                fault.message,
                fault.hint.clone().unwrap_or_default()
            )),
            (None, None) => Err(String::new()),
        }
    }

    #[test]
    fn every_node_knows_its_place() {
        let root = tree("a: 1\nb:\n  - x\n  - c: \"y z\"\n").unwrap();
        let Kind::Map(entries) = &root.kind else { panic!("{root:?}") };
        assert_eq!((entries[0].1, entries[0].2.place), (Place { line: 1, column: 1 }, Place { line: 1, column: 4 }));
        let Kind::List(items) = &entries[1].2.kind else { panic!() };
        assert_eq!(items[0].place, Place { line: 3, column: 5 });
        let Kind::Map(inner) = &items[1].kind else { panic!() };
        assert_eq!((inner[0].1, inner[0].2.place), (Place { line: 4, column: 5 }, Place { line: 4, column: 8 }));
    }

    #[test]
    fn kinds_are_yamls_own() {
        let root = tree("[1.5, true, ~, text, \"7\", 2026-01-01, 3d]").unwrap();
        let Kind::List(items) = root.kind else { panic!() };
        let kinds: Vec<String> = items.iter().map(Node::described).collect();
        assert_eq!(
            kinds,
            [
                "the number 1.5",
                "`true`",
                "nothing",
                "the text `text`",
                "the text `7`",
                "the text `2026-01-01`",
                "the text `3d`"
            ]
        );
    }

    #[test]
    fn of_what_has_no_quotes_is_known_what_was_written() {
        let written = [
            "0042",
            "1.50",
            "12e5",
            "00e1",
            "1e999",
            "-1e999",
            ".inf",
            ".NaN",
            "0x1F",
            "0o17",
            "0b11",
            "1_000",
            "+5",
            "-0",
            ".5",
            "1:30",
            "9007199254740993",
            "12345678901234567890123",
            "No",
            "off",
            "TRUE",
            "2026-01-01",
            "a b",
        ];
        let flow = format!("[é, {}]", written.join(", "));
        let block = format!("- é\r\n{}", written.map(|word| format!("- {word}   # é\r\n")).concat());
        let keyed = format!("\u{feff}é:\n- é\n{}", written.map(|word| format!("- &a {word}\n")).concat());
        for text in [flow, block, keyed] {
            let root = tree(&text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
            let list = root.key("é").unwrap_or(&root).items();
            let read: Vec<String> =
                list.iter().filter_map(|item| item.text(&mut Faults::default(), "an id")).skip(1).collect();
            assert_eq!(read, written, "{text}");
        }
        // Where it stands again, and what is no plain scalar.
        let root = tree("[&a 12e5, *a, '12e5', \".inf\", !!str 12e5, *a]").unwrap();
        let read: Vec<String> =
            root.items().iter().filter_map(|item| item.text(&mut Faults::default(), "an id")).collect();
        assert_eq!(read, ["12e5", "12e5", "12e5", ".inf", "12e5", "12e5"]);
        // And still they are numbers and flags where those are asked for.
        let root = tree("[1_000, No]").unwrap();
        let items = root.items();
        assert_eq!(items[0].number(&mut Faults::default(), ""), Some(1000.0));
        assert_eq!(items[1].flag(&mut Faults::default(), ""), Some(false));
    }

    #[test]
    fn secrets_are_filled_in_and_never_shown() {
        let root = tree("token: \"x-${TOKEN}-$${y}\"").unwrap();
        let Kind::Map(entries) = &root.kind else { panic!() };
        let Kind::Text(text) = &entries[0].2.kind else { panic!() };
        assert_eq!(text.value, "x-s3cret-${y}");
        assert!(!format!("{root:?}").contains("s3cret"));
        assert!(!entries[0].2.described().contains("s3cret"));
        assert_eq!(
            tree("a: ${NOPE}").unwrap_err(),
            "1:4 the environment variable `NOPE` is not set set it, as in `export NOPE=…`, and try again"
        );
        assert!(tree("a: ${file:/does/not/exist}").unwrap_err().contains("can't read the file"));
    }

    #[test]
    fn broken_yaml_says_where() {
        assert!(tree("a: 1\na: 2").unwrap_err().starts_with("2:1 "), "{:?}", tree("a: 1\na: 2"));
        assert!(tree("a:\n\t- b").unwrap_err().starts_with("2:"), "{:?}", tree("a:\n\t- b"));
        assert!(tree("a: [1, 2").unwrap_err().contains(':'));
    }

    #[test]
    fn what_is_wrong_is_said_in_our_words() {
        for (text, begin, hint) in [
            ("a: 1\n---\nb: 2\n", "3:1 a second YAML document", "take out the line `---`"),
            ("a: 1\nnull: 1\n", "2:1 what stands here as a key", "in quotes"),
            ("a:\n  ~: 1\n", "2:3 what stands here as a key", "in quotes"),
            ("[a]: 1\n", "1:1 a key is text", "in quotes"),
            ("a: &x [*x]\n", "1:8 what stands here holds itself", "write out"),
            ("a: ${}\n", "1:4 `${}` names no environment variable", "$${ for a literal ${"),
            ("a: ${ TOKEN }\n", "1:4 `${ TOKEN }` names no", "${NAME} with letters"),
            ("a: ${TOKEN:-x}\n", "1:4 `${TOKEN:-x}` names no", "${NAME} with letters"),
        ] {
            let said = tree(text).unwrap_err();
            assert!(said.starts_with(begin) && said.contains(hint), "{text}: {said}");
        }
        assert!(tree("---\n\"null\": 1\n\"~\": 2\n...\n").is_ok());
    }

    #[test]
    fn what_yaml_takes_for_a_tag_or_a_comment_is_no_silent_nothing() {
        for (text, begin) in [
            ("for: !segments.x\n", "1:1 what stands here is no value"),
            ("a:\n  - c: { quiet: 3d, for: !segments.x, to: z }\n", "2:21 what stands here is no value"),
            ("a:\n  to: #sales\n", "2:3 what stands here is no value"),
        ] {
            let said = tree(text).unwrap_err();
            assert!(said.starts_with(begin) && said.contains("must stand in quotes"), "{text}: {said}");
        }
        assert!(tree("segments: # none yet\nfor: \"!segments.x\"\nb: ~\nc:\n").is_ok());
    }
}
