//! Data attributes: which there are, which can be written, and the creation of those that are missing.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use vitalsync_core::Value;
use vitalsync_core::connector::{Method, Mode, Operation, Outcome, scrub};

use super::exchange::{Exchange, Next, id_of, retry};
use crate::{COMPANY, CONTACT, DATA_TYPE, VALUES, attribute_slot};

/// The most custom attributes of a workspace, contacts' and companies' together. Source: Intercom's help, article 179.
const MOST: usize = 250;

/// A data attribute as Intercom lists it.
struct Listed {
    id: String,
    data_type: String,
    /// The only texts that it takes, if it is a list.
    options: Vec<String>,
    archived: bool,
    writable: bool,
}

/// What an attribute is to be.
#[derive(Clone, Copy)]
struct Asked<'a> {
    model: &'a str,
    name: &'a str,
    data_type: &'a str,
    /// The only texts that it will hold, where they are known.
    words: &'a [Value],
}

impl<'a> Asked<'a> {
    fn read(operation: &'a Operation) -> Option<Self> {
        let (model, name) = [CONTACT, COMPANY]
            .iter()
            .find_map(|model| Some((*model, operation.slot.strip_prefix(&attribute_slot(model, ""))?)))?;
        let data_type = operation.fields.get(DATA_TYPE)?.new.as_text()?;
        let words = match operation.fields.get(VALUES).map(|change| &change.new) {
            Some(Value::List(words)) => words.as_slice(),
            _ => &[],
        };
        Some(Self { model, name, data_type, words })
    }
}

impl Listed {
    /// The id of an attribute that takes what is asked, or why it does not.
    fn judged(&self, asked: Asked<'_>) -> Result<String, String> {
        let Asked { model, name, data_type: wanted, words } = asked;
        let is_option = |word: &str| self.options.iter().any(|option| option == word);
        let lacking = words.iter().filter_map(Value::as_text).find(|word| !self.options.is_empty() && !is_option(word));
        let fits = match wanted {
            "float" => matches!(self.data_type.as_str(), "float" | "integer"),
            "date" => matches!(self.data_type.as_str(), "date" | "datetime"),
            // A list of fixed options takes text too, as long as it is one of them.
            "string" => matches!(self.data_type.as_str(), "string" | "options"),
            _ => self.data_type == wanted,
        };
        Err(if self.archived {
            format!("the {model} attribute `{name}` is archived in Intercom: restore it there or choose another name")
        } else if !fits {
            let found = scrub(&self.data_type);
            format!(
                "the {model} attribute `{name}` has the type {found} in Intercom, the config gives {wanted}: a type can't be \
                 changed, so choose another name or expression"
            )
        } else if !self.writable {
            format!("the {model} attribute `{name}` can't be written through the API")
        } else if let Some(word) = lacking {
            format!("the {model} attribute `{name}` is a list in Intercom without the option `{word}`: add it there")
        } else {
            return Ok(self.id.clone());
        })
    }
}

/// All custom attributes of a workspace, by model and name.
#[derive(Default)]
struct Inventory(BTreeMap<(String, String), Listed>);

