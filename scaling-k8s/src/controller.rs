//! A fleet of HPAs under one controller, or under several replicas that share it.

pub mod applier;
pub mod cache;
pub mod fleet;
pub mod lease;
pub mod settings;
