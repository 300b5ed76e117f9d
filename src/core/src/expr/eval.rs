//! Evaluation: total, without panic, null for whatever has no value. What it ran into on the way is counted.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::{Ast, Comparison, Function, Names, Operator};
use crate::time::{Day, Timestamp};
use crate::value::{Value, plain_number};

/// How often a rule met what gives no answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Misses {
    /// Comparisons with null, which are false.
    pub compared_null: u64,
    /// Arithmetic with null, which gives null.
    pub counted_null: u64,
    /// Divisions by zero, which give null.
    pub divided_by_zero: u64,
    /// Comparisons of unlike kinds, such as text with a number, which are false (`!=`: true).
    pub unlike: u64,
}

impl Misses {
    /// Adds those of another evaluation.
    pub fn add(&mut self, other: Self) {
        self.compared_null += other.compared_null;
        self.counted_null += other.counted_null;
        self.divided_by_zero += other.divided_by_zero;
        self.unlike += other.unlike;
    }
}

pub(super) fn eval(ast: &Ast, names: &dyn Names) -> (Value, Misses) {
    let mut eval = Eval { names, misses: Misses::default() };
    (eval.value(ast), eval.misses)
}

/// An evaluation on its way.
struct Eval<'a> {
    names: &'a dyn Names,
    misses: Misses,
}

impl Eval<'_> {
    fn value(&mut self, ast: &Ast) -> Value {
        match ast {
            Ast::Literal(value) => value.clone(),
            Ast::Name(name) => self.names.value(name),
            Ast::Not(inner) => Value::Bool(!self.truth(inner)),
            Ast::Negate(inner) => self.number(inner).map(|number| -number).into(),
            Ast::And(parts) => Value::Bool(parts.iter().all(|part| self.truth(part))),
            Ast::Or(parts) => Value::Bool(parts.iter().any(|part| self.truth(part))),
            Ast::Compare(comparison, left, right) => {
                let (left, right) = (self.value(left), self.value(right));
                Value::Bool(self.compare(*comparison, &left, &right))
            }
            Ast::Arithmetic(operator, left, right) => {
                let (left, right) = (self.value(left), self.value(right));
                self.arithmetic(*operator, &left, &right)
            }
            Ast::In(needle, list) => {
                let needle = self.value(needle);
                self.misses.compared_null += u64::from(needle.is_null());
                match self.value(list) {
                    Value::List(items) => Value::Bool(items.iter().any(|item| equal(&needle, item))),
                    Value::Map(entries) => Value::Bool(needle.as_text().is_some_and(|key| entries.contains_key(key))),
                    _ => Value::Bool(false),
                }
            }
            Ast::List(items) => Value::List(items.iter().map(|item| self.value(item)).collect()),
            Ast::If(three) => {
                let chosen = if self.truth(&three[0]) { &three[1] } else { &three[2] };
                self.value(chosen)
            }
            Ast::Call(function, arguments) => self.call(*function, arguments),
            Ast::Index(container, key) => match (self.value(container), self.value(key)) {
                (Value::Map(mut entries), Value::Text(key)) => entries.remove(&key).unwrap_or_default(),
                (Value::List(mut items), Value::Number(at)) if at >= 0.0 && (at as usize) < items.len() => {
                    items.swap_remove(at as usize)
                }
                _ => Value::Null,
            },
        }
    }

    fn truth(&mut self, ast: &Ast) -> bool {
        self.value(ast) == Value::Bool(true)
    }

    /// A number to calculate with.
    fn number(&mut self, ast: &Ast) -> Option<f64> {
        let value = self.value(ast);
        self.misses.counted_null += u64::from(value.is_null());
        value.as_number()
    }

    /// False whenever one side is null, also for `!=`.
    fn compare(&mut self, comparison: Comparison, left: &Value, right: &Value) -> bool {
        if left.is_null() || right.is_null() {
            self.misses.compared_null += 1;
            return false;
        }
        let order = order(left, right);
        let alike = matches!((left, right), (Value::List(_), Value::List(_)) | (Value::Map(_), Value::Map(_)));
        self.misses.unlike += u64::from(order.is_none() && !alike);
        match comparison {
            Comparison::Equal => order == Some(Ordering::Equal),
            Comparison::NotEqual => order != Some(Ordering::Equal),
            Comparison::Less => order == Some(Ordering::Less),
            Comparison::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Comparison::Greater => order == Some(Ordering::Greater),
            Comparison::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        }
    }

    fn arithmetic(&mut self, operator: Operator, left: &Value, right: &Value) -> Value {
        if left.is_null() || right.is_null() {
            self.misses.counted_null += 1;
            return Value::Null;
        }
        if let (Operator::Add, Value::Text(_), _) | (Operator::Add, _, Value::Text(_)) = (operator, left, right) {
            return match (as_words(left), as_words(right)) {
                (Some(left), Some(right)) => Value::Text(left + &right),
                _ => Value::Null,
            };
        }
        let (Some(a), Some(b)) = (left.as_number(), right.as_number()) else { return Value::Null };
        self.misses.divided_by_zero +=
            u64::from(b == 0.0 && matches!(operator, Operator::Divide | Operator::Remainder));
        // A division by zero is no number, so it has no value.
        Value::from(match operator {
            Operator::Add => a + b,
            Operator::Subtract => a - b,
            Operator::Multiply => a * b,
            Operator::Divide => a / b,
            Operator::Remainder => a % b,
        })
    }

    fn argument(&mut self, arguments: &[Ast], at: usize) -> Value {
        arguments.get(at).map(|argument| self.value(argument)).unwrap_or_default()
    }

    fn number_at(&mut self, arguments: &[Ast], at: usize) -> Option<f64> {
        arguments.get(at).and_then(|argument| self.number(argument))
    }

    fn texts(&mut self, arguments: &[Ast], test: fn(&str, &str) -> bool) -> Value {
        Value::Bool(match (self.argument(arguments, 0), self.argument(arguments, 1)) {
            (Value::Text(text), Value::Text(part)) => test(&text, &part),
            (Value::List(items), part) => items.contains(&part),
            _ => false,
        })
    }

    fn call(&mut self, function: Function, arguments: &[Ast]) -> Value {
        match function {
            Function::Has => Value::Bool(!self.argument(arguments, 0).is_null()),
            Function::Default => {
                let first = self.argument(arguments, 0);
                if first.is_null() { self.argument(arguments, 1) } else { first }
            }
            Function::Round => {
                let scale = 10f64.powi(self.argument(arguments, 1).as_number().unwrap_or(0.0).clamp(0.0, 9.0) as i32);
                // Half up, as the health model rounds.
                self.number_at(arguments, 0).map(|number| (number * scale + 0.5).floor() / scale).into()
            }
            Function::Floor => self.number_at(arguments, 0).map(f64::floor).into(),
            Function::Ceil => self.number_at(arguments, 0).map(f64::ceil).into(),
            Function::Abs => self.number_at(arguments, 0).map(f64::abs).into(),
            Function::Min | Function::Max => {
                let numbers: Option<Vec<f64>> = arguments.iter().map(|argument| self.number(argument)).collect();
                let pick = if function == Function::Min { f64::min } else { f64::max };
                numbers.and_then(|numbers| numbers.into_iter().reduce(pick)).into()
            }
            Function::Size => match self.argument(arguments, 0) {
                Value::Text(text) => Value::Number(text.chars().count() as f64),
                Value::List(items) => Value::Number(items.len() as f64),
                Value::Map(entries) => Value::Number(entries.len() as f64),
                _ => Value::Null,
            },
            Function::Text => as_words(&self.argument(arguments, 0)).into(),
            Function::Lower => self.argument(arguments, 0).as_text().map(str::to_lowercase).into(),
            Function::StartsWith => self.texts(arguments, |text, part| text.starts_with(part)),
            Function::EndsWith => self.texts(arguments, |text, part| text.ends_with(part)),
            Function::Contains => self.texts(arguments, |text, part| text.contains(part)),
        }
    }
}

