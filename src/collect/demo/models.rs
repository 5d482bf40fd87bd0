//! The models of the demo: a llama-server with one, a vLLM with another, under the names of `collect::llm`.

use super::sheet::{Page, Sheet};
use super::story::{GIB, Story};
use crate::collect::emit::Emit;
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, Intern, Timestamp};

const STATES: [&str; 4] = ["ready", "loading", "sleeping", "unloaded"];

/// A model: labels, version, tokens a second, bytes, context.
struct Model {
    number: u64,
    labels: [&'static str; 3],
    version: &'static str,
    tokens: f64,
    bytes: f64,
    context: f64,
    has_histograms: bool,
}

const MODELS: [Model; 2] = [
    Model {
        number: 0,
        labels: ["local", "llamacpp", "qwen3-8b"],
        version: "b11434",
        tokens: 48.0,
        bytes: 4.9 * GIB,
        context: 32_768.0,
        has_histograms: false,
    },
    Model {
        number: 1,
        labels: ["serving", "vllm", "llama-3.1-8b"],
        version: "0.32.0",
        tokens: 620.0,
        bytes: 15.0 * GIB,
        context: 131_072.0,
        has_histograms: true,
    },
];

/// Upper bounds, and the share of quick and of slow answers below each.
const FIRST_TOKEN_BUCKETS: [(&str, f64, f64); 9] = [
    ("0.05", 0.05, 0.0),
    ("0.1", 0.35, 0.0),
    ("0.25", 0.85, 0.05),
    ("0.5", 0.97, 0.2),
    ("1.0", 1.0, 0.5),
    ("2.5", 1.0, 0.9),
    ("5.0", 1.0, 0.98),
    ("10.0", 1.0, 1.0),
    ("+Inf", 1.0, 1.0),
];
const INTER_TOKEN_BUCKETS: [(&str, f64, f64); 7] = [
    ("0.01", 0.3, 0.0),
    ("0.025", 0.9, 0.1),
    ("0.05", 0.99, 0.5),
    ("0.1", 1.0, 0.9),
    ("0.25", 1.0, 0.99),
    ("0.5", 1.0, 1.0),
    ("+Inf", 1.0, 1.0),
];

/// The collector.
pub(super) struct DemoModels {
    pub(super) story: Story,
    pub(super) sheet: Sheet,
}

impl Collector for DemoModels {
    fn name(&self) -> &'static str {
        "demo_llm"
    }

    fn collect(&mut self, now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let (story, t) = (self.story, self.story.seconds(now));
        let page = &mut self.sheet.page(Emit::new("llm", intern, out));
        for model in &MODELS {
            put_model(page, story, t, model);
        }
        Ok(Reading::Complete)
    }
}

fn put_model(page: &mut Page<'_, '_>, story: Story, t: f64, model: &Model) {
    let wave = |which: u64, base: f64, swing: f64| story.wave(which + 40 * model.number, base, swing);
    let [target, runtime, name] = model.labels;
    let labels = &model.labels;
    page.put("llm_target_info", &[target, runtime, model.version], 1.0);
    page.put("llm_target_up", &[target, runtime], 1.0);
    page.put("llm_target_scrape_duration_seconds", &[target, runtime], wave(400, 0.004, 0.002).at(t));
    page.put("llm_requests_running", labels, wave(401, 4.0, 3.5).at(t).floor());
    page.put("llm_requests_waiting", labels, wave(402, 1.2, 1.2).at(t).floor());
    page.put("llm_kv_cache_usage_ratio", labels, wave(403, 0.5, 0.3).at(t));
    page.put("llm_model_size_bytes", labels, model.bytes);
    page.put("llm_model_context_length_tokens", labels, model.context);
    for one in STATES {
        page.put("llm_model_state", &[target, runtime, name, one], if one == "ready" { 1.0 } else { 0.0 });
    }
    let tokens = wave(404, model.tokens, model.tokens * 0.7).sum(t);
    let answers = wave(405, model.tokens / 180.0, model.tokens / 300.0).sum(t);
    page.put("llm_generation_tokens_total", labels, 1e6 + tokens.floor());
    page.put("llm_prompt_tokens_total", &[target, runtime, name, "false"], 3e6 + (tokens * 2.1).floor());
    page.put("llm_prompt_tokens_total", &[target, runtime, name, "true"], 2e6 + (tokens * 1.4).floor());
    page.put("llm_generation_seconds_total", labels, 9e3 + wave(406, 0.7, 0.2).sum(t));
    page.put("llm_prompt_seconds_total", labels, 2e3 + wave(407, 0.1, 0.05).sum(t));
    page.put("llm_requests_total", &[target, runtime, name, "stop"], 4e3 + (answers * 0.95).floor());
    page.put("llm_requests_total", &[target, runtime, name, "length"], 2e2 + (answers * 0.05).floor());
    if model.has_histograms {
        let quick = answers;
        let slow = wave(408, model.tokens / 1500.0, model.tokens / 1500.0).sum(t);
        put_histogram(page, "llm_time_to_first_token_seconds", labels, &FIRST_TOKEN_BUCKETS, quick, slow, (0.16, 1.4));
        put_histogram(
            page,
            "llm_inter_token_latency_seconds",
            labels,
            &INTER_TOKEN_BUCKETS,
            quick * 100.0,
            slow * 100.0,
            (0.014, 0.06),
        );
    }
}

/// Cumulative buckets of a mixture of quick and slow observations; the mean of each is given.
fn put_histogram(
    page: &mut Page<'_, '_>,
    name: &'static str,
    labels: &[&str; 3],
    buckets: &[(&str, f64, f64)],
    quick: f64,
    slow: f64,
    (quick_mean, slow_mean): (f64, f64),
) {
    let [target, runtime, model] = labels;
    let pairs = [("target", *target), ("runtime", *runtime), ("model", *model)];
    for (bound, quick_share, slow_share) in buckets {
        let [a, b, c] = pairs;
        let count = (quick * quick_share + slow * slow_share).floor();
        page.put_part(name, "_bucket", &[a, b, c, ("le", bound)], count);
    }
    page.put_part(name, "_count", &pairs, (quick + slow).floor());
    page.put_part(name, "_sum", &pairs, quick * quick_mean + slow * slow_mean);
}
