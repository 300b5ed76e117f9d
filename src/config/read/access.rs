//! How a tool is reached and what proves who we are: the same for destinations and for sources that read a tool.

use vitalsync_core::Connector;
use vitalsync_core::connector::{Auth, Manifest};
use vitalsync_core::section::{Faults, Kind, Node, Table};

use super::super::{App, Credentials, Secret};
use super::hook;

/// The loopback port that the browser comes back to, where the config names none: apps name their redirect beforehand.
const REDIRECT_PORT: u16 = 8123;

/// What was written, before the connector says where to log in.
pub(super) struct Address {
    proof: Proof,
    vendor: &'static str,
    /// Where it lives unless the config or the connector says otherwise.
    origin: String,
    /// The address that the config names.
    base_url: Option<String>,
}

enum Proof {
    Is(Credentials),
    OAuth { client_id: String, client_secret: Secret, account: String, redirect_port: u16, scopes: Option<Vec<String>> },
}

impl Address {
    /// Reads what proves who we are, and `base_url`: exactly one of the ways that a vendor knows.
    pub fn read(table: &Table<'_>, manifest: &'static Manifest, faults: &mut Faults) -> Option<Self> {
        let proof = proof(table, manifest, faults);
        let base_url = table.get("base_url").map(|node| base_url(node, faults));
        let (proof, origin) = proof?;
        let base_url = match base_url {
            Some(base_url) => Some(base_url?),
            None => None,
        };
        Some(Self { proof, vendor: manifest.name, origin, base_url })
    }

    /// The credentials and the address, with what a connector says of logging in.
    pub fn of(self, connector: &dyn Connector) -> (Credentials, String) {
        let Self { proof, vendor, origin, base_url } = self;
        let own = base_url.is_some();
        let base_url = base_url.unwrap_or_else(|| connector.home().map_or(origin, str::to_owned));
        let credentials = match proof {
            Proof::Is(credentials) => credentials,
            Proof::OAuth { client_id, client_secret, account, redirect_port, scopes } => {
                let login = connector.oauth();
                let path = login.as_ref().map_or("", |login| login.token_path.as_str());
                let page = login.as_ref().map_or("", |login| login.authorize_url);
                let after = page.find("://").and_then(|at| page[at + 3..].find('/').map(|slash| at + 3 + slash));
                let authorize_url = match after.and_then(|at| page.get(at..)).filter(|_| own) {
                    Some(path) => format!("{base_url}{path}"),
                    None => page.to_owned(),
                };
                let token_url = format!("{base_url}{path}");
                let scopes = scopes.unwrap_or_else(|| login.map(|login| login.scopes).unwrap_or_default());
                let app =
                    App { vendor, client_id, client_secret, account, redirect_port, scopes, authorize_url, token_url };
                Credentials::OAuth(Box::new(app))
            }
        };
        (credentials, base_url)
    }
}

/// What proves who we are, and where if the config does not say.
fn proof(table: &Table<'_>, manifest: &'static Manifest, faults: &mut Faults) -> Option<(Proof, String)> {
    let keys: Vec<&str> = manifest.auth.iter().map(|auth| auth.key()).collect();
    let mut written = manifest.auth.iter().filter_map(|auth| Some((*auth, table.get(auth.key())?)));
    let Some((auth, node)) = written.next() else {
        let message = format!("`{}` is missing: what proves who we are", keys.join("` or `"));
        faults.error_with_hint(table.place, message, "best as \"${NAME}\", set in the environment");
        return None;
    };
    if let Some((other, node)) = written.next() {
        let message = format!("`{}` and `{}` are two ways to prove who we are", auth.key(), other.key());
        faults.error_with_hint(node.place, message, "leave one of them out");
        return None;
    }
    if auth == Auth::OAuth {
        return Some((oauth(node, faults)?, manifest.base_url.to_owned()));
    }
    let secret = secret(node, auth.key(), faults)?;
    match auth {
        Auth::Bearer | Auth::OAuth => {
            Some((Proof::Is(Credentials::Token(Secret::new(secret))), manifest.base_url.to_owned()))
        }
        Auth::Address { key } => {
            let (origin, rest) = address(&secret, node, key, faults)?;
            Some((Proof::Is(Credentials::Address(Secret::new(rest))), origin))
        }
        Auth::Hook { key, secret: signing, headers } => {
            let (origin, rest) = address(&secret, node, key, faults)?;
            let hook = hook::read(rest, table.get(signing), table.get(headers), faults)?;
            Some((Proof::Is(Credentials::Hook(hook)), origin))
        }
    }
}

