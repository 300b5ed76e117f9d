//! The connector as the shell meets it: its section, its plans, its conversations.

mod cases;
mod common;
mod config;
mod own;
