//! Flags of `watchfire tsdb`; names follow promtool's where it has the command.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(crate) enum TsdbCommand {
    /// Say what takes the room: bytes per sample, largest metrics and labels, churn.
    Analyze {
        #[command(flatten)]
        place: Place,
        /// Only series that this selector matches count among metrics and labels; may be repeated.
        #[arg(long = "match", value_name = "SELECTOR")]
        matches: Vec<String>,
        /// Entries of each list.
        #[arg(long, default_value_t = 20)]
        limit: usize,
        /// How to print.
        #[arg(long, default_value = "text")]
        format: ReportFormat,
    },
    /// Walk over every checksum; exit code 1 and the place where something is damaged.
    Verify {
        #[command(flatten)]
        place: Place,
    },
    /// List the segments.
    List {
        #[command(flatten)]
        place: Place,
        /// Times and sizes for people.
        #[arg(short = 'r', long)]
        human_readable: bool,
    },
    /// Print samples as promtool does, `{labels} value milliseconds` a line. No privacy setting applies: what leaves the
    /// machine is made with export.
    Dump {
        #[command(flatten)]
        place: Place,
        /// Only series that this selector matches; may be repeated.
        #[arg(long = "match", value_name = "SELECTOR")]
        matches: Vec<String>,
        /// First time, in milliseconds since 1970.
        #[arg(long, value_name = "MS", allow_hyphen_values = true)]
        min_time: Option<i64>,
        /// Last time, in milliseconds since 1970.
        #[arg(long, value_name = "MS", allow_hyphen_values = true)]
        max_time: Option<i64>,
    },
    /// Write samples into a file, with a manifest beside it. Privacy settings of the configuration file apply.
    Export {
        #[command(flatten)]
        place: Place,
        /// Form of the file.
        #[arg(long, default_value = "openmetrics")]
        format: FileFormat,
        /// Only series that this selector matches; may be repeated.
        #[arg(long = "match", value_name = "SELECTOR")]
        matches: Vec<String>,
        /// First time (RFC 3339 or Unix seconds).
        #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
        from: Option<String>,
        /// Last time (RFC 3339 or Unix seconds).
        #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
        to: Option<String>,
        /// File, or directory (export.om|csv|jsonl in it), with export-manifest.json beside it. Without: samples on
        /// standard output, the manifest on standard error.
        #[arg(long, value_name = "FILE|DIR")]
        out: Option<PathBuf>,
    },
    /// Bring samples from files into the history. The daemon must not run.
    Import {
        #[command(flatten)]
        place: Place,
        /// Form of the files; by their names without.
        #[arg(long)]
        format: Option<FileFormat>,
        /// Files: OpenMetrics with timestamps (.om, .prom, .txt), .csv, .jsonl.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Copy the history as it is committed into a directory; a running daemon is asked to do it.
    Snapshot {
        #[command(flatten)]
        place: Place,
        /// Directory of the copy; must have no ring yet.
        dir: PathBuf,
        /// Base URL of the daemon, should it run (it needs --web.enable-admin-api).
        #[arg(long, default_value = "http://127.0.0.1:9480", env = "WATCHFIRE_URL")]
        url: String,
        /// File with the daemon's bearer token.
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
    },
}

/// Where the history is.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Directory of the history; as for the daemon without.
    #[arg(long = "storage.path", alias = "storage.tsdb.path", value_name = "DIR", env = "WATCHFIRE_STORAGE_PATH")]
    pub(crate) storage_path: Option<PathBuf>,
    /// Configuration file: its storage and privacy sections matter here.
    #[arg(long = "config.file", value_name = "FILE", env = "WATCHFIRE_CONFIG_FILE")]
    pub(crate) config_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    Openmetrics,
    Csv,
    Jsonl,
}
