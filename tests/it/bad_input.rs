//! What a person gets for a mistake: place, expectation, nearest word; exit code 1; nothing lost.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::{Daemon, Spawned, temp_dir, write};

/// Runs the binary to its end; gives exit code and everything it said.
fn run(args: &[&str]) -> (Option<i32>, String) {
    let mut process = Spawned::start(Daemon::command().args(args));
    let code = process.wait(Duration::from_secs(20));
    (code, process.log())
}

/// A file with a mistake, the command that must refuse it, and what the answer must contain.
struct Mistake {
    text: &'static str,
    says: &'static [&'static str],
}

const CONFIG_MISTAKES: &[Mistake] = &[
    Mistake {
        text: "global:\n  scrape_intervall: 1s\n",
        says: &["bad.yml:2:3", "scrape_intervall", "scrape_interval"],
    },
    Mistake { text: "global:\n  scrape_interval: 1 second\n", says: &["bad.yml:2:20", "duration"] },
    Mistake { text: "storage:\n  retention: {size: lots}\n", says: &["bad.yml:2:21", "lots"] },
    Mistake { text: "rule_files: 7\n", says: &["bad.yml:1:13", "list"] },
    Mistake { text: "scrape_configs:\n- static_configs: []\n", says: &["bad.yml:2:", "job_name"] },
    Mistake { text: "global: [\n", says: &["bad.yml:"] },
    Mistake { text: "globl: {}\nstorage:\n  pth: /x\n", says: &["bad.yml:1:1", "global", "bad.yml:3:3", "path"] },
];

const RULE_MISTAKES: &[Mistake] = &[
    Mistake {
        text: "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: up ==\n",
        says: &["bad.yml:5:", "unexpected end of input"],
    },
    Mistake {
        text: "groups:\n- name: g\n  rules:\n  - alert: A\n    exprr: up\n",
        says: &["bad.yml:5:5", "exprr", "expr"],
    },
    Mistake {
        text: "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: up\n    for: soon\n",
        says: &["bad.yml:6:10", "duration"],
    },
    Mistake { text: "groups:\n- name: g\n- name: g\n", says: &["bad.yml:3:", "g"] },
    Mistake {
        text: "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: up\n    annotations: {x: '{{ nope }}'}\n",
        says: &["bad.yml:6:", "nope"],
    },
];

fn refuse(command: [&str; 2], mistakes: &[Mistake]) {
    for Mistake { text, says } in mistakes {
        let dir = temp_dir();
        let file = write(dir.path(), "bad.yml", text);
        let (code, said) = run(&[command[0], command[1], &file.to_string_lossy()]);
        assert_eq!(code, Some(1), "{text}\n{said}");
        for part in *says {
            assert!(said.contains(part), "for\n{text}\nthe answer lacks {part:?}:\n{said}");
        }
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn configuration_mistakes_are_placed() {
    refuse(["check", "config"], CONFIG_MISTAKES);
}

#[test]
fn rule_mistakes_are_placed() {
    refuse(["check", "rules"], RULE_MISTAKES);
}

#[test]
fn the_daemon_refuses_a_bad_configuration() {
    let dir = temp_dir();
    let file = write(dir.path(), "bad.yml", CONFIG_MISTAKES[0].text);
    let (code, said) = run(&["--config.file", &file.to_string_lossy(), "--web.listen-address=127.0.0.1:0"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("bad.yml:2:3"), "{said}");
    let (code, said) = run(&["--config.file", "/nowhere/x.yml"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("/nowhere/x.yml"), "{said}");
    let (code, said) = run(&["--config.file", &dir.path().to_string_lossy()]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("Is a directory") && said.lines().count() == 1, "{said}");
}

#[test]
fn a_wrong_flag_is_usage() {
    let (code, said) = run(&["--web.listen-addres=127.0.0.1:0"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--web.listen-address"), "{said}");
}

#[test]
fn a_taken_port_names_its_holder() {
    let held = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = held.local_addr().expect("bound").port();
    let dir = temp_dir();
    let (code, said) =
        run(&[&format!("--web.listen-address=127.0.0.1:{port}"), "--storage.path", &dir.path().to_string_lossy()]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&port.to_string()), "{said}");
    assert!(said.contains(&format!("pid {}", std::process::id())), "the holder is this test: {said}");
}

#[test]
fn a_data_directory_in_trouble_is_one_sentence() {
    let dir = temp_dir();
    let first = Daemon::start_in::<&str>(dir.path(), &[]);
    let path = dir.path().to_string_lossy().into_owned();
    let (code, said) = run(&["--web.listen-address=127.0.0.1:0", "--storage.path", &path]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("in use") && said.contains(&path), "{said}");
    assert!(said.contains(&format!("(pid {})", first.process.pid())), "the holder has a name: {said}");
    drop(first);
    let file = write(dir.path(), "a-file", "x");
    let (code, said) = run(&["--web.listen-address=127.0.0.1:0", "--storage.path", &file.to_string_lossy()]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("a-file") && !said.contains("panicked"), "{said}");
}

/// A ring's file of a format that only a later version can read.
fn newer_ring(file: &Path) {
    let db = redb::Database::create(file).expect("a new database");
    let txn = db.begin_write().expect("a transaction");
    let meta = redb::TableDefinition::<&str, &[u8]>::new("meta");
    txn.open_table(meta).expect("a table").insert("format", &7u32.to_le_bytes()[..]).expect("a value");
    txn.commit().expect("a commit");
}

#[test]
fn a_foreign_file_is_left_alone() {
    type Make = fn(&Path);
    let cases: &[(&str, Make, &[&str])] = &[
        ("text", |file| std::fs::write(file, "something else\n").expect("writable"), &["it is no ring file", "move"]),
        ("noise", |file| std::fs::write(file, [0xa5; 70_000]).expect("writable"), &["it is no ring file", "move"]),
        ("nothing", |file| std::fs::write(file, "").expect("writable"), &["it is empty", "move"]),
        ("later", newer_ring, &["newer watchfire (format 7, this one reads up to 3)", "update"]),
    ];
    for (name, make, says) in cases {
        let dir = temp_dir();
        let file = dir.path().join("ring.redb");
        make(&file);
        let before = std::fs::read(&file).expect("readable");
        let (code, said) = run(&["--web.listen-address=127.0.0.1:0", "--storage.path", &dir.path().to_string_lossy()]);
        assert_eq!(code, Some(1), "{name}: {said}");
        for part in [&["ring.redb"], *says].concat() {
            assert!(said.contains(part), "{name} lacks {part:?}: {said}");
        }
        assert!(!said.contains("panicked") && said.lines().count() == 1, "{name}: {said}");
        // redb notes that it was there; what is in a file of a later format it leaves as it is.
        if *name != "later" {
            assert!(std::fs::read(&file).expect("still there") == before, "{name} was overwritten");
        }
    }
}

#[test]
fn binding_wider_without_a_token_is_refused() {
    let dir = temp_dir();
    let (code, said) = run(&["--web.listen-address=0.0.0.0:0", "--storage.path", &dir.path().to_string_lossy()]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("--web.token-file"), "{said}");
}

#[test]
fn version_says_what_was_built() {
    let out = Command::new(env!("CARGO_BIN_EXE_watchfire")).arg("version").output().expect("runs");
    assert!(String::from_utf8_lossy(&out.stdout).contains(env!("CARGO_PKG_VERSION")));
}
