#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod applier;
mod error;
pub mod hpa;
mod manifest;
pub mod repository;

pub use applier::{ConnectError, KubeHpaApplier};
pub use error::ManifestError;
pub use manifest::{HpaManifest, diff};

pub use k8s_openapi;
pub use kube;
