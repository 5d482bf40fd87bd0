//! The daemon is stopped in the middle of everything, and put on disks that fail.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Daemon, free_port, get, skip, temp_dir, wait_for};

const PROBE: &str = "count_over_time(node_memory_MemTotal_bytes[10m])";

fn samples(daemon: &Daemon) -> f64 {
    daemon.value(PROBE).unwrap_or(0.0)
}

fn ready(daemon: &Daemon) -> (u16, String) {
    let reply = get(&format!("{}/-/ready", daemon.url));
    (reply.status, reply.text())
}

/// A value of the daemon's own page.
fn own(daemon: &Daemon, name: &str) -> f64 {
    let page = get(&format!("{}/metrics", daemon.url)).text();
    let line = page.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
    let value = line.and_then(|line| line.split(' ').nth(1));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} is not on the page"))
}

/// Sends a request and reads the first bytes of an answer that does not end.
fn open_stream(url: &str, path: &str, headers: &str) -> TcpStream {
    let host = url.strip_prefix("http://").expect("tests use http");
    let mut stream = TcpStream::connect(host).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a valid time");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\n{headers}\r\n").expect("sends");
    stream
}

fn expect_first(stream: &mut TcpStream, status: &str) {
    let mut first = [0; 12];
    stream.read_exact(&mut first).expect("an answer begins");
    assert_eq!(&first[9..], status.as_bytes(), "{}", String::from_utf8_lossy(&first));
}

/// An event stream, a WebSocket and a running CPU profile.
fn everything_open(daemon: &Daemon) -> [TcpStream; 3] {
    let mut events = open_stream(&daemon.url, "/api/watchfire/v1/live?match[]=up", "accept: text/event-stream\r\n");
    expect_first(&mut events, "200");
    let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut socket = open_stream(&daemon.url, "/ws/projects/demo", upgrade);
    expect_first(&mut socket, "101");
    // One of two is refused at once: then the other one runs.
    let profiles = [(); 2].map(|()| open_stream(&daemon.url, "/debug/pprof/profile?seconds=30", ""));
    profiles.iter().for_each(|stream| stream.set_nonblocking(true).expect("settable"));
    let refused = wait_for("one profile to be refused", Duration::from_secs(10), || {
        profiles.iter().position(|stream| matches!(stream.peek(&mut [0]), Ok(1)))
    });
    let [first, second] = profiles;
    let profile = if refused == 0 { second } else { first };
    [events, socket, profile]
}

#[test]
fn sigterm_ends_streams_sockets_and_profiles() {
    let mut daemon = Daemon::start::<&str>(&[]);
    let open = everything_open(&daemon);
    daemon.process.signal("TERM");
    let started = Instant::now();
    assert_eq!(daemon.process.wait(Duration::from_secs(15)), Some(0), "{}", daemon.process.log());
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    drop(open);
}

#[test]
fn a_second_signal_ends_at_once() {
    for second in ["TERM", "INT"] {
        let mut daemon = Daemon::start::<&str>(&[]);
        // The profile keeps the first stop waiting for a while.
        let open = everything_open(&daemon);
        daemon.process.signal("TERM");
        wait_for("the first signal to be heard", Duration::from_secs(5), || {
            daemon.process.log().contains("stopping").then_some(())
        });
        let started = Instant::now();
        daemon.process.signal(second);
        assert_eq!(daemon.process.wait(Duration::from_secs(10)), Some(130), "{}", daemon.process.log());
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
        drop(open);
    }
}

