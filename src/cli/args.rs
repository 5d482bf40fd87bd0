//! Flags and subcommands. Long flags keep Prometheus' dotted names; each can also come from the environment.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::collect::system::Roots;
use crate::http::ListenAddr;
use crate::limits;
use crate::model::parse_duration;

use super::tsdb_args::TsdbCommand;

/// Watches this machine while it does AI work: metrics, history, rules and a live page from one process.
#[derive(Debug, Parser)]
#[command(
    name = "watchfire",
    version,
    disable_help_subcommand = true,
    after_help = "EXAMPLES\n  watchfire                          start with defaults, page on http://127.0.0.1:9480\n  watchfire serve --demo             everything to look at, no hardware needed\n  watchfire once --json              one reading of this machine\n  watchfire check rules rules/*.yml  validate rule files\n  watchfire query instant 'up'       ask a running watchfire\n\nEXIT CODES\n  0 ok, 1 failed, 2 wrong usage, 3 lint findings"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the daemon (also what happens without a subcommand).
    Serve(Box<ServeArgs>),
    /// Read this machine once and print it: no port, no state.
    Once(OnceArgs),
    /// Validate files: configuration, rules, a metrics page.
    #[command(subcommand)]
    Check(CheckCommand),
    /// Run tests that are written down as data.
    #[command(subcommand)]
    Test(TestCommand),
    /// Ask a running watchfire.
    #[command(subcommand)]
    Query(QueryCommand),
    /// Work with PromQL itself, without a server.
    #[command(subcommand)]
    Promql(PromqlCommand),
    /// Look at the history of a directory, copy it, take samples out and in.
    #[command(subcommand)]
    Tsdb(TsdbCommand),
    /// Say what was detected on this machine, what was not, and why.
    Doctor(DoctorArgs),
    /// Print the version and how it was built.
    Version,
}