impl Inventory {
    fn read(exchange: &mut Exchange<'_>) -> Next<Self> {
        let answer = exchange.ask(Method::Get, "/data_attributes?include_archived=true".into(), None)?;
        let list = exchange.object(answer)?;
        let Some(data) = list.get("data").and_then(Json::as_array) else {
            return retry(None, "Intercom did not list the attributes");
        };
        let mut inventory = Self::default();
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
                options: item
                    .get("options")
                    .and_then(Json::as_array)
                    .into_iter()
                    .flatten()
                    .filter_map(option)
                    .collect(),
                archived: flag("archived").unwrap_or(false),
                writable: flag("api_writable").unwrap_or(true),
            };
            let key = (text("model").unwrap_or(CONTACT).to_owned(), name.to_owned());
            // An archived one may share its name with one in use.
            if !attribute.archived || !inventory.0.contains_key(&key) {
                inventory.0.insert(key, attribute);
            }
        }
        Ok(inventory)
    }

    fn get(&self, asked: Asked<'_>) -> Option<&Listed> {
        self.0.get(&(asked.model.to_owned(), asked.name.to_owned()))
    }

    /// Why an attribute that is missing can't be created, as far as that is known beforehand. Whether archived ones count
    /// towards the limit is not documented: they are not counted here, and Intercom is asked.
    fn full(&self, Asked { model, name, .. }: Asked<'_>) -> Option<String> {
        let used = self.0.values().filter(|attribute| !attribute.archived).count();
        (used >= MOST).then(|| {
            // What would be made before this one has no id yet.
            let made = self.0.values().any(|attribute| attribute.id.is_empty());
            let has = if made { "would have" } else { "has" };
            format!(
                "the {model} attribute `{name}` can't be created: the workspace {has} {used} custom attributes, and {MOST} is the \
                 most for contacts and companies together; archive one in Intercom or map fewer"
            )
        })
    }

    /// Why the name is taken: Intercom keeps it for people or for companies, not for both, whatever the types. Source: its
    /// specification, *Create a data attribute*, "Same name already exists".
    fn taken(&self, Asked { model, name, .. }: Asked<'_>) -> Option<String> {
        let other = if model == CONTACT { COMPANY } else { CONTACT };
        let same = |(of, called): &(String, String)| of == other && called.eq_ignore_ascii_case(name);
        self.0.iter().find(|(key, _)| same(key)).map(|(_, attribute)| {
            let has = if attribute.id.is_empty() { "would then have" } else { "has" };
            format!("the {model} attribute `{name}` can't be created: Intercom {has} a {other} attribute of this name; choose another")
        })
    }

    /// Whether an attribute takes what is asked, or could be created. Then it is there for what is asked next: its name is taken.
    fn question(&mut self, asked: Asked<'_>) -> Outcome {
        let found = |remote_id| Outcome::Found { remote_id, differs: BTreeMap::new() };
        match self.get(asked).map(|attribute| attribute.judged(asked)) {
            Some(Ok(id)) => found(Some(id)),
            Some(Err(why)) => Outcome::Rejected { why },
            None => match self.full(asked).or_else(|| self.taken(asked)) {
                Some(why) => Outcome::Rejected { why },
                None => {
                    self.add(asked, String::new());
                    found(None)
                }
            },
        }
    }

    /// An attribute that was made, or would be (without an id): it counts towards the limit from now on.
    fn add(&mut self, Asked { model, name, data_type, .. }: Asked<'_>, id: String) {
        let data_type = data_type.to_owned();
        let made = Listed { id, data_type, options: Vec::new(), archived: false, writable: true };
        self.0.insert((model.to_owned(), name.to_owned()), made);
    }
}

/// Makes sure of attributes; where it is only asked, nothing is created.
pub(super) fn ensure(operations: &[Operation], exchange: &mut Exchange<'_>) -> Next<Vec<Outcome>> {
    let mut ensuring = Ensuring { inventory: Inventory::read(exchange)?, read_again: false };
    let mut outcomes = Vec::new();
    for operation in operations {
        let Some(asked) = Asked::read(operation) else {
            let why = "the operation does not name an attribute and its type".into();
            outcomes.push(Outcome::Rejected { why });
            continue;
        };
        outcomes.push(match operation.mode {
            Mode::Read => ensuring.inventory.question(asked),
            Mode::State | Mode::Once => match ensuring.one(asked, exchange)? {
                Ok(id) => Outcome::Done { remote_id: Some(id) },
                Err(why) => Outcome::Rejected { why },
            },
        });
    }
    Ok(outcomes)
}

struct Ensuring {
    inventory: Inventory,
    /// Once is enough to see what somebody else created meanwhile.
    read_again: bool,
}

impl Ensuring {
    fn one(&mut self, asked: Asked<'_>, exchange: &mut Exchange<'_>) -> Next<Result<String, String>> {
        if let Some(attribute) = self.inventory.get(asked) {
            return Ok(attribute.judged(asked));
        }
        if let Some(why) = self.inventory.full(asked) {
            return Ok(Err(why));
        }
        let Asked { model, name, data_type, .. } = asked;
        let body = json!({ "name": name, "model": model, "data_type": data_type });
        let answer = exchange.ask(Method::Post, "/data_attributes".into(), Some(body))?;
        if (200..300).contains(&answer.status) {
            let id = exchange.id(answer)?;
            self.inventory.add(asked, id.clone());
            return Ok(Ok(id));
        }
        // Also what a creation answers whose first answer was lost: look once more.
        if answer.status == 400 && answer.body.contains("already have") && !self.read_again {
            self.inventory = Inventory::read(exchange)?;
            self.read_again = true;
        }
        Ok(match self.inventory.get(asked) {
            Some(attribute) => attribute.judged(asked),
            None => Err(format!("Intercom refused the {model} attribute `{name}`: {}", exchange.said(answer))),
        })
    }
}

/// An option of a list, which Intercom reads as an object and lists as text.
fn option(option: &Json) -> Option<String> {
    option.as_str().or_else(|| option.get("value")?.as_str()).map(str::to_owned)
}
