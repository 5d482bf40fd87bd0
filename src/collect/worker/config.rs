//! Which processes form which group, in process-exporter's words.

use std::path::PathBuf;
use std::time::Duration;

use regex::Regex;

use super::template::{NameTemplate, TemplateError};

/// How long a process may be there before it is seen, at most: listing a thousand processes costs more than reading fifty.
const SCAN_INTERVAL: Duration = Duration::from_secs(2);

/// The most processes that may be expected of a group.
pub const MAX_EXPECTED: u32 = 100_000;

/// Configuration of the worker collector.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Tried in order for each process; the first that matches decides.
    pub groups: Vec<WorkerMatcher>,
    /// Time between two listings of all processes. Members of groups are read at every tick, newcomers are found by a
    /// listing: a process that lives shorter than this may never be seen.
    pub scan_interval: Duration,
    /// Publish `namedprocess_namegroup_*` beside `worker_group_*`: process-exporter's names, for its dashboards and rules.
    pub process_exporter_names: bool,
}

/// Processes that belong to one group. Kinds of selectors are joined by AND; at least one kind must be given.
#[derive(Debug, Clone, Default)]
pub struct WorkerMatcher {
    /// Name of the group: text, or a template with `{{.Comm}}`, `{{.ExeBase}}`, `{{.ExeFull}}`, `{{.Username}}`, `{{.PID}}`,
    /// `{{.StartTime}}`, `{{.Cgroups}}` and `{{.Matches.x}}` or `{{index .Matches "x"}}` for a named capture of `cmdline`; `{{- ` and
    /// ` -}}` take blanks away. Empty means `{{.ExeBase}}`.
    pub name: String,
    /// One of these is the process's name as the kernel has it (at most 15 bytes; longer entries are cut to that).
    pub comm: Vec<String>,
    /// One of these is the first argument: its last path part, or all of it when the entry has a slash.
    pub exe: Vec<String>,
    /// All of these match the arguments joined by blanks.
    pub cmdline: Vec<Regex>,
    /// One of these is the kernel's name of the parent process.
    pub parent: Vec<String>,
    /// One of these users' (name or number) is its effective user.
    pub user: Vec<String>,
    /// One of these is its cgroup, or one above it: `/system.slice/llama.service`, `/user.slice`.
    pub cgroup: Vec<String>,
    /// One of these systemd units runs it; `.service` may be left out.
    pub unit: Vec<String>,
    /// One of these files holds its number.
    pub pidfile: Vec<PathBuf>,
    /// It listens on one of these TCP ports.
    pub port: Vec<u16>,
    /// Descendants that match nothing themselves belong to the group too.
    pub children: bool,
    /// How many processes the group should have, at most [`MAX_EXPECTED`].
    pub expected: Option<u32>,
    /// Shown with 0 processes when none runs; false for the built-in guesses, which appear when they are seen.
    pub declared: bool,
}

/// The kinds of selectors.
const SELECTORS: &str = "comm, exe, cmdline, parent, user, cgroup, unit, pidfile or port";

/// What is wrong with a matcher.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkerConfigError {
    /// It would match every process.
    #[error("worker group {name:?} selects nothing: give it {SELECTORS}")]
    NoSelector {
        /// Its name.
        name: String,
    },
    /// Its name is not a template.
    #[error("name of worker group {name:?}: {source}")]
    Name {
        /// The name as written.
        name: String,
        /// What is wrong with it.
        source: TemplateError,
    },
}

impl Default for WorkerConfig {
    /// Well-known servers, trainers and agents of AI work, each shown once it has been seen.
    fn default() -> Self {
        Self::of(well_known())
    }
}

impl WorkerConfig {
    /// These groups, with the usual times and names.
    pub fn of(groups: Vec<WorkerMatcher>) -> Self {
        Self { groups, scan_interval: SCAN_INTERVAL, process_exporter_names: false }
    }

    /// All that is wrong, in order.
    pub fn problems(&self) -> Vec<WorkerConfigError> {
        self.groups.iter().filter_map(|matcher| matcher.problem()).collect()
    }
}

impl WorkerMatcher {
    /// Whether any selector is given.
    pub(super) fn selects(&self) -> bool {
        let texts = [&self.comm, &self.exe, &self.parent, &self.user, &self.cgroup, &self.unit];
        texts.iter().any(|list| !list.is_empty())
            || !(self.cmdline.is_empty() && self.pidfile.is_empty() && self.port.is_empty())
    }

