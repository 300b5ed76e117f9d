//! Whether the pages of a list lead on.
//!
//! A cursor that was given before, or a page with nothing new on it, is a bad answer like any other that does not say what
//! happened: it is asked for again, and if that does not help left for the next pass. Nothing smaller would help.

use std::collections::BTreeSet;

use serde_json::Value as Json;
use vitalsync_core::connector::Step;

use super::batch::id;

/// The pages of one list so far.
#[derive(Default)]
pub(super) struct Paging {
    cursors: BTreeSet<String>,
    ids: BTreeSet<String>,
}

impl Paging {
    /// The cursor of the next page, if there is one.
    pub fn on(&mut self, results: &[Json], after: Option<String>) -> Result<Option<String>, Step> {
        let before = self.ids.len();
        self.ids.extend(results.iter().filter_map(id));
        match &after {
            Some(after) if self.ids.len() == before || !self.cursors.insert(after.clone()) => Err(Step::Retry {
                after: None,
                why: "the pages of HubSpot's list lead in a circle, so it does not count as read".into(),
            }),
            _ => Ok(after),
        }
    }
}
