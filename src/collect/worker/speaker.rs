//! A process whose main thread has ended while others run: the kernel shows it as a zombie without memory and files. Another
//! thread has the same memory and files, and tells of them.

use super::reader::ProcReader;
use super::table::Process;
use crate::collect::proc_pid::PidStat;
use crate::collect::system::bytes::number;

/// Threads that are asked at most before one is found that runs.
const MAX_ASKED: usize = 16;

/// What a thread says for its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Speaker {
    pub(super) tid: i32,
    pub(super) state: u8,
    pub(super) virtual_bytes: u64,
    pub(super) resident_pages: u64,
}

/// Completes the reading of a process whose main thread has ended.
pub(super) fn ask_others(proc: &mut ProcReader, pid: i32, process: &mut Process) {
    if process.lost_its_main_thread()
        && let Some(speaker) = find(proc, pid)
    {
        process.hear(&speaker);
    }
}

fn find(proc: &mut ProcReader, pid: i32) -> Option<Speaker> {
    let threads = std::fs::read_dir(proc.root().join(pid.to_string()).join("task")).ok()?;
    let tids = threads.flatten().filter_map(|entry| {
        let tid = number(entry.file_name().as_encoded_bytes())?;
        i32::try_from(tid).ok().filter(|tid| *tid != pid)
    });
    tids.take(MAX_ASKED).find_map(|tid| {
        let stat = PidStat::parse(proc.file(pid, &format!("task/{tid}/stat")).ok()?)?;
        let runs = !matches!(stat.state, b'Z' | b'X');
        let PidStat { state, virtual_bytes, resident_pages, .. } = stat;
        runs.then_some(Speaker { tid, state, virtual_bytes, resident_pages })
    })
}
