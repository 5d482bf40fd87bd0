//! Who uses a GPU: compute, graphics and MPS clients, on the whole GPU and on its parts.

use std::collections::BTreeMap;

use super::handle::{Device, MAX_PROCESSES, Process};
use crate::collect::gpu::reading::GpuProcess;

/// The processes of a device and of its MIG devices; `None` when the driver tells of none of them.
///
/// The whole GPU's list has those of its parts only for who may see all, so the parts are asked as well.
pub(super) fn read(device: &Device<'_>, parts: &[Device<'_>]) -> Option<Vec<GpuProcess>> {
    let lists: Vec<Vec<Process>> = std::iter::once(device).chain(parts).flat_map(lists).collect();
    (!lists.is_empty()).then(|| merge(lists.into_iter().flatten()))
}

fn lists(device: &Device<'_>) -> impl Iterator<Item = Vec<Process>> {
    let functions = &device.library().functions;
    let device = *device;
    let lists = [
        (functions.compute_processes, functions.compute_processes_first),
        (functions.graphics_processes, functions.graphics_processes_first),
        (functions.mps_processes, functions.mps_processes_first),
    ];
    lists.into_iter().filter_map(move |(later, first)| device.processes(later, first).ok())
}

/// One line a process. The same process in several lists is one, in several MIG devices it holds the memory of all.
fn merge(all: impl Iterator<Item = Process>) -> Vec<GpuProcess> {
    let mut places: BTreeMap<(u32, (u32, u32)), Option<f64>> = BTreeMap::new();
    for process in all {
        if places.len() >= MAX_PROCESSES {
            break;
        }
        let memory = places.entry((process.pid, process.instances)).or_default();
        *memory = memory.or(process.memory);
    }
    let mut found: Vec<GpuProcess> = Vec::new();
    for ((pid, _), memory_bytes) in places {
        match found.last_mut().filter(|last| last.pid == pid) {
            // A part that does not tell its memory would make the sum too small.
            Some(last) => last.memory_bytes = last.memory_bytes.zip(memory_bytes).map(|(sum, bytes)| sum + bytes),
            None => found.push(GpuProcess { pid, memory_bytes, utilization_ratio: None }),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{GpuProcess, Process, merge};

    #[test]
    fn processes_are_told_once() {
        const WHOLE: (u32, u32) = (u32::MAX, u32::MAX);
        let process = |pid, memory, instances| Process { pid, memory, instances };
        let all = [
            process(1, Some(10.0), WHOLE),
            process(1, None, WHOLE),
            process(2, None, WHOLE),
            process(2, Some(5.0), WHOLE),
            process(3, Some(1.0), (7, 0)),
            process(3, Some(2.0), (8, 0)),
            process(3, Some(1.0), (7, 0)),
            process(4, Some(1.0), (7, 0)),
            process(4, None, (8, 0)),
        ];
        let found: Vec<_> = merge(all.into_iter()).iter().map(|process| (process.pid, process.memory_bytes)).collect();
        assert_eq!(found, [(1, Some(10.0)), (2, Some(5.0)), (3, Some(3.0)), (4, None)]);
        let many = (0..100_000).map(|pid| process(pid, None, WHOLE));
        assert!(merge(many).len() <= super::MAX_PROCESSES);
        assert_eq!(merge(std::iter::empty()), Vec::<GpuProcess>::new());
    }
}
