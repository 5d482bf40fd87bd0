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
    ("collectors: {gpu: {libraries: [libnvidia-ml.so.1, /opt/driver/libnvidia-ml.so.1]}}", &[]),
    ("collectors: {gpu: {libraries: {a: b}}}", &["list"]),
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
    ("scrape_configs: [{static_configs: [{target: []}]}]", &["job_name", "target: unknown key"]),
    // What means a default in Prometheus.
    (
        "scrape_configs: [{job_name: a, scrape_interval: 0s, scrape_timeout: 0s, scheme: '', params: {a: ~}, fallback_scrape_protocol: ''}]",
        &[],
    ),
    (
        "scrape_configs: [{job_name: a, static_configs: [{labels: {a: b}}], file_sd_configs: [{files: [a.json], refresh_interval: 0s}]}]",
        &[],
    ),
    ("scrape_configs: [{job_name: a, sample_limit: 5000000000}]", &[]),
    ("scrape_configs: [{job_name: a, scrape_classic_histograms: true}]", &["always_scrape_classic_histograms"]),
    ("scrape_config_files: [a.yml]", &["scrape_config_files is not part of this version; expected scrape_configs"]),
    ("scrape_config_files: []", &[]),
    ("global: {scrape_interval: 5s}\nscrape_configs: [{job_name: a, scrape_timeout: 6s}]", &["scrape_timeout"]),
    ("scrape_configs: [{job_name: a, relabel_configs: []}]", &[]),
    ("scrape_configs: [{job_name: a, scrape_interval: 1s, scrape_timeout: 1s}]", &[]),
    ("scrape_configs: [{job_name: a, kubernetes_sd_configs: []}]", &["not part of this version"]),
    (
        "scrape_configs: [{job_name: a, consul_sd_configs: [{server: x}], scrape_failure_log_file: x}]",
        &["consul", "failure_log"],
    ),
    ("scrape_configs: [{job_name: a, relabel_config: []}]", &["did you mean \"relabel_configs\""]),
    ("scrape_configs: [{job_name: a, relabel_configs: [{action: dorp}]}]", &["did you mean \"drop\""]),
    ("scrape_configs: [{job_name: a, relabel_configs: [{action: Drop, source_labels: [x], regex: y}]}]", &[]),
    ("scrape_configs: [{job_name: a, relabel_configs: [{source_label: [x]}]}]", &["did you mean \"source_labels\""]),
    (
        "scrape_configs: [{job_name: a, relabel_configs: [{source_labels: [x]}]}]",
        &["relabel_configs[0]: action replace: target_label is missing"],
    ),
    ("scrape_configs: [{job_name: a, relabel_configs: [{regex: '(', target_label: x}]}]", &["bad regular expression"]),
    (
        "scrape_configs: [{job_name: a, metric_relabel_configs: [~, {action: hashmod, target_label: x}]}]",
        &["rule is empty", "modulus"],
    ),
    (
        "scrape_configs: [{job_name: a, metric_relabel_configs: [{target_label: a-b}], metric_name_validation_scheme: legacy}]",
        &["label's name"],
    ),
    ("scrape_configs: [{job_name: a, metric_relabel_configs: [{target_label: a-b, replacement: ~}]}]", &[]),
    (
        "scrape_configs: [{job_name: a, scheme: https, tls_config: {insecure_skip_verify: true}, basic_auth: {username: u, password: p}}]",
        &[],
    ),
    ("scrape_configs: [{job_name: a, scheme: ftp}]", &["http or https"]),
    ("scrape_configs: [{job_name: a, proxy_url: 'http://p:1', no_proxy: 'x'}]", &[]),
    ("scrape_configs: [{job_name: a, no_proxy: 'x'}]", &["proxy_url beside it"]),
    ("scrape_configs: [{job_name: a, oauth2: {client_id: x, client_secret: y, token_url: 'https://t/'}}]", &[]),
    (
        "scrape_configs: [{job_name: a, file_sd_configs: [{files: ['t/*.yml', x.json, 'a*b*.yml', 'x[ab]?.json'], refresh_interval: 1m}]}]",
        &[],
    ),
    ("scrape_configs: [{job_name: a, native_histogram_bucket_limit: 0}]", &[]),
    ("scrape_configs: [{job_name: a, native_histogram_bucket_limit: 9, native_histogram_min_bucket_factor: 1.1}]", &[]),
    ("scrape_configs: [{job_name: a, native_histogram_bucket_limit: -1}]", &["native_histogram_bucket_limit"]),
    ("scrape_configs: [{job_name: a, file_sd_configs: [{files: ['t/*/x.yml', x.txt]}]}]", &["t/*/x.yml", "x.txt"]),
    ("scrape_configs: [{job_name: a, file_sd_configs: [{files: []}, {}]}]", &["no file", "files"]),
    ("scrape_configs: [{job_name: a, http_sd_configs: [{url: 'http://h/sd', authorization: {credentials: x}}]}]", &[]),
    ("scrape_configs: [{job_name: a, http_sd_configs: [{url: 'http://u:p@h/sd'}]}]", &["has a user in it"]),
    (
        "scrape_configs: [{job_name: a, http_sd_configs: [{url: 'h/sd', refresh: 1s}]}]",
        &["bad URL", "refresh: unknown key"],
    ),
    ("scrape_configs: [{job_name: a, static_configs: [{targets: ['http://h/x']}]}]", &["host:port"]),
    (
        "scrape_configs: [{job_name: a, static_configs: [{targets: ['http://h/x']}], relabel_configs: [{target_label: __address__, replacement: h}]}]",
        &[],
    ),
    (
        "scrape_configs: [{job_name: a, scrape_protocols: [PrometheusText0.0.4], fallback_scrape_protocol: OpenMetricsText1.0.0}]",
        &[],
    ),
    ("scrape_configs: [{job_name: a, scrape_protocols: []}]", &["at least one"]),
    (
        "scrape_configs: [{job_name: a, scrape_protocols: [PrometheusProto, PrometheusProto, text]}]",
        &["each once", "text"],
    ),
    ("scrape_configs: [{job_name: a, body_size_limit: 1GB}]", &["at most 256MB"]),
    ("scrape_configs: [{job_name: a, body_size_limit: 0, sample_limit: 5, label_limit: 0}]", &[]),
    ("scrape_configs: [{job_name: a, convert_classic_histograms_to_nhcb: true}]", &[]),
    ("global: {convert_classic_histograms_to_nhcb: x}", &["convert_classic_histograms_to_nhcb"]),
    (
        "scrape_configs: [{job_name: a, metric_name_validation_scheme: legacy, metric_name_escaping_scheme: allow-utf-8}]",
        &["underscores"],
    ),
    (
        "global: {sample_limit: 5, label_limit: 3, body_size_limit: 1MB, keep_dropped_targets: 1, extra_scrape_metrics: true}",
        &[],
    ),
    ("global: {scrape_protocols: [x]}", &["x"]),
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

