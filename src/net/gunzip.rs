//! Decompression with a limit: a small body may not become a large one.

use std::io::Read;

/// Why a body could not be decompressed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GunzipError {
    /// More bytes than allowed come out of it.
    #[error("more than {0} bytes after decompression")]
    TooLarge(usize),
    /// It is not gzip, or cut off.
    #[error("{0}")]
    Damaged(String),
}

/// Decompresses gzip (several members are allowed) to at most `limit` bytes.
///
/// # Errors
/// When the result would be larger, or the input is not gzip.
pub fn gunzip(body: &[u8], limit: usize) -> Result<Vec<u8>, GunzipError> {
    let mut out = Vec::with_capacity(body.len().saturating_mul(6).min(limit));
    let mut decoder = flate2::read::MultiGzDecoder::new(body).take(limit as u64 + 1);
    decoder.read_to_end(&mut out).map_err(|error| GunzipError::Damaged(error.to_string()))?;
    if out.len() > limit { Err(GunzipError::TooLarge(limit)) } else { Ok(out) }
}
