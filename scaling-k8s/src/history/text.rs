//! A history as an annotation.

use scaling_core::Target;

use super::{Change, History, cut};

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
    /// It is longer than any that we write.
    #[error("it has {bytes} bytes; at most {MAX_BYTES} are read")]
    TooLong {
        /// Length, in bytes.
        bytes: usize,
    },
    /// It is not what we write.
    #[error("it cannot be read: {why}")]
    Unreadable {
        /// Fault, with its place.
        why: String,
    },
}

impl History {
    /// The latest changes of a workload as text, in JSON, oldest first, of at most so many bytes: as many as fit, and `[]` if none does.
    pub fn annotation(&self, target: &Target, bytes: usize) -> String {
        let mut kept: Vec<String> = Vec::new();
        let mut length = 2;
        for change in self.of(target).rev() {
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

    /// Reads the changes of an annotation, oldest first.
    ///
    /// # Errors
    /// [`InvalidHistory`] if it is none.
    pub fn read_annotation(text: &str) -> Result<Vec<Change>, InvalidHistory> {
        if text.len() > MAX_BYTES {
            return Err(InvalidHistory::TooLong { bytes: text.len() });
        }
        serde_json::from_str(text).map_err(|error| InvalidHistory::Unreadable { why: error.to_string() })
    }
}
