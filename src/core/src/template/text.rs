//! Templates that give text for people: messages and links.
//!
//! What comes from data is made harmless by the destination's own `escape` wherever it is written, whatever the template says of
//! it; only the template's own text is taken as it is. A value that is missing is written as `–`, numbers without a tail of
//! digits. A template is tried when the config is read, but may still fail on what is not known then, such as a trait that is
//! text for one customer and a number for another: whoever renders has a message of its own to fall back to.

use std::collections::BTreeMap;

use minijinja::{AutoEscape, Environment, Output, State, UndefinedBehavior, Value as Filled};

use super::{FUEL, names, said};
use crate::expr::{Expr, Names, Scope};
use crate::section::{Faults, Node};
use crate::value::{Type, Value};

/// Makes a piece of data harmless.
type Escape = fn(&str) -> String;

/// A template for text, whose names are known.
#[derive(Debug, Clone)]
pub struct TextTemplate {
    source: String,
    names: Vec<Expr>,
    escape: Escape,
}

impl TextTemplate {
    /// Reads a template. `scope` has every name that it may use.
    pub fn read(node: &Node, scope: &Scope, escape: Escape, faults: &mut Faults) -> Option<Self> {
        let source = node.text(faults, "a template")?;
        let names = names(&environment(escape), &source, node, scope, faults)?;
        let template = Self { source, names, escape };
        if let Err(why) = template.filled(|expr| sample(expr.kind())) {
            faults.error(node.place, why);
            return None;
        }
        Some(template)
    }

    /// The names that it uses, as expressions.
    pub fn names(&self) -> &[Expr] {
        &self.names
    }

    /// The text for somebody.
    ///
    /// # Errors
    /// What minijinja says; no value is part of it.
    pub fn render(&self, of: &dyn Names) -> Result<String, String> {
        self.filled(|expr| filled(expr.value(of)))
    }

    fn filled(&self, value: impl Fn(&Expr) -> Filled) -> Result<String, String> {
        let mut root = Branch::default();
        for name in &self.names {
            root.put(name.source(), value(name));
        }
        let environment = environment(self.escape);
        let template = environment.template_from_str(&self.source).map_err(|error| said(&error))?;
        let text = template.render(root.value()).map_err(|error| {
            let place = error.line().map(|line| format!(" (line {line} of it)")).unwrap_or_default();
            format!("the template can't be filled in: {}{place}", error.kind())
        })?;
        Ok(text.trim().to_owned())
    }
}

/// Values below a dotted name, while they are put together.
#[derive(Default)]
struct Branch {
    own: Option<Filled>,
    below: BTreeMap<String, Branch>,
}

impl Branch {
    fn put(&mut self, name: &str, value: Filled) {
        match name.split_once('.') {
            None => self.below.entry(name.to_owned()).or_default().own = Some(value),
            Some((first, rest)) => self.below.entry(first.to_owned()).or_default().put(rest, value),
        }
    }

    /// Names below a name go before a value of its own.
    fn value(self) -> Filled {
        match self.own {
            Some(own) if self.below.is_empty() => own,
            _ => map(self.below.into_iter().map(|(name, branch)| (name, branch.value()))),
        }
    }
}

fn environment(escape: Escape) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    // A step below what is missing is missing too.
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_fuel(Some(FUEL));
    environment.set_formatter(move |out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Filled| {
        let text = match f64::try_from(value.clone()) {
            _ if value.is_undefined() || value.is_none() => "–".to_owned(),
            Ok(number) if value.is_number() => format!("{}", (number * 10.0 + 0.5).floor() / 10.0),
            _ => escape(&value.to_string()),
        };
        Ok(out.write_str(&text)?)
    });
    environment
}

fn map(entries: impl Iterator<Item = (String, Filled)>) -> Filled {
    entries.collect::<BTreeMap<_, _>>().into()
}

/// A value in minijinja's terms; null is undefined there, so that `default` fills it in.
fn filled(value: Value) -> Filled {
    match value {
        Value::Null => Filled::UNDEFINED,
        Value::Bool(flag) => flag.into(),
        Value::Number(number) => number.into(),
        Value::Text(text) => text.into(),
        Value::Date(day) => day.to_string().into(),
        Value::Time(time) => time.to_string().into(),
        Value::List(list) => list.into_iter().map(filled).collect(),
        Value::Map(entries) => map(entries.into_iter().map(|(name, value)| (name, filled(value)))),
    }
}

/// A value of a kind, to try a template with.
fn sample(kind: Type) -> Filled {
    match kind {
        Type::Any => Filled::UNDEFINED,
        Type::Bool => true.into(),
        Type::Number => 42.0.into(),
        Type::List => vec!["a"].into(),
        Type::Text | Type::Date | Type::Time => "2026-01-05".into(),
        Type::Map => map([("a".to_owned(), "a".into())].into_iter()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::section::{Kind, Place, Text};

    struct Sample;
    impl Names for Sample {
        fn value(&self, name: &str) -> Value {
            match name {
                "name" => "Acme <!channel>".into(),
                "health.score" => 39.5832.into(),
                "alert.reasons" => Value::List(vec!["a & b".into(), "c".into()]),
                "traits.plan" => 7.0.into(),
                _ => Value::Null,
            }
        }
    }

    fn read(source: &str) -> Result<TextTemplate, String> {
        let mut scope = Scope::default();
        scope.name("name", Type::Text);
        scope.name("health.score", Type::Number);
        scope.name("alert.reasons", Type::List);
        scope.open("traits");
        let text = Text { value: source.to_owned(), written: source.to_owned() };
        let (node, mut faults) = (Node { place: Place::default(), kind: Kind::Text(text) }, Faults::default());
        let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let template = TextTemplate::read(&node, &scope, escape, &mut faults);
        let said = |fault: crate::section::Fault| format!("{} {}", fault.message, fault.hint.unwrap_or_default());
        template.ok_or_else(|| faults.into_sorted().into_iter().map(said).collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn values_are_escaped_and_the_template_is_not() {
        let template = read(
            "*{{ name }}* is at {{ health.score }}, {{ health.score|round|int }} <https://x|open> {{ name|safe }}\n\
             {% for reason in alert.reasons %}• {{ reason }}\n{% endfor %}{{ traits.gone }} {{ traits.gone|default('x') }}",
        );
        assert_eq!(
            template.unwrap().render(&Sample).unwrap(),
            "*Acme &lt;!channel&gt;* is at 39.6, 40 <https://x|open> Acme &lt;!channel&gt;\n• a &amp; b\n• c\n– x"
        );
    }

    #[test]
    fn what_is_wrong_is_said_when_it_is_read_or_when_it_is_filled_in() {
        for (source, part) in [
            ("{{ helth.score }}", "did you mean `health.score`?"),
            ("{{ name", "can't be read"),
            ("{{ name|nope }}", "unknown filter"),
        ] {
            let said = read(source).map(|_| ()).unwrap_err();
            assert!(said.contains(part), "{source}: {said}");
        }
        let fails = read("{{ traits.plan|default('a')|upper|items }}").map(|template| template.render(&Sample));
        assert!(fails.is_err() || fails.is_ok_and(|filled| filled.is_err()));
    }
}
