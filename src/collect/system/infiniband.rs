//! Counters and states of InfiniBand, RoCE and Omni-Path ports, from `/sys/class/infiniband`.

use std::path::Path;

use super::bytes::{decimal, float, number, words};
use super::class::{Class, Named, Scan};
use super::roots::Roots;
use crate::collect::catalogue::{counter, gauge};
use crate::model::FamilyDesc;

/// Ports of one machine.
const MAX: u32 = 256;
const PORT: &[&str] = &["device", "port"];
/// The kernel counts data in words of four bytes.
const WORD: f64 = 4.0;

macro_rules! port_counters {
    ($($name:literal $help:literal),* $(,)?) => {
        [$(counter(concat!("node_infiniband_", $name, "_total"), "", $help, PORT, MAX)),*]
    };
}

pub(super) static STATES: [FamilyDesc; 4] = [
    gauge(
        "node_infiniband_info",
        "",
        "An adapter's board, firmware and type; always 1.",
        &["device", "board_id", "firmware_version", "hca_type"],
        MAX,
    ),
    gauge("node_infiniband_state_id", "", "Number of the port's logical state; 4 is active.", PORT, MAX),
    gauge("node_infiniband_physical_state_id", "", "Number of the port's physical state; 5 is link up.", PORT, MAX),
    gauge("node_infiniband_rate_bytes_per_second", "", "Most bytes a second that the port can carry.", PORT, MAX),
];

/// Families of the files in `counters`.
pub(super) static COUNTERS: [FamilyDesc; 22] = port_counters![
    "excessive_buffer_overrun_errors" "Times that receive buffers were overrun.",
    "link_downed" "Times that the link went down after it could not recover.",
    "link_error_recovery" "Times that the link recovered from an error.",
    "local_link_integrity_errors" "Times that local physical errors passed their threshold.",
    "multicast_packets_received" "Multicast packets received.",
    "multicast_packets_transmitted" "Multicast packets sent.",
    "port_constraint_errors_received" "Packets received that a constraint made the port drop.",
    "port_constraint_errors_transmitted" "Packets that a constraint kept from being sent.",
    "port_data_received_bytes" "Bytes received on all lanes.",
    "port_data_transmitted_bytes" "Bytes sent on all lanes.",
    "port_discards_received" "Packets received that were dropped.",
    "port_discards_transmitted" "Packets that were dropped instead of sent.",
    "port_errors_received" "Packets received with an error.",
    "port_packets_received" "Packets received.",
    "port_packets_transmitted" "Packets sent.",
    "port_receive_remote_physical_errors" "Packets received that were marked bad on the way.",
    "port_receive_switch_relay_errors" "Packets received that a switch could not pass on.",
    "port_transmit_wait" "Ticks in which data waited to be sent.",
    "symbol_error" "Small errors of the physical lanes.",
    "unicast_packets_received" "Unicast packets received.",
    "unicast_packets_transmitted" "Unicast packets sent.",
    "vl15_dropped" "Management packets that were dropped for want of a buffer.",
];
const FILES: [(&str, f64); 22] = [
    ("excessive_buffer_overrun_errors", 1.0),
    ("link_downed", 1.0),
    ("link_error_recovery", 1.0),
    ("local_link_integrity_errors", 1.0),
    ("multicast_rcv_packets", 1.0),
    ("multicast_xmit_packets", 1.0),
    ("port_rcv_constraint_errors", 1.0),
    ("port_xmit_constraint_errors", 1.0),
    ("port_rcv_data", WORD),
    ("port_xmit_data", WORD),
    ("port_rcv_discards", 1.0),
    ("port_xmit_discards", 1.0),
    ("port_rcv_errors", 1.0),
    ("port_rcv_packets", 1.0),
    ("port_xmit_packets", 1.0),
    ("port_rcv_remote_physical_errors", 1.0),
    ("port_rcv_switch_relay_errors", 1.0),
    ("port_xmit_wait", 1.0),
    ("symbol_error", 1.0),
    ("unicast_rcv_packets", 1.0),
    ("unicast_xmit_packets", 1.0),
    ("VL15_dropped", 1.0),
];

