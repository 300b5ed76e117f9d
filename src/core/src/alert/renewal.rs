//! What the renewal of a benchmark did to scores: said once for all accounts, because it fires nothing.

use std::collections::BTreeMap;

use crate::evaluate::Evaluation;
use crate::health::{self, CURVE};
use crate::model::Model;

/// What became of the scores under one profile.
#[derive(Debug, Clone, PartialEq)]
pub struct Renewal {
    /// The profile.
    pub profile: String,
    /// How many scores it moved.
    pub scores: u64,
    /// By how many points on average of those.
    pub mean: f64,
    /// How many lie within other bounds now; the hold of a band left aside.
    pub bands: u64,
}

/// The renewals since benchmarks, in raw points by profile, were these.
pub fn renewals(model: &Model, now: &Evaluation, before: &BTreeMap<String, f64>) -> Vec<Renewal> {
    let mut renewals = Vec::new();
    for profile in &model.profiles {
        let (Some(old), Some(new)) = (before.get(&profile.name), now.benchmarks.get(&profile.name)) else { continue };
        if *old == new.raw {
            continue;
        }
        let (mut moved, mut bands) = (Vec::new(), 0);
        for account in now.accounts.iter().filter(|account| account.profile.as_ref() == Some(&profile.name)) {
            let Some(raw) = account.health.raw else { continue };
            let (was, is) = (health::score(raw, *old, CURVE), health::score(raw, new.raw, CURVE));
            if was != is {
                moved.push(is - was);
                bands += u64::from(profile.bands.plain(was) != profile.bands.plain(is));
            }
        }
        if !moved.is_empty() {
            let mean = moved.iter().sum::<f64>() / moved.len() as f64;
            renewals.push(Renewal { profile: profile.name.clone(), scores: moved.len() as u64, mean, bands });
        }
    }
    renewals
}
