//! From text to a checked expression: names, types, and words, with the place of each fault.

use cel::Env;
use cel::common::ast::{CallExpr, Expr as Cel, IdedExpr, LiteralValue, SourceInfo};

use super::{Ast, Comparison, Function, Operator, Scope};
use crate::section::{Faults, Place, nearest};
use crate::value::{Type, Value};

/// What is known of a name before any data is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The kind of value.
    pub kind: Type,
    /// If not empty: the only words that its text, or the items of its list, can be.
    pub words: Vec<String>,
}

/// Longer rules are taken for an accident.
const MAX_SOURCE: usize = 4_000;
/// Deeper brackets are refused before the parser sees them: it recurses.
const MAX_DEPTH: usize = 64;
/// So many names are told one by one where one is unknown.
const LISTED: usize = 20;

pub(super) const FUNCTIONS: [(&str, Function, usize, usize); 14] = [
    ("has", Function::Has, 1, 1),
    ("default", Function::Default, 2, 2),
    ("round", Function::Round, 1, 2),
    ("floor", Function::Floor, 1, 1),
    ("ceil", Function::Ceil, 1, 1),
    ("abs", Function::Abs, 1, 1),
    ("min", Function::Min, 2, 8),
    ("max", Function::Max, 2, 8),
    ("size", Function::Size, 1, 1),
    ("string", Function::Text, 1, 1),
    ("lower", Function::Lower, 1, 1),
    ("startsWith", Function::StartsWith, 2, 2),
    ("endsWith", Function::EndsWith, 2, 2),
    ("contains", Function::Contains, 2, 2),
];

struct Checker<'a> {
    place: Place,
    scope: &'a Scope,
    info: SourceInfo,
    faults: &'a mut Faults,
    failed: bool,
}

pub(super) fn check(source: &str, place: Place, scope: &Scope, want: Type, faults: &mut Faults) -> Option<(Ast, Type)> {
    if source.trim().is_empty() {
        faults.error(place, "the expression is empty");
        return None;
    }
    let depth = source.chars().scan(0usize, |depth, c| {
        match c {
            '(' | '[' | '{' => *depth += 1,
            ')' | ']' | '}' => *depth = depth.saturating_sub(1),
            _ => {}
        }
        Some(*depth)
    });
    if source.len() > MAX_SOURCE || depth.max().unwrap_or(0) > MAX_DEPTH {
        faults.error(
            place,
            format!(
                "the expression is too long or too deep (at most {MAX_SOURCE} characters and {MAX_DEPTH} brackets)"
            ),
        );
        return None;
    }
    let (tree, info) = match Env::default().parser().max_recursion_depth(96).parse_with_source_info(source) {
        Ok(parsed) => parsed,
        Err(errors) => {
            let first = errors.errors.first();
            let column = first.map_or(0, |error| u32::try_from(error.pos.1.max(1) - 1).unwrap_or(0));
            let message =
                first.map_or_else(String::new, |error| error.msg.lines().next().unwrap_or_default().to_lowercase());
            // What a parser could have gone on with is a list of its own inventions.
            let message = message.split(" expecting").next().unwrap_or_default().replace("'<eof>'", "its end");
            faults.error(
                Place { line: place.line, column: place.column + column },
                format!("can't read the expression `{}`: {message}", source.trim()),
            );
            return None;
        }
    };
    let mut checker = Checker { place, scope, info, faults, failed: false };
    let (ast, kind) = checker.expr(&tree, 0)?;
    if !fits(kind, want) {
        checker.fault(&tree, format!("expected {want}, but `{}` gives {kind}", source.trim()), None);
    }
    (!checker.failed).then_some((ast, kind))
}

fn fits(kind: Type, want: Type) -> bool {
    kind == want || kind == Type::Any || want == Type::Any
}

