//! What a cgroup is, by its name: systemd's units, and the containers of the usual runtimes.

/// Letters of a container's id that are shown as its name, as `docker ps` does.
const SHORT_ID: usize = 12;
/// Shortest text of hexadecimal digits that is taken for a container's id.
const MIN_ID: usize = 32;
/// Hexdigits of the ids that OCI runtimes make up. A name of exactly so many is one, whatever is above it.
const WHOLE_ID: usize = 64;

/// What a cgroup holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The whole machine, or the whole container that we are in.
    Root,
    Slice,
    Service,
    Scope,
    Container,
    /// Made by neither systemd nor a known runtime.
    Other,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Slice => "slice",
            Self::Service => "service",
            Self::Scope => "scope",
            Self::Container => "container",
            Self::Other => "other",
        }
    }
}

/// What is known of a cgroup by its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) kind: Kind,
    /// The unit's name, or the container's short id or name.
    pub(super) name: String,
    /// Who runs the container; empty for anything else.
    pub(super) runtime: &'static str,
    /// The container's whole id or name; empty for anything else.
    pub(super) container: String,
    /// The Kubernetes pod that it belongs to; empty where there is none.
    pub(super) pod: String,
}

/// Prefixes of systemd scopes that runtimes make, with `-<id>.scope` behind them.
const SCOPES: [(&str, &str); 5] = [
    ("docker-", "docker"),
    ("libpod-", "podman"),
    ("cri-containerd-", "containerd"),
    ("crio-", "cri-o"),
    ("nerdctl-", "containerd"),
];

/// Prefixes of folders that runtimes make without systemd.
const FOLDERS: [(&str, &str); 4] =
    [("libpod-", "podman"), ("crio-", "cri-o"), ("lxc.payload.", "lxc"), ("docker-", "docker")];

/// Words between colons, `<slice>:cri-containerd:<id>`: runtimes without systemd's driver on a machine with systemd.
const COLONS: [(&str, &str); 4] =
    [("cri-containerd", "containerd"), ("crio", "cri-o"), ("docker", "docker"), ("libpod", "podman")];

/// Units that hold no processes of their own or that are part of what starts a container.
const HELPERS: [&str; 5] = ["libpod-conmon-", "crio-conmon-", "lxc.monitor.", "lxc.pivot", "conmon"];

/// What the cgroup at `path` is (`/` is the root). `None` for what is not worth series: mounts, sockets, swaps, helpers.
pub(super) fn classify(path: &str) -> Option<Name> {
    let plain = |kind, name: &str| {
        Some(Name { kind, name: name.into(), runtime: "", container: String::new(), pod: pod(path) })
    };
    if path == "/" {
        return plain(Kind::Root, "/");
    }
    let (parent, last) = path.rsplit_once('/').unwrap_or(("", path));
    let is_unit_without_processes = [".mount", ".socket", ".swap"].iter().any(|end| last.ends_with(end));
    if is_unit_without_processes || HELPERS.iter().any(|helper| last.starts_with(helper)) {
        return None;
    }
    if let Some((runtime, id)) = container(parent, last) {
        let name = if is_id(id) { id.get(..SHORT_ID).unwrap_or(id) } else { id };
        return Some(Name { kind: Kind::Container, name: name.into(), runtime, container: id.into(), pod: pod(path) });
    }
    match last {
        _ if last.ends_with(".slice") => plain(Kind::Slice, last),
        _ if last.ends_with(".service") => plain(Kind::Service, last),
        _ if last.ends_with(".scope") => plain(Kind::Scope, last),
        _ => plain(Kind::Other, last),
    }
}

/// Whether cgroups below one of this kind are shown only when they are themselves units or containers: what a service or
/// a container makes inside of it is its own affair.
pub(super) fn hides_others(kind: Kind) -> bool {
    matches!(kind, Kind::Service | Kind::Scope | Kind::Container)
}

/// Runtime and id or name of a container.
fn container<'p>(parent: &str, last: &'p str) -> Option<(&'static str, &'p str)> {
    if let Some(unit) = last.strip_suffix(".scope") {
        return SCOPES.iter().find_map(|(prefix, runtime)| {
            let id = unit.strip_prefix(prefix)?;
            is_id(id).then_some((*runtime, id))
        });
    }
    for (prefix, runtime) in FOLDERS {
        if let Some(id) = last.strip_prefix(prefix)
            && (runtime == "lxc" || is_id(id))
            && !id.is_empty()
        {
            return Some((runtime, id));
        }
    }
    let mut parts = last.rsplit(':');
    if let (Some(id), Some(word), Some(_)) = (parts.next(), parts.next(), parts.next())
        && let Some((_, runtime)) = COLONS.iter().find(|(known, _)| *known == word)
        && is_id(id)
    {
        return Some((runtime, id));
    }
    let folder = parent.rsplit('/').next().unwrap_or_default();
    match folder {
        "docker" if is_id(last) => Some(("docker", last)),
        "lxc" | "lxc.payload" => Some(("lxc", last)),
        _ if is_id(last) && (parent.contains("kubepods") || pod_of(folder).is_some()) => Some(("containerd", last)),
        // Below ECS's tasks, GitHub's jobs or any --cgroup-parent: who runs it is not to be seen.
        _ if is_id(last) && last.len() == WHOLE_ID => Some(("", last)),
        // Slurm's jobs hold containers' place on machines of many users.
        _ if parent.contains("slurm") && is_job(last) => Some(("slurm", last)),
        _ => None,
    }
}

