//! Which group a process belongs to by itself.

use super::config::{WorkerConfig, WorkerMatcher};
use super::template::{Facts, NameTemplate, base_name};

/// Longest group name; a template could make one from a whole command line.
const MAX_NAME_BYTES: usize = 128;

/// The kernel keeps 15 bytes of a process's name.
const COMM_BYTES: usize = 15;

/// What is known about a process when it is matched.
pub(super) struct Candidate<'a> {
    pub(super) pid: i32,
    pub(super) comm: &'a str,
    /// Arguments, separated by NUL as the kernel has them.
    pub(super) cmdline: &'a [u8],
    pub(super) parent_comm: Option<&'a str>,
}

/// A match: the name of the group, whether descendants inherit it, and whether the user asked for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) group: String,
    pub(super) inherited: bool,
    pub(super) declared: bool,
}

/// The compiled matchers.
pub(super) struct Matchers(Vec<(WorkerMatcher, NameTemplate)>);

impl Matchers {
    /// Matchers with a problem are left out: whoever loads a configuration has reported them.
    pub(super) fn new(config: &WorkerConfig) -> Self {
        let usable = |matcher: &WorkerMatcher| Some((cut(matcher), NameTemplate::parse(&matcher.name).ok()?));
        Self(config.groups.iter().filter_map(usable).collect())
    }

    /// Names of the groups that are shown even when nothing of them runs.
    pub(super) fn declared(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(matcher, _)| matcher.declared).filter_map(|(_, name)| name.constant())
    }

    /// The group of a process by itself: the first matcher that takes it.
    pub(super) fn find(&self, candidate: &Candidate<'_>) -> Option<Match> {
        let joined = joined(candidate.cmdline);
        let first = candidate.cmdline.split(|byte| *byte == 0).next().unwrap_or_default();
        let exe = String::from_utf8_lossy(first);
        self.0.iter().find_map(|(matcher, name)| {
            let captures = matches(matcher, candidate, &exe, &joined)?;
            let facts = Facts { comm: candidate.comm, exe: &exe, pid: candidate.pid, captures: &captures };
            let mut group = name.render(&facts);
            group.truncate(group.floor_char_boundary(MAX_NAME_BYTES));
            (!group.is_empty()).then_some(Match { group, inherited: matcher.children, declared: matcher.declared })
        })
    }
}

fn cut(matcher: &WorkerMatcher) -> WorkerMatcher {
    let mut matcher = matcher.clone();
    for comm in matcher.comm.iter_mut().chain(&mut matcher.parent) {
        comm.truncate(comm.floor_char_boundary(COMM_BYTES));
    }
    matcher
}

/// The captures when every kind of selector that is given accepts the process.
fn matches(
    matcher: &WorkerMatcher,
    candidate: &Candidate<'_>,
    exe: &str,
    joined: &str,
) -> Option<Vec<(String, String)>> {
    let one_of = |list: &[String], value: &str| list.is_empty() || list.iter().any(|entry| entry == value);
    let is_exe = |entry: &String| if entry.contains('/') { entry == exe } else { entry == base_name(exe) };
    let accepted = one_of(&matcher.comm, candidate.comm)
        && (matcher.exe.is_empty() || matcher.exe.iter().any(is_exe))
        && (matcher.parent.is_empty() || candidate.parent_comm.is_some_and(|parent| one_of(&matcher.parent, parent)));
    if !accepted {
        return None;
    }
    let mut found = Vec::new();
    for regex in &matcher.cmdline {
        let captures = regex.captures(joined)?;
        for name in regex.capture_names().flatten() {
            if let Some(value) = captures.name(name) {
                found.push((name.to_owned(), value.as_str().to_owned()));
            }
        }
    }
    let selects = !(matcher.comm.is_empty() && matcher.exe.is_empty() && matcher.parent.is_empty());
    (selects || !matcher.cmdline.is_empty()).then_some(found)
}

/// The arguments with blanks between them.
fn joined(cmdline: &[u8]) -> String {
    let text = cmdline.strip_suffix(b"\0").unwrap_or(cmdline);
    String::from_utf8_lossy(text).replace('\0', " ")
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::{Candidate, Matchers};
    use crate::collect::worker::{WorkerConfig, WorkerMatcher};

    fn find(config: &WorkerConfig, comm: &str, cmdline: &str, parent: Option<&str>) -> String {
        let cmdline = cmdline.replace(' ', "\0");
        let candidate = Candidate { pid: 7, comm, cmdline: cmdline.as_bytes(), parent_comm: parent };
        Matchers::new(config).find(&candidate).map_or("-".into(), |found| found.group)
    }

    #[test]
    fn well_known_workers() {
        let config = WorkerConfig::default();
        for (comm, cmdline, expected) in [
            ("llama-server", "/usr/bin/llama-server -m x.gguf", "llama-server"),
            ("vllm", "/opt/venv/bin/python3 /opt/venv/bin/vllm serve model", "vllm"),
            ("VLLM::EngineCor", "VLLM::EngineCore", "vllm"),
            ("python3", "python3 -m vllm.entrypoints.openai.api_server", "vllm"),
            ("python3", "python3 -m sglang.launch_server --port 1", "sglang"),
            ("sglang::schedul", "sglang::scheduler", "sglang"),
            ("ollama", "/usr/local/bin/ollama serve", "ollama"),
            ("text-generation", "text-generation-launcher --port 1", "tgi"),
            ("torchrun", "/usr/bin/python /usr/bin/torchrun train.py", "training"),
            ("python", "python -u finetune_lora.py --epochs 3", "training"),
            ("python", "python app.py", "-"),
            ("vim", "vim notes-on-vllm.md", "-"),
            ("node", "node node_modules/.bin/mcp-server-everything stdio", "mcp-server"),
            ("kthreadd", "", "-"),
        ] {
            assert_eq!(find(&config, comm, cmdline, None), expected, "{cmdline}");
        }
    }

    #[test]
    fn selectors_and_templates() {
        let regex = |text: &str| Regex::new(text).unwrap();
        let list = |entry: &str| vec![entry.to_owned()];
        let groups = vec![
            WorkerMatcher { name: "sh of {{.Comm}}".into(), parent: list("cron"), ..Default::default() },
            WorkerMatcher { name: "full".into(), exe: list("/bin/a"), ..Default::default() },
            WorkerMatcher {
                name: "{{.ExeBase}}:{{.Matches.port}}".into(),
                exe: list("a"),
                cmdline: vec![regex("x"), regex(r"-p (?P<port>\d+)")],
                ..Default::default()
            },
            WorkerMatcher { name: "none".into(), ..Default::default() },
            WorkerMatcher { name: "{{.Matches.no}}".into(), comm: list("y"), ..Default::default() },
            WorkerMatcher { comm: list("y"), ..Default::default() },
        ];
        let config = WorkerConfig { groups };
        for (comm, cmdline, parent, expected) in [
            ("a", "/bin/a", Some("cron"), "sh of a"),
            ("a", "/bin/a", Some("sh"), "full"),
            ("a", "/opt/a x -p 80", None, "a:80"),
            ("a", "/opt/a -p 80", None, "-"),
            ("y", "/opt/z", None, "z"),
        ] {
            assert_eq!(find(&config, comm, cmdline, parent), expected, "{cmdline}");
        }
    }
}
