//! What is kept in memory of the tools behind destinations: clients, budgets, breakers.
//!
//! Destinations of one token share its budgets. What a vendor counts by account, whatever the token (HubSpot's search), is shared
//! as soon as it is known whose account each token belongs to.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use tokio::time::Instant;
use vitalsync_core::connector::Pool;

use super::access::Access;
use super::breaker::Breaker;
use super::lock;
use crate::budget::Budget;
use crate::config::Destination;
use crate::login::Login;

/// The tool behind one destination.
#[derive(Debug)]
pub struct Tool {
    /// The client with its address and what proves who we are.
    pub client: Access,
    /// Whether it may be sent to.
    pub breaker: Mutex<Breaker>,
    /// Held by whoever asks it something or changes what is known of it: a sync, a look back, decisions about matches.
    pub under_way: tokio::sync::Mutex<()>,
    /// When it was last tried although it refuses us; none in this process yet.
    pub tried: Mutex<Option<Instant>>,
    budget: Arc<Budget>,
    shared: Mutex<Option<Arc<Budget>>>,
}

impl Tool {
    /// The budget that a pool belongs to.
    pub fn budget(&self, destination: &Destination, pool: &Pool) -> Arc<Budget> {
        let shared = lock(&self.shared).clone().filter(|_| destination.connector.is_shared(pool.name));
        shared.unwrap_or_else(|| Arc::clone(&self.budget))
    }
}

/// A vendor account: the kind of tool, its address, its own id.
type Account = (&'static str, String, String);

/// All of them.
#[derive(Debug, Default)]
pub struct Tools {
    by_destination: HashMap<String, Tool>,
    accounts: Mutex<HashMap<Account, Arc<Budget>>>,
}

impl Tools {
    /// The tools behind destinations; `logins` by their holders.
    pub fn new<'d>(
        destinations: impl IntoIterator<Item = &'d Destination>,
        logins: &BTreeMap<String, Arc<Login>>,
    ) -> Result<Self, String> {
        let mut budgets: HashMap<(String, String), Arc<Budget>> = HashMap::new();
        let mut tools = Self::default();
        for destination in destinations {
            let holder = destination.credentials.holder();
            let key = (destination.base_url.clone(), holder.expose().to_owned());
            let budget = budgets.entry(key).or_insert_with(|| Arc::new(Budget::new(destination.manifest.quotas)));
            let tool = Tool {
                client: Access::new(destination, logins.get(holder.expose()).cloned())?,
                breaker: Mutex::default(),
                under_way: tokio::sync::Mutex::default(),
                tried: Mutex::default(),
                budget: Arc::clone(budget),
                shared: Mutex::default(),
            };
            tools.by_destination.insert(destination.name.clone(), tool);
        }
        Ok(tools)
    }

    /// The tool behind a destination.
    pub fn of(&self, destination: &Destination) -> Option<&Tool> {
        self.by_destination.get(&destination.name)
    }

    /// It is known whose account a destination writes to.
    pub fn know(&self, destination: &Destination, account: &str) {
        let Some(tool) = self.of(destination) else { return };
        let key = (destination.manifest.name, destination.base_url.clone(), account.to_owned());
        let mut accounts = lock(&self.accounts);
        let budget = accounts.entry(key).or_insert_with(|| Arc::new(Budget::new(destination.manifest.quotas)));
        *lock(&tool.shared) = Some(Arc::clone(budget));
    }
}
