//! The control surface below `/_sandbox/`: look at the state, put things there, plan faults, set limits.
//!
//! It needs no token and leaves no trace in the journal, because no vendor has it.

use serde_json::json;

use crate::Sandbox;
use crate::http::{Answer, Call};

pub(crate) fn handle(sandbox: &mut Sandbox, call: &Call) -> Answer {
    let rest = call.segments.get(1).map_or("", String::as_str);
    match (call.method, rest) {
        ("GET", "state") => Answer::json(200, &sandbox.state()),
        ("GET", "journal") => Answer::json(200, &json!(sandbox.journal)),
        ("GET", "faults") => Answer::json(200, &json!(sandbox.faults.0)),
        ("DELETE", "faults") => {
            sandbox.clear_faults();
            Answer::empty(204)
        }
        ("POST", "seed") => match call.json().and_then(|wanted| sandbox.seed(&wanted)) {
            Ok(ids) => Answer::json(200, &ids),
            Err(error) => refused(&error),
        },
        ("POST", "faults") => match serde_json::from_slice::<Vec<crate::Fault>>(&call.request.body) {
            Ok(faults) => {
                sandbox.add_faults(faults);
                Answer::json(200, &json!(sandbox.faults.0))
            }
            Err(error) => refused(&error.to_string()),
        },
        ("POST", "limits") => match serde_json::from_slice(&call.request.body) {
            Ok(limits) => {
                sandbox.set_limits(&limits);
                Answer::empty(204)
            }
            Err(error) => refused(&error.to_string()),
        },
        _ => Answer::json(404, &json!({"error": "no such control"})),
    }
}

fn refused(error: &str) -> Answer {
    Answer::json(400, &json!({ "error": error }))
}
