//! What can be chosen.

/// Where textfiles are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TextfileConfig {
    /// Directories, or patterns of directories with `*`, `?` and `[…]`, as `--collector.textfile.directory` of node_exporter. Without any there are
    /// no files.
    pub directories: Vec<String>,
}
