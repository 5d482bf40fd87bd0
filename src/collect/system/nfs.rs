//! NFS: what this machine asks as a client (`/proc/net/rpc/nfs`) and answers as a server (`/proc/net/rpc/nfsd`).

use super::bytes::{lines, number, words};
use super::report::{Trouble, garbage, unread};
use super::roots::Roots;
use super::source::Source;
use crate::collect::catalogue::{counter, gauge};
use crate::collect::emit::{Emit, Slot};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, FamilyDesc, Intern, Timestamp};

const REQUEST: &[&str] = &["proto", "method"];

pub(super) static CLIENT: [FamilyDesc; 6] = [
    counter("node_nfs_packets_total", "", "Packets that the client got.", &["protocol"], 2),
    counter("node_nfs_connections_total", "", "TCP connections that the client made.", &[], 1),
    counter("node_nfs_rpcs_total", "", "Calls that the client made.", &[], 1),
    counter("node_nfs_rpc_retransmissions_total", "", "Calls that the client made again.", &[], 1),
    counter("node_nfs_rpc_authentication_refreshes_total", "", "Times that credentials were refreshed.", &[], 1),
    counter("node_nfs_requests_total", "", "Calls of the client by procedure.", REQUEST, 128),
];

pub(super) static SERVER: [FamilyDesc; 15] = [
    counter("node_nfsd_reply_cache_hits_total", "", "Repeated calls that the cache answered.", &[], 1),
    counter("node_nfsd_reply_cache_misses_total", "", "Calls that the cache was asked for in vain.", &[], 1),
    counter("node_nfsd_reply_cache_nocache_total", "", "Calls that need no cache.", &[], 1),
    counter("node_nfsd_file_handles_stale_total", "", "Calls with a handle of a file that is gone.", &[], 1),
    counter("node_nfsd_disk_bytes_read_total", "", "Bytes that clients read.", &[], 1),
    counter("node_nfsd_disk_bytes_written_total", "", "Bytes that clients wrote.", &[], 1),
    gauge("node_nfsd_server_threads", "", "Threads of the server.", &[], 1),
    gauge("node_nfsd_read_ahead_cache_size_blocks", "", "Size of the cache that reads ahead.", &[], 1),
    counter("node_nfsd_read_ahead_cache_not_found_total", "", "Reads that this cache did not know.", &[], 1),
    counter("node_nfsd_packets_total", "", "Packets that the server got.", &["proto"], 2),
    counter("node_nfsd_connections_total", "", "TCP connections that clients made.", &[], 1),
    counter("node_nfsd_server_rpcs_total", "", "Calls that the server got.", &[], 1),
    counter("node_nfsd_rpc_errors_total", "", "Calls that the server refused, by reason.", &["error"], 3),
    counter("node_nfsd_requests_total", "", "Calls of the server by procedure.", REQUEST, 128),
    counter("node_nfsd_wdeleg_getattr_total", "", "Attributes asked of clients that may write.", &[], 1),
];

