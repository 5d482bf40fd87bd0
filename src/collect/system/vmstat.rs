//! Paging, faults and out-of-memory kills, from `/proc/vmstat`.

use regex::bytes::Regex;

use super::bytes::{label, lines, number, words};
use super::devices::{identifier, untyped_family};
use super::report::{Trouble, garbage, unread};
use super::roots::Roots;
use super::source::Source;
use crate::collect::catalogue::untyped;
use crate::collect::emit::{Emit, Table};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, Family, FamilyDesc, Intern, Timestamp};

/// Fields of the file; Linux 6.18 has 190.
const MAX_FIELDS: usize = 1024;

/// What the default pattern picks of every kernel; the catalogue's part.
pub(super) static FAMILIES: [FamilyDesc; 7] = [
    untyped("node_vmstat_oom_kill", "/proc/vmstat information field oom_kill."),
    untyped("node_vmstat_pgpgin", "/proc/vmstat information field pgpgin."),
    untyped("node_vmstat_pgpgout", "/proc/vmstat information field pgpgout."),
    untyped("node_vmstat_pswpin", "/proc/vmstat information field pswpin."),
    untyped("node_vmstat_pswpout", "/proc/vmstat information field pswpout."),
    untyped("node_vmstat_pgfault", "/proc/vmstat information field pgfault."),
    untyped("node_vmstat_pgmajfault", "/proc/vmstat information field pgmajfault."),
];
/// The collector.
pub(super) struct VmStat {
    source: Source,
    fields: Regex,
    /// Whether the field is shown, decided once.
    known: Table<bool>,
}

impl VmStat {
    pub(super) fn new(roots: &Roots, fields: Regex) -> Self {
        Self { source: Source::new(roots.proc.join("vmstat")), fields, known: Table::new(1, MAX_FIELDS) }
    }
}

impl Collector for VmStat {
    fn name(&self) -> &'static str {
        "vmstat"
    }

    fn collect(&mut self, _now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let mut trouble = Trouble::default();
        if let Err(error) = self.source.read() {
            self.known.end_tick(&emit);
            return unread("vmstat", self.source.path(), &error);
        }
        let (path, bytes) = self.source.last();
        let mut found = false;
        for line in lines(bytes) {
            let Some(blank) = line.iter().position(|byte| *byte == b' ') else {
                trouble.bad_line(path, line, "`name number`");
                continue;
            };
            let (key, value) = line.split_at(blank);
            let fields = &self.fields;
            let Some(row) = self.known.row(key, || fields.is_match(key)) else {
                trouble.note(|| format!("{}: more than {MAX_FIELDS} fields", path.display()));
                continue;
            };
            found = true;
            if !row.state {
                continue;
            }
            match (words(value).next().and_then(number), row.slots.as_mut_slice()) {
                (Some(value), [slot]) => emit.put_family(slot, || family(key), value as f64),
                _ => trouble.bad_line(path, line, "a number"),
            }
        }
        self.known.end_tick(&emit);
        if found { Ok(trouble.reading()) } else { Err(garbage("vmstat", path, "lines `name number`")) }
    }
}

fn family(key: &[u8]) -> Family {
    let field = identifier(&label(key));
    untyped_family(format!("node_vmstat_{field}"), format!("/proc/vmstat information field {field}."))
}

#[cfg(test)]
mod tests {
    use super::VmStat;
    use crate::collect::Reading;
    use crate::collect::system::{Roots, SystemOptions};
    use crate::collect::testing::{Interner, collect, put};

    #[test]
    fn shown_left_out_and_garbage() {
        let root = tempfile::tempdir().unwrap();
        let mut vmstat = VmStat::new(&Roots::under(root.path()), SystemOptions::default().vmstat_fields);
        let intern = Interner::default();
        let text = "nr_free_pages 1\npgpgin 18446744073709551615 more\npgfault x\nbad\noom_kill 2\n";
        put(root.path(), "proc/vmstat", text);
        let (page, result) = collect(&mut vmstat, &intern, 0);
        assert!(matches!(result, Ok(Reading::Degraded(text)) if text.ends_with("(and 1 more)")));
        assert_eq!((page.len(), page["node_vmstat_pgpgin"]), (2, u64::MAX as f64));
        put(root.path(), "proc/vmstat", "");
        assert!(collect(&mut vmstat, &intern, 0).1.is_err());
    }
}
