//! The sandbox vendors on loopback sockets. The sandbox decides every answer; this carries it, and breaks connections where
//! the sandbox asks for that.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use vitalsync_sandbox::{Request, Sandbox};

use crate::clock;

/// One vendor, served until it is dropped.
pub struct Served {
    /// Its address.
    pub address: SocketAddr,
    /// Its state.
    pub sandbox: Arc<Mutex<Sandbox>>,
    task: JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Served {
    /// Scheme, host and port.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The vendor, to look at or to seed.
    pub fn vendor(&self) -> std::sync::MutexGuard<'_, Sandbox> {
        self.sandbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves a vendor on a listener.
pub fn serve(listener: TcpListener, sandbox: Sandbox) -> std::io::Result<Served> {
    let address = listener.local_addr()?;
    let sandbox = Arc::new(Mutex::new(sandbox));
    let shared = Arc::clone(&sandbox);
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let sandbox = Arc::clone(&shared);
            tokio::spawn(async move {
                let service = service_fn(move |request| answer(Arc::clone(&sandbox), request));
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(Served { address, sandbox, task })
}

/// The connection is to be broken without an answer.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the sandbox breaks the connection")
    }
}

impl std::error::Error for Broken {}

impl From<Infallible> for Broken {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

async fn answer(
    sandbox: Arc<Mutex<Sandbox>>,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Full<Bytes>>, Broken> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Broken)?.to_bytes().to_vec();
    let request = Request {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path_and_query().map(|path| path.as_str().to_owned()).unwrap_or_default(),
        headers: parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        body,
    };
    let reply = sandbox.lock().unwrap_or_else(PoisonError::into_inner).handle(&request, clock::system().0);
    if reply.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(reply.delay_ms)).await;
    }
    if reply.drop {
        return Err(Broken);
    }
    let mut response = hyper::Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    response.body(Full::from(reply.body)).map_err(|_| Broken)
}
