//! What is said to Intercom and what its answers mean.
//!
//! Every step replays the conversation from the beginning: [`Exchange::ask`] hands out the reply to a request, or
//! interrupts with the request that has none yet. So the code reads top to bottom, like the conversation. Nothing is
//! remembered between steps, and nothing here waits or counts attempts: that is the shell's.
//!
//! Every request may be repeated: an update or a tag twice is one, and a second creation answers 409 with the id.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value as Json, json};
use vitalsync_core::connector::{
    ACCOUNT, Answer, Method, Operation, Outcome, Pool, Receipt, Reply, Request, Step, scrub,
};
use vitalsync_core::value::plain_number;
use vitalsync_core::{Type, Value};

use crate::{ATTRIBUTE, CONTACT, GROUP_PREFIX, Intercom, TAG, attribute_slot, tag_slot};

/// The version that the shapes here were read from; without the header the app's own setting would decide.
const VERSION: &str = "2.16";
/// The most characters of a text attribute.
const TEXT_LIMIT: usize = 255;
/// A reset further away than this is not believed: windows have ten seconds, budgets a minute.
const LONGEST_WAIT: i64 = 60;

/// A value, or the step that ends this replay. The step is boxed because it is big and rare.
type Next<T> = Result<T, Box<Step>>;

pub(crate) fn step(intercom: &Intercom, operations: &[Operation], replies: &[Reply]) -> Step {
    let mut exchange = Exchange { replies: replies.iter(), operations };
    let next = match operations {
        [] => Ok(Step::Done(Vec::new())),
        [first, ..] if first.batch_key == ATTRIBUTE => attributes(operations, &mut exchange),
        [one] => match one.batch_key.as_str() {
            ACCOUNT => account(one, &mut exchange),
            TAG => tag(one, &mut exchange),
            CONTACT => contact(intercom, one, &mut exchange),
            _ => reject(format!("nothing is known of {}", one.title)),
        },
        _ => Err(Box::new(Step::Split { why: "these are sent one at a time".into() })),
    };
    next.unwrap_or_else(|step| *step)
}

fn reject<T>(why: impl Into<String>) -> Next<T> {
    Err(Box::new(Step::Reject { why: why.into() }))
}

fn conflict<T>(why: impl Into<String>) -> Next<T> {
    Err(Box::new(Step::Conflict { why: why.into() }))
}

fn retry<T>(after: Option<Duration>, why: impl Into<String>) -> Next<T> {
    Err(Box::new(Step::Retry { after, why: why.into() }))
}

fn finished(operation: &Operation, outcome: Outcome) -> Step {
    Step::Done(vec![Receipt { slot: operation.slot.clone(), outcome }])
}

/// The conversation so far.
struct Exchange<'a> {
    replies: std::slice::Iter<'a, Reply>,
    operations: &'a [Operation],
}

