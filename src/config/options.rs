//! `collectors.options`: what is shown of each source, in the words of node_exporter's flags.

use regex::bytes::Regex;

use crate::collect::system::{Filter, SystemOptions};
use crate::yaml::{Mapping, Node, YamlErrors, nearest};

pub(super) fn options(node: &Node<'_>, errors: &mut YamlErrors) -> Option<SystemOptions> {
    let mut map = node.mapping(errors);
    let mut all = SystemOptions::default();
    section(&mut map, "diskstats", errors, |map, errors| {
        filter(map, ["device_include", "device_exclude"], &mut all.disks, errors);
    });
    section(&mut map, "netdev", errors, |map, errors| {
        filter(map, ["device_include", "device_exclude"], &mut all.interfaces, errors);
    });
    section(&mut map, "netclass", errors, |map, errors| {
        if let Some(ignored) = map.optional("ignored_devices", errors, regex) {
            all.interface_facts = Filter { include: None, exclude: ignored };
        }
    });
    section(&mut map, "arp", errors, |map, errors| {
        filter(map, ["device_include", "device_exclude"], &mut all.arp, errors);
    });
    section(&mut map, "hwmon", errors, |map, errors| {
        filter(map, ["chip_include", "chip_exclude"], &mut all.chips, errors);
    });
    section(&mut map, "filesystem", errors, |map, errors| {
        pattern(map, "mount_points_exclude", &mut all.mount_exclude, errors);
        pattern(map, "fs_types_exclude", &mut all.fstype_exclude, errors);
    });
    section(&mut map, "netstat", errors, |map, errors| pattern(map, "fields", &mut all.netstat_fields, errors));
    section(&mut map, "vmstat", errors, |map, errors| pattern(map, "fields", &mut all.vmstat_fields, errors));
    section(&mut map, "powersupplyclass", errors, |map, errors| {
        pattern(map, "ignored_supplies", &mut all.power_supplies_ignored, errors);
    });
    section(&mut map, "tapestats", errors, |map, errors| {
        pattern(map, "ignored_devices", &mut all.tapes_ignored, errors);
    });
    section(&mut map, "cpu", errors, |map, errors| {
        let info = &mut all.cpu_info;
        info.info = map.optional("info", errors, Node::boolean).unwrap_or(info.info);
        info.flags_include = map.optional("flags_include", errors, regex).flatten();
        info.bugs_include = map.optional("bugs_include", errors, regex).flatten();
        all.cpu_guest = map.optional("guest", errors, Node::boolean).unwrap_or(all.cpu_guest);
    });
    section(&mut map, "ipvs", errors, |map, errors| {
        if let Some(labels) = map.optional("backend_labels", errors, |node, errors| {
            Some(node.list_of(errors, |item, errors| backend_label(item, errors)))
        }) {
            all.ipvs_labels = labels;
        }
    });
    map.finish(errors);
    Some(all)
}

fn section(
    map: &mut Mapping<'_>,
    name: &'static str,
    errors: &mut YamlErrors,
    read: impl FnOnce(&mut Mapping<'_>, &mut YamlErrors),
) {
    map.optional(name, errors, |node, errors| {
        let mut inner = node.mapping(errors);
        read(&mut inner, errors);
        inner.finish(errors);
        Some(())
    });
}

/// An include or an exclude pattern; both at once would leave open which one wins.
fn filter(map: &mut Mapping<'_>, [include, exclude]: [&'static str; 2], to: &mut Filter, errors: &mut YamlErrors) {
    let only = map.optional(include, errors, regex);
    let without = map.optional(exclude, errors, regex);
    match (only, without) {
        (Some(Some(_)), Some(Some(_))) => {
            let error = map.node().error(format!("{include} and {exclude} exclude each other"));
            errors.push(error.expected("one of them"));
        }
        (None, None) => {}
        (only, without) => *to = Filter { include: only.flatten(), exclude: without.flatten() },
    }
}

fn pattern(map: &mut Mapping<'_>, key: &'static str, to: &mut Regex, errors: &mut YamlErrors) {
    if let Some(Some(found)) = map.optional(key, errors, regex_or_nothing) {
        *to = found;
    }
}

/// A pattern; an empty one means none, as with node_exporter's flags.
fn regex(node: &Node<'_>, errors: &mut YamlErrors) -> Option<Option<Regex>> {
    let found = node.regex(errors)?;
    // It has been translated and compiled for texts; file names are bytes.
    Some(Some(found).filter(|found| !found.as_str().is_empty()).and_then(|found| Regex::new(found.as_str()).ok()))
}

/// As [`regex`], where no pattern at all is no choice: an empty one is taken as written.
fn regex_or_nothing(node: &Node<'_>, errors: &mut YamlErrors) -> Option<Option<Regex>> {
    Some(Regex::new(node.regex(errors)?.as_str()).ok())
}

fn backend_label(node: &Node<'_>, errors: &mut YamlErrors) -> Option<String> {
    let label = node.string(errors)?;
    let known = SystemOptions::default().ipvs_labels;
    if known.contains(&label) {
        return Some(label);
    }
    let error = node.error(format!("unknown label {label:?}")).expected(format!("one of {}", known.join(", ")));
    errors.push(error.suggest(nearest(&label, known.iter().map(String::as_str))));
    None
}
