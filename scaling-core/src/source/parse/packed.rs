//! Packed files.

use super::error::{Fault, ParseError};

/// First bytes of a gzip file.
const MARK: [u8; 2] = [0x1f, 0x8b];
/// Most bytes that one file may unpack to.
#[cfg(feature = "gzip")]
const LARGEST: u64 = 512 << 20;

fn fault(what: impl Into<String>) -> ParseError {
    ParseError::of("the file", Fault::Gzip(what.into()))
}

/// Unpacks a gzip file; none if it is not one.
#[cfg(feature = "gzip")]
pub(super) fn unpacked(bytes: &[u8]) -> Result<Option<Vec<u8>>, ParseError> {
    use std::io::Read;
    if !bytes.starts_with(&MARK) {
        return Ok(None);
    }
    let mut text = Vec::new();
    let mut reader = flate2::read::MultiGzDecoder::new(bytes).take(LARGEST + 1);
    reader.read_to_end(&mut text).map_err(|error| fault(error.to_string()))?;
    if text.len() as u64 > LARGEST {
        return Err(fault(format!("it unpacks to more than {} MiB", LARGEST >> 20)));
    }
    if text.starts_with(&MARK) {
        return Err(fault("it is packed twice"));
    }
    Ok(Some(text))
}

#[cfg(not(feature = "gzip"))]
pub(super) fn unpacked(bytes: &[u8]) -> Result<Option<Vec<u8>>, ParseError> {
    if bytes.starts_with(&MARK) {
        Err(fault("reading packed files is not built in (feature `gzip`)"))
    } else {
        Ok(None)
    }
}