/// A small file system of its own, in memory. Only root may mount one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(dir: &Path, options: &str) -> Option<Self> {
        let out = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(dir).output().ok()?;
        out.status.success().then(|| Self(dir.to_path_buf()))
    }

    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = std::fs::File::create(&path).expect("an empty file fits");
        while file.write_all(&[1; 4096]).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_costs_nothing_that_was_committed() {
    let dir = temp_dir();
    let Some(disk) = SmallDisk::mount(dir.path(), "size=4m") else {
        return skip("a_full_disk_costs_nothing_that_was_committed", "the right to mount a small tmpfs");
    };
    let data = dir.path().join("data");
    let listen = [format!("--web.listen-address=127.0.0.1:{}", free_port())];
    let patience = Duration::from_secs(40);

    // It begins on a disk without any room.
    let filler = disk.fill();
    let daemon = Daemon::launch(&data, &listen);
    let (status, why) = ready(&daemon);
    assert!(status == 503 && why.contains("no space left"), "{status} {why}");
    assert_eq!(own(&daemon, "watchfire_storage_degraded"), 1.0);
    wait_for("samples in memory", patience, || (samples(&daemon) >= 3.0).then_some(()));
    std::fs::remove_file(&filler).expect("removes");
    wait_for("room to be noticed", patience, || (ready(&daemon).0 == 200).then_some(()));
    assert!(data.join("ring.redb").exists());

    // The disk becomes full while it runs.
    let seen = samples(&daemon);
    let filler = disk.fill();
    let (status, why) =
        wait_for("the full disk to be noticed", patience, || Some(ready(&daemon)).filter(|r| r.0 != 200));
    assert!(status == 503 && why.contains("no space left"), "{status} {why}");
    assert_eq!(own(&daemon, "watchfire_storage_degraded"), 1.0);
    wait_for("queries to go on", patience, || (samples(&daemon) >= seen + 3.0).then_some(()));

    // Killed and started while it is full: what was committed is there.
    drop(daemon);
    let mut daemon = Daemon::launch(&data, &listen);
    if ready(&daemon).0 == 200 {
        assert!(samples(&daemon) >= seen - 1.0, "{} of {seen}", samples(&daemon));
    }
    std::fs::remove_file(&filler).expect("removes");
    wait_for("room to be noticed", patience, || {
        (ready(&daemon).0 == 200 && own(&daemon, "watchfire_storage_degraded") == 0.0).then_some(())
    });
    wait_for("the committed samples", patience, || (samples(&daemon) >= seen).then_some(()));
    let log = daemon.process.log();
    assert!(log.matches("ERROR").count() < 10, "a full disk must not fill the log: {log}");
    daemon.process.signal("TERM");
    assert_eq!(daemon.process.wait(Duration::from_secs(10)), Some(0), "{}", daemon.process.log());
}

#[test]
fn a_read_only_directory_is_one_sentence() {
    let dir = temp_dir();
    let disk = SmallDisk::mount(dir.path(), "size=4m,ro");
    if disk.is_none() {
        // Anybody else than root is refused by the permissions alone.
        let mut permissions = std::fs::metadata(dir.path()).expect("there").permissions();
        permissions.set_readonly(true);
        std::fs::set_permissions(dir.path(), permissions).expect("ours");
    }
    let out = Daemon::command()
        .args(["--web.listen-address=127.0.0.1:0", "--storage.path"])
        .arg(dir.path())
        .output()
        .expect("runs to its end");
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.starts_with("watchfire: cannot write to ") && said.lines().count() == 1, "{said}");
}

#[test]
fn a_deleted_directory_is_noticed_and_made_anew() {
    let dir = temp_dir();
    let data = dir.path().join("data");
    let mut daemon = Daemon::start_in::<&str>(&data, &[]);
    wait_for("samples", Duration::from_secs(20), || (samples(&daemon) >= 2.0).then_some(()));
    std::fs::remove_dir_all(&data).expect("removes");
    let limit = Duration::from_secs(30);
    let (status, why) = wait_for("the loss to be noticed", limit, || Some(ready(&daemon)).filter(|r| r.0 != 200));
    assert!(status == 503 && why.contains("taken away"), "{status} {why}");
    let seen = samples(&daemon);
    wait_for("a new file", limit, || (ready(&daemon).0 == 200).then_some(()));
    assert!(data.join("ring.redb").exists());
    assert!(samples(&daemon) >= seen, "memory keeps what it had");
    daemon.process.signal("TERM");
    assert_eq!(daemon.process.wait(Duration::from_secs(10)), Some(0), "{}", daemon.process.log());
}
