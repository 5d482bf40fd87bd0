//! A small proxy, and a server that gives tokens.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::{Auth, ClientConfig, HttpClient, HttpRequest, NoProxy, OAuth2Config, ProxyConfig, ProxyUrl, Secret};

/// What a proxy was asked: the first line and the lines that say who asks.
pub(super) type Asked = Arc<Mutex<Vec<String>>>;

/// Tunnels to where it is asked, unless `refusal` is its answer; what comes in absolute form it answers itself.
pub(super) async fn proxy(refusal: Option<&'static str>) -> (SocketAddr, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    let asked = Asked::default();
    let shared = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(pass(stream, refusal, Arc::clone(&shared)));
        }
    });
    (address, asked)
}

async fn pass(mut stream: TcpStream, refusal: Option<&'static str>, asked: Asked) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).expect("text");
    let wanted = |line: &&str| {
        let line = line.to_ascii_lowercase();
        line.ends_with("http/1.1") || line.starts_with("proxy-auth") || line.starts_with("x-")
    };
    asked.lock().push(head.lines().filter(wanted).collect::<Vec<_>>().join("|"));
    if let Some(refusal) = refusal {
        let _ = stream.write_all(refusal.as_bytes()).await;
        return;
    }
    let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
    let Some(target) = target else {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\nconnection: close\r\n\r\nproxied").await;
        return;
    };
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    let _ = stream.write_all(b"HTTP/1.1 200 Connection established\r\nvia: test\r\n\r\n").await;
    let _ = copy_bidirectional(&mut stream, &mut server).await;
}

/// Settings for a proxy there.
pub(super) fn through(url: &str, no_proxy: Option<&str>) -> Option<ProxyConfig> {
    let connect_headers = vec![("x-key".parse().expect("a name"), Secret::Inline("k".to_owned()))];
    let config = ProxyConfig::of(ProxyUrl::parse(url).expect("a URL"), no_proxy.map(NoProxy::parse));
    Some(ProxyConfig { connect_headers, ..config })
}

async fn get(config: ClientConfig, url: &str) -> String {
    let request = HttpRequest::get(url).timeout(Duration::from_secs(5));
    match HttpClient::new(&config).expect("good settings").send(request).await {
        Ok(response) => format!("{} {}", response.status.as_u16(), String::from_utf8_lossy(&response.body)),
        Err(error) => format!("ERROR {error}"),
    }
}

#[tokio::test]
async fn plain_requests_name_their_target_to_the_proxy() {
    let (address, asked) = proxy(None).await;
    let config = |no_proxy| ClientConfig {
        proxy: through(&format!("http://u:p@{address}"), no_proxy),
        ..ClientConfig::default()
    };
    assert_eq!(get(config(None), "http://target.invalid:81/a?b=c").await, "200 proxied");
    let expected = "GET http://target.invalid:81/a?b=c HTTP/1.1|proxy-authorization: Basic dTpw";
    assert_eq!(*asked.lock(), [expected]);
    // This machine is reached without it where exceptions are named at all: nobody speaks HTTP to itself there.
    let direct = get(config(Some("a.example")), &format!("http://{address}/direct")).await;
    assert_eq!(direct, "200 proxied");
    assert_eq!(asked.lock().last().map(String::as_str), Some("GET /direct HTTP/1.1"));
}

#[tokio::test]
async fn what_a_proxy_refuses_is_said() {
    let cases = [
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "it answered \"407 Proxy Authentication Required\""),
        ("HTTP/1.1 200 OK", "it closed the connection"),
        ("nonsense\r\n\r\n", "it answered \"\""),
    ];
    for (refusal, expected) in cases {
        let (address, asked) = proxy(Some(refusal)).await;
        let config = ClientConfig { proxy: through(&address.to_string(), None), ..ClientConfig::default() };
        let found = get(config, "https://target.invalid/").await;
        assert!(found.starts_with("ERROR cannot connect to https://target.invalid/: no tunnel"), "{found}");
        assert!(found.contains(expected), "{found}");
        assert_eq!(*asked.lock(), ["CONNECT target.invalid:443 HTTP/1.1|x-key: k"]);
    }
    // A port where nobody is.
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("loopback").local_addr().expect("bound");
    let config = ClientConfig { proxy: through(&gone.to_string(), None), ..ClientConfig::default() };
    let found = get(config, "http://target.invalid/").await;
    assert!(found.contains(&format!("no connection to the proxy {gone}")), "{found}");
}

struct Authority {
    address: SocketAddr,
    /// Bodies of questions, with the Authorization header before them.
    questions: Arc<Mutex<Vec<String>>>,
    given: Arc<AtomicUsize>,
}

