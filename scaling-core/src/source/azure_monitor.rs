//! Azure Monitor: metrics of resources by its query API.
