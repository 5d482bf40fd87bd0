use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::poll::Poll;
use super::{FAMILIES, ModelPoller, ModelTarget, Runtime};
use crate::clock::Clock;
use crate::collect::scrape::fake::{Pages, Recorder, serve, set};

use crate::net::HttpClient;

const JSON: &str = "application/json";
const PROPS: &str = r#"{"total_slots":2,"model_alias":"smollm2","model_path":"/m/smollm2.gguf","model_ftype":"Q4_1",
    "build_info":"b11434-abc","endpoint_slots":true,"is_sleeping":false,"default_generation_settings":{"n_ctx":2048,"params":{}}}"#;
const MODELS: &str =
    r#"{"object":"list","data":[{"id":"smollm2","meta":{"n_params":134515008,"size":91730176,"n_ctx_train":8192}}]}"#;

const VLLM: &str = r#"# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="meta-llama/L"} 2.0
vllm:num_requests_running{engine="1",model_name="meta-llama/L"} 3.0
vllm:kv_cache_usage_perc{engine="0",model_name="meta-llama/L"} 0.5
vllm:kv_cache_usage_perc{engine="1",model_name="meta-llama/L"} 0.25
vllm:gpu_cache_usage_perc{engine="0",model_name="meta-llama/L"} 0.9
vllm:prompt_tokens_total{engine="0",model_name="meta-llama/L"} 100.0
vllm:prompt_tokens_cached_total{engine="0",model_name="meta-llama/L"} 40.0
vllm:prompt_tokens_created{engine="0",model_name="meta-llama/L"} 1.7e+09
vllm:request_success_total{engine="0",finished_reason="stop",model_name="meta-llama/L"} 7.0
vllm:request_prefill_time_seconds_sum{engine="0",model_name="meta-llama/L"} 1.5
vllm:engine_sleep_state{engine="0",model_name="meta-llama/L",sleep_state="awake"} 1.0
# TYPE vllm:iteration_tokens_total histogram
vllm:iteration_tokens_total_bucket{engine="0",le="1.0",model_name="meta-llama/L"} 1.0
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.001",model_name="meta-llama/L"} 1.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf",model_name="meta-llama/L"} 4.0
vllm:time_to_first_token_seconds_bucket{engine="1",le="0.001",model_name="meta-llama/L"} 1.0
vllm:time_to_first_token_seconds_bucket{engine="1",le="+Inf",model_name="meta-llama/L"} 1.0
vllm:time_to_first_token_seconds_count{engine="0",model_name="meta-llama/L"} 4.0
vllm:time_to_first_token_seconds_sum{engine="0",model_name="meta-llama/L"} 0.75
"#;

/// Families whose numbers depend on the machine.
const TIMED: [&str; 2] = ["llm_target_scrape_duration_seconds", "llm_target_last_success_timestamp_seconds"];

struct Bench {
    pages: Pages,
    recorder: Arc<Recorder>,
    poll: Poll,
}

async fn bench(runtime: Runtime) -> Bench {
    let (address, pages) = serve().await;
    let recorder = Arc::new(Recorder::default());
    let target =
        ModelTarget { name: "t".to_owned(), url: format!("http://{address}/"), runtime, ..ModelTarget::default() };
    let (intern, output) = (Arc::clone(&recorder) as _, Arc::clone(&recorder) as _);
    let poll = Poll::new(target, HttpClient::default(), intern, output);
    set(&pages, "/health", 200, JSON, "{\"status\":\"ok\"}");
    Bench { pages, recorder, poll }
}

impl Bench {
    async fn poll(&mut self, slot: i64) -> Vec<String> {
        self.poll.poll(slot).await;
        self.recorder.last(&TIMED)
    }
}

/// The lines without errors that stand at 0, and without what every line of the target has.
fn brief(lines: &[String], model: &str) -> Vec<String> {
    let cut = |line: &String| {
        line.replace(&format!("model=\"{model}\""), "M")
            .replace("target=\"t\"", "T")
            .replace(", T}", "}")
            .replace("{T}", "")
    };
    lines
        .iter()
        .filter(|line| !(line.starts_with("llm_target_scrape_errors_total") && line.ends_with(" 0")))
        .map(cut)
        .collect()
}

