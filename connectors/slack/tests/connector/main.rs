//! One program for all tests of this crate: conversations as text, and what is its own.

mod cases;
mod message;
mod own;
mod support;
