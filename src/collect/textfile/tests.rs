use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Textfile, TextfileConfig};
use crate::collect::scrape::fake::Recorder;
use crate::collect::{Collector, Reading};
use crate::model::{Batch, GroupId, Intern, MetricKind};

struct World {
    folder: tempfile::TempDir,
    intern: Arc<Recorder>,
    collector: Textfile,
}

impl World {
    fn new(pattern: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let directories = vec![folder.path().join(pattern).to_string_lossy().into_owned()];
        Self { folder, intern: Arc::default(), collector: Textfile::new(TextfileConfig { directories }) }
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("in the folder")).expect("made");
        // By renaming, as careful programs do: a new inode each time.
        let draft = path.with_extension("draft");
        std::fs::write(&draft, text).expect("written");
        std::fs::rename(&draft, &path).expect("renamed");
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.folder.path().join(name)).expect("removed");
    }

    /// The samples of a tick without those about files, `node_textfile_scrape_error`, and what the reading says.
    fn tick(&mut self) -> (BTreeMap<String, f64>, f64, String) {
        let mut batch = Batch::new(GroupId(0), 0);
        let reading = self.collector.collect(0, &*self.intern, &mut batch).expect("always");
        let mut samples = BTreeMap::new();
        for (series, value) in &batch.floats {
            let labels = self.intern.labels(*series).expect("held").to_string();
            assert_eq!(samples.insert(labels, *value), None, "each series once");
        }
        let error = samples.remove("node_textfile_scrape_error").expect("always");
        samples.retain(|name, _| !name.starts_with("node_textfile_mtime_seconds"));
        let said = match reading {
            Reading::Complete => String::new(),
            Reading::Degraded(said) | Reading::Unavailable(said) => said,
        };
        (samples, error, said.replace(&format!("{}/", self.folder.path().display()), ""))
    }

    fn check(&mut self, expected: &[(&str, f64)], problem: &str) {
        let (samples, error, said) = self.tick();
        let expected: BTreeMap<String, f64> =
            expected.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        assert_eq!(samples, expected, "{said}");
        assert_eq!(error, f64::from(u8::from(!problem.is_empty())), "{said}");
        assert!(said.starts_with(problem) && said.is_empty() == problem.is_empty(), "{said:?}, expected {problem:?}");
    }
}

#[test]
fn files_come_change_and_go() {
    let mut world = World::new("");
    world.check(&[], "");
    world.write(
        "a.prom",
        "# HELP backup_seconds How long.\n# TYPE backup_seconds gauge\nbackup_seconds{job=\"db\"} 12\n",
    );
    world.write("b.prom", "done_total 3\n");
    world.write("c.txt", "ignored 1\n");
    let both = [("backup_seconds{job=\"db\"}", 12.0), ("done_total", 3.0)];
    world.check(&both, "");
    let asked = world.intern.interned.load(std::sync::atomic::Ordering::Relaxed);
    world.check(&both, "");
    // Other values of the same lines need no label.
    world.write("b.prom", "done_total 4\n");
    world.check(&[both[0], ("done_total", 4.0)], "");
    assert_eq!(world.intern.interned.load(std::sync::atomic::Ordering::Relaxed), asked);
    world.write("b.prom", "done_total 4\nmore{a=\"b\"} 1\n");
    world.check(&[both[0], ("done_total", 4.0), ("more{a=\"b\"}", 1.0)], "");
    world.remove("b.prom");
    world.check(&both[..1], "");
    world.write("a.prom", "");
    world.check(&[], "");
    world.remove("a.prom");
    world.check(&[], "");
    // Only the error's own series is held now: everything else was given back.
    assert_eq!(world.intern.living(), 1);
}

#[test]
fn bad_files_are_left_out_and_named() {
    let cases: &[(&[u8], &str)] = &[
        (b"a x\n", "bad.prom: line 1: expected a value"),
        (b"ok 1\na{b=\"c\" 1\n", "bad.prom: line 2: expected }"),
        (b"a 1 1234\n", "bad.prom: line 1: expected no timestamp"),
        (b"a{__name__=\"b\"} 1\n", "bad.prom: line 1: expected no label __name__"),
        (b"a{b=\"\xff\"} 1\n", "bad.prom: is not UTF-8 from byte 5 on"),
        (b"# TYPE a meh\na 1\n", "bad.prom: line 1: expected counter"),
        (b"\x00\x01\x02", "bad.prom: line 1: "),
        (b"ok 1\nbackup_bytes 1234", "bad.prom: expected a line end after the last line"),
        (b"# a comment", "bad.prom: expected a line end after the last line"),
    ];
    for (text, problem) in cases {
        let mut world = World::new("");
        world.write("good.prom", "fine 1\n");
        world.write("bad.prom", text);
        world.check(&[("fine", 1.0)], problem);
        world.write("bad.prom", "better 2\n");
        world.check(&[("better", 2.0), ("fine", 1.0)], "");
    }
    let mut world = World::new("");
    world.write("a.prom", "fine 1\n");
    std::os::unix::fs::symlink("nowhere", world.folder.path().join("x.prom")).expect("linked");
    world.check(&[("fine", 1.0)], "x.prom is a link to nothing");
    world.remove("x.prom");
    world.check(&[("fine", 1.0)], "");
    let mut world = World::new("");
    world.write("large.prom", "a 1\n".repeat(2 << 20));
    world.check(&[], "large.prom: expected at most 4194304 bytes");
}

