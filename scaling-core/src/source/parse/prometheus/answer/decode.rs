//! The written form of an answer, as serde reads it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Sample, Series, shortened};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Envelope<'a> {
    #[serde(borrow)]
    pub(super) status: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) error_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) error: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) data: Option<Data<'a>>,
    #[serde(borrow)]
    pub(super) warnings: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    pub(super) infos: Option<Vec<Text<'a>>>,
    pub(super) is_partial: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Data<'a> {
    #[serde(borrow)]
    pub(super) result_type: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) result: Elements<'a>,
}

/// A string, borrowed where nothing in it is escaped.
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// The elements of a result: series or, in that of a scalar, a number and a string, which nobody asked for.
#[derive(Default)]
pub(super) struct Elements<'a> {
    pub(super) series: Vec<Series<'a>>,
    pub(super) has_histograms: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for Elements<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All<'a>(Elements<'a>);

        impl<'de: 'a, 'a> Visitor<'de> for All<'a> {
            type Value = Elements<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of series")
            }

            fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Elements<'a>, A::Error> {
                while seq.next_element_seed(Element(&mut self.0))?.is_some() {}
                Ok(self.0)
            }
        }

        deserializer.deserialize_any(All(Elements::default()))
    }
}

struct Element<'b, 'a>(&'b mut Elements<'a>);

impl<'de: 'a, 'a> DeserializeSeed<'de> for Element<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de: 'a, 'a> Visitor<'de> for Element<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a series")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut series, mut has_histograms) = (Series::default(), false);
        while let Some(Text(key)) = map.next_key()? {
            match key.as_ref() {
                "metric" => series.labels = map.next_value::<Labels<'a>>()?.0,
                "value" => series.samples.push(map.next_value::<Pair>()?.0),
                "values" => map.next_value_seed(Pairs(&mut series.samples))?,
                "histogram" | "histograms" => {
                    map.next_value::<IgnoredAny>()?;
                    has_histograms = true;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        self.0.has_histograms |= has_histograms && series.samples.is_empty();
        self.0.series.push(series);
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

struct Labels<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Labels<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

        impl<'de: 'a, 'a> Visitor<'de> for All<'a> {
            type Value = Labels<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("labels")
            }

            fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Labels<'a>, A::Error> {
                while let Some((Text(name), Text(value))) = map.next_entry()? {
                    self.0.push((name, value));
                }
                Ok(Labels(self.0))
            }
        }

        deserializer.deserialize_map(All(Vec::new()))
    }
}

/// The values of a series, appended one by one.
struct Pairs<'b>(&'b mut Vec<Sample>);

impl<'de> DeserializeSeed<'de> for Pairs<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Pairs<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(Pair(sample)) = seq.next_element()? {
            self.0.push(sample);
        }
        Ok(())
    }
}

/// `[seconds, "value"]`.
struct Pair(Sample);

impl<'de> Deserialize<'de> for Pair {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Both;

        impl<'de> Visitor<'de> for Both {
            type Value = Pair;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an instant in seconds and a value in quotes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Pair, A::Error> {
                let missing = |index| move || de::Error::invalid_length(index, &Both);
                let Millis(at_ms) = seq.next_element()?.ok_or_else(missing(0))?;
                let Number(value) = seq.next_element()?.ok_or_else(missing(1))?;
                match seq.next_element::<IgnoredAny>()? {
                    None => Ok(Pair(Sample { at_ms, value })),
                    Some(_) => Err(de::Error::invalid_length(3, &Both)),
                }
            }
        }

        deserializer.deserialize_seq(Both)
    }
}

/// Seconds in the text, milliseconds here.
struct Millis(i64);

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seconds;

        impl Visitor<'_> for Seconds {
            type Value = Millis;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an instant in seconds")
            }

            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Millis, E> {
                let ms = i64::try_from(seconds).ok().and_then(|seconds| seconds.checked_mul(1000));
                ms.map(Millis).ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(seconds), &self))
            }

            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Millis, E> {
                let ms = seconds.checked_mul(1000);
                ms.map(Millis).ok_or_else(|| E::invalid_value(de::Unexpected::Signed(seconds), &self))
            }

            #[allow(clippy::cast_possible_truncation)] // checked
            fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Millis, E> {
                let ms = (seconds * 1000.0).round();
                if ms.abs() < 9e15 {
                    Ok(Millis(ms as i64))
                } else {
                    Err(E::invalid_value(de::Unexpected::Float(seconds), &self))
                }
            }
        }

        deserializer.deserialize_any(Seconds)
    }
}

/// A number in quotes; bare, or `null` for NaN, in files that other tools wrote.
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Quoted;

        impl Visitor<'_> for Quoted {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number in quotes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                text.parse().map(Number).map_err(|_| E::invalid_value(de::Unexpected::Str(&shortened(text)), &self))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Number, E> {
                Ok(Number(value))
            }

            fn visit_unit<E>(self) -> Result<Number, E> {
                Ok(Number(f64::NAN))
            }
        }

        deserializer.deserialize_any(Quoted)
    }
}
