//! Who may speak to the server, and which scope opens which route.

use axum::http::Method;

use super::client::request;
use super::fixture::{World, config};
use crate::http::{HttpConfig, RouteFact, Scope, route_facts};

const TOKEN: &str = "correct-horse-battery";

fn guarded() -> (tempfile::NamedTempFile, World) {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), format!("{TOKEN}\n")).expect("written");
    let token_file = Some(file.path().to_owned());
    let world = World::with(HttpConfig { token_file, enable_lifecycle: true, enable_admin: true, ..config() });
    (file, world)
}

/// A path of that route; parameters filled in.
fn path_of(route: &RouteFact) -> String {
    route
        .path
        .replace("{*path}", "x.js")
        .replace("{file}", "x.svg")
        .replace("{name}", "job")
        .replace("{project}", "p")
        .replace("{id}", "w")
}

/// Routes whose answer takes long (profiles are symbolised) or never ends: they are asked only where they are refused.
fn is_slow(path: &str) -> bool {
    ["/live", "/profile", "/flamegraph", "/trace", "/ws/", "/heap", "/allocs"].iter().any(|slow| path.contains(slow))
}

#[test]
fn each_scope_but_public_needs_the_token() {
    let (_file, world) = guarded();
    for route in route_facts() {
        for method in route.methods {
            let path = path_of(&route);
            let ask = |token: Option<&str>| {
                let request = request(world.addr, method.as_str(), &path);
                match token {
                    Some(token) => request.header("authorization", &format!("Bearer {token}")).send(),
                    None => request.send(),
                }
            };
            let open = route.scope == Scope::Public;
            for wrong in [None, Some("wrong-horse-battery!")] {
                let answer = ask(wrong);
                assert_eq!(answer.status == 401, !open, "{method} {path} with {wrong:?}: {}", answer.status);
                assert_eq!(answer.header("www-authenticate").is_empty(), open, "{path}");
            }
            if !is_slow(&path) {
                let answer = ask(Some(TOKEN));
                assert!(!matches!(answer.status, 401 | 403 | 405), "{method} {path}: {}", answer.status);
            }
        }
    }
}

#[test]
fn the_table_has_each_path_once_and_every_scope() {
    let facts = route_facts();
    let mut seen = std::collections::HashSet::new();
    for fact in &facts {
        for method in fact.methods {
            assert!(seen.insert((fact.path, method.clone())), "{method} {} twice", fact.path);
        }
    }
    for scope in [Scope::Public, Scope::Metrics, Scope::Read, Scope::Write, Scope::Profile, Scope::Admin] {
        assert!(facts.iter().any(|fact| fact.scope == scope), "{scope:?}");
    }
    let changes = |fact: &&RouteFact| !fact.methods.contains(&Method::GET);
    assert!(facts.iter().filter(changes).all(|fact| matches!(fact.scope, Scope::Write | Scope::Admin)));
}

#[test]
fn a_new_token_counts_after_a_reload() {
    let (file, world) = guarded();
    let ask = |token: &str| {
        request(world.addr, "GET", "/metrics").header("authorization", &format!("bearer {token}")).send().status
    };
    std::fs::write(file.path(), "another-long-token").expect("written");
    assert_eq!(ask(TOKEN), 200);
    world.edge.reload_token().expect("a good file");
    assert_eq!((ask(TOKEN), ask("another-long-token")), (401, 200));
    std::fs::write(file.path(), "short").expect("written");
    assert!(world.edge.reload_token().is_err());
    assert_eq!(ask("another-long-token"), 200, "a bad file keeps the old token");
}

#[test]
fn host_and_origin_are_checked_on_loopback() {
    let world = World::with(HttpConfig { external_url: Some("https://fire.example/x".to_owned()), ..config() });
    let port = world.addr.port();
    for (host, origin, status) in [
        (format!("localhost:{port}"), None, 200),
        (format!("127.0.0.1:{port}"), None, 200),
        ("[::1]:1".to_owned(), None, 200),
        ("LOCALHOST".to_owned(), None, 200),
        ("fire.example".to_owned(), None, 200),
        ("evil.example".to_owned(), None, 403),
        (format!("127.0.0.1.evil.example:{port}"), None, 403),
        (String::new(), None, 403),
        ("localhost:1".to_owned(), Some("http://localhost:1"), 200),
        ("localhost:1".to_owned(), Some("http://127.0.0.1:5173"), 200),
        ("localhost:1".to_owned(), Some("https://fire.example"), 200),
        ("localhost:1".to_owned(), Some("https://evil.example"), 403),
        ("localhost:1".to_owned(), Some("http://localhost.evil.example"), 403),
        ("localhost:1".to_owned(), Some("null"), 403),
    ] {
        let mut asked = request(world.addr, "GET", "/api/v1/labels").header("host", &host);
        if let Some(origin) = origin {
            asked = asked.header("origin", origin);
        }
        let answer = asked.send();
        assert_eq!(answer.status, status, "{host:?} {origin:?}: {}", answer.text());
    }
}

#[test]
fn lifecycle_works_only_when_enabled() {
    let off = World::new();
    for path in ["/-/reload", "/-/quit"] {
        assert_eq!(request(off.addr, "POST", path).send().status, 403, "{path}");
        assert_eq!(request(off.addr, "GET", path).send().status, 405, "{path}");
    }
    let on = World::with(HttpConfig { enable_lifecycle: true, ..config() });
    assert_eq!(request(on.addr, "PUT", "/-/reload").send().status, 200);
    *on.daemon.bad_config.lock() = Some("line 3: unknown key".to_owned());
    let failed = request(on.addr, "POST", "/-/reload").send();
    assert_eq!((failed.status, failed.text().contains("line 3: unknown key")), (500, true));
    assert_eq!(on.daemon.reloads.load(std::sync::atomic::Ordering::SeqCst), 2);
    assert_eq!(request(on.addr, "POST", "/-/quit").send().status, 200);
}

#[test]
fn snapshots_are_taken_only_when_enabled() {
    const PATH: &str = "/api/v1/admin/tsdb/snapshot";
    let off = request(World::new().addr, "POST", PATH).send();
    assert_eq!(off.status, 503);
    assert!(off.text().contains("--web.enable-admin-api"), "{}", off.text());
    let on = World::with(HttpConfig { enable_admin: true, ..config() });
    for method in ["POST", "PUT"] {
        let answer = request(on.addr, method, PATH).send();
        let expected = r#"{"status":"success","data":{"name":"20260101T000000Z-0123456789abcdef"}}"#;
        assert_eq!((answer.status, answer.text().as_str()), (200, expected));
    }
    assert_eq!(request(on.addr, "GET", PATH).send().status, 405);
}
