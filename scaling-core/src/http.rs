//! An HTTP client that is careful with deadlines, bodies and secrets.
