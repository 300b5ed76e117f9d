//! One rule and one account in one pass: whether what the rule looks for has come about, and by whose doing.
//!
//! What a rule remembers says that something is so now and was not so at the last pass. That alone is not the customer's
//! doing: the config may have been edited meanwhile, a benchmark renewed, seats bought, late data received, a value have grown
//! too old, a pipe have come back. So the last pass is looked at anew, and where it is about scores the present too, both in
//! one way ([`Past`], [`settled`]): what was so by then already, or is not so now, fires nothing. Scores by day, which falls
//! and rises are measured on, are under one config and one benchmark anyway.
//!
//! Sources tell of what is done minutes or hours later, and counts are kept by day: what was done after a pass, or came after
//! it, is soon counted on a day that the pass saw. So where nothing but data can have changed since ([`news_since`]), what came
//! about within the two days before is news too, whenever it was received.

use serde::{Deserialize, Serialize};

use super::{Alert, AlertRule, STALE_MS, Trigger, What, Whom};
use crate::cycle::Usual;
use crate::evaluate::Evaluation;
use crate::health::{self, Drop};
use crate::model::{Model, Profile};
use crate::time::{DAY_MS, Day, Timestamp};

/// How much it matters that a source fell silent: more than anything that one customer does.
const SOURCE: f64 = 300.0;

/// What a rule remembers of an account or user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EdgeState {
    /// False while what it looks for is so; of a fall, until half of it is regained or the span shows none any more.
    pub armed: bool,
    /// How often it fired.
    pub n: u32,
    /// When it last fired.
    pub fired_at: Option<Timestamp>,
    /// Only scores from this day on count: the day it first met the account, or was armed again.
    pub since: Day,
    /// The score that the last fall or rise began at.
    pub from: f64,
    /// The lowest score since; of a rise the highest.
    pub low: f64,
    /// True from when it fired until that is over.
    #[serde(default)]
    pub open: bool,
}

impl EdgeState {
    /// Counts one more occasion, unless the rule's cooldown is not over.
    fn counts(&mut self, rule: &AlertRule, at: Timestamp) -> bool {
        if self.fired_at.is_some_and(|fired| at.0 - fired.0 < rule.cooldown_ms) {
            return false;
        }
        self.n += 1;
        self.fired_at = Some(at);
        self.open = true;
        true
    }

    /// Takes notice that what fired is over; true if anything had.
    fn ends(&mut self) -> bool {
        std::mem::take(&mut self.open)
    }
}

/// What became of a rule and an account in one pass.
#[derive(Debug, Clone, PartialEq)]
pub enum Edge {
    /// Nothing to say.
    Quiet,
    /// Fired.
    Fired(Box<Alert>),
    /// What fired before is over.
    Over(Box<Alert>),
    /// Would have fired, but the cooldown is not over, or the occasion is too old.
    Suppressed,
    /// It has come about, and not by the customer's doing.
    NotTheirs,
    /// It may have come about for want of data: nothing is remembered, and the next pass looks again.
    Held,
}

/// The last pass and the present seen in one way: under today's config, from all that is known today, without what was said
/// of any day, and with nothing renewed or grown too old after [`settled`].
#[derive(Debug)]
pub struct Past {
    /// As of the last pass.
    pub then: Evaluation,
    /// As of now; needed where a rule of which [`may_fire`] says so is [`AlertRule::is_about_scores`].
    pub now: Option<Evaluation>,
}

/// Until when what is not the customers' doing counts, given the last pass ([`crate::gather::Ask::unrenewed_since`]): a band is
/// left some days after its cause, so as many before the last pass.
pub fn settled(model: &Model, last: Timestamp) -> Timestamp {
    let hold = model.profiles.iter().map(|profile| profile.bands.hold_days).max().unwrap_or_default();
    last.plus_ms(-DAY_MS.saturating_mul(hold.into()))
}

/// So many days before the one of the last pass are news as that day is: what is older is not told any more ([`STALE_MS`]).
const NEWS_DAYS: i32 = 1;

/// As of when the second look back of a rule is, given the last pass: what was not so by then has come about since by what
/// customers did, however late that was heard of. `None` where something else can be the cause: the config was edited since,
/// or a benchmark renewed and the rule is about scores.
pub fn news_since(
    model: &Model,
    rule: &AlertRule,
    same_config: bool,
    last: Timestamp,
    now: Timestamp,
) -> Option<Timestamp> {
    let calendar = &model.calendar;
    let renewal = |profile: &Profile, at: Timestamp| {
        profile.benchmark.refresh.computed_from(calendar.day(at), calendar.last_over(at))
    };
    let renewed = || model.profiles.iter().any(|profile| renewal(profile, last) != renewal(profile, now));
    let of_scores = rule.is_about_scores(model) || matches!(rule.trigger, Trigger::Drop { .. } | Trigger::Rise { .. });
    (same_config && !(of_scores && renewed())).then(|| calendar.end(calendar.day(last).plus(-1 - NEWS_DAYS)))
}

