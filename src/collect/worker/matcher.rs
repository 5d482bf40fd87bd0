//! Which group a process belongs to by itself.

use super::config::{WorkerConfig, WorkerMatcher};
use super::table::COMM_BYTES;
use super::template::{Facts, NameTemplate, base_name};
use crate::collect::system::bytes::label;

/// Longest group name; a template could make one from a whole command line.
const MAX_NAME_BYTES: usize = 128;

/// What is known about a process when it is matched.
#[derive(Default)]
pub(super) struct Candidate<'a> {
    pub(super) pid: i32,
    pub(super) comm: &'a str,
    /// Arguments, separated by NUL as the kernel has them; none for a kernel thread or a zombie.
    pub(super) cmdline: &'a [u8],
    pub(super) parent_comm: Option<&'a str>,
    /// Number and name of its effective user; read only when a matcher asks for it.
    pub(super) user: Option<(u32, &'a str)>,
    /// Its cgroups; read only when a matcher asks for them.
    pub(super) cgroups: &'a [String],
    /// Seconds since the epoch.
    pub(super) start_time: Option<f64>,
    /// Matchers whose pid file or port names this process, by their place.
    pub(super) named_by: &'a [(usize, i32)],
}

/// A match: the name of the group, whether descendants inherit it, and whether the user asked for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) group: String,
    pub(super) inherited: bool,
    pub(super) declared: bool,
    pub(super) expected: Option<u32>,
}

/// The compiled matchers.
pub(super) struct Matchers {
    list: Vec<(WorkerMatcher, NameTemplate)>,
    pub(super) needs_user: bool,
    pub(super) needs_cgroups: bool,
}

impl Matchers {
    /// Matchers with a problem are left out: whoever loads a configuration has reported them.
    pub(super) fn new(config: &WorkerConfig) -> Self {
        let usable = |matcher: &WorkerMatcher| Some((cut(matcher), NameTemplate::parse(&matcher.name).ok()?));
        let list: Vec<_> = config.groups.iter().filter_map(usable).collect();
        Self {
            needs_user: list.iter().any(|(matcher, name)| !matcher.user.is_empty() || name.names_user()),
            needs_cgroups: list
                .iter()
                .any(|(matcher, name)| !(matcher.cgroup.is_empty() && matcher.unit.is_empty()) || name.names_cgroups()),
            list,
        }
    }

    /// The groups that are shown even when nothing of them runs, with how many processes they should have.
    pub(super) fn declared(&self) -> impl Iterator<Item = (String, Option<u32>)> {
        let declared = self.list.iter().filter(|(matcher, _)| matcher.declared);
        declared.flat_map(|(matcher, name)| {
            let names = name.names(&matcher.comm, &matcher.exe).into_iter().map(shortened);
            names.filter(|name| !name.is_empty()).map(|name| (name, matcher.expected))
        })
    }

    /// The matchers by their place.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &WorkerMatcher)> {
        self.list.iter().map(|(matcher, _)| matcher).enumerate()
    }

    /// The group of the matcher at that place, if its name is known beforehand.
    pub(super) fn name_of(&self, place: usize) -> Option<&str> {
        self.list.get(place)?.1.constant()
    }

    /// Matchers whose group's name is known beforehand, with their place and that name.
    pub(super) fn named(&self) -> impl Iterator<Item = (usize, &str, &WorkerMatcher)> {
        self.list.iter().enumerate().filter_map(|(place, (matcher, name))| Some((place, name.constant()?, matcher)))
    }

    /// The group of a process by itself: the first matcher that takes it.
    pub(super) fn find(&self, candidate: &Candidate<'_>) -> Option<Match> {
        let joined = joined(candidate.cmdline);
        let first = candidate.cmdline.split(|byte| *byte == 0).next().unwrap_or_default();
        let exe = match first {
            // As process-exporter does for those without arguments.
            [] => std::borrow::Cow::Borrowed(candidate.comm),
            first => String::from_utf8_lossy(first),
        };
        self.list.iter().enumerate().find_map(|(place, (matcher, name))| {
            let captures = matches(matcher, place, candidate, &exe, &joined)?;
            let facts = Facts {
                comm: candidate.comm,
                exe: &exe,
                user: candidate.user.map_or("", |(_, name)| name),
                pid: candidate.pid,
                start_time: candidate.start_time,
                cgroups: candidate.cgroups,
                captures: &captures,
            };
            let group = shortened(name.render(&facts));
            let (inherited, declared, expected) = (matcher.children, matcher.declared, matcher.expected);
            (!group.is_empty()).then_some(Match { group, inherited, declared, expected })
        })
    }
}

