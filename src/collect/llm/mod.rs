//! Model servers: their metrics under common `llm_*` names.
//!
//! One task a target asks a fixed list of GET paths and nothing else. llama-server's two rate gauges (`prompt_tokens_seconds`,
//! `predicted_tokens_seconds`) are never used: a scrape resets them, so that two scrapers spoil each other's reading. Rates come from the
//! counters. What a server does not offer is absent.

mod config;
mod families;
mod handle;
mod llamacpp;
mod plan;
mod poll;
mod rules;
mod view;
mod vllm;

pub use config::{ModelTarget, ModelTargetError, Runtime};
pub use families::FAMILIES;
pub use handle::ModelPoller;
pub use view::ModelView;

#[cfg(test)]
mod tests;
