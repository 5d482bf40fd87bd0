//! The limits that apply to us: the least of each along the own cgroup and its ancestors.

use std::path::Path;

use super::layout::{Controller, Layout, Version};
use super::values::{parse_cpu_max, parse_limit};
use crate::collect::system::bytes::{lines, number, signed, text};
use crate::collect::system::source::read_once;

/// The limits in the order of their families; absent where there is none.
pub(super) fn limits(layout: &Layout, buffer: &mut Vec<u8>) -> [Option<f64>; 5] {
    [
        least(layout, Controller::Cpu, |folder, version| cores(folder, version, buffer)),
        cpus(layout, buffer),
        least(layout, Controller::Memory, |folder, version| match version {
            Version::V1 => {
                let own = file_limit(&folder.join("memory.limit_in_bytes"), buffer);
                own.into_iter().chain(hierarchical_limit(folder, buffer)).reduce(f64::min)
            }
            Version::V2 => file_limit(&folder.join("memory.max"), buffer),
        }),
        least(layout, Controller::Memory, |folder, version| match version {
            Version::V1 => None,
            Version::V2 => file_limit(&folder.join("memory.high"), buffer),
        }),
        least(layout, Controller::Pids, |folder, _| file_limit(&folder.join("pids.max"), buffer)),
    ]
}

fn least(layout: &Layout, controller: Controller, mut limit: impl FnMut(&Path, Version) -> Option<f64>) -> Option<f64> {
    let (mount, version) = layout.of(controller)?;
    let limits = mount.own_and_ancestors();
    limits.iter().filter_map(|folder| limit(folder, version)).reduce(f64::min)
}

fn file_limit(path: &Path, buffer: &mut Vec<u8>) -> Option<f64> {
    parse_limit(read_once(path, buffer).ok()?).ok().flatten()
}

/// The least limit of a cgroup of v1 and those above, also of those that a namespace or mount hides.
fn hierarchical_limit(folder: &Path, buffer: &mut Vec<u8>) -> Option<f64> {
    let stat = read_once(&folder.join("memory.stat"), buffer).ok()?;
    let line = lines(stat).find_map(|line| line.strip_prefix(b"hierarchical_memory_limit "))?;
    parse_limit(line).ok().flatten()
}

fn cores(folder: &Path, version: Version, buffer: &mut Vec<u8>) -> Option<f64> {
    if version == Version::V2 {
        let (quota, period) = parse_cpu_max(read_once(&folder.join("cpu.max"), buffer).ok()?)?;
        return quota.map(|quota| quota / period);
    }
    let quota =
        signed(read_once(&folder.join("cpu.cfs_quota_us"), buffer).ok()?.trim_ascii()).filter(|quota| *quota > 0)?;
    let period =
        number(read_once(&folder.join("cpu.cfs_period_us"), buffer).ok()?.trim_ascii()).filter(|us| *us > 0)?;
    Some(quota as f64 / period as f64)
}

/// CPUs of the nearest cgroup that says so: a set is never larger than the one above it.
fn cpus(layout: &Layout, buffer: &mut Vec<u8>) -> Option<f64> {
    let (mount, version) = layout.of(Controller::CpuSet)?;
    let names: &[&str] = match version {
        Version::V1 => &["cpuset.effective_cpus", "cpuset.cpus"],
        Version::V2 => &["cpuset.cpus.effective", "cpuset.cpus"],
    };
    for folder in mount.own_and_ancestors() {
        for name in names {
            let count = read_once(&folder.join(name), buffer).ok().and_then(text).and_then(count_cpus);
            if count.is_some() {
                return count;
            }
        }
    }
    None
}

/// How many CPUs a list like `0-3,8` names; `None` for an empty or broken one.
fn count_cpus(list: &str) -> Option<f64> {
    let mut total = 0u64;
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first.as_bytes())?, number(last.as_bytes())?);
        total = total.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    (total > 0).then_some(total as f64)
}

#[cfg(test)]
mod tests {
    #[test]
    fn lists_of_cpus() {
        for (list, expected) in [
            ("0-3,8\n", Some(5.0)),
            ("0\n", Some(1.0)),
            ("\n", None),
            ("3-1", None),
            ("a-b", None),
            ("0-18446744073709551615", None),
        ] {
            assert_eq!(super::count_cpus(list), expected, "{list:?}");
        }
    }
}
