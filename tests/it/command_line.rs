//! Subcommands as a person types them: what they print, and their exit codes.

use std::io::{Read, Write};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::support::{Daemon, Spawned, get, request, temp_dir, wait_for, write};

fn output(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let mut stdin = child.stdin.take().expect("piped");
    // A command that reads nothing may have ended already.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("ends")
}

/// Runs the binary; gives exit code, standard output and standard error.
fn run(args: &[&str], input: &str) -> (Option<i32>, String, String) {
    let out = output(Daemon::command().args(args), input);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (out.status.code(), text(&out.stdout), text(&out.stderr))
}

#[test]
fn exit_codes_tell_errors_from_advice_and_usage() {
    type Case = (&'static [&'static str], &'static str, i32, &'static str);
    let cases: &[Case] = &[
        (&["check", "metrics"], "# HELP a_total A.\n# TYPE a_total counter\na_total 1\n", 0, ""),
        (&["check", "metrics"], "a_total 1\n", 3, "stdin:1: a_total: expected a help text"),
        (&["check", "metrics"], "a_total one\n", 1, "stdin:1: "),
        (&["check", "metrics"], "a 1\n", 3, "expected"),
        (&["check", "metrics"], "# TYPE a counter\na 1\n# EOF\n", 1, "stdin:2: "),
        (&["check", "metrics"], "", 1, "standard input is empty"),
        (&["check", "metrics", "/nowhere"], "", 1, "cannot read /nowhere"),
        (&["check", "config", "examples/watchfire.yml"], "", 0, "examples/watchfire.yml: SUCCESS"),
        (&["check", "config"], "", 2, "required arguments"),
        (&["check", "rules"], "", 0, "SUCCESS"),
        (&["check", "rules", "/nowhere"], "", 1, "cannot read"),
        (&["query", "instant", "rate(up[1m])", "--explain"], "", 0, "rate"),
        (&["query", "instant", "up ==", "--explain"], "", 1, "1:6"),
        (&["query", "instant", "up", "--time=soon", "--explain"], "", 1, "--time: cannot read the time \"soon\""),
        (&["query", "range", "up", "--step=soon", "--explain"], "", 1, "--step: "),
        (&["query", "range", "up", "--start=9", "--end=8", "--explain"], "", 1, "must not be before"),
        (&["query", "instant", "up", "--url=http://127.0.0.1:1"], "", 1, "is watchfire running there? (--url)"),
        (&["query", "instant", "up", "--url=nonsense"], "", 1, "expected http://host:port/path"),
        (&["query", "instant", "up", "--token-file=/nowhere"], "", 1, "cannot read /nowhere"),
        (&["query", "sideways"], "", 2, "unrecognized subcommand"),
        (&["nonsense"], "", 2, "unrecognized subcommand"),
        (&["--log.level=loud"], "", 2, "debug, info, warn, error"),
        (&["test", "promql", "/nowhere"], "", 1, "cannot read /nowhere"),
        (&["doctor", "--web.listen-address=127.0.0.1:0", "--storage.path=/tmp"], "", 0, "yes  memory"),
        (&["doctor", "--web.listen-address=127.0.0.1:0", "--storage.path=/dev/null/x"], "", 1, "--storage.path"),
        (&["--help"], "", 0, "EXIT CODES"),
        (&["version"], "", 0, env!("CARGO_PKG_VERSION")),
    ];
    for (args, input, code, says) in cases {
        let (found, out, err) = run(args, input);
        assert_eq!(found, Some(*code), "{args:?}\n{out}{err}");
        let all = format!("{out}{err}");
        assert!(all.contains(says), "{args:?} lacks {says:?}:\n{all}");
        assert!(!all.contains("panicked"), "{args:?}: {all}");
    }
}

#[test]
fn a_closed_pipe_is_no_panic() {
    for args in [["once", "--json"], ["once", "--prom"], ["check", "rules"]] {
        let mut child = Daemon::command()
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut out = child.stdout.take().expect("piped");
        out.read_exact(&mut [0]).expect("a first byte");
        drop(out);
        let end = child.wait_with_output().expect("ends");
        let said = String::from_utf8_lossy(&end.stderr).into_owned();
        assert!(said.is_empty(), "{args:?}: {said}");
    }
}

#[test]
fn queries_print_what_promtool_prints() {
    let daemon = Daemon::start::<&str>(&[]);
    let wait = Duration::from_secs(20);
    wait_for("a first sample", wait, || daemon.value("node_memory_MemTotal_bytes"));
    let url = format!("--url={}", daemon.url);
    let ask = |args: &[&str]| run(&[&["query"], args, &[url.as_str()]].concat(), "");
    assert_eq!(ask(&["instant", "1+1"]), (Some(0), "2\n".to_owned(), String::new()));
    assert_eq!(ask(&["instant", "\"x\""]), (Some(0), "x\n".to_owned(), String::new()));
    let (code, out, _) = ask(&["instant", "up{job=\"node\"}"]);
    assert!(code == Some(0) && out.starts_with("up{") && out.contains("job=\"node\"} => 1 @["), "{out}");
    let (code, out, _) = ask(&["range", "vector(7)", "--step=60s"]);
    assert!(code == Some(0) && out.lines().count() == 61 && out.starts_with("{} => 7 @["), "{out}");
    let (code, out, _) = ask(&["instant", "vector(7)", "--format=json"]);
    let json: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, json["result"][0]["value"][1].as_str()), (Some(0), Some("7")));
    let (code, out, err) = ask(&["instant", "up =="]);
    assert!(code == Some(1) && out.is_empty() && err.contains("1:6: parse error"), "{err}");
    let (code, _, err) = ask(&["range", "up", "--step=0s"]);
    assert!(code == Some(1) && err.contains("step"), "{err}");
    let (code, _, err) = ask(&["range", "up", "--start=nonsense"]);
    assert!(code == Some(1) && err.contains("\"nonsense\""), "{err}");
}

