//! The fleet controller: many HPAs under one process, or under several that share them.

pub mod lease;
