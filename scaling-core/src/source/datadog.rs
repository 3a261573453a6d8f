//! Datadog: metrics by its timeseries query.
