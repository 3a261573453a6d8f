#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod annotation;
pub mod api;
#[cfg(feature = "client")]
mod applier;
#[cfg(feature = "client")]
mod client_fault;
#[cfg(feature = "client")]
pub mod clusters;
#[cfg(feature = "controller")]
pub mod controller;
mod error;
#[cfg(feature = "client")]
mod fan_out;
mod folder;
pub mod history;
#[cfg(feature = "client")]
pub mod hpa;
pub mod kubectl;
mod manifest;
#[cfg(feature = "client")]
pub mod metrics_api;
pub mod ownership;
pub mod repository;
pub mod resting;
pub mod stage;
pub mod vertical;

pub use annotation::DamagedText;
#[cfg(feature = "client")]
pub use applier::{
    ConnectError, CreateError, CronJobApplier, CronJobError, CronJobErrorKind, CronJobsApplied, EffectPolicy, InUse,
    KubeHpaApplier, PodUsage, Preview, Released, ResizeApplier, ResizeWay, Resized, ScaleApplier, UsedWithin,
    VerticalApplier, Writer, connect, connect_from_environment,
};
#[cfg(feature = "client")]
pub use client_fault::{ClientFault, MissingRight};
pub use error::ManifestError;
pub use folder::{FileChange, FolderError, ManifestApplier};
pub use manifest::{HpaManifest, Manifests, Metadata, MissingRequest, TemplateSyntax, Workload, diff, with_bounds};

#[cfg(feature = "client")]
pub use k8s_openapi;
#[cfg(feature = "client")]
pub use kube;
