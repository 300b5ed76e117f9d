//! Which records are read back in a pass, so that each of them is within its time and no pass spends much on it.
//!
//! Pure. Records that were told together come due together; a pass takes only as many as keep all of them in turn, the longest
//! unseen first, and never more than a small part of what the tool takes between two passes.

use std::time::Duration;

use vitalsync_core::connector::{Operation, Quota};
use vitalsync_core::{Connector, Timestamp};

/// At most this part of what a quota allows between two passes is spent on reading back.
const SHARE: f64 = 0.05;
/// So many records are read back in a pass at least, if they are due: one full batch.
const FEWEST: usize = 100;

/// The slots that are due, the longest unseen first, no more than keep `all` of them in turn.
pub fn due<'a>(
    seen: impl IntoIterator<Item = (&'a str, Timestamp)>,
    now: Timestamp,
    every: Duration,
    gap: Duration,
) -> Vec<&'a str> {
    let mut all: Vec<(Timestamp, &str)> = seen.into_iter().map(|(slot, at)| (at, slot)).collect();
    let share = (gap.as_secs_f64() / every.as_secs_f64().max(1.0)).min(1.0);
    let most = ((all.len() as f64 * share).ceil() as usize).max(FEWEST);
    all.sort_unstable();
    let late = |at: Timestamp| i128::from(now.0 - at.0) >= every.as_millis() as i128;
    all.into_iter().filter(|(at, _)| late(*at)).take(most).map(|(_, slot)| slot).collect()
}

/// As many of the questions as their share of the quota pays for.
pub fn within_budget(
    mut questions: Vec<Operation>,
    connector: &dyn Connector,
    quota: Option<&Quota>,
    gap: Duration,
) -> Vec<Operation> {
    let Some(quota) = quota else { return questions };
    let rate = f64::from(quota.limit) / quota.window.as_secs_f64().max(1e-3);
    let calls = (rate * gap.as_secs_f64() * SHARE).max(1.0);
    let mut spent = 0.0;
    questions.retain(|question| {
        spent += 1.0 / connector.batch_size(&question.batch_key).max(1) as f64;
        spent <= calls + 1e-6
    });
    questions
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use vitalsync_core::connector::{Known, KnownRecord};

    use super::*;
    use crate::config::Config;

    const DAY: Duration = Duration::from_secs(86_400);
    const QUARTER: Duration = Duration::from_secs(900);

    #[test]
    fn all_come_in_turn_and_none_is_read_before_its_time() {
        let slots: Vec<String> = (0..96_000).map(|n| format!("company/{n:05}")).collect();
        let now = Timestamp(DAY.as_millis() as i64 * 10);
        let told_at = |at: Timestamp| slots.iter().map(move |slot| (slot.as_str(), at));
        let first = due(told_at(now.plus_ms(-86_400_000)), now, DAY, QUARTER);
        assert_eq!((first.len(), first[0]), (1000, "company/00000"), "96 passes a day");
        assert!(due(told_at(now.plus_ms(-86_399_999)), now, DAY, QUARTER).is_empty());
        // Once a day is all of them at once; a few are one batch.
        assert_eq!(due(told_at(Timestamp(0)), now, DAY, DAY).len(), 96_000);
        assert_eq!(due(told_at(Timestamp(0)).take(90), now, DAY, QUARTER).len(), 90);
    }

    /// How many of so many records, companies of HubSpot and contacts of Intercom, are read back in a minute by a quota of ten
    /// calls a second.
    fn within_a_minute(records: usize) -> [usize; 2] {
        let text = "sources: { a: { type: segment_archive, location: ./a } }
profiles: [ { name: a, events: { Shared: 1 } } ]
destinations:
  crm: { type: hubspot, token: t-1, companies: { match: [ record_id: traits.id ], properties: { score: health.score } } }
  desk: { type: intercom, token: t-2, contacts: { match: [ external_id: user.id ], attributes: { score: user.health.score } } }
";
        let config = Config::parse(text, Path::new("vitalsync.yaml"), &|_| None).unwrap();
        let quota = Quota { pool: "api", limit: 100, window: Duration::from_secs(10), keyed: false };
        let counted = |at: usize, kind: &str| {
            let record = |n: usize| {
                let record = KnownRecord { remote_id: Some(n.to_string()), ..KnownRecord::default() };
                (format!("{kind}/{n}"), record)
            };
            let known = Known { records: (0..records).map(record).collect() };
            let connector = &*config.destinations[at].connector;
            within_budget(connector.read_back(&known), connector, Some(&quota), Duration::from_secs(60)).len()
        };
        [counted(0, "company"), counted(1, "contact")]
    }

    #[test]
    fn a_twentieth_of_what_a_tool_allows_is_spent_at_most() {
        assert_eq!(within_a_minute(5_000), [3_000, 4_500], "30 calls, of a hundred records and of a hundred and fifty");
        assert_eq!(within_a_minute(20), [20, 20]);
    }

    #[test]
    fn the_longest_unseen_come_first() {
        let now = Timestamp(DAY.as_millis() as i64 * 10);
        let seen = [("b", Timestamp(2)), ("a", Timestamp(3)), ("c", Timestamp(1)), ("d", now)];
        assert_eq!(due(seen, now, DAY, QUARTER), ["c", "b", "a"]);
    }
}
