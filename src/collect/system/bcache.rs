//! Caches of block devices, from `/sys/fs/bcache`.

use std::path::Path;

use super::bytes::{decimal, float, lines};
use super::class::{Class, Named, Parse, Scan};
use super::roots::Roots;
use crate::collect::catalogue::{counter, gauge};
use crate::model::FamilyDesc;

/// Sets and their devices.
const MAX: u32 = 256;
const SET: &[&str] = &["uuid"];
const BACKING: &[&str] = &["backing_device", "uuid"];
const CACHE: &[&str] = &["cache_device", "uuid"];

pub(super) static SETS: [FamilyDesc; 10] = [
    gauge("node_bcache_average_key_size_sectors", "", "Sectors that one key of the tree covers.", SET, MAX),
    gauge("node_bcache_btree_cache_size_bytes", "bytes", "Memory that the tree's cache uses.", SET, MAX),
    gauge("node_bcache_cache_available_percent", "", "Share of the cache without dirty data.", SET, MAX),
    gauge("node_bcache_congested", "", "How congested the cache is.", SET, MAX),
    gauge("node_bcache_root_usage_percent", "", "Share of the tree's root that is used.", SET, MAX),
    gauge("node_bcache_tree_depth", "", "Depth of the tree.", SET, MAX),
    gauge("node_bcache_active_journal_entries", "", "Journal entries newer than the index.", SET, MAX),
    gauge("node_bcache_btree_nodes", "", "Nodes of the tree.", SET, MAX),
    gauge("node_bcache_btree_read_average_duration_seconds", "seconds", "How long a read of the tree takes.", SET, MAX),
    counter("node_bcache_cache_read_races_total", "", "Reads whose bucket was used anew meanwhile.", SET, MAX),
];
const SET_FILES: [(&str, Parse, f64); 10] = [
    ("average_key_size", decimal, 1.0),
    ("btree_cache_size", size, 1.0),
    ("cache_available_percent", decimal, 1.0),
    ("congested", decimal, 1.0),
    ("root_usage_percent", decimal, 1.0),
    ("tree_depth", decimal, 1.0),
    ("internal/active_journal_entries", decimal, 1.0),
    ("internal/btree_nodes", decimal, 1.0),
    ("internal/btree_read_average_duration_us", decimal, 1e-9),
    ("internal/cache_read_races", decimal, 1.0),
];

pub(super) static BACKED: [FamilyDesc; 13] = [
    counter("node_bcache_bypassed_bytes_total", "bytes", "Bytes that went past the cache.", BACKING, MAX),
    counter("node_bcache_cache_hits_total", "", "Requests that the cache answered.", BACKING, MAX),
    counter("node_bcache_cache_misses_total", "", "Requests that the cache did not answer.", BACKING, MAX),
    counter("node_bcache_cache_bypass_hits_total", "", "Hits of requests meant to go past the cache.", BACKING, MAX),
    counter("node_bcache_cache_bypass_misses_total", "", "Misses of requests meant to go past it.", BACKING, MAX),
    counter("node_bcache_cache_miss_collisions_total", "", "Misses whose data was written meanwhile.", BACKING, MAX),
    counter("node_bcache_cache_readaheads_total", "", "Times that data was read ahead.", BACKING, MAX),
    gauge("node_bcache_dirty_data_bytes", "bytes", "Data in the cache that is not on the device yet.", BACKING, MAX),
    gauge("node_bcache_dirty_target_bytes", "bytes", "Dirty data that write-back aims at.", BACKING, MAX),
    gauge("node_bcache_writeback_rate", "", "Bytes a second that are written back.", BACKING, MAX),
    gauge("node_bcache_writeback_rate_proportional_term", "", "Proportional part of that rate.", BACKING, MAX),
    gauge("node_bcache_writeback_rate_integral_term", "", "Integral part of that rate.", BACKING, MAX),
    gauge("node_bcache_writeback_change", "", "How the rate changed last.", BACKING, MAX),
];
const DEBUG: &str = "writeback_rate_debug";
const BACKED_FILES: [(&str, Parse, f64); 13] = [
    ("stats_total/bypassed", size, 1.0),
    ("stats_total/cache_hits", decimal, 1.0),
    ("stats_total/cache_misses", decimal, 1.0),
    ("stats_total/cache_bypass_hits", decimal, 1.0),
    ("stats_total/cache_bypass_misses", decimal, 1.0),
    ("stats_total/cache_miss_collisions", decimal, 1.0),
    ("stats_total/cache_readaheads", decimal, 1.0),
    ("dirty_data", size, 1.0),
    (DEBUG, |bytes| debug(bytes, b"target:"), 1.0),
    (DEBUG, |bytes| debug(bytes, b"rate:"), 1.0),
    (DEBUG, |bytes| debug(bytes, b"proportional:"), 1.0),
    (DEBUG, |bytes| debug(bytes, b"integral:"), 1.0),
    (DEBUG, |bytes| debug(bytes, b"change:"), 1.0),
];

