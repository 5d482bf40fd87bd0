//! `go tool pprof` reads our profiles and finds our functions.

use std::process::Command;

use crate::support::{Daemon, find_program, get, skip, temp_dir};

#[test]
fn go_reads_both_profiles() {
    let Some(go) = find_program(&["go"]) else { return skip("go_reads_both_profiles", "go") };
    let daemon = Daemon::start::<&str>(&[]);
    let dir = temp_dir();
    for (path, sample) in [("profile?seconds=2", "cpu"), ("heap", "inuse_space")] {
        let reply = get(&format!("{}/debug/pprof/{path}", daemon.url));
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        let file = dir.path().join("profile.pb.gz");
        std::fs::write(&file, &reply.body).expect("writable");
        let out = Command::new(&go)
            .args(["tool", "pprof", "-raw"])
            .arg(&file)
            .env("HOME", dir.path())
            .env("GOFLAGS", "-mod=mod")
            .output()
            .expect("go runs");
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(out.status.success(), "{path}: {}", String::from_utf8_lossy(&out.stderr));
        assert!(text.contains(sample), "{path} has no {sample}: {}", &text[..text.len().min(800)]);
        assert!(text.contains("watchfire::"), "{path}: no function of ours in\n{}", &text[..text.len().min(4000)]);
    }
}

#[test]
fn the_index_lists_relative_links_and_they_answer() {
    let daemon = Daemon::start(&["--web.route-prefix=/wf"]);
    let index = get(&format!("{}/wf/debug/pprof/", daemon.url.trim_end_matches("/wf")));
    assert_eq!(index.status, 200);
    let page = index.text();
    for name in ["profile", "heap", "allocs", "cmdline", "symbol", "flamegraph", "tasks", "trace"] {
        assert!(page.contains(&format!("href=\"{name}")), "{name} is missing in {page}");
    }
    let base = format!("{}/wf/debug/pprof", daemon.url.trim_end_matches("/wf"));
    for path in ["cmdline", "symbol", "tasks", "heap", "allocs", "flamegraph?seconds=1", "trace?seconds=1"] {
        assert_eq!(get(&format!("{base}/{path}")).status, 200, "{path}");
    }
}

#[test]
fn one_profile_at_a_time() {
    let daemon = Daemon::start::<&str>(&[]);
    let url = format!("{}/debug/pprof/profile?seconds=3", daemon.url);
    let codes: Vec<u16> = std::thread::scope(|scope| {
        let tasks: Vec<_> = (0..2).map(|_| scope.spawn(|| get(&url).status)).collect();
        tasks.into_iter().map(|task| task.join().expect("no panic")).collect()
    });
    assert!(codes.contains(&200) && codes.contains(&409), "{codes:?}");
    assert_eq!(get(&format!("{}/debug/pprof/profile?seconds=100000", daemon.url)).status, 400);
}
