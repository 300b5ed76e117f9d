//! The program as a user meets it: the real binary, real files, vendors of its own sandbox on loopback.
//!
//! Every test has a directory and a sandbox of its own. What goes in is a config and an archive; what is looked at is exit codes,
//! output, and what the vendors hold and were asked. Nothing here knows the inside; nothing waits for luck: whatever takes time
//! is waited for by a condition with a generous limit.

#[path = "cli/backfill.rs"]
mod backfill;
#[path = "cli/backtest.rs"]
mod backtest;
#[path = "cli/beside.rs"]
mod beside;
#[path = "cli/config.rs"]
mod config;
#[path = "cli/convergence.rs"]
mod convergence;
#[path = "cli/crm.rs"]
mod crm;
#[path = "cli/daemon.rs"]
mod daemon;
#[path = "cli/demo.rs"]
mod demo;
#[path = "cli/events.rs"]
mod events;
#[path = "cli/faults.rs"]
mod faults;
#[path = "cli/forget.rs"]
mod forget;
#[path = "cli/hostile.rs"]
mod hostile;
#[path = "cli/init.rs"]
mod init;
#[path = "cli/kill.rs"]
mod kill;
#[path = "cli/login.rs"]
mod login;
#[path = "cli/online.rs"]
mod online;
#[path = "cli/people.rs"]
mod people;
#[path = "cli/reading.rs"]
mod reading;
#[path = "cli/runtime.rs"]
mod runtime;
#[path = "cli/secrets.rs"]
mod secrets;
#[path = "cli/site.rs"]
mod site;
#[path = "cli/state.rs"]
mod state;
#[path = "cli/sync.rs"]
mod sync;
#[path = "cli/upgrade.rs"]
mod upgrade;
