//! Judging: how well figures of the past would have foreseen who left, what goes together with leaving, and what another
//! config would say. Reads the state, writes nothing, asks no tool.

use std::collections::{BTreeMap, BTreeSet};

use vitalsync_core::backtest::{Book, FEWEST, Outcomes, Row, Terms};
use vitalsync_core::evaluate::{Account, Evaluation};
use vitalsync_core::gather::Ask;
use vitalsync_core::habits::RHYTHM_DAYS;
use vitalsync_core::identity::Horizon;
use vitalsync_core::reasons::{Facts, SMALLEST, compare};
use vitalsync_core::{Day, Timestamp};

use super::Engine;
use crate::config::Config;
use crate::report::{BacktestReport, ComparisonReport, FitReport, PreviewReport, ReasonsReport};

/// Is told how many snapshots of how many were looked at.
type Steps<'a> = &'a dyn Fn(usize, usize);

impl Engine {
    /// A backtest on what is known as of a time.
    pub fn backtest(&self, terms: &Terms, at: Timestamp, watch: Steps<'_>) -> anyhow::Result<BacktestReport> {
        let outcomes = Outcomes::of(&self.with_deeds(Horizon::at(at))?, self.config.model.churned_on.is_some());
        let terms = self.met(terms, &outcomes, at)?;
        let book = self.snapshots(&outcomes, &terms, watch, Ask::of, |_, _| ())?;
        let judged = book.judge(&outcomes, &terms)?;
        let weights = &self.config.model.risk_weights;
        let fit = if terms.fit { Some(FitReport::of(&book.fit(weights, &terms)?, weights)) } else { None };
        Ok(BacktestReport::of(&book, &outcomes, &terms, &judged, fit))
    }

    /// What goes together with leaving, as it was known before, and with being among the best tenth now.
    pub fn reasons(&self, terms: &Terms, at: Timestamp, watch: Steps<'_>) -> anyhow::Result<ReasonsReport> {
        let model = &self.config.model;
        let today = self.with_deeds(Horizon::at(at))?;
        let best = self.best(&today, terms);
        let outcomes = Outcomes::of(&today, self.config.model.churned_on.is_some());
        let terms = self.met(terms, &outcomes, at)?;
        // Of who left, what was known when it was last there; of who stayed, what is known last.
        let mut known: BTreeMap<usize, (Facts, bool)> = BTreeMap::new();
        let mut ever_left = BTreeSet::new();
        let with_deeds = |horizon| Ask { deeds: true, ..Ask::of(horizon) };
        self.snapshots(&outcomes, &terms, watch, with_deeds, |evaluation, rows| {
            for row in rows {
                let is_told = row.left && matches!(known.get(&row.account), Some((_, true)));
                ever_left.extend(row.left.then_some(row.account));
                if let Some(account) = evaluation.find(outcomes.id(row.account)).filter(|_| !is_told) {
                    known.insert(row.account, (Facts::of(account, evaluation, model), row.left));
                }
            }
        })?;
        // Who paused and is there again is a customer, but none that was kept throughout.
        let is_back =
            |account: &usize| ever_left.contains(account) && !outcomes.is_gone_at_end(*account, terms.horizon);
        let came_back = known.keys().filter(|account| is_back(account)).count();
        let lasting = known.into_iter().filter(|(account, _)| !is_back(account));
        let known: Vec<(Facts, bool)> =
            lasting.map(|(account, (facts, _))| (facts, ever_left.contains(&account))).collect();
        let mut report = ReasonsReport { horizon_days: terms.horizon, came_back, ..ReasonsReport::default() };
        let churned = known.iter().filter(|(_, left)| *left).count();
        if churned < FEWEST {
            report.notes.push(format!("{churned} accounts left, and fewer than {FEWEST} tell nothing about why"));
        } else {
            report.churned = Some(ComparisonReport::of("churned", "kept", compare(&known)));
        }
        let size = best.iter().filter(|(_, best)| *best).count();
        if size < SMALLEST {
            report.notes.push(format!(
                "the best tenth are {size} accounts, and fewer than {SMALLEST} tell nothing about the rest"
            ));
        } else {
            report.best = Some(ComparisonReport::of("best tenth", "rest", compare(&best)));
        }
        Ok(report)
    }

