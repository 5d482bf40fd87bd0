//! The rule files that the binary carries, so that a start without configuration has alerts.

/// A rule file of the repository's `rules/` folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShippedFile {
    /// Its name in `rules/`.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// All shipped files.
pub const SHIPPED: &[ShippedFile] = &[
    ShippedFile { name: "host.yml", text: include_str!("../../rules/host.yml") },
    ShippedFile { name: "workers.yml", text: include_str!("../../rules/workers.yml") },
    ShippedFile { name: "gpus.yml", text: include_str!("../../rules/gpus.yml") },
    ShippedFile { name: "models.yml", text: include_str!("../../rules/models.yml") },
    ShippedFile { name: "watchfire.yml", text: include_str!("../../rules/watchfire.yml") },
];

impl ShippedFile {
    /// What views and errors call it.
    pub fn display_name(&self) -> String {
        format!("watchfire:{}", self.name)
    }
}
