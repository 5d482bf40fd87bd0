//! What is on this machine and what is not, for the start banner and `doctor`.

use super::bytes::{lines, number};
use super::{Roots, SystemConfig};

/// One thing that was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What: `cpu`, `memory`, `disks`, `networks`, `pressure`, `sensors`, `gpu`.
    pub what: &'static str,
    /// Whether it is there.
    pub present: bool,
    /// What was found, or why it was not and what would be needed.
    pub detail: String,
}

impl Found {
    /// Something that is there.
    pub fn yes(what: &'static str, detail: impl Into<String>) -> Self {
        Self { what, present: true, detail: detail.into() }
    }

    /// Something that is not there, and why.
    pub fn no(what: &'static str, detail: impl Into<String>) -> Self {
        Self { what, present: false, detail: detail.into() }
    }
}

/// Looks at the machine once. No port is probed and no process is asked.
pub fn detect(config: &SystemConfig) -> Vec<Found> {
    let roots = &config.roots;
    if !roots.proc.is_dir() {
        let why = match cfg!(target_os = "linux") {
            true => format!("{} is no folder: see --path.procfs", roots.proc.display()),
            false => "no proc file system here: sysinfo is used, with fewer figures".to_owned(),
        };
        return vec![Found::no("proc", why)];
    }
    vec![cpu(roots), memory(roots), disks(config), networks(config), pressure(roots), sensors(roots)]
}

fn cpu(roots: &Roots) -> Found {
    let path = roots.proc.join("stat");
    let Ok(stat) = std::fs::read(&path) else {
        return Found::no("cpu", format!("{} cannot be read", path.display()));
    };
    let cores = lines(&stat).filter(|line| line.starts_with(b"cpu") && line.get(3) != Some(&b' ')).count();
    let info = std::fs::read_to_string(roots.proc.join("cpuinfo")).unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or(String::new(), |(_, name)| format!(", {}", name.trim()));
    Found::yes("cpu", format!("{cores} cores{model}"))
}

fn memory(roots: &Roots) -> Found {
    let info = std::fs::read(roots.proc.join("meminfo")).unwrap_or_default();
    let kib = |name: &[u8]| {
        let rest = lines(&info).find_map(|line| line.strip_prefix(name))?.trim_ascii();
        number(rest.strip_suffix(b" kB")?)
    };
    let gib = |kib: u64| kib as f64 / f64::from(1u32 << 20);
    match (kib(b"MemTotal:"), kib(b"SwapTotal:")) {
        (Some(total), swap) => {
            let swap = swap.filter(|swap| *swap > 0);
            let swap = swap.map_or("no swap".to_owned(), |swap| format!("{:.1} GiB swap", gib(swap)));
            Found::yes("memory", format!("{:.1} GiB, {swap}", gib(total)))
        }
        (None, _) => Found::no("memory", format!("{} tells no MemTotal", roots.proc.join("meminfo").display())),
    }
}

fn disks(config: &SystemConfig) -> Found {
    let stats = std::fs::read_to_string(config.roots.proc.join("diskstats")).unwrap_or_default();
    let names = stats.lines().filter_map(|line| line.split_whitespace().nth(2));
    list("disks", names.filter(|name| config.options.disks.shows(name.as_bytes())).collect())
}

fn networks(config: &SystemConfig) -> Found {
    let dev = std::fs::read_to_string(config.roots.proc.join("net/dev")).unwrap_or_default();
    let names = dev.lines().filter(|line| !line.contains('|')).filter_map(|line| line.rsplit_once(':'));
    list(
        "networks",
        names.map(|(name, _)| name.trim()).filter(|name| config.options.interfaces.shows(name.as_bytes())).collect(),
    )
}

fn list(what: &'static str, names: Vec<&str>) -> Found {
    const SHOWN: usize = 8;
    match names.len() {
        0 => Found::no(what, "none that is not excluded"),
        count if count <= SHOWN => Found::yes(what, names.join(", ")),
        count => Found::yes(what, format!("{}, … ({count})", names.get(..SHOWN).unwrap_or_default().join(", "))),
    }
}

fn pressure(roots: &Roots) -> Found {
    match roots.proc.join("pressure/cpu").exists() {
        true => Found::yes("pressure", "PSI for cpu, io and memory"),
        false => {
            Found::no("pressure", "no /proc/pressure: needs Linux 4.20 and a kernel with CONFIG_PSI (boot with psi=1)")
        }
    }
}

fn sensors(roots: &Roots) -> Found {
    match super::sensors::count(roots) {
        0 => Found::no("sensors", "no hwmon chip and no thermal zone: usual in virtual machines"),
        count => Found::yes("sensors", format!("{count} temperature sensors")),
    }
}

#[cfg(test)]
mod tests {
    use super::detect;
    use crate::collect::system::{Roots, SystemConfig};
    use crate::collect::testing::put;

    #[test]
    fn tells_what_is_there_and_what_is_not() {
        let root = tempfile::tempdir().unwrap();
        let config = SystemConfig { roots: Roots::under(root.path()), ..SystemConfig::default() };
        assert!(matches!(&detect(&config)[..], [found] if found.what == "proc" && !found.present));
        std::fs::create_dir(root.path().join("proc")).unwrap();
        assert!(matches!(&detect(&config)[..], [cpu, _, ..] if cpu.what == "cpu" && !cpu.present));
        put(root.path(), "proc/stat", "cpu  1 2\ncpu0 1 2\ncpu1 1 2\n");
        put(root.path(), "proc/cpuinfo", "model name\t: Quick One\n");
        put(root.path(), "proc/meminfo", "MemTotal:       2097152 kB\n");
        put(root.path(), "proc/diskstats", " 8 0 sda 1\n 8 1 sda1 1\n");
        let found: Vec<String> =
            detect(&config).iter().map(|f| format!("{} {} {}", f.what, f.present, f.detail)).collect();
        assert_eq!(
            found[..4],
            [
                "cpu true 2 cores, Quick One",
                "memory true 2.0 GiB, no swap",
                "disks true sda",
                "networks false none that is not excluded"
            ]
        );
        assert!(found[4].starts_with("pressure false") && found[5].starts_with("sensors false"));
    }
}