fn capture(name: &str) -> Option<String> {
    let shared = std::env::var_os("WATCHFIRE_SHARED").map_or_else(|| PathBuf::from("../shared"), PathBuf::from);
    let text = std::fs::read_to_string(shared.join("captures").join(name)).ok();
    if text.is_none() {
        println!("SKIPPED: {} has no captures/{name}", shared.display());
    }
    text
}

#[tokio::test]
async fn a_real_llama_server() {
    let (Some(busy), Some(slots)) = (capture("llama-server-busy.prom"), capture("llama-server-slots.json")) else {
        return;
    };
    let mut bench = bench(Runtime::Auto).await;
    set(&bench.pages, "/metrics", 200, "text/plain; version=0.0.4", &busy);
    set(&bench.pages, "/slots", 200, JSON, &slots);
    set(&bench.pages, "/props", 200, JSON, PROPS);
    set(&bench.pages, "/v1/models", 200, JSON, MODELS);
    let lines = bench.poll(10_000).await;
    let expected = r#"llm_generation_seconds_total{M, runtime="llamacpp"} 1.47247
llm_generation_tokens_total{M, runtime="llamacpp"} 92
llm_kv_cache_usage_ratio{M, runtime="llamacpp"} 0.025634765625
llm_model_context_length_tokens{M, runtime="llamacpp"} 2048
llm_model_info{M, parameters="134515008", quantization="Q4_1", runtime="llamacpp"} 1
llm_model_size_bytes{M, runtime="llamacpp"} 91730176
llm_model_state{M, runtime="llamacpp", state="loading"} 0
llm_model_state{M, runtime="llamacpp", state="ready"} 1
llm_model_state{M, runtime="llamacpp", state="sleeping"} 0
llm_prompt_seconds_total{M, runtime="llamacpp"} 0.160801
llm_prompt_tokens_total{cached="false", M, runtime="llamacpp"} 40
llm_prompt_tokens_total{cached="true", M, runtime="llamacpp"} 108
llm_requests_running{M, runtime="llamacpp"} 2
llm_requests_waiting{M, runtime="llamacpp"} 2
llm_slots{M, runtime="llamacpp", state="busy"} 2
llm_slots{M, runtime="llamacpp", state="idle"} 0
llm_spec_decode_accepted_tokens_total{M, runtime="llamacpp"} 0
llm_spec_decode_draft_tokens_total{M, runtime="llamacpp"} 0
llm_target_info{runtime="llamacpp", T, version="b11434-abc"} 1
llm_target_up{runtime="llamacpp"} 1"#;
    assert_eq!(brief(&lines, "smollm2").join("\n"), expected);
    assert!(
        !lines.iter().any(|line| line.contains("61.1217") || line.contains("248.755")),
        "a gauge that a scrape resets"
    );
}

