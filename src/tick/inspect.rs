//! Asking every tool whether it can take what the config asks for. Nothing is written, there or here.

use super::Engine;
use crate::deliver::Inspected;

impl Engine {
    /// What each tool of the config says to it, by destination or source.
    pub async fn inspect(&self) -> anyhow::Result<Vec<(String, Inspected)>> {
        let at = self.clock.now();
        let readings = self.config.readings.iter().map(|reading| &reading.tool);
        let asked = self.config.destinations.iter().chain(readings).filter_map(|tool| {
            let lanes = self.lanes(tool, at)?;
            Some(async move { lanes.inspect().await.map(|inspected| (tool.name.clone(), inspected)) })
        });
        Ok(futures_util::future::try_join_all(asked).await?)
    }
}
