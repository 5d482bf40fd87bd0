//! The kernel's load balancer, from `/proc/net/ip_vs` and `/proc/net/ip_vs_stats`.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::bytes::{bare_hex, label, lines, number, text, words};
use super::report::{Trouble, garbage, unread};
use super::roots::Roots;
use super::source::{Source, is_missing};
use crate::collect::catalogue::{counter, gauge};
use crate::collect::emit::{Emit, Slot, Table};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, FamilyDesc, Intern, Timestamp};

/// Backends of all services.
const MAX_BACKENDS: usize = 4096;
const MAX: u32 = MAX_BACKENDS as u32;
/// What backends can be told apart by, in the order of the families' labels.
pub(super) const LABELS: [&str; 6] =
    ["local_address", "local_port", "remote_address", "remote_port", "proto", "local_mark"];

pub(super) static TOTALS: [FamilyDesc; 5] = [
    counter("node_ipvs_connections_total", "", "Connections that were balanced.", &[], 1),
    counter("node_ipvs_incoming_packets_total", "", "Packets that came in.", &[], 1),
    counter("node_ipvs_outgoing_packets_total", "", "Packets that went out.", &[], 1),
    counter("node_ipvs_incoming_bytes_total", "bytes", "Bytes that came in.", &[], 1),
    counter("node_ipvs_outgoing_bytes_total", "bytes", "Bytes that went out.", &[], 1),
];
pub(super) static BACKENDS: [FamilyDesc; 3] = [
    gauge("node_ipvs_backend_connections_active", "", "Connections of a backend that are active.", &LABELS, MAX),
    gauge("node_ipvs_backend_connections_inactive", "", "Connections of a backend that are not.", &LABELS, MAX),
    gauge("node_ipvs_backend_weight", "", "Weight of a backend.", &LABELS, MAX),
];

/// A service or a backend.
#[derive(Clone, Default)]
struct Address {
    address: String,
    port: String,
}

/// The collector.
pub(super) struct Ipvs {
    stats: Source,
    services: Source,
    /// Which of the labels are shown; backends that then look alike are added up.
    shown: [bool; 6],
    totals: [Slot; 5],
    /// Backends by their shown labels, with active and inactive connections and the weight.
    backends: Table<([String; 6], [u64; 3])>,
}

impl Ipvs {
    pub(super) fn new(roots: &Roots, labels: &[String]) -> Self {
        Self {
            stats: Source::new(roots.proc.join("net/ip_vs_stats")),
            services: Source::new(roots.proc.join("net/ip_vs")),
            shown: LABELS.map(|name| labels.iter().any(|label| label == name)),
            totals: [Slot::New; 5],
            backends: Table::new(BACKENDS.len(), MAX_BACKENDS),
        }
    }
}

impl Collector for Ipvs {
    fn name(&self) -> &'static str {
        "ipvs"
    }

    fn collect(&mut self, _now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let mut trouble = Trouble::default();
        if let Err(error) = self.stats.read() {
            self.backends.end_tick(&emit);
            return unread("ipvs", self.stats.path(), &error);
        }
        // Two lines of heads, then the totals; the rates behind them are not needed.
        let (path, bytes) = self.stats.last();
        let totals = lines(bytes).nth(2).map(|line| words(line).map(bare_hex).collect::<Vec<_>>());
        let Some(totals) = totals.filter(|totals| totals.len() >= TOTALS.len()) else {
            return Err(garbage("ipvs", path, "five totals on the third line"));
        };
        for ((slot, desc), total) in self.totals.iter_mut().zip(&TOTALS).zip(totals) {
            match total {
                Some(total) => emit.put(slot, desc, &[], total as f64),
                None => trouble.note(|| format!("{}: {} is no number to base 16", path.display(), desc.name)),
            }
        }
        match self.services.read() {
            Ok(_) => {}
            Err(error) if is_missing(&error) => return Ok(trouble.reading()),
            Err(error) => return unread("ipvs", self.services.path(), &error),
        }
        self.read_backends(&mut emit, &mut trouble);
        Ok(trouble.reading())
    }
}

