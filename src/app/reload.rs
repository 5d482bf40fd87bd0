//! Reload: a good file changes scrapes, models and rules; a bad one changes nothing and says so.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::clock::Clock;
use crate::collect::llm::ModelPoller;
use crate::collect::scrape::Scraper;
use crate::config::{CollectorFamily, Config, StorageSection};
use crate::registry::{SeriesLimits, SeriesTable};
use crate::rules::RuleManager;
use crate::telemetry::OwnMetrics;

use super::Settings;

/// What a reload may change, and what it starts from.
pub(super) struct Reloader {
    pub(super) settings: Arc<Settings>,
    pub(super) config: RwLock<Config>,
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
        let config =
            Settings::read_config(self.settings.config_file.as_deref()).map_err(|errors| errors.to_string())?;
        self.runtime.block_on(self.apply(&config))?;
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        for section in only_at_start(&self.settings.config, &config) {
            tracing::warn!(
                section,
                "this section differs from the one at the start; it changes at the next start only"
            );
        }
        *self.config.write() = config;
        Ok(())
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
        // Before what may bring new series.
        self.table.set_limits(config.storage.limits);
        self.scraper.reload(config.scrape.clone()).await;
        let models = if config.collectors.has(CollectorFamily::Models) { config.models.clone() } else { Vec::new() };
        self.models.reload(models).await;
        Ok(())
    }
}

/// Sections in which something differs that a reload does not change.
fn only_at_start(running: &Config, new: &Config) -> Vec<&'static str> {
    // Without the parts that a reload does change: the limits of series, and whether models are asked.
    let storage = |config: &Config| StorageSection { limits: SeriesLimits::default(), ..config.storage.clone() };
    let collectors = |config: &Config| {
        let mut section = config.collectors.clone();
        section.enabled.retain(|family| *family != CollectorFamily::Models);
        section.enabled.sort_unstable();
        // What is printed shows every setting; not all of them can be compared.
        format!("{section:?}")
    };
    let sections = [
        ("global.external_labels", running.global.external_labels != new.global.external_labels),
        ("storage", storage(running) != storage(new)),
        ("collectors", collectors(running) != collectors(new)),
        ("workers", format!("{:?}", running.workers) != format!("{:?}", new.workers)),
    ];
    sections.into_iter().filter(|(_, differs)| *differs).map(|(section, _)| section).collect()
}

#[cfg(test)]
mod tests {
    use super::only_at_start;
    use crate::config::Config;

    #[test]
    fn sections_that_wait_for_the_next_start() {
        let check = |text: &str, expected: &[&str]| {
            let new = Config::parse("test.yml", text).expect(text);
            assert_eq!(only_at_start(&Config::default(), &new), expected, "{text}");
        };
        check("", &[]);
        check("storage: {limits: {series: 5000}}", &[]);
        check("collectors: {enabled: [gpu, system, workers]}", &[]);
        check("scrape_configs: [{job_name: a, static_configs: [{targets: ['h:1']}]}]", &[]);
        check("storage: {retention: {time: 1h}}", &["storage"]);
        check("storage: {path: elsewhere}", &["storage"]);
        check("collectors: {enabled: [system]}", &["collectors"]);
        check("collectors: {textfile: {directory: /tmp}}", &["collectors"]);
        check(
            "global: {external_labels: {a: b}}\nworkers: {groups: [{name: a, exe: [b]}]}",
            &["global.external_labels", "workers"],
        );
    }
}