/// Families of the files in `counters_ext`, which old adapters have.
pub(super) static LEGACY: [FamilyDesc; 8] = port_counters![
    "legacy_data_received_bytes" "Bytes received, of old adapters.",
    "legacy_data_transmitted_bytes" "Bytes sent, of old adapters.",
    "legacy_multicast_packets_received" "Multicast packets received, of old adapters.",
    "legacy_multicast_packets_transmitted" "Multicast packets sent, of old adapters.",
    "legacy_packets_received" "Packets received, of old adapters.",
    "legacy_packets_transmitted" "Packets sent, of old adapters.",
    "legacy_unicast_packets_received" "Unicast packets received, of old adapters.",
    "legacy_unicast_packets_transmitted" "Unicast packets sent, of old adapters.",
];
const LEGACY_FILES: [(&str, f64); 8] = [
    ("port_rcv_data_64", WORD),
    ("port_xmit_data_64", WORD),
    ("port_multicast_rcv_packets", 1.0),
    ("port_multicast_xmit_packets", 1.0),
    ("port_rcv_packets_64", 1.0),
    ("port_xmit_packets_64", 1.0),
    ("port_unicast_rcv_packets", 1.0),
    ("port_unicast_xmit_packets", 1.0),
];

/// The collector.
pub(super) fn infiniband(roots: &Roots) -> Class {
    let place = roots.sys.join("class/infiniband");
    Class::new("infiniband", place.clone(), move |scan| {
        for device in scan.try_entries(&place)? {
            let folder = place.join(&device);
            let facts = ["board_id", "fw_ver", "hca_type"].into_iter().map(|file| folder.join(file));
            scan.facts(&STATES[0], &[&device], facts);
            let ports = folder.join("ports");
            for name in scan.entries(&ports) {
                port(scan, &[&device, &name], &ports.join(&name));
            }
        }
        Ok(())
    })
}

fn port(scan: &mut Scan<'_>, labels: &[&str], folder: &Path) {
    let [_, state, physical, rate] = &STATES;
    scan.parsed(Named::Declared(state), labels, folder.join("state"), (id, 1.0), false);
    scan.parsed(Named::Declared(physical), labels, folder.join("phys_state"), (id, 1.0), false);
    scan.parsed(Named::Declared(rate), labels, folder.join("rate"), (bytes_per_second, 1.0), false);
    let counters = COUNTERS.iter().zip(FILES).map(|(desc, file)| (desc, "counters", file));
    let legacy = LEGACY.iter().zip(LEGACY_FILES).map(|(desc, file)| (desc, "counters_ext", file));
    for (desc, kind, (file, factor)) in counters.chain(legacy) {
        // An adapter without a counter says `N/A (no PMA)`.
        scan.parsed(Named::Declared(desc), labels, folder.join(kind).join(file), (decimal, factor), true);
    }
}

/// `4: ACTIVE`.
fn id(bytes: &[u8]) -> Option<f64> {
    let end = bytes.iter().position(|byte| *byte == b':')?;
    number(bytes.get(..end)?).map(|id| id as f64)
}

/// `40 Gb/sec (4X QDR)`.
fn bytes_per_second(bytes: &[u8]) -> Option<f64> {
    let mut fields = words(bytes);
    let (rate, unit) = (float(fields.next()?)?, fields.next()?);
    (unit == b"Gb/sec").then_some(rate * 1e9 / 8.0)
}

#[cfg(test)]
mod tests {
    use super::{bytes_per_second, id};

    #[test]
    fn states_and_rates() {
        for (text, expected) in [("4: ACTIVE\n", Some(4.0)), ("ACTIVE", None), ("x: y", None), ("", None)] {
            assert_eq!(id(text.as_bytes()), expected, "{text}");
        }
        for (text, expected) in [
            ("40 Gb/sec (4X QDR)\n", Some(5e9)),
            ("2.5 Gb/sec (1X SDR)", Some(3.125e8)),
            ("40", None),
            ("40 Mb/sec", None),
            ("fast Gb/sec", None),
        ] {
            assert_eq!(bytes_per_second(text.as_bytes()), expected, "{text}");
        }
    }
}
