//! Operations of XFS file systems, from `/sys/fs/xfs/*/stats/stats`.

use super::bytes::{lines, number, words};
use super::class::{Class, Named, Parse};
use super::roots::Roots;
use crate::collect::catalogue::counter;
use crate::model::FamilyDesc;

/// File systems of one machine.
const MAX: u32 = 512;

/// One family: its name, the line's first word, the place behind it.
macro_rules! statistics {
    ($($name:literal $line:literal $place:literal),* $(,)?) => {
        pub(super) static FAMILIES: [FamilyDesc; PARSERS.len()] = [$(counter(
            concat!("node_xfs_", $name, "_total"),
            "",
            concat!("What an XFS file system counts as ", $name, "."),
            &["device"],
            MAX,
        )),*];
        const PARSERS: &[Parse] = &[$(|bytes| at(bytes, $line, $place)),*];
    };
}

statistics![
    "extent_allocation_extents_allocated" b"extent_alloc" 0,
    "extent_allocation_blocks_allocated" b"extent_alloc" 1,
    "extent_allocation_extents_freed" b"extent_alloc" 2,
    "extent_allocation_blocks_freed" b"extent_alloc" 3,
    "allocation_btree_lookups" b"abt" 0,
    "allocation_btree_compares" b"abt" 1,
    "allocation_btree_records_inserted" b"abt" 2,
    "allocation_btree_records_deleted" b"abt" 3,
    "block_mapping_reads" b"blk_map" 0,
    "block_mapping_writes" b"blk_map" 1,
    "block_mapping_unmaps" b"blk_map" 2,
    "block_mapping_extent_list_insertions" b"blk_map" 3,
    "block_mapping_extent_list_deletions" b"blk_map" 4,
    "block_mapping_extent_list_lookups" b"blk_map" 5,
    "block_mapping_extent_list_compares" b"blk_map" 6,
    "block_map_btree_lookups" b"bmbt" 0,
    "block_map_btree_compares" b"bmbt" 1,
    "block_map_btree_records_inserted" b"bmbt" 2,
    "block_map_btree_records_deleted" b"bmbt" 3,
    "directory_operation_lookup" b"dir" 0,
    "directory_operation_create" b"dir" 1,
    "directory_operation_remove" b"dir" 2,
    "directory_operation_getdents" b"dir" 3,
    "inode_operation_attempts" b"ig" 0,
    "inode_operation_found" b"ig" 1,
    "inode_operation_recycled" b"ig" 2,
    "inode_operation_missed" b"ig" 3,
    "inode_operation_duplicates" b"ig" 4,
    "inode_operation_reclaims" b"ig" 5,
    "inode_operation_attribute_changes" b"ig" 6,
    "read_calls" b"rw" 1,
    "write_calls" b"rw" 0,
    "vnode_active" b"vnodes" 0,
    "vnode_allocate" b"vnodes" 1,
    "vnode_get" b"vnodes" 2,
    "vnode_hold" b"vnodes" 3,
    "vnode_release" b"vnodes" 4,
    "vnode_reclaim" b"vnodes" 5,
    "vnode_remove" b"vnodes" 6,
];

/// The collector.
pub(super) fn xfs(roots: &Roots) -> Class {
    let place = roots.sys.join("fs/xfs");
    Class::new("xfs", place.clone(), move |scan| {
        for device in scan.try_entries(&place)? {
            let file = place.join(&device).join("stats/stats");
            // `stats` beside the devices has sums.
            if !file.is_file() {
                continue;
            }
            for (desc, parse) in FAMILIES.iter().zip(PARSERS) {
                scan.parsed(Named::Declared(desc), &[&device], file.clone(), (*parse, 1.0), false);
            }
        }
        Ok(())
    })
}

fn at(bytes: &[u8], key: &[u8], place: usize) -> Option<f64> {
    let line = lines(bytes).find(|line| words(line).next() == Some(key))?;
    words(line).nth(place + 1).and_then(number).map(|value| value as f64)
}

#[cfg(test)]
mod tests {
    use super::at;

    #[test]
    fn lines_and_places() {
        for (text, expected) in [
            ("rw 1 2\n", Some(2.0)),
            ("rw 1\n", None),
            ("rw 1 x\n", None),
            ("rwx 1 2\n", None),
            ("a\nrw 0 18446744073709551615", Some(u64::MAX as f64)),
        ] {
            assert_eq!(at(text.as_bytes(), b"rw", 1), expected, "{text}");
        }
    }
}
