//! One conversation: takes the replies in the order of the requests, and stops where the next request has none yet.
//!
//! What every request has in common is read here: which answers ask for patience, which for a login, which refuse.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value as Json;
use vitalsync_core::connector::{Answer, Method, Mode, Operation, Pool, Reply, Request, Slot, Step};

use super::reason;
use crate::kind::{COMPANY, CONTACT};
use crate::plan::property_slot;
use crate::{API, SEARCH};

/// No conversation is longer, whatever HubSpot answers. A hundred companies with the longest domains need 33.
const MOST_REQUESTS: usize = 50;

/// What came of a request.
pub(super) enum Got {
    /// A 2xx with a JSON object.
    Fine(Json),
    /// A refusal that sending again won't change.
    Refused(Refused),
}

/// A refusal.
pub(super) struct Refused {
    /// The status code.
    pub status: u16,
    /// The body, null if it is no JSON.
    pub body: Json,
}

/// The conversation so far.
pub(super) struct Exchange<'a> {
    operations: &'a [Operation],
    replies: std::slice::Iter<'a, Reply>,
    sent: usize,
}

impl<'a> Exchange<'a> {
    /// A conversation about operations, with the replies so far.
    pub fn new(operations: &'a [Operation], replies: &'a [Reply]) -> Self {
        Self { operations, replies: replies.iter(), sent: 0 }
    }

    /// Reads.
    pub fn get(&mut self, path: String) -> Result<Got, Step> {
        self.ask(Request { method: Method::Get, path, headers: Vec::new(), body: None, pool: Pool::of(API) })
    }

    /// Posts to everything but search.
    pub fn post(&mut self, path: String, body: &Json) -> Result<Got, Step> {
        self.send(Method::Post, path, body.to_string(), API)
    }

    /// Posts a search.
    pub fn search(&mut self, path: String, body: String) -> Result<Got, Step> {
        self.send(Method::Post, path, body, SEARCH)
    }

    /// Changes what is named by its path.
    pub fn patch(&mut self, path: String, body: &Json) -> Result<Got, Step> {
        self.send(Method::Patch, path, body.to_string(), API)
    }

    fn send(&mut self, method: Method, path: String, body: String, pool: &'static str) -> Result<Got, Step> {
        self.ask(Request { method, path, headers: Vec::new(), body: Some(body), pool: Pool::of(pool) })
    }

    /// The reply to a request; `Err` with the request itself where it has none yet.
    fn ask(&mut self, request: Request) -> Result<Got, Step> {
        let Some(reply) = self.replies.next() else {
            if self.sent >= MOST_REQUESTS {
                return Err(self.smaller("HubSpot's answers have no end"));
            }
            return Err(Step::Send(request));
        };
        self.sent += 1;
        match reply {
            Reply::Lost { .. } => Err(Step::Retry {
                after: None,
                why: "the connection broke before HubSpot answered; sending again is harmless".into(),
            }),
            Reply::Answer(answer) => read(answer),
        }
    }

    /// Refuses as a whole what was sent together; what was sent alone for the reason that HubSpot gave. Where a property is not
    /// there any more, none of those that were written is taken for granted.
    pub fn refuse(&self, refused: &Refused) -> Step {
        let slots = self.properties();
        if refused.status == 400 && !slots.is_empty() && reason::is_of_lost_property(&refused.body) {
            return Step::Missing { slots, why: "HubSpot does not have a property any more (400)".into() };
        }
        match self.operations {
            [alone] => {
                let why = format!("HubSpot refused ({}): {}", refused.status, reason::of(&refused.body, alone));
                match refused.status {
                    409 => Step::Conflict { why },
                    _ => Step::Reject { why },
                }
            }
            _ => Step::Split { why: format!("HubSpot refused the batch ({})", refused.status) },
        }
    }

