//! The shell of vitalsync: everything that touches the world. What decides is in `vitalsync-core` and the connectors.
//!
//! `config` says what is wanted; `source` and `store` read and keep; `tick` makes one pass; `deliver` is the only loop that sends;
//! `app` runs passes on schedules; `web` and `cli` show typed reports.

pub mod app;
pub mod budget;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connectors;
pub mod deliver;
pub mod demo;
pub mod draft;
pub mod http;
pub mod login;
pub mod progress;
pub mod report;
pub mod schedule;
pub mod scratch;
pub mod source;
pub mod store;
pub mod telemetry;
pub mod tick;
pub mod web;
