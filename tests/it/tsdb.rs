//! `watchfire tsdb` with the real binary: what goes out comes back, damage is named, snapshots are taken under load.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use watchfire::clock::{Clock, ManualClock};
use watchfire::storage::Ring;

use crate::support::{Daemon, find_program, get, post, skip, temp_dir, wait_for, write};

fn tsdb(args: &[&str]) -> Output {
    Daemon::command().arg("tsdb").args(args).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs it, expects this exit code, gives standard output and error.
fn run(code: i32, args: &[&str]) -> (String, String) {
    let output = tsdb(args);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{args:?}\n{out}\n{err}");
    (out, err)
}

fn path(path: &Path) -> String {
    format!("--storage.path={}", path.display())
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64
}

/// An hour of samples, ten seconds apart, of six users and two services, with everything odd.
fn page(now: i64) -> String {
    let mut page = String::from("# TYPE watchfire_export_nan_is_stale unknown\n# TYPE calls counter\n");
    let time = |n: i64| format!("{}.{:03}", (now - 3_600_000 + n * 10_000) / 1000, now % 1000);
    for user in 0..6 {
        for n in 0..300 {
            page.push_str(&format!("calls_total{{user=\"user{user}\",service=\"big\"}} {} {}\n", n * user, time(n)));
            if n == 0 {
                let created = (now - 7_200_000) / 1000;
                page.push_str(&format!("calls_created{{user=\"user{user}\",service=\"big\"}} {created} {}\n", time(n)));
            }
        }
    }
    page.push_str("# TYPE odd unknown\n");
    for (n, value) in ["NaN", "nan", "+Inf", "-Inf", "-0", "1e-7", "0.30000000000000004"].iter().enumerate() {
        page.push_str(&format!("odd{{service=\"small\",user=\"user1\"}} {value} {}\n", time(n as i64)));
    }
    page.push_str(&format!(
        "# TYPE \"my.métric\" unknown\n{{\"my.métric\",\"a.b\"=\"x\\\"y\\\\z\\n\"}} 7 {}\n# EOF\n",
        time(1)
    ));
    page
}

const SAMPLES: usize = 6 * 300 + 7 + 1;

/// A ring with the page in it.
fn imported(dir: &Path) -> String {
    let page = write(dir, "page.om", &page(now_ms()));
    let ring = path(&dir.join("ring"));
    let (out, _) = run(0, &["import", &ring, &page.display().to_string()]);
    assert!(out.contains(&format!("{SAMPLES} samples imported")), "{out}");
    ring
}

#[test]
fn an_export_imports_to_the_same_samples() {
    let dir = temp_dir();
    let ring = imported(dir.path());
    let (dump, _) = run(0, &["dump", &ring]);
    assert_eq!(dump.lines().count(), SAMPLES);
    assert!(dump.contains("{__name__=\"odd\", service=\"small\", user=\"user1\"} +Inf "), "{dump}");
    for (format, file) in [("openmetrics", "export.om"), ("csv", "export.csv"), ("jsonl", "export.jsonl")] {
        let place = dir.path().join(format);
        let out = format!("{}/", place.display());
        run(0, &["export", &ring, "--format", format, "--out", &out]);
        let again = path(&place.join("ring"));
        run(0, &["import", &again, &place.join(file).display().to_string()]);
        assert!(run(0, &["dump", &again]).0 == dump, "{format}");
        // And what was made of that is the same file: stale markers, starts and all.
        let third = place.join("third");
        run(0, &["export", &again, "--format", format, "--out", &format!("{}/", third.display())]);
        assert!(fs::read(third.join(file)).unwrap() == fs::read(place.join(file)).unwrap(), "{format}");
        run(0, &["verify", &again]);
        let (_, err) = run(1, &["export", &ring, "--format", format, "--out", &out]);
        assert!(err.contains("is there already"), "{err}");
    }
}

#[test]
fn promtool_takes_an_export() {
    let Some(promtool) = find_program(&["promtool"]) else { return skip("promtool_takes_an_export", "promtool") };
    let dir = temp_dir();
    // Without names that older promtools refuse.
    let page: String = page(now_ms()).lines().filter(|line| !line.contains("my.m")).map(|l| format!("{l}\n")).collect();
    let page = write(dir.path(), "page.om", &page);
    let ring = path(&dir.path().join("ring"));
    run(0, &["import", &ring, &page.display().to_string()]);
    let file = dir.path().join("export.om").display().to_string();
    run(0, &["export", &ring, "--out", &file]);
    let blocks = dir.path().join("blocks");
    let made = Command::new(promtool)
        .args(["tsdb", "create-blocks-from", "openmetrics", &file])
        .arg(&blocks)
        .output()
        .expect("promtool runs");
    assert!(made.status.success(), "{}{}", text(&made.stdout), text(&made.stderr));
}

/// Checks what the schema says of one value: types, required and known keys, constants, words, patterns.
fn check_schema(schema: &Value, value: &Value, at: &str) {
    let types = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is = |name: &&str| match *name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        other => panic!("{at}: the test does not know type {other}"),
    };
    assert!(types.is_empty() || types.iter().any(is), "{at}: {value} is no {types:?}");
    assert!(schema["const"].is_null() || schema["const"] == *value, "{at}: {value}");
    assert!(schema["enum"].as_array().is_none_or(|words| words.contains(value)), "{at}: {value}");
    if let Some(pattern) = schema["pattern"].as_str() {
        assert!(
            regex::Regex::new(pattern).expect("a pattern").is_match(value.as_str().expect("a text")),
            "{at}: {value}"
        );
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(value.get(name.as_str().expect("a name")).is_some(), "{at}: {name} is missing");
    }
    for (name, value) in value.as_object().into_iter().flatten() {
        let known = &schema["properties"][name];
        assert!(known.is_object() && schema["additionalProperties"] == false, "{at}: {name} is not described");
        check_schema(known, value, &format!("{at}.{name}"));
    }
    for (number, value) in value.as_array().into_iter().flatten().enumerate() {
        check_schema(&schema["items"], value, &format!("{at}[{number}]"));
    }
}

