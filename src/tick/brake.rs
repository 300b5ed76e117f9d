//! What is kept of the brake: what destinations last heard of bands, what they hold, and who releases it.

use vitalsync_core::connector::Operation;
use vitalsync_core::evaluate::Evaluation;

use super::Engine;
use crate::config::Destination;
use crate::deliver::brake::{Bands, Held, Weighed, weigh};
use crate::store::{Batch, StoreError};

fn bands_of(name: &str) -> String {
    format!("bands:{name}")
}

fn held_by(name: &str) -> String {
    format!("brake:{name}")
}

impl Engine {
    /// What a destination holds, or was released to do.
    pub(super) fn held(&self, destination: &Destination) -> Result<Option<Held>, StoreError> {
        Ok(self.store.meta::<Option<Held>>(&held_by(&destination.name))?.flatten())
    }

    /// Weighs a plan for a destination.
    pub(super) fn weigh(
        &self,
        destination: &Destination,
        operations: &[Operation],
        evaluation: &Evaluation,
    ) -> Result<Weighed, StoreError> {
        let heard: Option<Bands> = self.store.meta(&bands_of(&destination.name))?;
        let before = self.held(destination)?;
        let (brake, now) = (destination.conduct.brake, Bands::of(evaluation));
        Ok(weigh(brake, operations, heard.as_ref(), &now, before.as_ref(), evaluation.at))
    }

    /// Remembers what a destination holds.
    pub(super) fn hold(&self, destination: &Destination, held: &Held) -> Result<(), StoreError> {
        if self.held(destination)?.as_ref() == Some(held) {
            return Ok(());
        }
        let mut batch = Batch::default();
        batch.put_meta(&held_by(&destination.name), &Some(held));
        self.store.apply(batch)
    }

    /// A destination was told: it heard of the bands, and if nothing waits the release is used up.
    pub(super) fn let_go(
        &self,
        destination: &Destination,
        evaluation: &Evaluation,
        waits: bool,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        let now = Bands::of(evaluation);
        if self.store.meta::<Bands>(&bands_of(&destination.name))?.as_ref() != Some(&now) {
            batch.put_meta(&bands_of(&destination.name), &now);
        }
        if !waits && self.held(destination)?.is_some() {
            batch.put_meta(&held_by(&destination.name), &None::<Held>);
        }
        self.store.apply(batch)
    }

    /// Releases a destination: it writes from now on if it only observed, and does what it holds. Only that: what comes on top
    /// is weighed again.
    pub fn approve(&self, name: &str) -> anyhow::Result<String> {
        let Some(destination) = self.config.destinations.iter().find(|destination| destination.name == name) else {
            let names: Vec<&str> =
                self.config.destinations.iter().map(|destination| destination.name.as_str()).collect();
            anyhow::bail!("there is no destination `{name}`; there are: {}", names.join(", "));
        };
        let live = self.is_live(destination)?;
        let held = match self.held(destination)? {
            Some(held) => Some(held),
            // Nobody ran it since there was something to hold: a plan alone was looked at.
            None => {
                let at = self.store.meta("evaluated")?.unwrap_or_else(|| self.clock.now());
                let evaluation = self.evaluate(at)?;
                let account = self.lanes(destination, at).map(|lanes| lanes.known_account()).transpose()?.flatten();
                let view = self.view(destination, account.as_deref(), at)?;
                let (operations, _) = self.plan_records(destination, &evaluation, &view, true)?;
                let weighed = self.weigh(destination, &operations, &evaluation)?;
                weighed.too_much.then_some(weighed.held)
            }
        };
        let mut batch = Batch::default();
        let said = match held {
            Some(held) if !held.released => {
                batch.put_meta(&held_by(name), &Some(Held { released: true, ..held.clone() }));
                format!("{name} is released: {}; the next sync writes, and is braked anew beyond that", held.said())
            }
            _ if live => return Ok(format!("{name} writes already")),
            _ => format!("{name} is released: the next sync writes"),
        };
        if !live {
            batch.put_meta(&format!("approved:{name}"), &true);
        }
        self.store.apply(batch)?;
        Ok(said)
    }
}
