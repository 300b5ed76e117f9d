//! Finding records whose id is not known: by our own property, by e-mail address, by domain.
//!
//! A record is taken only if it is the one that fits and nobody else's. HubSpot's search lags behind writes, so what it
//! does not find is never taken as proof that creation is safe; the upsert by our own property is. Only companies are
//! searched for: an e-mail address is unique, and can be read by.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use vitalsync_core::connector::Step;

use super::batch::{id, property};
use super::exchange::{Exchange, Got, Refused};
use super::look::{Look, look};
use super::paging::Paging;
use crate::kind::Natural;
use crate::{BATCH, HubSpot, Section, domain};

/// Candidates by the value that was looked for.
pub(super) type Found = BTreeMap<String, BTreeSet<Candidate>>;

/// The longest body of a search, in bytes and so at most in characters. Source: HubSpot's guide *CRM search*.
const LONGEST_SEARCH: usize = 3_000;
/// The most filter groups of a search.
const MOST_GROUPS: usize = 5;
/// The most results of a page.
const PAGE: usize = 200;

/// Record ids by the value of our own property.
pub(super) fn by_own(
    hubspot: &HubSpot,
    section: &Section,
    exchange: &mut Exchange<'_>,
    own: &str,
    values: BTreeSet<String>,
) -> Result<BTreeMap<String, BTreeSet<String>>, Step> {
    let properties = BTreeSet::from([own, section.kind.natural.by]);
    let named = |json: &Json| property(json, own).map(str::to_owned).into_iter().collect();
    let seen = look(hubspot, section.kind, exchange, Look { by: Some(own), values, properties }, named)?;
    Ok(seen.found.into_iter().map(|(value, found)| (value, found.iter().filter_map(id).collect())).collect())
}

/// Contacts by e-mail address. The further addresses of a contact find it too.
pub(super) fn by_email(
    hubspot: &HubSpot,
    section: &Section,
    exchange: &mut Exchange<'_>,
    values: BTreeSet<String>,
) -> Result<Found, Step> {
    let natural = &section.kind.natural;
    let properties = [natural.by, natural.further].into_iter().chain(section.own()).collect();
    let look_for = Look { by: Some(natural.by), values, properties };
    let seen = look(hubspot, section.kind, exchange, look_for, |json| values_of(natural, json).collect())?;
    let candidate = |json: &Json| Candidate::of(section, json);
    Ok(seen.found.into_iter().map(|(value, found)| (value, found.iter().filter_map(candidate).collect())).collect())
}

/// The first and the further values of a natural key that a record has.
fn values_of(natural: &Natural, json: &Json) -> impl Iterator<Item = String> {
    let further = property(json, natural.further).unwrap_or_default().split(';');
    property(json, natural.by).into_iter().chain(further).filter_map(natural.bare)
}

/// A record that has the value of a natural key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    /// Its record id.
    pub id: String,
    /// Whose it is already, by our own property.
    pub owner: Option<String>,
}

impl Candidate {
    /// What a read or a search says of a record.
    pub fn of(section: &Section, json: &Json) -> Option<Self> {
        let owner = section.own().and_then(|own| property(json, own)).map(str::to_owned);
        Some(Self { id: id(json)?, owner })
    }
}

/// Companies by bare domain. Those whose first domain it is come before those that have it among further ones.
pub(super) fn by_domain(
    hubspot: &HubSpot,
    section: &Section,
    exchange: &mut Exchange<'_>,
    domains: &BTreeSet<String>,
) -> Result<Found, Step> {
    let all: Vec<&str> = domains.iter().map(String::as_str).collect();
    let mut first = BTreeMap::new();
    let mut further = BTreeMap::new();
    let mut rest = all.as_slice();
    while !rest.is_empty() {
        let mut take = rest.len().min(BATCH);
        let mut body = search(section, rest.get(..take).unwrap_or(rest));
        while take > 1 && body.to_string().len() > LONGEST_SEARCH - AFTER {
            take -= take.div_ceil(8).min(take - 1);
            body = search(section, rest.get(..take).unwrap_or(rest));
        }
        if let Some(refused) = pages(hubspot, section, exchange, body, &mut first, &mut further)? {
            return Err(exchange.refuse(&refused));
        }
        rest = rest.get(take..).unwrap_or_default();
    }
    let left: Vec<&str> = all.into_iter().filter(|domain| !first.contains_key(*domain)).collect();
    if !all_further(hubspot, section, exchange, left.len().div_ceil(MOST_GROUPS), &mut further)? {
        for chunk in left.chunks(MOST_GROUPS) {
            let body = request(section, chunk.iter().map(|domain| further_group(section, domain)).collect());
            // A portal that can't be asked for further domains has none to find: the first ones were asked for and answered.
            match pages(hubspot, section, exchange, body, &mut BTreeMap::new(), &mut further)? {
                Some(refused) if refused.status != 400 => return Err(exchange.refuse(&refused)),
                Some(_) => break,
                None => {}
            }
        }
    }
    for (domain, candidates) in further {
        first.entry(domain).or_insert(candidates);
    }
    first.retain(|domain, _| domains.contains(domain));
    Ok(first)
}

