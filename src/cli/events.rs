//! `vitalsync events`

use vitalsync_core::identity::Horizon;

use super::ask::{self, Source};
use super::table::{table, text};
use super::{KnownOn, Options, Outcome, say, say_json};
use crate::report::{EventReport, EventsReport};

pub(super) async fn run(options: &Options, known: &KnownOn) -> Outcome {
    let config = options.load()?;
    let (at, received) = (options.at(&config.model.calendar)?, known.day()?);
    let profiles: Vec<String> = config.model.profiles.iter().map(|profile| profile.name.clone()).collect();
    let report: EventsReport = match ask::source(options, config, true).await? {
        Source::Daemon(client, _socket) => {
            let parameters = ask::horizon(at, received);
            ask::ask(&client, reqwest::Method::GET, "/v1/events", &parameters).await?.unwrap_or_default()
        }
        Source::State(engine) => engine.events(Horizon { at: engine.clock.now(), received })?,
    };
    if options.json() {
        say_json(&report);
        return Ok(0);
    }
    let mut head = vec!["event", "30 d", "ever", "accounts", "users", "first seen", "last seen"];
    match profiles.as_slice() {
        [_] => head.push("weight"),
        several => head.extend(several.iter().map(String::as_str)),
    }
    head.push("");
    let rows: Vec<Vec<String>> = report.events.iter().map(|event| row(event, &profiles)).collect();
    say(&table(&head, &rows));
    let flagged = report.events.iter().filter(|event| !event.flags.is_empty()).count();
    say(&format!(
        "{} events, {flagged} to look at; {} accounts and {} users did anything in the last 30 days",
        report.events.len(),
        report.active_accounts_30d,
        report.active_users_30d
    ));
    Ok(0)
}

fn row(event: &EventReport, profiles: &[String]) -> Vec<String> {
    let mut row = vec![
        event.event.clone(),
        event.count_30d.to_string(),
        event.count.to_string(),
        event.accounts_30d.to_string(),
        event.users_30d.to_string(),
        text(event.first_seen.as_deref()),
        text(event.last_seen.as_deref()),
    ];
    row.extend(profiles.iter().map(|profile| match event.weights.get(profile).copied().flatten() {
        Some(0.0) => "excluded".into(),
        Some(weight) => weight.to_string(),
        None => "–".into(),
    }));
    row.push(event.said());
    row
}