impl Ipvs {
    fn read_backends(&mut self, emit: &mut Emit<'_>, trouble: &mut Trouble) {
        let (path, bytes) = self.services.last();
        let (mut proto, mut mark, mut local) = (String::new(), String::new(), Address::default());
        let mut known = false;
        let mut seen: Vec<Vec<u8>> = Vec::new();
        for line in lines(bytes) {
            let mut fields = words(line);
            let first = fields.next().unwrap_or_default();
            match first {
                b"TCP" | b"UDP" | b"SCTP" | b"FWM" => {
                    let second = fields.next().unwrap_or_default();
                    proto = label(first).into_owned();
                    mark = String::new();
                    known = true;
                    if first == b"FWM" {
                        (mark, local) =
                            (label(second).into_owned(), Address { port: "0".into(), ..Address::default() });
                    } else if let Some(parsed) = address(second) {
                        local = parsed;
                    } else {
                        known = false;
                        trouble.bad_line(path, line, "a protocol and an address to base 16");
                    }
                }
                b"->" if known => match backend(line) {
                    Some((remote, [weight, active, inactive])) => {
                        let all = [&local.address, &local.port, &remote.address, &remote.port, &proto, &mark];
                        let mut shown = self.shown.into_iter();
                        let labels =
                            all.map(|label| if shown.next().unwrap_or(true) { label.clone() } else { String::new() });
                        let key = labels.join("\u{1}").into_bytes();
                        let Some(row) = self.backends.row(&key, || (labels, [0; 3])) else {
                            trouble.note(|| format!("{}: more than {MAX_BACKENDS} backends", path.display()));
                            continue;
                        };
                        for (sum, value) in row.state.1.iter_mut().zip([active, inactive, weight]) {
                            *sum = sum.saturating_add(value);
                        }
                        if !seen.contains(&key) {
                            seen.push(key);
                        }
                    }
                    None => trouble.bad_line(path, line, "`-> address:port method weight active inactive`"),
                },
                // Heads, and backends of a service that could not be read.
                _ => {}
            }
        }
        for key in seen {
            let Some(row) = self.backends.row(&key, Default::default) else { continue };
            let (labels, sums) = &mut row.state;
            let labels = labels.each_ref().map(String::as_str);
            for ((slot, desc), sum) in row.slots.iter_mut().zip(&BACKENDS).zip(sums) {
                emit.put(slot, desc, &labels, *sum as f64);
                *sum = 0;
            }
        }
        self.backends.end_tick(emit);
    }
}

/// `-> C0A85216:0CEA Tunnel 100 248 2`.
fn backend(line: &[u8]) -> Option<(Address, [u64; 3])> {
    let mut fields = words(line).skip(1);
    let remote = address(fields.next()?)?;
    fields.next()?;
    let mut numbers = fields.map(number);
    Some((remote, [numbers.next()??, numbers.next()??, numbers.next()??]))
}

/// `C0A85216:0CEA` or `[2001:0DB8:…]:0050`.
fn address(word: &[u8]) -> Option<Address> {
    let word = text(word)?;
    let (host, port) = word.rsplit_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?.to_string();
    let address = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse::<Ipv6Addr>().ok()?.to_string(),
        None if host.len() == 8 => Ipv4Addr::from(u32::from_str_radix(host, 16).ok()?).to_string(),
        None => return None,
    };
    Some(Address { address, port })
}

#[cfg(test)]
mod tests {
    use super::{Ipvs, LABELS, address};
    use crate::collect::Reading;
    use crate::collect::system::Roots;
    use crate::collect::testing::{Interner, collect, put};

    #[test]
    fn addresses() {
        for (word, expected) in [
            ("C0A80016:0CEA", Some("192.168.0.22 3306")),
            ("[2001:0DB8:0000:0000:0000:0000:0000:0001]:0050", Some("2001:db8::1 80")),
            ("C0A80016", None),
            ("C0A800:0CEA", None),
            ("[x]:1", None),
            (":", None),
        ] {
            let found = address(word.as_bytes()).map(|found| format!("{} {}", found.address, found.port));
            assert_eq!(found.as_deref(), expected, "{word}");
        }
    }

    #[test]
    fn fewer_labels_add_up() {
        let root = tempfile::tempdir().unwrap();
        let roots = Roots::under(root.path());
        put(root.path(), "proc/net/ip_vs_stats", "a\nb\n 1 2 3 4 FFFFFFFFFFFFFFFF\n");
        let text = "IP\nTCP  C0A80016:0CEA wlc\n  -> C0A85216:0CEA Tunnel 100 5 2\n  -> C0A85217:0CEA Tunnel 100 6 2\n  -> bad\nTCP bad\n  -> C0A85217:0CEA Tunnel 1 1 1\n";
        put(root.path(), "proc/net/ip_vs", text);
        for (labels, expected) in [(&LABELS[..], 5 + 6), (&LABELS[..2], 5 + 3)] {
            let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
            let mut ipvs = Ipvs::new(&roots, &labels);
            let intern = Interner::default();
            for _ in 0..2 {
                let (page, result) = collect(&mut ipvs, &intern, 0);
                assert!(matches!(result, Ok(Reading::Degraded(text)) if text.ends_with("(and 1 more)")));
                assert_eq!(page.len(), expected);
            }
            let (page, _) = collect(&mut ipvs, &intern, 0);
            let sum = r#"node_ipvs_backend_connections_active{local_address="192.168.0.22", local_port="3306"}"#;
            assert_eq!(page.get(sum).copied(), (labels.len() == 2).then_some(11.0));
        }
        put(root.path(), "proc/net/ip_vs_stats", "rubbish");
        assert!(collect(&mut Ipvs::new(&roots, &[]), &Interner::default(), 0).1.is_err());
    }
}
