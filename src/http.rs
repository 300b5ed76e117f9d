//! The one HTTP client: what connectors describe, sent; what tools answer, as text.
//!
//! It tells a request that certainly was not carried out (no connection) from one of which nobody knows (the connection
//! broke after it was sent). It follows no redirects, reads no more than a few MiB, and never prints a secret.

mod sign;

use std::time::Duration;

use vitalsync_core::connector::{Answer, Reply, Request};

use crate::clock;
use crate::config::{Destination, Hook, Secret};

/// No answer of a tool is longer; the rest would be cut.
const MAX_BODY: usize = 16 << 20;

/// A client for one destination.
#[derive(Debug, Clone)]
pub struct Client {
    client: reqwest::Client,
    base_url: String,
    content_type: &'static str,
}

/// What proves who we are.
#[derive(Debug, Clone, Copy)]
pub enum Proof<'a> {
    /// A token.
    Bearer(&'a Secret),
    /// The rest of the address.
    Address(&'a Secret),
    /// The rest of somebody's own address, a signature and headers.
    Hook(&'a Hook),
}

/// What became of a request.
#[derive(Debug)]
pub enum Sent {
    /// An answer, or nobody knows.
    Reply(Reply),
    /// Certainly not carried out: there was no connection. Why, without secrets.
    Unreachable(String),
}

/// A client for an address, without anything that proves who we are.
pub fn plain(address: &str) -> Result<reqwest::Client, String> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("vitalsync/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(10))
        .timeout(Duration::from_secs(30))
        .redirect(reqwest::redirect::Policy::none());
    // A proxy that the environment names is for the world outside.
    let host = address.split("://").nth(1).unwrap_or_default();
    if host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]") {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| format!("can't make an HTTP client: {}", causes(&error)))
}

impl Client {
    /// A client for a destination's address.
    pub fn new(destination: &Destination) -> Result<Self, String> {
        Ok(Self {
            client: plain(&destination.base_url)?,
            base_url: destination.base_url.clone(),
            content_type: destination.manifest.content_type,
        })
    }

    /// Sends a request once.
    pub async fn send(&self, request: &Request, proof: Proof<'_>) -> Sent {
        let address = match proof {
            Proof::Bearer(_) => "",
            Proof::Address(address) => address.expose(),
            Proof::Hook(hook) => hook.address.expose(),
        };
        let method = reqwest::Method::from_bytes(request.method.as_str().as_bytes()).unwrap_or(reqwest::Method::GET);
        let mut builder = self.client.request(method, format!("{}{address}{}", self.base_url, request.path));
        match proof {
            Proof::Bearer(token) => builder = builder.bearer_auth(token.expose()),
            Proof::Address(_) => {}
            Proof::Hook(hook) => builder = sign::proved(builder, hook, request, clock::system()),
        }
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        if let Some(body) = &request.body {
            builder = builder.header("content-type", self.content_type).body(body.clone());
        }
        let mut response = match builder.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() || error.is_builder() => return Sent::Unreachable(cause(&error)),
            Err(error) => {
                tracing::debug!(error = causes(&error), "no answer");
                return Sent::Reply(Reply::Lost { at: clock::system() });
            }
        };
        let status = response.status().as_u16();
        let at = clock::system();
        let mut headers: Vec<(String, String)> = response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        for (name, value) in &mut headers {
            if name == "retry-after"
                && let Ok(date) = chrono::DateTime::parse_from_rfc2822(value)
            {
                *value = ((date.timestamp_millis() - at.0).max(0) as f64 / 1000.0).to_string();
            }
        }
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_BODY => body.extend_from_slice(&chunk),
                Ok(_) => break,
                Err(_) => return Sent::Reply(Reply::Lost { at }),
            }
        }
        Sent::Reply(Reply::Answer(Answer { status, headers, body: String::from_utf8_lossy(&body).into_owned(), at }))
    }
}

/// What is at the bottom of an error, in words for people: `connection refused`.
fn cause(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    let message = causes(last);
    let message = message.split(" (os error").next().unwrap_or_default();
    let mut letters = message.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => first.to_lowercase().chain(letters).collect(),
        _ => message.to_owned(),
    }
}

/// An error with its causes, without the address (its query could hold what must not be printed).
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = next {
        let message = error.to_string();
        let message = message.split(" for url").next().unwrap_or_default().to_owned();
        if !text.contains(&message) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&message);
        }
        next = error.source();
    }
    text
}
