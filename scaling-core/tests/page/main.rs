//! The status page and its JSON, over real sockets on loopback, and in a real browser where there is one.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod browser;
mod fixture;
mod http;