/// Interval and timeout of the global section and of a job.
#[test]
fn a_timeout_without_an_interval_raises_the_default() {
    for (text, expected) in [
        ("scrape_configs: [{job_name: a}]", [1, 1, 1, 1]),
        ("scrape_configs: [{job_name: a, scrape_timeout: 10s}]", [1, 1, 10, 10]),
        ("global: {scrape_timeout: 5s}\nscrape_configs: [{job_name: a}]", [5, 5, 5, 5]),
        ("global: {scrape_timeout: 5s}\nscrape_configs: [{job_name: a, scrape_timeout: 8s}]", [5, 5, 8, 8]),
        ("global: {scrape_timeout: 5s}\nscrape_configs: [{job_name: a, scrape_interval: 2s}]", [5, 5, 2, 2]),
        ("global: {scrape_interval: 30s}\nscrape_configs: [{job_name: a, scrape_timeout: 8s}]", [30, 10, 30, 8]),
        ("global: {scrape_interval: 0s}\nscrape_configs: [{job_name: a, scrape_timeout: 3s}]", [1, 1, 3, 3]),
    ] {
        let config = Config::parse("f.yml", text).unwrap_or_else(|errors| panic!("{text}: {errors}"));
        let (global, job) = (&config.global, &config.scrape[0]);
        let found = [global.scrape_interval, global.scrape_timeout, job.interval, job.timeout];
        assert_eq!(found.map(|duration| duration.as_secs()), expected, "{text}");
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
    let text = "alerting: {alertmanagers: []}\nremote_write: [{url: http://x}]\nremote_read: [{url: http://x}]\n\
                tracing: {endpoint: x}\nruntime: {gogc: 75}\n";
    let config = Config::parse("f.yml", text).expect("valid");
    assert_eq!(config.warnings.len(), 5);
}

#[test]
fn the_example_is_valid_and_shows_itself_without_secrets() {
    let text = include_str!("../../examples/watchfire.yml");
    let config = Config::parse("examples/watchfire.yml", text).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.models.len(), 2);
    assert!(config.collectors.has(CollectorFamily::Gpu));
    assert!(config.to_yaml().contains("job_name: app"));
    for secret in [
        "authorization: {credentials: hunter2}",
        "proxy_url: 'http://u:hunter2@p:1', no_proxy: n, bearer_token: hunter2",
        "oauth2: {client_id: x, client_secret: hunter2, token_url: 'http://u:hunter2@t/', scopes: [a]}",
    ] {
        let shown = Config::parse("f.yml", &format!("scrape_configs: [{{job_name: a, {secret}}}]"));
        let shown = shown.unwrap_or_else(|errors| panic!("{errors}")).to_yaml();
        assert!(!shown.contains("hunter2") && shown.contains("<secret>"), "{shown}");
    }
}

#[test]
fn worker_groups_by_every_selector() {
    let text = "workers: {scan_interval: 5s, process_exporter_names: true, groups: [{name: a, user: bob, cgroup: [/x, /y], \
                unit: u, pidfile: /run/a.pid, port: [80, 81], expected: 3, children: false}]}";
    let config = Config::parse("f.yml", text).unwrap_or_else(|errors| panic!("{errors}")).workers;
    let group = &config.groups[0];
    assert_eq!((config.scan_interval.as_secs(), config.process_exporter_names), (5, true));
    assert_eq!((group.user.len(), group.cgroup.len(), group.unit.len(), group.pidfile.len()), (1, 2, 1, 1));
    assert_eq!((&group.port[..], group.expected, group.children), (&[80, 81][..], Some(3), false));
    for bad in ["port: 0", "port: 70000", "expected: -1", "expected: 1000000", "user: ''", "pidfile: []"] {
        let text = format!("workers: {{groups: [{{name: a, {bad}}}]}}");
        assert_eq!(Config::parse("f.yml", &text).map_or_else(|errors| errors.len(), |_| 0), 1, "{bad}");
    }
}
