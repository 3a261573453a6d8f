//! A history as an annotation.

use scaling_core::Target;
use serde_json::Value;

use super::{Change, History, cut};
use crate::annotation::{self, DamagedText};

/// Key of the annotation that shows the latest changes.
pub const ANNOTATION: &str = "kube-scaling/history";
/// Longest annotation that is read, in bytes.
const MAX_BYTES: usize = 64 << 10;
/// Longest reason in an annotation, in bytes.
const MAX_WHY: usize = 200;

/// An annotation that is no history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidHistory {
    /// It is none of ours, or not as we write it.
    #[error(transparent)]
    Text(#[from] DamagedText),
    /// Its changes are not in the order of their numbers, as those that we write are.
    #[error("change #{number} stands after change #{before}")]
    Disordered {
        /// Number of the change.
        number: u64,
        /// Number of the change before it.
        before: u64,
    },
}

impl History {
    /// The latest changes of a workload as text, in JSON, oldest first, of at most so many bytes: as many as fit, and `[]` if none does.
    pub fn annotation(&self, target: &Target, bytes: usize) -> String {
        encoded(self.of(target).rev(), bytes)
    }

    /// Reads the changes of an annotation, oldest first.
    ///
    /// # Errors
    /// [`InvalidHistory`] if it is none.
    pub fn read_annotation(text: &str) -> Result<Vec<Change>, InvalidHistory> {
        let changes: Vec<Change> = annotation::read(text, MAX_BYTES)?;
        let disordered = changes.windows(2).find_map(|pair| match pair {
            [one, next] if next.number <= one.number => Some((next.number, one.number)),
            _ => None,
        });
        match disordered {
            Some((number, before)) => Err(InvalidHistory::Disordered { number, before }),
            None => Ok(changes),
        }
    }
}

/// The changes that an HPA itself tells, in the JSON of the API, oldest first: those that `KubeHpaApplier::history` has written to it under
/// the field manager `manager`. None where it tells of none.
///
/// As with the [resting bounds](crate::resting), what the annotation says counts only if that manager owns it. Where the metadata carry no
/// managed fields it counts too.
///
/// # Errors
/// [`InvalidHistory`] if it is none of ours, or damaged. Then there is no way back that rests on it.
pub fn of_hpa(hpa: &Value, manager: &str) -> Result<Vec<Change>, InvalidHistory> {
    annotation::text(hpa, ANNOTATION, manager)?.map_or(Ok(Vec::new()), History::read_annotation)
}

/// Text of the annotation with one more change, of at most so many bytes. A number that an earlier change has already becomes the next one.
#[cfg(feature = "client")]
pub(crate) fn with_change(mut earlier: Vec<Change>, change: Option<Change>, bytes: usize) -> String {
    if let Some(mut change) = change {
        let next = earlier.last().map_or(1, |last| last.number.saturating_add(1));
        change.number = change.number.max(next);
        earlier.push(change);
    }
    encoded(earlier.iter().rev(), bytes)
}

/// As many of these changes, newest first, as fit into so many bytes: written oldest first.
fn encoded<'a>(newest_first: impl Iterator<Item = &'a Change>, bytes: usize) -> String {
    let mut kept: Vec<String> = Vec::new();
    let mut length = 2;
    for change in newest_first {
        let short = Change { why: cut(&change.why, MAX_WHY), who: cut(&change.who, MAX_WHY), ..change.clone() };
        // Plain data with string keys: it always has a JSON form.
        let text = serde_json::to_string(&short).unwrap_or_default();
        length += text.len() + usize::from(!kept.is_empty());
        if length > bytes {
            break;
        }
        kept.push(text);
    }
    kept.reverse();
    format!("[{}]", kept.join(","))
}
