//! What is odd about profiles: warnings with the reason and what to do, never errors.
//!
//! [`of_config`] sees the config alone, [`of_data`] what the events and accounts say to it. Both hold what the health model
//! recommends; a config that ignores them is a good config still.

mod kinds;

use crate::activity::{self, Event, Flag, LATELY};
use crate::census::{Census, Missed};
use crate::evaluate::Evaluation;
use crate::figures::Account;
use crate::health;
use crate::model::{Band, Bands, MICRO, Model, Profile, WrittenProfile};
use crate::section::{Fault, Faults, Place};

/// Fewer scored events say little, …
const FEWEST: usize = 5;
/// … more hide what matters; 10 to 20 are recommended.
pub const MOST: usize = 20;
/// Weights from here up are for advanced features; 4 to 6 are for core ones, 1 to 3 for what everybody does.
pub const ADVANCED: i64 = 7 * MICRO;
/// More at risk than this share of the accounts is more than anybody can look after.
const AT_RISK: f64 = 0.35;
/// Proposed bounds leave at most this share at risk, …
pub const PROPOSED_AT_RISK: f64 = 0.2;
/// … and make healthy what is above this share.
const PROPOSED_HEALTHY: f64 = 0.65;
/// From this rank correlation up score and number of users go together.
pub const TOGETHER: f64 = 0.7;

/// Whether an event is one of coming in, by any of its usual names: it says that somebody came, not that it was worth it.
pub fn is_login(event: &str) -> bool {
    const NAMES: [&str; 9] =
        ["loggedin", "login", "logins", "logon", "signin", "signedin", "sessionstarted", "sessionstart", "appopened"];
    let letters = letters(event);
    NAMES.contains(&letters.strip_prefix("user").unwrap_or(&letters))
}

