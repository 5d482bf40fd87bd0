//! Reload: a good file changes scrapes, models and rules; a bad one changes nothing and says so.

use std::sync::Arc;

use parking_lot::RwLock;

use crate::clock::Clock;
use crate::collect::llm::ModelPoller;
use crate::collect::scrape::Scraper;
use crate::config::{CollectorFamily, Config};
use crate::registry::SeriesTable;
use crate::rules::RuleManager;
use crate::telemetry::OwnMetrics;

use super::Settings;

/// What a reload may change, and what it starts from.
pub(super) struct Reloader {
    pub(super) settings: Arc<Settings>,
    pub(super) config: RwLock<Config>,
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
