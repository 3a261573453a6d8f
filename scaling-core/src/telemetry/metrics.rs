//! [`Metrics`]: counts and gauges of what was decided, in the OpenMetrics format.

/// Counts and gauges of what was decided.
#[derive(Debug, Default)]
pub struct Metrics {}

impl Metrics {
    /// Nothing counted yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The page that Prometheus reads, in the OpenMetrics text format.
    ///
    /// # Errors
    /// [`std::fmt::Error`] if it could not be written.
    pub fn render(&self) -> Result<String, std::fmt::Error> {
        Ok("# EOF\n".to_owned())
    }
}
