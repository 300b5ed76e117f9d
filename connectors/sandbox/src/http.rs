//! What the three vendors share of HTTP: a request taken apart, an answer put together.
//!
//! Deliberately not here: sockets, chunking, compression. The shell that serves a sandbox has done that.

use serde_json::Value;

use crate::{Reply, Request};

/// A request taken apart.
pub(crate) struct Call<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub segments: Vec<String>,
    pub query: Vec<(String, String)>,
    pub request: &'a Request,
    pub now: i64,
}

impl<'a> Call<'a> {
    pub fn of(request: &'a Request, now: i64) -> Self {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let segments = path.split('/').filter(|part| !part.is_empty()).map(|part| decode(part, false)).collect();
        Self { method: &request.method, path, segments, query: pairs(query), request, now }
    }

    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.request.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn bearer(&self) -> Option<&'a str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    }

    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Result<Value, String> {
        serde_json::from_slice(&self.request.body).map_err(|error| error.to_string())
    }
}

/// `a=1&b=x+y`, decoded.
pub(crate) fn pairs(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key, true), decode(value, true))
        })
        .collect()
}

/// Percent-decoding; `plus` also reads `+` as a space, as forms and queries do.
pub(crate) fn decode(text: &str, plus: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|pair| std::str::from_utf8(pair).ok())
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match hex {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(if plus && bytes[at] == b'+' { b' ' } else { bytes[at] });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// An answer on its way out: what [`Reply`] says, and a note for the journal.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub note: String,
}

impl Answer {
    pub fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json;charset=utf-8", body.to_string())
    }

    pub fn text(status: u16, content_type: &str, body: impl Into<String>) -> Self {
        let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
        Self { status, headers, body: body.into(), note: String::new() }
    }

    pub fn empty(status: u16) -> Self {
        Self { status, headers: vec![], body: String::new(), note: String::new() }
    }

    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    pub fn reply(self) -> Reply {
        Reply { status: self.status, headers: self.headers, body: self.body, delay_ms: 0, drop: false }
    }
}

/// The n-th identifier in the form of a UUID.
pub(crate) fn uuid(n: u64) -> String {
    format!("{:08x}-5a4d-4b0c-8000-{:012x}", (n as u32).wrapping_mul(0x9e37_79b1), n & 0xffff_ffff_ffff)
}

/// A stable 64-bit hash (FNV-1a), for ids that follow from a token.
pub(crate) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_and_paths_are_decoded() {
        assert_eq!(decode("a%2Fb+c%4", false), "a/b+c%4");
        assert_eq!(pairs("a=x+y&b=%C3%A9&c"), [("a", "x y"), ("b", "é"), ("c", "")].map(|(k, v)| (k.into(), v.into())));
    }
}