    /// What another config would say of today's accounts.
    pub fn preview(&self, other: &Config, at: Timestamp) -> anyhow::Result<PreviewReport> {
        let (model, horizon) = (&self.config.model, Horizon::at(at));
        if other.model.calendar != model.calendar {
            anyhow::bail!(
                "{} has another time zone ({}, not {}): counts are kept by day, so it needs a state directory of its own",
                other.file.display(),
                other.model.calendar.name(),
                model.calendar.name()
            );
        }
        let (now, then) = (self.ask(model, Ask::of(horizon))?, self.ask(&other.model, Ask::of(horizon))?);
        let mut report = PreviewReport::of(&now, &then);
        let uncounted = other.model.derived.iter().filter(|one| model.derived.iter().all(|known| known.key != one.key));
        report.notes.extend(uncounted.map(|one| {
            format!("{} was never counted: it is counted only from then on, or of the past after `vitalsync backfill --rebuild`", one.name)
        }));
        if other.accounts != self.config.accounts {
            report.notes.push("accounts.id differs: where a call states its account is read when it is counted, and shows here only after a rebuild".into());
        }
        Ok(report)
    }

    fn with_deeds(&self, horizon: Horizon) -> anyhow::Result<Evaluation> {
        Ok(self.ask(&self.config.model, Ask { deeds: true, ..Ask::of(horizon) })?)
    }

    /// The facts of all accounts of an evaluation that a snapshot would take, and whether each is among the best tenth.
    fn best(&self, evaluation: &Evaluation, terms: &Terms) -> Vec<(Facts, bool)> {
        let scored = |account: &Account| account.health.score.filter(|_| terms.takes(account));
        let mut scores: Vec<f64> = evaluation.accounts.iter().filter_map(scored).collect();
        scores.sort_by(|a, b| b.total_cmp(a));
        let Some(edge) = scores.get((scores.len() / 10).max(1) - 1).copied() else { return Vec::new() };
        let accounts = evaluation.accounts.iter().filter_map(|account| Some((account, scored(account)?)));
        accounts.map(|(account, score)| (Facts::of(account, evaluation, &self.config.model), score >= edge)).collect()
    }

    /// The terms as they can be met; what can't be is refused.
    fn met(&self, terms: &Terms, outcomes: &Outcomes, at: Timestamp) -> anyhow::Result<Terms> {
        let model = &self.config.model;
        if let Some(name) = &terms.profile
            && !model.profiles.iter().any(|profile| profile.name == *name)
        {
            let known: Vec<&str> = model.profiles.iter().map(|profile| profile.name.as_str()).collect();
            anyhow::bail!("there is no profile `{name}`; the config has {}", known.join(", "));
        }
        let Some((first, last)) = outcomes.span else {
            anyhow::bail!("there is no event yet: `vitalsync backfill` reads the sources");
        };
        let mut terms = terms.clone();
        // A score of a window that begins before the account does is none of its past.
        let wanted = model.profiles.iter().filter(|one| terms.profile.as_ref().is_none_or(|name| *name == one.name));
        terms.min_age = wanted.map(|profile| profile.window).fold(terms.min_age, i32::max);
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
        if terms.dates(outcomes).is_empty() {
            anyhow::bail!(
                "no snapshot fits between {} and {}: the data goes from {first} to {last}, accounts must be {} days old \
                 and {} days must follow; change --from, --to, --min-age or --horizon",
                terms.from.unwrap_or(first.plus(terms.min_age)),
                terms.to.unwrap_or(latest),
                terms.min_age,
                terms.horizon
            );
        }
        Ok(terms)
    }

    /// Evaluates each snapshot from what had been received by its end; `look` sees it with its rows.
    fn snapshots(
        &self,
        outcomes: &Outcomes,
        terms: &Terms,
        watch: Steps<'_>,
        ask: impl Fn(Horizon) -> Ask,
        mut look: impl FnMut(&Evaluation, &[Row]),
    ) -> anyhow::Result<Book> {
        let mut book = Book::default();
        let dates = terms.dates(outcomes);
        for (done, date) in dates.iter().copied().enumerate() {
            self.check_stop()?;
            watch(done, dates.len());
            let evaluation = self.ask(&self.config.model, ask(self.known_on(date)))?;
            let before = book.rows.len();
            book.take(date, &evaluation, outcomes, terms);
            look(&evaluation, book.rows.get(before..).unwrap_or_default());
        }
        Ok(book)
    }

    /// What was known at the end of a day.
    fn known_on(&self, day: Day) -> Horizon {
        Horizon { at: self.config.model.calendar.end(day), received: Some(day) }
    }
}
