//! What is sent, but for the address, the secret and the moment; and what comes back.

use std::time::Duration;

use crate::time::Timestamp;

/// How a request is to be sent: everything but the address, the secret and the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The HTTP method.
    pub method: Method,
    /// Path and query, beginning with `/`; appended to the destination's address. Empty where the address is all.
    pub path: String,
    /// Headers beside authentication and content type.
    pub headers: Vec<(&'static str, String)>,
    /// The JSON body.
    pub body: Option<String>,
    /// The quota that it draws from.
    pub pool: Pool,
}

/// The HTTP methods that the vendors use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// POST
    Post,
    /// PUT
    Put,
    /// PATCH
    Patch,
    /// DELETE
    Delete,
}

impl Method {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// A quota: one of the manifest's pools, possibly one of many of its kind (one per Slack channel).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pool {
    /// The manifest's name for it.
    pub name: &'static str,
    /// Which one, where the pool is keyed.
    pub key: Option<String>,
}

impl Pool {
    /// A pool that is not keyed.
    pub fn of(name: &'static str) -> Self {
        Self { name, key: None }
    }
}

/// What came back for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The tool answered.
    Answer(Answer),
    /// Nobody knows whether the request was carried out: the connection broke after it was sent, or this is
    /// the first step of an operation that an earlier process had begun.
    Lost {
        /// When that was known.
        at: Timestamp,
    },
}

/// An HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Header names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body as text; bytes that are not UTF-8 are replaced.
    pub body: String,
    /// When it arrived.
    pub at: Timestamp,
}

impl Answer {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// `Retry-After` in seconds, as [`wait_of`] takes it, if the header says so. An HTTP date is the shell's business.
    pub fn retry_after(&self) -> Option<Duration> {
        wait_of(self.header("retry-after")?.trim().parse().ok()?)
    }
}

/// A wait that a tool asks for, in seconds; none where it makes no sense. A day at most: whoever asks for more is asked again
/// then, so that one wrong figure silences no tool for months.
pub fn wait_of(seconds: f64) -> Option<Duration> {
    (0.0..1e7).contains(&seconds).then(|| Duration::from_secs_f64(seconds.min(86_400.0)))
}
