//! Every family that watchfire's own collectors publish, declared once; `tests/goldens/catalogue.txt` lists them.
//!
//! The declarations stand beside the code that fills them; this file gathers them. Fields of `/proc/meminfo` that are
//! younger than this list are published as `node_memory_*` all the same.

use crate::model::{FamilyDesc, MetricKind};

use super::{gpu, llm, scheduler, system, textfile, windows, worker};

/// All declared families, in the order of their collectors.
pub fn all() -> impl Iterator<Item = &'static FamilyDesc> {
    GROUPS.iter().copied().flatten().copied().flatten()
}

/// The declared family of that sample name.
pub fn find(name: &str) -> Option<&'static FamilyDesc> {
    all().find(|desc| desc.name == name)
}

static GROUPS: &[&[&[FamilyDesc]]] = &[
    system::FAMILIES,
    &[&textfile::FAMILIES, &scheduler::FAMILIES, &worker::FAMILIES, &worker::ALIASES],
    gpu::FAMILIES,
    &[llm::FAMILIES, &windows::FAMILIES],
];

const fn desc(
    kind: MetricKind,
    name: &'static str,
    unit: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    max_series: u32,
) -> FamilyDesc {
    FamilyDesc { name, kind, unit, help, labels, max_series }
}

/// A counter; `name` ends in `_total`.
pub(crate) const fn counter(
    name: &'static str,
    unit: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    max_series: u32,
) -> FamilyDesc {
    desc(MetricKind::Counter, name, unit, help, labels, max_series)
}

/// A gauge.
pub(crate) const fn gauge(
    name: &'static str,
    unit: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    max_series: u32,
) -> FamilyDesc {
    desc(MetricKind::Gauge, name, unit, help, labels, max_series)
}

/// Facts as labels; `name` ends in `_info`.
pub(crate) const fn info(
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    max_series: u32,
) -> FamilyDesc {
    desc(MetricKind::Info, name, "", help, labels, max_series)
}

/// A family without a type, where node_exporter states none.
pub(crate) const fn untyped(name: &'static str, help: &'static str) -> FamilyDesc {
    desc(MetricKind::Unknown, name, "", help, &[], 1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::fmt::Write;

    use super::all;
    use crate::model::{MetricKind, is_classic_label_name, is_classic_metric_name};

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/catalogue.txt");

    #[test]
    fn the_golden_file_lists_every_family() {
        let mut list = String::from("# name | kind | unit | labels | most series | help\n");
        // Families of heartbeats stand in a room that this one does not use.
        for d in all().chain(&crate::ingest::AGENT_FAMILIES) {
            let (kind, labels) = (d.kind.as_str(), d.labels.join(","));
            writeln!(list, "{} | {kind} | {} | {labels} | {} | {}", d.name, d.unit, d.max_series, d.help).unwrap();
        }
        if std::env::var_os("WATCHFIRE_GOLDENS").is_some_and(|value| value == "write") {
            std::fs::create_dir_all(std::path::Path::new(GOLDEN).parent().unwrap()).unwrap();
            std::fs::write(GOLDEN, &list).unwrap();
        }
        let golden = std::fs::read_to_string(GOLDEN).unwrap_or_default();
        assert!(
            golden == list,
            "the catalogue changed: WATCHFIRE_GOLDENS=write cargo test catalogue, then read the diff"
        );
    }

    #[test]
    fn names_units_and_helps_follow_openmetrics() {
        let mut names = HashSet::new();
        for d in all().chain(&crate::ingest::AGENT_FAMILIES) {
            assert!(names.insert(d.name), "{} is declared twice", d.name);
            assert!(is_classic_metric_name(d.name) && d.labels.iter().all(|label| is_classic_label_name(label)));
            assert!(d.unit.is_empty() || d.family().name.ends_with(&format!("_{}", d.unit)), "unit of {}", d.name);
            assert_eq!(d.kind == MetricKind::Counter, d.name.ends_with("_total"), "{}", d.name);
            assert!(d.help.len() > 5 && !d.help.contains('\n') && d.max_series > 0, "{}", d.name);
        }
    }
}
