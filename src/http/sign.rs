//! What proves to an address of somebody's own that a request is ours: the config's headers, and a signature as the Standard
//! Webhooks specification (1.0.0) has it, which its libraries check: `v1,` and the base64 of HMAC-SHA256 over
//! `id.timestamp.body`. The id is the request's idempotency key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use vitalsync_core::Timestamp;
use vitalsync_core::connector::Request;

use crate::config::Hook;

/// Marks a secret that is base64.
const PREFIX: &str = "whsec_";

/// The request with what proves that it is ours.
pub(super) fn proved(
    mut builder: reqwest::RequestBuilder,
    hook: &Hook,
    request: &Request,
    now: Timestamp,
) -> reqwest::RequestBuilder {
    for header in &hook.headers {
        builder = builder.header(&header.name, header.value.expose());
    }
    let Some(secret) = &hook.signing else { return builder };
    let id = request.headers.iter().find(|(name, _)| *name == "Idempotency-Key").map_or("", |(_, id)| id);
    let seconds = now.seconds();
    let signature = signature(secret.expose(), id, seconds, request.body.as_deref().unwrap_or_default());
    builder.header("webhook-id", id).header("webhook-timestamp", seconds).header("webhook-signature", signature)
}

/// The signature of one request. A secret that is `whsec_` and base64 stands for those bytes, any other for its own.
fn signature(secret: &str, id: &str, seconds: i64, body: &str) -> String {
    let decoded = secret.strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok());
    let key = hmac::Key::new(hmac::HMAC_SHA256, &decoded.unwrap_or_else(|| secret.as_bytes().to_vec()));
    let tag = hmac::sign(&key, format!("{id}.{seconds}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_signs_as_the_specification_does() {
        // The example of the specification's own libraries.
        let (id, seconds, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
        let known = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", id, seconds, body), known);
        assert_ne!(signature("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", id, seconds, body), known);
        assert_ne!(signature("whsec_not base64", id, seconds, body), signature("", id, seconds, body));
    }
}
