//! `vitalsync alerts`: what waits to be told, and silence about an account for a while.

use clap::Subcommand;
use vitalsync_core::time::{DAY_MS, Span};

use super::ask::{self, Source};
use super::explain::no_account;
use super::table::{table, text};
use super::{Failure, Options, Outcome, say, say_json};
use crate::report::AlertsReport;
use crate::tick::Wish;

/// Whoever silences an account for longer has mistyped.
const LONGEST_MS: i64 = 3650 * DAY_MS;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Alerts that wait, for a digest, for quiet hours to end or because they were refused; and accounts that are silent.
    List,
    /// Tell nobody anything about an account for a while.
    Snooze {
        /// The account: its id, name or domain.
        account: String,
        /// For how long: one number and one unit, as in 7d or 12h.
        #[arg(value_name = "SPAN")]
        span: String,
        /// Only alerts of this rule.
        #[arg(long)]
        rule: Option<String>,
    },
    /// End that.
    Unsnooze {
        /// The account: its id, name or domain.
        account: String,
        /// Only for alerts of this rule.
        #[arg(long)]
        rule: Option<String>,
    },
}

pub(super) async fn run(options: &Options, command: Option<Command>) -> Outcome {
    let wish = match command.unwrap_or(Command::List) {
        Command::List => return list(options).await,
        Command::Snooze { account, span, rule } => {
            let wrong =
                || Failure::Usage(format!("`{span}` is no span of time: one number and one unit, as in 7d or 12h"));
            let for_ms = Span::parse(&span).map(Span::millis).filter(|ms| *ms > 0).ok_or_else(wrong)?;
            if for_ms > LONGEST_MS {
                return Err(Failure::Usage(format!(
                    "`{span}` is too long: an account is kept quiet for at most ten years (3650d)"
                )));
            }
            Wish { account, rule, for_ms: Some(for_ms) }
        }
        Command::Unsnooze { account, rule } => Wish { account, rule, for_ms: None },
    };
    let config = options.load()?;
    let said: Option<String> = match ask::source(options, config, false).await? {
        Source::Daemon(client, _socket) => {
            let mut parameters = vec![("account", wish.account.clone())];
            parameters.extend(wish.rule.iter().map(|rule| ("rule", rule.clone())));
            parameters.extend(wish.for_ms.map(|ms| ("for_ms", ms.to_string())));
            ask::ask(&client, reqwest::Method::POST, "/v1/alerts/snooze", &parameters).await?
        }
        Source::State(engine) => engine.snooze(&wish, engine.clock.now())?,
    };
    let Some(said) = said else { return Err(no_account(&wish.account)) };
    if options.json() {
        say_json(&serde_json::json!({ "account": wish.account, "rule": wish.rule, "message": said }));
    } else {
        say(&said);
    }
    Ok(0)
}

async fn list(options: &Options) -> Outcome {
    let config = options.load()?;
    let at = options.at(&config.model.calendar)?;
    let report: AlertsReport = match ask::source(options, config, false).await? {
        Source::Daemon(client, _socket) => ask::known(&client, "/v1/alerts", &ask::as_of(at)).await?,
        Source::State(engine) => engine.alerts(engine.clock.now())?,
    };
    if options.json() {
        say_json(&report);
        return Ok(0);
    }
    if report.waiting.is_empty() {
        say("no alert waits");
    } else {
        let head = ["destination", "rule", "account", "user", "what", "to", "fired", "refused"];
        let rows: Vec<Vec<String>> = report
            .waiting
            .iter()
            .map(|alert| {
                let user = text(alert.user.as_deref());
                let (what, to, fired) = (alert.said.clone(), alert.to.clone(), alert.at.clone());
                let refused = text(alert.refused.as_deref());
                vec![
                    alert.destination.clone(),
                    alert.rule.clone(),
                    alert.account.clone(),
                    user,
                    what,
                    to,
                    fired,
                    refused,
                ]
            })
            .collect();
        say(&table(&head, &rows));
    }
    report.snoozed.iter().for_each(|snooze| say(&snooze.said()));
    Ok(0)
}
