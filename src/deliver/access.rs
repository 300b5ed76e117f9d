//! How a tool is spoken to: the client of its address, with what proves who we are.

use std::sync::Arc;

use vitalsync_core::connector::{Reply, Request};

use crate::config::{Credentials, Destination, Hook, Secret};
use crate::http::{Client, Proof, Sent};
use crate::login::{Login, NoToken};
use crate::store::{Store, StoreError};

/// A client and its credentials.
#[derive(Debug)]
pub struct Access {
    client: Client,
    proof: Way,
}

#[derive(Debug)]
enum Way {
    Token(Secret),
    Address(Secret),
    Hook(Hook),
    Login(Arc<Login>),
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum Told {
    /// It was sent, or there was no connection.
    Sent(Sent),
    /// Not sent: somebody must log in first. Why and what to do.
    NeedsLogin(String),
}

impl Access {
    /// A destination's; `login` where it logs in.
    pub fn new(destination: &Destination, login: Option<Arc<Login>>) -> Result<Self, String> {
        let proof = match (&destination.credentials, login) {
            (Credentials::Token(token), _) => Way::Token(token.clone()),
            (Credentials::Address(address), _) => Way::Address(address.clone()),
            (Credentials::Hook(hook), _) => Way::Hook(hook.clone()),
            (Credentials::OAuth(_), Some(login)) => Way::Login(login),
            (Credentials::OAuth(app), None) => return Err(format!("{} has no login; please report this", app.vendor)),
        };
        Ok(Self { client: Client::new(destination)?, proof })
    }

    /// Secrets that are not in the config, to keep them out of what is printed.
    pub(super) fn secrets(&self, store: &Store) -> Vec<String> {
        match &self.proof {
            Way::Token(_) | Way::Address(_) | Way::Hook(_) => Vec::new(),
            Way::Login(login) => login.secrets(store),
        }
    }

    /// Sends a request once; where a token of a login is not accepted, once more with another one.
    pub(super) async fn send(&self, request: &Request, store: &Store) -> Result<Told, StoreError> {
        let login = match &self.proof {
            Way::Token(token) => return Ok(Told::Sent(self.client.send(request, Proof::Bearer(token)).await)),
            Way::Address(rest) => return Ok(Told::Sent(self.client.send(request, Proof::Address(rest)).await)),
            Way::Hook(hook) => return Ok(Told::Sent(self.client.send(request, Proof::Hook(hook)).await)),
            Way::Login(login) => login,
        };
        let token = match login.token(store).await {
            Ok(token) => token,
            Err(none) => return without(none),
        };
        let sent = self.client.send(request, Proof::Bearer(&token)).await;
        if !matches!(&sent, Sent::Reply(Reply::Answer(answer)) if answer.status == 401) {
            return Ok(Told::Sent(sent));
        }
        match login.token_instead_of(store, &token).await {
            Ok(token) => Ok(Told::Sent(self.client.send(request, Proof::Bearer(&token)).await)),
            Err(none) => without(none),
        }
    }
}

/// What a request without a token comes to.
fn without(none: NoToken) -> Result<Told, StoreError> {
    match none {
        NoToken::NeedsLogin(why) => Ok(Told::NeedsLogin(why)),
        NoToken::NoAnswer(why) => Ok(Told::Sent(Sent::Unreachable(why))),
        NoToken::Store(error) => Err(error),
    }
}
