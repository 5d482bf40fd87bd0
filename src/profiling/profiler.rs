//! The door: takes profiles one at a time and gives them in the format that was asked for.

use std::time::Duration;

use super::gate::{Gate, Kind, Turn};
use super::heap::Focus;
use super::symbols::Symbols;
use super::{Profile, ProfileError, chrome, cpu, flame, heap, proto};
use crate::clock::{Clock, Stopwatch};
use crate::limits;
use crate::telemetry::SpanRecorder;

/// Samples a second when nothing else is asked for, as Go's profiler.
const DEFAULT_HZ: i32 = 100;
/// More would cost more than it tells.
const MAX_HZ: i32 = 1000;
/// Seconds of a CPU profile when nothing else is asked for, as Go's handler.
const DEFAULT_CPU_SECONDS: u64 = 30;
/// Seconds of a trace when nothing else is asked for, as Go's handler.
const DEFAULT_TRACE_SECONDS: u64 = 1;

/// How a CPU profile is to be taken; checked against the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuRequest {
    duration: Duration,
    hz: i32,
}

impl CpuRequest {
    /// Reads `seconds` (default 30) and `hz` (default 100).
    ///
    /// # Errors
    /// When one is no number or out of bounds.
    pub fn parse(seconds: Option<&str>, hz: Option<&str>) -> Result<Self, ProfileError> {
        let duration = parse_seconds(seconds, DEFAULT_CPU_SECONDS)?;
        let hz = match hz {
            None => DEFAULT_HZ,
            Some(text) => {
                text.parse().ok().filter(|hz| (1..=MAX_HZ).contains(hz)).ok_or_else(|| ProfileError::Parameter {
                    name: "hz",
                    value: text.to_owned(),
                    expected: format!("samples a second from 1 to {MAX_HZ}"),
                })?
            }
        };
        Ok(Self { duration, hz })
    }
}

fn parse_seconds(text: Option<&str>, default: u64) -> Result<Duration, ProfileError> {
    let Some(text) = text else { return Ok(Duration::from_secs(default)) };
    let max = limits::MAX_PROFILE;
    text.parse::<f64>()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|duration| !duration.is_zero() && *duration <= max)
        .ok_or_else(|| ProfileError::Parameter {
            name: "seconds",
            value: text.to_owned(),
            expected: format!("more than 0 and at most {}", max.as_secs()),
        })
}

/// Takes profiles of this process. Clones share the one turn.
#[derive(Debug, Clone, Default)]
pub struct Profiler {
    gate: Gate,
    clock: Clock,
    spans: SpanRecorder,
}

impl Profiler {
    /// A profiler whose traces come from `spans`, the recorder that logging was set up with.
    pub fn new(clock: Clock, spans: SpanRecorder) -> Self {
        Self { gate: Gate::default(), clock, spans }
    }

    /// Takes the turn.
    ///
    /// # Errors
    /// [`ProfileError::Busy`] names the profile that runs.
    pub fn begin(&self, kind: Kind) -> Result<Turn, ProfileError> {
        self.gate.enter(kind)
    }

    /// CPU samples as gzip-compressed pprof protobuf. Ends early, without a trace, when the future is dropped.
    ///
    /// # Errors
    /// When another profile runs or the sampler cannot start.
    pub async fn cpu(&self, request: CpuRequest) -> Result<Vec<u8>, ProfileError> {
        let (profile, turn) = self.sample_cpu(request).await?;
        blocking(turn, move || proto::encode(&profile, &mut Symbols::default())).await
    }

    /// CPU samples as an SVG flame graph.
    ///
    /// # Errors
    /// As [`Profiler::cpu`].
    pub async fn flamegraph(&self, request: CpuRequest) -> Result<Vec<u8>, ProfileError> {
        let (profile, turn) = self.sample_cpu(request).await?;
        blocking(turn, move || flame::draw(&profile, &mut Symbols::default())).await
    }

    async fn sample_cpu(&self, request: CpuRequest) -> Result<(Profile, Turn), ProfileError> {
        let turn = self.begin(Kind::Cpu)?;
        let taken_at = self.clock.now();
        let guard = cpu::start(request.hz)?;
        let watch = Stopwatch::start();
        tokio::time::sleep(request.duration).await;
        let profile = cpu::stop(guard, request.hz, taken_at, watch.elapsed())?;
        Ok((profile, turn))
    }

    /// The heap in use as gzip-compressed pprof protobuf.
    ///
    /// # Errors
    /// When another profile runs or the allocator's profiler is off.
    pub async fn heap(&self) -> Result<Vec<u8>, ProfileError> {
        self.heap_snapshot(Focus::InUse).await
    }

    /// Allocations so far, as far as the allocator counts them: without `prof_accum` it knows only those still in use,
    /// and a comment in the profile says so.
    ///
    /// # Errors
    /// As [`Profiler::heap`].
    pub async fn allocs(&self) -> Result<Vec<u8>, ProfileError> {
        self.heap_snapshot(Focus::Allocated).await
    }

    async fn heap_snapshot(&self, focus: Focus) -> Result<Vec<u8>, ProfileError> {
        let turn = self.begin(Kind::Heap)?;
        let now = self.clock.now();
        blocking(turn, move || proto::encode(&heap::snapshot(focus, now)?, &mut Symbols::default())).await
    }

    /// The spans of the next `seconds` (default 1) as Chrome trace JSON.
    ///
    /// # Errors
    /// When another profile runs or `seconds` is out of bounds.
    pub async fn trace(&self, seconds: Option<&str>) -> Result<String, ProfileError> {
        let duration = parse_seconds(seconds, DEFAULT_TRACE_SECONDS)?;
        let turn = self.begin(Kind::Trace)?;
        let recording = self.spans.start();
        tokio::time::sleep(duration).await;
        let recorded = recording.finish();
        blocking(turn, move || Ok(chrome::json(&recorded))).await
    }
}

/// Runs `work` off the runtime and keeps the turn until it is done.
async fn blocking<T: Send + 'static>(
    turn: Turn,
    work: impl FnOnce() -> Result<T, ProfileError> + Send + 'static,
) -> Result<T, ProfileError> {
    tokio::task::spawn_blocking(move || {
        let result = work();
        drop(turn);
        result
    })
    .await
    .map_err(|error| ProfileError::failed("write the profile", error))?
}

#[cfg(test)]
mod tests {
    use super::CpuRequest;

    #[test]
    fn bounds_are_checked() {
        let cases: &[(Option<&str>, Option<&str>, bool)] = &[
            (None, None, true),
            (Some("0.5"), Some("1000"), true),
            (Some("120"), None, true),
            (Some("121"), None, false),
            (Some("0"), None, false),
            (Some("-1"), None, false),
            (Some("NaN"), None, false),
            (Some("x"), None, false),
            (None, Some("0"), false),
            (None, Some("1001"), false),
        ];
        for (seconds, hz, valid) in cases {
            assert_eq!(CpuRequest::parse(*seconds, *hz).is_ok(), *valid, "{seconds:?} {hz:?}");
        }
    }
}
