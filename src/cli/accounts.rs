//! `vitalsync accounts`

use vitalsync_core::identity::Horizon;

use super::ask::{self, Source};
use super::table::{change, number, percent, table, text, whole};
use super::{KnownOn, Options, Outcome, say, say_json};
use crate::report::AccountReport;

pub(super) async fn run(options: &Options, known: &KnownOn) -> Outcome {
    let config = options.load()?;
    let (at, received) = (options.at(&config.model.calendar)?, known.day()?);
    let accounts: Vec<AccountReport> = match ask::source(options, config, true).await? {
        Source::Daemon(client, _socket) => {
            let parameters = ask::horizon(at, received);
            ask::ask(&client, reqwest::Method::GET, "/v1/accounts", &parameters).await?.unwrap_or_default()
        }
        Source::State(engine) => engine.accounts(Horizon { at: engine.clock.now(), received })?,
    };
    if options.json() {
        say_json(&accounts);
        return Ok(0);
    }
    let head = [
        "account",
        "score",
        "band",
        "7 d",
        "30 d",
        "raw",
        "activation",
        "adoption",
        "users",
        "active days",
        "last active",
        "reason",
    ];
    let rows: Vec<Vec<String>> = accounts.iter().map(row).collect();
    say(&table(&head, &rows));
    let count = |band: &str| accounts.iter().filter(|account| account.text("health.band") == Some(band)).count();
    say(&format!(
        "{} accounts: {} healthy, {} normal, {} at risk, {} unknown",
        accounts.len(),
        count("healthy"),
        count("normal"),
        count("at_risk"),
        accounts.iter().filter(|account| account.text("health.band").is_none()).count()
    ));
    for held in accounts.first().into_iter().flat_map(AccountReport::counted_since) {
        say(&held.said());
    }
    Ok(0)
}

fn row(account: &AccountReport) -> Vec<String> {
    let of = |name: &str| account.number(name);
    let share = |part: &str, all: &str| format!("{}/{}", whole(of(part)), whole(of(all)));
    vec![
        account.id().to_owned(),
        whole(of("health.score")),
        text(account.text("health.band")),
        change(of("health.change_7d")),
        change(of("health.change_30d")),
        number(of("health.raw")),
        percent(of("activation.percent")),
        percent(of("adoption.window_percent")),
        share("users.active", "users.total"),
        share("frequency.active_days", "frequency.days"),
        text(account.text("last_active").and_then(|time| time.get(..10))),
        text(account.text("health.top_reason")),
    ]
}