/// What a pass is about.
#[derive(Debug, Clone, Copy)]
pub struct Pass<'a> {
    /// The destination of the rules.
    pub destination: &'a str,
    /// Today's config.
    pub model: &'a Model,
    /// All figures of now.
    pub now: &'a Evaluation,
    /// When the destination's rules last passed.
    pub last: Option<Timestamp>,
    /// The last pass looked at anew; needed where [`may_fire`] says so of any account.
    pub past: Option<&'a Past>,
    /// A time before it likewise, which decides where that does not ([`news_since`]).
    pub earlier: Option<&'a Past>,
}

/// True if the last pass must be looked at anew before it is known whether the rule fires, or what fired is over. `state`: what
/// it remembers; `known`: the rule was there at the last pass.
pub fn may_fire(rule: &AlertRule, whom: &Whom<'_>, state: Option<&EdgeState>, known: bool) -> bool {
    known
        && match rule.trigger.holds_of(whom) {
            Some(true) => is_awaited(rule, state),
            Some(false) => is_open(rule, state),
            None => false,
        }
}

/// Whether a rule waits for what it looks for.
fn is_awaited(rule: &AlertRule, state: Option<&EdgeState>) -> bool {
    let new = state.is_none() && matches!(rule.trigger, Trigger::NewAccount | Trigger::NewUser);
    new || state.is_some_and(|state| state.armed)
}

/// Whether it is to be told that what fired is over.
fn is_open(rule: &AlertRule, state: Option<&EdgeState>) -> bool {
    rule.recovery && state.is_some_and(|state| state.open)
}

/// One rule and one account or user. `None`: the rule is not for this account, or what it asks is unknown; nothing is remembered.
///
/// What may come of silence waits while it is not known whose silence it is: of a source, or of an event that stopped for
/// everybody. On days that leave the account's windows it is remembered, and told to nobody.
pub fn edge(
    pass: &Pass<'_>,
    rule: &AlertRule,
    whom: &Whom<'_>,
    state: Option<&EdgeState>,
    known: bool,
) -> Option<(EdgeState, Edge)> {
    let (next, happened) = looked_at(pass, rule, whom, state, known)?;
    if happened == Edge::Quiet || !rule.trigger.may_come_of_silence() {
        return Some((next, happened));
    }
    let Evaluation { stale, stopped, events, over, today, .. } = pass.now;
    let scored = whom.account().map(|account| account.scored.as_slice()).unwrap_or_default();
    let uses = |event: &str| scored.iter().any(|(_, id, _)| events.get(id).is_some_and(|name| name == event));
    if *stale || stopped.iter().any(|stopped| uses(&stopped.event)) {
        return Some((state.cloned().unwrap_or(next), Edge::Held));
    }
    let left_out = |day| whom.profile().is_some_and(|profile| pass.model.gaps.has(profile, day));
    Some((next, if left_out(*over) || left_out(*today) { Edge::Suppressed } else { happened }))
}

/// Whether a source fell silent, given since when it has been so. Silence that a rule finds when it first looks is not told.
pub fn data_stopped(
    destination: &str,
    rule: &AlertRule,
    source: &str,
    since: Option<Timestamp>,
    at: Timestamp,
    state: Option<&EdgeState>,
) -> (EdgeState, Edge) {
    let mut next = met(since.is_none(), Day::default(), 0.0, state);
    let subject = stopped_subject(source);
    if since.is_none() {
        let ended = next.ends() && rule.recovery;
        let said = format!("Data from {source} is back");
        let alert = ended.then(|| over(destination, rule, None, &subject, next.n, said, at));
        return (next, alert.map_or(Edge::Quiet, Edge::Over));
    }
    let Some(since) = since.filter(|_| state.is_some_and(|state| state.armed)) else { return (next, Edge::Quiet) };
    if !next.counts(rule, at) {
        return (next, Edge::Suppressed);
    }
    let what = What::Stopped { source: source.to_owned() };
    let alert = Alert::of(occasion(destination, &rule.name, &subject, next.n), &rule.name, None, what, at);
    let alert = Alert { severity: SOURCE, last_active: Some(since), ..alert }.goes(rule, None);
    (next, Edge::Fired(Box::new(alert)))
}