impl Checker<'_> {
    fn fault(&mut self, at: &IdedExpr, message: String, hint: Option<String>) {
        self.failed = true;
        // A selection is placed at its dot; people look at where the name begins.
        let mut first = at;
        while let Cel::Select(select) = &first.expr {
            first = &select.operand;
        }
        let offset = self.info.offset_for(first.id).map_or(0, |(start, _)| start);
        let place = Place { line: self.place.line, column: self.place.column + offset };
        match hint {
            Some(hint) => self.faults.error_with_hint(place, message, hint),
            None => self.faults.error(place, message),
        }
    }

    fn expr(&mut self, node: &IdedExpr, depth: usize) -> Option<(Ast, Type)> {
        if depth > 2 * MAX_DEPTH {
            self.fault(node, "the expression is too deep".into(), None);
            return None;
        }
        match &node.expr {
            Cel::Literal(literal) => self.literal(node, literal),
            Cel::Ident(_) | Cel::Select(_) => self.name(node),
            Cel::List(list) => {
                let items: Option<Vec<_>> =
                    list.elements.iter().map(|item| Some(self.expr(item, depth + 1)?.0)).collect();
                Some((Ast::List(items?), Type::List))
            }
            Cel::Call(call) => self.call(node, call, depth),
            _ => {
                self.fault(node, "this form is not supported in rules".into(), None);
                None
            }
        }
    }

    fn literal(&mut self, node: &IdedExpr, literal: &LiteralValue) -> Option<(Ast, Type)> {
        let value = match literal {
            LiteralValue::Boolean(flag) => Value::Bool(*flag.inner()),
            LiteralValue::Int(number) => Value::Number(*number.inner() as f64),
            LiteralValue::UInt(number) => Value::Number(*number.inner() as f64),
            LiteralValue::Double(number) => Value::Number(*number.inner()),
            LiteralValue::String(text) => Value::Text(text.inner().to_owned()),
            LiteralValue::Null => {
                self.fault(node, "null can't be compared".into(), Some("use has(x) or !has(x)".into()));
                return None;
            }
            LiteralValue::Bytes(_) => {
                self.fault(node, "bytes are not supported in rules".into(), None);
                return None;
            }
        };
        let kind = value.kind();
        Some((Ast::Literal(value), kind))
    }

    fn name(&mut self, node: &IdedExpr) -> Option<(Ast, Type)> {
        let Some(name) = dotted(node) else {
            // A selection on something that is not a name: `traits["a"].b`.
            if let Cel::Select(select) = &node.expr {
                let (operand, _) = self.expr(&select.operand, 1)?;
                let key = Ast::Literal(Value::Text(select.field.clone()));
                return Some((Ast::Index(Box::new(operand), Box::new(key)), Type::Any));
            }
            return None;
        };
        if let Some(known) = self.scope.names.get(&name) {
            return Some((Ast::Name(name), known.kind));
        }
        let below =
            |open: &String| name == *open || name.strip_prefix(open.as_str()).is_some_and(|rest| rest.starts_with('.'));
        if self.scope.open.iter().any(below) {
            let kind = if self.scope.open.contains(&name) { Type::Map } else { Type::Any };
            return Some((Ast::Name(name), kind));
        }
        let hint = match nearest(&name, self.scope.names.keys().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known: {}", self.some_names(&name)),
        };
        self.fault(node, format!("unknown name `{name}`"), Some(hint));
        None
    }

    /// Names that begin like this one, else all; of many what they begin with.
    fn some_names(&self, name: &str) -> String {
        let root_of = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
        let known = || self.scope.names.keys();
        let mut names: Vec<String> = known().filter(|known| root_of(known) == root_of(name)).cloned().collect();
        if names.is_empty() {
            let many = self.scope.names.len() > LISTED;
            let shown = |known: &String| match known.split_once('.') {
                Some((root, _)) if many => format!("{root}.…"),
                _ => known.clone(),
            };
            names = known().map(shown).collect();
            names.dedup();
        }
        names.extend(self.scope.open.iter().map(|prefix| format!("{prefix}.NAME")));
        names.join(", ")
    }

    fn call(&mut self, node: &IdedExpr, call: &CallExpr, depth: usize) -> Option<(Ast, Type)> {
        let arguments: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        // Every argument is checked, so that all faults show at once.
        let checked: Vec<Option<(Ast, Type)>> =
            arguments.iter().map(|argument| self.expr(argument, depth + 1)).collect();
        let checked: Vec<(Ast, Type)> = checked.into_iter().collect::<Option<_>>()?;
        let kinds: Vec<Type> = checked.iter().map(|(_, kind)| *kind).collect();
        let mut asts: Vec<Ast> = checked.into_iter().map(|(ast, _)| ast).collect();
        let want = |checker: &mut Self, want: Type| {
            for (argument, kind) in arguments.iter().zip(&kinds) {
                if !fits(*kind, want) {
                    checker.fault(argument, format!("expected {want}, found {kind}"), None);
                }
            }
        };
        let comparison = |name: &str| {
            Some(match name {
                "_==_" => Comparison::Equal,
                "_!=_" => Comparison::NotEqual,
                "_<_" => Comparison::Less,
                "_<=_" => Comparison::LessOrEqual,
                "_>_" => Comparison::Greater,
                "_>=_" => Comparison::GreaterOrEqual,
                _ => return None,
            })
        };
        let operator = |name: &str| {
            Some(match name {
                "_+_" => Operator::Add,
                "_-_" => Operator::Subtract,
                "_*_" => Operator::Multiply,
                "_/_" => Operator::Divide,
                "_%_" => Operator::Remainder,
                _ => return None,
            })
        };
        let name = call.func_name.as_str();
        match (name, asts.len()) {
            ("_&&_", 2..) => {
                want(self, Type::Bool);
                Some((Ast::And(asts), Type::Bool))
            }
            ("_||_", 2..) => {
                want(self, Type::Bool);
                Some((Ast::Or(asts), Type::Bool))
            }
            ("!_", 1) => {
                want(self, Type::Bool);
                Some((Ast::Not(Box::new(asts.remove(0))), Type::Bool))
            }
            ("-_", 1) => {
                want(self, Type::Number);
                Some((Ast::Negate(Box::new(asts.remove(0))), Type::Number))
            }
            ("_?_:_", 3) => {
                if !fits(kinds[0], Type::Bool) {
                    self.fault(arguments[0], format!("expected true or false, found {}", kinds[0]), None);
                }
                let kind = if kinds[1] == kinds[2] { kinds[1] } else { Type::Any };
                let three: [Ast; 3] = asts.try_into().ok()?;
                Some((Ast::If(Box::new(three)), kind))
            }
            ("_[_]", 2) => {
                let (container, key) = (asts.remove(0), asts.remove(0));
                match (&container, &key) {
                    (Ast::Name(name), Ast::Literal(Value::Text(key))) => {
                        Some((Ast::Name(format!("{name}.{key}")), Type::Any))
                    }
                    _ => Some((Ast::Index(Box::new(container), Box::new(key)), Type::Any)),
                }
            }
            ("@in", 2) => {
                if !fits(kinds[1], Type::List) {
                    self.fault(arguments[1], format!("expected a list after `in`, found {}", kinds[1]), None);
                }
                if let Ast::List(items) = &asts[1] {
                    for item in items {
                        self.check_word(node, &asts[0], item);
                    }
                }
                self.check_word(node, &asts[1], &asts[0]);
                let (needle, list) = (asts.remove(0), asts.remove(0));
                Some((Ast::In(Box::new(needle), Box::new(list)), Type::Bool))
            }
            (name, 2) if comparison(name).is_some() => {
                let time_like = |kind: Type| matches!(kind, Type::Text | Type::Date | Type::Time);
                if !(fits(kinds[0], kinds[1]) || time_like(kinds[0]) && time_like(kinds[1])) {
                    self.fault(node, format!("can't compare {} with {}", kinds[0], kinds[1]), None);
                }
                self.check_word(node, &asts[0], &asts[1]);
                self.check_word(node, &asts[1], &asts[0]);
                let (left, right) = (asts.remove(0), asts.remove(0));
                Some((Ast::Compare(comparison(name)?, Box::new(left), Box::new(right)), Type::Bool))
            }
            (name, 2) if operator(name).is_some() => {
                let operator = operator(name)?;
                let text = operator == Operator::Add && kinds.contains(&Type::Text);
                let kind = if text { Type::Text } else { Type::Number };
                want(self, kind);
                let (left, right) = (asts.remove(0), asts.remove(0));
                let kind = if kinds.iter().all(|kind| *kind == Type::Any) && operator == Operator::Add {
                    Type::Any
                } else {
                    kind
                };
                Some((Ast::Arithmetic(operator, Box::new(left), Box::new(right)), kind))
            }
            _ => self.function(node, call, &arguments, asts, &kinds),
        }
    }

    fn function(
        &mut self,
        node: &IdedExpr,
        call: &CallExpr,
        arguments: &[&IdedExpr],
        asts: Vec<Ast>,
        kinds: &[Type],
    ) -> Option<(Ast, Type)> {
        let name = if call.func_name == "lowerAscii" { "lower" } else { call.func_name.as_str() };
        let Some((_, function, low, high)) = FUNCTIONS.iter().find(|(known, ..)| *known == name) else {
            let hint = match nearest(name, FUNCTIONS.iter().map(|(known, ..)| *known)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known: {}", FUNCTIONS.map(|(known, ..)| known).join(", ")),
            };
            self.fault(node, format!("unknown function `{name}`"), Some(hint));
            return None;
        };
        if !(*low..=*high).contains(&asts.len()) {
            let count = if low == high { format!("{low}") } else { format!("{low} to {high}") };
            self.fault(node, format!("`{name}` takes {count} values, found {}", asts.len()), None);
            return None;
        }
        let (takes, gives) = match function {
            Function::Has => (Type::Any, Type::Bool),
            Function::Default => (Type::Any, if kinds[0] == kinds[1] { kinds[0] } else { Type::Any }),
            Function::Round | Function::Floor | Function::Ceil | Function::Abs | Function::Min | Function::Max => {
                (Type::Number, Type::Number)
            }
            Function::Size => (Type::Any, Type::Number),
            Function::Text => (Type::Any, Type::Text),
            Function::Lower => (Type::Text, Type::Text),
            Function::StartsWith | Function::EndsWith | Function::Contains => (Type::Any, Type::Bool),
        };
        for (argument, kind) in arguments.iter().zip(kinds) {
            if !fits(*kind, takes) {
                self.fault(argument, format!("`{name}` takes {takes}, found {kind}"), None);
            }
        }
        Some((Ast::Call(*function, asts), gives))
    }

    /// Refuses a word that a name can never be.
    fn check_word(&mut self, node: &IdedExpr, name: &Ast, word: &Ast) {
        let (Ast::Name(name), Ast::Literal(Value::Text(word))) = (name, word) else { return };
        let Some(known) = self.scope.names.get(name) else { return };
        if known.words.is_empty() || known.words.contains(word) {
            return;
        }
        let hint = match nearest(word, known.words.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("one of: {}", known.words.join(", ")),
        };
        self.fault(node, format!("`{name}` is never \"{word}\""), Some(hint));
    }
}

