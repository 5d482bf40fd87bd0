//! The heap as jemalloc's profiler knows it.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use tikv_jemalloc_ctl::{epoch, raw, stats};

use super::{Profile, ProfileError, ValueType, heap_text};
use crate::model::Timestamp;

/// A dump is text, a few KiB a stack; more than this means that something is wrong.
const MAX_DUMP_BYTES: u64 = 64 << 20;

/// Whether the heap's sizes in use come first, or what was allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Focus {
    InUse,
    Allocated,
}

/// Takes a snapshot. Blocking: the allocator stops allocations for some milliseconds.
pub(super) fn snapshot(focus: Focus, taken_at: Timestamp) -> Result<Profile, ProfileError> {
    check_enabled()?;
    let dump = heap_text::parse(&dump()?)?;
    let in_use = [ValueType { kind: "inuse_objects", unit: "count" }, ValueType { kind: "inuse_space", unit: "bytes" }];
    let allocated =
        [ValueType { kind: "alloc_objects", unit: "count" }, ValueType { kind: "alloc_space", unit: "bytes" }];
    let accumulates = read_flag(b"opt.prof_accum\0");
    let mut profile = Profile {
        types: [allocated, in_use].concat(),
        default_type: if focus == Focus::InUse || !accumulates { 3 } else { 1 },
        period_type: ValueType { kind: "space", unit: "bytes" },
        period: i64::try_from(dump.rate).unwrap_or(i64::MAX),
        taken_at,
        duration: Duration::ZERO,
        stacks: dump.stacks,
        comments: vec!["jemalloc's profiler: sampled, values are estimates".into()],
    };
    for stack in &mut profile.stacks {
        stack.values.rotate_left(2);
    }
    if !accumulates {
        // Without accumulated counts only what is still in use is known.
        profile.types = in_use.to_vec();
        profile.default_type = 1;
        profile.stacks.iter_mut().for_each(|stack| drop(stack.values.drain(..2)));
        if focus == Focus::Allocated {
            profile.comments.push(
                "allocations that were freed again are not here: start with _RJEM_MALLOC_CONF=prof_accum:true to count them"
                    .into(),
            );
        }
    }
    Ok(profile)
}

/// Bytes that this process has allocated and not freed, as jemalloc counts them (`stats.allocated`); `None` where it keeps no
/// such count.
pub fn heap_bytes() -> Option<u64> {
    // What it counts stands still until its epoch goes on.
    epoch::advance().ok()?;
    u64::try_from(stats::allocated::read().ok()?).ok()
}

fn check_enabled() -> Result<(), ProfileError> {
    if !read_flag(b"opt.prof\0") {
        return Err(ProfileError::HeapOff("the allocator runs without prof:true".to_owned()));
    }
    if !read_flag(b"prof.active\0") {
        return Err(ProfileError::HeapOff("the allocator's profiler is not active (prof_active:false)".to_owned()));
    }
    Ok(())
}

fn read_flag(name: &'static [u8]) -> bool {
    // SAFETY: the names are nul-terminated and name booleans.
    unsafe { raw::read::<bool>(name) }.unwrap_or(false)
}

fn dump() -> Result<String, ProfileError> {
    let io = |error: std::io::Error| ProfileError::failed("write the heap dump", error);
    let file = tempfile::Builder::new().prefix("watchfire-heap-").tempfile().map_err(io)?;
    let path = CString::new(file.path().as_os_str().as_bytes())
        .map_err(|_| ProfileError::failed("write the heap dump", "the temporary folder's name has a nul byte"))?;
    // SAFETY: prof.dump takes a pointer to a nul-terminated path, which lives until the call returns.
    unsafe { raw::write(b"prof.dump\0", path.as_ptr()) }
        .map_err(|error| ProfileError::failed("write the heap dump", error))?;
    let size = file.as_file().metadata().map_err(io)?.len();
    if size > MAX_DUMP_BYTES {
        return Err(ProfileError::failed("read the heap dump", format!("{size} bytes are too many")));
    }
    std::fs::read_to_string(file.path()).map_err(io)
}