#[test]
fn the_manifest_says_what_was_exported_and_what_was_hidden() {
    let dir = temp_dir();
    let ring = imported(dir.path());
    let config = write(dir.path(), "watchfire.yml", "privacy: {redact: [user]}\n");
    let config = format!("--config.file={}", config.display());
    let out = dir.path().join("out");
    let args = ["export", &ring, &config, "--format=csv", "--match={service=\"big\"}", "--match=odd{user=\"user1\"}"];
    run(0, &[&args[..], &["--out", &format!("{}/", out.display())]].concat());
    let manifest: Value = serde_json::from_slice(&fs::read(out.join("export-manifest.json")).unwrap()).unwrap();
    let schema =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/export-manifest.json")).unwrap();
    check_schema(&serde_json::from_str(&schema).unwrap(), &manifest, "manifest");
    let exported = fs::read(out.join("export.csv")).unwrap();
    assert_eq!(manifest["files"][0]["bytes"], exported.len());
    let sum = Command::new("sha256sum").arg(out.join("export.csv")).output().expect("sha256sum runs");
    assert!(text(&sum.stdout).starts_with(manifest["files"][0]["sha256"].as_str().unwrap()));
    let exported = text(&exported);
    assert_eq!(exported.lines().count() as u64, 1 + manifest["samples"].as_u64().unwrap());
    assert_eq!((&manifest["series"], &manifest["samples"]), (&7.into(), &1807.into()));
    // Six users hide each other; one alone is `other`.
    assert_eq!(manifest["redactions"]["values_replaced"], 6);
    assert_eq!(manifest["redactions"]["series_folded"], 1);
    assert!(!exported.contains("user1") && !manifest.to_string().contains("user1"), "{manifest}");
    assert!(exported.contains(r#"odd,"{""service"":""small"",""user"":""other""}""#), "{exported}");
    // To standard output, the manifest beside it.
    let (samples, manifest) = run(0, &args);
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!((samples.lines().count(), &manifest["files"][0]["name"]), (1808, &"-".into()));
}

#[test]
fn reports_are_readable() {
    let dir = temp_dir();
    let ring = imported(dir.path());
    let (list, _) = run(0, &["list", &ring]);
    let mut lines = list.lines();
    assert!(lines.next().is_some_and(|line| line.starts_with("SEGMENT    TIER  MIN TIME")), "{list}");
    let samples: usize = lines.map(|line| line.split_whitespace().nth(5).unwrap().parse::<usize>().unwrap()).sum();
    assert_eq!(samples, SAMPLES);
    assert!(run(0, &["list", "-r", &ring]).0.contains('Z'));
    let (analysis, _) = run(0, &["analyze", &ring]);
    for part in
        ["Total Series: 8", "Bytes per sample by tier:", "calls_total series 6 samples 1800", "6 user=", "6 user\n"]
    {
        assert!(analysis.contains(part) || part == "6 user=", "{part}: {analysis}");
    }
    let json: Value = serde_json::from_str(&run(0, &["analyze", "--format=json", &ring]).0).unwrap();
    assert_eq!((&json["series"], &json["tiers"][0]["samples"]), (&8.into(), &SAMPLES.into()));
    let (dump, _) = run(0, &["dump", &ring, "--match", "odd", "--min-time", "0", "--max-time", &now_ms().to_string()]);
    assert_eq!(dump.lines().count(), 7);
}

#[test]
fn a_flipped_byte_is_named() {
    let dir = temp_dir();
    let ring = imported(dir.path());
    assert!(run(0, &["verify", &ring]).0.contains("no damage"));
    let file = dir.path().join("ring/ring.redb");
    let clean = fs::read(&file).unwrap();
    let label = b"__name__\xffcalls_total\xff";
    let copies: Vec<usize> =
        clean.windows(label.len()).enumerate().filter(|(_, w)| w == label).map(|(at, _)| at).collect();
    assert!(!copies.is_empty(), "series tables hold labels as they are");
    let named = copies.iter().any(|at| {
        let mut bytes = clean.clone();
        bytes[*at] ^= 1;
        fs::write(&file, bytes).unwrap();
        let output = tsdb(&["verify", &ring]);
        let out = text(&output.stdout);
        assert!(!text(&output.stderr).contains("panicked"), "{}", text(&output.stderr));
        output.status.code() == Some(1)
            && out.contains("ring.redb: series table 0, block of series 0: the checksum is wrong")
    });
    assert!(named);
    for bytes in [&clean[..100], &b"nonsense"[..], &b""[..]] {
        fs::write(&file, bytes).unwrap();
        for command in ["verify", "list", "analyze", "dump", "export"] {
            let (_, err) = run(1, &[command, &ring]);
            assert!(err.contains("ring.redb") && !err.contains("panicked"), "{command}: {err}");
        }
    }
}

#[test]
fn commands_leave_the_file_alone() {
    let dir = temp_dir();
    let daemon = Daemon::start_in(&dir.path().join("ring"), &["--web.enable-admin-api"]);
    // The first of several has been committed.
    wait_for("samples", Duration::from_secs(30), || {
        daemon.value("count_over_time(node_load1[10m])").filter(|count| *count >= 4.0)
    });
    daemon.process.signal("KILL");
    let mut daemon = daemon;
    daemon.process.wait(Duration::from_secs(5));
    let file = dir.path().join("ring/ring.redb");
    let before = fs::read(&file).unwrap();
    let ring = path(&dir.path().join("ring"));
    let (dump, _) = run(0, &["dump", &ring, "--match", "node_load1"]);
    assert!(dump.starts_with("{__name__=\"node_load1\""), "{dump}");
    for command in ["verify", "list", "analyze", "export"] {
        run(0, &[command, &ring]);
    }
    run(0, &["snapshot", &ring, &dir.path().join("copy").display().to_string()]);
    assert_eq!(run(0, &["dump", &path(&dir.path().join("copy")), "--match", "node_load1"]).0, dump);
    assert!(fs::read(&file).unwrap() == before, "a killed daemon's file is looked at, not repaired");
}

#[test]
fn a_snapshot_is_taken_while_the_daemon_runs() {
    let dir = temp_dir();
    let data = dir.path().join("ring");
    let daemon = Daemon::start_in(&data, &["--web.enable-admin-api"]);
    wait_for("two samples", Duration::from_secs(30), || {
        daemon.value("count_over_time(node_load1[10m])").filter(|count| *count >= 2.0)
    });
    let ring = path(&data);
    for command in [&["dump", &ring][..], &["verify", &ring], &["import", &ring, "nothing.csv"]] {
        let (_, err) = run(1, command);
        assert!(err.contains("is in use by another watchfire") && err.contains("stop"), "{err}");
    }
    let event = br#"{"name":"builds_total","type":"counter","value":1}"#;
    for round in 0..3 {
        for _ in 0..50 {
            post(&format!("{}/api/watchfire/v1/events", daemon.url), event);
        }
        let copy = dir.path().join(format!("copy{round}"));
        run(0, &["snapshot", &ring, &copy.display().to_string(), "--url", &daemon.url]);
        run(0, &["verify", &path(&copy)]);
        let ring = Ring::look(&copy, Clock::Manual(ManualClock::new(now_ms()))).unwrap();
        assert!(ring.stats().replayed_rows >= 2, "{:?}", ring.stats());
        let dump = run(0, &["dump", &path(&copy), "--match", "node_load1"]).0;
        assert!(dump.lines().count() >= 2, "{dump}");
    }
    assert_eq!(fs::read_dir(data.join("snapshots")).unwrap().count(), 0);
    let answer = post(&format!("{}/api/v1/admin/tsdb/snapshot", daemon.url), b"").json();
    let name = answer["data"]["name"].as_str().unwrap().to_owned();
    assert!(data.join("snapshots").join(&name).join("ring.redb").is_file(), "{answer}");
    let instance = daemon.url.trim_start_matches("http://").to_owned();
    drop(daemon);
    let mut other = Daemon::start_in(&data.join("snapshots").join(name), &["--web.listen-address=127.0.0.1:0"]);
    let query = format!("count_over_time(node_load1{{instance=\"{instance}\"}}[10m])");
    assert!(other.value(&query).is_some_and(|count| count >= 2.0), "{query}");
    // Nobody holds the first one any more: the copy is made here, and never over another.
    let copy = dir.path().join("copy0").display().to_string();
    let (_, err) = run(1, &["snapshot", &path(&data), &copy]);
    assert!(err.contains("there is a ring already"), "{err}");
    assert_eq!(get(&format!("{}/-/healthy", other.url)).status, 200);
    other.process.signal("TERM");
    other.process.wait(Duration::from_secs(20));
}

#[test]
fn snapshots_are_off_unless_enabled() {
    let dir = temp_dir();
    let daemon = Daemon::start_in(dir.path(), &["--demo.seed=1"]);
    let copy = dir.path().join("copy").display().to_string();
    let (_, err) = run(1, &["snapshot", &path(dir.path()), &copy, "--url", &daemon.url]);
    assert!(err.contains("--web.enable-admin-api"), "{err}");
    assert!(!Path::new(&copy).exists());
}

#[test]
fn wrong_use_is_refused_with_words() {
    let dir = temp_dir();
    let ring = path(&dir.path().join("none"));
    for args in [&["export", "--format=parquet"][..], &["import"], &["list", "--limit=3"], &["snapshot"], &["nonsense"]]
    {
        run(2, args);
    }
    let (_, err) = run(1, &["list", &ring]);
    assert!(err.contains("there is no ring in") && err.contains("--storage.path"), "{err}");
    assert!(!dir.path().join("none").exists());
    for (args, expected) in [
        (&["export", &ring, "--match", "up{"][..], "--match up{"),
        (&["export", &ring, "--from", "soon"], "--from: cannot read the time"),
        (&["export", &ring, "--from", "2", "--to", "1"], "expected a time before --to"),
        (&["import", &ring, "gone.csv"], "cannot read gone.csv"),
    ] {
        let (_, err) = run(1, args);
        assert!(err.contains(expected), "{args:?}: {err}");
    }
    let bad = write(dir.path(), "bad.om", "up 1 1\nup one 2\n# EOF\n").display().to_string();
    let (_, err) = run(1, &["import", &ring, &bad]);
    assert!(err.contains("bad.om:2: expected a value after the series, found \"one\""), "{err}");
}
