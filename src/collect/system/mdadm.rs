//! Software RAID, from `/proc/mdstat`.

use super::bytes::{label, lines, number, words};
use super::report::{Trouble, unread};
use super::roots::Roots;
use super::source::Source;
use crate::collect::catalogue::gauge;
use crate::collect::emit::{Emit, Row, Table};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, FamilyDesc, Intern, Timestamp};

/// Arrays that are watched at most.
const MAX_ARRAYS: usize = 512;
const MAX: u32 = MAX_ARRAYS as u32;
const DEVICE: &[&str] = &["device"];
const STATE: &[&str] = &["device", "state"];

pub(super) static FAMILIES: [FamilyDesc; 5] = [
    gauge("node_md_disks", "", "Disks of an array by state.", STATE, 3 * MAX),
    gauge("node_md_disks_required", "", "Disks that an array is made for.", DEVICE, MAX),
    gauge("node_md_blocks", "", "Blocks of an array.", DEVICE, MAX),
    gauge("node_md_blocks_synced", "", "Blocks that are in step.", DEVICE, MAX),
    gauge("node_md_state", "", "1 for the state that an array is in, 0 for others.", STATE, 5 * MAX),
];
const DISKS: [&str; 3] = ["active", "failed", "spare"];
const STATES: [&str; 5] = ["active", "inactive", "recovering", "resync", "check"];
const SLOTS: usize = DISKS.len() + 3 + STATES.len();

/// What is known about one array.
#[derive(Debug, Default, PartialEq)]
struct Array {
    /// Active, failed, spare.
    disks: [u64; 3],
    required: u64,
    blocks: u64,
    synced: u64,
    state: usize,
}

/// The collector.
pub(super) struct MdAdm {
    source: Source,
    arrays: Table,
}

impl MdAdm {
    pub(super) fn new(roots: &Roots) -> Self {
        Self { source: Source::new(roots.proc.join("mdstat")), arrays: Table::new(SLOTS, MAX_ARRAYS) }
    }
}

impl Collector for MdAdm {
    fn name(&self) -> &'static str {
        "mdadm"
    }

    fn collect(&mut self, _now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let mut trouble = Trouble::default();
        if let Err(error) = self.source.read() {
            self.arrays.end_tick(&emit);
            return unread("mdadm", self.source.path(), &error);
        }
        let (path, bytes) = self.source.last();
        let mut all = lines(bytes).peekable();
        while let Some(line) = all.next() {
            // An array's lines after the first begin with a blank.
            let is_more = |line: &&[u8]| line.first().is_some_and(u8::is_ascii_whitespace);
            if is_more(&line) || line.starts_with(b"Personalities") || line.starts_with(b"unused") {
                continue;
            }
            let rest: Vec<&[u8]> = std::iter::from_fn(|| all.next_if(is_more)).collect();
            let name = words(line).next().unwrap_or_default();
            match array(line, &rest) {
                Some(array) => match self.arrays.row(name, || ()) {
                    Some(row) => put(&mut emit, row, &label(name), &array),
                    None => trouble.note(|| format!("{}: more than {MAX_ARRAYS} arrays", path.display())),
                },
                None => {
                    trouble.bad_line(path, line, "an array's name, state and disks, and its blocks on the next line")
                }
            }
        }
        self.arrays.end_tick(&emit);
        Ok(trouble.reading())
    }
}

fn put(emit: &mut Emit<'_>, row: &mut Row<()>, device: &str, array: &Array) {
    let [disks, required, blocks, synced, state] = &FAMILIES;
    let by_disk = DISKS.iter().zip(array.disks).map(|(name, count)| (disks, Some(*name), count));
    let plain = [(required, array.required), (blocks, array.blocks), (synced, array.synced)];
    let plain = plain.into_iter().map(|(desc, value)| (desc, None, value));
    let states = STATES.iter().enumerate().map(|(i, name)| (state, Some(*name), u64::from(i == array.state)));
    for (slot, (desc, state, value)) in row.slots.iter_mut().zip(by_disk.chain(plain).chain(states)) {
        match state {
            Some(state) => emit.put(slot, desc, &[device, state], value as f64),
            None => emit.put(slot, desc, &[device], value as f64),
        }
    }
}

