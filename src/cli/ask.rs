//! Commands that read: ask the daemon if one runs, else open the state.

use std::path::Path;

use serde::de::DeserializeOwned;
use vitalsync_core::{Day, Timestamp};

use super::{Failure, Options};
use crate::config::Config;
use crate::store::StoreError;
use crate::tick::Engine;
use crate::web::SocketPath;

/// Where the answer comes from.
pub(super) enum Source {
    /// A running daemon.
    Daemon(reqwest::Client, Option<SocketPath>),
    /// The state itself, with what is new in the sources.
    State(Box<Engine>),
}

/// A daemon that answers on the socket of the config's state directory.
pub(super) async fn daemon(config: &Config) -> Option<Source> {
    daemon_in(&config.state).await.map(|(client, socket)| Source::Daemon(client, Some(socket)))
}

/// A client of a daemon that answers on the socket of a state directory, and what keeps the socket's path valid.
pub(super) async fn daemon_in(state: &Path) -> Option<(reqwest::Client, SocketPath)> {
    let socket = SocketPath::of(state).ok()?;
    tokio::net::UnixStream::connect(&socket.path).await.ok()?;
    let client = reqwest::Client::builder().unix_socket(socket.path.clone()).no_proxy().build().ok()?;
    Some((client, socket))
}

pub(super) fn no_answer(error: reqwest::Error) -> Failure {
    Failure::Failed(anyhow::anyhow!("the daemon did not answer: {}", error.without_url()))
}

fn refused(status: reqwest::StatusCode, body: &str) -> Failure {
    let error: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let why = error["error"].as_str().unwrap_or("the daemon refused");
    match status {
        reqwest::StatusCode::BAD_REQUEST => Failure::Usage(why.to_owned()),
        _ => Failure::Failed(anyhow::anyhow!("{why}")),
    }
}

/// What is said where another process holds the state and no daemon answered: there is nobody to ask.
pub(super) fn silent(dir: &Path) -> Failure {
    Failure::Failed(anyhow::anyhow!(
        "the state in {} is held by another vitalsync process that answers no questions, such as a single run, a backfill, or a daemon that is just starting: wait until it has ended or answers, and try again",
        dir.display()
    ))
}

/// Asks the daemon for something long, which comes in pieces.
pub(super) async fn stream(
    client: &reqwest::Client,
    method: reqwest::Method,
    path: &str,
) -> Result<reqwest::Response, Failure> {
    let answer = client.request(method, format!("http://vitalsync{path}")).send().await.map_err(no_answer)?;
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    Err(refused(status, &answer.text().await.map_err(no_answer)?))
}

/// The daemon, or the opened state. `read` makes it look for what is new in the sources first.
pub(super) async fn source(options: &Options, config: Config, read: bool) -> Result<Source, Failure> {
    if let Some(daemon) = daemon(&config).await {
        return Ok(daemon);
    }
    let clock = options.clock(&config.model.calendar)?;
    let engine = Engine::open(config, clock).map_err(|error| match error.downcast_ref() {
        Some(StoreError::Busy { dir }) => silent(dir),
        _ => error.into(),
    })?;
    if read {
        for source in &engine.config.sources {
            let report = engine.ingest(source)?;
            if let Some(why) = report.failed {
                eprintln!("warning: source {}: {why}; figures are from what was read before", source.name);
            }
        }
    }
    Ok(Source::State(Box::new(engine)))
}

/// Asks the daemon. `Ok(None)`: it knows nothing by that name.
pub(super) async fn ask<T: DeserializeOwned>(
    client: &reqwest::Client,
    method: reqwest::Method,
    path: &str,
    parameters: &[(&str, String)],
) -> Result<Option<T>, Failure> {
    answered(client.request(method, address(path, parameters))).await
}

fn address(path: &str, parameters: &[(&str, String)]) -> String {
    let query: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    format!("http://vitalsync{path}?{}", query.join("&"))
}

/// The answer to a request; `Ok(None)`: there is nothing by that name.
async fn answered<T: DeserializeOwned>(request: reqwest::RequestBuilder) -> Result<Option<T>, Failure> {
    let response = request.send().await.map_err(no_answer)?;
    let status = response.status();
    let body = response.text().await.map_err(no_answer)?;
    if status == reqwest::StatusCode::NOT_FOUND {
        return Ok(None);
    }
    if !status.is_success() {
        return Err(refused(status, &body));
    }
    serde_json::from_str(&body)
        .map(Some)
        .map_err(|error| Failure::Failed(anyhow::anyhow!("the daemon's answer does not read: {error}")))
}

/// Asks the daemon for what it always has.
pub(super) async fn known<T: DeserializeOwned>(
    client: &reqwest::Client,
    path: &str,
    parameters: &[(&str, String)],
) -> Result<T, Failure> {
    ask(client, reqwest::Method::GET, path, parameters).await?.ok_or_else(|| unknown(path))
}

/// Asks the daemon about a text.
pub(super) async fn tell<T: DeserializeOwned>(
    client: &reqwest::Client,
    path: &str,
    parameters: &[(&str, String)],
    text: String,
) -> Result<T, Failure> {
    answered(client.post(address(path, parameters)).body(text)).await?.ok_or_else(|| unknown(path))
}

fn unknown(path: &str) -> Failure {
    Failure::Failed(anyhow::anyhow!("the daemon is of another version and knows no {path}: restart it"))
}

/// The as-of time as a parameter.
pub(super) fn as_of(at: Option<Timestamp>) -> Vec<(&'static str, String)> {
    at.map(|at| ("as_of", at.to_string())).into_iter().collect()
}

/// The as-of time and the last day of receipt as parameters.
pub(super) fn horizon(at: Option<Timestamp>, received: Option<Day>) -> Vec<(&'static str, String)> {
    let mut parameters = as_of(at);
    parameters.extend(received.map(|day| ("known_on", day.to_string())));
    parameters
}

/// Text as it may stand in an address.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
