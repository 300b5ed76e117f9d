//! The token endpoint: a code or a refresh token for tokens, and what its refusals mean.

use std::pin::Pin;

use oauth2::basic::BasicClient;
use oauth2::{
    AsyncHttpClient, AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet,
    EndpointSet, HttpRequest, HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken,
    RequestTokenError, Scope, TokenResponse, TokenUrl,
};
use serde_json::Value as Json;

use super::browser::Asked;
use super::{MARGIN_MS, NoToken, Tokens};
use crate::clock;
use crate::config::App;

/// What a vendor says is read as tokens up to so many bytes.
const LONGEST: usize = 64 << 10;

type Client = BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

/// Speaks with the token endpoint of an app.
#[derive(Debug)]
pub(super) struct Exchange {
    client: Client,
    http: reqwest::Client,
    scopes: Vec<String>,
    vendor: &'static str,
}

/// The endpoint refused, or did not answer.
#[derive(Debug)]
pub(super) struct Failed(NoToken);

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no token")
    }
}

impl std::error::Error for Failed {}

impl Exchange {
    pub fn new(app: &App, http: reqwest::Client) -> Result<Self, String> {
        let address = |url: &str| format!("`{url}` is no address to log in at");
        let client = BasicClient::new(ClientId::new(app.client_id.clone()))
            .set_client_secret(ClientSecret::new(app.client_secret.expose().to_owned()))
            .set_auth_type(AuthType::RequestBody)
            .set_auth_uri(AuthUrl::new(app.authorize_url.clone()).map_err(|_| address(&app.authorize_url))?)
            .set_token_uri(TokenUrl::new(app.token_url.clone()).map_err(|_| address(&app.token_url))?);
        Ok(Self { client, http, scopes: app.scopes.clone(), vendor: app.vendor })
    }

    /// The page where a person agrees, with what its answer is to be held against.
    pub fn page(&self, redirect: &str) -> Result<Asked, String> {
        let redirect = RedirectUrl::new(redirect.to_owned()).map_err(|error| error.to_string())?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let client = self.client.clone().set_redirect_uri(redirect.clone());
        let (url, state) = client
            .authorize_url(CsrfToken::new_random)
            .add_scopes(self.scopes.iter().cloned().map(Scope::new))
            .set_pkce_challenge(challenge)
            .url();
        Ok(Asked { url: url.into(), redirect, state, verifier })
    }

    /// The tokens for a code.
    pub async fn redeem(
        &self,
        code: String,
        redirect: RedirectUrl,
        verifier: PkceCodeVerifier,
    ) -> Result<Tokens, NoToken> {
        let client = self.client.clone().set_redirect_uri(redirect);
        let request = client.exchange_code(AuthorizationCode::new(code)).set_pkce_verifier(verifier);
        tokens(request.request_async(self).await)
    }

    /// New tokens for a refresh token.
    pub async fn renew(&self, refresh: &str) -> Result<Tokens, NoToken> {
        let refresh = RefreshToken::new(refresh.to_owned());
        let request = self.client.exchange_refresh_token(&refresh);
        tokens(request.request_async(self).await)
    }

    /// Sends a request; whatever is no success is read here.
    async fn carry(&self, request: HttpRequest) -> Result<HttpResponse, Failed> {
        let silent = |error: reqwest::Error| {
            let what = if error.is_connect() { "it can't be reached" } else { "the connection broke" };
            Failed(NoToken::NoAnswer(format!("{} gave no token: {what}", self.vendor)))
        };
        let request = reqwest::Request::try_from(request).map_err(silent)?;
        let mut response = self.http.execute(request).await.map_err(silent)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(silent)? {
            if body.len() + chunk.len() > LONGEST {
                break;
            }
            body.extend_from_slice(&chunk);
        }
        let mut json: Json = serde_json::from_slice(&body).unwrap_or_default();
        if !status.is_success() {
            return Err(Failed(meaning(self.vendor, status.as_u16(), &json)));
        }
        // All vendors mean this one, and not all say it.
        if let Some(answer) = json.as_object_mut() {
            answer.entry("token_type").or_insert_with(|| "bearer".into());
        }
        let mut answer = HttpResponse::new(json.to_string().into_bytes());
        *answer.status_mut() = status;
        Ok(answer)
    }
}

impl<'c> AsyncHttpClient<'c> for Exchange {
    type Error = Failed;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Failed>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.carry(request))
    }
}

/// What a refusal means: a vendor that says in its own words that it gives no token will not give one tomorrow either.
/// Anything else, a proxy's page or a limit, passes.
fn meaning(vendor: &str, status: u16, answer: &Json) -> NoToken {
    let word = |name: &str| {
        let text = answer.get(name).and_then(Json::as_str).filter(|text| *text != "error")?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        (!text.is_empty() && text.len() <= 60 && text.chars().all(plain)).then_some(text)
    };
    let said = ["status", "error", "subCategory", "category"].into_iter().find_map(word);
    match said {
        Some(said) if (400..500).contains(&status) && ![408, 423, 425, 429].contains(&status) => {
            let client = ["invalid_client", "unauthorized_client", "BAD_CLIENT_ID", "BAD_CLIENT_SECRET"];
            let what = if client.contains(&said) { "does not know the app" } else { "takes the login back" };
            NoToken::NeedsLogin(format!("{vendor} {what} ({said})"))
        }
        _ => NoToken::NoAnswer(format!("{vendor} gave no token (status {status})")),
    }
}

type Answered = Result<oauth2::basic::BasicTokenResponse, RequestTokenError<Failed, oauth2::basic::BasicErrorResponse>>;

fn tokens(answered: Answered) -> Result<Tokens, NoToken> {
    let granted = match answered {
        Ok(granted) => granted,
        Err(RequestTokenError::Request(Failed(why))) => return Err(why),
        // The error may quote what was sent.
        Err(_) => return Err(NoToken::NoAnswer("the vendor's answer has no token in it".to_owned())),
    };
    let now = clock::system();
    let renew_at = granted.expires_in().map(|life| {
        let life = i64::try_from(life.as_millis()).unwrap_or(i64::MAX);
        now.plus_ms(life - MARGIN_MS.min(life / 4))
    });
    Ok(Tokens {
        access: granted.access_token().secret().clone(),
        refresh: granted.refresh_token().map(|token| token.secret().clone()).filter(|token| !token.is_empty()),
        renew_at,
        since: now,
        renewed_at: now,
        refused: None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_vendors_own_words_are_final_and_anything_else_passes() {
        for (status, body, wanted) in [
            (400, json!({"status": "BAD_REFRESH_TOKEN", "message": "no"}), "takes the login back (BAD_REFRESH_TOKEN)"),
            (400, json!({"status": "error", "error": "invalid_grant"}), "takes the login back (invalid_grant)"),
            (403, json!({"status": "BAD_HUB", "error": "access_denied"}), "takes the login back (BAD_HUB)"),
            (401, json!({"error": "invalid_client"}), "does not know the app (invalid_client)"),
            (400, json!({"status": "x@y.example leaked"}), ""),
            (404, Json::Null, ""),
            (429, json!({"status": "error", "error": "rate_limited"}), ""),
            (503, json!({"error": "down"}), ""),
        ] {
            match meaning("hubspot", status, &body) {
                NoToken::NeedsLogin(why) => assert!(!wanted.is_empty() && why.ends_with(wanted), "{why}"),
                NoToken::NoAnswer(why) => assert!(wanted.is_empty(), "{status} {body}: {why}"),
                NoToken::Store(error) => panic!("{error}"),
            }
        }
    }
}
