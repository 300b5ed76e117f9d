//! What one object type holds: records, property definitions, groups, and an index of the unique properties.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vitalsync_core::Timestamp;

/// One record.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub id: u64,
    pub properties: BTreeMap<String, String>,
    pub created: i64,
    pub updated: i64,
    pub archived: bool,
    pub merged_into: Option<u64>,
    /// Older states that search may still see: from when, and what.
    pub versions: Vec<(i64, BTreeMap<String, String>)>,
}

impl Object {
    pub fn gone(&self) -> bool {
        self.archived || self.merged_into.is_some()
    }

    /// Its values of a unique property; a contact's further e-mail addresses count as its address.
    fn unique(&self, property: &str) -> Vec<String> {
        let further = self.properties.get("hs_additional_emails").filter(|_| property == "email");
        let further = further.into_iter().flat_map(|emails| emails.split(';')).map(str::to_lowercase);
        self.properties.get(property).cloned().into_iter().chain(further).collect()
    }

    /// What search sees, if the index lags behind by `lag_ms`; `None`: the record is too new.
    pub fn indexed(&self, now: i64, lag_ms: i64) -> Option<&BTreeMap<String, String>> {
        if lag_ms == 0 {
            return Some(&self.properties);
        }
        self.versions.iter().rev().find(|(at, _)| at.saturating_add(lag_ms) <= now).map(|(_, properties)| properties)
    }

    /// Keeps the present state as one that search will see; forgets what no lag can reach.
    pub fn remember(&mut self, now: i64) {
        const LONGEST_LAG_MS: i64 = 600_000;
        self.versions.push((now, self.properties.clone()));
        let passed = self.versions.iter().filter(|(at, _)| at + LONGEST_LAG_MS <= now).count();
        self.versions.drain(..passed.saturating_sub(1));
    }
}

/// The definition of a property.
#[derive(Debug, Clone)]
pub(super) struct Definition {
    pub name: String,
    pub label: String,
    pub kind: String,
    pub field: String,
    pub group: String,
    pub description: String,
    pub options: Vec<Value>,
    pub unique: bool,
    pub read_only: bool,
    pub own: bool,
    pub hidden: bool,
    pub created: i64,
    pub updated: i64,
}

impl Definition {
    pub fn option_values(&self) -> Vec<&str> {
        self.options.iter().filter_map(|option| option["value"].as_str()).collect()
    }

    pub fn json(&self) -> Value {
        json!({"name": self.name, "label": self.label, "type": self.kind, "fieldType": self.field,
            "groupName": self.group, "description": self.description, "options": self.options,
            "displayOrder": -1, "hasUniqueValue": self.unique, "hidden": self.hidden, "formField": false,
            "calculated": false, "externalOptions": false, "archived": false, "hubspotDefined": !self.own,
            "dataSensitivity": "non_sensitive",
            "createdAt": Timestamp(self.created).to_string(), "updatedAt": Timestamp(self.updated).to_string(),
            "modificationMetadata": {"archivable": self.own, "readOnlyDefinition": !self.own,
                "readOnlyValue": self.read_only, "readOnlyOptions": !self.own}})
    }
}

/// Companies or contacts.
#[derive(Debug, Clone)]
pub(super) struct ObjectType {
    pub label: &'static str,
    pub type_id: &'static str,
    /// On creation one of these must be given; empty: none.
    pub required: &'static [&'static str],
    pub defaults: &'static [&'static str],
    pub definitions: BTreeMap<String, Definition>,
    pub groups: BTreeMap<String, Value>,
    objects: BTreeMap<u64, Object>,
    /// Unique property → value → record.
    unique: BTreeMap<String, BTreeMap<String, u64>>,
    next: u64,
}

const READ_ONLY: &[&str] = &["createdate", "lastmodifieddate", "hs_lastmodifieddate", "hs_object_id"];

impl ObjectType {
    pub fn companies() -> Self {
        let fields = "name:string:text domain:string:text website:string:text phone:string:phonenumber city:string:text \
            country:string:text state:string:text description:string:textarea hs_additional_domains:string:text \
            hs_merged_object_ids:string:text hubspot_owner_id:string:text annualrevenue:number:number \
            numberofemployees:number:number createdate:datetime:date hs_lastmodifieddate:datetime:date \
            hs_object_id:number:number industry:enumeration:select lifecyclestage:enumeration:radio";
        let mut made =
            Self::with("COMPANY", "0-2", &["name", "domain"], &["name", "domain"], "companyinformation", fields);
        for (name, values) in [
            ("industry", "COMPUTER_SOFTWARE INTERNET RETAIL BANKING FINANCIAL_SERVICES HOSPITAL_HEALTH_CARE"),
            ("lifecyclestage", "subscriber lead opportunity customer evangelist other"),
        ] {
            if let Some(definition) = made.definitions.get_mut(name) {
                definition.options = values
                    .split(' ')
                    .enumerate()
                    .map(|(at, value)| json!({"label": value, "value": value, "displayOrder": at, "hidden": false}))
                    .collect();
            }
        }
        made.next = 15_406_318_600;
        made
    }

