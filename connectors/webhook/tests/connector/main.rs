//! The webhook connector from outside.

mod cases;
mod config;
mod plan;
mod support;
