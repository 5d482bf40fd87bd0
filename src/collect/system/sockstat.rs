//! Sockets by protocol and their memory, from `/proc/net/sockstat` and `sockstat6`.

use super::bytes::{label, lines, number, words};
use super::report::{Trouble, unread};
use super::roots::Roots;
use super::source::{Source, is_missing};
use crate::collect::catalogue::gauge;
use crate::collect::emit::{Emit, Row, Slot, Table};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, Family, FamilyDesc, Intern, MetricKind, Timestamp};

/// Protocols of both files; Linux has eleven.
const MAX_PROTOCOLS: usize = 64;
/// Values of one protocol.
const MAX_VALUES: usize = 32;

macro_rules! fields {
    ($($name:literal)*) => {
        [$(gauge(concat!("node_sockstat_", $name), "", concat!("Sockets: ", $name, "."), &[], 1)),*]
    };
}

/// What today's kernels have.
pub(super) static FAMILIES: [FamilyDesc; 21] = fields![
    "sockets_used" "TCP_inuse" "TCP_orphan" "TCP_tw" "TCP_alloc" "TCP_mem" "TCP_mem_bytes" "UDP_inuse" "UDP_mem"
    "UDP_mem_bytes" "UDPLITE_inuse" "RAW_inuse" "FRAG_inuse" "FRAG_memory" "TCP6_inuse" "UDP6_inuse" "UDPLITE6_inuse"
    "RAW6_inuse" "FRAG6_inuse" "FRAG6_memory" "MPTCP_inuse"
];

/// Names of the values of a protocol. A value has two slots of the row: `mem` counts pages and is shown in bytes too.
type Fields = Vec<Vec<u8>>;
const SLOTS: usize = 2;

/// The collector.
pub(super) struct SockStat {
    files: [(Source, Table<Fields>); 2],
    page_bytes: f64,
}

impl SockStat {
    pub(super) fn new(roots: &Roots) -> Self {
        let file = |name| (Source::new(roots.proc.join("net").join(name)), Table::new(0, MAX_PROTOCOLS));
        Self { files: ["sockstat", "sockstat6"].map(file), page_bytes: page_bytes() }
    }
}

impl Collector for SockStat {
    fn name(&self) -> &'static str {
        "sockstat"
    }

    fn collect(&mut self, _now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let mut trouble = Trouble::default();
        let mut missing = Vec::new();
        for (source, protocols) in &mut self.files {
            match source.read() {
                Ok(_) => {}
                Err(error) if is_missing(&error) => {
                    missing.push((source.path().to_owned(), error));
                    protocols.end_tick(&emit);
                    continue;
                }
                Err(error) => return unread("sockstat", source.path(), &error),
            }
            let (path, bytes) = source.last();
            for line in lines(bytes) {
                let mut fields = words(line);
                let Some(protocol) = fields.next().and_then(|word| word.strip_suffix(b":")) else {
                    trouble.bad_line(path, line, "`Protocol: name number …`");
                    continue;
                };
                let Some(row) = protocols.row(protocol, Vec::new) else {
                    trouble.note(|| format!("{}: more than {MAX_PROTOCOLS} protocols", path.display()));
                    continue;
                };
                let mut index = 0;
                while let Some(name) = fields.next() {
                    let Some(value) = fields.next().and_then(number) else {
                        trouble.bad_line(path, line, "a number behind each name");
                        break;
                    };
                    let Some(slots) = slots(row, index, name, &emit) else { break };
                    put(slots, protocol, name, value as f64, self.page_bytes, &mut emit);
                    index += 1;
                }
            }
            protocols.end_tick(&emit);
        }
        // One of two that is missing is a kernel without IPv6 or without IPv4.
        match missing.as_slice() {
            [(path, error), _] => unread("sockstat", path, error),
            _ => Ok(trouble.reading()),
        }
    }
}

/// The slots of the field at that place; when another one was there, all from there on are new.
fn slots<'r>(row: &'r mut Row<Fields>, index: usize, name: &[u8], emit: &Emit<'_>) -> Option<&'r mut [Slot]> {
    let fields = &mut row.state;
    if fields.get(index).is_none_or(|known| known != name) {
        fields.truncate(index);
        emit.release(row.slots.get(index * SLOTS..).unwrap_or_default());
        row.slots.truncate(index * SLOTS);
        if index >= MAX_VALUES {
            return None;
        }
        fields.push(name.to_vec());
        row.slots.resize(fields.len() * SLOTS, Slot::New);
    }
    row.slots.get_mut(index * SLOTS..(index + 1) * SLOTS)
}

fn put(slots: &mut [Slot], protocol: &[u8], name: &[u8], value: f64, page_bytes: f64, emit: &mut Emit<'_>) {
    let [plain, bytes] = slots else { return };
    emit.put_family(plain, || family(protocol, name, ""), value);
    if name == b"mem" {
        emit.put_family(bytes, || family(protocol, name, "_bytes"), value * page_bytes);
    }
}

fn family(protocol: &[u8], name: &[u8], suffix: &str) -> Family {
    let text = format!("{}_{}{suffix}", label(protocol), label(name));
    let clean: String = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    Family {
        name: format!("node_sockstat_{clean}").into(),
        kind: MetricKind::Gauge,
        unit: "".into(),
        help: format!("Sockets: {clean}.").into(),
    }
}

fn page_bytes() -> f64 {
    // SAFETY: sysconf takes a number and has no memory to get wrong.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    if bytes > 0 { bytes as f64 } else { 4096.0 }
}

#[cfg(test)]
mod tests {
    use super::SockStat;
    use crate::collect::Reading;
    use crate::collect::system::Roots;
    use crate::collect::testing::{Interner, collect, put};

    #[test]
    fn protocols_fields_and_garbage() {
        let root = tempfile::tempdir().unwrap();
        let mut sockets = SockStat::new(&Roots::under(root.path()));
        let intern = Interner::default();
        assert!(matches!(collect(&mut sockets, &intern, 0).1, Ok(Reading::Unavailable(_))));
        put(root.path(), "proc/net/sockstat", "sockets: used 229\nTCP: inuse 4 mem 2\nUDP: inuse\nrubbish\n");
        let (page, result) = collect(&mut sockets, &intern, 0);
        assert!(matches!(result, Ok(Reading::Degraded(text)) if text.ends_with("(and 1 more)")));
        assert_eq!(page.len(), 4);
        assert_eq!(page["node_sockstat_TCP_mem_bytes"], 2.0 * super::page_bytes());
        put(root.path(), "proc/net/sockstat", "sockets: used 229\nTCP: orphan 4 mem 2\n");
        let (page, result) = collect(&mut sockets, &intern, 0);
        assert_eq!((page.len(), result.unwrap(), intern.released()), (4, Reading::Complete, 3));
        put(root.path(), "proc/net/sockstat", "sockets: used 229\n");
        for _ in 0..61 {
            assert_eq!(collect(&mut sockets, &intern, 0).0.len(), 1);
        }
        assert_eq!(intern.released(), 6, "a protocol that has gone gives its series back");
    }
}
