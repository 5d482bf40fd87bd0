//! What a person gets for a mistake: place, expectation, nearest word; exit code 1; nothing lost.

use std::net::TcpListener;
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
    drop(first);
    let file = write(dir.path(), "a-file", "x");
    let (code, said) = run(&["--web.listen-address=127.0.0.1:0", "--storage.path", &file.to_string_lossy()]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("a-file") && !said.contains("panicked"), "{said}");
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
