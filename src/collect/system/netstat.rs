//! Counters of the network protocols, from `/proc/net/netstat`, `/proc/net/snmp` and `/proc/net/snmp6`.

use std::path::Path;

use regex::bytes::Regex;

use super::bytes::{label, lines, number, signed, words};
use super::devices::{identifier, untyped_family};
use super::report::{Trouble, unread};
use super::roots::Roots;
use super::source::{Source, is_missing};
use crate::collect::catalogue::untyped;
use crate::collect::emit::{Emit, Slot, Table};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, Family, FamilyDesc, Intern, Timestamp};

/// Protocols of one file; Linux has nine.
const MAX_PROTOCOLS: usize = 64;
/// Fields of `snmp6`; Linux has 90.
const MAX_FIELDS: usize = 1024;

macro_rules! fields {
    ($($name:literal)*) => {
        [$(untyped(concat!("node_netstat_", $name), concat!("What the kernel counts as ", $name, "."))),*]
    };
}

/// What the default pattern picks of today's kernels; other patterns may show more.
pub(super) static FAMILIES: [FamilyDesc; 42] = fields![
    "Icmp6_InErrors" "Icmp6_InMsgs" "Icmp6_OutMsgs" "Icmp_InErrors" "Icmp_InMsgs" "Icmp_OutMsgs" "Ip6_InOctets"
    "Ip6_OutOctets" "IpExt_InOctets" "IpExt_OutOctets" "Ip_Forwarding" "TcpExt_ListenDrops" "TcpExt_ListenOverflows"
    "TcpExt_SyncookiesFailed" "TcpExt_SyncookiesRecv" "TcpExt_SyncookiesSent" "TcpExt_TCPSynRetrans" "TcpExt_TCPTimeouts"
    "TcpExt_TCPOFOQueue" "TcpExt_TCPRcvQDrop" "Tcp_ActiveOpens" "Tcp_CurrEstab" "Tcp_InErrs" "Tcp_InSegs" "Tcp_OutRsts"
    "Tcp_OutSegs" "Tcp_PassiveOpens" "Tcp_RetransSegs" "Udp6_InDatagrams" "Udp6_InErrors" "Udp6_NoPorts"
    "Udp6_OutDatagrams" "Udp6_RcvbufErrors" "Udp6_SndbufErrors" "UdpLite6_InErrors" "UdpLite_InErrors"
    "Udp_InDatagrams" "Udp_InErrors" "Udp_NoPorts" "Udp_OutDatagrams" "Udp_RcvbufErrors" "Udp_SndbufErrors"
];

/// The name of a field that is shown; `None` of one that the pattern leaves out.
type Field = Option<String>;

fn field(protocol: &[u8], field: &[u8], fields: &Regex) -> Field {
    let name = [protocol, b"_", field].concat();
    fields.is_match(&name).then(|| label(&name).into_owned())
}

/// The words of a header, and what they are to us; their slots are the row's.
#[derive(Default)]
struct Header {
    text: Vec<u8>,
    fields: Vec<Field>,
}

/// The collector.
pub(super) struct NetStat {
    pairs: [(Source, Table<Header>); 2],
    flat: Source,
    flat_fields: Table<Field>,
    fields: Regex,
}

impl NetStat {
    pub(super) fn new(roots: &Roots, fields: Regex) -> Self {
        let net = roots.proc.join("net");
        Self {
            pairs: ["netstat", "snmp"].map(|file| (Source::new(net.join(file)), Table::new(0, MAX_PROTOCOLS))),
            flat: Source::new(net.join("snmp6")),
            flat_fields: Table::new(1, MAX_FIELDS),
            fields,
        }
    }
}

impl Collector for NetStat {
    fn name(&self) -> &'static str {
        "netstat"
    }

    fn collect(&mut self, _now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let mut trouble = Trouble::default();
        let mut failed = None;
        for (source, protocols) in &mut self.pairs {
            if let Err(error) = source.read() {
                protocols.end_tick(&emit);
                failed = failed.or(Some((source.path().to_owned(), error)));
                continue;
            }
            let (path, bytes) = source.last();
            pairs(path, bytes, protocols, &self.fields, &mut emit, &mut trouble);
        }
        match self.flat.read() {
            // A kernel without IPv6.
            Err(error) if is_missing(&error) => self.flat_fields.end_tick(&emit),
            Err(error) => trouble.note(|| format!("{}: {error}", self.flat.path().display())),
            Ok(_) => {
                let (path, bytes) = self.flat.last();
                flat(path, bytes, &mut self.flat_fields, &self.fields, &mut emit, &mut trouble);
            }
        }
        // As in node_exporter the collector fails without one of the first two; what the others say is there all the same.
        match failed {
            Some((path, error)) => unread("netstat", &path, &error),
            None => Ok(trouble.reading()),
        }
    }
}

