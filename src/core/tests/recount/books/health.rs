//! Scores recounted: sizes, groups, benchmarks, components, bands.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, NaiveDate, TimeDelta, Weekday};
use serde_json::Value;
use vitalsync_core::component::Combine;

use super::{Books, Done, Health, Peg, Pegs, people};
use crate::setup::{ComponentSetup, OfWhat, PULSE, PerSetup, ProfileSetup, Renewed};
use crate::told::Told;

impl Books {
    fn raw(&self, account: &str, profile: &ProfileSetup, last: NaiveDate) -> f64 {
        points(self.events_of(account), profile, last)
    }

    /// What was stated up to a day counts on it; on the last day over, what was stated today too.
    fn known_until(&self, day: NaiveDate) -> NaiveDate {
        if day == self.over { self.today } else { day }
    }

    /// By what a raw score is divided.
    fn size<'d>(
        &self,
        account: &str,
        done: impl Iterator<Item = &'d Done>,
        profile: &ProfileSetup,
        day: NaiveDate,
    ) -> Option<f64> {
        match profile.per {
            PerSetup::Account => Some(1.0),
            PerSetup::ActiveUser => {
                let within = |done: &&Done| (0..profile.window).contains(&(day - done.day).num_days());
                let active = done.filter(within).filter(|done| profile.weight(&done.event).is_some());
                Some(active.map(|done| &done.user).collect::<BTreeSet<_>>().len().max(1) as f64)
            }
            PerSetup::Seats => {
                let traits = self.account_traits(account, self.known_until(day));
                traits.get("seats").and_then(Value::as_f64).filter(|seats| *seats > 0.0)
            }
        }
    }

    /// The plan that an account had on a day.
    fn group(&self, account: &str, profile: &ProfileSetup, day: NaiveDate) -> Option<String> {
        let traits = self.account_traits(account, day);
        traits.get("plan").and_then(Value::as_str).filter(|plan| profile.within && !plan.is_empty()).map(str::to_owned)
    }

    pub(super) fn has_left(&self, account: &str, day: NaiveDate) -> bool {
        self.account_traits(account, day)
            .get("gone")
            .and_then(Value::as_str)
            .is_some_and(|gone| gone <= day.to_string().as_str())
    }

    /// The benchmark over the windows that end on a day: of all accounts, and of groups of ten or more.
    fn pegs_from(&self, profile: &ProfileSetup, last: NaiveDate) -> Pegs {
        if let Some(known) = self.pegs.borrow().get(&(profile.name.clone(), last)) {
            return known.clone();
        }
        let mut raws: Vec<(f64, Option<String>)> = Vec::new();
        for account in self.accounts() {
            // What is rolled up counts in the benchmark where it was done.
            let raw = points(self.own_events_of(&account), profile, last);
            let is_in = self.profile_of(&account, last).is_some_and(|found| found.name == profile.name);
            if raw > 0.0
                && is_in
                && !self.has_left(&account, last)
                && let Some(size) = self.size(&account, self.own_events_of(&account), profile, last)
            {
                raws.push((raw / size, self.group(&account, profile, last)));
            }
        }
        let groups: BTreeSet<String> = raws.iter().filter_map(|(_, group)| group.clone()).collect();
        let of = |group: &String| {
            raws.iter().filter(|(_, of)| of.as_ref() == Some(group)).map(|(raw, _)| *raw).collect::<Vec<f64>>()
        };
        let groups = groups.into_iter().map(|group| (group.clone(), of(&group))).filter(|(_, raws)| raws.len() >= 10);
        let groups = groups.map(|(group, raws)| (group, percentile(raws, profile).unwrap())).collect();
        let pegs = (percentile(raws.iter().map(|(raw, _)| *raw).collect(), profile), groups);
        self.pegs.borrow_mut().insert((profile.name.clone(), last), pegs.clone());
        pegs
    }

    /// The benchmark in force on a day, whose last day over is `over`, for an account if one is named.
    pub(super) fn peg(
        &self,
        profile: &ProfileSetup,
        day: NaiveDate,
        over: NaiveDate,
        account: Option<&str>,
    ) -> Option<(Peg, Option<String>)> {
        let last = match renewed(profile, day, over) {
            Ok(last) => last,
            Err(raw) => return Some(((raw, 0, false), None)),
        };
        // Where nobody had done anything, the run's own day serves; where nobody has then either, the day's.
        let pegged = [last, self.over, over].map(|last| (last, self.pegs_from(profile, last)));
        let (last, pegs) = pegged.into_iter().find(|(_, pegs)| pegs.0.is_some())?;
        // In which group it was then, or came into first after.
        let group = account.filter(|_| profile.within).and_then(|account| {
            last.iter_days()
                .take_while(|day| *day <= last.max(self.today))
                .find_map(|day| self.group(account, profile, day))
        });
        match group.and_then(|group| Some((*pegs.1.get(&group)?, Some(group)))) {
            Some(within) => Some(within),
            None => Some((pegs.0?, None)),
        }
    }

    /// The benchmarks in force now.
    pub fn benchmarks(&self) -> BTreeMap<String, Peg> {
        let in_force =
            |profile: &ProfileSetup| Some((profile.name.clone(), self.peg(profile, self.today, self.over, None)?.0));
        self.setup.profiles.iter().filter_map(in_force).collect()
    }

    /// The score of usage alone.
    pub(super) fn usage(
        &self,
        account: &str,
        profile: &ProfileSetup,
        day: NaiveDate,
        size: NaiveDate,
        peg: f64,
    ) -> Option<f64> {
        let first = self.first_day(account)?;
        if first > day && first != self.today {
            return None;
        }
        let size = self.size(account, self.events_of(account), profile, size)?;
        Some(curve(self.raw(account, profile, day) / size, peg))
    }

    /// The points of a component on a day.
    fn component(
        &self,
        account: &str,
        profile: &ProfileSetup,
        component: &ComponentSetup,
        day: NaiveDate,
    ) -> Option<f64> {
        let name = component.name();
        // The last that one said, if it can be read and is not too old.
        let last = |statements: Vec<&Told>| -> Option<(f64, i64)> {
            let until = self.known_until(day);
            let stated = statements.into_iter().rfind(|call| call.day <= until && call.traits.contains_key(name))?;
            let value = match (&component.of, &stated.traits[name]) {
                (OfWhat::Pulse, Value::String(word)) => PULSE.iter().find(|(known, _)| known == word)?.1,
                (OfWhat::Seats, Value::Number(number)) => number.as_f64()?.clamp(0.0, 20.0),
                (OfWhat::Nps(_), Value::Number(number)) => number.as_f64()?.clamp(0.0, 10.0),
                _ => return None,
            };
            let age = (day - stated.day.min(self.over)).num_days();
            component.max_age.is_none_or(|days| age <= days).then_some((value, stated.time))
        };
        let share = match component.of {
            OfWhat::Pulse => last(self.account_statements(account))?.0,
            OfWhat::Seats => 1.0 - last(self.account_statements(account))?.0 / 20.0,
            OfWhat::Nps(combine) => {
                let span = self.total_span(profile.window);
                let here = |done: &&Done| done.day <= self.over && (0..span).contains(&(day - done.day).num_days());
                let users: BTreeSet<&String> = self.events_of(account).filter(here).map(|done| &done.user).collect();
                let mut said: Vec<(f64, i64)> =
                    users.iter().filter_map(|user| last(self.user_statements(user))).collect();
                said.sort_by(|a, b| a.0.total_cmp(&b.0));
                let (least, greatest) = (said.first()?.0, said.last()?.0);
                let count = said.len();
                let value = match combine {
                    Combine::Mean => said.iter().map(|(value, _)| value).sum::<f64>() / count as f64,
                    Combine::Min => least,
                    Combine::Max => greatest,
                    Combine::Median => (said[(count - 1) / 2].0 + said[count / 2].0) / 2.0,
                    // Of two at the same time the greater.
                    Combine::Latest => said.iter().max_by_key(|(_, time)| time)?.0,
                };
                value / 10.0
            }
        };
        Some(1.0 + 99.0 * share)
    }

    /// Score and coverage of usage with the components of a day; of those alone that have a value on another day, too.
    pub(super) fn blended(
        &self,
        account: &str,
        profile: &ProfileSetup,
        usage: Option<f64>,
        day: NaiveDate,
        and: NaiveDate,
    ) -> (Option<f64>, f64) {
        if profile.components.is_empty() {
            return (usage, if usage.is_some() { 1.0 } else { 0.0 });
        }
        let mut parts = vec![(profile.usage_weight, usage)];
        for of in &profile.components {
            let points = self.component(account, profile, of, and).and(self.component(account, profile, of, day));
            parts.push((of.weight, points));
        }
        let all: f64 = parts.iter().map(|(weight, _)| weight).sum();
        let known: Vec<(f64, f64)> = parts.into_iter().filter_map(|(weight, points)| Some((weight, points?))).collect();
        let weight: f64 = known.iter().map(|(weight, _)| weight).sum();
        let sum: f64 = known.iter().map(|(weight, points)| weight * points).sum();
        ((weight > 0.0).then(|| sum / weight), if all > 0.0 { weight / all } else { 0.0 })
    }

    pub(super) fn health(&self, account: &str, profile: &ProfileSetup, is_new: bool) -> Health {
        let peg_now = self.peg(profile, self.today, self.over, Some(account));
        let usage = self.usage(account, profile, self.over, self.over, peg_now.as_ref().map_or(0.0, |peg| peg.0.0));
        let (now, coverage) = self.blended(account, profile, usage, self.over, self.over);
        let first = self.calls.iter().map(|call| call.day).min();
        let mut daily: Vec<(NaiveDate, f64)> = Vec::new();
        let mut raw = 0.0;
        let mut last = None;
        // Then a day is measured by its own.
        let nobody_now = self.pegs_from(profile, self.over).0.is_none();
        for day in first.into_iter().flat_map(|first| first.iter_days()).take_while(|day| *day < self.over) {
            let renewed = profile.renewed == Renewed::EveryRun || day.day() == 1 || day.weekday() == Weekday::Mon;
            // Between two Mondays or firsts nothing is renewed but by `every_run`.
            if renewed || nobody_now || last.is_none() {
                raw = self.peg(profile, day, day, Some(account)).map_or(0.0, |peg| peg.0.0);
                last = Some(day);
            }
            let usage = self
                .first_day(account)
                .filter(|first| *first <= day)
                .and_then(|_| self.usage(account, profile, day, day, raw));
            daily.extend(self.blended(account, profile, usage, day, day).0.map(|score| (day, score)));
        }
        let days = || first.into_iter().flat_map(|first| first.iter_days()).take_while(|day| *day <= self.over);
        let said = |of: &ComponentSetup| days().any(|day| self.component(account, profile, of, day).is_some());
        let is_anything = self.first_day(account).is_some() || profile.components.iter().any(said);
        let change =
            |then: NaiveDate| daily.iter().find(|(day, _)| *day == then).and_then(|(_, score)| Some(now? - score));
        let back = |days: i64| change(self.over - TimeDelta::days(days));
        let (change_7d, change_30d) = (back(7), back(30));
        let change_cycle = profile.phase(self.over).and_then(|(day, _)| change(day));
        daily.extend(now.map(|now| (self.over, now)));
        let days_healthy = now.map(|_| people::days_healthy(&daily, |scores| held(scores, profile)));
        let band = now.map(|_| held(&daily.iter().map(|(_, score)| *score).collect::<Vec<_>>(), profile));
        Health {
            raw: self.first_day(account).map(|_| self.raw(account, profile, self.over)),
            score: now,
            band: band.filter(|_| !is_new),
            change_7d,
            change_30d,
            change_cycle,
            days_healthy: days_healthy.filter(|_| !is_new),
            coverage: now.map(|_| coverage),
            group: peg_now.and_then(|(_, group)| group).filter(|_| is_anything),
        }
    }
}

