//! Nothing of its own: the tests stand at the foot of each example and are run from here.
//!
//! They need crates that the examples do without. In a package of their own those are not built for `cargo run --example …`.
