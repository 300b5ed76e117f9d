//! Asking every tool whether it can take what the config asks for. Nothing is written, there or here.

use super::Engine;
use crate::deliver::Inspected;

impl Engine {
    /// What each tool of the config says to it, by destination.
    pub async fn inspect(&self) -> anyhow::Result<Vec<(String, Inspected)>> {
        let at = self.clock.now();
        let asked = self.config.destinations.iter().filter_map(|destination| {
            let lanes = self.lanes(destination, at)?;
            Some(async move { lanes.inspect().await.map(|inspected| (destination.name.clone(), inspected)) })
        });
        Ok(futures_util::future::try_join_all(asked).await?)
    }
}
