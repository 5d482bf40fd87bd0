//! Reload: a good file changes collectors, worker groups, scrapes, models and rules; a bad one changes nothing and says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::clock::Clock;
use crate::collect::llm::ModelPoller;
use crate::collect::scrape::Scraper;
use crate::config::{CollectorFamily, Config, StorageSection};
use crate::registry::SeriesTable;
use crate::rules::RuleManager;
use crate::telemetry::OwnMetrics;

use super::Settings;
use super::collecting::Collecting;

/// What a reload may change, and what it starts from.
pub(super) struct Reloader {
    pub(super) settings: Arc<Settings>,
    /// What is in force.
    pub(super) config: RwLock<Config>,
    /// Sections whose newest version waits for the next start.
    pub(super) waiting: RwLock<Vec<&'static str>>,
    /// Files that a reload reads, as of the last one.
    pub(super) watched_files: AtomicU64,
    /// Files that targets are discovered in, as of the last tick: who asks for it waits for no lock of the scraper.
    pub(super) discovery_files: Arc<AtomicU64>,
    pub(super) collecting: Arc<Collecting>,
    /// Held while a reload goes on: a signal and a request may come together.
    pub(super) reloading: Mutex<()>,
    pub(super) url: String,
    pub(super) rules: RuleManager,
    pub(super) scraper: Arc<Scraper>,
    pub(super) models: Arc<ModelPoller>,
    pub(super) table: Arc<SeriesTable>,
    pub(super) own: Arc<OwnMetrics>,
    pub(super) clock: Clock,
    pub(super) runtime: tokio::runtime::Handle,
}

impl Reloader {
    /// Reads configuration and rules again. Blocking; call it outside the runtime's threads.
    ///
    /// # Errors
    /// Every mistake with its place; the old configuration stays in force.
    pub(super) fn reload(&self) -> Result<(), String> {
        let _alone = self.reloading.lock();
        let result = self.read_and_apply();
        self.own.config_loaded(result.is_ok(), self.clock.now());
        match &result {
            Ok(()) => tracing::info!("the configuration was reloaded"),
            Err(error) => tracing::error!(%error, "the configuration was not reloaded; the old one stays"),
        }
        result
    }

    fn read_and_apply(&self) -> Result<(), String> {
        let read = Settings::read_config(self.settings.config_file.as_deref()).map_err(|errors| errors.to_string())?;
        let (config, waiting) = in_force(&self.settings.config, read, self.settings.demo.is_some());
        self.runtime.block_on(self.apply(&config))?;
        let remade = self.collecting.reload(&config);
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        for section in &waiting {
            tracing::warn!(section, "this section differs from the one in force; it changes at the next start only");
        }
        *self.config.write() = config;
        *self.waiting.write() = waiting;
        remade.map(|_| ()).map_err(|error| format!("cannot start the thread of samples between ticks: {error}"))
    }

    /// The configuration in force, as YAML; what waits for the next start is named above it.
    pub(super) fn config_yaml(&self) -> String {
        let waiting = self.waiting.read();
        let notes = waiting.iter().map(|section| format!("# {section}: the file differs, the next start takes it\n"));
        notes.chain([self.config.read().to_yaml()]).collect()
    }

    /// Rules first: they are what can still be wrong.
    pub(super) async fn apply(&self, config: &Config) -> Result<(), String> {
        let rules = if self.settings.demo.is_some() {
            crate::rules::RulesConfig { shipped: true, ..self.settings.rules(config, &self.url) }
        } else {
            self.settings.rules(config, &self.url)
        };
        let summary = self.rules.load(rules).await.map_err(|errors| errors.to_string())?;
        summary.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        self.watched_files.store(self.count_files(), Ordering::Relaxed);
        // Before what may bring new series.
        self.table.set_limits(config.storage.limits);
        self.scraper.reload(config.scrape.clone()).await;
        let models = if config.collectors.has(CollectorFamily::Models) { config.models.clone() } else { Vec::new() };
        self.models.reload(models).await;
        Ok(())
    }

    fn count_files(&self) -> u64 {
        let stated =
            usize::from(self.settings.config_file.is_some()) + usize::from(self.settings.http.token_file.is_some());
        let mut rule_files: Vec<_> = self.rules.groups().iter().map(|group| group.spec.file.clone()).collect();
        rule_files.sort_unstable();
        rule_files.dedup();
        let on_disk = rule_files.iter().filter(|file| std::path::Path::new(&***file).is_file()).count();
        (stated + on_disk) as u64
    }
}

/// What a reload can put in force of what was read, and the sections that wait for the next start.
fn in_force(running: &Config, read: Config, is_demo: bool) -> (Config, Vec<&'static str>) {
    let mut config = read;
    let mut waiting = Vec::new();
    let labels = &running.global.external_labels;
    if config.global.external_labels != *labels {
        waiting.push("global.external_labels");
        config.global.external_labels.clone_from(labels);
        config.rules.external_labels.clone_from(labels);
    }
    // The limits of series do change.
    let storage = StorageSection { limits: config.storage.limits, ..running.storage.clone() };
    if config.storage != storage {
        waiting.push("storage");
        config.storage = storage;
    }
    // The demo has collectors of its own; models it asks like everybody.
    if is_demo {
        config.collectors.interval = running.collectors.interval;
    }
    (config, waiting)
}

#[cfg(test)]
mod tests {
    use super::in_force;
    use crate::config::Config;

    #[test]
    fn sections_that_wait_for_the_next_start() {
        let check = |text: &str, expected: &[&str]| {
            let new = Config::parse("test.yml", text).expect(text);
            let (config, waiting) = in_force(&Config::default(), new, false);
            assert_eq!(waiting, expected, "{text}");
            // What is shown is what is in force.
            let shown = config.to_yaml();
            assert!(!shown.contains("elsewhere") && !shown.contains("7h"), "{text}\n{shown}");
        };
        check("", &[]);
        check("storage: {limits: {series: 5000}}", &[]);
        check("collectors: {enabled: [gpu, system, workers]}", &[]);
        check("scrape_configs: [{job_name: a, static_configs: [{targets: ['h:1']}]}]", &[]);
        check("privacy: {redact: [user]}", &[]);
        check("workers: {groups: [{name: a, exe: [b]}]}", &[]);
        check("storage: {retention: {time: 7h}}", &["storage"]);
        check("storage: {path: elsewhere}", &["storage"]);
        check(
            "global: {external_labels: {a: elsewhere}}\nstorage: {path: elsewhere, limits: {series: 5000}}",
            &["global.external_labels", "storage"],
        );
    }
}