/// `a.b.c`, if the node is that.
fn dotted(node: &IdedExpr) -> Option<String> {
    match &node.expr {
        Cel::Ident(name) => Some(name.clone()),
        Cel::Select(select) if !select.test => Some(format!("{}.{}", dotted(&select.operand)?, select.field)),
        _ => None,
    }
}

pub(super) fn names<'a>(ast: &'a Ast, found: &mut Vec<&'a str>) {
    match ast {
        Ast::Name(name) => found.push(name),
        _ => parts(ast).into_iter().for_each(|part| names(part, found)),
    }
}

/// The names that are compared with literals, and the kinds of these.
pub(super) fn literal_kinds<'a>(ast: &'a Ast, found: &mut Vec<(&'a str, Type)>) {
    let kind = |ast: &Ast| match ast {
        Ast::Literal(Value::Number(_)) => Some(Type::Number),
        Ast::Literal(Value::Text(_)) => Some(Type::Text),
        Ast::Literal(Value::Bool(_)) => Some(Type::Bool),
        _ => None,
    };
    let pair = match ast {
        Ast::Compare(_, left, right) => match (&**left, &**right) {
            (Ast::Name(name), other) | (other, Ast::Name(name)) => Some((name, kind(other))),
            _ => None,
        },
        Ast::In(left, right) => match (&**left, &**right) {
            (Ast::Name(name), Ast::List(words)) => Some((name, words.first().and_then(kind))),
            _ => None,
        },
        _ => None,
    };
    found.extend(pair.and_then(|(name, kind)| Some((name.as_str(), kind?))));
    parts(ast).into_iter().for_each(|part| literal_kinds(part, found));
}

