//! [`HeatMap`]: usual load by hour and weekday.

use serde::{Deserialize, Serialize};

/// Usual load by hour and weekday.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeatMap {
    /// One row a weekday, Monday first, of 24 hours: the mean of the hour's slots, each the median over such days. `None` where none was
    /// seen.
    pub rows: Vec<Vec<Option<f64>>>,
}
