//! NVLinks: state and errors now and then, bytes each time.

use nvml_wrapper::Device;
use nvml_wrapper::enum_wrappers::nv_link::ErrorCounter;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::sys_exports::field_id::{
    NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX,
};

use super::raw::{MAX_FIELDS, Raw};
use crate::collect::gpu::reading::NvLinkReading;

/// Links of one GPU at most.
const MAX_LINKS: u32 = 18;

/// Errors in the order of [`NvLinkReading::errors`].
const ERRORS: [ErrorCounter; 4] =
    [ErrorCounter::DlReplay, ErrorCounter::DlRecovery, ErrorCounter::DlCrcFlit, ErrorCounter::DlCrcData];

/// The links of a device: all that it has an answer for.
pub(super) fn read(device: &Device<'_>) -> Vec<NvLinkReading> {
    let mut links = Vec::new();
    for number in 0..MAX_LINKS {
        let link = device.link_wrapper_for(number);
        match link.is_active() {
            Ok(up) => {
                let errors = ERRORS.map(|error| link.error_counter(error).ok().map(|count| count as f64));
                links.push(NvLinkReading { link: number, up: Some(up), errors, ..NvLinkReading::default() });
            }
            // No such link: there are no higher ones.
            Err(NvmlError::InvalidArg | NvmlError::NotSupported | NvmlError::FailedToLoadSymbol(_)) => break,
            Err(_) => {}
        }
    }
    links
}

/// Bytes of the links that are up; the driver counts in KiB.
pub(super) fn read_bytes(device: &Device<'_>, raw: &Raw, links: &mut [NvLinkReading]) {
    let mut wanted = [(0, 0); MAX_FIELDS];
    let mut count = 0;
    for (pair, link) in wanted.chunks_exact_mut(2).zip(links.iter().filter(|link| link.up == Some(true))) {
        if let [sent, received] = pair {
            *sent = (NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, link.link);
            *received = (NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, link.link);
            count += 2;
        }
    }
    if count == 0 {
        return;
    }
    let values = raw.fields(device, wanted.get(..count).unwrap_or_default());
    let up = links.iter_mut().filter(|link| link.up == Some(true));
    for (link, pair) in up.zip(values.chunks_exact(2)) {
        let bytes = |value: Option<&Option<f64>>| value.copied().flatten().map(|kib| kib * 1024.0);
        link.transmitted_bytes = bytes(pair.first());
        link.received_bytes = bytes(pair.get(1));
    }
}