/// An address that is a secret, as scheme and host, and the rest.
fn address(secret: &str, node: &Node, key: &str, faults: &mut Faults) -> Option<(String, String)> {
    let from = ["https://", "http://"].iter().find_map(|scheme| secret.strip_prefix(scheme).map(|_| scheme.len()));
    let host = from.and_then(|from| Some((from, secret.get(from..)?.split(['/', '?', '#']).next()?)));
    match host {
        Some((_, host)) if host.contains('@') => {
            let hint = "send what proves who we are as a header instead";
            faults.error_with_hint(node.place, format!("`{key}` has a name or password before its host"), hint);
            None
        }
        Some((from, host)) if !host.is_empty() => {
            let (origin, rest) = secret.split_at(from + host.len());
            Some((origin.to_owned(), rest.to_owned()))
        }
        _ => {
            faults.error(node.place, format!("`{key}` is no address such as https://host/path"));
            None
        }
    }
}

/// A secret of the config; a warning where it stands in the file itself.
pub(super) fn secret(node: &Node, key: &str, faults: &mut Faults) -> Option<String> {
    let secret = node.text(faults, &format!("a {key}"))?;
    if let Kind::Text(text) = &node.kind
        && text.value == text.written
        && !text.written.contains("${")
        && !is_for_trying_out(&text.written)
    {
        faults.warning(
            node.place,
            format!("a {key} in the file itself ends up in git: write \"${{NAME}}\" and set it in the environment"),
        );
    }
    if secret.trim().is_empty() || secret.chars().any(|c| c.is_control() || !c.is_ascii()) {
        faults.error(node.place, format!("the {key} is empty or has characters that no {key} has"));
    }
    Some(secret.trim().to_owned())
}

/// The app of a login.
fn oauth(node: &Node, faults: &mut Faults) -> Option<Proof> {
    let table = node.table(faults, "oauth")?;
    let client_id = table.need(faults, "client_id", "the app's client id").and_then(|node| {
        let id = node.text(faults, "the app's client id")?;
        if id.trim().is_empty() || id.chars().any(|c| c.is_control() || !c.is_ascii()) {
            faults.error(node.place, "the client id is empty or has characters that no client id has");
        }
        Some(id.trim().to_owned())
    });
    let client_secret = table
        .need(faults, "client_secret", "the app's client secret, best as \"${NAME}\"")
        .and_then(|node| secret(node, "client_secret", faults));
    let redirect_port = match table.get("redirect_port") {
        None => Some(REDIRECT_PORT),
        Some(node) => {
            let port = node.count(faults, "a port from 1024 up (0: any that is free)", 0)?;
            let port = u16::try_from(port).ok().filter(|port| *port == 0 || *port >= 1024);
            if port.is_none() {
                faults.error(node.place, "expected a port from 1024 to 65535, or 0 for any that is free");
            }
            port
        }
    };
    let account = match table.get("account") {
        None => Some(String::new()),
        Some(node) => node.text(faults, "a name for this login, where one app has several"),
    };
    let scopes = table.get("scopes").map(|node| {
        let scopes = node.items().into_iter().filter_map(|item| item.text(faults, "a scope"));
        scopes.collect::<Vec<String>>()
    });
    table.finish(faults);
    let (client_id, client_secret) = (client_id?, Secret::new(client_secret?));
    Some(Proof::OAuth { client_id, client_secret, account: account?, redirect_port: redirect_port?, scopes })
}

/// Tokens that are no secret: the sandbox's, words for examples, and addresses that lead nowhere else.
fn is_for_trying_out(token: &str) -> bool {
    let nowhere = ["://127.0.0.1", "://localhost"].iter().any(|host| token.contains(host));
    nowhere
        || token.contains(".example/")
        || token.starts_with("sandbox")
        || token.starts_with("demo")
        || token.starts_with("test")
}

fn base_url(node: &Node, faults: &mut Faults) -> Option<String> {
    let text = node.text(faults, "an address such as https://api.example.com")?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.map(|rest| rest.trim_end_matches('/'));
    match host {
        Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']) => {
            Some(text.trim_end_matches('/').to_owned())
        }
        _ => {
            faults.error_with_hint(
                node.place,
                "a base_url is scheme, host and port only",
                "as in https://api.hubapi.com or http://127.0.0.1:8080; paths are appended",
            );
            None
        }
    }
}
