//! Tables of the network that are counted, not shown: connection tracking, ARP neighbours, UDP queues.

use std::path::Path;

use super::bytes::{bare_hex, label, lines, number, words};
use super::filter::Filter;
use super::report::{Trouble, unread};
use super::roots::Roots;
use super::source::{Source, is_missing};
use crate::collect::catalogue::gauge;
use crate::collect::emit::{Emit, Slot, Table};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, FamilyDesc, Intern, Timestamp};

pub(super) static CONNTRACK: [FamilyDesc; 10] = [
    gauge("node_nf_conntrack_entries", "", "Connections that are tracked.", &[], 1),
    gauge("node_nf_conntrack_entries_limit", "", "Connections that can be tracked at most.", &[], 1),
    gauge("node_nf_conntrack_stat_found", "", "Entries that were searched and found.", &[], 1),
    gauge("node_nf_conntrack_stat_invalid", "", "Packets that cannot be tracked.", &[], 1),
    gauge("node_nf_conntrack_stat_ignore", "", "Packets of connections that are tracked already.", &[], 1),
    gauge("node_nf_conntrack_stat_insert", "", "Entries that were added.", &[], 1),
    gauge("node_nf_conntrack_stat_insert_failed", "", "Entries that were there when they were to be added.", &[], 1),
    gauge("node_nf_conntrack_stat_drop", "", "Packets that were dropped because tracking failed.", &[], 1),
    gauge("node_nf_conntrack_stat_early_drop", "", "Entries that were dropped for newer ones.", &[], 1),
    gauge("node_nf_conntrack_stat_search_restart", "", "Searches that began anew.", &[], 1),
];
const CONNTRACK_COLUMNS: [&[u8]; 8] =
    [b"found", b"invalid", b"ignore", b"insert", b"insert_failed", b"drop", b"early_drop", b"search_restart"];

/// Connection tracking.
pub(super) struct Conntrack {
    numbers: [Source; 2],
    stat: Source,
    slots: [Slot; 10],
    /// The header of the table, and the column of each family in it.
    header: Vec<u8>,
    columns: [Option<usize>; 8],
}

impl Conntrack {
    pub(super) fn new(roots: &Roots) -> Self {
        let file = |name| Source::new(roots.proc.join("sys/net/netfilter").join(name));
        Self {
            numbers: ["nf_conntrack_count", "nf_conntrack_max"].map(file),
            stat: Source::new(roots.proc.join("net/stat/nf_conntrack")),
            slots: [Slot::New; 10],
            header: Vec::new(),
            columns: [None; 8],
        }
    }

    /// Sums of the columns over all cores, each a line; `None` where this kernel has no such column.
    fn sums(&mut self, trouble: &mut Trouble) -> std::io::Result<[Option<u64>; 8]> {
        self.stat.read()?;
        let (path, bytes) = self.stat.last();
        let mut rows = lines(bytes);
        let header = rows.next().unwrap_or_default();
        if self.header != header {
            self.header = header.to_vec();
            self.columns = CONNTRACK_COLUMNS.map(|name| words(header).position(|word| word == name));
        }
        let mut sums = self.columns.map(|column| column.map(|_| 0u64));
        for line in rows {
            for (sum, column) in sums.iter_mut().zip(self.columns) {
                let (Some(sum), Some(column)) = (sum, column) else { continue };
                match words(line).nth(column).and_then(bare_hex) {
                    Some(value) => *sum = sum.saturating_add(value),
                    None => trouble.bad_line(path, line, "numbers to base 16"),
                }
            }
        }
        Ok(sums)
    }
}

impl Collector for Conntrack {
    fn name(&self) -> &'static str {
        "conntrack"
    }

    fn collect(&mut self, _now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let mut trouble = Trouble::default();
        for ((source, slot), desc) in self.numbers.iter_mut().zip(&mut self.slots).zip(&CONNTRACK) {
            match source.read().map(|bytes| number(bytes.trim_ascii())) {
                Ok(Some(value)) => emit.put(slot, desc, &[], value as f64),
                Ok(None) => trouble.note(|| format!("{}: expected a number", source.path().display())),
                Err(error) => return unread("conntrack", source.path(), &error),
            }
        }
        match self.sums(&mut trouble) {
            Ok(sums) => {
                let rest = self.slots.iter_mut().zip(&CONNTRACK).skip(self.numbers.len());
                for ((slot, desc), sum) in rest.zip(sums) {
                    emit.put_opt(slot, desc, &[], sum.map(|sum| sum as f64));
                }
            }
            Err(error) if is_missing(&error) => {} // The table may be left out of a kernel.
            Err(error) => trouble.note(|| format!("{}: {error}", self.stat.path().display())),
        }
        Ok(trouble.reading())
    }
}

