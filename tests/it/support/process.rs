//! Child processes that end with the test, and the watchfire binary as one of them.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{get, request, wait_for};

/// A child process; dropping it kills exactly that process and waits for it.
pub(crate) struct Spawned {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

impl Spawned {
    /// Starts a command and keeps what it prints.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let log = Arc::new(Mutex::new(Vec::new()));
        let out = child.stdout.take().map(|out| Box::new(out) as Box<dyn std::io::Read + Send>);
        let err = child.stderr.take().map(|err| Box::new(err) as Box<dyn std::io::Read + Send>);
        for stream in [out, err].into_iter().flatten() {
            let log = Arc::clone(&log);
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    log.lock().expect("no panic while locked").push(line);
                }
            });
        }
        Self { child, log }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything printed so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("no panic while locked").join("\n")
    }

    /// Sends a signal by name (TERM, HUP, KILL).
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().expect("kill runs");
        assert!(status.success(), "kill -s {name}");
    }

    /// Waits for the end and gives the exit code (`None` after a signal).
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<i32> {
        let child = &mut self.child;
        wait_for("the process to end", limit, || child.try_wait().expect("waitable")).code()
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- what process {} printed\n{}", self.pid(), self.log());
        }
    }
}

/// The real binary on a free loopback port, ready to answer.
pub(crate) struct Daemon {
    pub(crate) process: Spawned,
    pub(crate) url: String,
    _dir: Option<tempfile::TempDir>,
}

impl Daemon {
    /// Starts with a temporary data directory.
    pub(crate) fn start<S: AsRef<OsStr>>(args: &[S]) -> Self {
        let dir = temp_dir();
        let mut daemon = Self::start_in(dir.path(), args);
        daemon._dir = Some(dir);
        daemon
    }

    /// Starts with this data directory and waits until it is ready.
    pub(crate) fn start_in<S: AsRef<OsStr>>(data: &Path, args: &[S]) -> Self {
        let daemon = Self::launch(data, args);
        wait_for("readiness", Duration::from_secs(30), || {
            request("GET", &format!("{}/-/ready", daemon.url), &[], b"").ok().filter(|r| r.status == 200)
        });
        daemon
    }

    /// Starts with this data directory; it answers, but it need not be ready.
    pub(crate) fn launch<S: AsRef<OsStr>>(data: &Path, args: &[S]) -> Self {
        let chosen = args.iter().any(|arg| arg.as_ref().to_string_lossy().starts_with("--web.listen-address"));
        let listen = (!chosen).then_some("--web.listen-address=127.0.0.1:0");
        let mut process = Spawned::start(Self::command().arg("--storage.path").arg(data).args(listen).args(args));
        let url = wait_for("the banner with the URL", Duration::from_secs(30), || {
            if let Some(status) = process.child.try_wait().expect("waitable") {
                panic!("watchfire ended with {status}:\n{}", process.log());
            }
            let log = process.log();
            let at = log.find("http://127.0.0.1:")?;
            let url: String = log[at..].chars().take_while(|c| !c.is_whitespace() && *c != '"').collect();
            Some(url.trim_end_matches('/').to_owned())
        });
        Self { process, url, _dir: None }
    }

    /// The binary under test, without arguments and without the environment's settings.
    pub(crate) fn command() -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_watchfire"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("WATCHFIRE_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Value of an instant query that gives one sample; `None` when it gives none.
    pub(crate) fn value(&self, query: &str) -> Option<f64> {
        let json = get(&format!("{}/api/v1/query?query={}", self.url, encode(query))).json();
        assert_eq!(json["status"], "success", "{query}: {json}");
        let result = &json["data"]["result"];
        let text = match json["data"]["resultType"].as_str() {
            Some("scalar") => result[1].as_str()?,
            _ => result[0]["value"][1].as_str()?,
        };
        watchfire::model::parse_float(text)
    }
}

/// Percent-encodes a query parameter.
pub(crate) fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(b).to_string(),
            _ => format!("%{b:02X}"),
        })
        .collect()
}

pub(crate) fn temp_dir() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("watchfire-test-").tempdir().expect("a temporary directory")
}

/// Writes a file into `dir` and gives its path.
pub(crate) fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).expect("writable");
    path
}
