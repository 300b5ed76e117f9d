//! The door that production uses: lines of JSON through `call::parse`, `usage::fingerprint`, `Usage::file` and
//! `Usage::merge`. Shared by the test binaries; says nothing about what the figures should be.

use std::collections::HashSet;

use vitalsync_core::Timestamp;
use vitalsync_core::call::{AccountPaths, parse};
use vitalsync_core::derived::Conditions;
use vitalsync_core::model::Model;
use vitalsync_core::usage::{Ids, Usage, fingerprint};

/// A whole history, filed.
pub struct Filed {
    pub usage: Usage,
    pub ids: Ids,
}

/// Files batches one after the other, each call once with the derived events of the model, and merges them.
pub fn file<'a>(batches: impl IntoIterator<Item = Vec<&'a str>>, model: &Model) -> Filed {
    let conditions = Conditions::of(model);
    let (mut usage, mut ids, mut seen) = (Usage::default(), Ids::default(), HashSet::new());
    for batch in batches {
        let mut part = Usage::default();
        for line in batch {
            let call = parse(line.as_bytes(), &AccountPaths::default()).unwrap_or_else(|why| panic!("{why:?}: {line}"));
            if seen.insert(fingerprint(0, &call, line.as_bytes())) {
                part.file(&call, &mut ids, &model.calendar, &conditions);
            }
        }
        usage.merge(part);
    }
    Filed { usage, ids }
}

/// A time as the tests write it.
pub fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap_or_else(|| panic!("not a time: {text}"))
}