/// What an expression is made of, one level down.
fn parts(ast: &Ast) -> Vec<&Ast> {
    match ast {
        Ast::Literal(_) | Ast::Name(_) => Vec::new(),
        Ast::Not(inner) | Ast::Negate(inner) => vec![inner],
        Ast::And(list) | Ast::Or(list) | Ast::List(list) | Ast::Call(_, list) => list.iter().collect(),
        Ast::Compare(_, left, right)
        | Ast::Arithmetic(_, left, right)
        | Ast::In(left, right)
        | Ast::Index(left, right) => vec![left, right],
        Ast::If(three) => three.iter().collect(),
    }
}

/// The only texts that an expression can give, each once; `None` where they are not known.
pub(super) fn words(ast: &Ast, scope: &Scope) -> Option<Vec<String>> {
    let either = |one: &Ast, other: &Ast| {
        let mut all = words(one, scope)?;
        let more = words(other, scope)?.into_iter().filter(|word| !all.contains(word)).collect::<Vec<_>>();
        all.extend(more);
        Some(all)
    };
    match ast {
        Ast::Literal(Value::Text(word)) => Some(vec![word.clone()]),
        Ast::Name(name) => {
            let known = scope.names.get(name)?;
            (known.kind == Type::Text && !known.words.is_empty()).then(|| known.words.clone())
        }
        Ast::If(three) => either(&three[1], &three[2]),
        Ast::Call(Function::Default, list) => either(list.first()?, list.get(1)?),
        _ => None,
    }
}
