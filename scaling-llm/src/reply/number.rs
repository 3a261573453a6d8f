//! A whole number that a pod count can be, and nothing that merely converts to one.

use std::fmt;

use scaling_core::MAX_REPLICAS;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// 0 to [`MAX_REPLICAS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Whole(pub(super) u32);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WholeVisitor;

        impl Visitor<'_> for WholeVisitor {
            type Value = Whole;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a whole number from 0 to {MAX_REPLICAS}")
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Whole, E> {
                let fits = u32::try_from(value).ok().filter(|value| *value <= MAX_REPLICAS);
                fits.map(Whole).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(value), &self))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Whole, E> {
                match u64::try_from(value) {
                    Ok(value) => self.visit_u64(value),
                    Err(_) => Err(E::invalid_value(Unexpected::Signed(value), &self)),
                }
            }

            // With a fraction or an exponent it is refused even where it comes out whole: as a float 6.99999999999999999 is 7.
            fn visit_f64<E: Error>(self, value: f64) -> Result<Whole, E> {
                Err(E::invalid_value(Unexpected::Float(value), &self))
            }
        }

        deserializer.deserialize_any(WholeVisitor)
    }
}
