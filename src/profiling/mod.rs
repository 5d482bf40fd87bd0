//! CPU, heap and task profiles of this process: one at a time, bounded in time, in pprof's format.
//!
//! The pprof crate only takes CPU samples here; its protobuf codec would bring a second code generator, so [`Profile`]
//! is encoded by a writer of its own, the same for CPU and heap.
//!
//! ```
//! use watchfire::profiling::{Kind, Profiler};
//! let profiler = Profiler::default();
//! let turn = profiler.begin(Kind::Cpu).unwrap();
//! assert!(profiler.begin(Kind::Trace).is_err(), "one at a time");
//! drop(turn);
//! assert!(profiler.begin(Kind::Trace).is_ok());
//! ```

mod chrome;
mod cpu;
mod error;
mod flame;
mod gate;
mod heap;
mod heap_text;
mod profile;
mod profiler;
mod proto;
mod symbols;
mod tasks;

#[cfg(test)]
mod tests;

pub use error::ProfileError;
pub use gate::{Kind, Turn};
pub use heap::heap_bytes;
pub use profile::{Profile, Stack, ValueType};
pub use profiler::{CpuRequest, Profiler};
pub use symbols::{cmdline, symbol_names};
pub use tasks::{RuntimeHandle, tasks_text};

/// What jemalloc must be told at build time (`_rjem_malloc_conf`) so that heap profiles work; nul-terminated.
///
/// Measured: sampling every 512 KiB costs about 1 % of a loop that only allocates and 0.4 MiB of memory. The background
/// thread and the short decay give freed pages back: after one CPU profile the process keeps about 90 MB (the pprof
/// crate's collector, which it never frees) instead of 205 MB. `prof_accum` stays off, because it keeps every stack
/// that ever allocated.
pub const MALLOC_CONF: &[u8] =
    b"prof:true,prof_active:true,lg_prof_sample:19,background_thread:true,max_background_threads:1,dirty_decay_ms:1000,muzzy_decay_ms:0\0";