#[tokio::test]
async fn a_vllm_with_two_engines() {
    let mut bench = bench(Runtime::Auto).await;
    set(&bench.pages, "/metrics", 200, "text/plain; version=0.0.4", VLLM);
    set(&bench.pages, "/version", 200, JSON, r#"{"version":"0.32.0"}"#);
    set(&bench.pages, "/v1/models", 200, JSON, r#"{"data":[{"id":"meta-llama/L","max_model_len":4096}]}"#);
    let lines = bench.poll(10_000).await;
    let expected = r#"llm_kv_cache_usage_ratio{M, runtime="vllm"} 0.375
llm_model_context_length_tokens{M, runtime="vllm"} 4096
llm_model_state{M, runtime="vllm", state="loading"} 0
llm_model_state{M, runtime="vllm", state="ready"} 1
llm_model_state{M, runtime="vllm", state="sleeping"} 0
llm_prompt_seconds_total{M, runtime="vllm"} 1.5
llm_prompt_tokens_total{cached="false", M, runtime="vllm"} 60
llm_prompt_tokens_total{cached="true", M, runtime="vllm"} 40
llm_requests_running{M, runtime="vllm"} 5
llm_requests_total{M, outcome="stop", runtime="vllm"} 7
llm_target_info{runtime="vllm", T, version="0.32.0"} 1
llm_target_up{runtime="vllm"} 1
llm_time_to_first_token_seconds_bucket{le="+Inf", M, runtime="vllm"} 5
llm_time_to_first_token_seconds_bucket{le="0.001", M, runtime="vllm"} 2
llm_time_to_first_token_seconds_count{M, runtime="vllm"} 4
llm_time_to_first_token_seconds_sum{M, runtime="vllm"} 0.75"#;
    assert_eq!(brief(&lines, "meta-llama/L").join("\n"), expected);
    // An older server has the older name only; a counter that starts again is passed on as it is.
    set(
        &bench.pages,
        "/metrics",
        200,
        "text/plain",
        "vllm:gpu_cache_usage_perc{model_name=\"meta-llama/L\"} 0.9\nvllm:generation_tokens_total{model_name=\"meta-llama/L\"} 3\n",
    );
    let lines = brief(&bench.poll(11_000).await, "meta-llama/L");
    assert!(lines.contains(&"llm_kv_cache_usage_ratio{M, runtime=\"vllm\"} 0.9".to_owned()), "{lines:#?}");
    assert!(lines.contains(&"llm_generation_tokens_total{M, runtime=\"vllm\"} 3".to_owned()), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("prompt_tokens")), "{lines:#?}");
}

#[tokio::test]
async fn what_a_server_lacks_is_absent_and_counted() {
    let mut bench = bench(Runtime::LlamaCpp).await;
    let page = "llamacpp:tokens_predicted_total 5\n";
    type Change = fn(&Pages);
    let cases: &[(&str, Change, &str)] = &[
        ("no slots, no props", |_| {}, "/props answered 404 Not Found"),
        ("loading", |pages| set(pages, "/health", 503, JSON, "{}"), "/health answered 503 Service Unavailable"),
        (
            "a key is needed",
            |pages| {
                set(pages, "/health", 200, JSON, "{}");
                set(pages, "/metrics", 401, JSON, "{}");
            },
            "/metrics answered 401 Unauthorized: set api_key for this target",
        ),
        (
            "a bad page",
            |pages| set(pages, "/metrics", 200, JSON, "llamacpp:x y\n"),
            "/metrics: line 1: expected a value",
        ),
        ("well again", |pages| set(pages, "/metrics", 200, JSON, "llamacpp:tokens_predicted_total 1\n"), ""),
    ];
    set(&bench.pages, "/metrics", 200, "text/plain", page);
    for (at, (what, change, error)) in cases.iter().enumerate() {
        change(&bench.pages);
        bench.poll(10_000 + at as i64 * 1_000).await;
        let found = bench.poll.view.lock().last_error.clone();
        // Facts are asked for again after the server came back; their absence is not what this is about.
        let hidden = at > 1 && found.starts_with("/props");
        assert!(hidden || (found.starts_with(error) && found.is_empty() == error.is_empty()), "{what}: {found}");
    }
    let lines = bench.poll(20_000).await;
    for reason in ["auth", "page"] {
        let line =
            format!("llm_target_scrape_errors_total{{reason=\"{reason}\", runtime=\"llamacpp\", target=\"t\"}} 1");
        assert!(lines.contains(&line), "{lines:#?}");
    }
    assert!(!lines.iter().any(|line| line.contains("llm_slots") || line.contains("llm_model_size")), "{lines:#?}");
}

#[tokio::test]
async fn an_idle_server_is_not_asked_for_its_slots() {
    let mut bench = bench(Runtime::LlamaCpp).await;
    set(&bench.pages, "/props", 200, JSON, PROPS);
    set(&bench.pages, "/v1/models", 200, JSON, MODELS);
    let page = |tokens: u32| format!("llamacpp:tokens_predicted_total {tokens}\nllamacpp:requests_processing 0\n");
    let slots = |used: u32| format!("[{{\"n_ctx\":100,\"n_prompt_tokens\":{used},\"is_processing\":{}}}]", used == 30);
    let usage = |lines: &[String]| {
        let line = lines.iter().find(|line| line.starts_with("llm_kv_cache_usage_ratio")).cloned().unwrap_or_default();
        line.rsplit(' ').next().unwrap_or("").to_owned()
    };
    for (tokens, used, expected) in [(1, 10, "0.1"), (1, 20, "0.1"), (2, 30, "0.3"), (2, 40, "0.4"), (2, 50, "0.4")] {
        set(&bench.pages, "/metrics", 200, "text/plain", &page(tokens));
        set(&bench.pages, "/slots", 200, JSON, &slots(used));
        let lines = bench.poll(i64::from(used) * 100).await;
        assert_eq!(usage(&lines), expected, "{tokens} tokens");
    }
}

#[tokio::test]
async fn another_model_is_other_series() {
    let mut bench = bench(Runtime::LlamaCpp).await;
    set(&bench.pages, "/props", 200, JSON, PROPS);
    set(&bench.pages, "/metrics", 200, "text/plain", "llamacpp:tokens_predicted_total 5\n");
    for (at, id) in ["/models/a.gguf", "b"].iter().enumerate() {
        set(&bench.pages, "/v1/models", 200, JSON, &format!("{{\"data\":[{{\"id\":\"{id}\"}}]}}"));
        bench.poll(at as i64 * 60_000 + 1_000).await;
    }
    let lines = bench.recorder.last(&TIMED);
    assert!(lines.iter().any(|line| line.starts_with("llm_generation_tokens_total{model=\"b\"")), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("a.gguf")), "{lines:#?}");
    // Two timed ones stand beside the lines; everything of the first model was given back.
    assert_eq!(bench.recorder.living(), lines.len() + TIMED.len());
    assert_eq!(bench.poll.view.lock().models, ["b"]);
    bench.poll.end(200_000);
    assert_eq!(bench.recorder.living(), 0);
}

