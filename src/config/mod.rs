//! The config: as written (a tree with places) and as meant (checked, with everything resolved).
//!
//! Reading collects all faults of the file at once, each with its place, the line and what to do; nothing is left to be
//! found out at run time that can be known here. Secrets are kept apart and never printed.

mod read;
mod suppress;
pub mod yaml;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use vitalsync_core::call::AccountPaths;
use vitalsync_core::connector::{Connector, Manifest};
use vitalsync_core::lint;
use vitalsync_core::mapping::Ownership;
use vitalsync_core::model::Model;
use vitalsync_core::pulse::Expect;
use vitalsync_core::section::{Fault, Faults, Place};

pub use self::suppress::{Suppressible, Unreadable};
use crate::schedule::Schedule;

/// The config as meant.
#[derive(Debug)]
pub struct Config {
    /// The file.
    pub file: PathBuf,
    /// The state directory.
    pub state: PathBuf,
    /// How accounts and users are measured.
    pub model: Model,
    /// Where calls state their account.
    pub accounts: AccountPaths,
    /// Where usage comes from.
    pub sources: Vec<Source>,
    /// What is asked of tools.
    pub readings: Vec<Reading>,
    /// Where health goes.
    pub destinations: Vec<Destination>,
    /// Where people reach the pages of this installation, without a slash at the end; for links in messages.
    pub public_url: Option<String>,
    /// How long counts are kept.
    pub retention: Retention,
    /// About whom nothing is kept.
    pub suppress: Suppress,
    /// What the file was worth a warning for while it was read.
    pub warnings: Vec<Fault>,
    /// The file as written, to point into it; kept like a secret, since one may stand in it.
    text: Secret,
}

/// A source of type `segment_archive`.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// The directory.
    pub location: PathBuf,
    /// What may lie below it and is ours, no usage: the config, the state, the file of `suppress`.
    pub ours: Vec<PathBuf>,
    /// When it is read.
    pub schedule: Schedule,
    /// A call that comes again within so many days of `receivedAt` counts once, 1 to 90.
    pub dedupe_days: i32,
    /// How long it may be silent before it is taken for stopped.
    pub expect: Expect,
}

/// How long counts are kept. Without bounds: everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Months that are older than so many days lose the days of their counts: what is left are sums by month. At least
    /// twice the longest window and 90 days.
    pub days: Option<i32>,
    /// Counts that are older than so many months go altogether.
    pub months: Option<i32>,
}

/// Whose calls are not counted and about whom no tool is told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Suppress {
    /// Users' ids.
    pub users: Vec<String>,
    /// Accounts' ids.
    pub accounts: Vec<String>,
    /// A file with more of them. Only its path: it is read when it is asked for.
    pub file: Option<PathBuf>,
    /// Where the config names that file.
    pub file_place: Place,
}

/// A tool that is told.
#[derive(Debug)]
pub struct Destination {
    /// Its name.
    pub name: String,
    /// Where it stands in the file.
    pub place: Place,
    /// The connector's facts.
    pub manifest: &'static Manifest,
    /// The connector with its own section.
    pub connector: Box<dyn Connector>,
    /// What proves who we are.
    pub credentials: Credentials,
    /// Scheme, host and port.
    pub base_url: String,
    /// When it is synced.
    pub schedule: Schedule,
    /// True: writes; false: plans and reports until approved.
    pub live: bool,
    /// How it behaves, whatever it is.
    pub conduct: Conduct,
}

/// How a destination behaves, whichever connector it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conduct {
    /// What a run may do without being asked.
    pub brake: Brake,
    /// Every record is read back once in so many days; `None`: only when asked for.
    pub refresh_days: Option<u32>,
    /// Whose a field is, unless its mapping says otherwise.
    pub ownership: Ownership,
    /// What becomes of records of accounts and users that are not asked for any more.
    pub when_gone: WhenGone,
}

impl Default for Conduct {
    /// Reading back costs one call for every hundred companies and one for each contact: of 100,000 companies a day less than
    /// one percent of the smallest plan's daily limit, so that it is done daily.
    fn default() -> Self {
        Self { brake: Brake::default(), refresh_days: Some(1), ownership: Ownership::Win, when_gone: WhenGone::Keep }
    }
}

/// What a run may do in a destination without being asked; a bound that is `None` holds nothing up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brake {
    /// The most accounts that may change their band, in percent of those that had one.
    pub bands: Option<u32>,
    /// The most records that may be created.
    pub creates: Option<u32>,
}

impl Default for Brake {
    fn default() -> Self {
        Self { bands: Some(20), creates: Some(50) }
    }
}

