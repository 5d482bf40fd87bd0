//! Bonded interfaces and how many of theirs are up, from `/sys/class/net`.

use std::path::{Path, PathBuf};

use super::bytes::{label, words};
use super::report::{Trouble, unread};
use super::roots::Roots;
use super::source::read_once;
use crate::collect::catalogue::gauge;
use crate::collect::emit::{Emit, Table};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, FamilyDesc, Intern, Timestamp};

/// Bonds of one machine.
const MAX_BONDS: usize = 256;
const MASTER: &[&str] = &["master"];

pub(super) static FAMILIES: [FamilyDesc; 2] = [
    gauge("node_bonding_slaves", "", "Interfaces that a bond is made of.", MASTER, MAX_BONDS as u32),
    gauge("node_bonding_active", "", "Interfaces of a bond that are up.", MASTER, MAX_BONDS as u32),
];

/// The collector. It runs on a slow slot and opens its few files each time.
pub(super) struct Bonding {
    root: PathBuf,
    bonds: Table,
}

impl Bonding {
    pub(super) fn new(roots: &Roots) -> Self {
        Self { root: roots.sys.join("class/net"), bonds: Table::new(FAMILIES.len(), MAX_BONDS) }
    }
}

impl Collector for Bonding {
    fn name(&self) -> &'static str {
        "bonding"
    }

    fn collect(&mut self, _now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let mut trouble = Trouble::default();
        let (masters, mut buffer) = (self.root.join("bonding_masters"), Vec::new());
        if let Err(error) = read_once(&masters, &mut buffer) {
            return unread("bonding", &masters, &error);
        }
        let mut names = Vec::new();
        let text = read_once(&masters, &mut names).unwrap_or_default();
        for name in words(text) {
            let Some(row) = self.bonds.row(name, || ()) else {
                trouble.note(|| format!("more than {MAX_BONDS} bonds"));
                continue;
            };
            let master = label(name);
            let folder = self.root.join(&*master);
            let values = count(&folder, &mut buffer, &mut trouble);
            for ((slot, desc), value) in row.slots.iter_mut().zip(&FAMILIES).zip(values) {
                emit.put_opt(slot, desc, &[&master], value);
            }
        }
        self.bonds.end_tick(&emit);
        Ok(trouble.reading())
    }
}

/// Members and those of them that are up.
fn count(folder: &Path, buffer: &mut Vec<u8>, trouble: &mut Trouble) -> [Option<f64>; 2] {
    let file = folder.join("bonding/slaves");
    let members: Vec<String> = match read_once(&file, buffer) {
        Ok(bytes) => words(bytes).map(|name| label(name).into_owned()).collect(),
        Err(error) => {
            trouble.note(|| format!("{}: {error}", file.display()));
            return [None, None];
        }
    };
    let mut up = 0;
    for member in &members {
        // Kernels before 3.13 called the folder `slave_eth0`.
        let mut status = |start: &str| {
            let file = folder.join(format!("{start}_{member}/bonding_slave/mii_status"));
            read_once(&file, buffer).map(|bytes| bytes.trim_ascii() == b"up")
        };
        match status("lower").or_else(|_| status("slave")) {
            Ok(true) => up += 1,
            Ok(false) => {}
            Err(error) => trouble.note(|| format!("{}: state of {member}: {error}", folder.display())),
        }
    }
    [Some(members.len() as f64), Some(f64::from(up))]
}

#[cfg(test)]
mod tests {
    use super::Bonding;
    use crate::collect::Reading;
    use crate::collect::system::Roots;
    use crate::collect::testing::{Interner, collect, put};

    #[test]
    fn members_up_down_and_gone() {
        let root = tempfile::tempdir().unwrap();
        let mut bonding = Bonding::new(&Roots::under(root.path()));
        let intern = Interner::default();
        assert!(matches!(collect(&mut bonding, &intern, 0).1, Ok(Reading::Unavailable(_))));
        let net = "sys/class/net";
        put(root.path(), &format!("{net}/bonding_masters"), "bond0 bond1\n");
        put(root.path(), &format!("{net}/bond0/bonding/slaves"), "a b c\n");
        put(root.path(), &format!("{net}/bond0/lower_a/bonding_slave/mii_status"), "up\n");
        put(root.path(), &format!("{net}/bond0/slave_b/bonding_slave/mii_status"), "down\n");
        let (page, result) = collect(&mut bonding, &intern, 0);
        assert!(matches!(result, Ok(Reading::Degraded(text)) if text.ends_with("(and 1 more)")));
        assert_eq!(page.len(), 2);
        assert_eq!(page[r#"node_bonding_active{master="bond0"}"#], 1.0);
        assert_eq!(page[r#"node_bonding_slaves{master="bond0"}"#], 3.0);
    }
}