    pub fn contacts() -> Self {
        let fields = "email:string:text firstname:string:text lastname:string:text phone:string:phonenumber \
            company:string:text website:string:text hs_merged_object_ids:string:text \
            hs_additional_emails:string:text createdate:datetime:date \
            lastmodifieddate:datetime:date hs_object_id:number:number";
        let defaults = &["firstname", "lastname", "email"];
        let mut made = Self::with("CONTACT", "0-1", &[], defaults, "contactinformation", fields);
        made.unique.insert("email".into(), BTreeMap::new());
        made.next = 70_850_147_300;
        made
    }

    fn with(
        label: &'static str,
        type_id: &'static str,
        required: &'static [&'static str],
        defaults: &'static [&'static str],
        group: &str,
        fields: &str,
    ) -> Self {
        let definitions = fields.split_whitespace().map(|field| {
            let parts: Vec<&str> = field.split(':').collect();
            let name = parts[0].to_owned();
            let read_only = READ_ONLY.contains(&parts[0]) || parts[0] == "hs_merged_object_ids";
            let definition = Definition {
                label: name.replace('_', " "),
                kind: parts[1].to_owned(),
                field: parts[2].to_owned(),
                group: group.to_owned(),
                description: String::new(),
                options: vec![],
                unique: false,
                read_only,
                own: false,
                hidden: false,
                created: 0,
                updated: 0,
                name: name.clone(),
            };
            (name, definition)
        });
        let definitions = definitions.collect();
        let groups = BTreeMap::from([(
            group.to_owned(),
            json!({"name": group, "label": group, "displayOrder": 0, "archived": false}),
        )]);
        let (objects, unique) = (BTreeMap::new(), BTreeMap::new());
        Self { label, type_id, required, defaults, definitions, groups, objects, unique, next: 0 }
    }

    /// The name of the property that says when a record was last changed.
    pub fn modified_property(&self) -> &'static str {
        if self.type_id == "0-1" { "lastmodifieddate" } else { "hs_lastmodifieddate" }
    }

    pub fn is_unique(&self, property: &str) -> bool {
        self.unique.contains_key(property)
    }

    pub fn own_unique(&self) -> usize {
        self.definitions.values().filter(|definition| definition.own && definition.unique).count()
    }

    pub fn make_unique(&mut self, property: &str) {
        self.unique.entry(property.to_owned()).or_default();
    }

    pub fn forget_unique(&mut self, property: &str) {
        self.unique.remove(property);
    }

    pub fn next_id(&mut self) -> u64 {
        self.next += 7;
        self.next
    }

    /// The record with this value of a unique property, archived ones excluded. Emails are compared in lower case.
    pub fn by_unique(&self, property: &str, value: &str) -> Option<u64> {
        let index = self.unique.get(property)?;
        if property == "email" { index.get(&value.to_lowercase()).copied() } else { index.get(value).copied() }
    }

    /// The record with this id as text, unless it is archived or merged away.
    pub fn live(&self, id: &str) -> Option<&Object> {
        self.objects.get(&id.parse().ok()?).filter(|object| !object.gone())
    }

    /// The record with this id as text, or the one that it was merged into, as reads find it.
    pub fn followed(&self, id: &str) -> Option<&Object> {
        let mut object = self.objects.get(&id.parse().ok()?)?;
        while let Some(left) = object.merged_into {
            object = self.objects.get(&left)?;
        }
        Some(object).filter(|object| !object.archived)
    }

    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.objects.values()
    }

    /// Puts a record there, or takes it away; gives what was there before. Keeps the index of unique values.
    pub fn set(&mut self, id: u64, object: Option<Object>) -> Option<Object> {
        let old = self.objects.remove(&id);
        for (property, index) in &mut self.unique {
            for value in old.iter().flat_map(|old| old.unique(property)) {
                if index.get(&value) == Some(&id) {
                    index.remove(&value);
                }
            }
            for value in object.iter().filter(|new| !new.gone()).flat_map(|new| new.unique(property)) {
                index.insert(value, id);
            }
        }
        if let Some(object) = object {
            self.objects.insert(id, object);
        }
        old
    }

    pub fn definitions_json(&self, all: bool) -> Vec<Value> {
        self.definitions.values().filter(|definition| all || definition.own).map(Definition::json).collect()
    }

    pub fn groups_json(&self) -> Vec<&Value> {
        self.groups.values().collect()
    }

    pub fn state(&self) -> Vec<Value> {
        let one = |object: &Object| {
            json!({"id": object.id.to_string(), "properties": object.properties, "archived": object.archived,
                "mergedInto": object.merged_into.map(|id| id.to_string())})
        };
        self.objects.values().map(one).collect()
    }
}
