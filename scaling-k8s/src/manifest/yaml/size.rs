//! Size of values, and how much of them may be copied. Pure.

use std::ops::{Add, Sub};

/// Most values that anchors and aliases of a whole text may stand for.
const MAX_COPIED_VALUES: usize = 400_000;
/// Most text that they may stand for, in bytes.
const MAX_COPIED_BYTES: usize = 64 << 20;

/// Size of values: what is written is as large as the text, and an alias as large as what it stands for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size {
    pub(super) values: usize,
    /// Text of scalars and keys.
    pub(super) bytes: usize,
}

impl Size {
    pub(super) fn of(text: &str) -> Self {
        Self { values: 1, bytes: text.len() }
    }
}

impl Add for Size {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { values: self.values.saturating_add(other.values), bytes: self.bytes.saturating_add(other.bytes) }
    }
}

impl Sub for Size {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { values: self.values.saturating_sub(other.values), bytes: self.bytes.saturating_sub(other.bytes) }
    }
}

/// Everything that one text copies, its documents together: a few bytes may stand for as much as memory holds.
#[derive(Debug, Default)]
pub(super) struct Copies(Size);

impl Copies {
    pub(super) fn take(&mut self, size: Size) -> Result<(), String> {
        self.0 = self.0 + size;
        if self.0.values > MAX_COPIED_VALUES || self.0.bytes > MAX_COPIED_BYTES {
            return Err(format!("copies of more than {MAX_COPIED_VALUES} values or {MAX_COPIED_BYTES} bytes"));
        }
        Ok(())
    }
}
