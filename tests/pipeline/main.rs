//! The whole chain in one process: archive → state → health → plan → delivery → the sandbox vendors, through the real client.

mod counts;
mod delivery;
mod names;
mod judge;
mod rebuild;
mod retention;
mod site;