impl<'a> Exchange<'a> {
    /// The answer to a request: a success, or a refusal that the caller understands better than this does.
    fn ask(&mut self, method: Method, path: String, body: Option<Json>) -> Next<&'a Answer> {
        let answer = match self.replies.next() {
            Some(Reply::Answer(answer)) => answer,
            Some(Reply::Lost { .. }) => return retry(None, "the connection broke before the answer came"),
            None => {
                return Err(Box::new(Step::Send(Request {
                    method,
                    path,
                    headers: vec![("Intercom-Version", VERSION.into()), ("Accept", "application/json".into())],
                    body: body.map(|body| body.to_string()),
                    pool: Pool::of("api"),
                })));
            }
        };
        match answer.status {
            200..=299 => Ok(answer),
            401 => Err(Box::new(Step::NeedsLogin {
                why: format!(
                    "Intercom does not take the token ({}); a token works in its own region only",
                    self.said(answer)
                ),
            })),
            403 => Err(Box::new(Step::NeedsLogin {
                why: format!(
                    "Intercom refuses access ({}): check that the app may {}",
                    self.said(answer),
                    permission(&path)
                ),
            })),
            408 | 423 | 429 | 477 => retry(patience(answer), format!("Intercom asks for patience ({})", answer.status)),
            400..=499 => Ok(answer),
            status => retry(patience(answer), format!("Intercom answered {status}")),
        }
    }

    /// The JSON object of a success; the end of this replay for a refusal or for anything else. A success whose body
    /// is no object came from something between us and Intercom and confirms nothing.
    fn object(&self, answer: &Answer) -> Next<Json> {
        if !(200..300).contains(&answer.status) {
            return reject(format!("Intercom refused: {}", self.said(answer)));
        }
        match answer.json() {
            object @ Json::Object(_) => Ok(object),
            _ => retry(None, format!("Intercom answered {} without a readable body", answer.status)),
        }
    }

    /// The id in the JSON object of a success.
    fn id(&self, answer: &Answer) -> Next<String> {
        match id_of(&self.object(answer)?) {
            Some(id) => Ok(id),
            None => retry(None, format!("Intercom answered {} without an id", answer.status)),
        }
    }

    /// What Intercom says about a refusal, fit to print: status, code, field, and the message where it quotes nothing
    /// of the record.
    fn said(&self, answer: &Answer) -> String {
        let mut said = answer.status.to_string();
        let body = answer.json();
        let Some(error) = body.get("errors").and_then(Json::as_array).and_then(|errors| errors.first()) else {
            return said;
        };
        let word = |key: &str| {
            let word = error.get(key)?.as_str()?;
            let plain = |c: char| c.is_ascii_lowercase() || matches!(c, '_' | '.');
            (!word.is_empty() && word.len() <= 60 && word.chars().all(plain) && !self.quotes_the_record(word))
                .then_some(word)
        };
        for word in [word("code"), word("field")].into_iter().flatten() {
            said.push(' ');
            said.push_str(word);
        }
        if let Some(message) = error.get("message").and_then(Json::as_str) {
            // Before scrubbing, which cuts: a value cut in half would not be recognised.
            if self.quotes_the_record(message) {
                said.push_str(": the message quotes the record and is withheld");
            } else {
                said.push_str(": ");
                said.push_str(&scrub(message));
            }
        }
        said
    }

    /// Whether a text holds a value of the records, or a word of whatever identifies a person.
    fn quotes_the_record(&self, text: &str) -> bool {
        let text = folded(text);
        let holds = |part: &str| {
            let part = folded(part);
            // Short parts occur within other words by chance.
            match part.chars().count() {
                0 => false,
                1..=3 => text.split(|c: char| !c.is_alphanumeric()).any(|word| word == part),
                _ => text.contains(&part),
            }
        };
        self.operations.iter().filter(|operation| operation.batch_key == CONTACT).any(|operation| {
            let identity = operation.keys.iter().map(|key| key.value.as_str()).chain([operation.subject.as_str()]);
            let create = operation.create.iter().flatten().filter_map(|(_, value)| value.as_text());
            let mut fields = operation
                .fields
                .iter()
                .filter(|(name, _)| !name.starts_with(GROUP_PREFIX))
                .flat_map(|(_, change)| [&change.old, &change.new]);
            identity.chain(create).any(|part| holds(part) || part.split_whitespace().any(holds))
                || fields.any(|value| value.as_text().is_some_and(holds))
        })
    }
}

/// Lower case, runs of white space as one space.
fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// What the token must be allowed, by the address that refused.
fn permission(path: &str) -> &'static str {
    match path {
        _ if path.starts_with("/data_attributes") => "read and write data attributes",
        _ if path.contains("/tags") => "read and write tags",
        _ if path.starts_with("/me") => "read its own admin",
        _ => "read and write users",
    }
}

/// How long Intercom asks to wait: `Retry-After`, else the end of the window by `X-RateLimit-Reset` in unix seconds.
fn patience(answer: &Answer) -> Option<Duration> {
    answer.retry_after().or_else(|| {
        let reset: i64 = answer.header("x-ratelimit-reset")?.trim().parse().ok()?;
        let wait = reset.saturating_sub(answer.at.seconds()).clamp(1, LONGEST_WAIT);
        u64::try_from(wait).ok().map(Duration::from_secs)
    })
}

