//! A state that is mostly log makes itself small, once.

use std::path::Path;
use std::time::Duration;

use vitalsync::clock::Clock;
use vitalsync::{app, web};
use vitalsync_core::identity::Horizon;

use crate::site::{Site, Use, end};

const MODEL: &str = r#"
sources:
  product: { type: segment_archive, location: ./archive }
accounts: { id: [context.groupId] }
profiles:
  - { window: 7d, benchmark: { fixed: 70 }, events: { Core: 5, Minor: 1 } }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_state_is_made_small_after_much_was_read_and_then_not_again() {
    let site = Site::new().await;
    let accounts: Vec<String> = (0..1500).map(|n| format!("account-{n}")).collect();
    let stories: Vec<Use<'_>> = accounts.iter().map(|account| Use(account, "Core", 0, 30, 1)).collect();
    site.customers("a.ndjson", &stories);
    let open = |from| {
        let mut engine = site.open_with(MODEL);
        engine.grain.batch = 200;
        engine.compact_from = from;
        engine
    };
    let small = open(u64::MAX).run_once(end(29)).await.unwrap();
    assert_eq!(small.compacted, None, "too small to be worth it");

    let engine = open(1 << 20);
    let before = serde_json::to_value(engine.accounts(Horizon::at(end(29))).unwrap()).unwrap();
    let first = engine.run_once(end(29)).await.unwrap().compacted.expect("it was not made small");
    assert!(first.bytes_after < first.bytes_before, "{first:?}");
    let after = serde_json::to_value(engine.accounts(Horizon::at(end(29))).unwrap()).unwrap();
    assert!(before == after, "figures changed");
    for _ in 0..2 {
        assert_eq!(engine.run_once(end(29)).await.unwrap().compacted, None, "made small twice");
    }
    drop(engine);

    let engine = open(1 << 20);
    assert_eq!(engine.run_once(end(29)).await.unwrap().compacted, None, "made small again by the next process");
    let mut again = None;
    for n in 0..40 {
        site.customers(&format!("b{n}.ndjson"), &stories[n * 10..n * 10 + 10]);
        again = engine.run_once(end(29)).await.unwrap().compacted;
        if again.is_some() {
            break;
        }
    }
    let again = again.expect("it grew without end");
    assert!(again.bytes_before * 5 >= first.bytes_after * 6, "{again:?} after {first:?}: too early");
    assert_eq!(engine.store.verify().problem_count, 0);
}

/// What a directory holds, in bytes. Files may go while it is looked through.
fn bytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_makes_its_state_small_by_itself() {
    let site = Site::new().await;
    let accounts: Vec<String> = (0..400).map(|n| format!("account-{n}")).collect();
    let stories: Vec<Use<'_>> = accounts.iter().map(|account| Use(account, "Core", 0, 30, 1)).collect();
    site.customers("a.ndjson", &stories);
    let mut engine = site.open_with(MODEL);
    engine.grain.batch = 200;
    for offset in 20..30 {
        engine.run_once(end(offset)).await.unwrap();
    }
    let state = engine.config.state.clone();
    let before = bytes(&state);
    engine.compact_from = 1 << 20;
    engine.clock = Clock::Fixed(end(29));
    let listener = web::listen(&state).unwrap();
    // It is asked to end once the state is small.
    let small = async {
        let mut polled = tokio::time::interval(Duration::from_millis(20));
        while bytes(&state) >= before {
            polled.tick().await;
        }
    };
    let served = tokio::time::timeout(Duration::from_secs(60), app::serve(engine, listener, small));
    served.await.expect("it was not made small").unwrap();
}
