//! A connector's facts, as data: where its API lives, how it is authenticated, how fast it may be asked.

use std::time::Duration;

use crate::section::Table;

/// A way in which requests prove who sends them. The secret itself stays in the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// `token:` in the config; `Authorization: Bearer TOKEN`.
    Bearer,
    /// The whole address is the secret; requests append their path to it.
    Address {
        /// Its key in the config.
        key: &'static str,
    },
    /// As [`Auth::Address`], of somebody's own: the config may add headers to every request, and a secret by which each is
    /// signed as the Standard Webhooks specification says, over its `Idempotency-Key`, its time and its body.
    Hook {
        /// The address's key in the config.
        key: &'static str,
        /// The key of the secret that signs.
        secret: &'static str,
        /// The key of the headers.
        headers: &'static str,
    },
    /// `oauth:` in the config, an app of the user's own that somebody logs in to once, by [`Connector::oauth`](crate::connector::Connector::oauth);
    /// `Authorization: Bearer` with a token that is renewed when it expires.
    OAuth,
}

/// How to log in by OAuth 2.0 (authorization code with PKCE) and where tokens are renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuth {
    /// The page where a person agrees; a destination with an address of its own has it there, at the same path.
    pub authorize_url: &'static str,
    /// Where codes and refresh tokens are exchanged, on the destination's address.
    pub token_path: String,
    /// What the person is asked to agree to, for what the config asks of the tool.
    pub scopes: Vec<String>,
}

impl Auth {
    /// The key in the config.
    pub fn key(self) -> &'static str {
        match self {
            Self::Bearer => "token",
            Self::Address { key } | Self::Hook { key, .. } => key,
            Self::OAuth => "oauth",
        }
    }

    /// Every key that the shell reads for it.
    pub fn keys(self) -> impl Iterator<Item = &'static str> {
        let more = if let Self::Hook { secret, headers, .. } = self { vec![secret, headers] } else { Vec::new() };
        std::iter::once(self.key()).chain(more)
    }
}

/// How fast a quota may be drawn from: never more than `limit` requests in any `window`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// The pool's name.
    pub pool: &'static str,
    /// The most requests in any window of that length.
    pub limit: u32,
    /// The window.
    pub window: Duration,
    /// One budget for each key instead of one for all. A pool may have a quota of either sort: then both are drawn from.
    pub keyed: bool,
}

/// What a tool says of a quota while it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The most requests in any window.
    pub requests: u32,
    /// The window.
    pub window: Duration,
}

/// A connector's facts, as data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The name in `type:`.
    pub name: &'static str,
    /// For people: `HubSpot`.
    pub title: &'static str,
    /// Where its API lives: scheme and host.
    pub base_url: &'static str,
    /// The ways in which requests may be authenticated; the config takes one of them.
    pub auth: &'static [Auth],
    /// The `Content-Type` of its bodies.
    pub content_type: &'static str,
    /// Its quotas.
    pub quotas: &'static [Quota],
}

impl Manifest {
    /// Marks what the shell reads of a destination's section as known: the common keys and those of authentication.
    pub fn leave_common(&self, table: &Table<'_>) {
        for key in COMMON_KEYS.into_iter().chain(self.auth.iter().flat_map(|auth| auth.keys())) {
            table.get(key);
        }
    }
}

/// The keys of every destination, beside that of its [`Auth`].
pub const COMMON_KEYS: [&str; 9] =
    ["type", "base_url", "schedule", "mode", "brake", "on_forget", "ownership", "refresh", "when_gone"];
