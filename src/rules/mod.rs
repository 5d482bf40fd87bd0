//! Rule files, groups, recording and alerting, as Prometheus does it.
//!
//! Files become checked specifications ([`RuleFile`]); the [`RuleManager`] evaluates them on slots that are multiples
//! of their intervals, all rules that are due together as one tick. Everything between is pure: [`AlertStates`] is the life
//! of alerts with time as a parameter. Other rooms come in as the traits [`RuleQueries`], [`RuleSink`] and [`NotifySink`].
//!
//! ```
//! use watchfire::rules::RuleFile;
//! let text = "groups:\n- name: demo\n  rules:\n  - {alert: Down, expr: up == 0, for: 1m}\n";
//! let file = RuleFile::parse("demo.yml", text).unwrap();
//! assert_eq!(file.groups[0].rules[0].query, "up == 0");
//! let error = RuleFile::parse("demo.yml", &text.replace("expr", "exp")).unwrap_err();
//! assert!(error.to_string().contains(r#"demo.yml:4:19: groups[0].rules[0].exp: unknown key"#));
//! ```

mod alerting;
mod annotations;
mod check;
mod config;
mod counters;
mod doors;
mod engine;
mod evaluate;
mod files;
mod group;
mod kept;
mod lint;
mod manager;
mod overlay;
mod read;
mod reads;
mod recording;
mod restore;
mod runner;
mod series;
mod shipped;
mod slots;
mod spec;
mod state;
mod text;
pub mod unit;
mod view;

#[cfg(test)]
mod engine_tests;
#[cfg(test)]
mod group_tests;
#[cfg(test)]
mod read_tests;
#[cfg(test)]
mod shipped_tests;

pub use alerting::{ALERT_NAME, ALERT_STATE, ALERTS, ALERTS_FOR_STATE, AlertStates, AlertTiming, Found, StepError};
pub use annotations::{Annotations, LateAnnotations};
pub use check::{CheckReport, FileCounts, FileReport, check_files, check_shipped};
pub use config::RulesConfig;
pub use counters::RuleCounters;
pub use doors::{Earlier, NoNotifications, Notice, NotifySink, RulePlan, RuleQueries, RuleSink, TickQueries, Written};
pub use engine::EngineQueries;
pub use files::expand_patterns;
pub use lint::{DuplicateRule, duplicate_rules};
pub use manager::{LoadSummary, RuleManager, WaitForSources};
pub use overlay::Overlay;
pub use runner::{RuleDeps, RuleRunner};
pub use shipped::{SHIPPED, ShippedFile};
pub use spec::{AlertSpec, GroupSpec, RuleFile, RuleKind, RuleSpec};
pub use text::Text;
pub use view::{AlertView, GroupView, RuleHealth, RuleView};
