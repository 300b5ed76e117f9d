//! Judging: how well the figures of the past would have foreseen who left. Reads the state, writes nothing, asks no tool.

use vitalsync_core::backtest::{Book, Outcomes, Terms};
use vitalsync_core::gather::Ask;
use vitalsync_core::habits::RHYTHM_DAYS;
use vitalsync_core::identity::Horizon;
use vitalsync_core::{Day, Timestamp};

use super::Engine;
use crate::report::{BacktestReport, FitReport};

impl Engine {
    /// A backtest on what is known as of a time.
    pub fn backtest(&self, terms: &Terms, at: Timestamp) -> anyhow::Result<BacktestReport> {
        let (book, outcomes, terms) = self.snapshots(terms, at)?;
        let judged = book.judge(&outcomes, &terms)?;
        let weights = &self.config.model.risk_weights;
        let fit = if terms.fit { Some(FitReport::of(&book.fit(weights, &terms)?, weights)) } else { None };
        Ok(BacktestReport::of(&book, &outcomes, &terms, &judged, fit))
    }

    /// What became of everybody, and a row for each account and snapshot from what was known then; with the terms as they
    /// could be met.
    fn snapshots(&self, terms: &Terms, at: Timestamp) -> anyhow::Result<(Book, Outcomes, Terms)> {
        let model = &self.config.model;
        if let Some(name) = &terms.profile
            && !model.profiles.iter().any(|profile| profile.name == *name)
        {
            let known: Vec<&str> = model.profiles.iter().map(|profile| profile.name.as_str()).collect();
            anyhow::bail!("there is no profile `{name}`; the config has {}", known.join(", "));
        }
        let outcomes = Outcomes::of(self.ask(model, Ask { deeds: true, ..Ask::of(Horizon::at(at)) })?);
        let Some((first, last)) = outcomes.span else {
            anyhow::bail!("there is no event yet: `vitalsync backfill` reads the sources");
        };
        let mut terms = terms.clone();
        // Of months that retention made small the days are gone, and with them how regular anybody was.
        let by_day = self.config.retention.days.map(|days| model.calendar.day(at).plus(RHYTHM_DAYS - days));
        if let Some(by_day) = by_day.filter(|by_day| terms.from.is_none() && *by_day > first.plus(terms.min_age)) {
            terms.from = Some(by_day);
        }
        let latest = last.plus(-terms.horizon);
        if let Some(to) = terms.to.filter(|to| *to > latest) {
            anyhow::bail!(
                "--to {to}: the {} days after it do not lie within the data, which ends on {last}; {latest} is the latest",
                terms.horizon
            );
        }
        let dates = terms.dates(&outcomes);
        if dates.is_empty() {
            anyhow::bail!(
                "no snapshot fits between {} and {}: the data goes from {first} to {last}, accounts must be {} days old \
                 and {} days must follow; change --from, --to, --min-age or --horizon",
                terms.from.unwrap_or(first.plus(terms.min_age)),
                terms.to.unwrap_or(latest),
                terms.min_age,
                terms.horizon
            );
        }
        let mut book = Book::default();
        for date in dates {
            self.check_stop()?;
            let evaluation = self.ask(model, Ask::of(self.known_on(date)))?;
            book.take(date, &evaluation, &outcomes, &terms);
        }
        Ok((book, outcomes, terms))
    }

    /// What was known at the end of a day.
    fn known_on(&self, day: Day) -> Horizon {
        Horizon { at: self.config.model.calendar.end(day), received: Some(day) }
    }
}
