//! Champions: the users who made most of an account's raw score, those of what is rolled up into it included.

use super::{Frame, Tally};
use crate::usage::Id;

/// So many champions of an account are named.
const CHAMPIONS: usize = 3;

impl Frame<'_> {
    /// Who made most of the raw score, of the points of each user, in any order.
    pub(super) fn champions(&self, tally: &mut Tally, mut all: Vec<(Id, i64)>) {
        tally.window_points = all.iter().fold(0, |sum, (_, points)| sum.saturating_add(*points));
        // Of equals the one whose id comes first, and of a user and a device of one name the user.
        let ids = self.names.ids;
        let name = |user: Id| (ids.user_id(user).is_none(), ids.subjects.name(user));
        all.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| name(a.0).cmp(&name(b.0))));
        tally.champions = all.iter().take(CHAMPIONS).copied().collect();
    }
}
