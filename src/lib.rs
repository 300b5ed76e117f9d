//! The shell of vitalsync: everything that touches the world. What decides is in `vitalsync-core` and the connectors.

pub mod budget;
pub mod clock;
pub mod config;
pub mod connectors;
pub mod deliver;
pub mod http;
pub mod ingest;
pub mod report;
pub mod schedule;
pub mod source;
pub mod store;
pub mod tick;
