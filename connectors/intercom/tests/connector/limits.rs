//! What Intercom says of its limits is taken as it is meant: of a window of ten seconds.

use std::time::Duration;

use vitalsync_core::Timestamp;
use vitalsync_core::connector::{Answer, Pool};

use crate::support;

#[test]
fn the_header_is_of_a_window_unless_no_window_can_be_so_large() {
    let connector = support::read(&support::config()).unwrap();
    let limit = |said: &str| {
        let headers = vec![("x-ratelimit-limit".to_owned(), said.to_owned())];
        let answer = Answer { status: 200, headers, body: "{}".into(), at: Timestamp(0) };
        connector.limit(&Pool::of("api"), &answer).map(|limit| (limit.requests, limit.window))
    };
    let window = |requests| Some((requests, Duration::from_secs(10)));
    // A sixth of what a minute allows, which Intercom rounds up: 500, 1,000, an app's 10,000, a workspace's 25,000.
    for said in ["84", "167", "1667", "4167"] {
        assert_eq!(limit(said), window(said.parse().unwrap()));
    }
    assert_eq!(limit("10000"), window(1_666));
    assert_eq!((limit("0"), limit("-1"), limit("many")), (None, None, None));
}