/// Flags of the daemon. A flag wins over the configuration file.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServeArgs {
    /// Configuration file (YAML). Without one every setting has a default.
    #[arg(long = "config.file", value_name = "FILE", env = "WATCHFIRE_CONFIG_FILE")]
    pub(crate) config_file: Option<PathBuf>,
    /// Address to listen on, for example 127.0.0.1:9480 or :9480; may be repeated.
    #[arg(
        long = "web.listen-address",
        alias = "listen",
        value_name = "ADDR",
        env = "WATCHFIRE_WEB_LISTEN_ADDRESS",
        value_delimiter = ','
    )]
    pub(crate) listen: Vec<ListenAddr>,
    /// Prefix of every route, for a reverse proxy.
    #[arg(long = "web.route-prefix", value_name = "PATH", env = "WATCHFIRE_WEB_ROUTE_PREFIX")]
    pub(crate) route_prefix: Option<String>,
    /// URL under which people reach this watchfire; used in links and alert templates.
    #[arg(long = "web.external-url", value_name = "URL", env = "WATCHFIRE_WEB_EXTERNAL_URL")]
    pub(crate) external_url: Option<String>,
    /// File with the bearer token that requests must carry.
    #[arg(long = "web.token-file", value_name = "FILE", env = "WATCHFIRE_WEB_TOKEN_FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Allow POST /-/reload and /-/quit.
    #[arg(long = "web.enable-lifecycle", env = "WATCHFIRE_WEB_ENABLE_LIFECYCLE")]
    pub(crate) enable_lifecycle: bool,
    /// Allow POST /api/v1/admin/tsdb/snapshot.
    #[arg(long = "web.enable-admin-api", env = "WATCHFIRE_WEB_ENABLE_ADMIN_API")]
    pub(crate) enable_admin_api: bool,
    /// Serve beyond loopback without a token. Must be given twice, because anybody in reach can then read everything.
    #[arg(long = "web.allow-unauthenticated", action = clap::ArgAction::Count)]
    pub(crate) allow_unauthenticated: u8,
    /// Directory of the history.
    #[arg(long = "storage.path", alias = "storage.tsdb.path", value_name = "DIR", env = "WATCHFIRE_STORAGE_PATH")]
    pub(crate) storage_path: Option<PathBuf>,
    /// Samples that one query may hold in memory at once; a query that needs more is refused.
    #[arg(
        long = "query.max-samples",
        value_name = "N",
        default_value_t = limits::MAX_QUERY_SAMPLES as u64,
        value_parser = clap::value_parser!(u64).range(1..),
        env = "WATCHFIRE_QUERY_MAX_SAMPLES"
    )]
    pub(crate) query_max_samples: u64,
    /// Longest time that a query may take, waiting for a place included.
    #[arg(
        long = "query.timeout",
        value_name = "DURATION",
        default_value = "2m",
        value_parser = positive_duration,
        env = "WATCHFIRE_QUERY_TIMEOUT"
    )]
    pub(crate) query_timeout: Duration,
    /// Queries that run at once; others wait for a place. Rules do not count.
    #[arg(
        long = "query.max-concurrency",
        value_name = "N",
        default_value_t = limits::MAX_CONCURRENT_QUERIES as u64,
        value_parser = clap::value_parser!(u64).range(1..=limits::MOST_CONCURRENT_QUERIES as u64),
        env = "WATCHFIRE_QUERY_MAX_CONCURRENCY"
    )]
    pub(crate) query_max_concurrency: u64,
    /// How far back an instant selector looks for a series' newest sample.
    #[arg(
        long = "query.lookback-delta",
        value_name = "DURATION",
        default_value = "5m",
        value_parser = positive_duration,
        env = "WATCHFIRE_QUERY_LOOKBACK_DELTA"
    )]
    pub(crate) query_lookback_delta: Duration,
    #[command(flatten)]
    pub(crate) paths: PathArgs,
    /// Show a synthetic machine instead of this one, in a temporary history.
    #[arg(long = "demo", env = "WATCHFIRE_DEMO")]
    pub(crate) demo: bool,
    /// Seed of the synthetic machine.
    #[arg(long = "demo.seed", value_name = "N", default_value_t = 1, env = "WATCHFIRE_DEMO_SEED")]
    pub(crate) demo_seed: u64,
    /// Only messages of this level and above: debug, info, warn, error.
    #[arg(long = "log.level", value_name = "LEVEL", default_value = "info", env = "WATCHFIRE_LOG_LEVEL")]
    pub(crate) log_level: LogLevel,
    /// Form of the log; a terminal gets a short human form unless this is given.
    #[arg(long = "log.format", value_name = "FORMAT", env = "WATCHFIRE_LOG_FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
}

/// Where the kernel's files are, for a container that watches its host.
#[derive(Debug, Clone, Args)]
pub(crate) struct PathArgs {
    /// Mount point of proc.
    #[arg(long = "path.procfs", value_name = "DIR", default_value = "/proc", env = "WATCHFIRE_PATH_PROCFS")]
    procfs: PathBuf,
    /// Mount point of sys.
    #[arg(long = "path.sysfs", value_name = "DIR", default_value = "/sys", env = "WATCHFIRE_PATH_SYSFS")]
    sysfs: PathBuf,
    /// Mount point of the root file system.
    #[arg(long = "path.rootfs", value_name = "DIR", default_value = "/", env = "WATCHFIRE_PATH_ROOTFS")]
    rootfs: PathBuf,
}

impl PathArgs {
    pub(crate) fn roots(&self) -> Roots {
        Roots { proc: self.procfs.clone(), sys: self.sysfs.clone(), rootfs: self.rootfs.clone() }
    }
}

