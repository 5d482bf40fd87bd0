//! Typed reading of YAML with file, line and column for every error.
