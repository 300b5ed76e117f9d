//! What an account is and which ones count: `accounts` and `exclude`.

use std::collections::BTreeMap;

use vitalsync_core::call::AccountPaths;
use vitalsync_core::derived::EventRule;
use vitalsync_core::expr::{Expr, Scope};
use vitalsync_core::names;
use vitalsync_core::section::{Faults, Node, Place};
use vitalsync_core::value::Type;

use super::events::{aliases, left_out};

/// The section `accounts`.
#[derive(Default)]
pub(super) struct Accounts {
    pub paths: AccountPaths,
    pub name: Option<Expr>,
    pub owner: Option<Expr>,
    pub roll_up: Option<Expr>,
    pub aliases: BTreeMap<String, String>,
}

/// The section `exclude`.
#[derive(Default)]
pub(super) struct Exclude {
    pub accounts: Option<Expr>,
    pub users: Option<Expr>,
    pub events: Option<EventRule>,
}

pub(super) fn accounts(node: Option<&Node>, scope: &Scope, faults: &mut Faults) -> Accounts {
    let fallback = |faults: &mut Faults| Expr::parse("traits.name", Place::default(), scope, Type::Any, faults);
    let Some(table) = node.and_then(|node| node.table(faults, "accounts")) else {
        return Accounts { name: fallback(faults), ..Accounts::default() };
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
    let roll_up = table.get("roll_up").and_then(|node| roll_up(node, scope, faults));
    let aliases =
        table.get("aliases").map(|node| aliases(node, "accounts.aliases", "an account's id of today", faults));
    table.finish(faults);
    let paths = if paths.is_empty() { AccountPaths::default() } else { AccountPaths(paths) };
    Accounts { paths, name, owner, roll_up, aliases: aliases.unwrap_or_default() }
}

fn roll_up(node: &Node, scope: &Scope, faults: &mut Faults) -> Option<Expr> {
    let rule = Expr::read(node, scope, Type::Any, faults)?;
    if matches!(rule.kind(), Type::Any | Type::Text | Type::Number) {
        return Some(rule);
    }
    faults.error(
        node.place,
        format!(
            "expected the id of the account above, as text or a number, but `{}` gives {}",
            rule.source(),
            rule.kind()
        ),
    );
    None
}

pub(super) fn exclude(
    node: Option<&Node>,
    scope: &Scope,
    old_events: &BTreeMap<String, String>,
    faults: &mut Faults,
) -> Exclude {
    let Some(table) = node.and_then(|node| node.table(faults, "exclude")) else { return Exclude::default() };
    let accounts = table.get("accounts").and_then(|node| Expr::read(node, scope, Type::Bool, faults));
    let users = table.get("users").and_then(|node| Expr::read(node, &names::user_trait_scope(), Type::Bool, faults));
    let events = table.get("events").and_then(|node| left_out(node, old_events, faults));
    table.finish(faults);
    Exclude { accounts, users, events }
}
