//! What an account is and which ones count: `accounts` and `exclude`.

use vitalsync_core::call::AccountPaths;
use vitalsync_core::expr::{Expr, Scope};
use vitalsync_core::names;
use vitalsync_core::section::{Faults, Node, Place};
use vitalsync_core::value::Type;

pub(super) fn accounts(
    node: Option<&Node>,
    scope: &Scope,
    faults: &mut Faults,
) -> (AccountPaths, Option<Expr>, Option<Expr>) {
    let fallback = |faults: &mut Faults| Expr::parse("traits.name", Place::default(), scope, Type::Any, faults);
    let Some(table) = node.and_then(|node| node.table(faults, "accounts")) else {
        return (AccountPaths::default(), fallback(faults), None);
    };
    let mut paths = Vec::new();
    if let Some(node) = table.get("id") {
        for item in node.items() {
            let Some(text) = item.text(faults, "a place in a call, such as context.groupId") else { continue };
            let path: Vec<String> = text.split('.').map(str::to_owned).collect();
            let roots = ["context", "properties", "traits", "groupId", "userId"];
            if path.iter().any(String::is_empty) || !path.first().is_some_and(|first| roots.contains(&first.as_str())) {
                faults.error_with_hint(
                    item.place,
                    format!("`{text}` is no place in a call"),
                    "begin with context., properties. or traits., as in context.groupId",
                );
            }
            paths.push(path);
        }
    }
    let name = match table.get("name") {
        Some(node) => Expr::read(node, scope, Type::Any, faults),
        None => fallback(faults),
    };
    let owner = table.get("owner").and_then(|node| Expr::read(node, scope, Type::Any, faults));
    table.finish(faults);
    (if paths.is_empty() { AccountPaths::default() } else { AccountPaths(paths) }, name, owner)
}

pub(super) fn exclude(node: Option<&Node>, scope: &Scope, faults: &mut Faults) -> (Option<Expr>, Option<Expr>) {
    let Some(table) = node.and_then(|node| node.table(faults, "exclude")) else { return (None, None) };
    let accounts = table.get("accounts").and_then(|node| Expr::read(node, scope, Type::Bool, faults));
    let users = table.get("users").and_then(|node| Expr::read(node, &names::user_trait_scope(), Type::Bool, faults));
    table.finish(faults);
    (accounts, users)
}