/// `md0 : active raid1 sda1[0] sdb1[1](F)`, then `123 blocks … [2/1] [U_]`, then perhaps how far a repair is.
fn array(first: &[u8], rest: &[&[u8]]) -> Option<Array> {
    let mut fields = words(first);
    let (_, colon, activity) = (fields.next()?, fields.next()?, fields.next()?);
    if colon != b":" {
        return None;
    }
    let members: Vec<&[u8]> = fields.filter(|word| word.contains(&b'[')).collect();
    let marked = |mark: &[u8]| members.iter().filter(|member| member.ends_with(mark)).count() as u64;
    let (failed, spare) = (marked(b"(F)"), marked(b"(S)"));
    let status = rest.first()?;
    let blocks = words(status).next().and_then(number)?;
    let (required, active) = if activity == b"inactive" {
        (0, 0)
    } else {
        // Arrays without redundancy do not say how many they need: all that they have, and all are counted as active.
        members_wanted(status).unwrap_or((members.len() as u64, members.len() as u64))
    };
    let mut array = Array {
        disks: [active, failed, spare],
        required,
        blocks,
        synced: blocks,
        state: usize::from(activity == b"inactive"),
    };
    if let Some((state, synced)) = rest.iter().skip(1).find_map(|line| repair(line)) {
        // node_exporter counts what waits for its turn as resync, with nothing done.
        (array.state, array.synced) = (state, synced.unwrap_or(0));
    }
    Some(array)
}

/// `[2/1]`: wanted and active disks.
fn members_wanted(status: &[u8]) -> Option<(u64, u64)> {
    words(status).find_map(|word| {
        let inner = word.strip_prefix(b"[")?.strip_suffix(b"]")?;
        let slash = inner.iter().position(|byte| *byte == b'/')?;
        Some((number(inner.get(..slash)?)?, number(inner.get(slash + 1..)?)?))
    })
}

/// `[=>...]  recovery =  8.5% (16775552/195310144) …` or `resync=DELAYED`: the state and the blocks that are done.
fn repair(line: &[u8]) -> Option<(usize, Option<u64>)> {
    // A reshape is a change of an array that is whole: node_exporter calls it active.
    let kinds: [(&[u8], usize); 3] = [(b"recovery", 2), (b"resync", 3), (b"check", 4)];
    let (_, state) = kinds.into_iter().find(|(kind, _)| words(line).any(|word| word.starts_with(kind)))?;
    let done = words(line).find_map(|word| {
        let inner = word.strip_prefix(b"(")?.strip_suffix(b")")?;
        number(inner.get(..inner.iter().position(|byte| *byte == b'/')?)?)
    });
    Some((state, done))
}

#[cfg(test)]
mod tests {
    use super::{Array, MdAdm, array};
    use crate::collect::Reading;
    use crate::collect::system::Roots;
    use crate::collect::testing::{Interner, collect, put};

    #[test]
    fn arrays() {
        let cases: [(&str, &[&str], Option<Array>); 8] = [
            (
                "md6 : active raid0 sdb2[1](F) sda2[0]",
                &[" 7 blocks 64k chunks"],
                Some(Array { disks: [2, 1, 0], required: 2, blocks: 7, synced: 7, state: 0 }),
            ),
            (
                "md7 : active raid5 a[0] b[1] c[2]",
                &["  90 blocks [3/3] [UUU]", "  [=>..]  reshape =  8.5% (16/100) finish=17min"],
                Some(Array { disks: [3, 0, 0], required: 3, blocks: 90, synced: 90, state: 0 }),
            ),
            (
                "md0 : active raid1 sda1[0] sdb1[1](F)",
                &["  100 blocks [2/1] [U_]", "  [=>..]  recovery =  8.5% (16/100) finish=17min"],
                Some(Array { disks: [1, 1, 0], required: 2, blocks: 100, synced: 16, state: 2 }),
            ),
            (
                "md1 : active raid0 sda[0] sdb[1]",
                &[" 7 blocks 64k chunks"],
                Some(Array { disks: [2, 0, 0], required: 2, blocks: 7, synced: 7, state: 0 }),
            ),
            (
                "md2 : inactive raid1 sda3[0](S)",
                &[" 8 blocks"],
                Some(Array { disks: [0, 0, 1], required: 0, blocks: 8, synced: 8, state: 1 }),
            ),
            ("md3 : active raid1 sda[0]", &[], None),
            ("md4 : active raid1", &["  many blocks"], None),
            ("md5", &["  1 blocks"], None),
        ];
        for (first, rest, expected) in cases {
            let rest: Vec<&[u8]> = rest.iter().map(|line| line.as_bytes()).collect();
            assert_eq!(array(first.as_bytes(), &rest), expected, "{first}");
        }
    }

    #[test]
    fn one_bad_array_costs_itself() {
        let root = tempfile::tempdir().unwrap();
        let mut md = MdAdm::new(&Roots::under(root.path()));
        let text = "Personalities : [raid1]\nmd9 : nonsense\nmd0 : active raid1 a[0] b[1]\n      9 blocks [2/2] [UU]\n\nunused devices: <none>\n";
        put(root.path(), "proc/mdstat", text);
        let (page, result) = collect(&mut md, &Interner::default(), 0);
        assert!(matches!(result, Ok(Reading::Degraded(text)) if text.contains("md9")));
        assert_eq!((page.len(), page[r#"node_md_disks_required{device="md0"}"#]), (11, 2.0));
    }
}
