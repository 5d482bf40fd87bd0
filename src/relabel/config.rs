//! What a rule is told.

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Action {
    /// Sets the target label to the replacement when the source matches.
    #[default]
    Replace,
    /// Drops what does not match.
    Keep,
    /// Drops what matches.
    Drop,
    /// Drops what differs from the target label.
    KeepEqual,
    /// Drops what is the same as the target label.
    DropEqual,
    /// Sets the target label to a number below the modulus that depends on the source alone.
    HashMod,
    /// Copies labels whose name matches to the name that the replacement gives.
    LabelMap,
    /// Removes labels whose name matches.
    LabelDrop,
    /// Removes labels whose name does not match.
    LabelKeep,
    /// Sets the target label to the source in lower case.
    Lowercase,
    /// Sets the target label to the source in upper case.
    Uppercase,
}

impl Action {
    /// Every action with its name.
    pub const ALL: [(&'static str, Self); 11] = [
        ("replace", Self::Replace),
        ("keep", Self::Keep),
        ("drop", Self::Drop),
        ("keepequal", Self::KeepEqual),
        ("dropequal", Self::DropEqual),
        ("hashmod", Self::HashMod),
        ("labelmap", Self::LabelMap),
        ("labeldrop", Self::LabelDrop),
        ("labelkeep", Self::LabelKeep),
        ("lowercase", Self::Lowercase),
        ("uppercase", Self::Uppercase),
    ];

    /// The name in configurations.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, action)| *action == self).map_or("replace", |(name, _)| name)
    }
}

/// One rule as it is written; the defaults are Prometheus'.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelabelConfig {
    /// Labels whose values, joined, are the source. `None` is not written at all, which is not the same as an empty list for
    /// `labeldrop` and `labelkeep`.
    pub source_labels: Option<Vec<String>>,
    /// Between the values of the source.
    pub separator: String,
    /// Has to match all of the source, or of a label's name. Go's syntax; the dot means new lines too.
    pub regex: String,
    /// For `hashmod`: numbers are below it.
    pub modulus: u64,
    /// The label that is set; for `replace` a template.
    pub target_label: String,
    /// The template of the value that is set: `$1`, `${name}`.
    pub replacement: String,
    /// What is done.
    pub action: Action,
    /// Whether label names have to be letters, digits and `_` (`metric_name_validation_scheme: legacy`).
    pub legacy_names: bool,
}

impl Default for RelabelConfig {
    fn default() -> Self {
        Self {
            source_labels: None,
            separator: ";".to_owned(),
            regex: "(.*)".to_owned(),
            modulus: 0,
            target_label: String::new(),
            replacement: "$1".to_owned(),
            action: Action::Replace,
            legacy_names: false,
        }
    }
}