/// The last day of the windows that a benchmark in force on a day was computed from; what is fixed otherwise.
pub(super) fn renewed(profile: &ProfileSetup, day: NaiveDate, over: NaiveDate) -> Result<NaiveDate, f64> {
    let mut renewed = day;
    let is_instant = |day: NaiveDate| match profile.renewed {
        Renewed::Weekly => day.weekday() == Weekday::Mon,
        Renewed::Monthly => day.day() == 1,
        Renewed::Quarterly => day.day() == 1 && [1, 4, 7, 10].contains(&day.month()),
        Renewed::EveryRun | Renewed::Fixed(_) => true,
    };
    while !is_instant(renewed) {
        renewed = renewed.pred_opt().unwrap();
    }
    match profile.renewed {
        Renewed::Fixed(raw) => Err(raw),
        Renewed::EveryRun => Ok(over),
        _ => Ok(renewed.pred_opt().unwrap()),
    }
}

/// The raw score of the window that ends on a day.
pub(super) fn points<'d>(done: impl Iterator<Item = &'d Done>, profile: &ProfileSetup, last: NaiveDate) -> f64 {
    let within = |day: NaiveDate| day <= last && (last - day).num_days() < profile.window;
    done.filter(|done| within(done.day)).filter_map(|done| profile.weight(&done.event)).sum()
}

