//! Asking a tool for a page of what it holds, by the same loop that sends.

use serde_json::Value as Json;
use vitalsync_core::connector::{Mode, Operation, Step};
use vitalsync_core::reader::{Page, Reader};

use super::talk::Talked;
use super::{Delivered, Lanes, lock};
use crate::store::StoreError;

impl Lanes<'_> {
    /// The next page after a cursor, if it could be had; what it took, and in the notes why there is none.
    pub async fn page(&self, reader: &dyn Reader, cursor: &Json) -> Result<(Option<Page>, Delivered), StoreError> {
        let progress = self.progress(String::new(), true);
        let question = [Operation { mode: Mode::Read, ..Operation::new("page", "page", "read") }];
        let mut page = None;
        let step = |replies: &[_]| match reader.read(cursor, replies) {
            Ok(found) => {
                page = Some(found);
                Step::Done(Vec::new())
            }
            Err(step) => step,
        };
        let talked = self.talk_by(&question, step, &progress).await?;
        let mut report = std::mem::take(&mut *lock(&progress.report));
        if let Talked::Done(receipts) = talked {
            report.notes.extend(receipts.iter().filter_map(|receipt| receipt.outcome.why()).map(|why| self.clean(why)));
        }
        if let Some(page) = &mut page {
            page.notes.iter_mut().for_each(|note| *note = self.clean(note));
        }
        Ok((page, report))
    }
}
