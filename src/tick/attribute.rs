//! Attribution: the evaluations from which [`vitalsync_core::attribution`] tells what moved a score between two days.
//!
//! The first day's score is its snapshot, else what comes of what was received by then, by the benchmark that trends measure
//! that day with. What came late since, who is somebody else now and another config are each seen by measuring one of the
//! two days again with just that changed. Most of it is left out where the snapshot says that nothing came late.

use std::collections::BTreeMap;

use vitalsync_core::Day;
use vitalsync_core::attribution::{Counted, Kind, Ruler, Way};
use vitalsync_core::cycle::Against;
use vitalsync_core::evaluate::{Account, Evaluation};
use vitalsync_core::gather::Ask;
use vitalsync_core::identity::Horizon;
use vitalsync_core::model::{Model, Profile};
use vitalsync_core::past::Snapshot;
use vitalsync_core::version::Version;

use super::ingest::generation::{self, Generation};
use super::{Engine, poisoned, recent_days};
use crate::report::{AttributedPart, AttributionReport};
use crate::store::codec::Made;

/// Two days whose scores are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Between {
    /// The first.
    pub from: Day,
    /// The second; `None`: the last that is over.
    pub to: Option<Day>,
}

/// Spans of which the first that an account is old enough for is told where none is asked for, in days.
const SPANS: [i32; 2] = [30, 7];

/// What was said of the account on a day, and the profile as it was then.
struct Told {
    day: Day,
    snapshot: Snapshot,
    made: Made,
    version: Version,
    profile: Profile,
}

/// An account under a profile, looked at again and again.
struct Look<'e> {
    engine: &'e Engine,
    account: &'e str,
    profile: &'e Profile,
    /// How far back scored events are wanted.
    span: i32,
}

/// The account as of a day, under some config.
struct Seen {
    snapshot: Snapshot,
    events: BTreeMap<String, (u64, u64, i64)>,
    held_out: Vec<String>,
}

impl Look<'_> {
    fn model(&self, profile: &Profile) -> Model {
        let mut model = self.engine.config.model.clone();
        let same = model.profiles.iter_mut().find(|other| other.name == profile.name);
        same.into_iter().for_each(|other| other.clone_from(profile));
        model
    }

    /// Measures everything under a profile as it was; `None` if the account has no score then.
    fn seen(&self, profile: &Profile, horizon: Horizon, from: Day) -> anyhow::Result<Option<Seen>> {
        let ask = Ask { reasons: true, recent_days: self.span, ..self.ask(profile, horizon) };
        let evaluation = self.engine.ask(&self.model(profile), ask)?;
        Ok(self.of(profile, &evaluation, from))
    }

    /// By which a past day is measured at a horizon, as its trends do; `None` if it has no score.
    fn ruler_on(&self, profile: &Profile, horizon: Horizon, day: Day) -> anyhow::Result<Option<Ruler>> {
        let ask = Ask { measured_on: Some(day), ..self.ask(profile, horizon) };
        let evaluation = self.engine.ask(&self.model(profile), ask)?;
        Ok(evaluation.find(self.account).and_then(|account| account.measured.as_ref()).map(Ruler::of))
    }

    fn ask(&self, profile: &Profile, horizon: Horizon) -> Ask {
        Ask { reasons_of: Some((self.account.to_owned(), profile.name.clone())), ..Ask::of(horizon) }
    }

    fn of(&self, profile: &Profile, evaluation: &Evaluation, from: Day) -> Option<Seen> {
        let account = evaluation.find(self.account)?;
        let snapshot = account.profiles.get(&profile.name).and_then(Snapshot::of)?;
        let events = account.weighed(profile, from, evaluation.over, &evaluation.events);
        let held_out = evaluation.counted_since.iter().map(|held| held.event.clone()).collect();
        Some(Seen { snapshot, events, held_out })
    }

    /// The day as of its end, from what was received by the end of a day or whenever.
    fn on(&self, profile: &Profile, day: Day, received: Option<Day>) -> anyhow::Result<Option<Seen>> {
        let at = self.engine.config.model.calendar.end(day);
        self.seen(profile, Horizon { at, received }, day)
    }

    /// What was said of a day, if it was.
    fn told(&self, day: Day) -> anyhow::Result<Option<Told>> {
        let store = &self.engine.store;
        let number = self.engine.filing.read().unwrap_or_else(poisoned).ids.accounts.find(self.account);
        let Some(number) = number else { return Ok(None) };
        let Some((_, snapshot, made)) = store.snapshots_of(&self.profile.name, number, day..day.plus(1))?.pop() else {
            return Ok(None);
        };
        let kept = store.version(made.config)?;
        let Some(version) = kept.as_deref().and_then(Version::read) else {
            anyhow::bail!(
                "the profile that the score of {day} was made with is not in the state: see `vitalsync state verify`"
            )
        };
        let profile = version.profile(self.profile);
        Ok(Some(Told { day, snapshot, made, version, profile }))
    }
}