/// `job_123`.
fn is_job(name: &str) -> bool {
    name.strip_prefix("job_")
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_id(text: &str) -> bool {
    text.len() >= MIN_ID && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The pod of a path: `pod<uid>` below `kubepods`, with `_` for `-` in systemd's names.
fn pod(path: &str) -> String {
    if !path.contains("kubepods") {
        return String::new();
    }
    path.split(['/', ':']).find_map(pod_of).unwrap_or_default()
}

fn pod_of(folder: &str) -> Option<String> {
    let unit = folder.strip_suffix(".slice").unwrap_or(folder);
    let uid = match unit.rsplit_once("-pod") {
        Some((before, uid)) if before.starts_with("kubepods") => uid,
        _ => unit.strip_prefix("pod")?,
    };
    let is_uid = uid.len() >= MIN_ID && uid.bytes().all(|byte| byte.is_ascii_hexdigit() || b"-_".contains(&byte));
    is_uid.then(|| uid.replace('_', "-"))
}

#[cfg(test)]
mod tests {
    use super::classify;

    #[test]
    fn units_and_containers_of_the_usual_runtimes() {
        let id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        let uid = "6a1d3e2f-1111-2222-3333-444455556666";
        let unit_uid = uid.replace('-', "_");
        let cases = [
            ("/".to_owned(), "root / "),
            ("/system.slice".into(), "slice system.slice "),
            ("/system.slice/ssh.service".into(), "service ssh.service "),
            ("/system.slice/dev-mqueue.mount".into(), ""),
            ("/system.slice/dbus.socket".into(), ""),
            ("/user.slice/user-0.slice/session-1.scope".into(), "scope session-1.scope "),
            (format!("/system.slice/docker-{id}.scope"), "container 0123456789ab docker"),
            (format!("/docker/{id}"), "container 0123456789ab docker"),
            ("/docker".into(), "other docker "),
            ("/docker/buildx".into(), "other buildx "),
            (format!("/machine.slice/libpod-{id}.scope"), "container 0123456789ab podman"),
            (format!("/machine.slice/libpod-conmon-{id}.scope"), ""),
            (format!("/libpod_parent/libpod-{id}"), "container 0123456789ab podman"),
            (format!("/kubepods/besteffort/pod{uid}/{id}"), "container 0123456789ab containerd 6a1d3e2f"),
            (
                format!(
                    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{unit_uid}.slice/cri-containerd-{id}.scope"
                ),
                "container 0123456789ab containerd 6a1d3e2f",
            ),
            (
                format!("/kubepods.slice/kubepods-pod{unit_uid}.slice/crio-{id}.scope"),
                "container 0123456789ab cri-o 6a1d3e2f",
            ),
            (format!("/kubepods.slice/kubepods-pod{unit_uid}.slice"), "slice kubepods-pod"),
            (format!("/ecs/abcdef/{id}"), "container 0123456789ab  "),
            (format!("/actions_job/{id}"), "container 0123456789ab  "),
            (format!("/system.slice/build.service/{id}"), "container 0123456789ab  "),
            (
                format!("/system.slice/containerd.service/kubepods-burstable-pod{unit_uid}.slice:cri-containerd:{id}"),
                "container 0123456789ab containerd 6a1d3e2f",
            ),
            (format!("/system.slice:docker:{id}"), "container 0123456789ab docker "),
            (format!("/system.slice:unknown:{id}"), "other system.slice:unknown"),
            (format!("/x/{}", &id[..63]), "other 0123456789abcdef"),
            (format!("/x/{id}0"), "other 0123456789abcdef"),
            (format!("/x/{}g", &id[..63]), "other 0123456789abcdef"),
            ("/system.slice/slurmstepd.scope/job_17".into(), "container job_17 slurm"),
            ("/slurm/uid_0/job_x".into(), "other job_x"),
            ("/lxc.payload.web".into(), "container web lxc"),
            ("/lxc/web".into(), "container web lxc"),
            ("/lxc.monitor.web".into(), ""),
            ("/docker-short.scope".into(), "scope docker-short.scope "),
            ("/weird\u{fc}".into(), "other weird"),
        ];
        for (path, expected) in cases {
            let found = classify(&path).map_or(String::new(), |name| {
                format!("{} {} {} {}", name.kind.as_str(), name.name, name.runtime, name.pod)
            });
            assert!(found.starts_with(expected) && found.is_empty() == expected.is_empty(), "{path}: {found:?}");
        }
    }
}