/// Interfaces that have neighbours.
const MAX_DEVICES: usize = 1024;
pub(super) static ARP: [FamilyDesc; 1] =
    [gauge("node_arp_entries", "", "Neighbours in the ARP table.", &["device"], MAX_DEVICES as u32)];

/// Neighbours by interface.
pub(super) struct Arp {
    source: Source,
    devices: Filter,
    /// Whether the interface is shown, and its neighbours.
    counts: Table<(bool, u64)>,
    order: Vec<Vec<u8>>,
}

impl Arp {
    pub(super) fn new(roots: &Roots, devices: Filter) -> Self {
        let source = Source::new(roots.proc.join("net/arp"));
        Self { source, devices, counts: Table::new(1, MAX_DEVICES), order: Vec::new() }
    }
}

impl Collector for Arp {
    fn name(&self) -> &'static str {
        "arp"
    }

    fn collect(&mut self, _now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let mut trouble = Trouble::default();
        if let Err(error) = self.source.read() {
            self.counts.end_tick(&emit);
            return unread("arp", self.source.path(), &error);
        }
        let (path, bytes) = self.source.last();
        let mut names = 0;
        for line in lines(bytes).skip(1) {
            let Some(device) = words(line).nth(5) else {
                trouble.bad_line(path, line, "six columns");
                continue;
            };
            let filter = &self.devices;
            let Some(row) = self.counts.row(device, || (filter.shows(device), 0)) else {
                trouble.note(|| format!("{}: more than {MAX_DEVICES} interfaces", path.display()));
                continue;
            };
            row.state.1 += 1;
            if row.state.1 == 1 {
                // Names in the order of their first line, in buffers that stay.
                match self.order.get_mut(names) {
                    Some(name) => {
                        name.clear();
                        name.extend_from_slice(device);
                    }
                    None => self.order.push(device.to_vec()),
                }
                names += 1;
            }
        }
        let [desc] = &ARP;
        for name in self.order.iter().take(names) {
            let Some(row) = self.counts.row(name, || (false, 0)) else { continue };
            let (shown, count) = std::mem::take(&mut row.state);
            row.state = (shown, 0);
            if let (true, [slot]) = (shown, row.slots.as_mut_slice()) {
                emit.put(slot, desc, &[&label(name)], count as f64);
            }
        }
        self.counts.end_tick(&emit);
        Ok(trouble.reading())
    }
}

pub(super) static UDP_QUEUES: [FamilyDesc; 1] =
    [gauge("node_udp_queues", "", "Bytes that wait in the queues of UDP sockets.", &["queue", "ip"], 4)];

