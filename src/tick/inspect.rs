//! Asking every tool whether it can take what the config asks for. Nothing is written, there or here.

use super::Engine;
use crate::config::Destination;
use crate::deliver::Inspected;

impl Engine {
    /// What each tool of the config that is `meant` says to it, by destination or source.
    pub async fn inspect(&self, meant: impl Fn(&Destination) -> bool) -> anyhow::Result<Vec<(String, Inspected)>> {
        let at = self.clock.now();
        let asked = self.config.tools().filter(|tool| meant(tool)).filter_map(|tool| {
            let lanes = self.lanes(tool, at)?;
            Some(async move { lanes.inspect().await.map(|inspected| (tool.name.clone(), inspected)) })
        });
        Ok(futures_util::future::try_join_all(asked).await?)
    }
}
