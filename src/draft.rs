//! The text of a first config. Pure: what was found in, YAML out.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use vitalsync_core::activity::{Activity, FIRST_DAYS, LATELY};
use vitalsync_core::model::Bands;
use vitalsync_core::propose::Proposal;

/// The window that a first profile has, in days.
pub const WINDOW: i32 = LATELY;

/// What a first config says.
#[derive(Debug)]
pub struct Draft<'a> {
    /// The source's location, as it is to be written.
    pub location: &'a str,
    /// What was found there, in a line.
    pub found: &'a str,
    /// What is proposed.
    pub proposal: &'a Proposal,
    /// What it is proposed from.
    pub activity: &'a Activity,
    /// The bounds of the bands.
    pub bands: Bands,
    /// What they come to, in a line.
    pub spread: &'a str,
}

impl Draft<'_> {
    /// The config's text.
    pub fn text(&self) -> String {
        let Self { location, found, bands, spread, .. } = self;
        let mut out = format!(
            "# By `vitalsync init`, from {found}.
# Change what you know better: `vitalsync validate` checks it, `vitalsync events` shows every event.
version: 1
timezone: UTC                        # of days and schedules; it is for life, so set it now: Europe/Brussels

sources:
  product:
    type: segment_archive
    location: {}

profiles:
  - name: customer
    window: {WINDOW}d
    # Weights 0 to 10: advanced features 7 to 10, core ones 4 to 6, what everybody does 1 to 3; 0 leaves an event out.
    # Beside each: how many accounts did it in {LATELY} days, of {} that did anything.
    events:
",
            quoted(location).replace("${", "$${"),
            self.activity.active_accounts,
        );
        let accounts = |name: &str| self.activity.events.get(name).map_or(0, |used| used.accounts);
        let scored = self.proposal.scored.iter().map(|(name, weight)| (name, *weight, ""));
        let excluded = self.proposal.excluded.iter().map(|(name, why)| (name, 0, *why));
        for (name, weight, why) in scored.chain(excluded) {
            let why = if why.is_empty() { String::new() } else { format!(": {why}") };
            let _ = writeln!(out, "      {:<28} # {}{why}", format!("{}: {weight}", quoted(name)), accounts(name));
        }
        let _ = writeln!(out, "    # With these bounds: {spread}.");
        let _ = writeln!(out, "    bands: {{ healthy: {}, at_risk: {} }}", bands.healthy, bands.at_risk);
        if !self.proposal.steps.is_empty() {
            out.push_str(&self.steps());
        }
        out.push_str(
            "
# Where health goes; each needs a token, and observes until `vitalsync approve NAME`:
# destinations:
#   crm:
#     type: hubspot
#     token: \"${HUBSPOT_TOKEN}\"
#     companies:
#       match: [ property: vitalsync_account_id, domain: traits.domain ]
#       properties: { vitalsync_health_score: health.score, vitalsync_health_band: health.band }
",
        );
        out
    }

    fn steps(&self) -> String {
        let mut out = format!(
            "\nactivation:\n  # What new accounts do in their first {FIRST_DAYS} days, and hardly later. Beside each: how many did, of {}.\n  steps:\n",
            self.activity.started
        );
        let mut taken: BTreeSet<String> = BTreeSet::new();
        for (place, (event, accounts)) in self.proposal.steps.iter().enumerate() {
            let mut name = key(event);
            if name.is_empty() || taken.contains(&name) {
                name = format!("step_{}", place + 1);
            }
            let step = format!("{name}: {}", quoted(event).replace("${", "$${"));
            let _ = writeln!(out, "    {step:<38} # {accounts}");
            taken.insert(name);
        }
        out
    }
}

/// A name in YAML's double quotes, whatever it holds.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\u{2028}' | '\u{2029}' | '\u{feff}' => drop(write!(out, "\\u{:04x}", c as u32)),
            c if c.is_control() => drop(write!(out, "\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A step's name from its event's: `Teammate Invited` is `teammate_invited`. Empty where that is no name, or no text in YAML.
fn key(event: &str) -> String {
    const NO_TEXT: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let words = event.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let key = words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("_");
    let is_name = key.starts_with(|c: char| c.is_ascii_alphabetic()) && key.len() <= 64;
    if is_name && !NO_TEXT.contains(&key.as_str()) { key } else { String::new() }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use vitalsync_core::model::Done;

    use super::*;
    use crate::config::Config;

    #[test]
    fn whatever_events_are_called_the_config_reads() {
        let odd = [
            "Report: \"Q1\" \\ #1",
            "${HOME}",
            "a\nb\tc",
            "– é 🎉",
            "\u{2028}",
            "null",
            "- x",
            "Teammate Invited",
            "teammate-invited",
        ];
        let proposal = Proposal {
            scored: odd.iter().map(|name| ((*name).to_owned(), 5)).collect(),
            excluded: vec![("Page Viewed".to_owned(), "looking, not doing")],
            steps: odd.iter().map(|name| ((*name).to_owned(), 3)).collect(),
        };
        let draft = Draft {
            location: "./a \"b\" ${c}",
            found: "nothing",
            proposal: &proposal,
            activity: &Activity::default(),
            bands: Bands { healthy: 60.0, at_risk: 12.0, ..Bands::default() },
            spread: "nobody",
        };
        let text = draft.text();
        let config = Config::parse(&text, Path::new("there/v.yaml"), &|_| None)
            .unwrap_or_else(|refused| panic!("{refused}\n{text}"));
        let profile = &config.model.profiles[0];
        let mut sorted = odd.to_vec();
        sorted.sort_unstable();
        assert_eq!(profile.weights.keys().collect::<Vec<_>>(), sorted);
        assert_eq!((profile.bands.healthy, profile.bands.at_risk), (60.0, 12.0));
        assert_eq!(config.sources[0].location, Path::new("there/./a \"b\" ${c}"));
        let steps: Vec<(&str, &str)> = (config.model.steps())
            .map(|step| match &step.done {
                Done::Event { event, .. } => (step.name.as_str(), event.as_str()),
                Done::Trait(_) => panic!("{step:?}"),
            })
            .collect();
        assert_eq!(steps[7..], [("teammate_invited", "Teammate Invited"), ("step_9", "teammate-invited")]);
        assert_eq!((steps[1], steps[3]), (("home", "${HOME}"), ("step_4", "– é 🎉")));
    }
}
