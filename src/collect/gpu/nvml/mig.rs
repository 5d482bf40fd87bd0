//! MIG devices: parts of a GPU that are used as GPUs of their own.

use super::handle::Device;
use super::units;
use crate::collect::gpu::reading::MigReading;

/// MIG devices of one GPU at most.
const MAX_DEVICES: u32 = 8;

/// The MIG devices of a GPU that is divided, and how they are asked; `None` when the driver does not tell of them.
pub(super) fn read<'l>(device: &Device<'l>) -> Option<(Vec<MigReading>, Vec<Device<'l>>)> {
    let count = device.get(device.library().functions.mig_count)?.min(MAX_DEVICES);
    let (mut readings, mut parts) = (Vec::new(), Vec::new());
    for index in 0..count {
        // Places without a device answer that there is none.
        let Ok(part) = device.mig(index) else { continue };
        let Some(reading) = read_part(&part) else { continue };
        if readings.iter().all(|known: &MigReading| known.uuid != reading.uuid) {
            readings.push(reading);
            parts.push(part);
        }
    }
    Some((readings, parts))
}

fn read_part(part: &Device<'_>) -> Option<MigReading> {
    let functions = &part.library().functions;
    let number = |number: Option<u32>| number.filter(|number| *number != u32::MAX);
    let memory = part.memory().ok();
    let rates = part.get(functions.utilization);
    Some(MigReading {
        gpu_instance: number(part.get(functions.gpu_instance)),
        compute_instance: number(part.get(functions.compute_instance)),
        uuid: part.text(functions.uuid).ok().filter(|uuid| !uuid.is_empty())?,
        profile: profile(&part.text(functions.name).unwrap_or_default()),
        utilization_ratio: rates.and_then(|rates| units::percent(rates.gpu)),
        memory_total_bytes: memory.as_ref().and_then(|memory| memory.total),
        memory_used_bytes: memory.as_ref().and_then(|memory| memory.used),
        memory_free_bytes: memory.as_ref().and_then(|memory| memory.free),
        multiprocessors: part.multiprocessors().and_then(units::known),
    })
}

/// `NVIDIA A100-SXM4-40GB MIG 1g.5gb` → `1g.5gb`.
fn profile(name: &str) -> String {
    name.rsplit_once(" MIG ").map(|(_, profile)| profile.to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn profiles() {
        for (name, expected) in [("NVIDIA A100 MIG 1c.2g.10gb", "1c.2g.10gb"), ("NVIDIA A100", ""), ("", "")] {
            assert_eq!(super::profile(name), expected);
        }
    }
}