fn equal(left: &Value, right: &Value) -> bool {
    !left.is_null() && !right.is_null() && order(left, right) == Some(Ordering::Equal)
}

/// Text stands for a date or time where the other side is one.
fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => a.partial_cmp(b),
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Date(a), Value::Date(b)) => Some(a.cmp(b)),
        (Value::Date(a), other) => Some(a.cmp(&as_day(other)?)),
        (other, Value::Date(b)) => Some(as_day(other)?.cmp(b)),
        (Value::Time(a), other) => Some(a.cmp(&as_time(other)?)),
        (other, Value::Time(b)) => Some(as_time(other)?.cmp(b)),
        (Value::List(a), Value::List(b)) => (a == b).then_some(Ordering::Equal),
        (Value::Map(a), Value::Map(b)) => (a == b).then_some(Ordering::Equal),
        _ => None,
    }
}

fn as_day(value: &Value) -> Option<Day> {
    match value {
        Value::Date(day) => Some(*day),
        Value::Time(time) => Some(crate::time::Calendar::default().day(*time)),
        Value::Text(text) => Day::parse(text.get(..10)?),
        _ => None,
    }
}

fn as_time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Time(time) => Some(*time),
        Value::Text(text) => Timestamp::parse(text),
        _ => None,
    }
}

fn as_words(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Number(number) => Some(plain_number(*number)),
        other => Some(other.to_string()),
    }
}
