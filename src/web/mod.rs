//! The daemon's answers to commands, over a Unix socket in the state directory: the same typed reports, as JSON.
//!
//! The socket is readable by the daemon's user alone. There is deliberately no TCP listener here.

use std::collections::HashMap;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use tokio::net::UnixListener;
use vitalsync_core::Timestamp;

use crate::app::Daemon;
use crate::tick::forget::Kind;

/// The socket's name in the state directory.
const SOCKET: &str = "vitalsync.sock";

/// A path to the socket that is short enough for the system, and what keeps it valid.
#[derive(Debug)]
pub struct SocketPath {
    /// The path.
    pub path: PathBuf,
    _dir: Option<std::fs::File>,
}

impl SocketPath {
    /// The socket of a state directory. Long paths go by way of an open directory: a socket's path has at most 107 bytes.
    pub fn of(state: &Path) -> std::io::Result<Self> {
        let direct = state.join(SOCKET);
        if direct.as_os_str().len() < 100 {
            return Ok(Self { path: direct, _dir: None });
        }
        let dir = std::fs::File::open(state)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", dir.as_raw_fd()));
        Ok(Self { path, _dir: Some(dir) })
    }
}

/// Listens in a state directory that this process holds; what a killed process left there is replaced.
pub fn listen(state: &Path) -> std::io::Result<UnixListener> {
    let socket = SocketPath::of(state)?;
    match std::fs::remove_file(&socket.path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&socket.path)?;
    std::fs::set_permissions(&socket.path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers until the task is ended.
pub async fn serve(listener: UnixListener, daemon: Arc<Daemon>) {
    let router = Router::new()
        .route("/v1/status", get(status))
        .route("/v1/accounts", get(accounts))
        .route("/v1/explain", get(explain))
        .route("/v1/plan", get(plan))
        .route("/v1/approve", post(approve))
        .route("/v1/forget", post(forget))
        .route("/v1/export", get(export))
        .with_state(daemon);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the socket failed");
    }
}

type Parameters = Query<HashMap<String, String>>;

/// How much of an export is sent at a time, in bytes.
const PIECE: usize = 256 << 10;

/// Work that takes a moment, off the threads that serve.
async fn answer<T, F>(work: F) -> Response
where
    T: Serialize + Send + 'static,
    F: FnOnce() -> anyhow::Result<Option<T>> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(Some(report))) => Json(report).into_response(),
        Ok(Ok(None)) => (StatusCode::NOT_FOUND, Json(serde_json::json!({"error": "not found"}))).into_response(),
        Ok(Err(error)) => {
            (StatusCode::UNPROCESSABLE_ENTITY, Json(serde_json::json!({"error": format!("{error:#}")}))).into_response()
        }
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, Json(serde_json::json!({"error": error.to_string()}))).into_response()
        }
    }
}

fn at(daemon: &Daemon, parameters: &Parameters) -> Timestamp {
    parameters.get("as_of").and_then(|text| Timestamp::parse(text)).unwrap_or_else(|| daemon.engine.clock.now())
}

async fn status(State(daemon): State<Arc<Daemon>>) -> Response {
    answer(move || {
        let mut status = daemon.engine.status()?;
        status.running = true;
        Ok(Some(status))
    })
    .await
}

async fn accounts(State(daemon): State<Arc<Daemon>>, parameters: Parameters) -> Response {
    answer(move || daemon.engine.accounts(at(&daemon, &parameters)).map(Some)).await
}

async fn explain(State(daemon): State<Arc<Daemon>>, parameters: Parameters) -> Response {
    answer(move || {
        let account = parameters.get("account").cloned().unwrap_or_default();
        daemon.engine.explain(&account, at(&daemon, &parameters))
    })
    .await
}

async fn plan(State(daemon): State<Arc<Daemon>>, parameters: Parameters) -> Response {
    answer(move || daemon.engine.plan(at(&daemon, &parameters)).map(Some)).await
}

async fn approve(State(daemon): State<Arc<Daemon>>, parameters: Parameters) -> Response {
    answer(move || {
        let destination = parameters.get("destination").cloned().unwrap_or_default();
        let said = daemon.engine.approve(&destination)?;
        daemon.wake(&destination);
        Ok(Some(said))
    })
    .await
}

async fn forget(State(daemon): State<Arc<Daemon>>, parameters: Parameters) -> Response {
    answer(move || {
        let parameter = |name: &str| parameters.get(name).map(String::as_str).unwrap_or_default();
        let kind = match parameter("kind") {
            "user" => Some(Kind::User),
            "account" => Some(Kind::Account),
            _ => None,
        };
        daemon.engine.forget(kind, parameter("name"), parameter("dry_run") == "true").map(Some)
    })
    .await
}

/// The whole state. It is written to a file without a name first, so that a slow reader holds nothing up.
async fn export(State(daemon): State<Arc<Daemon>>) -> Response {
    let refused =
        |error: String| (StatusCode::UNPROCESSABLE_ENTITY, Json(serde_json::json!({ "error": error }))).into_response();
    let file = match tokio::task::spawn_blocking(move || daemon.engine.export()).await {
        Ok(Ok(file)) => file,
        Ok(Err(error)) => return refused(format!("{error:#}")),
        Err(error) => return refused(error.to_string()),
    };
    Body::from_stream(futures_util::stream::try_unfold(file, async |file| {
        tokio::task::spawn_blocking(move || piece(file)).await?
    }))
    .into_response()
}

fn piece(mut file: std::fs::File) -> std::io::Result<Option<(Bytes, std::fs::File)>> {
    let mut bytes = Vec::with_capacity(PIECE);
    file.by_ref().take(PIECE as u64).read_to_end(&mut bytes)?;
    Ok(if bytes.is_empty() { None } else { Some((bytes.into(), file)) })
}