    fn problem(&self) -> Option<WorkerConfigError> {
        let name = self.name.clone();
        if !self.selects() {
            return Some(WorkerConfigError::NoSelector { name });
        }
        let template = NameTemplate::parse(&self.name).and_then(|template| self.check_captures(&template));
        template.err().map(|source| WorkerConfigError::Name { name, source })
    }

    fn check_captures(&self, template: &NameTemplate) -> Result<(), TemplateError> {
        let known: Vec<&str> = self.cmdline.iter().flat_map(|regex| regex.capture_names().flatten()).collect();
        let Some(unknown) = template.captures().find(|name| !known.contains(name)) else { return Ok(()) };
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Err(TemplateError::Capture { name: unknown.to_owned(), known })
    }
}

fn well_known() -> Vec<WorkerMatcher> {
    let comm = |name: &str, comms: &[&str]| WorkerMatcher {
        name: name.to_owned(),
        comm: comms.iter().map(|&comm| comm.to_owned()).collect(),
        children: true,
        ..WorkerMatcher::default()
    };
    let cmdline = |name: &str, pattern: &str| WorkerMatcher {
        name: name.to_owned(),
        cmdline: vec![Regex::new(pattern).expect("a constant pattern, compiled by every test")],
        children: true,
        ..WorkerMatcher::default()
    };
    vec![
        comm("llama-server", &["llama-server"]),
        comm("llama-swap", &["llama-swap"]),
        comm("ollama", &["ollama", "ollama_llama_server"]),
        comm("lm-studio", &["lm-studio", "LM Studio", "llmster"]),
        comm("triton", &["tritonserver"]),
        comm("tgi", &["text-generation-launcher", "text-generation-router"]),
        cmdline("vllm", r"(^|[/ ])vllm( |$)|\bvllm\.entrypoints\.|^VLLM::"),
        cmdline("sglang", r"^sglang::|\bsglang\.launch_server\b|\bsglang_router\b|(^|/)sglang serve"),
        cmdline("litellm", r"(^|[/ ])litellm( |$)"),
        cmdline("comfyui", r"(?i)python[^ ]* .*\bcomfyui\b"),
        cmdline("mcp-server", r"@modelcontextprotocol/|\bmcp[-_]server\b|\bserver-mcp\b"),
        comm("agent", &["claude", "codex", "opencode", "aider", "gemini", "goose"]),
        cmdline("jupyter", r"\bjupyter-(lab|notebook|server)\b|\bipykernel_launcher\b"),
        cmdline(
            "training",
            r"(^|[/ ])(torchrun|deepspeed|accelerate)( |$)|\btorch\.distributed\.(run|launch)\b|python[^ ]* (-\S+ )*\S*(train|finetune)\w*\.py",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::{WorkerConfig, WorkerMatcher};

    #[test]
    fn problems_are_told_all_at_once() {
        assert_eq!(WorkerConfig::default().problems(), []);
        let comm = || vec!["x".to_owned()];
        let groups = vec![
            WorkerMatcher { name: "a".into(), ..WorkerMatcher::default() },
            WorkerMatcher { name: "{{.Pid}}".into(), comm: comm(), ..WorkerMatcher::default() },
            WorkerMatcher { name: "{{.Comm".into(), comm: comm(), ..WorkerMatcher::default() },
            WorkerMatcher { name: "{{.Matches.x}}".into(), comm: comm(), ..WorkerMatcher::default() },
            WorkerMatcher {
                name: "{{.ExeBase}}:{{.Matches.Cfgfile}} {{.Matches.typo}}".into(),
                cmdline: vec![regex::Regex::new(r"-c (?P<Cfgfile>\S+) (?P<more>.)").unwrap()],
                ..WorkerMatcher::default()
            },
        ];
        let text: Vec<String> = WorkerConfig::of(groups).problems().iter().map(ToString::to_string).collect();
        assert_eq!(
            text,
            [
                r#"worker group "a" selects nothing: give it comm, exe, cmdline, parent, user, cgroup, unit, pidfile or port"#,
                r#"name of worker group "{{.Pid}}": unknown field .Pid: expected .Comm, .ExeBase, .ExeFull, .Username, .PID, .StartTime, .Cgroups, .Matches.NAME or index .Matches "NAME""#,
                r#"name of worker group "{{.Comm": {{ without }}"#,
                r#"name of worker group "{{.Matches.x}}": no capture "x": patterns of cmdline have none"#,
                r#"name of worker group "{{.ExeBase}}:{{.Matches.Cfgfile}} {{.Matches.typo}}": no capture "typo": patterns of cmdline have Cfgfile, more"#,
            ]
        );
    }
}
