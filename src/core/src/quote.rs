//! What may be repeated of what a tool says of a record: its own words, none of the record's.

use crate::connector::{Operation, scrub};
use crate::value::Value;

/// What a tool says of an operation, fit to print; `None` if it is empty or quotes a value of the record, its id or a key.
/// Flags, and numbers within other words, are no quotations.
pub fn unquoted(text: &str, operation: &Operation) -> Option<String> {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric() && !matches!(c, '.' | '-')).collect();
    let quoted = |value: &str| {
        let value = value.trim().to_lowercase();
        value.chars().count() > 1 && lower.contains(&value)
    };
    let mut values = vec![Value::from(operation.subject.as_str())];
    values.extend(operation.keys.iter().map(|key| Value::from(key.value.as_str())));
    values.extend(operation.create.iter().flat_map(|create| create.values().cloned()));
    values.extend(operation.fields.values().flat_map(|change| [change.old.clone(), change.new.clone()]));
    while let Some(value) = values.pop() {
        let found = match value {
            Value::Null | Value::Bool(_) => false,
            Value::Number(_) => words.contains(&value.to_string().as_str()),
            Value::Text(text) => quoted(&text),
            Value::Date(_) | Value::Time(_) => quoted(&value.to_string()),
            Value::List(items) => {
                values.extend(items);
                false
            }
            Value::Map(entries) => {
                values.extend(entries.into_values());
                false
            }
        };
        if found {
            return None;
        }
    }
    Some(scrub(text)).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::Change;

    #[test]
    fn the_tools_own_words_stay_and_the_records_go() {
        let mut operation = Operation::new("user/Jo", "users", "send user");
        operation.subject = "Jo Doe".into();
        let new = Value::List(vec!["Secret Plan".into(), 42.0.into(), true.into(), "x".into()]);
        operation.fields.insert("f".into(), Change { old: Value::Null, new });
        let said = |text: &str| unquoted(text, &operation);
        assert_eq!(said("field f is not true,\n of type 422 x").as_deref(), Some("field f is not true, of type 422 x"));
        assert_eq!(said("ask jo@acme.example").as_deref(), Some("ask <e-mail>"));
        for quoting in ["no such user: jo doe", "the SECRET PLAN!", "42 is too much", "", " \n"] {
            assert_eq!(said(quoting), None, "{quoting}");
        }
    }
}
