//! MIG devices: parts of a GPU that are used as GPUs of their own.

use nvml_wrapper::Device;

use super::raw::Raw;
use crate::collect::gpu::reading::MigReading;

/// MIG devices of one GPU at most.
const MAX_DEVICES: u32 = 8;

/// The MIG devices of a GPU that is divided.
pub(super) fn read(device: &Device<'_>, raw: &Raw) -> Vec<MigReading> {
    let count = device.mig_device_count().unwrap_or(0).min(MAX_DEVICES);
    // Places without a device answer that there is none.
    (0..count).filter_map(|index| read_part(&device.mig_device_by_index(index).ok()?, raw)).collect()
}

fn read_part(part: &Device<'_>, raw: &Raw) -> Option<MigReading> {
    let (gpu_instance, compute_instance) = raw.instances(part);
    let memory = part.memory_info().ok();
    let attributes = part.attributes().ok();
    Some(MigReading {
        gpu_instance,
        compute_instance,
        uuid: part.uuid().ok()?,
        profile: profile(&part.name().unwrap_or_default()),
        memory_total_bytes: memory.as_ref().map(|memory| memory.total as f64),
        memory_used_bytes: memory.as_ref().map(|memory| memory.used as f64),
        memory_free_bytes: memory.as_ref().map(|memory| memory.free as f64),
        multiprocessors: attributes.map(|attributes| f64::from(attributes.multiprocessor_count)),
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
