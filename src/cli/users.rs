//! `vitalsync users`

use vitalsync_core::identity::Horizon;

use super::ask::{self, Source};
use super::explain::no_account;
use super::table::{change, number, percent, table, text, whole};
use super::{KnownOn, Options, Outcome, say, say_json};
use crate::report::UserReport;

pub(super) async fn run(options: &Options, account: Option<&str>, known: &KnownOn) -> Outcome {
    let config = options.load()?;
    let (at, received) = (options.at(&config.model.calendar)?, known.day()?);
    let found: Option<Vec<UserReport>> = match ask::source(options, config, true).await? {
        Source::Daemon(client, _socket) => {
            let mut parameters = ask::horizon(at, received);
            parameters.extend(account.map(|account| ("account", account.to_owned())));
            ask::ask(&client, reqwest::Method::GET, "/v1/users", &parameters).await?
        }
        Source::State(engine) => engine.users(account, Horizon { at: engine.clock.now(), received })?,
    };
    let Some(users) = found else {
        return Err(no_account(account.unwrap_or_default()));
    };
    if options.json() {
        say_json(&users);
        return Ok(0);
    }
    let head = [
        "user",
        "account",
        "score",
        "band",
        "7 d",
        "30 d",
        "raw",
        "activation",
        "adoption",
        "active days",
        "last active",
    ];
    let rows: Vec<Vec<String>> = users.iter().map(row).collect();
    say(&table(&head, &rows));
    let healthy = users.iter().filter(|user| user.text("health.band") == Some("healthy")).count();
    say(&format!("{} users, {healthy} of them healthy", users.len()));
    Ok(0)
}

fn row(user: &UserReport) -> Vec<String> {
    let of = |name: &str| user.number(name);
    vec![
        text(user.text("id")),
        text(user.text("account")),
        whole(of("health.score")),
        text(user.text("health.band")),
        change(of("health.change_7d")),
        change(of("health.change_30d")),
        number(of("health.raw")),
        percent(of("activation.percent")),
        percent(of("adoption.window_percent")),
        format!("{}/{}", whole(of("frequency.active_days")), whole(of("frequency.days"))),
        text(user.text("last_active").and_then(|time| time.get(..10))),
    ]
}
