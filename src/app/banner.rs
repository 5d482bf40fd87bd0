//! What a start says to the person at the terminal: what was detected, what was not and why, where data lives, the URL.

use crate::clock::Clock;
use crate::collect::gpu::{self, GpuConfig};
use crate::collect::system::{Found, SystemConfig, detect};
use crate::config::CollectorFamily;
use crate::telemetry::BUILD;

use super::Settings;

/// Everything that was looked for on this machine.
pub fn detected(settings: &Settings) -> Vec<Found> {
    let mut found = detect(&SystemConfig { roots: settings.roots.clone(), ..SystemConfig::default() });
    if settings.config.collectors.has(CollectorFamily::Gpu) {
        let config = GpuConfig { roots: settings.roots.clone(), ..settings.config.collectors.gpu.clone() };
        found.push(gpu::detect(&config, Clock::System.now()));
    }
    found
}

/// The start banner. `rules` are the counts of groups and rules.
pub fn banner(settings: &Settings, url: &str, groups: usize, rules: usize) -> String {
    let mut out = format!("watchfire {}   {url}\n", BUILD.version);
    let mut line = |name: &str, text: &str| out.push_str(&format!("  {name:<10} {text}\n"));
    if settings.demo.is_some() {
        line("demo", "a synthetic machine: every number is made up, nothing is kept");
    } else {
        let found = detected(settings);
        let seen: Vec<String> =
            found.iter().filter(|item| item.present).map(|item| format!("{} {}", item.what, item.detail)).collect();
        line("watching", &seen.join(" · "));
        for item in found.iter().filter(|item| !item.present) {
            line("not seen", &format!("{}: {}", item.what, item.detail));
        }
        let ring = settings.ring();
        line(
            "history",
            &format!(
                "{} ({} MB, {} days at most)",
                ring.path.display(),
                ring.retention_size_bytes >> 20,
                ring.retention_time.as_secs() / 86_400
            ),
        );
    }
    let config =
        settings.config_file.as_ref().map_or("built-in defaults".to_owned(), |file| file.display().to_string());
    line("config", &config);
    line("rules", &format!("{rules} in {groups} groups"));
    line("metrics", &format!("{url}/metrics"));
    line("stop", "Ctrl-C; watchfire doctor says why something is missing");
    out
}