/// A duration as Prometheus writes it.
fn positive_duration(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(duration) if duration.is_zero() => Err("expected a duration above zero, for example 2m".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{error}: expected a duration such as 30s or 2m")),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Logfmt,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct OnceArgs {
    /// Print JSON (the default).
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the OpenMetrics page.
    #[arg(long, conflicts_with = "json")]
    pub(crate) prom: bool,
    #[command(flatten)]
    pub(crate) paths: PathArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CheckCommand {
    /// Validate configuration files and the rule files they name.
    Config {
        /// Configuration files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Validate rule files; without a file, the shipped rules.
    Rules {
        /// Rule files.
        files: Vec<PathBuf>,
    },
    /// Check a metrics page from standard input or a file: OpenMetrics if it ends in `# EOF`, else text 0.0.4.
    Metrics {
        /// File to read instead of standard input.
        file: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TestCommand {
    /// Run scripts in the language of Prometheus' promqltest; prints FILE: passed/total.
    Promql {
        /// Leave out evaluations that touch native histograms, and say how many.
        #[arg(long)]
        skip_native_histograms: bool,
        /// Scripts.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Run rule tests in promtool's format.
    Rules {
        /// Only tests of this name; may be repeated.
        #[arg(long, value_name = "NAME")]
        run: Vec<String>,
        /// Test files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PromqlCommand {
    /// Print an expression in canonical form, over several lines where one would be longer than 100 characters.
    /// Comments are not kept.
    Format {
        /// The expression; from standard input when it is `-` or left out.
        #[arg(allow_hyphen_values = true)]
        expr: Option<String>,
        /// Print nothing; fail if the expression is not formatted yet.
        #[arg(long)]
        check: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueryCommand {
    /// Evaluate an expression at one time.
    Instant {
        /// The expression.
        expr: String,
        /// Evaluation time (RFC 3339 or Unix seconds); now by default.
        #[arg(long)]
        time: Option<String>,
        #[command(flatten)]
        target: QueryTarget,
    },
    /// Evaluate an expression at every step of a range.
    Range {
        /// The expression.
        expr: String,
        /// Start (RFC 3339 or Unix seconds); an hour ago by default.
        #[arg(long)]
        start: Option<String>,
        /// End (RFC 3339 or Unix seconds); now by default.
        #[arg(long)]
        end: Option<String>,
        /// Step, for example 15s.
        #[arg(long)]
        step: Option<String>,
        #[command(flatten)]
        target: QueryTarget,
    },
}

#[derive(Debug, Args)]
pub(crate) struct QueryTarget {
    /// Base URL of the watchfire (or Prometheus) to ask.
    #[arg(long, default_value = "http://127.0.0.1:9480", env = "WATCHFIRE_URL")]
    pub(crate) url: String,
    /// File with the bearer token.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// How to print: promql, json.
    #[arg(long, default_value = "promql")]
    pub(crate) format: QueryFormat,
    /// Print the plan instead of asking.
    #[arg(long)]
    pub(crate) explain: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum QueryFormat {
    Promql,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
}

#[cfg(test)]
mod tests {
    use super::{Cli, Command};
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_work_with_and_without_serve() {
        for line in [
            vec!["watchfire", "--web.listen-address", ":9480", "--storage.tsdb.path=/x"],
            vec!["watchfire", "serve", "--web.listen-address=:9480", "--storage.path", "/x"],
        ] {
            let cli = Cli::parse_from(line);
            let args = match cli.command {
                Some(Command::Serve(args)) => *args,
                _ => cli.serve,
            };
            assert_eq!(args.listen, [":9480".parse().expect("valid")]);
            assert_eq!(args.storage_path.as_deref(), Some(std::path::Path::new("/x")));
        }
    }

    #[test]
    fn bounds_of_queries_are_checked() {
        let cli = Cli::parse_from(["watchfire", "--query.timeout=1m30s", "--query.max-samples", "7"]);
        assert_eq!((cli.serve.query_timeout.as_secs(), cli.serve.query_max_samples), (90, 7));
        assert_eq!((cli.serve.query_max_concurrency, cli.serve.query_lookback_delta.as_secs()), (20, 300));
        for bad in ["timeout=0s", "timeout=soon", "max-samples=0", "max-concurrency=0", "max-concurrency=100000"] {
            let flag = format!("--query.{bad}");
            let error = Cli::try_parse_from(["watchfire", &flag]).expect_err(bad).to_string();
            assert!(error.contains("--query."), "{error}");
        }
    }

    #[test]
    fn a_bad_address_says_what_was_expected() {
        let error = Cli::try_parse_from(["watchfire", "--web.listen-address", "nope"]).expect_err("bad");
        assert!(error.to_string().contains("expected HOST:PORT"), "{error}");
    }
}