/// Bytes in the queues of all UDP sockets.
pub(super) struct UdpQueues {
    files: [(Source, &'static str); 2],
    slots: [[Slot; 2]; 2],
}

impl UdpQueues {
    pub(super) fn new(roots: &Roots) -> Self {
        let file = |(name, ip)| (Source::new(roots.proc.join("net").join(name)), ip);
        Self { files: [("udp", "v4"), ("udp6", "v6")].map(file), slots: Default::default() }
    }
}

impl Collector for UdpQueues {
    fn name(&self) -> &'static str {
        "udp_queues"
    }

    fn collect(&mut self, _now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let mut trouble = Trouble::default();
        let [desc] = &UDP_QUEUES;
        let mut missing = 0;
        for ((source, ip), [tx_slot, rx_slot]) in self.files.iter_mut().zip(&mut self.slots) {
            match source.read() {
                Ok(_) => {}
                Err(error) if is_missing(&error) && missing == 0 => {
                    missing += 1;
                    continue;
                }
                Err(error) => return unread("udp_queues", source.path(), &error),
            }
            let (path, bytes) = source.last();
            let (tx, rx) = queues(path, bytes, &mut trouble);
            emit.put(tx_slot, desc, &["tx", ip], tx as f64);
            emit.put(rx_slot, desc, &["rx", ip], rx as f64);
        }
        Ok(trouble.reading())
    }
}

/// Bytes to send and bytes to read, of all sockets: the fifth column is `00000002:00000001`.
fn queues(path: &Path, bytes: &[u8], trouble: &mut Trouble) -> (u64, u64) {
    let (mut tx, mut rx) = (0u64, 0u64);
    for line in lines(bytes).skip(1) {
        let pair = words(line).nth(4).and_then(|word| {
            let colon = word.iter().position(|byte| *byte == b':')?;
            Some((bare_hex(word.get(..colon)?)?, bare_hex(word.get(colon + 1..)?)?))
        });
        match pair {
            Some((send, receive)) => (tx, rx) = (tx.saturating_add(send), rx.saturating_add(receive)),
            None => trouble.bad_line(path, line, "queues to base 16"),
        }
    }
    (tx, rx)
}

#[cfg(test)]
mod tests {
    use super::{Arp, Conntrack, UdpQueues};
    use crate::collect::Reading;
    use crate::collect::system::Roots;
    use crate::collect::system::filter::Filter;
    use crate::collect::testing::{Interner, collect, put};

    #[test]
    fn conntrack_sums_cores_and_lacks_columns() {
        let root = tempfile::tempdir().unwrap();
        let mut conntrack = Conntrack::new(&Roots::under(root.path()));
        let intern = Interner::default();
        assert!(matches!(collect(&mut conntrack, &intern, 0).1, Ok(Reading::Unavailable(_))));
        put(root.path(), "proc/sys/net/netfilter/nf_conntrack_count", "7\n");
        put(root.path(), "proc/sys/net/netfilter/nf_conntrack_max", "x\n");
        let (page, result) = collect(&mut conntrack, &intern, 0);
        assert!(page.len() == 1 && matches!(result, Ok(Reading::Degraded(_))));
        let table = "entries found drop\n0 0000000a ffffffffffffffff\n0 00000001 1\n0 bad!\n";
        put(root.path(), "proc/net/stat/nf_conntrack", table);
        let (page, _) = collect(&mut conntrack, &intern, 0);
        assert_eq!(page["node_nf_conntrack_stat_found"], 11.0);
        assert_eq!(page["node_nf_conntrack_stat_drop"], u64::MAX as f64);
        assert_eq!(page.len(), 3, "columns that are not there are absent");
    }

    #[test]
    fn neighbours_by_interface() {
        let root = tempfile::tempdir().unwrap();
        let exclude = Filter::without(regex::bytes::Regex::new("^veth").unwrap());
        let mut arp = Arp::new(&Roots::under(root.path()), exclude);
        let intern = Interner::default();
        let text = "IP HW Flags HW Mask Device\na 1 2 m * eth0\nb 1 2 m * eth1\nc 1 2 m * eth0\nd 1 2 m * veth1\nbad\n";
        put(root.path(), "proc/net/arp", text);
        for _ in 0..2 {
            let (page, result) = collect(&mut arp, &intern, 0);
            assert!(matches!(result, Ok(Reading::Degraded(_))));
            assert_eq!(page.len(), 2);
            assert_eq!(page[r#"node_arp_entries{device="eth0"}"#], 2.0);
        }
        assert_eq!(intern.count(), 2);
    }

    #[test]
    fn queues_of_both_protocols() {
        let root = tempfile::tempdir().unwrap();
        let mut queues = UdpQueues::new(&Roots::under(root.path()));
        let intern = Interner::default();
        assert!(matches!(collect(&mut queues, &intern, 0).1, Ok(Reading::Unavailable(_))));
        put(root.path(), "proc/net/udp", "head\n 0: a b 07 00000002:00000001\n 1: a b 07 00000013:x\n2\n");
        let (page, result) = collect(&mut queues, &intern, 0);
        assert!(matches!(result, Ok(Reading::Degraded(text)) if text.ends_with("(and 1 more)")));
        assert_eq!((page.len(), page[r#"node_udp_queues{ip="v4", queue="tx"}"#]), (2, 2.0));
    }
}
