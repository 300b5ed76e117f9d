//! The way through the browser: a page at the vendor, and a loopback address that it comes back to with a code.
//!
//! The answer counts only with the `state` that was sent along, and the code only with the PKCE verifier that never left this
//! process. Whatever else comes to the port is turned away.

use std::net::{Ipv4Addr, Ipv6Addr};

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use oauth2::{CsrfToken, PkceCodeVerifier, RedirectUrl};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::{Login, NoToken, Tokens};

/// Where the browser comes back to.
const PATH: &str = "/callback";

/// What a person was asked.
#[derive(Debug)]
pub struct Asked {
    /// The page to open.
    pub url: String,
    pub(super) redirect: RedirectUrl,
    pub(super) state: CsrfToken,
    pub(super) verifier: PkceCodeVerifier,
}

/// A port on this machine that waits for the browser.
#[derive(Debug)]
pub struct Loopback {
    listeners: Vec<TcpListener>,
    port: u16,
}

/// What the browser brought.
enum Brought {
    Code(String),
    Refusal(String),
}

impl Loopback {
    /// Listens on a port of both loopback addresses, or of the one that there is; 0: any that is free.
    pub async fn listen(port: u16) -> std::io::Result<Self> {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let port = first.local_addr()?.port();
        let second = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await.ok();
        Ok(Self { listeners: std::iter::once(first).chain(second).collect(), port })
    }

    /// The address that the app must know beforehand. By name, because HubSpot lets apps come back without TLS only to
    /// `localhost`.
    pub fn redirect(&self) -> String {
        format!("http://localhost:{}{PATH}", self.port)
    }

    /// Waits for the answer to what was asked.
    async fn answer(self, asked: &Asked) -> std::io::Result<Brought> {
        let (bring, mut brought) = mpsc::channel(1);
        let serve = |listener: TcpListener| {
            let (bring, state) = (bring.clone(), asked.state.secret().clone());
            async move {
                loop {
                    let Ok((stream, _)) = listener.accept().await else { continue };
                    let (bring, state) = (bring.clone(), state.clone());
                    let service = service_fn(move |request| {
                        let (bring, state) = (bring.clone(), state.clone());
                        async move {
                            let (status, text, came) = read(&request, &state);
                            if let Some(came) = came {
                                let _ = bring.try_send(came);
                            }
                            hyper::Response::builder()
                                .status(status)
                                .header("content-type", "text/plain; charset=utf-8")
                                .header("connection", "close")
                                .body(Full::<Bytes>::from(text))
                        }
                    });
                    tokio::spawn(async move {
                        let _ = hyper::server::conn::http1::Builder::new()
                            .keep_alive(false)
                            .serve_connection(TokioIo::new(stream), service)
                            .await;
                    });
                }
            }
        };
        let serving = futures_util::future::join_all(self.listeners.into_iter().map(serve));
        tokio::select! {
            _ = serving => Err(std::io::Error::other("the port was closed")),
            came = brought.recv() => came.ok_or_else(|| std::io::Error::other("the port was closed")),
        }
    }
}

/// What a request to the port means: what to answer, and what it brings.
fn read<B>(request: &hyper::Request<B>, state: &str) -> (u16, &'static str, Option<Brought>) {
    if request.uri().path() != PATH {
        return (404, "Nothing is here.", None);
    }
    let query = request.uri().query().unwrap_or_default();
    let find = |name: &str| {
        oauth2::url::form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    };
    if find("state").as_deref() != Some(state) {
        return (
            400,
            "This is not the answer to the question that vitalsync asked. Begin again from its address.",
            None,
        );
    }
    match (find("code"), find("error")) {
        (Some(code), None) if !code.is_empty() => {
            (200, "vitalsync is logged in if its window says so. You can close this page.", Some(Brought::Code(code)))
        }
        (_, Some(error)) => (200, "Nothing was allowed. You can close this page.", Some(Brought::Refusal(error))),
        _ => (400, "There is no code in this answer.", None),
    }
}

impl Login {
    /// What to ask a person for, who comes back to a loopback address.
    pub fn ask(&self, loopback: &Loopback) -> Result<Asked, String> {
        self.exchange.page(&loopback.redirect())
    }

    /// Waits until the browser comes back, and exchanges what it brings for tokens. They are not kept yet.
    pub async fn wait(&self, loopback: Loopback, asked: Asked) -> Result<Tokens, NoToken> {
        let gone = |error: std::io::Error| NoToken::NoAnswer(error.to_string());
        match loopback.answer(&asked).await.map_err(gone)? {
            Brought::Code(code) => self.exchange.redeem(code, asked.redirect, asked.verifier).await,
            Brought::Refusal(error) => {
                let error = vitalsync_core::connector::scrub(&error);
                Err(NoToken::NeedsLogin(format!("{} did not let vitalsync in ({error})", self.app.vendor)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_to_the_question_counts() {
        for (path, status, brings) in [
            ("/callback?state=s&code=c%2B1", 200, "c+1"),
            ("/callback?state=s&error=access_denied", 200, "!access_denied"),
            ("/callback?state=other&code=c", 400, ""),
            ("/callback?code=c", 400, ""),
            ("/callback?state=s", 400, ""),
            ("/favicon.ico", 404, ""),
        ] {
            let request = hyper::Request::get(path).body(()).unwrap();
            let (answered, _, came) = read(&request, "s");
            let came = match came {
                None => String::new(),
                Some(Brought::Code(code)) => code,
                Some(Brought::Refusal(error)) => format!("!{error}"),
            };
            assert_eq!((answered, came.as_str()), (status, brings), "{path}");
        }
    }
}
