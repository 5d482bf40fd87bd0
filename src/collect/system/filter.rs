//! Which devices, fields or chips a collector is to show: node_exporter's pairs of patterns.

use regex::bytes::Regex;

/// An include and an exclude pattern. Neither is anchored: `eth` fits `veth0` too, as in node_exporter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only what matches is shown; `None` shows everything.
    pub include: Option<Regex>,
    /// What matches is left out.
    pub exclude: Option<Regex>,
}

impl Filter {
    /// A filter that leaves out what matches.
    pub fn without(exclude: Regex) -> Self {
        Self { include: None, exclude: Some(exclude) }
    }

    /// A filter that shows only what matches.
    pub fn only(include: Regex) -> Self {
        Self { include: Some(include), exclude: None }
    }

    /// Whether `name` is to be shown.
    pub fn shows(&self, name: &[u8]) -> bool {
        self.include.as_ref().is_none_or(|include| include.is_match(name))
            && !self.exclude.as_ref().is_some_and(|exclude| exclude.is_match(name))
    }
}

#[cfg(test)]
mod tests {
    use super::Filter;
    use regex::bytes::Regex;

    #[test]
    fn both_patterns_and_none() {
        let regex = |text| Some(Regex::new(text).unwrap());
        for (include, exclude, name, shown) in [
            (None, None, "eth0", true),
            (None, regex("^veth"), "veth1", false),
            (None, regex("^$"), "veth1", true),
            (regex("^eth"), None, "veth1", false),
            (regex("eth"), None, "veth1", true),
            (regex("eth"), regex("1$"), "veth1", false),
        ] {
            assert_eq!(Filter { include, exclude }.shows(name.as_bytes()), shown, "{name}");
        }
    }
}
