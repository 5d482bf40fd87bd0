use super::{CollectorFamily, Config};
use crate::registry::SeriesLimits;

/// A document and what its errors must contain, one entry an error; none means it is valid.
const CASES: &[(&str, &[&str])] = &[
    ("", &[]),
    ("global: {scrape_interval: 5s, scrape_timeout: 2s}", &[]),
    ("globl: {}", &["f.yml:1:1: globl: unknown key"]),
    ("global: {scrape_intervall: 5s}", &["did you mean \"scrape_interval\""]),
    ("global: {scrape_interval: 5}", &["f.yml:1:27"]),
    ("global: {scrape_interval: 1s, scrape_timeout: 2s}", &["longer than the scrape interval"]),
    ("global: {external_labels: {__name__: x}}", &["__name__"]),
    ("storage: {retention: {size: 1GB, time: 15d}, durability: relaxed}", &[]),
    ("storage: {retention: {size: 1MB}}", &["too small"]),
    ("storage: {durability: maybe}", &["maybe"]),
    ("storage: {exemplars: {max_exemplars: 1000}}", &[]),
    ("storage: {exemplars: {max: 1000}}", &["max: unknown key"]),
    ("storage: {limits: {series: 50000, series_per_family: 5000}}", &[]),
    ("storage: {limits: {series: 10}}", &[]),
    (
        "storage: {limits: {series: 0}}",
        &["f.yml:1:28: storage.limits.series: not a possible number of series; expected 1 to 10000000"],
    ),
    ("storage: {limits: {series: 20000000}}", &["expected 1 to 10000000"]),
    ("storage: {limits: {series: many}}", &["storage.limits.series"]),
    ("storage: {limits: {series: 10, series_per_family: 11}}", &["one metric cannot have more series than all"]),
    ("storage: {limits: {serie: 10}}", &["did you mean \"series\""]),
    ("storage: {retention: {rollups: {1m: 30d, 1h: 1y, 1d: 5y}}}", &[]),
    ("storage: {retention: {rollups: {1m: 0s, 1h: 0s, 1d: 0s}}}", &[]),
    ("storage: {retention: {rollups: {1m: 1d}}}", &["1m: at least 2d, or 1h: 0s"]),
    ("storage: {retention: {rollups: {1h: 20d}}}", &["1h: at least 32d, or 1d: 0s"]),
    ("storage: {retention: {rollups: {5m: 1d}}}", &["5m: unknown key"]),
    ("collectors: {enabled: [system, gpuu]}", &["gpu"]),
    ("collectors: {intervals: {cpuu: 1s}}", &["did you mean \"cpu\""]),
    ("collectors: {enabled: []}", &[]),
    ("collectors: {gpu: {aliases: [dcgm, nvidia_smi]}}", &[]),
    ("collectors: {gpu: {aliases: [dcgn]}}", &["dcgm"]),
    ("collectors: {cgroups: {include: '^/system', exclude: x, limit: 9, depth: 3, walk_interval: 5s}}", &[]),
    (
        "collectors: {cgroups: {include: '(', limit: 5000, depth: 33, walk_interval: 0s, deep: 1}}",
        &["f.yml:1:33", "at most 4096", "at most 32", "longer than 0s", "deep: unknown key"],
    ),
    ("collectors: {options: {netdev: {device_exclude: '^veth'}, cpu: {info: true, flags_include: '^avx'}}}", &[]),
    ("collectors: {options: {filesystem: {mount_points_exclude: '^/mnt($|/)', fs_types_exclude: '^tmpfs$'}}}", &[]),
    ("collectors: {options: {hwmon: {chip_exclude: ''}, netclass: {ignored_devices: '^$'}}}", &[]),
    (
        "collectors:\n  options:\n    netdev: {device_include: eth, device_exclude: veth}",
        &["f.yml:3:13: collectors.options.netdev: device_include and device_exclude exclude each other"],
    ),
    (
        "collectors:\n  options:\n    netstat:\n      fields: '('",
        &["f.yml:4:15: collectors.options.netstat.fields: bad regular expression \"(\""],
    ),
    ("collectors: {options: {netstats: {}}}", &["did you mean \"netstat\""]),
    ("collectors: {options: {ipvs: {backend_labels: [proto, local_adress]}}}", &["did you mean \"local_address\""]),
    ("workers: {groups: [{name: a}]}", &["selects nothing"]),
    ("workers: {groups: [{name: a, cmdline: ['(']}]}", &["f.yml:1:40"]),
    ("workers: {groups: [{name: a, comm: [x], children: false}]}", &[]),
    ("models: {targets: [{name: a}]}", &["url"]),
    ("models: {targets: [{name: a, url: 'http://127.0.0.1:1', runtime: lama}]}", &["llamacpp"]),
    ("scrape_configs: [{job_name: a, static_configs: [{targets: ['h:1']}]}]", &[]),
    ("scrape_configs: [{job_name: a}, {job_name: a}]", &["job_name once"]),
    ("scrape_configs: [{job_name: a, scrape_interval: 1s, scrape_timeout: 5s}]", &["scrape_timeout"]),
    ("scrape_configs: [{static_configs: [{target: []}]}]", &["job_name", "targets", "target: unknown key"]),
    ("scrape_configs: [{job_name: a, relabel_configs: []}]", &["not part of this version"]),
    ("privacy: {redact: [user, 'session.*'], min_group: 3}", &[]),
    ("privacy: {redact: user}", &["list"]),
    ("privacy: {redact: ['(']}", &["bad regular expression"]),
    ("privacy: {min_group: -1}", &["privacy.min_group"]),
    ("privacy: {min_grup: 1}", &["did you mean \"min_group\""]),
    ("a: 1\nb: 2\nglobal: {c: 3}", &["global.c", "f.yml:1:1", "f.yml:2:1"]),
];

