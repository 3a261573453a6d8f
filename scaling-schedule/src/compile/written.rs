//! The written form of what the compiler answers.

/// Durations as whole minutes.
pub(super) mod minutes {
    use chrono::TimeDelta;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde's form
    pub(crate) fn serialize<S: Serializer>(duration: &TimeDelta, serializer: S) -> Result<S::Ok, S::Error> {
        duration.num_minutes().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TimeDelta, D::Error> {
        let minutes = i64::deserialize(deserializer)?;
        TimeDelta::try_minutes(minutes).ok_or_else(|| D::Error::custom("more minutes than can be"))
    }
}
