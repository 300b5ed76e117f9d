//! One program for all tests of this crate: conversations as text, and laws.

mod cases;
mod companies;
mod laws;
mod limits;
mod support;