/// Gives tokens `t1`, `t2`, … as `answer` says them; `/page` says which token came.
async fn authority(answer: impl Fn(&str, usize) -> (u16, String) + Send + Sync + 'static) -> Authority {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    let (questions, given) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicUsize>::default());
    let (asked, count, answer) = (Arc::clone(&questions), Arc::clone(&given), Arc::new(answer));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (asked, count, answer) = (Arc::clone(&asked), Arc::clone(&count), Arc::clone(&answer));
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let (asked, count, answer) = (Arc::clone(&asked), Arc::clone(&count), Arc::clone(&answer));
                async move {
                    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
                    let authorization = header("authorization").to_owned();
                    if request.uri().path() == "/page" {
                        return Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(authorization))));
                    }
                    let body = request.into_body().collect().await.expect("a body").to_bytes();
                    let question = format!("{authorization} {}", String::from_utf8_lossy(&body));
                    let (status, text) = answer(&question, count.fetch_add(1, Ordering::SeqCst) + 1);
                    asked.lock().push(question);
                    let response = Response::builder().status(status).body(Full::new(Bytes::from(text)));
                    Ok(response.expect("an answer"))
                }
            });
            let served = hyper::server::conn::http1::Builder::new();
            tokio::spawn(async move { served.serve_connection(TokioIo::new(stream), service).await });
        }
    });
    Authority { address, questions, given }
}

fn tokens_of(address: SocketAddr) -> ClientConfig {
    let oauth2 = OAuth2Config {
        client_id: "me:1".to_owned(),
        client_secret: Secret::Inline("s&c".to_owned()),
        token_url: format!("http://{address}/token"),
        scopes: vec!["read".to_owned(), "write".to_owned()],
        endpoint_params: vec![("audience".to_owned(), "a b".to_owned())],
        tls: super::TlsConfig::default(),
        proxy: None,
    };
    ClientConfig { auth: Some(Auth::OAuth2(Box::new(oauth2))), ..ClientConfig::default() }
}