/// A name as it is compared with usual ones: without case, spaces and marks.
pub(crate) fn letters(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// What the config alone says.
pub fn of_config(model: &Model) -> Vec<Fault> {
    let mut faults = Faults::default();
    for profile in &model.profiles {
        let written = written(model, profile);
        let (name, scored) = (&profile.name, profile.weights.len());
        // A wildcard may stand for any number, and without usage nothing needs to be scored.
        let few = profile.wildcards.is_empty() && profile.usage_weight > 0.0;
        if few && scored < FEWEST {
            let message =
                format!("profile `{name}` scores {}, so that each of them weighs much", counted(scored, "event"));
            faults.warning_with_hint(
                written.place,
                message,
                "10 to 20 are recommended; `vitalsync events` shows what there is",
            );
        } else if scored > MOST {
            let message = format!("profile `{name}` scores {scored} events, so that none of them says much");
            faults.warning_with_hint(written.place, message, "10 to 20 are recommended: keep those that show value");
        }
        let highest = profile.weights.values().copied().max().unwrap_or_default();
        let lowest = profile.weights.values().copied().min().unwrap_or_default();
        for (event, weight) in &profile.weights {
            let top = *weight >= ADVANCED || *weight == highest && highest > lowest;
            if top && is_login(model.display_event(event)) {
                let message = format!(
                    "`{}` has weight {}, among the highest: coming in is not yet using it",
                    model.display_event(event),
                    health::points(*weight)
                );
                let place = written.events.get(event).copied().unwrap_or(written.place);
                faults.warning_with_hint(
                    place,
                    message,
                    "usual weights: 7 to 10 for advanced features, 4 to 6 for core ones, 1 to 3 for what everybody does",
                );
            }
        }
    }
    kinds::of_traits(model, &mut faults);
    faults.into_sorted()
}

/// What the rules of the config run into that is no lack of data: values of a kind that they do not ask for.
pub fn of_rules(census: &Census) -> Vec<Fault> {
    let mut faults = Faults::default();
    for (rule, Missed { asked, misses, place, .. }) in census.iter().filter(|(_, missed)| missed.misses.unlike > 0) {
        let message = format!(
            "{rule}: asked about {asked}, it compared values of unlike kinds, such as text with a number: {}",
            misses.unlike
        );
        faults.warning_with_hint(*place, message, "they are false, and `!=` is true; `vitalsync explain` shows traits");
    }
    faults.into_sorted()
}

/// What events and accounts say to the config. The evaluation is asked for its activity; where nothing was ever read there is
/// nothing to say.
pub fn of_data(model: &Model, evaluation: &Evaluation) -> Vec<Fault> {
    let mut faults = Faults::default();
    let events = activity::events(model, evaluation);
    if evaluation.accounts.is_empty() || events.iter().all(|event| event.used.ever == 0) {
        return Vec::new();
    }
    for event in &events {
        of_event(event, model, evaluation, &mut faults);
    }
    for doubt in &evaluation.doubts {
        faults.warning_with_hint(doubt.place(model), doubt.message(), doubt.hint());
    }
    for profile in &model.profiles {
        let measured = evaluation.accounts.iter().filter(|account| account.profile.as_ref() == Some(&profile.name));
        of_profile(profile, &written(model, profile), &measured.collect::<Vec<_>>(), &mut faults);
    }
    faults.into_sorted()
}

fn written(model: &Model, profile: &Profile) -> WrittenProfile {
    model.written.profiles.get(&profile.name).cloned().unwrap_or_default()
}

fn of_event(event: &Event, model: &Model, evaluation: &Evaluation, faults: &mut Faults) {
    let name = &event.name;
    if event.is(Flag::UnscoredFrequent)
        && let (Some(first), Some(activity)) = (model.profiles.first(), &evaluation.activity)
    {
        let message = format!(
            "no profile scores `{name}`, done {} times by {} of {} active accounts in {LATELY} days",
            event.used.lately, event.used.accounts, activity.active_accounts
        );
        let hint = "give it a weight, or weight 0 to say that it is left out on purpose";
        faults.warning_with_hint(written(model, first).place, message, hint);
    }
    if event.is(Flag::NeverSeen) {
        let near = event.nearest.as_ref().filter(|near| *near != name && !event.counted.ends_with(near.as_str()));
        let hint = near.map_or_else(
            || "check how it is spelt where it is sent; `vitalsync events` shows what there is".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        let of_profiles = model.written.profiles.values().filter_map(|profile| profile.events.get(&event.counted));
        let asked = model.written.asked.get(&event.counted).into_iter().flatten();
        for place in of_profiles.chain(asked) {
            faults.warning_with_hint(*place, format!("`{name}` was never seen in the data"), hint.as_str());
        }
    }
}

fn of_profile(profile: &Profile, written: &WrittenProfile, accounts: &[&Account], faults: &mut Faults) {
    let name = &profile.name;
    let crowd = Crowd::of(accounts.iter().copied());
    let spread = crowd.spread(&profile.bands);
    // Of a handful anything can be true.
    if spread.all() >= health::FEW && spread.at_risk as f64 > AT_RISK * spread.all() as f64 {
        let fitting = crowd.fitting(&profile.bands).map(|bands| {
            let at_risk = crowd.spread(&bands).at_risk;
            format!(
                "with `bands: {{ healthy: {}, at_risk: {} }}` {at_risk} would be, once none is held",
                bands.healthy, bands.at_risk
            )
        });
        let gone = (crowd.gone() > 0).then(|| {
            let (gone, window) = (crowd.gone(), profile.window);
            format!("{gone} did nothing that scores in {window} days; `exclude.accounts` takes out who has left")
        });
        let hint = fitting.into_iter().chain(gone).collect::<Vec<_>>().join("; ");
        let place = written.bands.unwrap_or(written.place);
        faults.warning_with_hint(place, format!("profile `{name}`: {}", spread.said()), hint);
    }
}

/// The scores of accounts that have a band. Who did nothing that scores has the lowest score under any profile, so that the
/// others alone say how it ranks.
#[derive(Debug, Clone, Default)]
pub struct Crowd {
    /// Everybody's.
    all: Vec<f64>,
    /// Of accounts with a raw score.
    active: Vec<f64>,
    /// How many users these have.
    sizes: Vec<f64>,
}

impl Crowd {
    /// Of accounts under their own profile.
    pub fn of<'a>(accounts: impl IntoIterator<Item = &'a Account>) -> Self {
        let mut crowd = Self::default();
        for account in accounts.into_iter().filter(|account| account.health.band.is_some()) {
            let Some(score) = account.health.score else { continue };
            crowd.all.push(score);
            if account.health.raw.is_some_and(|raw| raw > 0.0) {
                crowd.active.push(score);
                crowd.sizes.push(f64::from(account.total_users));
            }
        }
        crowd
    }

    /// How many did nothing that scores in the window.
    pub fn gone(&self) -> usize {
        self.all.len() - self.active.len()
    }

    /// How they are spread over bands.
    pub fn spread(&self, bands: &Bands) -> Spread {
        let count = |band| self.all.iter().filter(|score| bands.plain(**score) == band).count();
        Spread { healthy: count(Band::Healthy), normal: count(Band::Normal), at_risk: count(Band::AtRisk) }
    }

    /// True where the active are too few to say anything.
    pub fn is_small(&self) -> bool {
        self.active.len() < health::FEW
    }

    /// Bounds that leave at most a fifth at risk: of all, or of the active where so many are gone that this can't be. Who is
    /// gone is at risk. `None` where they would not be lower than those that there are, or the active are too few to say.
    pub fn fitting(&self, bands: &Bands) -> Option<Bands> {
        if self.is_small() {
            return None;
        }
        let of_all = bounds(&self.all).filter(|(_, at_risk)| *at_risk > 1);
        let (healthy, at_risk) = of_all.or_else(|| bounds(&self.active))?;
        let at_risk = at_risk.max(2);
        let fitting = Bands { healthy: healthy.max(at_risk).into(), at_risk: at_risk.into(), ..*bands };
        (fitting.at_risk < bands.at_risk).then_some(fitting)
    }

    /// The rank correlation of score and number of users among the active; `None` where they are too few, or all alike.
    pub fn goes_with_size(&self) -> Option<f64> {
        rank_correlation(&self.active, &self.sizes).filter(|_| !self.is_small())
    }
}

/// How many accounts are in which band, by the bounds alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// From the upper bound up.
    pub healthy: usize,
    /// Between the bounds.
    pub normal: usize,
    /// Below the lower bound.
    pub at_risk: usize,
}