    /// The slots of the properties that records are written with.
    pub fn properties(&self) -> Vec<Slot> {
        let written = self.operations.iter().filter(|operation| operation.mode == Mode::State).flat_map(|operation| {
            let kind = operation.slot.split('/').next().unwrap_or_default();
            let kind = [&COMPANY, &CONTACT].into_iter().find(|known| known.name == kind);
            let fields = kind.map(|kind| operation.fields.keys().map(|field| property_slot(kind, field)));
            fields.into_iter().flatten()
        });
        written.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Tries with fewer; alone, gives up.
    pub fn smaller(&self, why: &str) -> Step {
        match self.operations.len() {
            0 | 1 => Step::Reject { why: why.into() },
            _ => Step::Split { why: why.into() },
        }
    }

    /// True if nothing else is in the batch.
    pub fn alone(&self) -> bool {
        self.operations.len() <= 1
    }
}

/// An answer that does not say what happened.
pub(super) fn unreadable() -> Step {
    Step::Retry { after: None, why: "HubSpot's answer can't be read, so nothing counts as confirmed".into() }
}

fn read(answer: &Answer) -> Result<Got, Step> {
    let body = answer.json();
    let status = answer.status;
    let patience = |after: Option<Duration>, why: &str| Step::Retry { after, why: format!("{why} ({status})") };
    let asked = answer.retry_after();
    Err(match status {
        200..=299 if body.is_object() => return Ok(Got::Fine(body)),
        200..=299 => unreadable(),
        401 => Step::NeedsLogin { why: "HubSpot does not accept the token (401): renew it or log in again".into() },
        403 => Step::NeedsLogin { why: reason::missing_scopes(&body) },
        // No word of HubSpot's own: this is said of the address, not of a record.
        300..=399 | 404 | 405 | 410 if !body.is_object() => Step::NeedsLogin {
            why: format!("what answers is not HubSpot's API ({status}): check `base_url`, and any proxy on the way"),
        },
        408 => patience(asked, "HubSpot gave up waiting"),
        423 => {
            let least = Duration::from_secs(2);
            patience(Some(asked.unwrap_or(least).max(least)), "HubSpot has locked the record")
        }
        429 => limit(answer, &body, asked),
        477 => patience(asked, "HubSpot is moving the account"),
        530 => patience(asked, "HubSpot's front door fails, as it also does for a token that can be none"),
        500.. => patience(asked, "HubSpot is out of order"),
        _ => return Ok(Got::Refused(Refused { status, body })),
    })
}

/// Which limit, and for how long. `Retry-After` is often missing here, and in milliseconds in parts of HubSpot's API, so more
/// than a minute of it is not believed of the short limits. The daily limit ends at midnight in the account's own time zone,
/// which is not said: it is asked again each hour, and nothing else is sent before.
fn limit(answer: &Answer, body: &Json, asked: Option<Duration>) -> Step {
    let text = |name: &str| body.get(name).and_then(Json::as_str).unwrap_or_default().to_lowercase();
    let policy = text("policyName");
    let message = text("message");
    let second = Duration::from_secs(1);
    let short = asked.filter(|asked| *asked <= second * 60);
    let interval = answer
        .header("x-hubspot-ratelimit-interval-milliseconds")
        .and_then(|millis| millis.trim().parse().ok())
        .map(|millis: u64| Duration::from_millis(millis.clamp(1_000, 60_000)));
    let (after, why) = if policy.contains("daily") || message.contains("daily limit") {
        (
            Some(asked.unwrap_or(HOUR).max(HOUR)),
            "the account's daily limit of calls is used up until midnight in its time zone; asked again in an hour",
        )
    } else if policy == "secondly" || message.contains("secondly limit") && !message.contains("ten_secondly") {
        (short.or(Some(second)), "HubSpot's limit for a second is used up")
    } else if policy == "ten_secondly_rolling" || message.contains("ten_secondly") {
        (short.or(interval).or(Some(second * 10)), "HubSpot's limit for ten seconds is used up")
    } else {
        (short.or(interval), "HubSpot asks for fewer calls")
    };
    Step::Retry { after, why: format!("{why} (429)") }
}

const HOUR: Duration = Duration::from_secs(3_600);

/// The part of the day's calls that is left to others, as one in so many.
const RESERVE: u64 = 20;

/// The day's calls are shared by everything that is connected to the account: the last twentieth is not touched. Looked at
/// again each hour, because the day ends at midnight in the account's own time zone.
pub(crate) fn rest(answer: &Answer) -> Option<(Duration, String)> {
    let number = |name: &str| answer.header(name)?.trim().parse::<u64>().ok();
    let limit = number("x-hubspot-ratelimit-daily")?;
    let left = number("x-hubspot-ratelimit-daily-remaining")?;
    (left <= limit / RESERVE).then(|| {
        let why = format!(
            "{left} of the account's {limit} calls of today are left, which are kept for others; looked at again in an hour"
        );
        (HOUR, why)
    })
}

#[cfg(test)]
mod tests {
    use vitalsync_core::Timestamp;

    use super::*;

    #[test]
    fn the_last_twentieth_of_a_day_is_left_to_others() {
        let rests = |limit: &str, left: &str| {
            let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            let headers =
                vec![header("x-hubspot-ratelimit-daily", limit), header("x-hubspot-ratelimit-daily-remaining", left)];
            rest(&Answer { status: 200, headers, body: String::new(), at: Timestamp(0) }).is_some()
        };
        assert_eq!([rests("250000", "12501"), rests("250000", "12500"), rests("250000", "0")], [false, true, true]);
        assert_eq!([rests("", "0"), rests("250000", ""), rests("250000", "many")], [false; 3]);
    }
}
