//! Rules and mappings: expressions over measures, traits and segments.
//!
//! The syntax is CEL's, read by the `cel` crate. Checking and evaluation are ours, because the crate's own treat a
//! missing name as an error and check no types: here names and types are checked when the config is read, and a missing
//! value is null. A comparison with null, `!=` included, is false; arithmetic with null gives null; `has(x)` asks whether
//! there is a value; `default(x, y)` gives one. There are deliberately no loops, no regular expressions and no clock.

mod canonical;
mod check;
mod eval;

use std::collections::BTreeMap;

use crate::section::{Faults, Node, Place};
use crate::value::{Type, Value};

pub use check::Known;
pub use eval::Misses;

/// The values behind names, for one account or user.
pub trait Names {
    /// The value of a dotted name such as `health.score` or `traits.plan`; null if there is none.
    fn value(&self, name: &str) -> Value;
}

/// What can be named at one level, and what kind of value each name has.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    names: BTreeMap<String, Known>,
    /// Prefixes below which any name may stand (`traits`).
    open: Vec<String>,
}

impl Scope {
    /// Makes a name known.
    pub fn name(&mut self, name: impl Into<String>, kind: Type) {
        self.names.insert(name.into(), Known { kind, words: Vec::new() });
    }

    /// Makes a name known whose text is one of a few words; comparing it with another word is a fault.
    pub fn words(&mut self, name: impl Into<String>, words: &[&str]) {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        self.names.insert(name.into(), Known { kind: Type::Text, words });
    }

    /// Makes the name of a list known that only has some words; asking it for another one is a fault.
    pub fn list_of(&mut self, name: impl Into<String>, words: &[String]) {
        self.names.insert(name.into(), Known { kind: Type::List, words: words.to_vec() });
    }

    /// Allows any name below a prefix.
    pub fn open(&mut self, prefix: impl Into<String>) {
        self.open.push(prefix.into());
    }

    /// This scope with every name moved below a prefix, added to another.
    pub fn nest_into(&self, prefix: &str, other: &mut Self) {
        for (name, known) in &self.names {
            other.names.insert(format!("{prefix}.{name}"), known.clone());
        }
        for open in &self.open {
            other.open.push(format!("{prefix}.{open}"));
        }
    }
}

/// The scopes of the two levels.
#[derive(Debug, Clone, Default)]
pub struct Scopes {
    /// Names of an account: `health.score`, `traits.plan`.
    pub account: Scope,
    /// Names of a user: `user.…` and `account.…`.
    pub user: Scope,
}

/// A checked expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    source: String,
    ast: Ast,
    kind: Type,
    place: Place,
}

/// The expression in our own terms.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ast {
    Literal(Value),
    Name(String),
    Not(Box<Ast>),
    Negate(Box<Ast>),
    And(Vec<Ast>),
    Or(Vec<Ast>),
    Compare(Comparison, Box<Ast>, Box<Ast>),
    Arithmetic(Operator, Box<Ast>, Box<Ast>),
    In(Box<Ast>, Box<Ast>),
    List(Vec<Ast>),
    If(Box<[Ast; 3]>),
    Call(Function, Vec<Ast>),
    /// A key of a value that is not known by name: `traits["plan name"]`.
    Index(Box<Ast>, Box<Ast>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Has,
    Default,
    Round,
    Floor,
    Ceil,
    Abs,
    Min,
    Max,
    Size,
    Text,
    Lower,
    StartsWith,
    EndsWith,
    Contains,
}

impl Expr {
    /// Reads and checks an expression. `want` is the kind that its place asks for; [`Type::Any`] takes all.
    pub fn read(node: &Node, scope: &Scope, want: Type, faults: &mut Faults) -> Option<Self> {
        let source = match &node.kind {
            // `when: true` is a rule too.
            crate::section::Kind::Bool(flag, _) => flag.to_string(),
            // What YAML takes for a number is one, however it is written there: `1_000`.
            crate::section::Kind::Number(number, _) => number.to_string(),
            // YAML took it for a tag, an anchor or a comment.
            crate::section::Kind::Null => {
                let hint =
                    "a rule that begins with `!`, `#`, `&` or `*` must stand in quotes, as in \"!has(traits.plan)\"";
                faults.error_with_hint(node.place, "expected an expression, found nothing", hint);
                return None;
            }
            _ => node.text(faults, "an expression, such as health.score or traits.plan == \"team\"")?,
        };
        Self::parse(&source, node.place, scope, want, faults)
    }