/// One number: the line's first word, the place behind it, the family, its label.
type Field = (&'static [u8], usize, usize, &'static [&'static str]);

const CLIENT_FIELDS: [Field; 6] = [
    (b"net", 1, 0, &["udp"]),
    (b"net", 2, 0, &["tcp"]),
    (b"net", 3, 1, &[]),
    (b"rpc", 0, 2, &[]),
    (b"rpc", 1, 3, &[]),
    (b"rpc", 2, 4, &[]),
];
const SERVER_FIELDS: [Field; 17] = [
    (b"rc", 0, 0, &[]),
    (b"rc", 1, 1, &[]),
    (b"rc", 2, 2, &[]),
    (b"fh", 0, 3, &[]),
    (b"io", 0, 4, &[]),
    (b"io", 1, 5, &[]),
    (b"th", 0, 6, &[]),
    (b"ra", 0, 7, &[]),
    (b"ra", 11, 8, &[]),
    (b"net", 1, 9, &["udp"]),
    (b"net", 2, 9, &["tcp"]),
    (b"net", 3, 10, &[]),
    (b"rpc", 0, 11, &[]),
    (b"rpc", 2, 12, &["fmt"]),
    (b"rpc", 3, 12, &["auth"]),
    (b"rpc", 4, 12, &["cInt"]),
    (b"wdeleg_getattr", 0, 14, &[]),
];

/// Procedures of one version: the line's first word, the version, and names in the order of the numbers behind the
/// count; an empty name is not shown.
type Procedures = (&'static [u8], &'static str, &'static [&'static str]);

const V2: [&str; 18] = [
    "Null", "GetAttr", "SetAttr", "Root", "Lookup", "ReadLink", "Read", "WrCache", "Write", "Create", "Remove",
    "Rename", "Link", "SymLink", "MkDir", "RmDir", "ReadDir", "FsStat",
];
const V3: [&str; 22] = [
    "Null",
    "GetAttr",
    "SetAttr",
    "Lookup",
    "Access",
    "ReadLink",
    "Read",
    "Write",
    "Create",
    "MkDir",
    "SymLink",
    "MkNod",
    "Remove",
    "RmDir",
    "Rename",
    "Link",
    "ReadDir",
    "ReadDirPlus",
    "FsStat",
    "FsInfo",
    "PathConf",
    "Commit",
];
const V4_CLIENT: [&str; 59] = [
    "Null",
    "Read",
    "Write",
    "Commit",
    "Open",
    "OpenConfirm",
    "OpenNoattr",
    "OpenDowngrade",
    "Close",
    "Setattr",
    "FsInfo",
    "Renew",
    "SetClientID",
    "SetClientIDConfirm",
    "Lock",
    "Lockt",
    "Locku",
    "Access",
    "Getattr",
    "Lookup",
    "LookupRoot",
    "Remove",
    "Rename",
    "Link",
    "Symlink",
    "Create",
    "Pathconf",
    "StatFs",
    "ReadLink",
    "ReadDir",
    "ServerCaps",
    "DelegReturn",
    "GetACL",
    "SetACL",
    "FsLocations",
    "ReleaseLockowner",
    "Secinfo",
    "FsidPresent",
    "ExchangeID",
    "CreateSession",
    "DestroySession",
    "Sequence",
    "GetLeaseTime",
    "ReclaimComplete",
    "LayoutGet",
    "GetDeviceInfo",
    "LayoutCommit",
    "LayoutReturn",
    "SecinfoNoName",
    "TestStateID",
    "FreeStateID",
    "GetDeviceList",
    "BindConnToSession",
    "DestroyClientID",
    "Seek",
    "Allocate",
    "DeAllocate",
    "LayoutStats",
    "Clone",
];
/// Operations of RFC 7530 in the order of their numbers; the first three are not used.
const V4_SERVER: [&str; 40] = [
    "",
    "",
    "",
    "Access",
    "Close",
    "Commit",
    "Create",
    "DelegPurge",
    "DelegReturn",
    "GetAttr",
    "GetFH",
    "Link",
    "Lock",
    "Lockt",
    "Locku",
    "Lookup",
    "LookupRoot",
    "Nverify",
    "Open",
    "OpenAttr",
    "OpenConfirm",
    "OpenDgrd",
    "PutFH",
    "",
    "",
    "Read",
    "ReadDir",
    "ReadLink",
    "Remove",
    "Rename",
    "Renew",
    "RestoreFH",
    "SaveFH",
    "SecInfo",
    "SetAttr",
    "",
    "",
    "Verify",
    "Write",
    "RelLockOwner",
];

const CLIENT_PROCEDURES: [Procedures; 3] = [(b"proc2", "2", &V2), (b"proc3", "3", &V3), (b"proc4", "4", &V4_CLIENT)];
const SERVER_PROCEDURES: [Procedures; 3] = [(b"proc2", "2", &V2), (b"proc3", "3", &V3), (b"proc4ops", "4", &V4_SERVER)];
/// node_exporter does not show what a server did for nobody (`Null`).
const SERVER_HIDES: &str = "Null";

/// The collector of one of the two files.
pub(super) struct Nfs {
    name: &'static str,
    source: Source,
    families: &'static [FamilyDesc],
    requests: usize,
    fields: &'static [Field],
    procedures: &'static [Procedures; 3],
    hidden: &'static str,
    field_slots: Vec<Slot>,
    procedure_slots: [Vec<Slot>; 3],
}

/// This machine as a client.
pub(super) fn client(roots: &Roots) -> Nfs {
    Nfs::new("nfs", roots, &CLIENT, (5, &CLIENT_FIELDS, &CLIENT_PROCEDURES, ""))
}

/// This machine as a server.
pub(super) fn server(roots: &Roots) -> Nfs {
    Nfs::new("nfsd", roots, &SERVER, (13, &SERVER_FIELDS, &SERVER_PROCEDURES, SERVER_HIDES))
}

impl Nfs {
    fn new(
        name: &'static str,
        roots: &Roots,
        families: &'static [FamilyDesc],
        (requests, fields, procedures, hidden): (usize, &'static [Field], &'static [Procedures; 3], &'static str),
    ) -> Self {
        Self {
            name,
            source: Source::new(roots.proc.join("net/rpc").join(name)),
            families,
            requests,
            fields,
            procedures,
            hidden,
            field_slots: vec![Slot::New; fields.len()],
            procedure_slots: procedures.map(|(_, _, names)| vec![Slot::New; names.len()]),
        }
    }
}

impl Collector for Nfs {
    fn name(&self) -> &'static str {
        self.name
    }

    fn collect(&mut self, _now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let mut trouble = Trouble::default();
        if let Err(error) = self.source.read() {
            return unread(self.name, self.source.path(), &error);
        }
        let (path, bytes) = self.source.last();
        let mut known = false;
        for line in lines(bytes) {
            let mut all = words(line);
            let key = all.next().unwrap_or_default();
            for ((word, place, family, label), slot) in self.fields.iter().zip(&mut self.field_slots) {
                if *word != key {
                    continue;
                }
                known = true;
                match (words(line).nth(place + 1).and_then(number), self.families.get(*family)) {
                    (Some(value), Some(desc)) => emit.put(slot, desc, label, value as f64),
                    _ => trouble.bad_line(path, line, "more numbers"),
                }
            }
            for ((word, version, names), slots) in self.procedures.iter().zip(&mut self.procedure_slots) {
                let (true, Some(desc)) = (*word == key, self.families.get(self.requests)) else { continue };
                known = true;
                // An older kernel has fewer procedures, a newer one more.
                for ((name, slot), value) in names.iter().zip(slots).zip(words(line).skip(2)) {
                    match number(value) {
                        _ if name.is_empty() || *name == self.hidden => {}
                        Some(value) => emit.put(slot, desc, &[version, name], value as f64),
                        None => trouble.bad_line(path, value, "a number"),
                    }
                }
            }
        }
        if known { Ok(trouble.reading()) } else { Err(garbage(self.name, path, "a line `net …`")) }
    }
}

#[cfg(test)]
mod tests {
    use super::{client, server};
    use crate::collect::Reading;
    use crate::collect::system::Roots;
    use crate::collect::testing::{Interner, collect, put};

    #[test]
    fn lines_old_new_truncated_and_garbage() {
        let root = tempfile::tempdir().unwrap();
        let roots = Roots::under(root.path());
        let (mut nfs, mut nfsd) = (client(&roots), server(&roots));
        let intern = Interner::default();
        assert!(matches!(collect(&mut nfs, &intern, 0).1, Ok(Reading::Unavailable(_))));
        put(root.path(), "proc/net/rpc/nfs", "net 1 2\nrpc 18446744073709551615 1 2\nproc3 3 1 2 x\nfuture 1\n");
        let (page, result) = collect(&mut nfs, &intern, 0);
        assert!(matches!(result, Ok(Reading::Degraded(text)) if text.ends_with("(and 2 more)")));
        assert_eq!(page["node_nfs_rpcs_total"], u64::MAX as f64);
        assert_eq!(page[r#"node_nfs_requests_total{method="GetAttr", proto="3"}"#], 2.0);
        assert_eq!(page.len(), 1 + 3 + 2);
        put(root.path(), "proc/net/rpc/nfs", "rubbish\n");
        assert!(collect(&mut nfs, &intern, 0).1.is_err());
        put(root.path(), "proc/net/rpc/nfsd", "rc 0 6 7\nth 8 0\nproc3 2 5 6\nproc4ops 4 0 0 0 9\nwdeleg_getattr 1\n");
        let (page, result) = collect(&mut nfsd, &intern, 0);
        assert_eq!((page.len(), result.unwrap()), (3 + 1 + 1 + 1 + 1, Reading::Complete));
        assert_eq!(page[r#"node_nfsd_requests_total{method="Access", proto="4"}"#], 9.0);
    }
}
