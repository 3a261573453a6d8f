//! Metrics of an HPA by name, and an HPA without some of them.

use super::spec::{HpaSpec, MetricSpec};

/// Reasons why a metric cannot be left out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CannotLeaveOut {
    /// Nothing would be left: the API server would put a CPU target in the place of all of them, which is another HPA.
    #[error("without {} no metric is left, and the HPA would follow the default CPU target instead", .names.join(", "))]
    Nothing {
        /// Names of all metrics.
        names: Vec<String>,
    },
    /// The rest is not valid by itself.
    #[error("without {}: {source}", .names.join(", "))]
    Invalid {
        /// Names of the metrics that were to be left out.
        names: Vec<String>,
        /// Fault that the API server would find in the rest.
        #[source]
        source: super::validate::InvalidHpa,
    },
}

impl MetricSpec {
    /// Returns the name of the resource or the metric; empty if no source is filled.
    pub fn name(&self) -> &str {
        let source = self.sources().into_iter().find_map(|(.., source)| source);
        source.map_or("", |source| {
            source.name.as_deref().or(source.metric.as_ref().map(|metric| metric.name.as_str())).unwrap_or_default()
        })
    }
}

impl HpaSpec {
    /// Leaves metrics out by name, for a replay over data that have nothing for them. Returns the rest, and the names that were found.
    ///
    /// ```
    /// use scaling_core::hpa::{CrossVersionObjectReference, HpaSpec, MetricSpec};
    /// use scaling_core::Bounds;
    ///
    /// let mut spec = HpaSpec::new(CrossVersionObjectReference::deployment("web"), Bounds::new(1, 9)?);
    /// spec.metrics = Some(vec![MetricSpec::utilization("cpu", 70), MetricSpec::utilization("memory", 80)]);
    /// let (rest, left_out) = spec.clone().without_metrics(&["memory", "lag"])?;
    /// assert_eq!(rest.metrics, Some(vec![MetricSpec::utilization("cpu", 70)]));
    /// assert_eq!(left_out, ["memory"]);
    /// assert!(spec.without_metrics(&["memory", "cpu"]).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`CannotLeaveOut`] if no metric would be left, or the API server would refuse the rest.
    pub fn without_metrics(mut self, names: &[impl AsRef<str>]) -> Result<(Self, Vec<String>), CannotLeaveOut> {
        let is_left_out = |metric: &MetricSpec| names.iter().any(|name| name.as_ref() == metric.name());
        let mut found: Vec<String> = Vec::new();
        for metric in self.metrics.iter().flatten().filter(|metric| is_left_out(metric)) {
            if !found.iter().any(|known| known == metric.name()) {
                found.push(metric.name().to_owned());
            }
        }
        if found.is_empty() {
            return Ok((self, found));
        }
        if let Some(metrics) = &mut self.metrics {
            metrics.retain(|metric| !is_left_out(metric));
        }
        if self.metrics.as_ref().is_some_and(Vec::is_empty) {
            return Err(CannotLeaveOut::Nothing { names: found });
        }
        match self.validate() {
            Ok(()) => Ok((self, found)),
            Err(source) => Err(CannotLeaveOut::Invalid { names: found, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::Bounds;
    use crate::hpa::api::{CrossVersionObjectReference, Quantity};

    #[test]
    fn what_is_left_must_stand_by_itself() {
        let mut spec = HpaSpec::new(CrossVersionObjectReference::deployment("web"), Bounds::new(0, 9).unwrap());
        let lag = MetricSpec::external("lag", Quantity::from_milli(5000));
        spec.metrics = Some(vec![MetricSpec::utilization("cpu", 70), lag]);
        let error = spec.clone().without_metrics(&["lag"]).unwrap_err();
        assert!(error.to_string().contains("without lag: spec.metrics: minReplicas 0 needs"), "{error}");
        let error = spec.clone().without_metrics(&["lag", "cpu"]).unwrap_err();
        assert!(error.to_string().starts_with("without cpu, lag no metric is left"), "{error}");
        assert_eq!(spec.clone().without_metrics(&["other"]).unwrap(), (spec, Vec::new()));
    }
}
