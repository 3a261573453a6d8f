//! Metrics from Datadog: the timeseries query of its API, version 2.

pub mod answer;
pub mod query;
