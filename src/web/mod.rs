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
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;
use vitalsync_core::backtest::Terms;
use vitalsync_core::identity::Horizon;
use vitalsync_core::{Day, Timestamp};

use crate::app::Daemon;
use crate::config::Config;
use crate::progress::{Lines, clock};
use crate::tick::Wish;
use crate::tick::attribute::Between;
use crate::tick::forget::Kind;
use crate::tick::ingest::{IngestError, Watch};
use crate::tick::matches::{Line, WrongLines};
use crate::tick::quarantine::{Verdict, Which};
use crate::tick::read::{Backfill, BackfillReport};

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
        .route("/v1/events", get(events))
        .route("/v1/users", get(users))
        .route("/v1/portfolio", get(portfolio))
        .route("/v1/explain", get(explain))
        .route("/v1/lint", get(lint))
        .route("/v1/backtest", get(backtest))
        .route("/v1/reasons", get(reasons))
        .route("/v1/preview", post(preview))
        .route("/v1/plan", get(plan))
        .route("/v1/approve", post(approve))
        .route("/v1/logins", get(logins))
        .route("/v1/login", post(login))
        .route("/v1/logout", post(logout))
        .route("/v1/refresh", post(refresh))
        .route("/v1/match", get(matches).post(decide))
        .route("/v1/quarantine", get(refusals).post(judge_refusals))
        .route("/v1/alerts", get(alerts))
        .route("/v1/alerts/snooze", post(snooze))
        .route("/v1/backfill", post(backfill))
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
        // A fault of the config, as for whoever opens the state.
        Ok(Err(error)) if matches!(error.downcast_ref(), Some(IngestError::TimeZone { .. })) => {
            (StatusCode::BAD_REQUEST, Json(serde_json::json!({"error": error.to_string()}))).into_response()
        }
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

fn date(parameters: &Parameters, name: &str) -> anyhow::Result<Option<Day>> {
    let Some(text) = parameters.get(name) else { return Ok(None) };
    let day = Day::parse(text);
    anyhow::ensure!(day.is_some(), "{name} is a date, as in 2026-08-13, not `{text}`");
    Ok(day)
}

/// The as-of time, with the last day of receipt where one is asked for.
fn horizon(daemon: &Daemon, parameters: &Parameters) -> anyhow::Result<Horizon> {
    let received = date(parameters, "known_on")?;
    Ok(Horizon { at: at(daemon, parameters), received })
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
    answer(move || daemon.engine.accounts(horizon(&daemon, &parameters)?).map(Some)).await
}

async fn events(State(daemon): State<Arc<Daemon>>, parameters: Parameters) -> Response {
    answer(move || daemon.engine.events(horizon(&daemon, &parameters)?).map(Some)).await
}

async fn users(State(daemon): State<Arc<Daemon>>, parameters: Parameters) -> Response {
    answer(move || {
        let account = parameters.get("account").map(String::as_str);
        daemon.engine.users(account, horizon(&daemon, &parameters)?)
    })
    .await
}

async fn portfolio(State(daemon): State<Arc<Daemon>>, parameters: Parameters) -> Response {
    answer(move || {
        let horizon = horizon(&daemon, &parameters)?;
        let from = date(&parameters, "from")?;
        daemon.engine.portfolio(from, horizon).map(Some)
    })
    .await
}

async fn explain(State(daemon): State<Arc<Daemon>>, parameters: Parameters) -> Response {
    answer(move || {
        let account = parameters.get("account").cloned().unwrap_or_default();
        let to = date(&parameters, "to")?;
        let between = date(&parameters, "from")?.map(|from| Between { from, to });
        daemon.engine.explain(&account, horizon(&daemon, &parameters)?, between)
    })
    .await
}

/// The config is read from its file anew: what was edited since the daemon started is what is asked about.
async fn lint(State(daemon): State<Arc<Daemon>>, parameters: Parameters) -> Response {
    answer(move || {
        let file = parameters.get("file").map(String::as_str).unwrap_or_default();
        daemon.engine.lint_file(Path::new(file), at(&daemon, &parameters))
    })
    .await
}

fn terms(parameters: &Parameters) -> anyhow::Result<Terms> {
    Ok(serde_json::from_str(parameters.get("terms").map_or("", String::as_str))?)
}

async fn backtest(State(daemon): State<Arc<Daemon>>, parameters: Parameters) -> Response {
    answer(move || daemon.engine.backtest(&terms(&parameters)?, at(&daemon, &parameters), &|_, _| ()).map(Some)).await
}

async fn reasons(State(daemon): State<Arc<Daemon>>, parameters: Parameters) -> Response {
    answer(move || daemon.engine.reasons(&terms(&parameters)?, at(&daemon, &parameters), &|_, _| ()).map(Some)).await
}