/// What becomes of the records of those who are gone: excluded, churned, erased at the source, no longer in `only`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenGone {
    /// Fields stay as they are; tags that were set are removed.
    Keep,
    /// Mapped fields are cleared as well.
    Clear,
}

/// A source that asks a tool.
#[derive(Debug)]
pub struct Reading {
    /// Its name.
    pub name: String,
    /// The tool to ask, by a connector that reads. Its name is no destination's: `sources.NAME`.
    pub tool: Destination,
    /// It is late if it was not read to its end for so long.
    pub late_ms: i64,
}

/// What proves to a tool who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Sent as `Authorization: Bearer`.
    Token(Secret),
    /// The path and query of an address that only those know who may use it; requests append their path.
    Address(Secret),
    /// As an address, of somebody's own.
    Hook(Hook),
    /// An app that somebody logs in to; the tokens are in the state.
    OAuth(Box<App>),
}

/// An address of somebody's own, and what each request to it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Path and query.
    pub address: Secret,
    /// Signs each request.
    pub signing: Option<Secret>,
    /// Goes with each request.
    pub headers: Vec<Header>,
}

/// A header of the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its name, in small letters.
    pub name: String,
    /// Its value.
    pub value: Secret,
    /// True if its value came from the environment or a file, so that it must not be printed.
    pub filled: bool,
}

/// An OAuth app, and which login with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// The vendor, as in `type:`.
    pub vendor: &'static str,
    /// The app's public id.
    pub client_id: String,
    /// The app's secret.
    pub client_secret: Secret,
    /// Which of several logins with one app, one for each vendor account; empty where there is one.
    pub account: String,
    /// The loopback port that the browser comes back to; 0: any that is free.
    pub redirect_port: u16,
    /// What the person is asked to agree to.
    pub scopes: Vec<String>,
    /// The page where a person agrees.
    pub authorize_url: String,
    /// Where codes and refresh tokens are exchanged.
    pub token_url: String,
}

impl App {
    /// The login's name in the state: whoever has the same shares its tokens.
    pub fn login(&self) -> String {
        let origin = self.token_url.split("/oauth").next().unwrap_or_default();
        [self.vendor, origin, &self.client_id, &self.account].join("\u{1f}")
    }
}

impl Credentials {
    /// What tells one holder of a vendor account from another. A secret, mostly.
    pub fn holder(&self) -> Secret {
        match self {
            Self::Token(secret) | Self::Address(secret) => secret.clone(),
            // Another way to sign does not make another receiver.
            Self::Hook(hook) => hook.address.clone(),
            Self::OAuth(app) => Secret::new(app.login()),
        }
    }

    /// Every secret that is known beforehand, to keep them out of what is printed.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let (one, more) = match self {
            Self::Token(secret) | Self::Address(secret) => (secret, Vec::new()),
            Self::OAuth(app) => (&app.client_secret, Vec::new()),
            Self::Hook(hook) => {
                let headers = hook.headers.iter().filter(|header| header.filled).map(|header| &header.value);
                (&hook.address, hook.signing.iter().chain(headers).collect())
            }
        };
        std::iter::once(one).chain(more)
    }
}

/// A secret: never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a secret.
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// The secret itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why there is no config: every fault, rendered for people.
#[derive(Debug)]
pub struct Refused {
    /// The whole text.
    pub text: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Refused {}

impl Destination {
    /// A field or tag group that both write, if they write to one vendor account.
    pub fn shares_with(&self, other: &Self) -> Option<String> {
        if self.manifest.name != other.manifest.name || self.base_url != other.base_url {
            return None;
        }
        for set in self.connector.record_sets() {
            for theirs in other.connector.record_sets().iter().filter(|theirs| theirs.kind == set.kind) {
                let is_field = |name: &str| theirs.fields.iter().any(|found| found.field == name);
                if let Some(field) = set.fields.iter().find(|field| is_field(&field.field)) {
                    return Some(format!("field `{}`", field.field));
                }
                let is_group = |name: &str| theirs.groups.iter().any(|found| found.name == name);
                if let Some(group) = set.groups.iter().find(|group| is_group(&group.name)) {
                    return Some(format!("tag group `{}`", group.name));
                }
            }
        }
        None
    }
}

impl Config {
    /// Reads and checks a file, with `${NAME}` from the environment.
    pub fn load(file: &Path) -> Result<Self, Refused> {
        let text = std::fs::read_to_string(file).map_err(|error| {
            let hint = match error.kind() {
                std::io::ErrorKind::NotFound => {
                    "name it with --config FILE, or see `vitalsync demo` for a run without one"
                }
                _ => "check its rights and that it is UTF-8 text",
            };
            Refused { text: format!("{}: can't read the config: {error}\n  = {hint}", file.display()) }
        })?;
        Self::parse(&text, file, &|name| std::env::var(name).ok())
    }

