//! `vitalsync demo`

use super::{Options, Outcome, say, say_json};
use crate::demo;

pub(super) async fn run(once: bool, options: &Options) -> Outcome {
    let running = demo::Demo::start().await?;
    let report = running.passes().await?;
    if options.json() {
        say_json(&report);
    } else {
        say(&running.told(&report));
    }
    if once {
        if !options.json() {
            say("the addresses ended with this pass; `vitalsync demo` keeps them open");
        }
    } else {
        say(&running.addresses());
        running.serve(super::run::asked_to_end()).await?;
    }
    Ok(0)
}