/// The other config comes as its text: the daemon need not see the file.
async fn preview(State(daemon): State<Arc<Daemon>>, parameters: Parameters, text: String) -> Response {
    answer(move || {
        let file = PathBuf::from(parameters.get("file").map_or("", String::as_str));
        let other = Config::parse(&text, &file, &|name| std::env::var(name).ok())?;
        daemon.engine.preview(&other, at(&daemon, &parameters)).map(Some)
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

/// The answer to what asks tools, and so waits for them.
fn told<T: Serialize>(report: anyhow::Result<T>) -> Response {
    match report {
        Ok(report) => Json(report).into_response(),
        Err(error) => {
            // Whoever asks ends by it with another exit code.
            let status = match error.is::<WrongLines>() {
                true => StatusCode::BAD_REQUEST,
                false => StatusCode::UNPROCESSABLE_ENTITY,
            };
            (status, Json(serde_json::json!({"error": format!("{error:#}")}))).into_response()
        }
    }
}

async fn refresh(State(daemon): State<Arc<Daemon>>, parameters: Parameters) -> Response {
    let _syncs = daemon.syncing().await;
    told(daemon.engine.refresh(parameters.get("destination").map(String::as_str)).await)
}

async fn matches(State(daemon): State<Arc<Daemon>>, parameters: Parameters) -> Response {
    answer(move || daemon.engine.matches(at(&daemon, &parameters)).map(Some)).await
}

/// Decisions come as the text of their file.
async fn decide(State(daemon): State<Arc<Daemon>>, parameters: Parameters, text: String) -> Response {
    let _syncs = daemon.syncing().await;
    let lines = match Line::read(&text) {
        Ok(lines) => lines,
        Err(why) => return told::<()>(Err(anyhow::anyhow!(why))),
    };
    let decided = daemon.engine.decide(&lines, at(&daemon, &parameters)).await;
    if decided.is_ok() {
        lines.iter().for_each(|line| daemon.wake(&line.says.destination));
    }
    told(decided)
}

fn which(parameters: &Parameters) -> Which {
    let text = |name: &str| parameters.get(name).cloned();
    Which {
        slot: text("slot"),
        destination: text("destination"),
        reason: text("reason"),
        since: parameters.get("since").and_then(|time| Timestamp::parse(time)),
    }
}

async fn refusals(State(daemon): State<Arc<Daemon>>, parameters: Parameters) -> Response {
    answer(move || {
        let which = which(&parameters);
        match parameters.get("full").map(String::as_str) {
            Some("true") => daemon.engine.refusals_in_full(&which, at(&daemon, &parameters)).map(Some),
            _ => daemon.engine.refusals(&which).map(Some),
        }
    })
    .await
}

async fn judge_refusals(State(daemon): State<Arc<Daemon>>, parameters: Parameters) -> Response {
    answer(move || {
        let verdict = match parameters.get("verdict").map(String::as_str) {
            Some("retry") => Verdict::Retry,
            Some("drop") => Verdict::Drop,
            _ => anyhow::bail!("a verdict is retry or drop"),
        };
        let judged = daemon.engine.judge_refusals(&which(&parameters), verdict)?;
        if verdict == Verdict::Retry {
            judged.iter().for_each(|one| daemon.wake(&one.destination));
        }
        Ok(Some(judged))
    })
    .await
}

async fn alerts(State(daemon): State<Arc<Daemon>>, parameters: Parameters) -> Response {
    answer(move || daemon.engine.alerts(at(&daemon, &parameters)).map(Some)).await
}

async fn snooze(State(daemon): State<Arc<Daemon>>, parameters: Parameters) -> Response {
    answer(move || {
        let parameter = |name: &str| parameters.get(name).cloned();
        let for_ms = parameter("for_ms").map(|ms| ms.parse()).transpose()?;
        let wish = Wish { account: parameter("account").unwrap_or_default(), rule: parameter("rule"), for_ms };
        daemon.engine.snooze(&wish, at(&daemon, &parameters))
    })
    .await
}

async fn logins(State(daemon): State<Arc<Daemon>>) -> Response {
    answer(move || daemon.engine.logins().map(Some)).await
}

/// The tokens come as the command got them; the socket is this user's alone.
async fn login(State(daemon): State<Arc<Daemon>>, parameters: Parameters, tokens: String) -> Response {
    answer(move || {
        let users = daemon
            .engine
            .log_in(parameters.get("login").map_or("", String::as_str), &serde_json::from_str(&tokens)?)?;
        users.iter().for_each(|name| daemon.wake(name));
        Ok(Some(users))
    })
    .await
}

async fn logout(State(daemon): State<Arc<Daemon>>, parameters: Parameters) -> Response {
    answer(move || daemon.engine.log_out(parameters.get("login").map_or("", String::as_str)).map(Some)).await
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

/// What the daemon says of a backfill, one JSON line each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackfillSaid {
    /// How far it is.
    Progress(String),
    /// What it came to.
    Done(BackfillReport),
    /// Why it is not done.
    Failed(String),
}

/// Reads or counts anew, and says so line by line. It goes on if nobody listens.
async fn backfill(State(daemon): State<Arc<Daemon>>, parameters: Parameters) -> Response {
    let order: Backfill = match serde_json::from_str(parameters.get("order").map_or("", String::as_str)) {
        Ok(order) => order,
        Err(error) => {
            let error = serde_json::json!({ "error": format!("the order does not read: {error}") });
            return (StatusCode::UNPROCESSABLE_ENTITY, Json(error)).into_response();
        }
    };
    let (said, saying) = tokio::sync::mpsc::unbounded_channel::<BackfillSaid>();
    tokio::task::spawn_blocking(move || {
        let watch = |source: &str| -> Box<dyn Watch> {
            let said = said.clone();
            let say = move |line| drop(said.send(BackfillSaid::Progress(line)));
            Box::new(Lines::new(source, clock(), Box::new(say)))
        };
        let last = match daemon.engine.backfill(&order, &watch) {
            Ok(report) => BackfillSaid::Done(report),
            Err(error) => BackfillSaid::Failed(format!("{error:#}")),
        };
        let _ = said.send(last);
    });
    Body::from_stream(futures_util::stream::unfold(saying, async |mut saying| {
        let mut line = serde_json::to_vec(&saying.recv().await?).unwrap_or_default();
        line.push(b'\n');
        Some((Ok::<_, std::io::Error>(Bytes::from(line)), saying))
    }))
    .into_response()
}
