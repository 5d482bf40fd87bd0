//! CPU samples by the pprof crate: a timer signal every 1/hz seconds of CPU time of the process.

use std::time::Duration;

use pprof::ProfilerGuard;

use super::{Profile, ProfileError, Stack, ValueType};
use crate::model::Timestamp;

/// Starts to sample; the first call in a process takes about 130 MB for the collector, which the crate keeps.
///
/// The unwinder's own libraries are left out: a signal that lands inside them could wait for a lock that they hold.
pub(super) fn start(hz: i32) -> Result<ProfilerGuard<'static>, ProfileError> {
    pprof::ProfilerGuardBuilder::default()
        .frequency(hz)
        .blocklist(&["libgcc", "vdso", "ld-linux"])
        .build()
        .map_err(|error| ProfileError::failed("start the CPU profile", error))
}

/// Stops and gives what was sampled.
pub(super) fn stop(
    guard: ProfilerGuard<'static>,
    hz: i32,
    taken_at: Timestamp,
    duration: Duration,
) -> Result<Profile, ProfileError> {
    let report =
        guard.report().build_unresolved().map_err(|error| ProfileError::failed("read the CPU samples", error))?;
    drop(guard);
    let period = 1_000_000_000 / i64::from(hz.max(1));
    let mut stacks: Vec<Stack> = Vec::with_capacity(report.data.len());
    for (frames, count) in &report.data {
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        let name = frames.thread_name.get(..frames.thread_name_length).unwrap_or_default();
        stacks.push(Stack {
            addresses: frames.frames.iter().map(|frame| frame.ip() as usize).collect(),
            values: vec![count, count.saturating_mul(period)],
            thread: Some(String::from_utf8_lossy(name).into_owned()),
        });
    }
    let cpu = ValueType { kind: "cpu", unit: "nanoseconds" };
    Ok(Profile {
        types: vec![ValueType { kind: "samples", unit: "count" }, cpu],
        default_type: 1,
        period_type: cpu,
        period,
        taken_at,
        duration,
        stacks,
        comments: Vec::new(),
    })
}
