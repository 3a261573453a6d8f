//! The text of the annotation.

use scaling_core::{Bounds, InvalidBounds};
use serde::{Deserialize, Serialize};

use super::Bound;
use crate::annotation::{DamagedText, MAX_MANAGER, read_version};
use crate::ownership::Operation;

/// Version of the text.
const VERSION: u64 = 1;
/// Longest text that is read, in bytes.
const MAX_BYTES: usize = 4096;

/// Reasons why the annotation tells nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DamagedMemory {
    /// It is none of ours, or not as we write it.
    #[error(transparent)]
    Text(#[from] DamagedText),
    /// Its bounds cannot be.
    #[error("its bounds cannot be: {0}")]
    Bounds(#[from] InvalidBounds),
}

/// A field manager that owned a bound before us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormerOwner {
    /// Name of the manager.
    pub manager: String,
    /// Operation by which it wrote.
    pub operation: Operation,
    /// The bounds that it owned.
    pub bounds: Vec<Bound>,
}

impl FormerOwner {
    /// Owners that are kept, at most.
    pub(super) const MOST: usize = 8;

    /// None if it owned nothing.
    pub(super) fn new(manager: &str, operation: Operation, bounds: Vec<Bound>) -> Option<Self> {
        let fits = !bounds.is_empty() && manager.len() <= MAX_MANAGER;
        fits.then(|| Self { manager: manager.to_owned(), operation, bounds })
    }

    /// The same without some bounds; none if that leaves nothing.
    pub(super) fn without(&self, bounds: &[Bound]) -> Option<Self> {
        let left = self.bounds.iter().filter(|bound| !bounds.contains(bound)).copied().collect();
        Self::new(&self.manager, self.operation, left)
    }
}

/// Content of the annotation: the bounds to give back to, and those that we wrote in their place.
///
/// ```
/// use scaling_core::Bounds;
/// use scaling_k8s::resting::RestingBounds;
///
/// let kept = RestingBounds { resting: Bounds::new(2, 10)?, written: Bounds::new(6, 12)?, uid: None, former: vec![] };
/// assert_eq!(kept.encode(), r#"{"v":1,"resting":[2,10],"written":[6,12]}"#);
/// assert_eq!(RestingBounds::decode(&kept.encode())?, kept);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestingBounds {
    /// The bounds that the owner set.
    pub resting: Bounds,
    /// The bounds that we wrote.
    pub written: Bounds,
    /// Identity of the object that it was made for, where that is known.
    pub uid: Option<String>,
    /// The field managers that owned the bounds before us.
    pub former: Vec<FormerOwner>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    v: u64,
    resting: (u32, u32),
    written: (u32, u32),
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    former: Vec<FormerOwner>,
}

impl RestingBounds {
    /// Writes the text of the annotation: JSON of at most 4 KiB.
    pub fn encode(&self) -> String {
        let pair = |bounds: Bounds| (bounds.min(), bounds.max());
        let mut text = Text {
            v: VERSION,
            resting: pair(self.resting),
            written: pair(self.written),
            uid: self.uid.clone(),
            former: self.former.iter().take(FormerOwner::MOST).cloned().collect(),
        };
        // Plain data with string keys: it always has a JSON form.
        let mut written = serde_json::to_string(&text).unwrap_or_default();
        while written.len() > MAX_BYTES && text.former.pop().is_some() {
            written = serde_json::to_string(&text).unwrap_or_default();
        }
        written
    }

    /// Reads the text of the annotation.
    ///
    /// # Errors
    /// [`DamagedMemory`] with the reason why it tells nothing.
    pub fn decode(text: &str) -> Result<Self, DamagedMemory> {
        let Text { resting, written, uid, former, .. } = read_version(text, MAX_BYTES, VERSION)?;
        let resting = Bounds::new(resting.0, resting.1)?;
        let written = Bounds::new(written.0, written.1)?;
        Ok(Self { resting, written, uid, former })
    }
}
