//! NVLinks: state and errors now and then, bytes each time.
//!
//! Generations differ in what they call the same: up to Hopper there are calls for errors and fields for throughput in
//! KiB, later ones have fields for both, and count bytes.

use nvml_wrapper::Device;
use nvml_wrapper::enum_wrappers::nv_link::ErrorCounter;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::sys_exports::field_id::{
    NVML_FI_DEV_NVLINK_COUNT_RCV_BYTES, NVML_FI_DEV_NVLINK_COUNT_XMIT_BYTES, NVML_FI_DEV_NVLINK_ERROR_DL_CRC,
    NVML_FI_DEV_NVLINK_ERROR_DL_RECOVERY, NVML_FI_DEV_NVLINK_ERROR_DL_REPLAY, NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX,
    NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX,
};

use super::raw::{MAX_FIELDS, Raw};
use crate::collect::gpu::reading::NvLinkReading;

/// Links of one GPU at most.
const MAX_LINKS: u32 = 18;

/// Errors in the order of [`NvLinkReading::errors`].
const ERRORS: [ErrorCounter; 4] =
    [ErrorCounter::DlReplay, ErrorCounter::DlRecovery, ErrorCounter::DlCrcFlit, ErrorCounter::DlCrcData];

/// Fields of the first three of them; data has none of its own there.
const ERROR_FIELDS: [u32; 3] =
    [NVML_FI_DEV_NVLINK_ERROR_DL_REPLAY, NVML_FI_DEV_NVLINK_ERROR_DL_RECOVERY, NVML_FI_DEV_NVLINK_ERROR_DL_CRC];

/// Sent and received, in KiB and in bytes.
const BYTE_FIELDS: [u32; 4] = [
    NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX,
    NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX,
    NVML_FI_DEV_NVLINK_COUNT_XMIT_BYTES,
    NVML_FI_DEV_NVLINK_COUNT_RCV_BYTES,
];

/// The links of a device: all that it has an answer for.
pub(super) fn read(device: &Device<'_>, raw: &Raw) -> Vec<NvLinkReading> {
    let mut links = Vec::new();
    for number in 0..MAX_LINKS {
        let link = device.link_wrapper_for(number);
        match link.is_active() {
            Ok(up) => {
                let mut errors = ERRORS.map(|error| link.error_counter(error).ok().map(|count| count as f64));
                if up && errors.iter().all(Option::is_none) {
                    let fields = raw.fields(device, &ERROR_FIELDS.map(|id| (id, number)));
                    errors.iter_mut().zip(fields).take(ERROR_FIELDS.len()).for_each(|(error, field)| *error = field);
                }
                links.push(NvLinkReading { link: number, up: Some(up), errors, ..NvLinkReading::default() });
            }
            // No such link: there are no higher ones.
            Err(NvmlError::InvalidArg | NvmlError::NotSupported | NvmlError::FailedToLoadSymbol(_)) => break,
            Err(_) => {}
        }
    }
    links
}

/// Bytes of the links that are up.
pub(super) fn read_bytes(device: &Device<'_>, raw: &Raw, links: &mut [NvLinkReading]) {
    let mut wanted = [(0, 0); MAX_FIELDS];
    let mut count = 0;
    for (asked, link) in wanted.chunks_exact_mut(BYTE_FIELDS.len()).zip(links.iter().filter(|link| is_up(link))) {
        asked.iter_mut().zip(BYTE_FIELDS).for_each(|(pair, id)| *pair = (id, link.link));
        count += BYTE_FIELDS.len();
    }
    if count == 0 {
        return;
    }
    let values = raw.fields(device, wanted.get(..count).unwrap_or_default());
    for (link, told) in links.iter_mut().filter(|link| is_up(link)).zip(values.chunks_exact(BYTE_FIELDS.len())) {
        if let [sent_kib, received_kib, sent, received] = told {
            let bytes = |bytes: &Option<f64>, kib: &Option<f64>| bytes.or(kib.map(|kib| kib * 1024.0));
            link.transmitted_bytes = bytes(sent, sent_kib);
            link.received_bytes = bytes(received, received_kib);
        }
    }
}

fn is_up(link: &NvLinkReading) -> bool {
    link.up == Some(true)
}
