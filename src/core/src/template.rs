//! Templates of the config: JSON that somebody writes around values of the one namespace, by minijinja.
//!
//! Names are checked when the config is read, as those of rules are: a wrong one is a fault with the nearest right name. Every
//! value is written as JSON, with its quotes, so that no name of a customer becomes part of the structure; the template is
//! tried with values of every kind, and with none, before it is taken. Deliberately not here: files, includes and
//! inheritance, and any function that knows the time or the environment.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde_json::{Map, Value as Json, json};

use crate::expr::{Expr, Scope};
use crate::section::{Faults, Node};
use crate::value::Type;

/// A template whose names are known and that gives JSON.
#[derive(Debug, Clone)]
pub struct Template {
    source: String,
    names: Vec<Expr>,
}

/// The most steps of one rendering: a loop in a loop ends.
const FUEL: u64 = 200_000;

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Json);
    // A step below what is missing is missing too, and written as null.
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_fuel(Some(FUEL));
    environment
});

impl Template {
    /// Reads a template. `scope` has every name that it may use.
    pub fn read(node: &Node, scope: &Scope, faults: &mut Faults) -> Option<Self> {
        let source = node.text(faults, "a template that gives JSON")?;
        let used: BTreeSet<String> = match ENVIRONMENT.template_from_str(&source) {
            Ok(template) => template.undeclared_variables(true).into_iter().collect(),
            Err(error) => {
                faults.error(node.place, format!("the template can't be read: {}", said(&error)));
                return None;
            }
        };
        let is_function = |name: &str| ENVIRONMENT.globals().any(|(function, _)| function == name);
        // In the order of the alphabet, so a name stands before the names below it.
        let names: Vec<Option<Expr>> = used
            .iter()
            .filter(|name| !is_function(name))
            .map(|name| Expr::parse(name, node.place, scope, Type::Any, faults))
            .collect();
        let template = Self { source, names: names.into_iter().collect::<Option<_>>()? };
        match template.tried() {
            Ok(()) => Some(template),
            Err(why) => {
                let hint = "values are written as JSON, with their quotes: {\"id\": {{ id }}, \"text\": {{ \"n. \" ~ id }}}; \
                            any may be null";
                faults.error_with_hint(node.place, why, hint);
                None
            }
        }
    }

    /// The names that it uses, as expressions.
    pub fn names(&self) -> &[Expr] {
        &self.names
    }

    /// The JSON text for the values of its names.
    ///
    /// # Errors
    /// Why it gives none: what minijinja says, or that it is no JSON. No value is part of it.
    pub fn render(&self, value: impl Fn(&Expr) -> Json) -> Result<String, String> {
        let mut root = Map::new();
        for name in &self.names {
            put(&mut root, name.source(), value(name));
        }
        let template = ENVIRONMENT.template_from_str(&self.source).map_err(|error| said(&error))?;
        let text = template
            .render(Serde(&root))
            .map_err(|error| format!("the template can't be filled in: {}", error.kind()))?;
        match serde_json::from_str::<Json>(&text) {
            Ok(json) => Ok(json.to_string()),
            Err(error) => {
                let (line, column) = (error.line(), error.column());
                Err(format!("the template gives no JSON (what it gives breaks off at line {line}, column {column})"))
            }
        }
    }

    /// Tries it with values of every kind, and with none.
    fn tried(&self) -> Result<(), String> {
        let any = [json!(null), json!("a \"quoted\"\nline"), json!(1.5), json!(true), json!(["a"]), json!({"a": 1})];
        for (turn, any) in any.iter().enumerate() {
            self.render(|name| match name.kind() {
                _ if turn == 0 => Json::Null,
                Type::Any => any.clone(),
                Type::Bool => json!(turn % 2 == 0),
                Type::Number => json!(turn),
                Type::Text => json!("a \"quoted\"\nline"),
                Type::Date => json!("2026-01-05"),
                Type::Time => json!("2026-01-05T09:00:00Z"),
                Type::List => json!([any]),
                Type::Map => json!({ "a": any }),
            })
            .map_err(|why| if turn == 0 { format!("{why}, where values are missing") } else { why })?;
        }
        Ok(())
    }
}

