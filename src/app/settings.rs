//! What a start is told: the configuration file, with the flags that win over it.

use std::path::{Path, PathBuf};

use crate::collect::system::Roots;
use crate::config::Config;
use crate::http::HttpConfig;
use crate::model::Labels;
use crate::promql::EngineConfig;
use crate::rules::RulesConfig;
use crate::storage;
use crate::telemetry::LogConfig;
use crate::yaml::YamlErrors;

/// Everything that a start needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The file that the configuration came from; `None` means defaults.
    pub config_file: Option<PathBuf>,
    /// The configuration.
    pub config: Config,
    /// Addresses, authentication, routes.
    pub http: HttpConfig,
    /// `--query.*`.
    pub queries: EngineConfig,
    /// `--storage.path`.
    pub storage_path: Option<PathBuf>,
    /// Where `/proc`, `/sys` and `/` are.
    pub roots: Roots,
    /// Seed of the synthetic machine, when it is to be shown.
    pub demo: Option<u64>,
    /// How to log.
    pub log: LogConfig,
    /// Flags with their values, for `/api/v1/status/flags`.
    pub flags: Vec<(String, String)>,
}

impl Settings {
    /// Reads the configuration anew, for a start or a reload.
    ///
    /// # Errors
    /// Every mistake of the file with its place.
    pub fn read_config(file: Option<&Path>) -> Result<Config, YamlErrors> {
        file.map_or_else(|| Ok(Config::default()), Config::load)
    }

    /// The directory of the history: flag, file, `$STATE_DIRECTORY`, then what fits the user.
    pub fn storage_dir(&self) -> PathBuf {
        Self::storage_dir_of(self.storage_path.as_ref(), &self.config)
    }

    /// The same for a command that is no start.
    pub fn storage_dir_of(flag: Option<&PathBuf>, config: &Config) -> PathBuf {
        let stated = flag.cloned().or_else(|| config.storage.path.clone());
        stated.unwrap_or_else(|| default_dir(&|name| std::env::var_os(name).map(PathBuf::from), is_root()))
    }

    /// The ring's configuration.
    pub fn ring(&self) -> storage::Config {
        storage::Config { path: self.storage_dir(), ..self.config.storage.ring.clone() }
    }

    /// The rules' configuration under the address that people use.
    pub fn rules(&self, config: &Config, url: &str) -> RulesConfig {
        let external_url = self.http.external_url.clone().unwrap_or_else(|| url.to_owned());
        RulesConfig { external_url, ..config.rules.clone() }
    }

    /// Labels of this machine.
    pub fn external_labels(&self) -> &Labels {
        &self.config.global.external_labels
    }
}

fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// `env` gives a variable's value; systemd sets `STATE_DIRECTORY`.
fn default_dir(env: &dyn Fn(&str) -> Option<PathBuf>, root: bool) -> PathBuf {
    if let Some(dir) = env("STATE_DIRECTORY") {
        return dir;
    }
    if root {
        return PathBuf::from("/var/lib/watchfire");
    }
    env("XDG_STATE_HOME")
        .or_else(|| env("HOME").map(|home| home.join(".local/state")))
        .map_or_else(|| PathBuf::from("watchfire-data"), |base| base.join("watchfire"))
}

#[cfg(test)]
mod tests {
    use super::default_dir;
    use std::path::PathBuf;

    #[test]
    fn the_directory_fits_the_user() {
        type Case<'a> = (&'a [(&'a str, &'a str)], bool, &'a str);
        let cases: &[Case<'_>] = &[
            (&[("STATE_DIRECTORY", "/s"), ("HOME", "/h")], false, "/s"),
            (&[("HOME", "/h")], true, "/var/lib/watchfire"),
            (&[("HOME", "/h"), ("XDG_STATE_HOME", "/x")], false, "/x/watchfire"),
            (&[("HOME", "/h")], false, "/h/.local/state/watchfire"),
            (&[], false, "watchfire-data"),
        ];
        for (env, root, expected) in cases {
            let found = default_dir(&|name| env.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into()), *root);
            assert_eq!(found, PathBuf::from(expected));
        }
    }
}
