//! `relabel_configs` and their like.

use crate::relabel::{Action, RelabelConfig, RelabelRules};
use crate::yaml::{Node, YamlErrors};

/// Reads a list of rules; each that cannot work is an error at its place.
pub(super) fn rules(node: &Node<'_>, errors: &mut YamlErrors, legacy_names: bool) -> Option<RelabelRules> {
    let mut rules = Vec::new();
    for item in node.list(errors) {
        if item.is_null() {
            errors.push(item.error("the rule is empty").expected("a mapping such as {action: drop, …}"));
            continue;
        }
        let before = errors.len();
        let rule = rule(&item, errors, legacy_names);
        if errors.len() > before {
            continue;
        }
        match RelabelRules::new(vec![rule.clone()]) {
            Ok(_) => rules.push(rule),
            Err(error) => errors.push(item.error(error.to_string())),
        }
    }
    // Each has been made once already.
    RelabelRules::new(rules).ok()
}

fn rule(node: &Node<'_>, errors: &mut YamlErrors, legacy_names: bool) -> RelabelConfig {
    let mut map = node.mapping(errors);
    let defaults = RelabelConfig::default();
    let text = |node: &Node<'_>, errors: &mut YamlErrors| {
        if node.is_null() { Some(String::new()) } else { node.string(errors) }
    };
    let mut string = |key: &'static str, default: String, errors: &mut YamlErrors| match map.get(key) {
        Some(node) => text(&node, errors).unwrap_or_default(),
        None => default,
    };
    let rule = RelabelConfig {
        separator: string("separator", defaults.separator, errors),
        regex: string("regex", defaults.regex, errors),
        target_label: string("target_label", defaults.target_label, errors),
        replacement: string("replacement", defaults.replacement, errors),
        source_labels: map.optional("source_labels", errors, Node::strings),
        modulus: map.optional("modulus", errors, Node::integer::<u64>).unwrap_or(defaults.modulus),
        action: map.optional("action", errors, action).unwrap_or(defaults.action),
        legacy_names,
    };
    map.finish(errors);
    rule
}

/// The name of an action in any case.
fn action(node: &Node<'_>, errors: &mut YamlErrors) -> Option<Action> {
    let text = node.string(&mut YamlErrors::default())?.to_ascii_lowercase();
    let found = Action::ALL.iter().find(|(name, _)| *name == text).map(|(_, action)| *action);
    found.or_else(|| node.word(&Action::ALL, errors))
}
