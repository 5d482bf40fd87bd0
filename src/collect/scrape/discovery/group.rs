//! Lists of target groups, in JSON and YAML.

use std::collections::BTreeMap;
use std::fmt::Formatter;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::MAX_ADDRESSES;
use crate::collect::scrape::TargetGroup;
use crate::yaml::{Document, Node, YamlErrors};

/// Keys may be written in any case, as Go reads them; of two the last counts.
#[derive(Default)]
struct JsonGroup {
    targets: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
}

impl<'de> Deserialize<'de> for JsonGroup {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = JsonGroup;

            fn expecting(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
                f.write_str("a group of targets and labels")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonGroup, A::Error> {
                let mut group = JsonGroup::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.to_ascii_lowercase().as_str() {
                        "targets" => group.targets = map.next_value()?,
                        "labels" => group.labels = map.next_value()?,
                        _ => return Err(A::Error::unknown_field(&key, &["targets", "labels"])),
                    }
                }
                Ok(group)
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

/// Reads a list of groups as JSON. `source` names where it came from, `meta` is a label that says so.
///
/// # Errors
/// What is not of that form, and lists that are too long.
pub(super) fn from_json(text: &[u8], source: &str, meta: (&str, &str)) -> Result<Vec<TargetGroup>, String> {
    // `null` is a list without groups.
    let groups: Option<Vec<JsonGroup>> = serde_json::from_slice(text).map_err(|error| {
        format!(
            "{error}; expected a list such as [{{\"targets\": [\"host:port\"], \"labels\": {{\"name\": \"value\"}}}}]"
        )
    })?;
    finish(
        groups
            .unwrap_or_default()
            .into_iter()
            .map(|group| (group.targets.unwrap_or_default(), group.labels.unwrap_or_default().into_iter().collect())),
        source,
        meta,
    )
}

/// The same as YAML.
///
/// # Errors
/// As [`from_json`], with line and column.
pub(super) fn from_yaml(text: &[u8], source: &str, meta: (&str, &str)) -> Result<Vec<TargetGroup>, String> {
    let doc = Document::parse_bytes(source, text).map_err(|errors| errors.to_string())?;
    let mut errors = YamlErrors::default();
    let read = |node: &Node<'_>, errors: &mut YamlErrors| {
        let mut map = node.mapping(errors);
        let targets = map.optional("targets", errors, Node::strings).unwrap_or_default();
        let labels = map.optional("labels", errors, Node::string_map).unwrap_or_default();
        map.finish(errors);
        Some((targets, labels))
    };
    let groups = doc.root().list_of(&mut errors, read);
    let groups = errors.into_result(groups).map_err(|errors| errors.to_string())?;
    finish(groups.into_iter(), source, meta)
}

fn finish(
    groups: impl Iterator<Item = (Vec<String>, Vec<(String, String)>)>,
    source: &str,
    (name, value): (&str, &str),
) -> Result<Vec<TargetGroup>, String> {
    let mut addresses = 0;
    let mut found = Vec::new();
    for (index, (targets, mut labels)) in groups.enumerate() {
        addresses += targets.len();
        if addresses > MAX_ADDRESSES {
            return Err(format!("more than {MAX_ADDRESSES} targets: expected fewer, in several lists if need be"));
        }
        if let Some((label, _)) = labels.iter().find(|(label, _)| label.is_empty()) {
            return Err(format!("group {index} has a label without a name ({label:?})"));
        }
        labels.push((name.to_owned(), value.to_owned()));
        found.push(TargetGroup { source: format!("{source}:{index}"), addresses: targets, labels });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::{from_json, from_yaml};

    #[test]
    fn lists_are_read_or_refused() {
        // The text, addresses and labels of each group, or what the error says.
        type Expected = Result<&'static [(&'static str, &'static str)], &'static str>;
        let cases: &[(&str, Expected)] = &[
            ("[]", Ok(&[])),
            (r#"[{"targets": ["a:1", "b:2"], "labels": {"x": "y"}}]"#, Ok(&[("a:1 b:2", "x=y m=v")])),
            (r#"[{"targets": []}, {"labels": {}, "targets": ["c"]}]"#, Ok(&[("", "m=v"), ("c", "m=v")])),
            (r#"[{"targets": null}]"#, Ok(&[("", "m=v")])),
            (r#"[{"targets": ["a"], "label": {}}]"#, Err("label")),
            (r#"{"targets": ["a"]}"#, Err("list")),
            (r#"[{"targets": "a"}]"#, Err("")),
            (r#"[{"targets": ["a"], "labels": {"": "x"}}]"#, Err("without a name")),
            (r#"[{"targets": ["a"]"#, Err("")),
        ];
        for (text, expected) in cases {
            for read in [from_json, from_yaml] {
                match (read(text.as_bytes(), "f", ("m", "v")), expected) {
                    (Ok(groups), Ok(expected)) => {
                        let shown = groups.iter().map(|group| {
                            let labels: Vec<_> = group.labels.iter().map(|(n, v)| format!("{n}={v}")).collect();
                            (group.addresses.join(" "), labels.join(" "))
                        });
                        assert!(shown.eq(expected.iter().map(|(a, l)| ((*a).to_owned(), (*l).to_owned()))), "{text}");
                    }
                    (Err(found), Err(expected)) => assert!(found.contains(expected), "{text}: {found}"),
                    (found, _) => panic!("{text}: {found:?}"),
                }
            }
        }
        assert!(from_yaml(b"- targets: [a:1]\n  labels: {job: x}\n", "f", ("m", "v")).is_ok());
        assert!(from_yaml(b"", "f", ("m", "v")).is_ok_and(|groups| groups.is_empty()));
        let many = format!("[{{\"targets\": [{}\"x\"]}}]", "\"x\",".repeat(60_000));
        assert!(from_json(many.as_bytes(), "f", ("m", "v")).is_err_and(|error| error.contains("more than 50000")));
        assert!(from_json(b"\xff", "f", ("m", "v")).is_err());
        assert!(from_json(b"null", "f", ("m", "v")).is_ok_and(|groups| groups.is_empty()));
        let groups = from_json(br#"[{"Targets": ["a:1"], "LABELS": {"X": "y"}}]"#, "f", ("m", "v")).expect("any case");
        assert_eq!((groups[0].addresses.len(), groups[0].labels[0].0.as_str()), (1, "X"));
    }
}
