//! How a destination behaves, whichever connector it is: what holds it up, how often it is read back, whose its fields are,
//! what becomes of records of those who are gone.

use vitalsync_core::mapping::Ownership;
use vitalsync_core::section::{Faults, Kind, Node, Table};

use super::super::{Brake, Conduct, WhenGone};

pub(super) fn conduct(table: &Table<'_>, faults: &mut Faults) -> Conduct {
    let mut conduct = Conduct::default();
    if let Some(node) = table.get("brake") {
        conduct.brake = brake(node, faults);
    }
    if let Some(node) = table.get("refresh") {
        conduct.refresh_days = match node.is_off() {
            true => None,
            false => node
                .one_of(faults, "how often records are read back", &["daily", "weekly", "off"])
                .and_then(|often| [1, 7].get(often).copied()),
        };
    }
    if let Some(ownership) = table.get("ownership").and_then(|node| Ownership::read(node, faults)) {
        conduct.ownership = ownership;
    }
    if let Some(node) = table.get("when_gone")
        && node.one_of(faults, "what becomes of records of those who are gone", &["keep", "clear"]) == Some(1)
    {
        conduct.when_gone = WhenGone::Clear;
    }
    conduct
}

/// `off`, or `{bands: PERCENT, creates: NUMBER}`, either of which may be `off`.
fn brake(node: &Node, faults: &mut Faults) -> Brake {
    if node.is_off() {
        return Brake { bands: None, creates: None };
    }
    let mut brake = Brake::default();
    if !matches!(node.kind, Kind::Map(_)) {
        faults.error_with_hint(
            node.place,
            "a brake is `off` or two bounds",
            "as in {bands: 20, creates: 50}: percent of accounts that change their band, records that are created",
        );
        return brake;
    }
    let Some(table) = node.table(faults, "the brake") else { return brake };
    let mut bound = |key, what: &str, bound: &mut Option<u32>| match table.get(key) {
        None => {}
        Some(node) if node.is_off() => *bound = None,
        Some(node) => *bound = node.count(faults, what, 0),
    };
    bound("creates", "how many records a run may create, or off", &mut brake.creates);
    bound("bands", "how many percent of the accounts may change their band in a run, or off", &mut brake.bands);
    if let (Some(101..), Some(node)) = (brake.bands, table.get("bands")) {
        faults.error(node.place, "a percentage is at most 100");
    }
    table.finish(faults);
    brake
}