    /// Checks a config's text. Relative paths in it are relative to the file's directory.
    pub fn parse(text: &str, file: &Path, lookup: yaml::Lookup<'_>) -> Result<Self, Refused> {
        let mut faults = Faults::default();
        let base = file.parent().unwrap_or(Path::new(""));
        let mut filling = yaml::Filling { lookup, base, filled: Vec::new() };
        let config =
            yaml::parse(text, &mut filling, &mut faults).and_then(|root| read::config(&root, file, &mut faults));
        let failed = faults.any_error();
        let mut list = faults.into_sorted();
        // A message may quote what a variable stands for; people are shown what they wrote.
        for fault in &mut list {
            for (filled, written) in filling.filled.iter().filter(|(filled, _)| filled.len() > 2) {
                fault.message = fault.message.replace(filled.as_str(), written);
                fault.hint = fault.hint.take().map(|hint| hint.replace(filled.as_str(), written));
            }
        }
        match config {
            Some(mut config) if !failed => {
                config.warnings = list;
                config.text = Secret::new(text.to_owned());
                Ok(config)
            }
            _ => {
                let count = list.iter().filter(|fault| !fault.warning).count();
                let mut out = String::new();
                for fault in &list {
                    out.push_str(&render(fault, text, file));
                }
                let _ = write!(out, "{}: {count} error{}", file.display(), if count == 1 { "" } else { "s" });
                Err(Refused { text: out })
            }
        }
    }
}

impl Config {
    /// A hash of the file: what was refused under another one is worth another try.
    pub fn version(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(self.text.expose().as_bytes())
    }

    /// A warning about the file for people, with the line that it is about.
    pub fn shown(&self, fault: &Fault) -> String {
        render(fault, self.text.expose(), &self.file)
    }

    /// All tools: destinations, and sources that ask one.
    pub fn tools(&self) -> impl Iterator<Item = &Destination> {
        self.destinations.iter().chain(self.readings.iter().map(|reading| &reading.tool))
    }

    /// True if the config has a source of this name, of calls or of what a tool knows.
    pub fn has_source(&self, name: &str) -> bool {
        self.sources.iter().any(|source| source.name == name)
            || self.readings.iter().any(|reading| reading.name == name)
    }

