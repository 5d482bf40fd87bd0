//! `/api/v1`: Prometheus' API. The contract is its OpenAPI description.

mod admin;
mod ast_json;
mod encode;
mod exemplars;
mod histogram;
mod language;
mod metadata;
mod packed;
mod places;
mod query;
mod rules;
mod series;
mod stamps;
mod stats;
mod status;
mod targets;

pub(super) use admin::snapshot;
pub(super) use exemplars::query_exemplars;
pub(super) use language::{format_query, parse_query};
pub(super) use metadata::metadata;
pub(super) use query::{query, query_range};
pub(super) use rules::{alertmanagers, alerts, rules};
pub(super) use series::{label_values, labels, read_selector, series};
pub(super) use status::{
    features, notifications, status_buildinfo, status_config, status_flags, status_runtimeinfo, status_tsdb,
    status_walreplay,
};
pub(super) use targets::{scrape_pools, targets, targets_metadata};
