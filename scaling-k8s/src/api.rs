//! Objects of the Kubernetes API as plain manifests. Pure.

pub mod cronjob;
