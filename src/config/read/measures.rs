//! Settings of single measures: `users` and `expansion`.

use vitalsync_core::expansion::Limit;
use vitalsync_core::expr::{Expr, Scope};
use vitalsync_core::model::UserSpans;
use vitalsync_core::section::{Faults, Node};
use vitalsync_core::value::Type;

/// `users`: how long one counts.
pub(super) fn user_spans(node: &Node, faults: &mut Faults) -> UserSpans {
    let Some(table) = node.table(faults, "users") else { return UserSpans::default() };
    let active = table.get("active_within").and_then(|node| node.days(faults, "how long a user is active"));
    let total = table.get("total_within").and_then(|node| node.days(faults, "how long a user counts"));
    table.finish(faults);
    UserSpans { active, total: total.unwrap_or(UserSpans::default().total) }
}

/// `expansion`: how much of its plan an account uses. `scope` is of traits.
pub(super) fn expansion(node: &Node, scope: &Scope, faults: &mut Faults) -> Option<Limit> {
    let table = node.table(faults, "expansion")?;
    let used = table.need(faults, "used", "how much is used, such as traits.seats_used");
    let limit = table.need(faults, "limit", "how much the plan allows, such as traits.seats");
    table.finish(faults);
    let mut number = |node: Option<&Node>| Expr::read(node?, scope, Type::Number, faults);
    let (used, limit) = (number(used), number(limit));
    Some(Limit { used: used?, limit: limit? })
}