fn shortened(mut group: String) -> String {
    group.truncate(group.floor_char_boundary(MAX_NAME_BYTES));
    group
}

fn cut(matcher: &WorkerMatcher) -> WorkerMatcher {
    let mut matcher = matcher.clone();
    for comm in matcher.comm.iter_mut().chain(&mut matcher.parent) {
        // Shown as the kernel's name is when that was cut inside a character.
        if let Some(bytes) = comm.as_bytes().get(..COMM_BYTES) {
            *comm = label(bytes).into_owned();
        }
    }
    matcher
}

/// The captures when every kind of selector that is given accepts the process.
fn matches(
    matcher: &WorkerMatcher,
    place: usize,
    candidate: &Candidate<'_>,
    exe: &str,
    joined: &str,
) -> Option<Vec<(String, String)>> {
    let one_of = |list: &[String], value: &str| list.is_empty() || list.iter().any(|entry| entry == value);
    let is_exe = |entry: &String| if entry.contains('/') { entry == exe } else { entry == base_name(exe) };
    let is_named = || candidate.named_by.contains(&(place, candidate.pid));
    let accepted = matcher.selects()
        && one_of(&matcher.comm, candidate.comm)
        // As process-exporter: what has no arguments, a kernel thread or a zombie, is no program.
        && (matcher.exe.is_empty() || candidate.cmdline.first().is_some_and(|byte| *byte != 0) && matcher.exe.iter().any(is_exe))
        && (matcher.parent.is_empty() || candidate.parent_comm.is_some_and(|parent| one_of(&matcher.parent, parent)))
        && (matcher.user.is_empty() || matcher.user.iter().any(|user| is_user(user, candidate.user)))
        && (matcher.cgroup.is_empty() || any(&matcher.cgroup, candidate.cgroups, is_below))
        && (matcher.unit.is_empty() || any(&matcher.unit, candidate.cgroups, runs_in_unit))
        && (matcher.pidfile.is_empty() && matcher.port.is_empty() || is_named());
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
    Some(found)
}

fn is_user(wanted: &str, user: Option<(u32, &str)>) -> bool {
    user.is_some_and(|(number, name)| wanted == name || wanted.parse() == Ok(number))
}

fn any(wanted: &[String], cgroups: &[String], accepts: fn(&str, &str) -> bool) -> bool {
    wanted.iter().any(|wanted| cgroups.iter().any(|cgroup| accepts(wanted, cgroup)))
}