/// The benchmark over some raw scores.
pub(super) fn percentile(mut raws: Vec<f64>, profile: &ProfileSetup) -> Option<Peg> {
    raws.sort_by(f64::total_cmp);
    let maximum = *raws.last()?;
    if raws.len() < 10 {
        return Some((maximum, raws.len(), true));
    }
    let rank = profile.percentile / 100.0 * (raws.len() - 1) as f64;
    let (low, high) = (raws[rank.floor() as usize], raws[rank.ceil() as usize]);
    Some((low + (high - low) * rank.fract(), raws.len(), false))
}

/// `1 + 99 × (1 − e^(−2x)) / (1 − e^(−2))`, x = min(raw / benchmark, 1).
pub(super) fn curve(raw: f64, benchmark: f64) -> f64 {
    if raw == 0.0 {
        return 1.0;
    }
    let x = (raw / benchmark).min(1.0);
    1.0 + 99.0 * (1.0 - (-2.0 * x).exp()) / (1.0 - (-2.0_f64).exp())
}

/// A band is left only after `days` days in a row, since it was entered, more than `points` beyond its bound.
pub(super) fn held(scores: &[f64], profile: &ProfileSetup) -> &'static str {
    let (upper, lower, points) = (profile.healthy, profile.at_risk, profile.hold_points);
    let plain = |score: f64| {
        if score >= upper {
            "healthy"
        } else if score < lower {
            "at_risk"
        } else {
            "normal"
        }
    };
    let mut band = plain(scores[0]);
    let mut entered = 0;
    for today in 1..scores.len() {
        if today - entered < profile.hold_days {
            continue;
        }
        let row = &scores[today + 1 - profile.hold_days..=today];
        let all_above =
            |bound: f64| row.iter().all(|score| if points == 0.0 { *score >= bound } else { *score > bound + points });
        let all_below = |bound: f64| row.iter().all(|score| *score < bound - points);
        let left = match band {
            "healthy" => all_below(upper),
            "at_risk" => all_above(lower),
            _ => all_above(upper) || all_below(lower),
        };
        if left {
            band = plain(scores[today]);
            entered = today;
        }
    }
    band
}
