//! [`ColumnMapping`]: a column that its name does not tell, or not in its unit.

use std::str::FromStr;

use super::columns::{Column, Head, canonical, head};
#[cfg(doc)]
use crate::metrics::SignalKind;

/// A column of a file as a signal: `SIGNAL=HEADER`, with `*FACTOR` or `/DIVISOR` behind it to convert the unit.
///
/// The signal is one of the names of [`SignalKind::field`] (or a short form such as `cpu`, `rps`), `timestamp`, `current_pod_count`
/// or `desired_pod_count`. The header is the name in the file as it stands; in a file without a header, `column 1` and so on.
///
/// ```
/// use scaling_core::SignalKind;
/// use scaling_core::source::parse::{ColumnMapping, Reader};
///
/// let mapping: ColumnMapping = "request_rate=requests_per_minute/60".parse()?;
/// let text = br#"{"timestamp":0,"requests_per_minute":120}"#;
/// let reading = Reader::new().with_column(mapping).read(text).unwrap();
/// assert_eq!(reading.samples[0].metrics.value(SignalKind::RequestRate), Some(2.0));
/// # Ok::<(), scaling_core::source::parse::InvalidMapping>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnMapping {
    pub(super) column: Column,
    /// Name in the file, perhaps with a factor behind it: a name may itself end like one.
    text: String,
}

/// A mapping that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidMapping {
    /// It has another form.
    #[error("expected SIGNAL=HEADER, as in request_rate=requests_per_minute/60")]
    Form,
    /// There is no such signal.
    #[error("there is no signal {name:?}; there are: {}", canonical().join(", "))]
    UnknownSignal {
        /// The name asked for.
        name: String,
    },
}

impl FromStr for ColumnMapping {
    type Err = InvalidMapping;

    fn from_str(text: &str) -> Result<Self, InvalidMapping> {
        let (signal, header) = text.split_once('=').ok_or(InvalidMapping::Form)?;
        let header = header.trim();
        if header.is_empty() {
            return Err(InvalidMapping::Form);
        }
        match head(signal) {
            Head::Known(column, _) => Ok(Self { column, text: header.to_owned() }),
            _ => Err(InvalidMapping::UnknownSignal { name: signal.trim().to_owned() }),
        }
    }
}

impl ColumnMapping {
    /// Returns the factor if this is the column that is meant.
    pub(super) fn factor(&self, header: &str) -> Option<f64> {
        if self.text == header {
            return Some(1.0);
        }
        let rest = self.text.strip_prefix(header)?.trim();
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|factor| factor.is_finite() && *factor > 0.0);
        match (rest.strip_prefix('*'), rest.strip_prefix('/')) {
            (Some(factor), _) => number(factor),
            (_, Some(divisor)) => number(divisor).map(|divisor| 1.0 / divisor),
            _ => None,
        }
    }

    /// The name that it asks for, for messages.
    pub(super) fn wanted(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_name_a_signal_and_a_header_that_may_look_like_a_factor() {
        let mapping = |text: &str| text.parse::<ColumnMapping>();
        assert_eq!(mapping("cpu=load*100").unwrap().factor("load"), Some(100.0));
        assert_eq!(mapping("rps=requests/s").unwrap().factor("requests/s"), Some(1.0));
        assert_eq!(mapping("rps=a=b / 60").unwrap().factor("a=b"), Some(1.0 / 60.0));
        for factor in ["rps=a/0", "rps=a*NaN", "rps=a*-1", "rps=ab"] {
            assert_eq!(mapping(factor).unwrap().factor("a"), None, "{factor}");
        }
        assert_eq!(mapping("rps"), Err(InvalidMapping::Form));
        assert!(mapping("speed=a").unwrap_err().to_string().contains("there is no signal \"speed\""));
    }
}
