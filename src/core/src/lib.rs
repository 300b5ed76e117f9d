//! What decides in vitalsync: who did what (usage, identity), how well an account is (measures), what follows for each
//! tool (rules, mappings, alerts, plans).
//!
//! Everything here is a pure function of its arguments. There is deliberately no clock, no I/O, no store, no HTTP, no
//! environment and no async in this crate; its manifest and `clippy.toml` keep it so.

pub mod activity;
pub mod alert;
pub mod attribution;
pub mod backtest;
mod by_day;
pub mod by_name;
pub mod call;
pub mod census;
pub mod checklist;
pub mod component;
pub mod connector;
mod course;
pub mod cycle;
pub mod derived;
pub mod doubt;
pub mod evaluate;
pub mod expansion;
pub mod expr;
pub mod figures;
pub mod gaps;
pub mod gather;
pub mod habits;
pub mod health;
pub mod identity;
pub mod intern;
pub mod lint;
pub mod mapping;
pub mod message;
pub mod model;
pub mod names;
pub mod past;
pub mod portfolio;
pub mod propose;
pub mod pulse;
pub mod quote;
pub mod reader;
pub mod reasons;
pub mod risk;
mod scale;
pub mod scan;
pub mod section;
pub mod segments;
pub mod story;
pub mod template;
pub mod time;
mod today;
pub mod usage;
mod users;
pub mod value;
pub mod version;
pub mod wildcard;
mod window;

pub use connector::Connector;
pub use time::{Calendar, Day, Timestamp};
pub use value::{Type, Value};
