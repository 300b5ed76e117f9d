//! `vitalsync accounts`

use vitalsync_core::identity::Horizon;

use super::ask::{self, Source};
use super::table::{change, number, table, text, whole};
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
    let count = |band: &str| accounts.iter().filter(|account| account.health.band.as_deref() == Some(band)).count();
    say(&format!(
        "{} accounts: {} healthy, {} normal, {} at risk, {} unknown",
        accounts.len(),
        count("healthy"),
        count("normal"),
        count("at_risk"),
        accounts.iter().filter(|account| account.health.band.is_none()).count()
    ));
    for held in accounts.first().into_iter().flat_map(|account| &account.counted_since) {
        say(&held.said());
    }
    Ok(0)
}

fn row(account: &AccountReport) -> Vec<String> {
    let percent = |value: Option<f64>| value.map_or_else(|| "–".into(), |value| format!("{} %", whole(Some(value))));
    vec![
        account.account.clone(),
        whole(account.health.score),
        text(account.health.band.as_deref()),
        change(account.health.change_7d),
        change(account.health.change_30d),
        number(account.health.raw),
        percent(account.activation.percent),
        percent(account.adoption.window_percent),
        format!("{}/{}", account.users.active, account.users.total),
        format!("{}/{}", account.frequency.active_days, account.frequency.days),
        text(account.last_active.as_deref().and_then(|time| time.get(..10))),
        text(account.health.top_reason.as_deref()),
    ]
}