/// Stands for a source among the accounts that a rule remembers something of.
pub fn stopped_subject(source: &str) -> String {
    format!("#source {source}")
}

fn looked_at(
    pass: &Pass<'_>,
    rule: &AlertRule,
    whom: &Whom<'_>,
    state: Option<&EdgeState>,
    known: bool,
) -> Option<(EdgeState, Edge)> {
    // The score of a new account has yet to settle.
    let of_score = matches!(rule.trigger, Trigger::Drop { .. } | Trigger::Rise { .. });
    if !is_for(rule, whom) || (of_score && whom.account().is_some_and(|account| account.is_new)) {
        return None;
    }
    let (last_day, now) = whom.recent().last().copied().unwrap_or((pass.now.over, 0.0));
    let (direction, points, within_days) = match rule.trigger {
        Trigger::Drop { points, within_days } => (1.0, points, within_days),
        Trigger::Rise { points, within_days } => (-1.0, points, within_days),
        _ => return crossed(pass, rule, whom, state, known),
    };
    whom.recent().last()?;
    let Some(state) = state.filter(|_| known) else {
        return Some((met(true, last_day, now, state), Edge::Quiet));
    };
    let mut next = state.clone();
    // A rise is a fall of the score's mirror image.
    let series: Vec<(Day, f64)> = whom.recent().iter().map(|(day, score)| (*day, direction * score)).collect();
    let mirrored = |(low, high): (f64, f64)| if direction < 0.0 { (-high, -low) } else { (low, high) };
    let usual: Vec<Usual> = whom.usual().iter().map(|usual| usual.map(mirrored)).collect();
    let fell = |until: Day| -> Option<Drop> {
        let days = series.partition_point(|(day, _)| *day <= until);
        health::drop_within(&series[..days], &usual, state.since.max(until.plus(-within_days)))
    };
    let drop = fell(last_day)?;
    if !state.armed {
        next.low = direction * (direction * state.low).min(direction * now);
        let regained = direction * (now - next.low) >= direction * (state.from - next.low) / 2.0;
        if regained || drop.points < points / 2.0 {
            next.armed = true;
            next.since = last_day;
            // A fall that has merely become old is not made up for.
            if next.ends() && regained && rule.recovery {
                let said = rule.trigger.said_of_end();
                let alert = over(pass.destination, rule, Some(whom), &whom.key(), next.n, said, pass.now.at);
                return Some((next, Edge::Over(alert)));
            }
        }
        return Some((next, Edge::Quiet));
    }
    if drop.points < points {
        return Some((next, Edge::Quiet));
    }
    next.armed = false;
    next.from = direction * drop.from;
    next.low = now;
    let fell_before =
        |at: Timestamp| fell(pass.model.calendar.last_over(at)).is_some_and(|before| before.points >= points);
    if pass.last.is_some_and(fell_before) && pass.earlier.is_none_or(|earlier| fell_before(earlier.then.at)) {
        return Some((next, Edge::NotTheirs));
    }
    let what = What::Moved { from_score: next.from, from_day: drop.day, threshold: points, within_days };
    let profile = pass.model.profiles.iter().find(|profile| Some(&profile.name) == whom.profile());
    let reasons = |profile: &Profile| match whom {
        Whom::Account(account) => account.reasons(pass.model, profile, drop.day, pass.now.over, &pass.now.events),
        Whom::User(..) => Vec::new(),
    };
    let reasons = profile.filter(|_| direction > 0.0).map(reasons).unwrap_or_default();
    Some(fire(pass, rule, whom, next, what, reasons))
}

