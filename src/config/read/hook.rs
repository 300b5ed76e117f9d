//! What goes to an address of somebody's own with each request: headers, and the secret that signs.

use vitalsync_core::section::{Faults, Kind, Node, Place};

use super::super::{Header, Hook, Secret};
use super::access;

/// Headers that are ours or the transport's.
const OURS: [&str; 8] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "idempotency-key",
    "transfer-encoding",
];

pub(super) fn read(
    address: String,
    signing: Option<&Node>,
    headers: Option<&Node>,
    faults: &mut Faults,
) -> Option<Hook> {
    let signing = match signing {
        None => Some(None),
        Some(node) => access::secret(node, "secret", faults).map(|secret| Some(Secret::new(secret))),
    };
    let mut read = Vec::new();
    let entries = headers.map(|node| node.entries(faults, "headers")).unwrap_or_default();
    for (name, place, node) in entries {
        let Some(name) = header_name(name, *place, faults) else { continue };
        if read.iter().any(|header: &Header| header.name == name) {
            faults.error(*place, format!("the header `{name}` stands here twice"));
        }
        let Some(value) = node.text(faults, "a header's value") else { continue };
        if value.chars().any(|c| !(' '..='~').contains(&c)) {
            faults.error(node.place, "a header's value has only printable ASCII characters");
        }
        let filled = matches!(&node.kind, Kind::Text(text) if text.value != text.written);
        read.push(Header { name, value: Secret::new(value.trim().to_owned()), filled });
    }
    (read.len() == entries.len()).then_some(Hook { address: Secret::new(address), signing: signing?, headers: read })
}

fn header_name(name: &str, place: Place, faults: &mut Faults) -> Option<String> {
    let lower = name.trim().to_lowercase();
    if lower.is_empty() || !lower.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)) {
        faults.error(place, format!("`{name}` can't name a header"));
        return None;
    }
    if OURS.contains(&lower.as_str()) || lower.starts_with("webhook-") {
        faults.error_with_hint(place, format!("the header `{lower}` is set by vitalsync itself"), "leave it out");
        return None;
    }
    Some(lower)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{Config, Credentials};

    fn read(keys: &str) -> Result<(String, Credentials), String> {
        let text = format!(
            "sources: {{ p: {{ type: segment_archive, location: ./a }} }}\nprofiles: [{{ events: {{ A: 1 }} }}]\n\
             destinations:\n  hook:\n    type: webhook\n    accounts: {{ fields: {{ score: health.score }} }}\n{keys}"
        );
        let lookup = |name: &str| {
            let known =
                [("URL", "https://x.example:8/in?key=s3cr3t-key"), ("SECRET", "s3cr3t-hmac"), ("KEY", "s3cr3t-header")];
            known.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let mut config = Config::parse(&text, Path::new("v.yaml"), &lookup).map_err(|refused| refused.text)?;
        let destination = config.destinations.remove(0);
        Ok((destination.base_url, destination.credentials))
    }

    #[test]
    fn the_address_is_parted_and_its_secrets_are_known_as_such() {
        let keys =
            "    url: \"${URL}\"\n    secret: \"${SECRET}\"\n    headers: { X-Api-Key: \"${KEY}\", x-env: live }\n";
        let (base_url, credentials) = read(keys).unwrap();
        assert_eq!(base_url, "https://x.example:8");
        let secrets: Vec<&str> = credentials.secrets().map(|secret| secret.expose()).collect();
        assert_eq!(secrets, ["/in?key=s3cr3t-key", "s3cr3t-hmac", "s3cr3t-header"]);
        let Credentials::Hook(hook) = credentials else { panic!() };
        let headers: Vec<_> = hook.headers.iter().map(|header| (header.name.as_str(), header.value.expose())).collect();
        assert_eq!(headers, [("x-api-key", "s3cr3t-header"), ("x-env", "live")]);
        assert!(!format!("{hook:?}").contains("s3cr3t"));
    }

    #[test]
    fn what_no_request_could_carry_is_refused_without_its_value() {
        let faults = |keys: &str| {
            let said = read(keys).unwrap_err();
            assert!(!said.contains("s3cr3t"), "{said}");
            said
        };
        assert!(faults("").contains("`url` is missing"));
        assert!(faults("    url: s3cr3t.example\n").contains("`url` is no address"));
        assert!(faults("    url: \"https://me:s3cr3t@x.example\"\n").contains("name or password before its host"));
        let said = faults(
            "    url: \"${URL}\"\n    secret: \"\"\n    headers: { Content-Type: a, Webhook-Id: b, \"a b\": c, x: \"é\", X: d }\n",
        );
        for part in [
            "the secret is empty",
            "`content-type` is set by vitalsync",
            "`webhook-id` is set by vitalsync",
            "`a b` can't name a header",
            "only printable ASCII",
            "`x` stands here twice",
        ] {
            assert!(said.contains(part), "{part} is not in:\n{said}");
        }
    }
}
