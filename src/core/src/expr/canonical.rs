//! An expression in one form, however it was written: the identity of a condition, which states keep. So this form must
//! never change: the test below holds it.

use super::{Ast, Comparison, Function, Operator, check};
use crate::value::Value;

/// One form for what means the same to the parser: blanks, quotes, brackets and `x.f(y)` for `f(x, y)` make no difference.
pub(super) fn canonical(ast: &Ast) -> String {
    let joined = |items: &[Ast], between: &str| items.iter().map(canonical).collect::<Vec<_>>().join(between);
    match ast {
        Ast::Literal(value) => value.to_json().to_string(),
        Ast::Name(name) => {
            let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
            if plain { name.clone() } else { format!("name({})", serde_json::Value::from(name.as_str())) }
        }
        Ast::Not(inner) => format!("!{}", canonical(inner)),
        Ast::Negate(inner) => match &**inner {
            Ast::Literal(Value::Number(number)) => canonical(&Ast::Literal(Value::Number(-number))),
            other => format!("-({})", canonical(other)),
        },
        Ast::And(_) => chain(ast, " && "),
        Ast::Or(_) => chain(ast, " || "),
        Ast::Compare(comparison, left, right) => {
            let sign = match comparison {
                Comparison::Equal => "==",
                Comparison::NotEqual => "!=",
                Comparison::Less => "<",
                Comparison::LessOrEqual => "<=",
                Comparison::Greater => ">",
                Comparison::GreaterOrEqual => ">=",
            };
            format!("({} {sign} {})", canonical(left), canonical(right))
        }
        Ast::Arithmetic(operator, left, right) => {
            let sign = match operator {
                Operator::Add => "+",
                Operator::Subtract => "-",
                Operator::Multiply => "*",
                Operator::Divide => "/",
                Operator::Remainder => "%",
            };
            format!("({} {sign} {})", canonical(left), canonical(right))
        }
        Ast::In(needle, list) => format!("({} in {})", canonical(needle), canonical(list)),
        Ast::List(items) => format!("[{}]", joined(items, ", ")),
        Ast::If(three) => format!("({})", joined(&three[..1], "") + " ? " + &joined(&three[1..], " : ")),
        Ast::Call(function, arguments) => format!("{}({})", name(*function), joined(arguments, ", ")),
        Ast::Index(container, key) => format!("{}[{}]", canonical(container), canonical(key)),
    }
}

/// `a && b && c` is one chain, however the parser nests it.
fn chain(ast: &Ast, between: &str) -> String {
    fn flat<'a>(ast: &'a Ast, and: bool, found: &mut Vec<&'a Ast>) {
        match ast {
            Ast::And(parts) if and => parts.iter().for_each(|part| flat(part, and, found)),
            Ast::Or(parts) if !and => parts.iter().for_each(|part| flat(part, and, found)),
            other => found.push(other),
        }
    }
    let mut parts = Vec::new();
    flat(ast, matches!(ast, Ast::And(_)), &mut parts);
    format!("({})", parts.into_iter().map(canonical).collect::<Vec<_>>().join(between))
}

fn name(function: Function) -> &'static str {
    check::FUNCTIONS.iter().find(|(_, known, ..)| *known == function).map_or("", |(name, ..)| name)
}

#[cfg(test)]
mod tests {
    use super::super::{Expr, Scope};
    use crate::section::{Faults, Place};
    use crate::value::Type;

    fn canonical(source: &str) -> String {
        let mut scope = Scope::default();
        scope.open("p");
        let mut faults = Faults::default();
        let expr = Expr::parse(source, Place::default(), &scope, Type::Any, &mut faults);
        expr.unwrap_or_else(|| panic!("{source}: {:?}", faults.into_sorted())).canonical()
    }

    /// States keep these: a change here makes every count on a condition begin anew.
    #[test]
    fn the_form_that_states_keep_stays() {
        for (source, form) in [
            ("p.a == \"x\"", r#"(p.a == "x")"#),
            (" p.a=='x' ", r#"(p.a == "x")"#),
            ("((p[\"a\"]) == 'x')", r#"(p.a == "x")"#),
            ("p.a == '\"\\u001f\\n'", r#"(p.a == "\"\u001f\n")"#),
            ("p['a == b'] > 1.0", r#"(name("p.a == b") > 1)"#),
            ("p.a && (p.b && p.c) && p.d", "(p.a && p.b && p.c && p.d)"),
            ("p.a || p.b || p.c && !p.d", "(p.a || p.b || (p.c && !p.d))"),
            ("p.a + 2 * 3 - -1.5 >= 0", "(((p.a + (2 * 3)) - -1.5) >= 0)"),
            ("-p.a % 2 / 1 != 1", "(((-(p.a) % 2) / 1) != 1)"),
            ("p.a < 1 || p.a <= 1", "((p.a < 1) || (p.a <= 1))"),
            ("p.a in ['x', 1, true]", r#"(p.a in ["x", 1, true])"#),
            ("has(p.a) ? p.b : p.c", "(has(p.a) ? p.b : p.c)"),
            ("p.a.startsWith('x')", r#"startsWith(p.a, "x")"#),
            ("startsWith(p.a, 'x')", r#"startsWith(p.a, "x")"#),
            ("p.list[0] == 'x'", r#"(p.list[0] == "x")"#),
            ("lowerAscii(p.a) == 'x'", r#"(lower(p.a) == "x")"#),
        ] {
            assert_eq!(canonical(source), form, "{source}");
            if !form.contains("name(") {
                assert_eq!(canonical(form), form, "a form is its own");
            }
        }
    }
}
