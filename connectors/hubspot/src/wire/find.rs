//! Finding companies whose record id is not known: by our own property, by domain.
//!
//! A company is taken only if it is the one that fits and nobody else's. HubSpot's search lags behind writes, so what it
//! does not find is never taken as proof that creation is safe; the upsert by our own property is.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use vitalsync_core::connector::Step;

use super::batch::{Answered, id, property};
use super::exchange::{Exchange, Got, Refused};
use crate::{BATCH, HubSpot, domain};

/// The longest body of a search, in bytes and so at most in characters. Source: HubSpot's guide *CRM search*.
const LONGEST_SEARCH: usize = 3_000;
/// The most filter groups of a search.
const MOST_GROUPS: usize = 5;
/// The most results of a page.
const PAGE: usize = 200;
/// HubSpot's further domains of a company, joined by `;`.
const FURTHER: &str = "hs_additional_domains";

/// Record ids by the value of our own property. Read, not searched: what was written a moment ago is found.
pub(super) fn by_own(
    hubspot: &HubSpot,
    exchange: &mut Exchange<'_>,
    own: &str,
    values: &BTreeSet<&str>,
) -> Result<BTreeMap<String, BTreeSet<String>>, Step> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let values: Vec<&str> = values.iter().copied().collect();
    for chunk in values.chunks(BATCH) {
        let inputs: Vec<Json> = chunk.iter().map(|value| json!({"id": value})).collect();
        let body =
            json!({"idProperty": own, "properties": [own, "domain"], "propertiesWithHistory": [], "inputs": inputs});
        let json = match exchange.post(hubspot.objects("batch/read"), &body)? {
            Got::Fine(json) => json,
            // Unknown ids are listed in `errors` of a 207; where none is known, a 404 is as good.
            Got::Refused(refused)
                if refused.status == 404
                    && refused.body.get("category").and_then(Json::as_str) == Some("OBJECT_NOT_FOUND") =>
            {
                continue;
            }
            Got::Refused(refused) => return Err(exchange.refuse(&refused)),
        };
        for result in Answered::read(&json)?.results {
            if let (Some(id), Some(value)) = (id(result), property(result, own)) {
                found.entry(value.to_owned()).or_default().insert(id);
            }
        }
    }
    Ok(found)
}

/// A company that has a domain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    /// Its record id.
    pub id: String,
    /// The account that it belongs to already, by our own property.
    pub account: Option<String>,
}

/// Companies by bare domain. Those whose first domain it is come before those that have it among further ones.
pub(super) fn by_domain(
    hubspot: &HubSpot,
    exchange: &mut Exchange<'_>,
    domains: &BTreeSet<String>,
) -> Result<BTreeMap<String, BTreeSet<Candidate>>, Step> {
    let all: Vec<&str> = domains.iter().map(String::as_str).collect();
    let mut first = BTreeMap::new();
    let mut further = BTreeMap::new();
    let mut rest = all.as_slice();
    while !rest.is_empty() {
        let mut take = rest.len().min(BATCH);
        let mut body = search(hubspot, rest.get(..take).unwrap_or(rest));
        while take > 1 && body.to_string().len() > LONGEST_SEARCH - AFTER {
            take -= take.div_ceil(8).min(take - 1);
            body = search(hubspot, rest.get(..take).unwrap_or(rest));
        }
        if let Some(refused) = pages(hubspot, exchange, body, &mut first, &mut further)? {
            return Err(exchange.refuse(&refused));
        }
        rest = rest.get(take..).unwrap_or_default();
    }
    let left: Vec<&str> = all.into_iter().filter(|domain| !first.contains_key(*domain)).collect();
    for chunk in left.chunks(MOST_GROUPS) {
        let body = request(hubspot, chunk.iter().map(|domain| further_group(domain)).collect());
        // A portal that can't be asked for further domains has none to find: the first ones were asked for and answered.
        match pages(hubspot, exchange, body, &mut BTreeMap::new(), &mut further)? {
            Some(refused) if refused.status != 400 => return Err(exchange.refuse(&refused)),
            Some(_) => break,
            None => {}
        }
    }
    for (domain, candidates) in further {
        first.entry(domain).or_insert(candidates);
    }
    first.retain(|domain, _| domains.contains(domain));
    Ok(first)
}

/// Room for the cursor of a further page.
const AFTER: usize = 100;

/// `IN` asks for many domains at once; for further domains there is only `CONTAINS_TOKEN`, one at a time.
fn search(hubspot: &HubSpot, domains: &[&str]) -> Json {
    request(hubspot, vec![json!({"filters": [{"propertyName": "domain", "operator": "IN", "values": domains}]})])
}

fn further_group(domain: &str) -> Json {
    json!({"filters": [{"propertyName": FURTHER, "operator": "CONTAINS_TOKEN", "value": domain}]})
}

fn request(hubspot: &HubSpot, groups: Vec<Json>) -> Json {
    let properties: Vec<&str> = ["domain", FURTHER].into_iter().chain(hubspot.own.as_deref()).collect();
    json!({"filterGroups": groups, "properties": properties, "limit": PAGE})
}

type Found = BTreeMap<String, BTreeSet<Candidate>>;

/// All pages of a search; the refusal, if HubSpot refused it. What it found is compared exactly: `CONTAINS_TOKEN` may find more than was asked.
fn pages(
    hubspot: &HubSpot,
    exchange: &mut Exchange<'_>,
    mut body: Json,
    first: &mut Found,
    further: &mut Found,
) -> Result<Option<Refused>, Step> {
    loop {
        let json = match exchange.search(hubspot.objects("search"), body.to_string())? {
            Got::Fine(json) => json,
            Got::Refused(refused) => return Ok(Some(refused)),
        };
        let Some(results) = json.get("results").and_then(Json::as_array) else {
            return Err(super::exchange::unreadable());
        };
        for result in results {
            let Some(id) = id(result) else { continue };
            let account = hubspot.own.as_deref().and_then(|own| property(result, own)).map(str::to_owned);
            let candidate = Candidate { id, account };
            if let Some(domain) = property(result, "domain").and_then(domain::bare) {
                first.entry(domain).or_default().insert(candidate.clone());
            }
            for domain in property(result, FURTHER).unwrap_or_default().split(';').filter_map(domain::bare) {
                further.entry(domain).or_default().insert(candidate.clone());
            }
        }
        let after = match json.pointer("/paging/next/after") {
            Some(Json::String(after)) if !after.is_empty() && after.len() <= AFTER / 2 => after.clone(),
            Some(Json::Number(after)) => after.to_string(),
            _ => return Ok(None),
        };
        body["after"] = after.into();
    }
}
