//! Which of a server's samples become which of ours. What no rule names is left alone.

use super::config::Runtime;
use super::families::{
    ACCEPTED_TOKENS, DRAFT_TOKENS, GENERATION_SECONDS, GENERATION_TOKENS, INTER_TOKEN_LATENCY, KV_CACHE, PREEMPTIONS,
    PROMPT_SECONDS, PROMPT_TOKENS, QUEUE_TIME, REQUEST_LATENCY, REQUESTS, RUNNING, TIME_PER_OUTPUT_TOKEN,
    TIME_TO_FIRST_TOKEN, WAITING,
};
use crate::model::FamilyDesc;

/// How a sample's value is taken over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Take {
    /// Added up over engines, times this sign.
    Sum(f64),
    /// Averaged over engines: shares cannot be added.
    Mean,
    /// A histogram: `_bucket`, `_sum` and `_count`, each added up over engines.
    Histogram,
}

/// One line of the table.
pub(super) struct Rule {
    /// The sample's name without the server's prefix; a histogram's name without suffix.
    pub(super) source: &'static str,
    pub(super) family: &'static FamilyDesc,
    pub(super) take: Take,
    /// Labels that ours gets.
    pub(super) labels: &'static [(&'static str, &'static str)],
    /// A label of theirs and its name here.
    pub(super) carry: Option<(&'static str, &'static str)>,
    /// 0 for today's name; 1 for an older one, used where today's is missing.
    pub(super) rank: u8,
}

const fn sum(source: &'static str, family: &'static FamilyDesc) -> Rule {
    Rule { source, family, take: Take::Sum(1.0), labels: &[], carry: None, rank: 0 }
}

const fn histogram(source: &'static str, family: &'static FamilyDesc) -> Rule {
    Rule { take: Take::Histogram, ..sum(source, family) }
}

const CACHED: &[(&str, &str)] = &[("cached", "true")];
const FRESH: &[(&str, &str)] = &[("cached", "false")];

const LLAMACPP: &[Rule] = &[
    Rule { labels: FRESH, ..sum("prompt_tokens_total", &PROMPT_TOKENS) },
    Rule { labels: CACHED, ..sum("prompt_tokens_cached_total", &PROMPT_TOKENS) },
    sum("prompt_seconds_total", &PROMPT_SECONDS),
    sum("tokens_predicted_total", &GENERATION_TOKENS),
    sum("tokens_predicted_seconds_total", &GENERATION_SECONDS),
    sum("requests_processing", &RUNNING),
    sum("requests_deferred", &WAITING),
    sum("spec_decode_num_draft_tokens_total", &DRAFT_TOKENS),
    sum("spec_decode_num_accepted_tokens_total", &ACCEPTED_TOKENS),
];

const VLLM: &[Rule] = &[
    sum("num_requests_running", &RUNNING),
    sum("num_requests_waiting", &WAITING),
    Rule { take: Take::Mean, ..sum("kv_cache_usage_perc", &KV_CACHE) },
    Rule { take: Take::Mean, rank: 1, ..sum("gpu_cache_usage_perc", &KV_CACHE) },
    // Their prompt tokens contain the cached ones.
    Rule { labels: FRESH, ..sum("prompt_tokens_total", &PROMPT_TOKENS) },
    Rule { labels: FRESH, take: Take::Sum(-1.0), ..sum("prompt_tokens_cached_total", &PROMPT_TOKENS) },
    Rule { labels: CACHED, ..sum("prompt_tokens_cached_total", &PROMPT_TOKENS) },
    sum("generation_tokens_total", &GENERATION_TOKENS),
    sum("request_prefill_time_seconds_sum", &PROMPT_SECONDS),
    sum("request_decode_time_seconds_sum", &GENERATION_SECONDS),
    Rule { carry: Some(("finished_reason", "outcome")), ..sum("request_success_total", &REQUESTS) },
    histogram("time_to_first_token_seconds", &TIME_TO_FIRST_TOKEN),
    histogram("inter_token_latency_seconds", &INTER_TOKEN_LATENCY),
    Rule { rank: 1, ..histogram("time_per_output_token_seconds", &INTER_TOKEN_LATENCY) },
    histogram("request_time_per_output_token_seconds", &TIME_PER_OUTPUT_TOKEN),
    histogram("e2e_request_latency_seconds", &REQUEST_LATENCY),
    histogram("request_queue_time_seconds", &QUEUE_TIME),
    sum("num_preemptions_total", &PREEMPTIONS),
    sum("spec_decode_num_draft_tokens_total", &DRAFT_TOKENS),
    sum("spec_decode_num_accepted_tokens_total", &ACCEPTED_TOKENS),
];

/// The name without the server's prefix, if it is one of that server's.
pub(super) fn strip(runtime: Runtime, name: &str) -> Option<&str> {
    match runtime {
        Runtime::Auto => None,
        Runtime::LlamaCpp => name.strip_prefix("llamacpp:"),
        Runtime::Vllm => name.strip_prefix("vllm:").or_else(|| name.strip_prefix("ray_vllm:")),
    }
}

/// The rules for a sample (name without prefix), with the suffix of a histogram's sample.
pub(super) fn matching(runtime: Runtime, name: &str) -> impl Iterator<Item = (&'static Rule, &str)> {
    let rules = match runtime {
        Runtime::Auto => &[],
        Runtime::LlamaCpp => LLAMACPP,
        Runtime::Vllm => VLLM,
    };
    rules.iter().filter_map(move |rule| {
        let suffix = name.strip_prefix(rule.source)?;
        let fits = match rule.take {
            Take::Histogram => matches!(suffix, "_bucket" | "_sum" | "_count"),
            Take::Sum(_) | Take::Mean => suffix.is_empty(),
        };
        fits.then_some((rule, suffix))
    })
}

/// Which server a page is of.
pub(super) fn detect(page: &str) -> Option<Runtime> {
    let mut names = page.lines().filter(|line| !line.starts_with('#'));
    names
        .find_map(|line| [Runtime::LlamaCpp, Runtime::Vllm].into_iter().find(|runtime| strip(*runtime, line).is_some()))
}
