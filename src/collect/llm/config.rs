//! What a model target is told.

use std::time::Duration;

use crate::model::format_duration;
use crate::net::parse_url;

/// Which server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Runtime {
    /// Found out from the metrics it offers.
    #[default]
    Auto,
    /// llama.cpp's `llama-server`, started with `--metrics`.
    LlamaCpp,
    /// vLLM.
    Vllm,
}

impl Runtime {
    /// The `runtime` label, or `""` while it is not known.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "",
            Self::LlamaCpp => "llamacpp",
            Self::Vllm => "vllm",
        }
    }

    /// Reads the word of a configuration: `auto`, `llamacpp`, `vllm`.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "auto" => Some(Self::Auto),
            "llamacpp" | "llama.cpp" => Some(Self::LlamaCpp),
            "vllm" => Some(Self::Vllm),
            _ => None,
        }
    }
}

/// One entry of `models.targets`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelTarget {
    /// The `target` label; unique.
    pub name: String,
    /// Base URL, for example `http://127.0.0.1:8080`.
    pub url: String,
    /// Which server it is.
    pub runtime: Runtime,
    /// Time between two polls.
    pub interval: Duration,
    /// The longest that one answer may take; at most the interval.
    pub timeout: Duration,
    /// Sent as `Authorization: Bearer …` when it is there; never shown.
    pub api_key: Option<String>,
}

impl Default for ModelTarget {
    fn default() -> Self {
        Self {
            name: String::new(),
            url: String::new(),
            runtime: Runtime::Auto,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            api_key: None,
        }
    }
}

/// What is wrong with a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("model target {target:?}: {problem}")]
pub struct ModelTargetError {
    /// Its name.
    pub target: String,
    /// The problem and what was expected.
    pub problem: String,
}

impl ModelTarget {
    /// Checks all targets and reports everything that is wrong.
    pub fn validate(targets: &[Self]) -> Vec<ModelTargetError> {
        let mut problems = Vec::new();
        for (at, target) in targets.iter().enumerate() {
            let mut say = |problem: String| problems.push(ModelTargetError { target: target.name.clone(), problem });
            if target.name.is_empty() {
                say("expected a name".to_owned());
            }
            if targets.iter().take(at).any(|other| other.name == target.name) {
                say("expected each name once".to_owned());
            }
            if let Err(error) = parse_url(&target.url) {
                say(error.to_string());
            }
            if target.interval < Duration::from_millis(100) {
                say(format!("expected an interval of at least 100ms, found {}", format_duration(target.interval)));
            }
            if target.timeout.is_zero() || target.timeout > target.interval {
                let (timeout, interval) = (format_duration(target.timeout), format_duration(target.interval));
                say(format!("expected a timeout above 0 and up to the interval of {interval}, found {timeout}"));
            }
        }
        problems
    }
}
