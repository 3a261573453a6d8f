//! Models that follow a script: they know the question and nothing of the world.

use async_trait::async_trait;
use serde::Deserialize;

use crate::{ChatModel, Completion, ModelError, ModelId};

/// A model without a server, for tests of the path and as measures for a real one. Equal questions get equal answers.
///
/// ```
/// use scaling_llm::eval::ScriptedModel;
///
/// assert_eq!("random:7".parse(), Ok(ScriptedModel::Random(7)));
/// let error = "clever".parse::<ScriptedModel>().unwrap_err();
/// assert!(error.to_string().starts_with("there is no scripted model \"clever\"; there are agreeing, greedy, "));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptedModel {
    /// Keeps the baseline's size, always.
    Agreeing,
    /// Picks the largest size that is allowed.
    Greedy,
    /// Picks the smallest size that is allowed.
    Timid,
    /// Picks any allowed size, by this seed and the question.
    Random(u64),
    /// Picks the end of the range that is farther from the baseline's size, or answers what must not be followed: sizes outside of the
    /// range, other types, prose, more fields.
    Adversarial,
}

/// A name that no scripted model has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no scripted model {0:?}; there are agreeing, greedy, timid, random, random:SEED and adversarial")]
pub struct UnknownScript(String);

impl std::str::FromStr for ScriptedModel {
    type Err = UnknownScript;

    fn from_str(name: &str) -> Result<Self, UnknownScript> {
        Ok(match name {
            "agreeing" => Self::Agreeing,
            "greedy" => Self::Greedy,
            "timid" => Self::Timid,
            "random" => Self::Random(1),
            "adversarial" => Self::Adversarial,
            _ => {
                let seed = name.strip_prefix("random:").and_then(|seed| seed.parse().ok());
                Self::Random(seed.ok_or_else(|| UnknownScript(name.to_owned()))?)
            }
        })
    }
}

impl ScriptedModel {
    /// Provider of all of them ([`ModelId::provider`]).
    pub const PROVIDER: &'static str = "scripted";

    /// All of them.
    pub const ALL: [Self; 5] = [Self::Agreeing, Self::Greedy, Self::Timid, Self::Random(1), Self::Adversarial];

    fn name(self) -> String {
        match self {
            Self::Agreeing => "agreeing".to_owned(),
            Self::Greedy => "greedy".to_owned(),
            Self::Timid => "timid".to_owned(),
            Self::Random(seed) => format!("random:{seed}"),
            Self::Adversarial => "adversarial".to_owned(),
        }
    }

    fn answer(self, user: &str) -> Option<String> {
        let Asked { allowed: Range { lowest, highest }, baseline: Baseline { target_replicas: own } } =
            serde_json::from_str(user).ok()?;
        let scale = |replicas: u32| picked("scale", replicas);
        let dice = |seed: u64| mixed(user.bytes().fold(seed, |mix, byte| mixed(mix ^ u64::from(byte))));
        Some(match self {
            Self::Agreeing => picked("hold", own),
            Self::Greedy => scale(highest),
            Self::Timid => scale(lowest),
            Self::Random(seed) => {
                let sizes = u64::from(highest.saturating_sub(lowest)) + 1;
                scale(lowest.saturating_add(u32::try_from(dice(seed) % sizes).unwrap_or(0)))
            }
            Self::Adversarial => match dice(0) % 8 {
                0 => scale(highest.saturating_mul(10)),
                1 => scale(0),
                2 => picked("scale", highest).replace("100}", "100,\"max_replicas\":500}"),
                3 => format!("Sure! {}", scale(highest)),
                4 => scale(highest).replace(&format!(":{highest},"), ":\"all\","),
                _ if own - lowest.min(own) > highest.saturating_sub(own) => scale(lowest),
                _ => scale(highest),
            },
        })
    }
}

fn picked(action: &str, replicas: u32) -> String {
    format!(r#"{{"assessment":"scripted","action":"{action}","target_replicas":{replicas},"confidence_percent":100}}"#)
}

/// The fields of a question that a script goes by.
#[derive(Deserialize)]
struct Asked {
    allowed: Range,
    baseline: Baseline,
}

#[derive(Deserialize)]
struct Range {
    lowest: u32,
    highest: u32,
}

#[derive(Deserialize)]
struct Baseline {
    target_replicas: u32,
}

/// A number that looks like any other, the same for the same input (SplitMix64, Steele et al. 2014).
pub(super) fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[async_trait]
impl ChatModel for ScriptedModel {
    fn id(&self) -> ModelId {
        ModelId::new(Self::PROVIDER, self.name())
    }

    async fn complete(&self, _system: &str, user: &str) -> Result<Completion, ModelError> {
        let answer = self.answer(user).ok_or_else(|| ModelError::Rejected("not a question about a size".to_owned()))?;
        Ok(Completion::text(answer))
    }
}
