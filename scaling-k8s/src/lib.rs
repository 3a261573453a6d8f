#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod api;
#[cfg(feature = "client")]
mod applier;
#[cfg(feature = "controller")]
pub mod controller;
mod error;
mod folder;
pub mod history;
#[cfg(feature = "client")]
pub mod hpa;
pub mod kubectl;
mod manifest;
pub mod ownership;
pub mod repository;
pub mod resting;

#[cfg(feature = "client")]
pub use applier::{
    ConnectError, CreateError, CronJobApplier, CronJobError, CronJobErrorKind, CronJobsApplied, KubeHpaApplier,
    Released, ScaleApplier, connect, connect_from_environment,
};
pub use error::ManifestError;
pub use folder::{FileChange, FolderError, ManifestApplier};
pub use manifest::{HpaManifest, Manifests, Metadata, MissingRequest, TemplateSyntax, Workload, diff, with_bounds};

#[cfg(feature = "client")]
pub use k8s_openapi;
#[cfg(feature = "client")]
pub use kube;
