//! Whom the config lets log in, and how these logins stand.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Engine;
use crate::config::{App, Config, Credentials};
use crate::http;
use crate::login::{Login, Tokens};
use crate::store::Batch;

/// How a login stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginReport {
    /// The vendor.
    pub vendor: String,
    /// The destinations and sources (`sources.NAME`) that use it.
    pub used_by: Vec<String>,
    /// When somebody logged in; none if nobody is.
    pub since: Option<String>,
    /// When the vendor last gave a token.
    pub renewed_at: Option<String>,
    /// Why the vendor gives no more.
    pub refused: Option<String>,
    /// What to run to log in.
    pub command: String,
}

/// The destinations, and sources that ask a tool, that log in, by name, with their app.
fn apps(config: &Config) -> impl Iterator<Item = (&str, &App)> {
    config.tools().filter_map(|destination| match &destination.credentials {
        Credentials::OAuth(app) => Some((destination.name.as_str(), &**app)),
        Credentials::Token(_) | Credentials::Address(_) | Credentials::Hook(_) => None,
    })
}

/// The logins of a config by their name in the state. Destinations that share one ask for what all of them need.
pub fn of(config: &Config) -> anyhow::Result<BTreeMap<String, Arc<Login>>> {
    let mut logins = BTreeMap::new();
    for (name, app) in apps(config) {
        let shared = |other: &App| other.login() == app.login();
        let mut app = app.clone();
        let scopes = apps(config).filter(|(_, other)| shared(other)).flat_map(|(_, other)| other.scopes.clone());
        app.scopes = scopes.collect();
        app.scopes.sort_unstable();
        app.scopes.dedup();
        let others = apps(config).any(|(_, other)| other.vendor == app.vendor && !shared(other));
        let which = if others { format!(" --destination {name}") } else { String::new() };
        let command = format!("vitalsync auth {}{which}", app.vendor);
        if let Entry::Vacant(place) = logins.entry(app.login()) {
            let login = http::plain(&app.token_url).and_then(|client| Login::new(&app, command, client));
            place.insert(Arc::new(login.map_err(anyhow::Error::msg)?));
        }
    }
    Ok(logins)
}

/// The login of a vendor, and of a destination if one is named; else what is wrong with the question.
pub fn which<'c>(config: &'c Config, vendor: Option<&str>, destination: Option<&str>) -> Result<&'c App, String> {
    let of_vendor = |app: &App| vendor.is_none_or(|vendor| app.vendor == vendor);
    let mut found: Vec<(&str, &App)> =
        apps(config).filter(|(name, app)| of_vendor(app) && destination.is_none_or(|wanted| wanted == *name)).collect();
    let all: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
    found.dedup_by_key(|(_, app)| app.login());
    match found.as_slice() {
        [(_, app)] => Ok(app),
        [] => {
            let who =
                destination.map_or_else(|| "a destination".to_owned(), |name| format!("the destination `{name}`"));
            let kind = vendor.map(|vendor| format!(" of type {vendor}")).unwrap_or_default();
            Err(format!(
                "{who}{kind} with `oauth: {{ client_id: …, client_secret: … }}` is not in {}",
                config.file.display()
            ))
        }
        _ => Err(format!("there are several logins: say which with --destination {}", all.join(" or "))),
    }
}

impl Engine {
    /// Keeps the tokens of a login. Whose account it is will be asked anew, and who was locked out tries again.
    pub fn log_in(&self, login: &str, tokens: &Tokens) -> anyhow::Result<Vec<String>> {
        let Some(known) = self.logins.get(login) else {
            anyhow::bail!("the daemon's config has no such login: restart it with the config of now, then log in again")
        };
        // A directory that was made otherwise.
        std::fs::set_permissions(&self.config.state, std::fs::Permissions::from_mode(0o700))?;
        let users = self.users_of(login);
        let mut batch = Batch::default();
        for name in &users {
            batch.forget_vendor_account(name);
            batch.put_parked(name, None);
        }
        self.store.apply(batch)?;
        known.keep(&self.store, tokens)?;
        Ok(users)
    }

    /// Forgets the tokens of a login; false if there were none. The app stays installed at the vendor.
    pub fn log_out(&self, login: &str) -> anyhow::Result<bool> {
        match self.logins.get(login) {
            Some(known) => Ok(known.forget(&self.store)?),
            None => Ok(false),
        }
    }

    /// How all logins stand.
    pub fn logins(&self) -> anyhow::Result<Vec<LoginReport>> {
        let report = |(name, login): (&String, &Arc<Login>)| {
            let kept = login.kept(&self.store)?;
            Ok(LoginReport {
                vendor: name.split('\u{1f}').next().unwrap_or_default().to_owned(),
                used_by: self.users_of(name),
                since: kept.as_ref().map(|tokens| tokens.since.to_string()),
                renewed_at: kept.as_ref().map(|tokens| tokens.renewed_at.to_string()),
                refused: kept.as_ref().and_then(|tokens| login.refused(tokens)).map(str::to_owned),
                command: login.command().to_owned(),
            })
        };
        self.logins.iter().map(report).collect()
    }

    fn users_of(&self, login: &str) -> Vec<String> {
        apps(&self.config).filter(|(_, app)| app.login() == login).map(|(name, _)| name.to_owned()).collect()
    }
}
