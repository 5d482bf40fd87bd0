//! Relabeling: rules that rewrite, keep and drop label sets, with Prometheus' actions and their exact meanings.
//!
//! Source: <https://prometheus.io/docs/prometheus/latest/configuration/configuration/#relabel_config>. Rules are checked when they are
//! made; applying them cannot fail.
//!
//! ```
//! use watchfire::model::LabelsBuilder;
//! use watchfire::relabel::{Action, RelabelConfig, RelabelRules};
//! let host = RelabelConfig {
//!     source_labels: Some(vec!["__address__".into()]),
//!     regex: "([^:]+):.*".into(),
//!     target_label: "host".into(),
//!     ..RelabelConfig::default()
//! };
//! let rules = RelabelRules::new(vec![host]).unwrap();
//! let mut labels = LabelsBuilder::new().set("__address__", "db:9100");
//! assert!(rules.apply(&mut labels));
//! assert_eq!(labels.get("host"), "db");
//! assert!(RelabelRules::new(vec![RelabelConfig { action: Action::HashMod, ..RelabelConfig::default() }]).is_err());
//! ```

mod apply;
mod check;
mod config;
mod md5;
mod rules;

pub use config::{Action, RelabelConfig};
pub use rules::{RelabelError, RelabelRules};

#[cfg(test)]
mod tests;
