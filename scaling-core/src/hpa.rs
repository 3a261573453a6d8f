//! HPA
