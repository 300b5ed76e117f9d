//! vitalsync
pub mod config;
pub mod connectors;
pub mod schedule;
pub mod source;
pub mod store;
