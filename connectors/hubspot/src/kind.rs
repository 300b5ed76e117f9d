//! The object types that are written, as two tables of differences: all else is the same for companies and contacts.

use vitalsync_core::mapping::Level;

use crate::{domain, email};

/// One object type.
#[derive(Debug)]
pub(crate) struct Kind {
    /// The kind of record, as in slots: `company`.
    pub name: &'static str,
    /// In paths and in the config: `companies`.
    pub plural: &'static str,
    /// Whom its records are about.
    pub level: Level,
    /// The same in words: `account`.
    pub whose: &'static str,
    /// The expression of the subject's id.
    pub subject: &'static str,
    /// What our own property is called where the config does not say.
    pub own: &'static str,
    /// HubSpot's property by which people tell such records apart, and so a key.
    pub natural: Natural,
    /// What only creation writes: property, and the expression where the config has none.
    pub create: &'static [(&'static str, &'static str)],
    /// The property that stands in with the subject's id where creation has nothing else, if HubSpot would take that for a name.
    pub fallback: Option<&'static str>,
    /// HubSpot's properties that list the ids that were merged into a record.
    pub merged: &'static [&'static str],
}

/// A property that names a record without being ours.
#[derive(Debug)]
pub(crate) struct Natural {
    /// The property, and the key.
    pub by: &'static str,
    /// The key in its place where several subjects have one value.
    pub shared: &'static str,
    /// The expression where the config has none.
    pub expr: &'static str,
    /// HubSpot's property with further values, joined by `;`.
    pub further: &'static str,
    /// The form in which HubSpot keeps it; `None` for what can't be one.
    pub bare: fn(&str) -> Option<String>,
    /// The value by which a record may be found; `None` also for what anybody may have.
    pub key: fn(&str) -> Option<String>,
    /// A value in words that hold nothing personal.
    pub said: fn(&str) -> String,
}

/// Companies, one for an account.
pub(crate) static COMPANY: Kind = Kind {
    name: "company",
    plural: "companies",
    level: Level::Account,
    whose: "account",
    subject: "account",
    own: "vitalsync_account_id",
    natural: Natural {
        by: "domain",
        shared: "shared domain",
        expr: "traits.domain",
        further: "hs_additional_domains",
        bare: domain::bare,
        key: domain::of_company,
        said: |value| format!("the domain {value}"),
    },
    create: &[("name", "default(traits.name, account)"), ("domain", "traits.domain")],
    fallback: Some("name"),
    merged: &["hs_merged_object_ids"],
};

/// Contacts, one for a user.
pub(crate) static CONTACT: Kind = Kind {
    name: "contact",
    plural: "contacts",
    level: Level::User,
    whose: "user",
    subject: "user.id",
    own: "vitalsync_user_id",
    natural: Natural {
        by: "email",
        shared: "shared email",
        expr: "user.traits.email",
        further: "hs_additional_emails",
        bare: email::bare,
        key: email::bare,
        said: |_| "this e-mail address".to_owned(),
    },
    create: &[
        ("email", "user.traits.email"),
        ("firstname", "default(user.traits.firstName, user.traits.first_name)"),
        ("lastname", "default(user.traits.lastName, user.traits.last_name)"),
    ],
    fallback: None,
    merged: &["hs_merged_object_ids", "hs_calculated_merged_vids"],
};
