//! Values → YAML text.

use serde::Serialize;

/// A value that YAML cannot hold.
#[derive(Debug, thiserror::Error)]
#[error("cannot write as YAML: {0}")]
pub struct EmitError(#[from] serde_yaml::Error);

/// Writes a value as one YAML document, keys in the order of the type.
///
/// # Errors
/// When the value has something that YAML cannot hold, such as a mapping whose keys are mappings.
pub fn to_string<T: Serialize>(value: &T) -> Result<String, EmitError> {
    Ok(serde_yaml::to_string(value)?)
}
