//! Several sources as one.
