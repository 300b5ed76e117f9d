//! `vitalsync sandbox`: the vendors on loopback, to try a config against.

use tokio::net::TcpListener;
use vitalsync_sandbox::{Sandbox, Vendor};

use super::run::asked_to_end;
use super::{Options, Outcome, say, say_json};
use crate::demo::serve;

/// The token that the sandbox accepts.
pub(super) const TOKEN: &str = "sandbox-token";

pub(super) async fn run(options: &Options) -> Outcome {
    let mut served = Vec::new();
    for (name, vendor) in [
        ("hubspot", Vendor::HubSpot),
        ("intercom", Vendor::Intercom),
        ("slack", Vendor::Slack),
        ("webhook", Vendor::Webhook),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        served.push((name, serve::serve(listener, Sandbox::new(vendor, TOKEN))?));
    }
    if options.json() {
        let addresses: serde_json::Map<String, serde_json::Value> =
            served.iter().map(|(name, served)| ((*name).to_owned(), served.base_url().into())).collect();
        say_json(&serde_json::json!({"token": TOKEN, "base_url": addresses}));
    } else {
        say(&format!("token: {TOKEN}"));
        served.iter().for_each(|(name, served)| match *name {
            "webhook" => say(&format!("{name}: url: {}/hooks/{TOKEN}", served.base_url())),
            _ => say(&format!("{name}: base_url: {}", served.base_url())),
        });
        say("look at the addresses in a browser; seed and inspect below /_sandbox/; end with Ctrl-C");
    }
    asked_to_end().await?;
    Ok(0)
}
