//! The whole chain in one process: archive → state → health → plan → delivery → the sandbox vendors, through the real client.

mod alerts;
mod asked;
mod compaction;
mod counts;
mod delivery;
mod edges;
mod forget;
mod history;
mod hubspot;
mod intercom;
mod judge;
mod lost;
mod names;
mod reading;
mod rebuild;
mod retention;
mod rules;
mod runtime;
mod site;
mod stale;
mod webhook;
