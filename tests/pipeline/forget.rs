//! Forgetting: as if the person had never been, and nothing brings them back.

use proptest::prelude::*;
use serde_json::Value;
use vitalsync::tick::Engine;
use vitalsync::tick::forget::{Answer, Kind};
use vitalsync_core::time::DAY_MS;

use crate::site::{Site, end};

const MODEL: &str = r#"
timezone: Europe/Brussels
sources:
  product: { type: segment_archive, location: ./archive }
accounts: { id: [context.groupId] }
profiles:
  - { window: 14d, benchmark: monthly, events: { Core: 5, Minor: 0.3, Page Viewed: 1 } }
activation:
  steps: { core: { event: Core, count: 3 }, ready: { trait: ready } }
"#;

/// Reads what is new; everything that can be asked of the accounts as of some times.
fn figures(engine: &Engine) -> Vec<Value> {
    for source in engine.config.sources.clone() {
        let report = engine.ingest(&source).unwrap();
        assert_eq!(report.failed, None);
    }
    [10, 40, 75]
        .iter()
        .map(|offset| {
            serde_json::to_value(engine.accounts(vitalsync_core::identity::Horizon::at(end(*offset))).unwrap()).unwrap()
        })
        .collect()
}

/// Calls, each with the number of the user whose it is. User 9 alone says what accounts are; devices are their user's own.
fn history() -> impl Strategy<Value = Vec<(usize, String)>> {
    let call = (0..70i64, 0..86_400_000i64, 0..6usize, 0..4usize, 0..3usize, 0..3i64, any::<bool>());
    prop::collection::vec(call, 1..80).prop_map(|calls| {
        let mut lines: Vec<(usize, String)> = Vec::new();
        let mut add = |user: usize, index: usize, at: vitalsync_core::Timestamp, lag: i64, rest: String| {
            let received = at.plus_ms(lag * DAY_MS);
            let line = format!(r#"{{{rest},"messageId":"m{index}","timestamp":"{at}","receivedAt":"{received}"}}"#);
            lines.push((user, line));
        };
        for account in 0..3 {
            let said = format!(
                r#""userId":"u9","type":"group","groupId":"acc{account}","traits":{{"ready":true,"name":"A{account}"}}"#
            );
            add(9, 1000 + account, end(0), 0, said);
        }
        for (index, (day, ms, kind, user, account, lag, anonymous)) in calls.into_iter().enumerate() {
            let who = if anonymous { format!(r#""anonymousId":"d{user}""#) } else { format!(r#""userId":"u{user}""#) };
            let rest = match kind {
                0 => format!(r#"{who},"type":"track","event":"Core","context":{{"groupId":"acc{account}"}}"#),
                1 => format!(r#"{who},"type":"track","event":"Minor""#),
                2 => format!(r#"{who},"type":"page""#),
                3 => format!(r#"{who},"type":"group","groupId":"acc{account}""#),
                4 => format!(
                    r#""userId":"u{user}","anonymousId":"d{user}","type":"identify","traits":{{"email":"u{user}@people.example","seen":{account}}}"#
                ),
                _ => format!(r#""userId":"u{user}","previousId":"old{user}","type":"alias""#),
            };
            add(user, index, end(0).plus_ms(day * DAY_MS + ms), lag, rest);
        }
        // So that every device is known to be somebody's.
        for user in 0..4 {
            let rest = format!(r#""userId":"u{user}","anonymousId":"d{user}","type":"identify","traits":{{"seen":1}}"#);
            add(user, 2000 + user, end(3), 0, rest);
        }
        lines
    })
}

fn text(lines: &[(usize, String)]) -> String {
    lines.iter().map(|(_, line)| format!("{line}\n")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn forgotten_is_as_if_never_been(lines in history(), whom in 0..4usize, cut in 0..80usize) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let never: Vec<_> = lines.iter().filter(|(user, _)| *user != whom).cloned().collect();
        let site = runtime.block_on(Site::new());
        site.write("all.ndjson", &text(&never));
        let expected = figures(&site.open_with(MODEL));

        let site = runtime.block_on(Site::new());
        let (first, second) = lines.split_at(cut.min(lines.len()));
        site.write("1.ndjson", &text(first));
        let engine = site.open_with(MODEL);
        figures(&engine);
        site.write("2.ndjson", &text(second));
        figures(&engine);
        let answer = engine.forget(Some(Kind::User), &format!("u{whom}"), false).unwrap();
        prop_assert!(matches!(answer, Answer::Done(_)), "{:?}", answer);
        prop_assert_eq!(&figures(&engine), &expected);
        // Everything once more, under another name: nobody comes back, and nobody else counts twice.
        site.write("3.ndjson", &text(&lines));
        prop_assert_eq!(&figures(&engine), &expected);
        let mut names = 0;
        engine.store.each_name(|_, name| names += usize::from(name.ends_with(&format!("u{whom}")) || name.ends_with(&format!("d{whom}")))).unwrap();
        prop_assert_eq!(names, 0);
        drop(engine);
        // Also from what is on disk.
        let engine = site.open_with(MODEL);
        prop_assert_eq!(&figures(&engine), &expected);
        let again = engine.forget(None, &format!("u{whom}"), false).unwrap();
        prop_assert_eq!(again, Answer::Before);
    }
}
