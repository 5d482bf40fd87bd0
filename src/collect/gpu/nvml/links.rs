//! NVLinks: state and errors now and then, bytes each time.
//!
//! Generations differ in what they call the same: up to Hopper there are calls for errors and fields for throughput in
//! KiB, later ones have fields for both, and count bytes.

use super::abi::field;
use super::handle::{Device, MAX_FIELDS};
use super::library::NvmlError;
use super::units;
use crate::collect::gpu::reading::NvLinkReading;

/// Links of one GPU at most.
const MAX_LINKS: u32 = 18;

/// NVML's numbers of errors in the order of [`NvLinkReading::errors`]: replay, recovery, CRC of flits, CRC of data.
const ERRORS: [u32; 4] = [0, 1, 2, 3];

/// Fields of the first three of them; data has none of its own there.
const ERROR_FIELDS: [u32; 3] = [field::NVLINK_ERROR_REPLAY, field::NVLINK_ERROR_RECOVERY, field::NVLINK_ERROR_CRC];

/// Sent and received, in KiB and in bytes.
const BYTE_FIELDS: [u32; 4] = [
    field::NVLINK_THROUGHPUT_DATA_TX,
    field::NVLINK_THROUGHPUT_DATA_RX,
    field::NVLINK_XMIT_BYTES,
    field::NVLINK_RCV_BYTES,
];

/// The links of a device: all that it has an answer for.
pub(super) fn read(device: &Device<'_>) -> Vec<NvLinkReading> {
    let functions = &device.library().functions;
    let mut links = Vec::new();
    for number in 0..MAX_LINKS {
        match device.ask_of(functions.nvlink_state, number) {
            Ok(state) => {
                let Some(up) = units::switch(state) else { continue };
                let mut errors = ERRORS
                    .map(|error| device.get_of_two(functions.nvlink_errors, number, error).and_then(units::known_long));
                if up && errors.iter().all(Option::is_none) {
                    let fields = device.fields(&ERROR_FIELDS.map(|id| (id, number)));
                    errors.iter_mut().zip(fields).take(ERROR_FIELDS.len()).for_each(|(error, field)| *error = field);
                }
                links.push(NvLinkReading { link: number, up: Some(up), errors, ..NvLinkReading::default() });
            }
            // No such link: there are no higher ones.
            Err(NvmlError::INVALID_ARGUMENT | NvmlError::NOT_SUPPORTED | NvmlError::NO_FUNCTION) => break,
            Err(_) => {}
        }
    }
    links
}

/// Bytes of the links that are up.
pub(super) fn read_bytes(device: &Device<'_>, links: &mut [NvLinkReading]) {
    let mut wanted = [(0, 0); MAX_FIELDS];
    let mut count = 0;
    for (asked, link) in wanted.chunks_exact_mut(BYTE_FIELDS.len()).zip(links.iter().filter(|link| is_up(link))) {
        asked.iter_mut().zip(BYTE_FIELDS).for_each(|(pair, id)| *pair = (id, link.link));
        count += BYTE_FIELDS.len();
    }
    if count == 0 {
        return;
    }
    let values = device.fields(wanted.get(..count).unwrap_or_default());
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