/// The edges that are not about the score's course.
fn crossed(
    pass: &Pass<'_>,
    rule: &AlertRule,
    whom: &Whom<'_>,
    state: Option<&EdgeState>,
    known: bool,
) -> Option<(EdgeState, Edge)> {
    let holds = rule.trigger.holds_of(whom)?;
    let (last_day, score) = (pass.now.over, whom.score().unwrap_or_default());
    let armed = match (&rule.trigger, whom) {
        // Whoever was the champion when last heard of.
        (Trigger::ChampionQuiet(_), Whom::User(user, _)) if !holds => {
            let heard = user.silent_days.is_some_and(|days| days <= 1);
            user.champion == Some(true) || (!heard && state.is_some_and(|state| state.armed))
        }
        _ => !holds,
    };
    let mut next = met(armed, last_day, score, state);
    if !may_fire(rule, whom, state, known) {
        if !holds {
            next.ends();
        }
        return Some((next, Edge::Quiet));
    }
    let theirs = pass.past.into_iter().chain(pass.earlier).any(|past| is_theirs(pass.model, rule, whom, past, holds));
    if !holds {
        let ended = next.ends() && theirs;
        let said = rule.trigger.said_of_end();
        let alert = ended.then(|| over(pass.destination, rule, Some(whom), &whom.key(), next.n, said, pass.now.at));
        return Some((next, alert.map_or(Edge::Quiet, Edge::Over)));
    }
    if !theirs {
        return Some((next, Edge::NotTheirs));
    }
    if let (Trigger::Back(days), Whom::Account(account)) = (&rule.trigger, whom)
        && pass.past.and_then(|past| past.then.find(&account.id)).is_some_and(|before| before.rests(*days))
    {
        return Some((next, Edge::Suppressed));
    }
    let late = |day| pass.now.at.0 - pass.model.calendar.end(day).0 > STALE_MS;
    if let Whom::Account(account) = whom
        && rule.trigger.day(account).is_some_and(late)
    {
        return Some((next, Edge::Suppressed));
    }
    Some(fire(pass, rule, whom, next, What::Said { said: rule.trigger.said() }, Vec::new()))
}

/// Whether the customer brought it about: seen in one way, it was not so at the last pass and is so now.
fn is_theirs(model: &Model, rule: &AlertRule, whom: &Whom<'_>, past: &Past, is: bool) -> bool {
    let Some(before) = whom.found_in(&past.then) else {
        return matches!(rule.trigger, Trigger::NewAccount | Trigger::NewUser);
    };
    let about_scores = rule.is_about_scores(model);
    if !is_for(rule, &before) || (about_scores && before.profile() != whom.profile()) {
        return false;
    }
    let now = past.now.as_ref().and_then(|evaluation| whom.found_in(evaluation)).filter(|_| about_scores);
    let holds = |whom: &Whom<'_>| rule.trigger.holds_of(whom);
    holds(&before) == Some(!is) && now.is_none_or(|now| holds(&now) == Some(is))
}

fn is_for(rule: &AlertRule, whom: &Whom<'_>) -> bool {
    // Of an account that has left nothing is news.
    let has_left = whom.account().is_some_and(|account| account.has_left);
    !has_left && rule.only.as_ref().is_none_or(|only| only.holds(&*whom.names()))
}

/// What is remembered of somebody as they stand; how often the rule fired stays.
fn met(armed: bool, last_day: Day, score: f64, state: Option<&EdgeState>) -> EdgeState {
    let (n, fired_at, open) = state.map_or((0, None, false), |state| (state.n, state.fired_at, state.open));
    // While nothing changes nothing is written.
    let (since, from) =
        state.filter(|state| state.armed == armed).map_or((last_day, score), |state| (state.since, state.from));
    EdgeState { armed, n, fired_at, since, from, low: from, open }
}

fn fire(
    pass: &Pass<'_>,
    rule: &AlertRule,
    whom: &Whom<'_>,
    mut next: EdgeState,
    what: What,
    reasons: Vec<String>,
) -> (EdgeState, Edge) {
    let at = pass.now.at;
    if !next.counts(rule, at) {
        return (next, Edge::Suppressed);
    }
    let severity = rule.trigger.severity(whom, &what);
    let alert =
        Alert::of(occasion(pass.destination, &rule.name, &whom.key(), next.n), &rule.name, Some(whom), what, at);
    let alert = Alert { reasons, severity, ..alert }.goes(rule, Some(whom));
    (next, Edge::Fired(Box::new(alert)))
}

/// The alert that what fired as a rule's occasion `n` is over.
fn over(
    destination: &str,
    rule: &AlertRule,
    whom: Option<&Whom<'_>>,
    subject: &str,
    n: u32,
    said: String,
    at: Timestamp,
) -> Box<Alert> {
    let fired = occasion(destination, &rule.name, subject, n);
    let alert = Alert::of(hashed(&format!("{fired}\u{1f}over")), &rule.name, whom, What::Said { said }, at);
    Box::new(Alert { reply_to: Some(fired), ..alert }.goes(rule, whom))
}

/// The name of an occasion: 16 hexadecimal digits of a hash of what makes it one.
fn occasion(destination: &str, rule: &str, subject: &str, n: u32) -> String {
    hashed(&format!("{destination}\u{1f}{rule}\u{1f}{subject}\u{1f}{n}"))
}

pub(super) fn hashed(text: &str) -> String {
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes()))
}