fn id_of(object: &Json) -> Option<String> {
    match object.get("id")? {
        Json::String(id) if !id.is_empty() => Some(id.clone()),
        Json::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

/// One piece of a path. Everything but letters, digits, `-`, `_`, `.` and `~` is encoded.
fn encoded(piece: &str) -> String {
    let mut out = String::with_capacity(piece.len());
    for byte in piece.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn account(operation: &Operation, exchange: &mut Exchange<'_>) -> Next<Step> {
    let answer = exchange.ask(Method::Get, "/me".into(), None)?;
    let me = exchange.object(answer)?;
    match me.pointer("/app/id_code").and_then(Json::as_str).filter(|code| !code.is_empty()) {
        Some(code) => Ok(finished(operation, Outcome::Done { remote_id: Some(code.into()) })),
        None => retry(None, "Intercom did not name the workspace"),
    }
}

/// Creates a tag or gets the one of that name; Intercom compares without regard to case.
fn ensure_tag(name: &str, exchange: &mut Exchange<'_>) -> Next<String> {
    let answer = exchange.ask(Method::Post, "/tags".into(), Some(json!({ "name": name })))?;
    exchange.id(answer)
}

fn tag(operation: &Operation, exchange: &mut Exchange<'_>) -> Next<Step> {
    let Some(name) = operation.slot.strip_prefix(&tag_slot("")) else {
        return reject("the operation does not name a tag");
    };
    let id = ensure_tag(name, exchange)?;
    Ok(finished(operation, Outcome::Done { remote_id: Some(id) }))
}

/// A data attribute as Intercom lists it.
struct Listed {
    id: String,
    data_type: String,
    archived: bool,
    writable: bool,
}

impl Listed {
    /// What becomes of an operation that needs this attribute with a type.
    fn judged(&self, name: &str, wanted: &str) -> Outcome {
        let fits = match wanted {
            "float" => matches!(self.data_type.as_str(), "float" | "integer"),
            "date" => matches!(self.data_type.as_str(), "date" | "datetime"),
            // A list of fixed options takes text too.
            "string" => matches!(self.data_type.as_str(), "string" | "options"),
            _ => self.data_type == wanted,
        };
        let why = if self.archived {
            format!("the contact attribute `{name}` is archived in Intercom: restore it there or choose another name")
        } else if !fits {
            let found = scrub(&self.data_type);
            format!(
                "the contact attribute `{name}` has the type {found} in Intercom, the config gives {wanted}: a type can't be \
                 changed, so choose another name or expression"
            )
        } else if !self.writable {
            format!("the contact attribute `{name}` can't be written through the API")
        } else {
            return Outcome::Done { remote_id: Some(self.id.clone()) };
        };
        Outcome::Rejected { why }
    }
}

fn list_attributes(exchange: &mut Exchange<'_>) -> Next<BTreeMap<String, Listed>> {
    let path = "/data_attributes?model=contact&include_archived=true";
    let answer = exchange.ask(Method::Get, path.into(), None)?;
    let list = exchange.object(answer)?;
    let Some(data) = list.get("data").and_then(Json::as_array) else {
        return retry(None, "Intercom did not list the attributes");
    };
    let mut listed: BTreeMap<String, Listed> = BTreeMap::new();
    for item in data {
        let text = |key: &str| item.get(key).and_then(Json::as_str);
        let flag = |key: &str| item.get(key).and_then(Json::as_bool);
        // A standard attribute of the same name (`name`, `email`) is another attribute.
        let Some(name) = (match text("full_name") {
            Some(full) => full.strip_prefix("custom_attributes."),
            None => text("name").filter(|_| flag("custom") == Some(true)),
        }) else {
            continue;
        };
        let attribute = Listed {
            id: id_of(item).unwrap_or_else(|| name.to_owned()),
            data_type: text("data_type").unwrap_or("no type").into(),
            archived: flag("archived").unwrap_or(false),
            writable: flag("api_writable").unwrap_or(true),
        };
        // An archived one may share its name with one in use.
        if !attribute.archived || !listed.contains_key(name) {
            listed.insert(name.to_owned(), attribute);
        }
    }
    Ok(listed)
}

fn attributes(operations: &[Operation], exchange: &mut Exchange<'_>) -> Next<Step> {
    let mut listed = list_attributes(exchange)?;
    let mut read_again = false;
    let mut receipts = Vec::new();
    for operation in operations {
        let name = operation.slot.strip_prefix(&attribute_slot(""));
        let wanted = operation.fields.get("data_type").and_then(|change| change.new.as_text());
        let (Some(name), Some(wanted)) = (name, wanted) else {
            let why = "the operation does not name an attribute and its type".into();
            receipts.push(Receipt { slot: operation.slot.clone(), outcome: Outcome::Rejected { why } });
            continue;
        };
        let outcome = match listed.get(name) {
            Some(attribute) => attribute.judged(name, wanted),
            None => {
                let body = json!({ "name": name, "model": CONTACT, "data_type": wanted });
                let answer = exchange.ask(Method::Post, "/data_attributes".into(), Some(body))?;
                if (200..300).contains(&answer.status) {
                    Outcome::Done { remote_id: Some(exchange.id(answer)?) }
                } else {
                    // Also what a creation answers whose first answer was lost: look once more.
                    if answer.status == 400 && answer.body.contains("already have") && !read_again {
                        listed = list_attributes(exchange)?;
                        read_again = true;
                    }
                    match listed.get(name) {
                        Some(attribute) => attribute.judged(name, wanted),
                        None => Outcome::Rejected {
                            why: format!("Intercom refused the contact attribute `{name}`: {}", exchange.said(answer)),
                        },
                    }
                }
            }
        };
        receipts.push(Receipt { slot: operation.slot.clone(), outcome });
    }
    Ok(Step::Done(receipts))
}

/// A contact, and what is known of it beside its id.
struct Target {
    id: String,
    /// Just created, with all attributes and no tags.
    created: bool,
    /// The ids of all its tags, where an answer told them.
    tags: Option<Vec<String>>,
}

fn contact(intercom: &Intercom, operation: &Operation, exchange: &mut Exchange<'_>) -> Next<Step> {
    let target = match &operation.remote_id {
        Some(id) => Target { id: id.clone(), created: false, tags: None },
        None => match find(intercom, operation, exchange)? {
            Ok(target) => target,
            Err(absent) => return Ok(finished(operation, absent)),
        },
    };
    let attributes = encoded_attributes(intercom, operation);
    if !target.created && !attributes.is_empty() {
        let path = format!("/contacts/{}", encoded(&target.id));
        let answer = exchange.ask(Method::Put, path, Some(json!({ "custom_attributes": attributes })))?;
        gone(answer)?;
        if exchange.id(answer)? != target.id {
            return retry(None, "Intercom answered with another contact");
        }
    }
    write_tags(intercom, operation, &target, exchange)?;
    Ok(finished(operation, Outcome::Done { remote_id: Some(target.id) }))
}

/// Ends the replay where the contact is not there any more.
fn gone(answer: &Answer) -> Next<()> {
    match answer.status {
        404 => conflict("the contact is no longer there"),
        410 => conflict("the contact was merged into another one"),
        _ => Ok(()),
    }
}

/// Finds the contact or creates it; the inner error says that there is none to write to.
fn find(intercom: &Intercom, operation: &Operation, exchange: &mut Exchange<'_>) -> Next<Result<Target, Outcome>> {
    for key in &operation.keys {
        // A client would take these for steps in the path, encoded or not.
        if matches!(key.value.as_str(), "." | "..") {
            return reject("the external id is a dot or two, which can't stand in an address");
        }
        let path = format!("/contacts/find_by_external_id/{}", encoded(&key.value));
        let answer = exchange.ask(Method::Get, path, None)?;
        match answer.status {
            404 => continue,
            410 => return Ok(Err(unusable(operation, "the contact was merged into another one in Intercom"))),
            _ => {}
        }
        let found = exchange.object(answer)?;
        if found.get("archived") == Some(&Json::Bool(true)) {
            return Ok(Err(unusable(operation, "the contact is archived in Intercom: unarchive or delete it there")));
        }
        return match id_of(&found) {
            Some(id) => Ok(Ok(Target { id, created: false, tags: all_tags(&found) })),
            None => retry(None, "Intercom answered without a contact"),
        };
    }
    let Some(first) = operation.keys.first() else {
        return reject("there is no external id to look for");
    };
    match &operation.create {
        Some(fields) => create(intercom, operation, &first.value, fields, exchange).map(Ok),
        None => Ok(Err(Outcome::Absent { why: "Intercom has no contact with this external id".into() })),
    }
}

/// A contact that exists and can't be written: nothing to do, unless creation was asked for, which can't be had.
fn unusable(operation: &Operation, why: &str) -> Outcome {
    match operation.create {
        Some(_) => Outcome::Rejected { why: why.into() },
        None => Outcome::Absent { why: why.into() },
    }
}

/// The ids of all tags in a contact's answer, which shows ten at most; `None` if it does not show all.
fn all_tags(contact: &Json) -> Option<Vec<String>> {
    let tags = contact.get("tags")?;
    let ids: Vec<String> = tags.get("data")?.as_array()?.iter().map(id_of).collect::<Option<_>>()?;
    let complete = tags.get("has_more") == Some(&Json::Bool(false))
        && tags.get("total_count").and_then(Json::as_u64) == u64::try_from(ids.len()).ok();
    complete.then_some(ids)
}

fn create(
    intercom: &Intercom,
    operation: &Operation,
    external_id: &str,
    fields: &BTreeMap<String, Value>,
    exchange: &mut Exchange<'_>,
) -> Next<Target> {
    let mut body = serde_json::Map::new();
    body.insert("role".into(), "user".into());
    body.insert("external_id".into(), external_id.into());
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        body.insert(name.clone(), text_of(value).into());
    }
    let mut attributes = encoded_attributes(intercom, operation);
    attributes.retain(|_, value| !value.is_null());
    if !attributes.is_empty() {
        body.insert("custom_attributes".into(), attributes.into());
    }
    let answer = exchange.ask(Method::Post, "/contacts".into(), Some(body.into()))?;
    if answer.status != 409 {
        return Ok(Target { id: exchange.id(answer)?, created: true, tags: None });
    }

    // Somebody was faster, or our own first creation whose answer was lost. Or it is another person's contact with the
    // same e-mail address: Intercom's message names the id but not which of these it is, so the contact is read.
    let Some(id) = id_in_message(answer) else {
        return conflict("somebody else created the contact meanwhile");
    };
    let answer = exchange.ask(Method::Get, format!("/contacts/{}", encoded(&id)), None)?;
    match answer.status {
        404 => return reject("Intercom holds an archived contact of this user: unarchive or delete it there"),
        410 => return reject("the contact was merged into another one in Intercom"),
        _ => {}
    }
    let found = exchange.object(answer)?;
    if found.get("archived") == Some(&Json::Bool(true)) {
        return reject("the contact is archived in Intercom: unarchive or delete it there");
    }
    if id_of(&found).as_deref() != Some(id.as_str()) {
        return retry(None, "Intercom answered with another contact");
    }
    if found.get("external_id").and_then(Json::as_str) != Some(external_id) {
        return reject(
            "another contact in Intercom has this e-mail address, without an external id or with another one",
        );
    }
    Ok(Target { id, created: false, tags: all_tags(&found) })
}

/// The id in `A contact matching those details already exists with id=…`.
fn id_in_message(answer: &Answer) -> Option<String> {
    let body = answer.json();
    let message = body.pointer("/errors/0/message")?.as_str()?;
    let (_, rest) = message.split_once(" id=")?;
    let id: String = rest.chars().take_while(char::is_ascii_alphanumeric).take(64).collect();
    (!id.is_empty()).then_some(id)
}

/// The changed attributes in Intercom's form; null clears.
fn encoded_attributes(intercom: &Intercom, operation: &Operation) -> serde_json::Map<String, Json> {
    operation
        .fields
        .iter()
        .filter(|(name, _)| !name.starts_with(GROUP_PREFIX))
        .map(|(name, change)| (name.clone(), attribute_value(intercom.kind(name), &change.new)))
        .collect()
}

/// A value as an attribute of a kind holds it: an attribute that was created for text gets text.
fn attribute_value(kind: Type, value: &Value) -> Json {
    match (kind, value) {
        (_, Value::Null) => Json::Null,
        (Type::Number, Value::Number(_)) | (Type::Bool, Value::Bool(_)) => value.to_json(),
        (Type::Date | Type::Time, Value::Date(day)) => day.midnight_utc().seconds().into(),
        (Type::Date | Type::Time, Value::Time(time)) => time.seconds().into(),
        _ => cut(text_of(value)).into(),
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Number(number) => plain_number(*number),
        Value::List(items) => items.iter().map(text_of).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn cut(mut text: String) -> String {
    if let Some((at, _)) = text.char_indices().nth(TEXT_LIMIT) {
        text.truncate(at);
    }
    text
}

/// Brings the tag groups in step. What must go goes first: a crash between leaves a contact with too few tags of a
/// group, never with two, and the operation is done again from its beginning.
fn write_tags(intercom: &Intercom, operation: &Operation, target: &Target, exchange: &mut Exchange<'_>) -> Next<()> {
    let (mut add, mut remove, mut look_for) = (Vec::new(), Vec::new(), Vec::new());
    let id_of_tag = |tag: &str| operation.refs.get(&tag_slot(tag)).map(String::as_str);
    for (field, change) in &operation.fields {
        let Some(group) = field.strip_prefix(GROUP_PREFIX) else { continue };
        let new = change.new.as_text();
        if let Some(tag) = new {
            let Some(id) = id_of_tag(tag) else {
                return reject(format!("the tag `{}` has no id yet", scrub(tag)));
            };
            add.push((tag, id));
        }
        match change.old.as_text() {
            Some(old) => match id_of_tag(old) {
                Some(id) => remove.push(id),
                None => look_for.push(old),
            },
            // Where the plan names the siblings, nobody knows which of them the contact carries.
            None => look_for.extend(intercom.tags(group).filter(|tag| {
                let slot = tag_slot(tag);
                Some(*tag) != new && operation.needs.iter().any(|need| need.slot == slot)
            })),
        }
    }
    let contact = format!("/contacts/{}", encoded(&target.id));
    let mut carried: Option<Vec<String>> = if target.created { Some(Vec::new()) } else { target.tags.clone() };
    let mut remove: Vec<String> = remove.into_iter().map(str::to_owned).collect();
    let by_id = look_for.iter().all(|tag| id_of_tag(tag).is_some());
    match &carried {
        _ if look_for.is_empty() => {}
        Some(ids) if by_id || ids.is_empty() => {
            remove.extend(look_for.into_iter().filter_map(id_of_tag).map(str::to_owned));
        }
        _ => {
            let answer = exchange.ask(Method::Get, format!("{contact}/tags"), None)?;
            gone(answer)?;
            let list = exchange.object(answer)?;
            let Some(data) = list.get("data").and_then(Json::as_array) else {
                return retry(None, "Intercom did not list the contact's tags");
            };
            let wanted: Vec<String> = look_for.iter().map(|tag| tag.to_lowercase()).collect();
            let mut ids = Vec::new();
            for tag in data {
                let Some(id) = id_of(tag) else { continue };
                let name = tag.get("name").and_then(Json::as_str).unwrap_or_default().to_lowercase();
                let asked = wanted.contains(&name) || look_for.iter().any(|tag| id_of_tag(tag) == Some(id.as_str()));
                if asked && !remove.contains(&id) {
                    remove.push(id.clone());
                }
                ids.push(id);
            }
            carried = Some(ids);
        }
    }
    for id in remove {
        let stays = add.iter().any(|(_, added)| *added == id);
        let carries = carried.as_ref().is_none_or(|ids| ids.contains(&id));
        if stays || !carries {
            continue;
        }
        let answer = exchange.ask(Method::Delete, format!("{contact}/tags/{}", encoded(&id)), None)?;
        match answer.status {
            // Not on the contact, or no such tag: either is what was wanted. A contact that is gone shows later.
            404 | 204 => {}
            410 => gone(answer)?,
            _ => _ = exchange.object(answer)?,
        }
    }
    for (tag, id) in add {
        if carried.as_ref().is_some_and(|ids| ids.iter().any(|carried| carried == id)) {
            continue;
        }
        add_tag(&contact, tag, id, exchange)?;
    }
    Ok(())
}

fn add_tag(contact: &str, tag: &str, id: &str, exchange: &mut Exchange<'_>) -> Next<()> {
    let path = format!("{contact}/tags");
    let answer = exchange.ask(Method::Post, path.clone(), Some(json!({ "id": id })))?;
    if answer.status != 404 {
        gone(answer)?;
        exchange.id(answer)?;
        return Ok(());
    }
    // Either the contact or the tag is gone. A tag that somebody deleted is made anew; if it is the same, it is the contact.
    let fresh = ensure_tag(tag, exchange)?;
    if fresh == id {
        return conflict("the contact is no longer there");
    }
    let answer = exchange.ask(Method::Post, path, Some(json!({ "id": fresh })))?;
    gone(answer)?;
    exchange.id(answer)?;
    Ok(())
}