pub(super) static CACHES: [FamilyDesc; 3] = [
    gauge("node_bcache_io_errors", "", "Errors of the cache's device, decayed.", CACHE, MAX),
    counter("node_bcache_metadata_written_bytes_total", "bytes", "Bytes written that are no data.", CACHE, MAX),
    counter("node_bcache_written_bytes_total", "bytes", "Bytes of data written to the cache.", CACHE, MAX),
];
const CACHE_FILES: [(&str, Parse, f64); 3] =
    [("io_errors", decimal, 1.0), ("metadata_written", size, 1.0), ("written", size, 1.0)];

/// The collector.
pub(super) fn bcache(roots: &Roots) -> Class {
    let place = roots.sys.join("fs/bcache");
    Class::new("bcache", place.clone(), move |scan| {
        for uuid in scan.try_entries(&place)? {
            let folder = place.join(&uuid);
            if !folder.is_dir() || !folder.join("internal").is_dir() {
                continue;
            }
            put(scan, &SETS, &SET_FILES, &[&uuid], &folder);
            for entry in scan.entries(&folder) {
                let labels = [entry.as_str(), uuid.as_str()];
                if entry.starts_with("bdev") {
                    put(scan, &BACKED, &BACKED_FILES, &labels, &folder.join(&entry));
                } else if entry.starts_with("cache") {
                    put(scan, &CACHES, &CACHE_FILES, &labels, &folder.join(&entry));
                }
            }
        }
        Ok(())
    })
}

fn put(
    scan: &mut Scan<'_>,
    families: &'static [FamilyDesc],
    files: &[(&str, Parse, f64)],
    labels: &[&str],
    folder: &Path,
) {
    for (desc, (file, parse, factor)) in families.iter().zip(files) {
        scan.parsed(Named::Declared(desc), labels, folder.join(file), (*parse, *factor), false);
    }
}

/// `1.1M` as the kernel's `bch_hprint` writes it: one mebibyte and a hundred kibibytes.
fn size(bytes: &[u8]) -> Option<f64> {
    let word = bytes.trim_ascii();
    let word = word.strip_suffix(b"/sec").unwrap_or(word);
    let (last, rest) = word.split_last()?;
    let exponent = match last {
        b'k' => 1,
        b'M' => 2,
        b'G' => 3,
        b'T' => 4,
        b'P' => 5,
        b'E' => 6,
        b'Z' => 7,
        b'Y' => 8,
        _ => return decimal(word),
    };
    let unit = 1024f64.powi(exponent);
    let (whole, tenths) = match rest.iter().position(|byte| *byte == b'.') {
        None => return Some(float(rest)? * unit),
        Some(point) => (rest.get(..point)?, rest.get(point + 1..)?),
    };
    // The kernel counts what is left in hundreds of the next smaller unit.
    Some(float(whole)? * unit + float(tenths)? * 100.0 * 1024f64.powi(exponent - 1))
}

fn debug(bytes: &[u8], key: &[u8]) -> Option<f64> {
    size(lines(bytes).find_map(|line| line.strip_prefix(key))?)
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_as_the_kernel_writes_them() {
        for (text, expected) in [
            ("512\n", Some(512.0)),
            ("2k", Some(2048.0)),
            ("1.1M/sec", Some(1_150_976.0)),
            ("k", None),
            ("", None),
            ("1.xM", None),
            ("1.1", Some(1.1)),
        ] {
            assert_eq!(size(text.as_bytes()), expected, "{text}");
        }
    }
}
