//! Logins by OAuth 2.0: tokens that expire, are renewed, and may be taken back.
//!
//! Whoever shares a login shares one [`Login`]: of several that find its token expired one renews it and the others wait. What
//! a vendor gives is in the state, durably, before it is used, because a vendor may let the token before it lapse. A vendor that
//! takes a login back is not asked again until somebody logs in anew or the app's secret changes.
//!
//! Deliberately not here: revoking at the vendor, device codes, tokens in an export of the state.

mod browser;
mod exchange;

use serde::{Deserialize, Serialize};
use vitalsync_core::Timestamp;

pub use self::browser::{Asked, Loopback};
use self::exchange::Exchange;
use crate::clock;
use crate::config::{App, Secret};
use crate::store::{Batch, Store, StoreError};

/// A token is renewed so long before it expires, or a quarter of its life if that is shorter.
const MARGIN_MS: i64 = 60_000;

/// The tokens of a login, as kept.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    access: String,
    refresh: Option<String>,
    /// When the access token is to be renewed; none if the vendor did not say how long it lives.
    renew_at: Option<Timestamp>,
    /// When somebody logged in.
    pub since: Timestamp,
    /// When the vendor last gave tokens.
    pub renewed_at: Timestamp,
    /// Why the vendor gives no more, and a hash of the app that it was told to.
    refused: Option<(u64, String)>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens")
            .field("since", &self.since)
            .field("renewed_at", &self.renewed_at)
            .finish_non_exhaustive()
    }
}

/// Why there is no token.
#[derive(Debug)]
pub enum NoToken {
    /// Nobody is logged in, or not any more. Why and what to do.
    NeedsLogin(String),
    /// The vendor does not answer, or asks for patience. Why.
    NoAnswer(String),
    /// The state failed.
    Store(StoreError),
}

impl From<StoreError> for NoToken {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// A login of an app.
#[derive(Debug)]
pub struct Login {
    name: String,
    app: App,
    /// What to run to log in.
    command: String,
    exchange: Exchange,
    /// Held by the one that renews.
    renewing: tokio::sync::Mutex<()>,
}

impl Login {
    /// The login of an app, whose token endpoint is asked by a client. `command` logs in.
    pub fn new(app: &App, command: String, client: reqwest::Client) -> Result<Self, String> {
        let exchange = Exchange::new(app, client)?;
        Ok(Self { name: app.login(), app: app.clone(), command, exchange, renewing: tokio::sync::Mutex::default() })
    }

    /// The command that logs in.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// The tokens that are kept.
    pub fn kept(&self, store: &Store) -> Result<Option<Tokens>, StoreError> {
        store.login(&self.name)
    }

    /// The secrets of today, to keep them out of what is printed.
    pub fn secrets(&self, store: &Store) -> Vec<String> {
        let kept = self.kept(store).ok().flatten();
        kept.into_iter().flat_map(|tokens| [Some(tokens.access), tokens.refresh]).flatten().collect()
    }

    /// Why the vendor gives no more tokens, if it said so to this app.
    pub fn refused<'t>(&self, tokens: &'t Tokens) -> Option<&'t str> {
        tokens.refused.as_ref().filter(|(app, _)| *app == self.hash()).map(|(_, why)| why.as_str())
    }

    /// A token that is good by the clock, renewed if need be.
    pub async fn token(&self, store: &Store) -> Result<Secret, NoToken> {
        self.current(store, None).await
    }

    /// Another token than one that the vendor did not accept.
    pub async fn token_instead_of(&self, store: &Store, refused: &Secret) -> Result<Secret, NoToken> {
        self.current(store, Some(refused)).await
    }

    async fn current(&self, store: &Store, not: Option<&Secret>) -> Result<Secret, NoToken> {
        let good = |tokens: &Tokens| {
            tokens.renew_at.is_none_or(|at| clock::system() < at) && not.is_none_or(|not| not.expose() != tokens.access)
        };
        if let Some(tokens) = self.kept(store)?.filter(good) {
            return Ok(Secret::new(tokens.access));
        }
        let _renewing = self.renewing.lock().await;
        // Somebody else may have renewed it while this one waited.
        let Some(kept) = self.kept(store)? else {
            return Err(NoToken::NeedsLogin(format!("nobody is logged in: run `{}`", self.command)));
        };
        if good(&kept) {
            return Ok(Secret::new(kept.access));
        }
        if let Some(why) = self.refused(&kept) {
            return Err(self.lapsed(why));
        }
        let Some(refresh) = &kept.refresh else {
            return Err(self.lapsed("the login has expired and can't be renewed"));
        };
        match self.exchange.renew(refresh).await {
            Ok(granted) => {
                // A vendor that gives no new one lets the old one stand.
                let refresh = granted.refresh.clone().or(kept.refresh);
                let tokens = Tokens { since: kept.since, refresh, ..granted };
                self.keep(store, &tokens)?;
                tracing::debug!(vendor = self.app.vendor, "the token was renewed");
                Ok(Secret::new(tokens.access))
            }
            Err(NoToken::NeedsLogin(why)) => {
                self.keep(store, &Tokens { refused: Some((self.hash(), why.clone())), ..kept })?;
                Err(self.lapsed(&why))
            }
            Err(other) => Err(other),
        }
    }

    fn lapsed(&self, why: &str) -> NoToken {
        NoToken::NeedsLogin(format!("{why}: run `{}`", self.command))
    }

    /// Keeps tokens. When this returns they survive a crash.
    pub fn keep(&self, store: &Store, tokens: &Tokens) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        batch.put_login(&self.name, tokens);
        store.apply(batch)
    }

    /// Forgets the tokens; false if there were none.
    pub fn forget(&self, store: &Store) -> Result<bool, StoreError> {
        let known = self.kept(store)?.is_some();
        let mut batch = Batch::default();
        batch.remove_login(&self.name);
        store.apply(batch)?;
        Ok(known)
    }

    /// A hash of what the vendor is told the app is.
    fn hash(&self) -> u64 {
        let app = format!("{}\u{1f}{}", self.app.client_secret.expose(), self.app.token_url);
        xxhash_rust::xxh3::xxh3_64(app.as_bytes())
    }
}
