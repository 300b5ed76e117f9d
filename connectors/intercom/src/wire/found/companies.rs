//! What companies and their tag groups hold: by the list of all companies where that takes fewer requests, else one by one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use vitalsync_core::connector::{Method, Operation, Outcome};

use super::super::exchange::{Exchange, Next, encoded, id_of, reject, retry};
use super::{attribute_differs, company_tags, gone, group_differs, is_as_told};
use crate::{COMPANY, Intercom, TAG_FIELD, group_of};

/// Companies of a page of the list. The specification names no most; older documents had this as the usual.
const PAGE: usize = 50;
/// The list goes no further. Source: Intercom's reference, *List all companies*.
const LISTED: usize = 10_000;

pub(in super::super) fn read(
    intercom: &Intercom,
    operations: &[Operation],
    exchange: &mut Exchange<'_>,
) -> Next<Vec<Outcome>> {
    let mut asked = BTreeSet::new();
    for operation in operations {
        let Some(id) = operation.remote_id.as_deref() else { return reject("the question names no company") };
        asked.insert(id);
    }
    let listed = list(&asked, exchange)?;
    let mut singles: BTreeMap<&str, Option<Json>> = BTreeMap::new();
    let mut outcomes = Vec::new();
    for operation in operations {
        let id = operation.remote_id.as_deref().unwrap_or_default();
        if let Some(company) = listed.get(id)
            && let Ok(outcome) = holds(intercom, operation, id, company)
            && is_as_told(&outcome)
        {
            outcomes.push(outcome);
            continue;
        }
        if !singles.contains_key(id) {
            singles.insert(id, single(id, exchange)?);
        }
        outcomes.push(match singles.get(id).and_then(Option::as_ref) {
            Some(company) => holds(intercom, operation, id, company)?,
            None => gone("the company was deleted in Intercom"),
        });
    }
    Ok(outcomes)
}

/// The companies asked for that the list shows, as long as half as many pages are left as companies: it does not show those without
/// a contact, and its order may change meanwhile, so that some are read by themselves in any case.
fn list(asked: &BTreeSet<&str>, exchange: &mut Exchange<'_>) -> Next<BTreeMap<String, Json>> {
    let mut found = BTreeMap::new();
    let mut shown = BTreeSet::new();
    let mut page = 1;
    // One is read as fast by itself.
    let mut pages = usize::from(asked.len() > 1);
    while page <= pages && found.len() < asked.len() {
        let path = format!("/companies/list?page={page}&per_page={PAGE}");
        let answer = exchange.ask(Method::Post, path, None)?;
        let body = answer.json();
        let Some(companies) = body.get("data").and_then(Json::as_array).filter(|list| !list.is_empty()) else { break };
        let before = shown.len();
        shown.extend(companies.iter().filter_map(id_of));
        // A page with nothing new leads nowhere.
        if shown.len() == before {
            break;
        }
        let ours = companies.iter().filter_map(|one| Some((id_of(one)?, one)));
        found.extend(ours.filter(|(id, _)| asked.contains(id.as_str())).map(|(id, one)| (id, one.clone())));
        let all = body.pointer("/pages/total_pages").and_then(Json::as_u64).and_then(|all| usize::try_from(all).ok());
        pages = all.unwrap_or(1).min(LISTED / PAGE);
        let left = asked.len().saturating_sub(found.len());
        if pages.saturating_sub(page) * 2 > left {
            break;
        }
        page += 1;
    }
    Ok(found)
}

fn single(id: &str, exchange: &mut Exchange<'_>) -> Next<Option<Json>> {
    let answer = exchange.ask(Method::Get, format!("/companies/{}", encoded(id)), None)?;
    if answer.status == 404 {
        return Ok(None);
    }
    let company = exchange.object(answer)?;
    match id_of(&company).as_deref() == Some(id) {
        true => Ok(Some(company)),
        false => retry(None, "Intercom answered with another company"),
    }
}

/// What of a company, or of one of its tag groups, is not as we told it.
fn holds(intercom: &Intercom, operation: &Operation, id: &str, company: &Json) -> Next<Outcome> {
    let mut differs = BTreeMap::new();
    for (field, change) in &operation.fields {
        let difference = match group_of(&operation.slot) {
            Some((group, _)) if field == TAG_FIELD => {
                group_differs(intercom.tags(COMPANY, &group), &change.old, &company_tags(company)?)
            }
            _ => attribute_differs(intercom, COMPANY, field, &change.old, company),
        };
        differs.extend(difference.map(|value| (field.clone(), value)));
    }
    Ok(Outcome::Found { remote_id: Some(id.to_owned()), differs })
}