/// Reads all companies that have further domains, where that takes fewer searches than so many: mostly they are few. False
/// if it does not, or HubSpot can't be asked so.
fn all_further(
    hubspot: &HubSpot,
    section: &Section,
    exchange: &mut Exchange<'_>,
    searches: usize,
    further: &mut Found,
) -> Result<bool, Step> {
    let has = json!({"filters": [{"propertyName": section.kind.natural.further, "operator": "HAS_PROPERTY"}]});
    let mut body = request(section, vec![has]);
    let mut paging = Paging::default();
    for _ in 1..searches {
        let page = match page(hubspot, section, exchange, (&body, &mut paging), &mut BTreeMap::new(), further)? {
            Ok(page) => page,
            Err(refused) if refused.status == 400 => break,
            Err(refused) => return Err(exchange.refuse(&refused)),
        };
        let Some(after) = page.after else { return Ok(true) };
        if page.total.is_some_and(|total| total.div_ceil(PAGE) >= searches) {
            break;
        }
        body["after"] = after.into();
    }
    Ok(false)
}

/// Room for the cursor of a further page.
const AFTER: usize = 100;

/// `IN` asks for many domains at once; for further domains there is only `CONTAINS_TOKEN`, one at a time, or all that there are.
fn search(section: &Section, domains: &[&str]) -> Json {
    request(section, vec![json!({"filters": [{"propertyName": "domain", "operator": "IN", "values": domains}]})])
}

fn further_group(section: &Section, domain: &str) -> Json {
    json!({"filters": [{"propertyName": section.kind.natural.further, "operator": "CONTAINS_TOKEN", "value": domain}]})
}

fn request(section: &Section, groups: Vec<Json>) -> Json {
    let properties: Vec<&str> = ["domain", section.kind.natural.further].into_iter().chain(section.own()).collect();
    json!({"filterGroups": groups, "properties": properties, "limit": PAGE})
}

/// All pages of a search; the refusal, if HubSpot refused it.
fn pages(
    hubspot: &HubSpot,
    section: &Section,
    exchange: &mut Exchange<'_>,
    mut body: Json,
    first: &mut Found,
    further: &mut Found,
) -> Result<Option<Refused>, Step> {
    let mut paging = Paging::default();
    loop {
        match page(hubspot, section, exchange, (&body, &mut paging), first, further)? {
            Ok(Page { after: Some(after), .. }) => body["after"] = after.into(),
            Ok(_) => return Ok(None),
            Err(refused) => return Ok(Some(refused)),
        }
    }
}

/// What a page of a search says of the others.
struct Page {
    /// The cursor of the next one.
    after: Option<String>,
    /// How many results there are in all, where HubSpot says so.
    total: Option<usize>,
}

/// One page of a search, or its refusal. What it found is compared exactly: `CONTAINS_TOKEN` may find more than was asked.
fn page(
    hubspot: &HubSpot,
    section: &Section,
    exchange: &mut Exchange<'_>,
    (body, paging): (&Json, &mut Paging),
    first: &mut Found,
    further: &mut Found,
) -> Result<Result<Page, Refused>, Step> {
    let json = match exchange.search(hubspot.objects(section.kind, "search"), body.to_string())? {
        Got::Fine(json) => json,
        Got::Refused(refused) => return Ok(Err(refused)),
    };
    let Some(results) = json.get("results").and_then(Json::as_array) else {
        return Err(super::exchange::unreadable());
    };
    for result in results {
        let Some(candidate) = Candidate::of(section, result) else { continue };
        if let Some(domain) = property(result, "domain").and_then(domain::bare) {
            first.entry(domain).or_default().insert(candidate.clone());
        }
        let more = property(result, section.kind.natural.further).unwrap_or_default().split(';');
        for domain in more.filter_map(domain::bare) {
            further.entry(domain).or_default().insert(candidate.clone());
        }
    }
    let after = match json.pointer("/paging/next/after") {
        Some(Json::String(after)) if !after.is_empty() && after.len() <= AFTER / 2 => Some(after.clone()),
        Some(Json::Number(after)) => Some(after.to_string()),
        _ => None,
    };
    let total = json.get("total").and_then(Json::as_u64).and_then(|total| usize::try_from(total).ok());
    Ok(Ok(Page { after: paging.on(results, after)?, total }))
}
