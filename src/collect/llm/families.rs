//! The catalogue of `llm_*`: vocabulary of vLLM, repaired to OpenMetrics' rules.

use crate::model::{FamilyDesc, MetricKind};

const TARGET: &[&str] = &["target", "runtime"];
const MODEL: &[&str] = &["target", "runtime", "model"];
/// Series of a family with one series a model and target.
const PLAIN: u32 = 4096;
/// Series of a histogram: about 25 buckets a model and target.
const BUCKETS: u32 = 65_536;

const fn desc(
    kind: MetricKind,
    name: &'static str,
    unit: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> FamilyDesc {
    let max_series = if matches!(kind, MetricKind::Histogram) { BUCKETS } else { PLAIN };
    FamilyDesc { name, kind, unit, help, labels, max_series }
}

use MetricKind::{Counter, Gauge, Histogram, Info};

pub(super) const UP: FamilyDesc =
    desc(Gauge, "llm_target_up", "", TARGET, "Whether the model server answers its health check with 200.");
pub(super) const DURATION: FamilyDesc = desc(
    Gauge,
    "llm_target_scrape_duration_seconds",
    "seconds",
    TARGET,
    "How long the last poll of the model server took.",
);
pub(super) const LAST_SUCCESS: FamilyDesc = desc(
    Gauge,
    "llm_target_last_success_timestamp_seconds",
    "seconds",
    TARGET,
    "When the metrics of the model server were last read.",
);
pub(super) const ERRORS: FamilyDesc = desc(
    Counter,
    "llm_target_scrape_errors_total",
    "",
    &["target", "runtime", "reason"],
    "Answers of the model server that could not be used: connect, timeout, status, auth, body or page.",
);
pub(super) const TARGET_INFO: FamilyDesc = desc(
    Info,
    "llm_target_info",
    "",
    &["target", "runtime", "version"],
    "Version of the model server: build_info of /props (llama.cpp) or /version (vLLM).",
);
pub(super) const MODEL_STATE: FamilyDesc = desc(
    Gauge,
    "llm_model_state",
    "",
    &["target", "runtime", "model", "state"],
    "1 for the state that the model is in, else 0: from /health and is_sleeping (llama.cpp), engine_sleep_state (vLLM).",
);
pub(super) const MODEL_INFO: FamilyDesc = desc(
    Info,
    "llm_model_info",
    "",
    &["target", "runtime", "model", "quantization", "parameters"],
    "What the server says about the model's file: /props and /v1/models (llama.cpp).",
);
pub(super) const MODEL_SIZE: FamilyDesc = desc(
    Gauge,
    "llm_model_size_bytes",
    "bytes",
    MODEL,
    "Size of the model's weights: meta.size of /v1/models (llama.cpp).",
);
pub(super) const CONTEXT: FamilyDesc = desc(
    Gauge,
    "llm_model_context_length_tokens",
    "tokens",
    MODEL,
    "Context of one request: n_ctx of /props (llama.cpp), max_model_len of /v1/models (vLLM).",
);
pub(super) const RUNNING: FamilyDesc = desc(
    Gauge,
    "llm_requests_running",
    "",
    MODEL,
    "Requests in work: requests_processing (llama.cpp), num_requests_running (vLLM).",
);
pub(super) const WAITING: FamilyDesc = desc(
    Gauge,
    "llm_requests_waiting",
    "",
    MODEL,
    "Requests in the queue: requests_deferred (llama.cpp), num_requests_waiting (vLLM).",
);
pub(super) const SLOTS: FamilyDesc = desc(
    Gauge,
    "llm_slots",
    "",
    &["target", "runtime", "model", "state"],
    "Slots of llama-server by state, from /slots: busy or idle.",
);
pub(super) const KV_CACHE: FamilyDesc = desc(
    Gauge,
    "llm_kv_cache_usage_ratio",
    "ratio",
    MODEL,
    "Share of the key-value cache in use, 0 to 1: tokens of all slots by their context (llama.cpp), kv_cache_usage_perc (vLLM).",
);
pub(super) const PROMPT_TOKENS: FamilyDesc = desc(
    Counter,
    "llm_prompt_tokens_total",
    "tokens",
    &["target", "runtime", "model", "cached"],
    "Prompt tokens, by whether the prefix cache held them; all count as not cached where the server does not say.",
);
pub(super) const GENERATION_TOKENS: FamilyDesc = desc(
    Counter,
    "llm_generation_tokens_total",
    "tokens",
    MODEL,
    "Generated tokens: tokens_predicted_total (llama.cpp), generation_tokens_total (vLLM).",
);
pub(super) const PROMPT_SECONDS: FamilyDesc = desc(
    Counter,
    "llm_prompt_seconds_total",
    "seconds",
    MODEL,
    "Time spent on prompts: prompt_seconds_total (llama.cpp), sum of request_prefill_time_seconds (vLLM).",
);
pub(super) const GENERATION_SECONDS: FamilyDesc = desc(
    Counter,
    "llm_generation_seconds_total",
    "seconds",
    MODEL,
    "Time spent on generation, summed over parallel requests: tokens_predicted_seconds_total (llama.cpp), sum of request_decode_time_seconds (vLLM).",
);
pub(super) const REQUESTS: FamilyDesc = desc(
    Counter,
    "llm_requests_total",
    "",
    &["target", "runtime", "model", "outcome"],
    "Finished requests by the reason of their end: request_success_total (vLLM).",
);
pub(super) const TIME_TO_FIRST_TOKEN: FamilyDesc = desc(
    Histogram,
    "llm_time_to_first_token_seconds",
    "seconds",
    MODEL,
    "Time from a request's arrival to its first token, in the server's own buckets (vLLM).",
);
pub(super) const INTER_TOKEN_LATENCY: FamilyDesc = desc(
    Histogram,
    "llm_inter_token_latency_seconds",
    "seconds",
    MODEL,
    "Time between two tokens of a request, in the server's own buckets (vLLM).",
);
pub(super) const TIME_PER_OUTPUT_TOKEN: FamilyDesc = desc(
    Histogram,
    "llm_request_time_per_output_token_seconds",
    "seconds",
    MODEL,
    "Mean time per output token of a request, in the server's own buckets (vLLM).",
);
pub(super) const REQUEST_LATENCY: FamilyDesc = desc(
    Histogram,
    "llm_e2e_request_latency_seconds",
    "seconds",
    MODEL,
    "Time from a request's arrival to its end, in the server's own buckets (vLLM).",
);
pub(super) const QUEUE_TIME: FamilyDesc = desc(
    Histogram,
    "llm_request_queue_time_seconds",
    "seconds",
    MODEL,
    "Time that a request waited before it ran, in the server's own buckets (vLLM).",
);
pub(super) const PREEMPTIONS: FamilyDesc =
    desc(Counter, "llm_preemptions_total", "", MODEL, "Requests that lost their place in the key-value cache (vLLM).");
pub(super) const DRAFT_TOKENS: FamilyDesc = desc(
    Counter,
    "llm_spec_decode_draft_tokens_total",
    "tokens",
    MODEL,
    "Tokens that speculative decoding drafted: spec_decode_num_draft_tokens_total of both servers.",
);
pub(super) const ACCEPTED_TOKENS: FamilyDesc = desc(
    Counter,
    "llm_spec_decode_accepted_tokens_total",
    "tokens",
    MODEL,
    "Drafted tokens that the model accepted: spec_decode_num_accepted_tokens_total of both servers.",
);

/// Every family that this collector may publish.
pub const FAMILIES: &[FamilyDesc] = &[
    UP,
    DURATION,
    LAST_SUCCESS,
    ERRORS,
    TARGET_INFO,
    MODEL_STATE,
    MODEL_INFO,
    MODEL_SIZE,
    CONTEXT,
    RUNNING,
    WAITING,
    SLOTS,
    KV_CACHE,
    PROMPT_TOKENS,
    GENERATION_TOKENS,
    PROMPT_SECONDS,
    GENERATION_SECONDS,
    REQUESTS,
    TIME_TO_FIRST_TOKEN,
    INTER_TOKEN_LATENCY,
    TIME_PER_OUTPUT_TOKEN,
    REQUEST_LATENCY,
    QUEUE_TIME,
    PREEMPTIONS,
    DRAFT_TOKENS,
    ACCEPTED_TOKENS,
];
