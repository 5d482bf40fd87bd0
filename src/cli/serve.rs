//! `watchfire serve`: the daemon.

use std::io::Write;

use crate::app::{App, Settings};
use crate::clock::Clock;
use crate::http::{DEFAULT_PORT, HttpConfig, ListenAddr};
use crate::model::format_duration;
use crate::promql::EngineConfig;
use crate::telemetry::{self, LogConfig};

use super::args::{LogFormat, LogLevel, ServeArgs};
use super::{Outcome, failed};

pub(super) fn run(args: ServeArgs) -> Outcome {
    let settings = match settings(&args) {
        Ok(settings) => settings,
        Err(error) => return failed(error),
    };
    let logging = match telemetry::init_logging(settings.log, Clock::System) {
        Ok(logging) => logging,
        Err(error) => return failed(error),
    };
    for warning in &settings.config.warnings {
        tracing::warn!("{warning}");
    }
    let app = match App::start(settings, logging) {
        Ok(app) => app,
        Err(error) => return failed(error),
    };
    // A closed standard output must not end the daemon.
    let _ = write!(std::io::stdout(), "{}", app.banner()).and_then(|()| std::io::stdout().flush());
    match app.run() {
        Ok(()) => Outcome::Ok,
        Err(error) => failed(format!("cannot receive signals: {error}")),
    }
}

/// Flags and file together; every mistake of the file at once.
pub(super) fn settings(args: &ServeArgs) -> Result<Settings, String> {
    let config = Settings::read_config(args.config_file.as_deref()).map_err(|errors| errors.to_string())?;
    let http = http_config(args);
    http.check().map_err(|error| error.to_string())?;
    Ok(Settings {
        config_file: args.config_file.clone(),
        config,
        http,
        queries: EngineConfig {
            max_samples: usize::try_from(args.query_max_samples).unwrap_or(usize::MAX),
            timeout: args.query_timeout,
            max_concurrent: usize::try_from(args.query_max_concurrency).unwrap_or(usize::MAX),
            lookback: args.query_lookback_delta,
            ..EngineConfig::default()
        },
        storage_path: args.storage_path.clone(),
        roots: args.paths.roots(),
        demo: args.demo.then_some(args.demo_seed),
        log: log_config(args),
        flags: flags(args),
    })
}

fn http_config(args: &ServeArgs) -> HttpConfig {
    let defaults = HttpConfig::default();
    let prefix = args.route_prefix.as_deref().unwrap_or("").trim_end_matches('/');
    HttpConfig {
        listen: if args.listen.is_empty() { defaults.listen } else { args.listen.clone() },
        route_prefix: prefix.to_owned(),
        external_url: args.external_url.clone(),
        token_file: args.token_file.clone(),
        allow_unauthenticated: args.allow_unauthenticated,
        enable_lifecycle: args.enable_lifecycle,
        enable_admin: args.enable_admin_api,
    }
}

fn log_config(args: &ServeArgs) -> LogConfig {
    let level = match args.log_level {
        LogLevel::Debug => telemetry::LogLevel::Debug,
        LogLevel::Info => telemetry::LogLevel::Info,
        LogLevel::Warn => telemetry::LogLevel::Warn,
        LogLevel::Error => telemetry::LogLevel::Error,
    };
    let format = match args.log_format {
        None => telemetry::LogFormat::default(),
        Some(LogFormat::Logfmt) => telemetry::LogFormat::Logfmt,
        Some(LogFormat::Json) => telemetry::LogFormat::Json,
    };
    LogConfig { level, format }
}

/// Flags as `/api/v1/status/flags` shows them: name without dashes, value in force.
fn flags(args: &ServeArgs) -> Vec<(String, String)> {
    let path = |path: &Option<std::path::PathBuf>| path.as_ref().map(|p| p.display().to_string()).unwrap_or_default();
    let listen: Vec<String> = args.listen.iter().map(ListenAddr::to_string).collect();
    let roots = args.paths.roots();
    let listen = if listen.is_empty() { format!("127.0.0.1:{DEFAULT_PORT}") } else { listen.join(",") };
    [
        ("config.file", path(&args.config_file)),
        ("demo", args.demo.to_string()),
        ("log.level", format!("{:?}", args.log_level).to_lowercase()),
        ("path.procfs", roots.proc.display().to_string()),
        ("path.rootfs", roots.rootfs.display().to_string()),
        ("path.sysfs", roots.sys.display().to_string()),
        ("query.lookback-delta", format_duration(args.query_lookback_delta)),
        ("query.max-concurrency", args.query_max_concurrency.to_string()),
        ("query.max-samples", args.query_max_samples.to_string()),
        ("query.timeout", format_duration(args.query_timeout)),
        ("storage.path", path(&args.storage_path)),
        ("web.enable-admin-api", args.enable_admin_api.to_string()),
        ("web.enable-lifecycle", args.enable_lifecycle.to_string()),
        ("web.external-url", args.external_url.clone().unwrap_or_default()),
        ("web.listen-address", listen),
        ("web.route-prefix", args.route_prefix.clone().unwrap_or_else(|| "/".to_owned())),
        ("web.token-file", path(&args.token_file)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}