    /// Everything that is worth a warning in the file, whatever is known of the data.
    pub fn linted(&self) -> Vec<Fault> {
        self.warnings.iter().cloned().chain(lint::of_config(&self.model)).collect()
    }
}

/// Where a fault is: `FILE:LINE:COLUMN`.
pub fn place(fault: &Fault, file: &Path) -> String {
    format!("{}:{}:{}", file.display(), fault.place.line.max(1), fault.place.column.max(1))
}

/// `FILE:LINE:COLUMN: message`, the line with a caret, the hint.
fn render(fault: &Fault, text: &str, file: &Path) -> String {
    let (line, column) = (fault.place.line.max(1), fault.place.column.max(1));
    let kind = if fault.warning { "warning: " } else { "" };
    let mut out = format!("{}: {kind}{}\n", place(fault, file), mask_tokens(&fault.message));
    if let Some(source) = text.lines().nth(line as usize - 1) {
        let lead: String =
            source.chars().take(column as usize - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let _ = write!(out, "  {line:>4} | {}\n       | {lead}^\n", masked(source.trim_end()));
    }
    if let Some(hint) = &fault.hint {
        let _ = writeln!(out, "       = {hint}");
    }
    out
}

/// A line of the config as it may be shown: what stands where a secret belongs is masked, unless it is only `${…}`.
fn masked(line: &str) -> String {
    let Some(colon) = secret_key(line) else { return mask_tokens(line) };
    let (key, value) = line.split_at(colon);
    let start = value.len() - value.trim_start().len();
    let (blank, value) = value.split_at(start);
    // A quoted value ends with its quote, a bare one where a flow map goes on; whatever else stands there, to the end.
    let end = match value.chars().next() {
        None => 0,
        Some(quote @ ('"' | '\'')) => {
            value.get(1..).and_then(|rest| rest.find(quote)).map_or(value.len(), |end| end + 2)
        }
        Some(first) if first.is_alphanumeric() || first == '$' => {
            let variable = value.find('}').filter(|_| first == '$').map_or(0, |end| end + 1);
            value[variable..].find([',', '}', ']', ' ']).map_or(value.len(), |end| variable + end)
        }
        Some(_) => value.len(),
    };
    let (value, rest) = value.split_at(end);
    let bare = value.trim_matches(['"', '\'']);
    let variable = bare.starts_with("${") && bare.ends_with('}') && bare.matches('}').count() == 1;
    if bare.is_empty() || variable {
        return format!("{key}{blank}{value}{}", masked(rest));
    }
    // As wide as it was, so that the caret below still points where it should.
    let pad = " ".repeat(value.chars().count().saturating_sub(1));
    format!("{key}{blank}…{pad}{}", masked(rest)).trim_end().to_owned()
}

/// Behind the colon of the first key whose value is a secret, by its name.
fn secret_key(line: &str) -> Option<usize> {
    let lower = line.to_ascii_lowercase();
    let words =
        ["tok", "secret", "passw", "auth", "api_key", "apikey", "api-key", "write_key", "webhook", "headers", "url"];
    let found = words.iter().flat_map(|word| lower.match_indices(word));
    let colons = found.filter_map(|(at, word)| {
        let colon = at + lower.get(at..)?.find(':')?;
        let rest = lower.get(at + word.len()..colon)?;
        // `url`, and not `base_url`.
        let whole = word != "url" || !lower[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let is_key = rest.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '"' | '\'' | ' '));
        (whole && is_key).then_some(colon + 1)
    });
    colons.min()
}

/// Words that look like a vendor's token, wherever they stand, and who logs in by an address.
pub fn mask_tokens(line: &str) -> String {
    let edge = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '{' | '}' | '[' | ']');
    let token = |word: &str| {
        ["pat-", "xoxb-", "xoxp-", "xapp-", "dg9r"].iter().any(|begin| word.to_lowercase().starts_with(begin))
    };
    let shown = |word: &str| {
        let login = word.split_once("://").and_then(|(scheme, rest)| {
            let host = rest.find('/').unwrap_or(rest.len());
            let at = rest.get(..host)?.rfind('@')?;
            Some(format!("{scheme}://…{}", rest.get(at..)?))
        });
        login.unwrap_or_else(|| if token(word) { "… ".into() } else { word.into() })
    };
    line.split_inclusive(edge).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Config {
        let lookup = |name: &str| name.ends_with("_TOKEN").then(|| "sandbox-token".to_owned());
        Config::parse(text, Path::new("there/vitalsync.yaml"), &lookup).unwrap_or_else(|refused| panic!("{refused}"))
    }

    #[test]
    fn the_example_and_the_readmes_config_are_good() {
        let example = read(include_str!("../../config/vitalsync.yaml"));
        assert_eq!((example.destinations.len(), example.linted()), (4, Vec::new()));
        let readme = include_str!("../../README.md");
        let config = readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap_or_default();
        let readme = read(config);
        assert_eq!((readme.destinations.len(), readme.linted()), (3, Vec::new()));
    }

    #[test]
    fn lines_are_shown_without_what_may_be_a_secret() {
        for (line, shown) in [
            ("token: \"${HUBSPOT_TOKEN}\"", "token: \"${HUBSPOT_TOKEN}\""),
            ("token: \"${A}-x\"", "token: …"),
            ("  tokn: pat-eu1-abc # mine", "  tokn: …           # mine"),
            ("{ token: abc, to: #cs }", "{ token: …  , to: #cs }"),
            ("token: \"abc\\tx", "token: …"),
            ("token: [\"abc\"]", "token: …"),
            ("only: { token: ${A}, x: 1 }", "only: { token: ${A}, x: 1 }"),
            ("{ type: slack, x: xoxb-1-2 }", "{ type: slack, x: … }"),
            ("window: 30d", "window: 30d"),
            ("url: https://a.b/c, x", "url: …            , x"),
            ("base_url: https://a.b", "base_url: https://a.b"),
            ("base_url: https://me:word@a.b/c", "base_url: https://…@a.b/c"),
            (
                "{ type: slack, webhook: \"https://h/x\", alert: {} }",
                "{ type: slack, webhook: …            , alert: {} }",
            ),
            ("{ type: webhook, to: x }", "{ type: webhook, to: x }"),
            ("{ token: a, secret: b, x: 1 }", "{ token: …, secret: …, x: 1 }"),
            ("headers: { X-Mine: abc }, x: 1", "headers: …"),
            ("X-Api-Key: abc", "X-Api-Key: …"),
        ] {
            assert_eq!(masked(line), shown);
        }
    }
}
