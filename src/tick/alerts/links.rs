//! Where to look further from an alert, and what it answers.

use vitalsync_core::Timestamp;
use vitalsync_core::alert::{ALERT, Alert, CARRIES, What, Whom};
use vitalsync_core::mapping::Level;
use vitalsync_core::names::AccountNames;

use super::super::Engine;
use crate::config::Destination;
use crate::store::StoreError;
use crate::store::records::told;

impl Engine {
    /// The account's page, if the config says where pages are, and its record in a CRM: by the rule of the config, else where a
    /// destination keeps records that people can open.
    pub(super) fn links(
        &self,
        destination: &Destination,
        whom: Option<&Whom<'_>>,
        at: Timestamp,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let mut links = Vec::new();
        let Some(account) = whom.and_then(Whom::account) else { return Ok(links) };
        if let Some(base) = &self.config.public_url {
            links.push(("vitalsync".to_owned(), format!("{base}/accounts/{}", encoded(&account.id))));
        }
        let rule = destination.connector.alerting().and_then(|alerting| alerting.crm_url.as_ref());
        let crm = match rule {
            Some(rule) => rule.render(&AccountNames { account }).ok().filter(|address| !address.is_empty()),
            None => self.crm_record(&account.id, at)?,
        };
        links.extend(crm.map(|address| ("CRM".to_owned(), address)));
        Ok(links)
    }

    /// The first record of an account that a tool has and that people can open.
    fn crm_record(&self, account: &str, at: Timestamp) -> Result<Option<String>, StoreError> {
        for destination in &self.config.destinations {
            let Some(lanes) = self.lanes(destination, at) else { continue };
            let Some(vendor_account) = lanes.known_account()? else { continue };
            for set in destination.connector.record_sets().iter().filter(|set| set.level == Level::Account) {
                let slot = format!("{}/{account}", set.kind);
                let record = self.store.kept_slot(&told(&destination.name, &vendor_account), &slot)?.record;
                let id = record.remote_id.filter(|_| !record.gone);
                let address = id.and_then(|id| destination.connector.record_url(&vendor_account, &slot, &id));
                if address.is_some() {
                    return Ok(address);
                }
            }
        }
        Ok(None)
    }

    /// An alert that something is over, as the answer to the message that told of its beginning, which may have been one of
    /// several; `None` if nobody was told.
    pub(super) fn told_before(
        &self,
        destination: &Destination,
        mut alert: Alert,
        at: Timestamp,
    ) -> Result<Option<Alert>, StoreError> {
        let Some(began) = alert.reply_to.clone() else { return Ok(Some(alert)) };
        // It still waits; whether both are told is decided with all that wait.
        for entry in self.store.outbox(&destination.name)? {
            let Some(waiting) = &entry.alert else { continue };
            match &waiting.what {
                _ if waiting.occasion == began => return Ok(Some(alert)),
                What::Many { alerts, .. } if alerts.iter().any(|one| one.occasion == began) => {
                    if entry.attempted_at.is_some() {
                        alert.reply_to = Some(waiting.occasion.clone());
                    }
                    return Ok(Some(alert));
                }
                _ => {}
            }
        }
        let Some(lanes) = self.lanes(destination, at) else { return Ok(None) };
        let Some(account) = lanes.known_account()? else { return Ok(None) };
        let namespace = told(&destination.name, &account);
        if self.store.kept_slot(&namespace, &format!("{ALERT}/{began}"))?.told_at.is_some() {
            return Ok(Some(alert));
        }
        let carries = |fields: &std::collections::BTreeMap<String, vitalsync_core::Value>| match fields.get(CARRIES) {
            Some(vitalsync_core::Value::List(all)) => all.iter().any(|one| one.as_text() == Some(&began)),
            _ => false,
        };
        for (slot, kept) in self.store.kept(&namespace)? {
            if kept.told_at.is_some() && carries(&kept.record.fields) {
                alert.reply_to = slot.split_once('/').map(|(_, occasion)| occasion.to_owned());
                return Ok(Some(alert));
            }
        }
        Ok(None)
    }
}

/// Text as a part of a path.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