    /// Like [`Expr::read`], of bare text.
    pub fn parse(source: &str, place: Place, scope: &Scope, want: Type, faults: &mut Faults) -> Option<Self> {
        let (ast, kind) = check::check(source, place, scope, want, faults)?;
        Some(Self { source: source.to_owned(), ast, kind, place })
    }

    /// The expression as written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// One form of it, however it is written: two expressions that differ in blanks, quotes or brackets alone have the same.
    /// The form stays the same from version to version.
    pub fn canonical(&self) -> String {
        canonical::canonical(&self.ast)
    }

    /// The kind of value it gives.
    pub fn kind(&self) -> Type {
        self.kind
    }

    /// Where it stands in the config.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The names that it uses.
    pub fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        check::names(&self.ast, &mut names);
        names
    }

    /// The only texts that it can give, in the order of the config, where that is known before any data is seen; none elsewhere.
    pub fn words(&self, scope: &Scope) -> Option<Vec<String>> {
        check::words(&self.ast, scope)
    }

    /// The names that it compares with values written down, and the kinds of these: numbers, text, flags.
    pub fn literal_kinds(&self) -> Vec<(&str, Type)> {
        let mut kinds = Vec::new();
        check::literal_kinds(&self.ast, &mut kinds);
        kinds
    }

    /// Its value.
    pub fn value(&self, names: &dyn Names) -> Value {
        self.judged(names).0
    }

    /// Its value, and what it ran into. What named rules that it uses run into is theirs.
    pub fn judged(&self, names: &dyn Names) -> (Value, Misses) {
        eval::eval(&self.ast, names)
    }

    /// Whether it holds; null does not.
    pub fn holds(&self, names: &dyn Names) -> bool {
        self.value(names) == Value::Bool(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sample;
    impl Names for Sample {
        fn value(&self, name: &str) -> Value {
            match name {
                "health.score" => 42.0.into(),
                "health.band" => "normal".into(),
                "traits.plan" => "team".into(),
                "traits.seats" => 10.0.into(),
                "traits.since" => "2026-01-05".into(),
                "last_active" => Value::Time(crate::time::Timestamp(1_767_571_200_000)),
                "traits.odd name" => 7.0.into(),
                _ => Value::Null,
            }
        }
    }

    fn scope() -> Scope {
        let mut scope = Scope::default();
        scope.name("health.score", Type::Number);
        scope.words("health.band", &["healthy", "normal", "at_risk"]);
        scope.name("last_active", Type::Time);
        scope.name("users.active", Type::Number);
        scope.open("traits");
        scope
    }

    fn value(source: &str) -> Value {
        let mut faults = Faults::default();
        let expr = Expr::parse(source, Place::default(), &scope(), Type::Any, &mut faults);
        expr.unwrap_or_else(|| panic!("{source}: {:?}", faults.into_sorted())).value(&Sample)
    }

    fn fault(source: &str, want: Type) -> String {
        let mut faults = Faults::default();
        let place = Place { line: 3, column: 10 };
        assert!(Expr::parse(source, place, &scope(), want, &mut faults).is_none(), "{source} was taken");
        let faults = faults.into_sorted();
        let fault = &faults[0];
        format!(
            "{}:{} {} {}",
            fault.place.line,
            fault.place.column,
            fault.message,
            fault.hint.clone().unwrap_or_default()
        )
    }

    #[test]
    fn values_mix_as_people_expect() {
        assert_eq!(value("health.score >= 40 && traits.plan == \"team\""), true.into());
        assert_eq!(value("traits.plan in [\"team\", \"enterprise\"]"), true.into());
        assert_eq!(value("traits.plan != 'free'"), true.into());
        assert_eq!(value("round(health.score / 10) + 1"), 5.0.into());
        assert_eq!(value("traits.plan.startsWith('te') ? 'yes' : 'no'"), "yes".into());
        assert_eq!(value("traits['odd name'] == 7"), true.into());
        assert_eq!(value("traits.since <= last_active"), true.into());
        assert_eq!(value("traits.seats > 9.5"), true.into());
        assert_eq!(value("size(traits.plan)"), 4.0.into());
    }

    #[test]
    fn null_is_false_in_comparisons_and_null_in_arithmetic() {
        for source in ["traits.gone == 1", "traits.gone != 1", "traits.gone < 1", "traits.gone == traits.lost"] {
            assert_eq!(value(source), false.into(), "{source}");
            assert_eq!(value(&format!("!({source})")), true.into(), "!({source})");
        }
        assert_eq!(value("traits.gone + 1"), Value::Null);
        assert_eq!(value("1 / 0"), Value::Null);
        assert_eq!(value("default(traits.gone, 3) + 1"), 4.0.into());
        assert_eq!(value("has(traits.gone) || has(last_active)"), true.into());
        assert_eq!(value("traits.gone in ['a']"), false.into());
    }

    #[test]
    fn the_words_of_an_expression_are_known_where_its_names_are() {
        let words = |source: &str| {
            let expr = Expr::parse(source, Place::default(), &scope(), Type::Any, &mut Faults::default()).unwrap();
            expr.words(&scope()).map(|words| words.join(" ")).unwrap_or_default()
        };
        assert_eq!(words("health.band"), "healthy normal at_risk");
        assert_eq!(words("health.score < 40 ? 'red' : health.score < 70 ? 'amber' : 'red'"), "red amber");
        assert_eq!(words("default(health.band, 'new')"), "healthy normal at_risk new");
        for unknown in ["traits.plan", "health.score", "default(traits.plan, 'free')", "lower(health.band)"] {
            assert_eq!(words(unknown), "", "{unknown}");
        }
    }

    #[test]
    fn what_gives_no_answer_is_counted() {
        let misses = |source: &str| {
            let expr = Expr::parse(source, Place::default(), &scope(), Type::Any, &mut Faults::default()).unwrap();
            let misses = expr.judged(&Sample).1;
            [misses.compared_null, misses.counted_null, misses.divided_by_zero, misses.unlike]
        };
        assert_eq!(misses("traits.gone == 1 || traits.gone != 1 || traits.gone in [1]"), [3, 0, 0, 0]);
        assert_eq!(misses("round(traits.gone) + 1 > 3"), [1, 2, 0, 0]);
        assert_eq!(misses("traits.seats / 0 > 1 || health.score % 0 > 1"), [2, 0, 2, 0]);
        assert_eq!(misses("traits.plan > 3 || traits.seats == 'ten'"), [0, 0, 0, 2]);
        assert_eq!(misses("has(traits.gone) && traits.gone > 1"), [0; 4], "what is not reached is not counted");
        assert_eq!(misses("default(traits.gone, 2) > 1"), [0; 4]);
    }

    #[test]
    fn where_no_name_is_near_those_that_there_are_fit_a_line() {
        let hint = |count: usize| {
            let mut scope = Scope::default();
            scope.name("tenure", Type::Number);
            (0..count).for_each(|n| scope.name(format!("health.p{n:02}"), Type::Number));
            scope.open("traits");
            let mut faults = Faults::default();
            Expr::parse("zzzzzzzz > 1", Place::default(), &scope, Type::Bool, &mut faults);
            faults.into_sorted().remove(0).hint.unwrap_or_default()
        };
        assert_eq!(hint(2), "known: health.p00, health.p01, tenure, traits.NAME");
        assert_eq!(hint(40), "known: health.…, tenure, traits.NAME");
    }

    #[test]
    fn faults_name_the_place_and_the_nearest_right_name() {
        assert_eq!(
            fault("helth.score > 3", Type::Bool),
            "3:10 unknown name `helth.score` did you mean `health.score`?"
        );
        assert_eq!(
            fault("health.score > 3 && user.actve > 1", Type::Bool),
            "3:30 unknown name `user.actve` did you mean `users.active`?"
        );
        assert!(fault("health.band == 'at risk'", Type::Bool).contains("did you mean `at_risk`?"));
        assert!(fault("health.score", Type::Bool).contains("expected true or false"));
        assert!(fault("health.score > 'a'", Type::Bool).contains("can't compare a number with text"));
        assert!(fault("health.score >", Type::Bool).starts_with("3:"));
        assert!(fault("", Type::Bool).contains("empty"));
        assert!(fault("traits.x == null", Type::Bool).contains("has("));
        assert!(fault("frobnicate(1)", Type::Any).contains("unknown function"));
        let deep = format!("{}1{}", "(".repeat(5000), ")".repeat(5000));
        fault(&deep, Type::Any);
    }
}