#[test]
fn documents_are_accepted_or_every_mistake_is_named() {
    for (text, expected) in CASES {
        let found = match Config::parse("f.yml", text) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(found.len(), expected.len(), "{text}\n{found:#?}");
        for part in *expected {
            assert!(found.iter().any(|error| error.contains(part)), "{text}\nlacks {part:?}\n{found:#?}");
        }
    }
}

#[test]
fn limits_of_series_have_defaults() {
    let cases = [
        ("", 1_000_000, 50_000),
        ("storage: {limits: {series: 200000}}", 200_000, 50_000),
        ("storage: {limits: {series: 10}}", 10, 10),
        ("storage: {limits: {series_per_family: 7}}", 1_000_000, 7),
    ];
    for (text, series, series_per_family) in cases {
        let config = Config::parse("f.yml", text).expect("valid");
        assert_eq!(config.storage.limits, SeriesLimits { series, series_per_family }, "{text}");
        let shown = config.to_yaml();
        assert!(shown.contains(&format!("series: {series}\n")) && shown.contains("series_per_family"), "{shown}");
    }
}

#[test]
fn sections_of_prometheus_that_do_nothing_yet_are_warned_about() {
    let text = "alerting: {alertmanagers: []}\nremote_write: [{url: http://x}]\n";
    let config = Config::parse("f.yml", text).expect("valid");
    assert_eq!(config.warnings.len(), 2);
}

#[test]
fn the_example_is_valid_and_shows_itself_without_secrets() {
    let text = include_str!("../../examples/watchfire.yml");
    let config = Config::parse("examples/watchfire.yml", text).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.models.len(), 2);
    assert!(config.collectors.has(CollectorFamily::Gpu));
    assert!(config.to_yaml().contains("job_name: app"));
    let text = "scrape_configs: [{job_name: a, authorization: {credentials: hunter2}}]";
    let shown = Config::parse("f.yml", text).expect("valid").to_yaml();
    assert!(!shown.contains("hunter2") && shown.contains("<secret>"), "{shown}");
}