#[test]
fn what_is_there_twice_or_ours_counts_once() {
    let mut world = World::new("");
    world.write("a.prom", "x 1\nx 2\n");
    world.check(&[("x", 1.0)], "a.prom: x is there twice");
    world.write("a.prom", "x 1\n");
    world.write("b.prom", "x 5\ny 2\n");
    world.check(&[("x", 1.0), ("y", 2.0)], "b.prom: x is there twice");
    world.remove("a.prom");
    world.check(&[("x", 5.0), ("y", 2.0)], "");
    world.write("b.prom", "node_load1 5\ny 2\n");
    world.check(&[("y", 2.0)], "b.prom: node_load1 is a metric of watchfire itself");
    let ours = ["up", "scrape_samples_scraped", "watchfire_build_info", "node_cpu_seconds", "node_cpu_seconds_total"];
    for name in ours.into_iter().chain(["node_load1_total", "node_uname"]) {
        world.write("b.prom", format!("# TYPE {name} gauge\n{name}{{a=\"b\"}} 5\ny 2\n"));
        world.check(&[("y", 2.0)], &format!("b.prom: {name} is a metric of watchfire itself"));
    }
}

#[test]
fn families_are_as_their_files_say() {
    let interner = crate::collect::testing::Interner::default();
    let folder = tempfile::tempdir().expect("a folder");
    let text = "# HELP a_total Some\\\\thing\\nelse.\n# TYPE a_total counter\na_total 1\n# TYPE h histogram\n\
                h_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\nplain 1\n# TYPE c counter\nc 1\n";
    std::fs::write(folder.path().join("a.prom"), text).expect("written");
    let directories = vec![folder.path().to_string_lossy().into_owned()];
    let mut batch = Batch::new(GroupId(0), 0);
    let mut collector = Textfile::new(TextfileConfig { directories });
    collector.collect(0, &interner, &mut batch).expect("always");
    let mut families: Vec<(String, MetricKind, String)> = batch
        .floats
        .iter()
        .map(|(series, _)| interner.family(*series))
        .filter(|family| !family.name.starts_with("node_textfile"))
        .map(|family| (family.name.into_owned(), family.kind, family.help.into_owned()))
        .collect();
    families.dedup();
    let unstated = "Metric read from a textfile.";
    let expected = [
        ("a", MetricKind::Counter, "Some\\thing\nelse."),
        ("h", MetricKind::Histogram, unstated),
        ("plain", MetricKind::Unknown, unstated),
        ("c", MetricKind::Counter, unstated),
    ];
    assert_eq!(families, expected.map(|(name, kind, help)| (name.to_owned(), kind, help.to_owned())));
}

#[test]
fn directories_may_be_patterns_or_missing() {
    let mut world = World::new("app-*/prom");
    world.write("app-a/prom/x.prom", "a 1\n");
    world.write("app-b/prom/x.prom", "b 1\n");
    world.write("other/prom/x.prom", "c 1\n");
    world.check(&[("a", 1.0), ("b", 1.0)], "");
    let mut world = World::new("nothing");
    world.check(&[], "cannot read ");
    let mut world = World::new("no*thing");
    world.check(&[], "cannot read ");
    // A pipe must not make us wait.
    let mut world = World::new("");
    let pipe = std::ffi::CString::new(world.folder.path().join("p.prom").to_string_lossy().as_bytes()).expect("no NUL");
    // SAFETY: the path is a string that ends with NUL, and outlives the call.
    assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
    let (samples, error, said) = world.tick();
    assert!(samples.is_empty() && error == 1.0 && said.ends_with("is no file"), "{said}");
}

#[test]
fn no_directory_is_no_error() {
    let mut collector = Textfile::new(TextfileConfig::default());
    let recorder = Recorder::default();
    let mut batch = Batch::new(GroupId(0), 0);
    assert_eq!(collector.collect(0, &recorder, &mut batch).expect("always"), Reading::Complete);
    assert_eq!(batch.floats.len(), 1);
}
