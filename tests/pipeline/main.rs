//! The whole chain in one process: archive → state → health → plan → delivery → the sandbox vendors, through the real client.

mod counts;
mod delivery;
mod forget;
mod site;