/// Puts a value below a dotted name.
fn put(into: &mut Map<String, Json>, name: &str, value: Json) {
    match name.split_once('.') {
        None => drop(into.insert(name.to_owned(), value)),
        Some((first, rest)) => {
            let below = into.entry(first).or_insert_with(|| Json::Object(Map::new()));
            if !below.is_object() {
                *below = Json::Object(Map::new());
            }
            if let Json::Object(below) = below {
                put(below, rest, value);
            }
        }
    }
}

/// What minijinja says of a template, without the made-up name of its file.
fn said(error: &minijinja::Error) -> String {
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    match error.line() {
        Some(line) => format!("{detail} (line {line} of it)"),
        None => detail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::section::{Kind, Place, Text};

    fn read(source: &str) -> Result<Template, String> {
        let mut scope = Scope::default();
        scope.name("id", Type::Text);
        scope.name("health.score", Type::Number);
        scope.name("fields", Type::Map);
        scope.name("adoption.unused", Type::List);
        scope.open("traits");
        let text = Text { value: source.to_owned(), written: source.to_owned() };
        let mut faults = Faults::default();
        let template = Template::read(&Node { place: Place::default(), kind: Kind::Text(text) }, &scope, &mut faults);
        let said = |fault: crate::section::Fault| format!("{} {}", fault.message, fault.hint.unwrap_or_default());
        template.ok_or_else(|| faults.into_sorted().into_iter().map(said).collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn values_are_json_and_never_structure() {
        let template = read(
            "{\"who\": {{ id }}, \"score\": {{ health.score }}, \"plan\": {{ traits.plan }}, \
             \"unused\": [{% for one in adoption.unused %}{{ one }}{% if not loop.last %},{% endif %}{% endfor %}]}",
        )
        .unwrap();
        let names: Vec<&str> = template.names().iter().map(Expr::source).collect();
        assert_eq!(names, ["adoption.unused", "health.score", "id", "traits.plan"]);
        let said = template.render(|name| match name.source() {
            "id" => json!("a\", \"admin\": true, \"x\": \"<&'"),
            "health.score" => json!(42),
            "adoption.unused" => json!(["x", "y"]),
            _ => Json::Null,
        });
        let said: Json = serde_json::from_str(&said.unwrap()).unwrap();
        assert_eq!(
            said,
            json!({"who": "a\", \"admin\": true, \"x\": \"<&'", "score": 42, "plan": null, "unused": ["x", "y"]})
        );
        let whole = read("{\"all\": {{ fields }}, \"one\": {{ fields.score.of.old }}}");
        assert!(whole.unwrap_err().contains("unknown name `fields.score.of.old`"));
        let text = read("{\"text\": {{ \"score of \" ~ id }}}").unwrap().render(|_| json!("é"));
        assert_eq!(text.unwrap(), "{\"text\":\"score of é\"}");
    }

    #[test]
    fn what_is_wrong_is_said_when_it_is_read() {
        for (source, part) in [
            ("{\"a\": {{ helth.score }}}", "did you mean `health.score`?"),
            ("{\"a\": {{ id }", "can't be read"),
            ("{\"a\": \"account {{ id }}\"}", "gives no JSON (what it gives breaks off at line 1"),
            ("{% if health.score %}{}{% endif %}", "where values are missing"),
            ("{\"a\": {{ id|nope }}}", "can't be filled in: unknown filter"),
            ("{% include \"x\" %}", "can't be"),
            (
                "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}{}",
                "can't be filled in: engine ran out",
            ),
            ("", "gives no JSON"),
        ] {
            let said = read(source).map(|_| ()).unwrap_err();
            assert!(said.contains(part), "{source}: {said}");
        }
    }
}
