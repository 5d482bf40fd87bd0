//! What is known of cores beside their time: throttling, isolation, whether they are on line, and on request what
//! `/proc/cpuinfo` says.

use std::collections::BTreeSet;

use regex::bytes::Regex;

use super::class::{Look, Named, Scan};
use super::edac::numbered;
use super::roots::Roots;
use crate::collect::catalogue::{counter, gauge};
use crate::model::FamilyDesc;

/// Cores of the largest machine.
const MAX: u32 = 2048;
const INFO: &[&str] =
    &["package", "core", "cpu", "vendor", "family", "model", "model_name", "microcode", "stepping", "cachesize"];

pub(super) static FAMILIES: [FamilyDesc; 7] = [
    counter("node_cpu_core_throttles_total", "", "Times that a core was throttled.", &["core", "package"], MAX),
    counter("node_cpu_package_throttles_total", "", "Times that a package was throttled.", &["package"], 256),
    gauge("node_cpu_isolated", "", "1 for cores that the scheduler leaves alone.", &["cpu"], MAX),
    gauge("node_cpu_online", "", "Whether a core that can be switched off is on.", &["cpu"], MAX),
    gauge("node_cpu_info", "", "What /proc/cpuinfo says of a core; always 1.", INFO, MAX),
    gauge("node_cpu_flag_info", "", "A flag of the first core that was asked for; always 1.", &["flag"], 512),
    gauge("node_cpu_bug_info", "", "A bug of the first core that was asked for; always 1.", &["bug"], 128),
];
/// What `/proc/cpuinfo` calls the labels of `node_cpu_info`.
const KEYS: [&str; 10] = [
    "physical id",
    "core id",
    "processor",
    "vendor_id",
    "cpu family",
    "model",
    "model name",
    "microcode",
    "stepping",
    "cache size",
];

/// What is shown of `/proc/cpuinfo`: nothing by default.
#[derive(Debug, Clone, Default)]
pub struct CpuInfo {
    /// `node_cpu_info` of every core.
    pub info: bool,
    /// Flags that are shown.
    pub flags_include: Option<Regex>,
    /// Bugs that are shown.
    pub bugs_include: Option<Regex>,
}

/// Looks for everything that is asked for.
pub(super) fn look(roots: &Roots, info: CpuInfo) -> Look {
    let (place, cpuinfo) = (roots.sys.join("devices/system/cpu"), roots.proc.join("cpuinfo"));
    Box::new(move |scan| {
        let [core_throttles, package_throttles, isolated, online, ..] = &FAMILIES;
        let mut seen = BTreeSet::new();
        for name in scan.entries(&place) {
            let Some(cpu) = numbered(&name, "cpu") else { continue };
            let folder = place.join(&name);
            scan.number(online, &[cpu], folder.join("online"), 1.0);
            let throttle = folder.join("thermal_throttle");
            let package = scan.text(&folder.join("topology/physical_package_id"));
            let (Some(package), true) = (package, throttle.is_dir()) else { continue };
            if let Some(core) = scan.text(&folder.join("topology/core_id"))
                && seen.insert((package.clone(), Some(core.clone())))
            {
                scan.number(core_throttles, &[&core, &package], throttle.join("core_throttle_count"), 1.0);
            }
            if seen.insert((package.clone(), None)) {
                scan.number(package_throttles, &[&package], throttle.join("package_throttle_count"), 1.0);
            }
        }
        let list = scan.text(&place.join("isolated")).unwrap_or_default();
        match ranges(&list) {
            Some(cpus) => {
                for cpu in cpus {
                    scan.constant(Named::Declared(isolated), vec![cpu.to_string()], 1.0);
                }
            }
            None => scan.note(|| format!("{}: expected a list of cores", place.join("isolated").display())),
        }
        if info.info || info.flags_include.is_some() || info.bugs_include.is_some() {
            let text = scan.text(&cpuinfo).unwrap_or_default();
            show(scan, &text, &info);
        }
        Ok(())
    })
}

/// `1,4-6`; nothing in an empty list.
fn ranges(list: &str) -> Option<Vec<u32>> {
    let mut all = Vec::new();
    for part in list.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        if last >= MAX {
            return None;
        }
        all.extend(first..=last);
    }
    Some(all)
}

fn show(scan: &mut Scan<'_>, text: &str, wanted: &CpuInfo) {
    let [.., info, flag, bug] = &FAMILIES;
    for (index, block) in text.split("\n\n").filter(|block| block.contains("processor")).enumerate() {
        let value = |key: &str| {
            let found = block.lines().filter_map(|line| line.split_once(':')).find(|(name, _)| name.trim() == key);
            found.map_or("", |(_, value)| value.trim())
        };
        if wanted.info {
            scan.constant(Named::Declared(info), KEYS.map(|key| value(key).to_owned()).to_vec(), 1.0);
        }
        if index > 0 {
            continue;
        }
        for (desc, key, include) in [(flag, "flags", &wanted.flags_include), (bug, "bugs", &wanted.bugs_include)] {
            let Some(include) = include else { continue };
            for word in value(key).split_whitespace().filter(|word| include.is_match(word.as_bytes())) {
                scan.constant(Named::Declared(desc), vec![word.to_owned()], 1.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn lists_of_cores() {
        for (list, expected) in [
            ("", Some(vec![])),
            ("1", Some(vec![1])),
            ("0-2,5", Some(vec![0, 1, 2, 5])),
            ("5-1", Some(vec![])),
            ("0-4294967295", None),
            ("x", None),
        ] {
            assert_eq!(ranges(list), expected, "{list}");
        }
    }
}
