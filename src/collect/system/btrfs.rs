//! Space of Btrfs file systems by kind and profile, and their commits, from `/sys/fs/btrfs`.

use std::path::Path;

use super::bytes::{decimal, lines, number};
use super::class::{Class, Named, Parse, Scan};
use super::roots::Roots;
use crate::collect::catalogue::{counter, gauge};
use crate::model::FamilyDesc;

/// Devices, kinds and profiles of all file systems together.
const MAX: u32 = 1024;
const FS: &[&str] = &["uuid"];
const KIND: &[&str] = &["block_group_type", "mode", "uuid"];
/// The size of a device is told in sectors of 512 bytes.
const SECTOR: f64 = 512.0;
const MS: f64 = 1e-3;

pub(super) static FAMILIES: [FamilyDesc; 11] = [
    gauge("node_btrfs_info", "", "A file system's label; always 1.", &["uuid", "label"], MAX),
    gauge("node_btrfs_global_rsv_size_bytes", "bytes", "Size of the global reserve.", FS, MAX),
    gauge("node_btrfs_device_size_bytes", "bytes", "Size of a device of the file system.", &["device", "uuid"], MAX),
    gauge(
        "node_btrfs_reserved_bytes",
        "bytes",
        "Bytes that are reserved for a kind of blocks.",
        &["block_group_type", "uuid"],
        MAX,
    ),
    gauge("node_btrfs_used_bytes", "bytes", "Bytes that a profile of a kind of blocks uses.", KIND, MAX),
    gauge("node_btrfs_size_bytes", "bytes", "Bytes that are set aside for a profile of a kind of blocks.", KIND, MAX),
    gauge("node_btrfs_allocation_ratio", "", "Bytes on disk for each byte of data.", KIND, MAX),
    counter("node_btrfs_commits_total", "", "Commits so far.", FS, MAX),
    gauge("node_btrfs_last_commit_seconds", "seconds", "How long the last commit took.", FS, MAX),
    gauge("node_btrfs_max_commit_seconds", "seconds", "How long the longest commit took.", FS, MAX),
    counter("node_btrfs_commit_seconds_total", "seconds", "Time that all commits took.", FS, MAX),
];

const COMMITS: [(Parse, f64); 4] = [
    (|bytes| commit(bytes, b"commits "), 1.0),
    (|bytes| commit(bytes, b"last_commit_ms "), MS),
    (|bytes| commit(bytes, b"max_commit_ms "), MS),
    (|bytes| commit(bytes, b"total_commit_ms "), MS),
];

/// The collector.
pub(super) fn btrfs(roots: &Roots) -> Class {
    let place = roots.sys.join("fs/btrfs");
    Class::new("btrfs", place.clone(), move |scan| {
        for uuid in scan.try_entries(&place)? {
            let folder = place.join(&uuid);
            // `features` is the module's own folder.
            if folder.join("allocation").is_dir() {
                file_system(scan, &uuid, &folder);
            }
        }
        Ok(())
    })
}

fn file_system(scan: &mut Scan<'_>, uuid: &str, folder: &Path) {
    let [info, reserve, size, reserved, used, total, ratio, commits @ ..] = &FAMILIES;
    scan.facts(info, &[uuid], std::iter::once(folder.join("label")));
    scan.number(reserve, &[uuid], folder.join("allocation/global_rsv_size"), 1.0);
    let devices = scan.entries(&folder.join("devices"));
    for device in &devices {
        scan.number(size, &[device, uuid], folder.join("devices").join(device).join("size"), SECTOR);
    }
    for kind in ["data", "metadata", "system"] {
        let allocation = folder.join("allocation").join(kind);
        // node_exporter shows what is reserved here.
        scan.number(reserved, &[kind, uuid], allocation.join("bytes_reserved"), 1.0);
        for profile in scan.entries(&allocation) {
            let part = allocation.join(&profile);
            if !part.join("total_bytes").is_file() {
                continue;
            }
            let labels = [kind, &profile, uuid];
            scan.number(used, &labels, part.join("used_bytes"), 1.0);
            scan.number(total, &labels, part.join("total_bytes"), 1.0);
            let labels = labels.map(str::to_owned).to_vec();
            scan.constant(Named::Declared(ratio), labels, copies(&profile, devices.len()));
        }
    }
    for (desc, parse) in commits.iter().zip(COMMITS) {
        scan.parsed(Named::Declared(desc), &[uuid], folder.join("commit_stats"), parse, false);
    }
}

/// Bytes on disk for one of data; parity takes one or two devices of all.
fn copies(profile: &str, devices: usize) -> f64 {
    let of = |parity: usize| match devices > parity {
        true => devices as f64 / (devices - parity) as f64,
        false => 1.0,
    };
    match profile {
        "dup" | "raid1" | "raid10" => 2.0,
        "raid1c3" => 3.0,
        "raid1c4" => 4.0,
        "raid5" => of(1),
        "raid6" => of(2),
        _ => 1.0,
    }
}

fn commit(bytes: &[u8], key: &[u8]) -> Option<f64> {
    let line = lines(bytes).find_map(|line| line.strip_prefix(key))?;
    number(line.trim_ascii()).map(|value| value as f64).or_else(|| decimal(line))
}

#[cfg(test)]
mod tests {
    use super::{commit, copies};

    #[test]
    fn profiles_and_commits() {
        for (profile, devices, expected) in [
            ("single", 1, 1.0),
            ("dup", 1, 2.0),
            ("raid5", 3, 1.5),
            ("raid6", 2, 1.0),
            ("raid6", 4, 2.0),
            ("new", 0, 1.0),
        ] {
            assert_eq!(copies(profile, devices), expected, "{profile}");
        }
        assert_eq!(commit(b"commits 7\nlast_commit_ms 5\n", b"last_commit_ms "), Some(5.0));
        assert_eq!(commit(b"commits x\n", b"commits "), None);
    }
}
