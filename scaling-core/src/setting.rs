//! [`InvalidSetting`]: a number in a configuration that cannot work.

/// A setting outside the range in which it can work.
///
/// One type for every configuration of this crate: hosts print it, or point at the field.
///
/// ```
/// use scaling_core::InvalidSetting;
/// let error = InvalidSetting { field: "pod_capacity", value: 0.0, must: "a finite number above 0" };
/// assert_eq!(error.to_string(), "pod_capacity is 0; it must be a finite number above 0");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{field} is {value}; it must be {must}")]
pub struct InvalidSetting {
    /// Name of the field.
    pub field: &'static str,
    /// Refused value, in the unit of the field.
    pub value: f64,
    /// Condition that the value must meet.
    pub must: &'static str,
}

impl InvalidSetting {
    /// Checks fields that must all meet the same condition. A value that is not finite never meets it.
    ///
    /// # Errors
    /// The first field that does not.
    ///
    /// ```
    /// use scaling_core::InvalidSetting;
    /// let above_zero = |fields: &[_]| InvalidSetting::check(fields, "a finite number above 0", |value| value > 0.0);
    /// assert!(above_zero(&[("start_up", 60.0), ("period", 15.0)]).is_ok());
    /// assert_eq!(above_zero(&[("start_up", 60.0), ("period", f64::NAN)]).unwrap_err().field, "period");
    /// ```
    pub fn check(fields: &[(&'static str, f64)], must: &'static str, holds: fn(f64) -> bool) -> Result<(), Self> {
        match fields.iter().find(|(_, value)| !(value.is_finite() && holds(*value))) {
            Some(&(field, value)) => Err(Self { field, value, must }),
            None => Ok(()),
        }
    }
}
