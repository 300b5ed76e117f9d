//! Typed records of a destination.
