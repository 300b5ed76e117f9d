//! HubSpot's OAuth: a consent that is always given, codes with PKCE, tokens that expire and may be taken back.
//!
//! Off until an app is seeded (`POST /_sandbox/seed {"oauth": {…}}`). Deliberately not here: the page that asks, scopes that
//! are checked on requests, introspection.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::http::{Answer, Call, pairs};

/// HubSpot's tokens live so long.
const LIFE_S: i64 = 1800;

/// An app and what was granted to it.
#[derive(Debug, Clone, Default)]
pub(super) struct OAuth {
    client_id: String,
    client_secret: String,
    /// Seconds that access tokens live.
    life_s: i64,
    /// Each refresh gives another refresh token, and the old one lapses.
    rotates: bool,
    codes: Vec<Code>,
    access: Vec<(String, i64)>,
    refresh: Vec<String>,
    made: u64,
}

#[derive(Debug, Clone)]
struct Code {
    code: String,
    redirect: String,
    challenge: Option<String>,
}

fn refused(status: &str, error: &str, message: &str) -> Answer {
    let body = json!({"status": status, "error": error, "message": message, "correlationId": "oauth"});
    Answer::json(400, &body).note(status.to_owned())
}

impl OAuth {
    /// Sets the app: `client_id`, `client_secret`, `expires_in` (seconds), `rotate`; `revoke: true` takes every token back,
    /// `expire: true` only the access tokens.
    pub fn seed(&mut self, wanted: &Value) {
        let text = |key: &str| wanted[key].as_str().map(str::to_owned);
        self.client_id = text("client_id").unwrap_or(std::mem::take(&mut self.client_id));
        self.client_secret = text("client_secret").unwrap_or(std::mem::take(&mut self.client_secret));
        self.life_s = wanted["expires_in"].as_i64().unwrap_or(if self.life_s == 0 { LIFE_S } else { self.life_s });
        self.rotates = wanted["rotate"].as_bool().unwrap_or(self.rotates);
        let revoked = wanted["revoke"] == true;
        if revoked || wanted["expire"] == true {
            self.access.clear();
        }
        if revoked {
            self.refresh.clear();
        }
    }

    /// Whether an access token is good.
    pub fn accepts(&self, token: &str, now: i64) -> bool {
        self.access.iter().any(|(access, until)| access == token && now < *until)
    }

    /// `GET /oauth/authorize`, `POST /oauth/{version}/token`; `None`: nothing of OAuth.
    pub fn handle(&mut self, call: &Call) -> Option<Answer> {
        let parts: Vec<&str> = call.segments.iter().map(String::as_str).collect();
        match (call.method, parts.as_slice()) {
            ("GET", ["oauth", "authorize"]) => Some(self.authorize(call)),
            ("POST", ["oauth", "v1" | "v3" | "2026-03" | "2026-09", "token"]) => Some(self.token(call)),
            _ => None,
        }
    }

    fn next(&mut self, kind: &str) -> String {
        self.made += 1;
        format!("{kind}-{:04}-{}", self.made, self.client_id)
    }

    /// Everybody agrees to everything.
    fn authorize(&mut self, call: &Call) -> Answer {
        let text = |name: &str| call.query(name).unwrap_or_default().to_owned();
        let wrong = |what: &str| Answer::text(400, "text/plain", format!("Authorization failed: {what}")).note(what);
        let redirect = text("redirect_uri");
        if self.client_id.is_empty() || text("client_id") != self.client_id {
            return wrong("unknown client_id");
        }
        if !(redirect.starts_with("https://") || redirect.starts_with("http://localhost")) {
            return wrong("a redirect URL is https, or http on localhost");
        }
        if text("scope").is_empty() || !matches!(call.query("response_type"), None | Some("code")) {
            return wrong("scope is missing, or response_type is not code");
        }
        let challenge = call.query("code_challenge").map(str::to_owned);
        if challenge.is_some() && call.query("code_challenge_method") != Some("S256") {
            return wrong("code_challenge_method must be S256");
        }
        let code = self.next("code");
        let state = call.query("state").map(|state| format!("&state={state}")).unwrap_or_default();
        let location = format!("{redirect}?code={code}{state}");
        self.codes.push(Code { code, redirect, challenge });
        Answer::empty(302).header("Location", location).note(format!("asked for {}", text("scope")))
    }

    fn token(&mut self, call: &Call) -> Answer {
        let form =
            call.header("content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        if !form || call.header("authorization").is_some() {
            return refused("BAD_REQUEST", "invalid_request", "all parameters go into the form");
        }
        let body = String::from_utf8_lossy(&call.request.body);
        let given = pairs(&body);
        let text = |name: &str| given.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
        if self.client_id.is_empty() || text("client_id") != self.client_id {
            return refused("BAD_CLIENT_ID", "invalid_client", "missing or unknown client id");
        }
        if text("client_secret") != self.client_secret {
            return refused("BAD_CLIENT_SECRET", "invalid_client", "missing or invalid client secret");
        }
        let refresh = match text("grant_type") {
            "authorization_code" => {
                let Some(at) = self.codes.iter().position(|code| code.code == text("code")) else {
                    return refused("BAD_AUTH_CODE", "invalid_grant", "missing or unknown auth code");
                };
                // A code counts once, whatever comes of it.
                let code = self.codes.remove(at);
                if code.redirect != text("redirect_uri") {
                    return refused("BAD_REDIRECT_URI", "invalid_grant", "the redirect URL is another one");
                }
                if code.challenge.is_some_and(|wanted| wanted != challenge(text("code_verifier"))) {
                    return refused("BAD_CODE_VERIFIER", "invalid_grant", "the code verifier does not match");
                }
                let refresh = self.next("refresh");
                self.refresh.push(refresh.clone());
                refresh
            }
            "refresh_token" => {
                let Some(at) = self.refresh.iter().position(|token| token == text("refresh_token")) else {
                    return refused("BAD_REFRESH_TOKEN", "invalid_grant", "missing or unknown refresh token");
                };
                if self.rotates {
                    self.refresh[at] = self.next("refresh");
                }
                self.refresh[at].clone()
            }
            _ => return refused("BAD_GRANT_TYPE", "unsupported_grant_type", "missing or unknown grant type"),
        };
        let access = self.next("access");
        self.access.retain(|(_, until)| call.now < *until);
        self.access.push((access.clone(), call.now + self.life_s * 1000));
        let body = json!({"token_type": "bearer", "access_token": access, "refresh_token": refresh,
            "expires_in": self.life_s});
        Answer::json(200, &body).note(format!("granted by {}", text("grant_type")))
    }
}

/// PKCE's S256: the SHA-256 of the verifier in URL-safe base64 without padding (RFC 7636, 4.2).
fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

#[cfg(test)]
mod tests {
    /// The example of RFC 7636, appendix B.
    #[test]
    fn a_challenge_is_the_hash_of_its_verifier() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(super::challenge(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