/// Starts with settings from the environment alone.
fn start_with(env: &[(&str, &str)]) -> (Spawned, String) {
    let process = Spawned::start(Daemon::command().envs(env.iter().copied()));
    let url = wait_for("the banner", Duration::from_secs(30), || {
        let log = process.log();
        let at = log.find("http://")?;
        Some(log[at..].split_whitespace().next().unwrap_or_default().to_owned())
    });
    (process, url)
}

#[test]
fn settings_come_from_the_environment() {
    let dir = temp_dir();
    let env = [
        ("WATCHFIRE_STORAGE_PATH", &*dir.path().to_string_lossy()),
        ("WATCHFIRE_WEB_LISTEN_ADDRESS", "127.0.0.1:0"),
        ("WATCHFIRE_LOG_FORMAT", "json"),
        ("WATCHFIRE_WEB_ENABLE_LIFECYCLE", "true"),
        // Unit files and container files leave variables empty.
        ("WATCHFIRE_CONFIG_FILE", ""),
        ("WATCHFIRE_WEB_EXTERNAL_URL", ""),
    ];
    let (mut process, url) = start_with(&env);
    assert!(dir.path().join("ring.redb").exists());
    let reload = request("POST", &format!("{url}/-/reload"), &[], b"").expect("answers");
    assert_eq!(reload.status, 200, "{}", reload.text());
    wait_for("a line of the log", Duration::from_secs(5), || {
        let log = process.log();
        let line = log.lines().find(|line| line.contains("was reloaded"))?;
        let json: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        (json["level"] == "INFO").then_some(())
    });
    request("POST", &format!("{url}/-/quit"), &[], b"").expect("answers");
    assert_eq!(process.wait(Duration::from_secs(10)), Some(0), "{}", process.log());
}

#[test]
fn a_wide_bind_works_with_a_token() {
    let dir = temp_dir();
    let token = write(dir.path(), "token", "correct-horse\n");
    let data = dir.path().join("data");
    let env = [
        ("WATCHFIRE_STORAGE_PATH", &*data.to_string_lossy()),
        ("WATCHFIRE_WEB_LISTEN_ADDRESS", ":0"),
        ("WATCHFIRE_WEB_TOKEN_FILE", &*token.to_string_lossy()),
    ];
    let (process, url) = start_with(&env);
    let url = url.replace("localhost", "127.0.0.1");
    let query = format!("{url}/api/v1/query?query=1");
    assert_eq!(get(&query).status, 401);
    for (bearer, status) in [("Bearer wrong-token", 401), ("Bearer correct-horse", 200)] {
        let reply = request("GET", &query, &[("authorization", bearer)], b"").expect("answers");
        assert_eq!(reply.status, status, "{bearer}: {}", reply.text());
    }
    assert_eq!(get(&format!("{url}/-/healthy")).status, 200, "health needs no token");
    let url = format!("--url={url}");
    let (code, _, err) = run(&["query", "instant", "1", &url], "");
    assert!(code == Some(1) && err.contains("--token-file"), "{err}");
    let file = format!("--token-file={}", token.display());
    assert_eq!(run(&["query", "instant", "1", &url, &file], ""), (Some(0), "1\n".to_owned(), String::new()));
    drop(process);
}

#[test]
fn it_listens_on_ipv6() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return crate::support::skip("it_listens_on_ipv6", "IPv6 on loopback");
    }
    let dir = temp_dir();
    let env = [("WATCHFIRE_STORAGE_PATH", &*dir.path().to_string_lossy()), ("WATCHFIRE_WEB_LISTEN_ADDRESS", "[::1]:0")];
    let (_process, url) = start_with(&env);
    assert!(url.starts_with("http://[::1]:"), "{url}");
    assert_eq!(get(&format!("{}/-/healthy", url.trim_end_matches('/'))).status, 200);
}

/// README.md shows a plan; it is what the command prints.
#[test]
fn the_plan_in_the_readme_is_what_is_printed() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("readable");
    let (_, block) = readme.split_once("$ watchfire query range ").expect("README.md explains a query");
    let (command, block) = block.split_once('\n').expect("a line");
    let (expected, _) = block.split_once("```").expect("the block ends");
    let words: Vec<String> = command
        .split('\'')
        .enumerate()
        .flat_map(|(at, part)| match at % 2 {
            1 => vec![part.to_owned()],
            _ => part.split_whitespace().map(str::to_owned).collect(),
        })
        .collect();
    let args: Vec<&str> = ["query", "range"].into_iter().chain(words.iter().map(String::as_str)).collect();
    assert_eq!(run(&args, ""), (Some(0), expected.to_owned(), String::new()), "{args:?}");
}
