//! Reading records by an id or by a unique property: what is there, what HubSpot says is not, and what it says nothing of.
//!
//! Read, not searched: what was written a moment ago is found. An id that was merged away is answered with the record
//! that it was merged into, under that record's own id.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use vitalsync_core::connector::Step;

use super::batch::{Answered, id, property};
use super::exchange::{Exchange, Got};
use super::reason::texts;
use crate::kind::Kind;
use crate::{BATCH, HubSpot};

/// What is asked for.
pub(super) struct Look<'a> {
    /// The unique property by which; `None`: the record's id.
    pub by: Option<&'a str>,
    /// Its values.
    pub values: BTreeSet<String>,
    /// The properties to read.
    pub properties: BTreeSet<&'a str>,
}

/// What is there.
#[derive(Default)]
pub(super) struct Seen {
    /// Records by the value that was asked for.
    pub found: BTreeMap<String, Vec<Json>>,
    /// The values of which HubSpot says that nothing has them. Silence is not among them.
    pub absent: BTreeSet<String>,
}

/// Reads, a hundred at a time. `names`: the values by which a result may have been asked for.
pub(super) fn look(
    hubspot: &HubSpot,
    kind: &Kind,
    exchange: &mut Exchange<'_>,
    look: Look<'_>,
    names: impl Fn(&Json) -> Vec<String>,
) -> Result<Seen, Step> {
    let mut seen = Seen::default();
    let values: Vec<&str> = look.values.iter().map(String::as_str).collect();
    for chunk in values.chunks(BATCH) {
        let inputs: Vec<Json> = chunk.iter().map(|value| json!({"id": value})).collect();
        let mut body = json!({"properties": look.properties, "propertiesWithHistory": [], "inputs": inputs});
        if let Some(by) = look.by {
            body["idProperty"] = by.into();
        }
        let json = match exchange.post(hubspot.objects(kind, "batch/read"), &body)? {
            Got::Fine(json) => json,
            // Unknown ids are listed in `errors` of a 207; where none is known, a 404 is as good.
            Got::Refused(refused) if refused.status == 404 && is_not_there(&refused.body) => {
                seen.absent.extend(chunk.iter().map(|value| (*value).to_owned()));
                continue;
            }
            Got::Refused(refused) => return Err(exchange.refuse(&refused)),
        };
        let answered = Answered::read(&json)?;
        for result in answered.results {
            let mut names = names(result);
            names.retain(|name| look.values.contains(name));
            // Whatever it calls itself, it answers the only question.
            if let ([only], true) = (chunk, names.is_empty()) {
                names.push((*only).to_owned());
            }
            for name in names {
                seen.found.entry(name).or_default().push(result.clone());
            }
        }
        for error in answered.errors.iter().filter(|error| is_not_there(error)) {
            let context = error.get("context");
            let ids = ["ids", "id"].iter().flat_map(|name| texts(context.and_then(|context| context.get(*name))));
            seen.absent.extend(ids.chain(texts(error.get("id"))).map(str::to_owned));
        }
        if let ([only], [], [error]) = (chunk, answered.results, answered.errors)
            && is_not_there(error)
        {
            seen.absent.insert((*only).to_owned());
        }
    }
    for found in seen.found.keys() {
        seen.absent.remove(found);
    }
    Ok(seen)
}

/// The ids under which a record may have been asked for: its own, and those that were merged into it.
pub(super) fn ids_of(kind: &Kind, result: &Json) -> Vec<String> {
    let merged = kind.merged.iter().flat_map(|name| property(result, name).unwrap_or_default().split(';'));
    // `hs_calculated_merged_vids` has the moment of the merge behind each id.
    let merged = merged.map(|part| part.split(':').next().unwrap_or_default().trim().to_owned());
    id(result).into_iter().chain(merged.filter(|id| !id.is_empty())).collect()
}

/// True where HubSpot says that there is no such record.
pub(super) fn is_not_there(error: &Json) -> bool {
    error.get("category").and_then(Json::as_str) == Some("OBJECT_NOT_FOUND")
}
