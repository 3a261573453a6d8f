//! A fleet of HPAs under one controller.

pub mod applier;
pub mod cache;
pub mod settings;