impl Spread {
    /// How many there are.
    pub fn all(&self) -> usize {
        self.healthy + self.normal + self.at_risk
    }

    /// In words.
    pub fn said(&self) -> String {
        let (Self { healthy, normal, at_risk }, all) = (*self, self.all());
        let percent = |part: usize| health::shown(part as f64 / all.max(1) as f64 * 100.0);
        format!(
            "{at_risk} of {all} accounts ({} %) are at risk, {normal} normal ({} %), {healthy} healthy ({} %)",
            percent(at_risk),
            percent(normal),
            percent(healthy)
        )
    }
}

/// Bounds of bands that fit scores, healthy and at risk: whole numbers, at most a fifth of the accounts below the second, and
/// about a third from the first up. `None` without scores.
pub fn bounds(scores: &[f64]) -> Option<(u32, u32)> {
    let mut sorted = scores.to_vec();
    sorted.sort_by(f64::total_cmp);
    // The score that has at most that share below it; a bound is rounded down, so that it never has more.
    let at = |share: f64| {
        let place = (share * sorted.len() as f64).floor() as usize;
        sorted.get(place).map(|score| score.floor().clamp(1.0, 100.0) as u32)
    };
    let at_risk = at(PROPOSED_AT_RISK)?;
    Some((at(PROPOSED_HEALTHY)?.max(at_risk + 1).min(100), at_risk))
}

/// Spearman's rank correlation, −1 to 1, with equal values sharing their mean rank; `None` where either side does not vary.
pub fn rank_correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 + 1.0) / 2.0;
    let sum = |pairs: &mut dyn Iterator<Item = (&f64, &f64)>| pairs.map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>();
    let (aa, bb) = (sum(&mut a.iter().zip(&a)), sum(&mut b.iter().zip(&b)));
    (aa > 0.0 && bb > 0.0).then(|| sum(&mut a.iter().zip(&b)) / (aa * bb).sqrt())
}

/// Ranks from 1.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for same in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let rank = before as f64 + (same.len() as f64 + 1.0) / 2.0;
        same.iter().for_each(|place| ranks[*place] = rank);
        before += same.len();
    }
    ranks
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Events of weight 0 by their display names, each once, with the first place where they stand: left out on purpose.
pub fn excluded(model: &Model) -> Vec<(String, Place)> {
    let mut found: Vec<(String, Place)> = Vec::new();
    for (event, place) in model.written.profiles.values().flat_map(|profile| &profile.excluded) {
        found.push((model.display_event(event).to_owned(), *place));
    }
    found.sort();
    found.dedup_by(|next, kept| next.0 == kept.0);
    found
}