/// A raw score that was said in the course of the next day, when a part of what that day received was there: as the raw
/// scores by the ends of both days allow.
fn settled(said: i64, by_then: i64, by_the_next: i64) -> i64 {
    said.clamp(by_then.min(by_the_next), by_then.max(by_the_next))
}

impl Engine {
    /// What moved an account's score between two days, or since the same phase of its cycle, or in the last ones.
    pub(super) fn change(
        &self,
        account: &Account,
        now: &Evaluation,
        horizon: Horizon,
        between: Option<Between>,
    ) -> anyhow::Result<Option<AttributionReport>> {
        if let Some(between) = between {
            let found = self.attribution(account, now, horizon, between)?;
            let (id, from) = (&account.id, between.from);
            anyhow::ensure!(found.is_some(), "{id} had no score on {from}, or has none on the second day");
            return Ok(found);
        }
        let phase = account.health.against.filter(|against| matches!(against, Against::Phase(_)));
        let phase = phase.map(|against| against.end(now.over));
        for from in phase.into_iter().chain(SPANS.map(|span| now.over.plus(-span))) {
            let found = self.attribution(account, now, horizon, Between { from, to: None })?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Says so where a day was said under a profile of which not all is known any more: a version keeps of `per`, groups and
    /// components only whether they are the same.
    fn unknown_of(&self, told: &Told) -> Option<String> {
        let is_known = Version::of(&told.profile, &self.config.model).scores_as(&told.version);
        (!is_known).then(|| {
            format!(
                "the profile's `per`, groups, components or `for` were others on {}: the parts are told by those of now",
                told.day
            )
        })
    }

    /// Whose doing it is if a day that was said is counted otherwise now.
    fn who_changed(&self, told: &Told, day: Day) -> anyhow::Result<Kind> {
        let model = &self.config.model;
        if told.profile.weights.keys().any(|event| model.is_unknown(event)) {
            return Ok(Kind::Config);
        }
        let mut small = false;
        for (_, number) in generation::sources(&self.store)? {
            let kept_from = Generation::load(&self.store, number)?.kept_from;
            small |= kept_from.is_some_and(|kept_from| day.0 - told.profile.window < kept_from);
        }
        let forgotten = self.filing.read().unwrap_or_else(poisoned).suppressed.len() > told.made.forgotten as usize;
        let renamed = !Version::of(&told.profile, model).names_as(&told.version);
        Ok(if small || forgotten || renamed { Kind::Identity } else { Kind::Late })
    }

    /// What moved an account's score under its profile between two days; `None` if it has no score on one of them. `now`:
    /// everything as of a horizon, with the reasons of its last days.
    pub(super) fn attribution(
        &self,
        account: &Account,
        now: &Evaluation,
        horizon: Horizon,
        between: Between,
    ) -> anyhow::Result<Option<AttributionReport>> {
        let (from, to) = (between.from, between.to.unwrap_or(now.over));
        anyhow::ensure!(
            from < to && to <= now.over,
            "from {from} to {to} is no span of days that are over: the first is before the second, and the last is {}",
            now.over
        );
        let id = account.id.as_str();
        let today = self.config.model.profiles.iter().find(|profile| Some(&profile.name) == account.profile.as_ref());
        let Some(today) = today else { return Ok(None) };
        let look = Look { engine: self, account: id, profile: today, span: to.0 - from.0 };

        // What was known on some day is computed, from nothing else.
        let told = |day: Day| if horizon.received.is_none() { look.told(day) } else { Ok(None) };
        let told_from = told(from)?;
        let told_to = if to < now.over { told(to)? } else { None };
        let last = told_to.as_ref().map_or(today, |told| &told.profile);
        let first = told_from.as_ref().map_or(last, |told| &told.profile);
        // The second day saw what was received by it, or whenever if it is told anew.
        let received = if told_to.is_some() { Some(to) } else { horizon.received };
        let at = if to == now.over { horizon.at } else { self.config.model.calendar.end(to) };
        let model = &self.config.model;
        let version = |profile: &Profile| Version::of(profile, model);
        let second = |profile: &Profile| {
            let known = to == now.over && look.span <= recent_days(&self.config);
            if known && version(profile).scores_as(&version(today)) {
                return Ok(look.of(profile, now, from));
            }
            look.seen(profile, Horizon { at, received }, from)
        };
        let Some(under_first) = second(first)? else { return Ok(None) };
        let edited = !version(first).scores_as(&version(last));
        let under_last = if edited { second(last)? } else { None };
        let measured = under_last.as_ref().map_or(&under_first, |seen| seen).snapshot;

        let events: Vec<Counted> = under_first
            .events
            .iter()
            .map(|(event, (before, now, weight))| {
                let event = self.config.model.display_event(event).to_owned();
                Counted { event, before: *before, now: *now, weight: *weight }
            })
            .collect();
        let before = |event: &Counted| i64::try_from(event.before).unwrap_or(i64::MAX).saturating_mul(event.weight);
        let resolved: i64 = events.iter().map(before).fold(0, i64::saturating_add);
        let mut way = Way {
            from: 0.0,
            ruler: Ruler::of(&measured),
            then: resolved,
            received: resolved,
            resolved,
            events,
            next: Ruler::of(&under_first.snapshot),
            measured: measured.score,
            to: measured.score,
            then_by: Kind::Late,
            joined: false,
            early: false,
        };
        match &told_from {
            Some(told) => {
                (way.from, way.ruler) = (told.snapshot.score, Ruler::of(&told.snapshot));
                way.then_by = self.who_changed(told, from)?;
                // Told as it would be now: nothing came late, and nobody is somebody else.
                if told.snapshot.raw != resolved {
                    way.then = look.on(first, from, Some(from))?.map_or(0, |seen| seen.snapshot.raw);
                    if way.then != told.snapshot.raw {
                        let next = look.on(first, from, Some(from.plus(1)))?.map_or(0, |seen| seen.snapshot.raw);
                        way.then = settled(told.snapshot.raw, way.then, next);
                    }
                }
            }
            None => {
                let Some(seen) = look.on(first, from, Some(from))? else { return Ok(None) };
                // In its first quarter a profile has no benchmark of that day: the one of now serves, as it does for trends.
                let ruler = look.ruler_on(first, Horizon { at, received }, from)?;
                (way.ruler, way.then) = (ruler.unwrap_or_else(|| Ruler::of(&seen.snapshot)), seen.snapshot.raw);
                way.from = way.ruler.score(way.then);
            }
        }
        if way.then != resolved {
            let seen = look.on(first, from, received)?;
            way.received = seen.as_ref().map_or(0, |seen| seen.snapshot.raw);
            way.joined = seen.is_some_and(|seen| seen.held_out != under_first.held_out);
        }
        if let Some(told) = &told_to {
            // Measured as it was then: what others' calls make out that came since is not this account's.
            let ruler = Ruler::of(&told.snapshot);
            way.to = told.snapshot.score;
            way.measured = if told.snapshot.raw == measured.raw { way.to } else { ruler.score(measured.raw) };
            if !edited {
                way.next = ruler;
            }
            if told.snapshot.raw != measured.raw {
                let next = look.on(last, to, Some(to.plus(1)))?.map_or(0, |seen| seen.snapshot.raw);
                way.early = settled(told.snapshot.raw, measured.raw, next) == told.snapshot.raw;
            }
        }
        let label = |event: &str| self.config.model.label(event).to_owned();
        Ok(Some(AttributionReport {
            account: id.to_owned(),
            profile: today.name.clone(),
            from: from.to_string(),
            to: to.to_string(),
            from_stored: told_from.is_some(),
            to_stored: told_to.is_some(),
            score_from: way.from,
            score_to: way.to,
            change: crate::report::points(way.change()),
            change_micro: way.change(),
            parts: AttributedPart::all(&way, label),
            notes: [&told_from, &told_to].into_iter().flatten().filter_map(|told| self.unknown_of(told)).collect(),
        }))
    }
}