/// Whether `cgroup` is `wanted` or below it.
fn is_below(wanted: &str, cgroup: &str) -> bool {
    let wanted = wanted.trim_end_matches('/');
    cgroup.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a part of the cgroup's path is the unit.
fn runs_in_unit(unit: &str, cgroup: &str) -> bool {
    let is_unit = |part: &str| part == unit || part.strip_suffix(".service") == Some(unit);
    cgroup.split('/').any(is_unit)
}

/// The arguments with blanks between them.
fn joined(cmdline: &[u8]) -> String {
    String::from_utf8_lossy(without_padding(cmdline)).replace('\0', " ")
}

/// A command line without the NULs at its end: a title that was written over longer arguments leaves many.
pub(super) fn without_padding(cmdline: &[u8]) -> &[u8] {
    let length = cmdline.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    cmdline.get(..length).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::{Candidate, Matchers};
    use crate::collect::worker::{WorkerConfig, WorkerMatcher};

    fn find(config: &WorkerConfig, comm: &str, cmdline: &str, parent: Option<&str>) -> String {
        let cmdline = cmdline.replace(' ', "\0");
        let cmdline = cmdline.as_bytes();
        let candidate = Candidate { pid: 7, comm, cmdline, parent_comm: parent, ..Candidate::default() };
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
    fn names_that_are_known_beforehand() {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        for (name, comm, exe, declared, expected) in [
            ("text", &["x"][..], &[][..], true, &["text"][..]),
            ("text", &["x"], &[], false, &[]),
            ("", &[], &["llama-server", "/opt/b/vllm"], true, &["llama-server", "vllm"]),
            ("{{.Comm}}", &["x", "longer-than-fifteen"], &[], true, &["x", "longer-than-fif"]),
            ("of {{.ExeBase}}", &["x"], &["e"], true, &["of e"]),
            ("", &["x"], &[], true, &[]),
            ("{{.Comm}}", &[], &["e"], true, &[]),
            ("{{.Comm}} of {{.Username}}", &["x"], &[], true, &[]),
            ("{{.Comm}} {{.ExeBase}}", &["x"], &["e"], true, &[]),
        ] {
            let name = name.to_owned();
            let (comm, exe) = (texts(comm), texts(exe));
            let matcher = WorkerMatcher { name, comm, exe, declared, expected: Some(2), ..Default::default() };
            let matchers = Matchers::new(&WorkerConfig::of(vec![matcher.clone()]));
            let found: Vec<_> = matchers.declared().collect();
            let expected: Vec<_> = expected.iter().map(|name| ((*name).to_owned(), Some(2))).collect();
            assert_eq!(found, expected, "{matcher:?}");
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
        let config = WorkerConfig::of(groups);
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

    #[test]
    fn users_cgroups_and_names_from_elsewhere() {
        let cgroups = ["/system.slice/llama.service/worker".to_owned()];
        let of = |matcher: WorkerMatcher, user: Option<(u32, &str)>, named_by: &[(usize, i32)]| {
            let matcher = WorkerMatcher { name: "g{{.Username}}".into(), ..matcher };
            let matchers = Matchers::new(&WorkerConfig::of(vec![matcher]));
            let candidate = Candidate { pid: 7, comm: "x", user, cgroups: &cgroups, named_by, ..Candidate::default() };
            matchers.find(&candidate).map_or("-".into(), |found| found.group)
        };
        let texts = |text: &str| vec![text.to_owned()];
        let user = |name: &str| WorkerMatcher { user: texts(name), ..Default::default() };
        let cgroup = |path: &str| WorkerMatcher { cgroup: texts(path), ..Default::default() };
        let unit = |name: &str| WorkerMatcher { unit: texts(name), ..Default::default() };
        let pidfile = || WorkerMatcher { pidfile: vec!["/run/x.pid".into()], ..Default::default() };
        for (matcher, who, named_by, expected) in [
            (user("bob"), Some((5, "bob")), &[][..], "gbob"),
            (user("5"), Some((5, "bob")), &[], "gbob"),
            (user("bo"), Some((5, "bob")), &[], "-"),
            (user("bob"), None, &[], "-"),
            (cgroup("/system.slice"), None, &[], "g"),
            (cgroup("/system.slice/llama.service/"), None, &[], "g"),
            (cgroup("/system.sl"), None, &[], "-"),
            (unit("llama"), None, &[], "g"),
            (unit("llama.service"), None, &[], "g"),
            (unit("lama"), None, &[], "-"),
            (pidfile(), None, &[(0, 7)], "g"),
            (pidfile(), None, &[(0, 8), (1, 7)], "-"),
        ] {
            assert_eq!(of(matcher.clone(), who, named_by), expected, "{matcher:?}");
        }
    }
}
