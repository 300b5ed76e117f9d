//! One program for all tests of this crate: conversations as text, and what is its own.

mod cases;
mod companies;
mod limits;
mod own;
mod support;
