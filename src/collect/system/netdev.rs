//! Network interfaces, from `/proc/net/dev`.

use std::hash::Hasher;
use std::path::PathBuf;

use super::bytes::{label, lines, number, words};
use super::class::File;
use super::filter::Filter;
use super::report::{Trouble, unread};
use super::roots::Roots;
use super::source::Source;
use crate::collect::catalogue::counter;
use crate::collect::emit::{Emit, Table};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, FamilyDesc, Intern, Timestamp};

/// Interfaces that are watched at most; a host of many containers has hundreds.
pub(super) const MAX_INTERFACES: usize = 1024;

macro_rules! statistics {
    ($($name:literal $unit:literal),* $(,)?) => {
        [$(counter(
            concat!("node_network_", $name, "_total"),
            $unit,
            concat!("Network device statistic ", $name, "."),
            &["device"],
            MAX_INTERFACES as u32,
        )),*]
    };
}

/// Families in the order of the columns of the file; the last one has a file of its own in sysfs.
pub(super) static FAMILIES: [FamilyDesc; 17] = statistics![
    "receive_bytes" "bytes", "receive_packets" "", "receive_errs" "", "receive_drop" "", "receive_fifo" "",
    "receive_frame" "", "receive_compressed" "", "receive_multicast" "", "transmit_bytes" "bytes",
    "transmit_packets" "", "transmit_errs" "", "transmit_drop" "", "transmit_fifo" "", "transmit_colls" "",
    "transmit_carrier" "", "transmit_compressed" "", "receive_nohandler" "",
];

/// The collector.
pub(super) struct NetDev {
    source: Source,
    sysfs: PathBuf,
    filter: Filter,
    /// The file of the last family; `None` for an interface that is not shown.
    interfaces: Table<Option<File>>,
    files: usize,
    /// What [`order`] said in the last tick.
    order: u64,
    buffer: Vec<u8>,
}

impl NetDev {
    pub(super) fn new(roots: &Roots, filter: Filter) -> Self {
        Self {
            source: Source::new(roots.proc.join("net/dev")),
            sysfs: roots.sys.join("class/net"),
            filter,
            interfaces: Table::new(FAMILIES.len(), MAX_INTERFACES),
            files: 0,
            order: 0,
            buffer: Vec::new(),
        }
    }
}

impl Collector for NetDev {
    fn name(&self) -> &'static str {
        "netdev"
    }

    fn collect(&mut self, _now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let mut trouble = Trouble::default();
        if let Err(error) = self.source.read() {
            self.interfaces.end_tick(&emit);
            return unread("netdev", self.source.path(), &error);
        }
        let (path, bytes) = self.source.last();
        let order = order(bytes);
        if self.order != order {
            self.order = order;
            // An open file of sysfs goes with its interface, whatever that is called by now.
            self.interfaces.rows_mut().filter_map(|row| row.state.as_mut()).for_each(File::close);
        }
        for line in lines(bytes).filter(|line| !line.contains(&b'|')) {
            let Some((name, columns)) = interface(line) else {
                trouble.bad_line(path, line, "`name:` and sixteen counters");
                continue;
            };
            let (filter, sysfs, files) = (&self.filter, &self.sysfs, &mut self.files);
            let open = || {
                let path = filter.shows(name).then(|| sysfs.join(&*label(name)).join("statistics/rx_nohandler"))?;
                *files += 1;
                Some(File::new(path, *files))
            };
            let Some(row) = self.interfaces.row(name, open) else {
                trouble.note(|| format!("{}: more than {MAX_INTERFACES} interfaces", path.display()));
                continue;
            };
            let Some(nohandler) = &mut row.state else { continue };
            let device = label(name);
            let last = nohandler.read(&mut self.buffer).ok().and_then(|bytes| number(bytes.trim_ascii()));
            let columns = columns.into_iter().map(Some).chain([last]);
            for ((slot, desc), column) in row.slots.iter_mut().zip(&FAMILIES).zip(columns) {
                emit.put_opt(slot, desc, &[&device], column.map(|column| column as f64));
            }
        }
        self.interfaces.end_tick(&emit);
        Ok(trouble.reading())
    }
}

/// A number that is another one when interfaces come, go, are renamed or swap their names.
fn order(bytes: &[u8]) -> u64 {
    let names = lines(bytes).filter_map(|line| line.get(..line.iter().position(|byte| *byte == b':')?));
    let mut hasher = std::hash::DefaultHasher::new();
    names.for_each(|name| {
        hasher.write(name.trim_ascii_start());
        hasher.write_u8(b':');
    });
    hasher.finish()
}

/// Old kernels write no blank after the colon; an alias (`eth0:1`) has colons in its name.
fn interface(line: &[u8]) -> Option<(&[u8], [u64; 16])> {
    let colon = line.iter().rposition(|byte| *byte == b':')?;
    let name = words(line.get(..colon)?).next()?;
    let mut fields = words(line.get(colon + 1..)?);
    let mut columns = [0; 16];
    for column in &mut columns {
        *column = number(fields.next()?)?;
    }
    Some((name, columns))
}

#[cfg(test)]
mod tests {
    use super::{Filter, NetDev};
    use crate::collect::Reading;
    use crate::collect::system::Roots;
    use crate::collect::testing::{Interner, collect, put};

    #[test]
    fn names_that_are_swapped_are_noticed() {
        let page = |names: [&str; 2]| super::order(names.map(|name| format!("{name}: 1 2\n")).concat().as_bytes());
        assert_eq!(page(["eth0", "eth1"]), page(["  eth0", "eth1"]));
        for other in [["eth1", "eth0"], ["eth0", "eth2"], ["eth0e", "th1"]] {
            assert_ne!(page(["eth0", "eth1"]), page(other), "{other:?}");
        }
    }

    #[test]
    fn interfaces_come_and_go() {
        let root = tempfile::tempdir().unwrap();
        let mut net =
            NetDev::new(&Roots::under(root.path()), Filter::without(regex::bytes::Regex::new("^veth").unwrap()));
        let intern = Interner::default();
        let head = "Inter-| Receive | Transmit\n face |bytes packets|bytes\n";
        let zeros = "0 0 0 0 0 0 0 0 0 0 0 0 0 0";
        put(root.path(), "proc/net/dev", &format!("{head}  eth0:12 {zeros} 7\n lo: 1 2 3\nveth1: 1 {zeros} 1\n"));
        let (page, result) = collect(&mut net, &intern, 0);
        assert!(matches!(result, Ok(Reading::Degraded(text)) if text.contains("lo: 1 2 3")));
        assert_eq!(page.len(), 16);
        assert_eq!(page[r#"node_network_receive_bytes_total{device="eth0"}"#], 12.0);
        assert_eq!(page[r#"node_network_transmit_compressed_total{device="eth0"}"#], 7.0);
        put(root.path(), "proc/net/dev", &format!("{head}wg0: 1 {zeros} 1\neth0: 13 {zeros} 7\n"));
        assert_eq!(collect(&mut net, &intern, 0).0.len(), 32);
        assert_eq!(intern.count(), 32, "eth0 kept its series");
        put(root.path(), "proc/net/dev", head);
        assert!(collect(&mut net, &intern, 0).0.is_empty());
    }
}
