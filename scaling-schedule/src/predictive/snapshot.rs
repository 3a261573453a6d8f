//! [`Snapshot`]: the state learnt of one workload, to be kept over a restart.

use super::workload::Workload;

/// First bytes of every snapshot, the last of them its version. Another version is learnt anew from history rather than converted.
const HEAD: [u8; 4] = *b"SCL\x02";
/// Largest snapshot that is read: start-up times of a quarter of an hour need most.
const BYTES_AT_MOST: usize = 1 << 20;

/// State that a [`PredictiveEngine`](super::PredictiveEngine) has learnt of one workload, as bytes to keep anywhere. It holds loads and
/// sizes, no names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    bytes: Vec<u8>,
}

/// A snapshot that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The bytes do not begin as a snapshot of this version does.
    #[error("these {bytes} bytes are no snapshot of this version; the workload is learnt from its history instead")]
    Version {
        /// Number of bytes.
        bytes: usize,
    },
    /// There are more bytes than any snapshot has.
    #[error("a snapshot has at most {limit} bytes, not {bytes}")]
    TooLarge {
        /// Number of bytes.
        bytes: usize,
        /// Most that is read.
        limit: usize,
    },
    /// The bytes end early, or hold what cannot be.
    #[error("the snapshot is damaged; the workload is learnt from its history instead")]
    Damaged,
}

impl Snapshot {
    /// A snapshot that was kept. It is looked at when it is restored.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into() }
    }

    /// The bytes to keep.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn of(workload: &Workload) -> Option<Self> {
        let body = postcard::to_stdvec(workload).ok()?;
        Some(Self { bytes: [&HEAD[..], &checksum(&body).to_le_bytes(), &body].concat() })
    }

    pub(super) fn workload(&self) -> Result<Workload, SnapshotError> {
        let bytes = self.bytes.len();
        if bytes > BYTES_AT_MOST {
            return Err(SnapshotError::TooLarge { bytes, limit: BYTES_AT_MOST });
        }
        let body = self.bytes.strip_prefix(&HEAD).ok_or(SnapshotError::Version { bytes })?;
        let (sum, body) = body.split_first_chunk().ok_or(SnapshotError::Damaged)?;
        if u64::from_le_bytes(*sum) != checksum(body) {
            return Err(SnapshotError::Damaged);
        }
        let (workload, rest) = postcard::take_from_bytes::<Workload>(body).map_err(|_| SnapshotError::Damaged)?;
        if rest.is_empty() && workload.is_sound() { Ok(workload.restored()) } else { Err(SnapshotError::Damaged) }
    }
}

/// FNV-1a: against bytes that were damaged, not against somebody who means harm.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