/// Two lines a protocol: `Tcp: MaxConn …` and `Tcp: -1 …`.
fn pairs(
    path: &Path,
    bytes: &[u8],
    protocols: &mut Table<Header>,
    fields: &Regex,
    emit: &mut Emit<'_>,
    trouble: &mut Trouble,
) {
    let mut all = lines(bytes);
    while let Some(names) = all.next() {
        let protocol = words(names).next().and_then(|word| word.strip_suffix(b":"));
        let (Some(protocol), Some(values)) = (protocol, all.next()) else {
            trouble.bad_line(path, names, "`Protocol: names` and a line of values");
            continue;
        };
        if words(values).next().and_then(|word| word.strip_suffix(b":")) != Some(protocol) {
            trouble.bad_line(path, values, "the values of the line before");
            continue;
        }
        let Some(row) = protocols.row(protocol, Header::default) else {
            trouble.note(|| format!("{}: more than {MAX_PROTOCOLS} protocols", path.display()));
            continue;
        };
        if row.state.text != names {
            emit.release(&row.slots);
            let fields: Vec<Field> = words(names).skip(1).map(|word| field(protocol, word, fields)).collect();
            row.slots = vec![Slot::New; fields.len()];
            row.state = Header { text: names.to_vec(), fields };
        }
        let mut count = 0;
        for ((field, slot), word) in row.state.fields.iter().zip(&mut row.slots).zip(words(values).skip(1)) {
            count += 1;
            let Some(name) = field else { continue };
            match value(word) {
                Some(value) => emit.put_family(slot, || family(name), value),
                None => trouble.bad_line(path, word, "a number"),
            }
        }
        if count < row.state.fields.len() {
            trouble.bad_line(path, values, "as many values as names");
        }
    }
    protocols.end_tick(emit);
}

/// `Ip6InOctets 460`: the protocol ends with the first 6.
fn flat(
    path: &Path,
    bytes: &[u8],
    known: &mut Table<Field>,
    fields: &Regex,
    emit: &mut Emit<'_>,
    trouble: &mut Trouble,
) {
    for line in lines(bytes) {
        let mut parts = words(line);
        let (Some(key), Some(word)) = (parts.next(), parts.next()) else {
            trouble.bad_line(path, line, "`name number`");
            continue;
        };
        let parse = || match key.iter().position(|byte| *byte == b'6').map(|six| key.split_at(six + 1)) {
            Some((protocol, name)) => field(protocol, name, fields),
            None => None,
        };
        let Some(row) = known.row(key, parse) else {
            trouble.note(|| format!("{}: more than {MAX_FIELDS} fields", path.display()));
            continue;
        };
        let (Some(name), [slot]) = (&row.state, row.slots.as_mut_slice()) else { continue };
        match value(word) {
            Some(value) => emit.put_family(slot, || family(name), value),
            None => trouble.bad_line(path, word, "a number"),
        }
    }
    known.end_tick(emit);
}

fn value(word: &[u8]) -> Option<f64> {
    number(word).map(|value| value as f64).or_else(|| signed(word).map(|value| value as f64))
}

fn family(name: &str) -> Family {
    let clean = identifier(name);
    untyped_family(format!("node_netstat_{clean}"), format!("What the kernel counts as {clean}."))
}

#[cfg(test)]
mod tests {
    use super::NetStat;
    use crate::collect::Reading;
    use crate::collect::system::{Roots, SystemOptions};
    use crate::collect::testing::{Interner, collect, put};

    #[test]
    fn default_fields_wrap_and_garbage() {
        let root = tempfile::tempdir().unwrap();
        let mut netstat = NetStat::new(&Roots::under(root.path()), SystemOptions::default().netstat_fields);
        let intern = Interner::default();
        assert!(matches!(collect(&mut netstat, &intern, 0).1, Ok(Reading::Unavailable(_))));
        put(root.path(), "proc/net/netstat", "TcpExt: ListenDrops Other\nTcpExt: 18446744073709551615 1\n");
        put(root.path(), "proc/net/snmp", "Tcp: MaxConn CurrEstab\nTcp: -1 7\nUdp: NoPorts\nUdp: x\n");
        let (page, result) = collect(&mut netstat, &intern, 0);
        assert!(matches!(result, Ok(Reading::Degraded(text)) if text.contains("found \"x\"")));
        assert_eq!(page.len(), 2);
        assert_eq!(page["node_netstat_TcpExt_ListenDrops"], u64::MAX as f64);
        put(root.path(), "proc/net/snmp6", "Ip6InOctets 460\nIp6Other 1\nbad\nNoSix 1\nUdp6InErrors -\n");
        let (page, result) = collect(&mut netstat, &intern, 0);
        assert_eq!(page["node_netstat_Ip6_InOctets"], 460.0);
        assert!(matches!(result, Ok(Reading::Degraded(text)) if text.ends_with("(and 2 more)")));
        assert_eq!(intern.count(), 3);
        put(root.path(), "proc/net/netstat", "TcpExt: Other ListenDrops\nTcpExt: 1\nIpExt\nTcp: a\nUdp: 1\n");
        let (page, _) = collect(&mut netstat, &intern, 0);
        assert!(!page.contains_key("node_netstat_TcpExt_ListenDrops") && intern.released() == 1);
        for file in ["netstat", "snmp6"] {
            put(root.path(), &format!("proc/net/{file}"), "");
        }
        for _ in 0..61 {
            assert_eq!(collect(&mut netstat, &intern, 0).0.len(), 1, "Tcp_CurrEstab");
        }
        assert_eq!(intern.released(), 2, "what left the file is given back after a while");
        for _ in 0..61 {
            std::fs::remove_file(root.path().join("proc/net/snmp")).ok();
            assert!(collect(&mut netstat, &intern, 0).0.is_empty());
        }
        assert_eq!(intern.released(), 3, "and so is a file that has gone");
    }
}