#[tokio::test]
async fn nobody_there() {
    let recorder = Arc::new(Recorder::default());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    drop(listener);
    let (intern, output) = (Arc::clone(&recorder) as _, Arc::clone(&recorder) as _);
    let poller =
        ModelPoller::new(HttpClient::default(), Clock::System, intern, output, tokio::runtime::Handle::current());
    let interval = Duration::from_millis(100);
    let target = ModelTarget { name: "t".to_owned(), url, interval, timeout: interval, ..ModelTarget::default() };
    assert_eq!(ModelTarget::validate(std::slice::from_ref(&target)), []);
    let pushed = recorder.pushed.notified();
    poller.reload(vec![target]).await;
    tokio::time::timeout(Duration::from_secs(10), pushed).await.expect("a poll within its interval");
    let views = poller.views();
    assert_eq!((views[0].up, views[0].runtime.as_str()), (Some(false), ""));
    assert!(views[0].last_error.starts_with("cannot connect to http://127.0.0.1"), "{views:?}");
    let lines = recorder.last(&TIMED);
    assert!(lines.contains(&"llm_target_up{target=\"t\"} 0".to_owned()), "{lines:#?}");
    poller.shutdown().await;
    assert_eq!((poller.views().len(), recorder.living()), (0, 0));
}

#[test]
fn the_catalogue_is_sound() {
    for (at, desc) in FAMILIES.iter().enumerate() {
        assert!(
            desc.name.starts_with("llm_") && !desc.help.is_empty() && desc.labels.starts_with(&["target", "runtime"])
        );
        assert!(FAMILIES.iter().skip(at + 1).all(|other| other.name != desc.name), "{} twice", desc.name);
        let base = desc.name.trim_end_matches("_total");
        assert!(desc.unit.is_empty() || base.ends_with(desc.unit), "{}", desc.name);
    }
    for (word, runtime) in [("auto", Some(Runtime::Auto)), ("llamacpp", Some(Runtime::LlamaCpp)), ("ollama", None)] {
        assert_eq!(Runtime::parse(word), runtime);
    }
    let bad = ModelTarget { url: "ftp://x".to_owned(), timeout: Duration::ZERO, ..ModelTarget::default() };
    assert_eq!(ModelTarget::validate(&[bad]).len(), 3);
}