#[tokio::test]
async fn tokens_are_kept_until_they_end() {
    // How long a token lasts, and how many two requests take.
    let cases = [("3600", 1), ("\"3600\"", 1), ("0", 1), ("null", 1), ("5", 2)];
    for (expires_in, expected) in cases {
        let token = move |_: &str, n: usize| {
            (200, format!(r#"{{"access_token": "t{n}", "token_type": "bearer", "expires_in": {expires_in}}}"#))
        };
        let server = authority(token).await;
        let client = HttpClient::new(&tokens_of(server.address)).expect("good");
        for _ in 0..2 {
            let page = client.send(HttpRequest::get(format!("http://{}/page", server.address))).await.expect("a page");
            let body = String::from_utf8_lossy(&page.body).into_owned();
            assert_eq!(body, format!("Bearer t{}", server.given.load(Ordering::SeqCst)));
        }
        assert_eq!(server.given.load(Ordering::SeqCst), expected, "{expires_in}");
        // `me%3A1:s%26c`
        let question = "Basic bWUlM0ExOnMlMjZj grant_type=client_credentials&scope=read+write&audience=a+b";
        assert_eq!(server.questions.lock()[0], question);
    }
}

#[tokio::test]
async fn servers_that_want_the_name_among_the_parameters_get_it() {
    let picky = |question: &str, _: usize| match question.starts_with(' ') {
        true => (200, r#"{"access_token": "t", "token_type": "MAC", "expires_in": 5}"#.to_owned()),
        false => (401, r#"{"error": "invalid_client"}"#.to_owned()),
    };
    let server = authority(picky).await;
    let client = HttpClient::new(&tokens_of(server.address)).expect("good");
    for _ in 0..2 {
        let page = client.send(HttpRequest::get(format!("http://{}/page", server.address))).await.expect("a page");
        assert_eq!(page.body, "MAC t");
    }
    // Found out once: the second token takes one question.
    assert_eq!(server.given.load(Ordering::SeqCst), 3);
    assert!(server.questions.lock()[1].contains("client_id=me%3A1&client_secret=s%26c"));
}

#[tokio::test]
async fn no_token_is_no_request() {
    let cases = [
        (400, r#"{"error": "invalid_scope"}"#, "HTTP status 400 Bad Request (invalid_scope)"),
        (500, "oops", "HTTP status 500"),
        (200, "oops", "expected JSON with access_token: line 1, column 1"),
        (200, r#""SECRET""#, "expected JSON with access_token: line 1, column "),
        (200, r#"{"access_token": 5331}"#, "expected JSON with access_token: line 1, column "),
        (200, "{}", "its answer has no access_token"),
        (200, r#"{"error": "no"}"#, ": no"),
    ];
    for (status, text, expected) in cases {
        let server = authority(move |_, _| (status, text.to_owned())).await;
        let found = get(tokens_of(server.address), &format!("http://{}/page", server.address)).await;
        assert!(found.starts_with("ERROR no credentials for http://"), "{found}");
        assert!(found.contains("no token from") && found.contains(expected), "{found}");
        assert!(!["s&c", "s%26c", "SECRET", "5331"].iter().any(|secret| found.contains(secret)), "{found}");
    }
    for status in [200, 400] {
        let long = format!(r#"{{"error": "{}"}}"#, "x".repeat(5_000));
        let server = authority(move |_, _| (status, long.clone())).await;
        let found = get(tokens_of(server.address), &format!("http://{}/page", server.address)).await;
        assert!(found.contains(&"x".repeat(200)) && !found.contains(&"x".repeat(201)), "{found}");
    }
}

#[tokio::test]
async fn a_server_slower_than_a_request_is_waited_for() {
    // The first question is answered only after the request that asked has given up.
    let (answer, wait) = std::sync::mpsc::sync_channel::<()>(1);
    let wait = Mutex::new(wait);
    let slow = move |_: &str, _: usize| {
        let _ = wait.lock().recv_timeout(Duration::from_secs(20));
        (200, r#"{"access_token": "t", "expires_in": 3600}"#.to_owned())
    };
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let server = runtime.block_on(authority(slow));
        (runtime, server)
    });
    let (runtime, server) = server.join().expect("started");
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let running = std::thread::spawn(move || runtime.block_on(ended));
    // Answers of `/page` wait behind a slow token there: the page is on this runtime.
    let pages = authority(|_, _| (200, String::new())).await;
    let url = format!("http://{}/page", pages.address);
    let client = HttpClient::new(&tokens_of(server.address)).expect("good");
    let late = client.send(HttpRequest::get(url.as_str()).timeout(Duration::from_millis(50))).await;
    let late = late.expect_err("no token in time").to_string();
    let expected = format!("no credentials for {url}: no token from http://{}/token within 50ms yet", server.address);
    assert_eq!(late, expected);
    answer.send(()).expect("it waits");
    let page = client.send(HttpRequest::get(url)).await.expect("a page");
    assert_eq!((page.body.as_ref(), server.given.load(Ordering::SeqCst)), (&b"Bearer t"[..], 1));
    let _ = end.send(());
    let _ = running.join();
}

#[tokio::test]
async fn who_is_refused_does_not_ask_again_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("secret");
    std::fs::write(&path, "wrong").expect("written");
    let picky = |question: &str, _: usize| match question.contains("client_secret=right") {
        true => (200, r#"{"access_token": "t", "expires_in": 5}"#.to_owned()),
        false => (401, r#"{"error": "invalid_client"}"#.to_owned()),
    };
    let server = authority(picky).await;
    let mut config = tokens_of(server.address);
    if let Some(Auth::OAuth2(oauth2)) = &mut config.auth {
        oauth2.client_secret = Secret::File(path.clone());
    }
    let client = HttpClient::new(&config).expect("good");
    let url = format!("http://{}/page", server.address);
    for _ in 0..3 {
        let error = client.send(HttpRequest::get(url.as_str())).await.expect_err("refused").to_string();
        assert!(error.contains("401") && error.contains("invalid_client"), "{error}");
        assert_eq!(server.given.load(Ordering::SeqCst), 2, "in both ways, once");
    }
    std::fs::write(&path, "right").expect("written");
    assert_eq!(client.send(HttpRequest::get(url)).await.expect("a page").body, "Bearer t");
    assert_eq!(server.given.load(Ordering::SeqCst), 4, "another secret is tried at once");
}

#[tokio::test]
async fn a_way_that_has_worked_is_the_only_one() {
    let once = |_: &str, n: usize| match n {
        1 => (200, r#"{"access_token": "t", "expires_in": 5}"#.to_owned()),
        _ => (429, String::new()),
    };
    let server = authority(once).await;
    let client = HttpClient::new(&tokens_of(server.address)).expect("good");
    let url = format!("http://{}/page", server.address);
    assert_eq!(client.send(HttpRequest::get(url.as_str())).await.expect("a page").body, "Bearer t");
    let error = client.send(HttpRequest::get(url)).await.expect_err("refused").to_string();
    assert!(error.contains("HTTP status 429"), "{error}");
    assert_eq!(server.given.load(Ordering::SeqCst), 2);
    assert!(!server.questions.lock().iter().any(|question| question.contains("client_secret")));
}
