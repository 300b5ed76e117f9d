//! Evaluation: total, without panic, null for whatever has no value.

use std::cmp::Ordering;

use super::{Ast, Comparison, Function, Names, Operator};
use crate::time::{Day, Timestamp};
use crate::value::{Value, plain_number};

pub(super) fn eval(ast: &Ast, names: &dyn Names) -> Value {
    match ast {
        Ast::Literal(value) => value.clone(),
        Ast::Name(name) => names.value(name),
        Ast::Not(inner) => Value::Bool(!truth(inner, names)),
        Ast::Negate(inner) => eval(inner, names).as_number().map(|number| -number).into(),
        Ast::And(parts) => Value::Bool(parts.iter().all(|part| truth(part, names))),
        Ast::Or(parts) => Value::Bool(parts.iter().any(|part| truth(part, names))),
        Ast::Compare(comparison, left, right) => {
            Value::Bool(compare(*comparison, &eval(left, names), &eval(right, names)))
        }
        Ast::Arithmetic(operator, left, right) => arithmetic(*operator, &eval(left, names), &eval(right, names)),
        Ast::In(needle, list) => {
            let needle = eval(needle, names);
            match eval(list, names) {
                Value::List(items) => Value::Bool(items.iter().any(|item| compare(Comparison::Equal, &needle, item))),
                Value::Map(entries) => Value::Bool(needle.as_text().is_some_and(|key| entries.contains_key(key))),
                _ => Value::Bool(false),
            }
        }
        Ast::List(items) => Value::List(items.iter().map(|item| eval(item, names)).collect()),
        Ast::If(three) => eval(if truth(&three[0], names) { &three[1] } else { &three[2] }, names),
        Ast::Call(function, arguments) => call(*function, arguments, names),
        Ast::Index(container, key) => match (eval(container, names), eval(key, names)) {
            (Value::Map(mut entries), Value::Text(key)) => entries.remove(&key).unwrap_or_default(),
            (Value::List(mut items), Value::Number(at)) if at >= 0.0 && (at as usize) < items.len() => {
                items.swap_remove(at as usize)
            }
            _ => Value::Null,
        },
    }
}

fn truth(ast: &Ast, names: &dyn Names) -> bool {
    eval(ast, names) == Value::Bool(true)
}

/// False whenever one side is null, also for `!=`.
fn compare(comparison: Comparison, left: &Value, right: &Value) -> bool {
    if left.is_null() || right.is_null() {
        return false;
    }
    let order = order(left, right);
    match comparison {
        Comparison::Equal => order == Some(Ordering::Equal),
        Comparison::NotEqual => order != Some(Ordering::Equal),
        Comparison::Less => order == Some(Ordering::Less),
        Comparison::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Comparison::Greater => order == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    }
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

fn arithmetic(operator: Operator, left: &Value, right: &Value) -> Value {
    if let (Operator::Add, Value::Text(_), _) | (Operator::Add, _, Value::Text(_)) = (operator, left, right) {
        return match (as_words(left), as_words(right)) {
            (Some(left), Some(right)) => Value::Text(left + &right),
            _ => Value::Null,
        };
    }
    let (Some(a), Some(b)) = (left.as_number(), right.as_number()) else { return Value::Null };
    // A division by zero is no number, so it has no value.
    Value::from(match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide => a / b,
        Operator::Remainder => a % b,
    })
}

fn as_words(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Number(number) => Some(plain_number(*number)),
        other => Some(other.to_string()),
    }
}

fn call(function: Function, arguments: &[Ast], names: &dyn Names) -> Value {
    let value = |at: usize| arguments.get(at).map(|argument| eval(argument, names)).unwrap_or_default();
    let number = |at: usize| value(at).as_number();
    let texts = |test: fn(&str, &str) -> bool| match (value(0), value(1)) {
        (Value::Text(text), Value::Text(part)) => Value::Bool(test(&text, &part)),
        (Value::List(items), part) => Value::Bool(items.contains(&part)),
        _ => Value::Bool(false),
    };
    match function {
        Function::Has => Value::Bool(!value(0).is_null()),
        Function::Default => {
            let first = value(0);
            if first.is_null() { value(1) } else { first }
        }
        Function::Round => {
            let scale = 10f64.powi(number(1).unwrap_or(0.0).clamp(0.0, 9.0) as i32);
            // Half up, as the health model rounds.
            number(0).map(|number| (number * scale + 0.5).floor() / scale).into()
        }
        Function::Floor => number(0).map(f64::floor).into(),
        Function::Ceil => number(0).map(f64::ceil).into(),
        Function::Abs => number(0).map(f64::abs).into(),
        Function::Min | Function::Max => {
            let numbers: Option<Vec<f64>> = (0..arguments.len()).map(number).collect();
            let pick = if function == Function::Min { f64::min } else { f64::max };
            numbers.and_then(|numbers| numbers.into_iter().reduce(pick)).into()
        }
        Function::Size => match value(0) {
            Value::Text(text) => Value::Number(text.chars().count() as f64),
            Value::List(items) => Value::Number(items.len() as f64),
            Value::Map(entries) => Value::Number(entries.len() as f64),
            _ => Value::Null,
        },
        Function::Text => as_words(&value(0)).into(),
        Function::Lower => value(0).as_text().map(str::to_lowercase).into(),
        Function::StartsWith => texts(|text, part| text.starts_with(part)),
        Function::EndsWith => texts(|text, part| text.ends_with(part)),
        Function::Contains => texts(|text, part| text.contains(part)),
    }
}
