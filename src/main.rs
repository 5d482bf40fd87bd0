//! The watchfire binary: the allocator, and the exit code of the command line.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// jemalloc reads its options through this pointer before main; they switch heap profiles on.
#[unsafe(export_name = "_rjem_malloc_conf")]
static MALLOC_CONF: Option<&'static u8> = watchfire::profiling::MALLOC_CONF.first();

fn main() -> ExitCode {
    watchfire::cli::main()
}
