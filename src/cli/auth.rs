//! `vitalsync auth hubspot`, `auth status`, `auth logout`
//!
//! The browser comes back to this command; a daemon that runs is handed the tokens over its socket, else they go into the
//! state. They are printed nowhere.

use std::fmt::Write;
use std::io::IsTerminal;
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use vitalsync_core::connector::Auth;

use super::ask::{self, Source};
use super::run::asked_to_end;
use super::{Failure, Options, Outcome, say, say_json};
use crate::config::App;
use crate::connectors;
use crate::login::{Login, Loopback, NoToken, Tokens};
use crate::tick::logins::{self, LoginReport};

/// A person who has not agreed by then is not waited for.
const LONGEST: Duration = Duration::from_secs(600);
/// Not a tool, but all of them.
const STATUS: &str = "status";
const LOGOUT: &str = "logout";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The tool to log in to; or `status`: how logins stand; or `logout`: forget one here.
    #[arg(value_name = "TOOL|status|logout", value_parser = PossibleValuesParser::new(words()))]
    what: String,
    /// The destination whose login it is, where there are several.
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,
    /// Only print the address, open no browser.
    #[arg(long)]
    no_browser: bool,
}

fn words() -> Vec<&'static str> {
    let tools = connectors::ALL.iter().filter(|tool| tool.manifest.auth.contains(&Auth::OAuth));
    tools.map(|tool| tool.manifest.name).chain([STATUS, LOGOUT]).collect()
}

pub(super) async fn run(options: &Options, arguments: &Arguments) -> Outcome {
    match arguments.what.as_str() {
        STATUS => status(options).await,
        LOGOUT => logout(options, arguments.destination.as_deref()).await,
        tool => login(options, tool, arguments).await,
    }
}

async fn login(options: &Options, tool: &str, arguments: &Arguments) -> Outcome {
    let config = options.load()?;
    let app = logins::which(&config, Some(tool), arguments.destination.as_deref()).map_err(Failure::Usage)?.clone();
    let name = app.login();
    let all = logins::of(&config)?;
    let Some(known) = all.get(&name) else { return Err(Failure::Usage(format!("{tool} has no such login"))) };
    let tokens = in_the_browser(known, &app, arguments.no_browser).await?;
    let used_by: Vec<String> = match ask::source(options, config, false).await? {
        Source::Daemon(client, _socket) => {
            let body = serde_json::to_string(&tokens).unwrap_or_default();
            ask::tell(&client, "/v1/login", &[("login", name)], body).await?
        }
        Source::State(engine) => engine.log_in(&name, &tokens)?,
    };
    if options.json() {
        say_json(&serde_json::json!({"vendor": tool, "used_by": used_by, "since": tokens.since.to_string()}));
    } else {
        say(&format!("logged in to {tool}: {} may write with it", used_by.join(", ")));
    }
    Ok(0)
}

/// Asks for consent in the browser and waits for its answer.
async fn in_the_browser(login: &Login, app: &App, no_browser: bool) -> Result<Tokens, Failure> {
    let port = app.redirect_port;
    let loopback = Loopback::listen(port).await.map_err(|error| {
        Failure::Failed(anyhow::anyhow!(
            "can't listen on port {port} of this machine, where the browser is to come back: {error}; set `redirect_port` in `oauth` (and in the app at {})",
            app.vendor
        ))
    })?;
    let redirect = loopback.redirect();
    let asked = login.ask(&loopback).map_err(|why| Failure::Failed(anyhow::anyhow!(why)))?;
    eprintln!("open this address and agree (the app must know the redirect {redirect}):\n\n{}\n", asked.url);
    if !no_browser && std::io::stderr().is_terminal() {
        open(&asked.url);
    }
    let failed = |why: String| Failure::Failed(anyhow::anyhow!("not logged in: {why}"));
    tokio::select! {
        tokens = login.wait(loopback, asked) => tokens.map_err(|none| match none {
            NoToken::NeedsLogin(why) | NoToken::NoAnswer(why) => failed(why),
            NoToken::Store(error) => error.into(),
        }),
        _ = asked_to_end() => Err(failed("interrupted".to_owned())),
        () = tokio::time::sleep(LONGEST) => Err(failed("nobody agreed within 10 minutes".to_owned())),
    }
}

/// Opens an address where there is something to open it with.
fn open(url: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let _ = Command::new(program).arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
}

async fn status(options: &Options) -> Outcome {
    let config = options.load()?;
    let reports: Vec<LoginReport> = match ask::source(options, config, false).await? {
        Source::Daemon(client, _socket) => ask::known(&client, "/v1/logins", &[]).await?,
        Source::State(engine) => engine.logins()?,
    };
    if options.json() {
        say_json(&reports);
        return Ok(0);
    }
    if reports.is_empty() {
        say("no destination of the config logs in: all have a token or an address");
    }
    reports.iter().for_each(|report| say(&line(report)));
    Ok(0)
}

fn line(report: &LoginReport) -> String {
    let mut out = format!("{} ({}): ", report.vendor, report.used_by.join(", "));
    let _ = match (&report.since, &report.refused) {
        (None, _) => write!(out, "nobody is logged in: run `{}`", report.command),
        (Some(since), Some(why)) => write!(out, "logged in on {since}, but {why}: run `{}`", report.command),
        (Some(since), None) => {
            write!(out, "logged in on {since}, token of {}", report.renewed_at.as_deref().unwrap_or("–"))
        }
    };
    out
}

async fn logout(options: &Options, destination: Option<&str>) -> Outcome {
    let config = options.load()?;
    let app = logins::which(&config, None, destination).map_err(Failure::Usage)?.clone();
    let name = app.login();
    let was: bool = match ask::source(options, config, false).await? {
        Source::Daemon(client, _socket) => {
            ask::ask(&client, reqwest::Method::POST, "/v1/logout", &[("login", name)]).await?.unwrap_or_default()
        }
        Source::State(engine) => engine.log_out(&name)?,
    };
    let said = match was {
        true => {
            format!("the tokens of {} are forgotten here; uninstall the app there to take its rights back", app.vendor)
        }
        false => format!("nobody was logged in to {}", app.vendor),
    };
    if options.json() {
        say_json(&serde_json::json!({"vendor": app.vendor, "forgotten": was}));
    } else {
        say(&said);
    }
    Ok(0)
}
