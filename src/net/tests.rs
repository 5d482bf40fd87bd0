use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{HttpClient, HttpError, HttpRequest, Redirects, parse_url, without_userinfo};

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, body).expect("a Vec takes it");
    encoder.finish().expect("a Vec takes it")
}

/// A server that answers by path; it lives as long as the test's runtime.
async fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let service = service_fn(answer);
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

async fn answer(request: Request<hyper::body::Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let response = Response::builder();
    let (response, body) = match request.uri().path() {
        "/plain" => (response.header("content-type", "text/plain; version=0.0.4"), b"a 1\n".to_vec()),
        "/gzip" => (response.header("content-encoding", "gzip"), gzip(b"a 1\n")),
        "/bomb" => (response.header("content-encoding", "gzip"), gzip(&vec![b'a'; 1 << 20])),
        "/large-error" => (response.status(500), vec![b'a'; 2000]),
        "/large" => (response, vec![b'a'; 2000]),
        "/brotli" => (response.header("content-encoding", "br"), Vec::new()),
        "/broken" => (response.header("content-encoding", "gzip"), b"no gzip".to_vec()),
        "/same" => (response.status(302).header("location", "/plain"), Vec::new()),
        "/folder/next" => (response.status(307).header("location", "plain"), Vec::new()),
        "/folder/query" => match request.uri().query() {
            None => (response.status(302).header("location", "?x=1"), Vec::new()),
            Some(query) => (response, query.as_bytes().to_vec()),
        },
        "/folder/up" => (response.status(302).header("location", "../plain"), Vec::new()),
        "/nowhere" => (response.status(302), b"no location".to_vec()),
        "/many" => {
            ((0..150).fold(response, |response, index| response.header(format!("x-{index}"), "1")), b"a 1\n".to_vec())
        }
        "/folder/plain" => (response, b"a 1\n".to_vec()),
        "/whoami" => {
            let known = request.headers().contains_key("authorization");
            (response, if known { b"known".to_vec() } else { b"nobody".to_vec() })
        }
        path if path.starts_with("/to/") => {
            (response.status(302).header("location", format!("http://{}/whoami", &path[4..])), Vec::new())
        }
        "/loop" => (response.status(302).header("location", "/loop"), Vec::new()),
        "/away" => (response.status(302).header("location", "http://example.com/"), Vec::new()),
        "/hang" => std::future::pending().await,
        _ => (response.status(404), b"not here".to_vec()),
    };
    Ok(response.body(Full::new(body.into())).expect("a valid answer"))
}

#[tokio::test]
async fn answers_and_failures() {
    let address = server().await;
    let client = HttpClient::default();
    let cases = [
        ("/plain", "200 a 1\n"),
        ("/gzip", "200 a 1\n"),
        ("/same", "200 a 1\n"),
        ("/nothing", "404 not here"),
        ("/large", "ERROR body size limit exceeded: the answer of URL is larger than 1000 bytes"),
        ("/bomb", "ERROR body size limit exceeded: the answer of URL is larger than 1000 bytes"),
        ("/brotli", "ERROR the answer of URL cannot be decompressed: expected gzip or none, found \"br\""),
        ("/broken", "ERROR the answer of URL cannot be decompressed"),
        ("/loop", "ERROR URL redirects more than 10 times, at last to URL"),
        ("/folder/query", "200 x=1"),
        ("/folder/up", "200 a 1\n"),
        ("/nowhere", "302 no location"),
        ("/many", "200 a 1\n"),
        ("/folder/next", "200 a 1\n"),
        ("/away", "ERROR URL redirects to http://example.com/, which is not followed"),
        ("/hang", "ERROR no complete answer from URL within 300ms"),
    ];
    for (path, expected) in cases {
        let url = format!("http://{address}{path}");
        let mut request = HttpRequest::get(url.as_str()).timeout(Duration::from_millis(300));
        request.max_body = 1000;
        let found = match client.send(request).await {
            Ok(response) => format!("{} {}", response.status.as_u16(), String::from_utf8_lossy(&response.body)),
            Err(error) => format!("ERROR {error}").replace(&url, "URL"),
        };
        assert!(found.starts_with(expected), "{path}: {found}");
    }
}

/// A server that takes the second request of each connection and closes it, as one that had given it up. Counts its connections.
async fn giving_up(answers: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                for answered in 0..=answers {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else { return };
                        head.push(byte);
                    }
                    if answered < answers {
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na 1\n").await;
                    }
                }
            });
        }
    });
    (address, connections)
}

#[tokio::test]
async fn a_kept_connection_that_is_closed_costs_no_answer() {
    let (address, connections) = giving_up(1).await;
    let client = HttpClient::default();
    for round in 1..=5 {
        let answer = client.send(HttpRequest::get(format!("http://{address}/"))).await;
        assert_eq!(answer.map(|answer| answer.body).map_err(|error| error.to_string()), Ok(Bytes::from("a 1\n")));
        assert_eq!(connections.load(Ordering::SeqCst), round, "one connection a request");
    }
    // What changes something is not sent twice.
    let request = HttpRequest { method: hyper::Method::POST, ..HttpRequest::get(format!("http://{address}/")) };
    assert_eq!(client.send(request).await.expect_err("it broke off").reason(), "exchange");
    assert_eq!(connections.load(Ordering::SeqCst), 5);
    // A new connection that breaks is no reason to try again.
    let (address, connections) = giving_up(0).await;
    let error = client.send(HttpRequest::get(format!("http://{address}/"))).await.expect_err("no answer");
    assert_eq!((error.reason(), connections.load(Ordering::SeqCst)), ("exchange", 1));
}

#[tokio::test]
async fn bodies_of_errors_are_not_waited_for_when_nobody_wants_them() {
    let address = server().await;
    for (path, expected) in [("/nothing", "404 "), ("/large-error", "500 "), ("/plain", "200 a 1\n")] {
        let request =
            HttpRequest { errors_too: false, max_body: 1000, ..HttpRequest::get(format!("http://{address}{path}")) };
        let answer = HttpClient::default().send(request).await.expect("an answer");
        let found = format!("{} {}", answer.status.as_u16(), String::from_utf8_lossy(&answer.body));
        assert_eq!(found, expected, "{path}");
    }
}

#[tokio::test]
async fn redirects_elsewhere_leave_credentials_behind() {
    let (here, there) = (server().await, server().await);
    let secret = (hyper::header::AUTHORIZATION, hyper::header::HeaderValue::from_static("Bearer secret"));
    let cases = [
        (Redirects::Anywhere, here, "200 known"),
        (Redirects::Anywhere, there, "200 nobody"),
        (Redirects::SameHost, here, "200 known"),
        (Redirects::SameHost, there, "redirect"),
        (Redirects::Never, here, "302 "),
    ];
    for (redirects, to, expected) in cases {
        let request = HttpRequest::get(format!("http://{here}/to/{to}")).header(secret.0.clone(), secret.1.clone());
        let found = match HttpClient::default().send(HttpRequest { redirects, ..request }).await {
            Ok(response) => format!("{} {}", response.status.as_u16(), String::from_utf8_lossy(&response.body)),
            Err(error) => error.reason().to_owned(),
        };
        assert_eq!(found, expected, "{redirects:?}");
    }
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let error = HttpClient::default().send(HttpRequest::get(format!("http://u:secret@{address}/"))).await;
    let error = error.expect_err("nobody listens");
    assert!(matches!(error, HttpError::Connect { .. }), "{error:?}");
    assert_eq!(error.reason(), "connect");
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[test]
fn urls() {
    let cases = [
        ("http://127.0.0.1:8000/metrics?a=b", ""),
        ("https://127.0.0.1/", ""),
        ("ftp://127.0.0.1/", "bad URL \"ftp://127.0.0.1/\": unknown scheme ftp"),
        ("127.0.0.1:8000", "bad URL \"127.0.0.1:8000\""),
        ("http://u:p@ /", "bad URL \"http:// /\""),
        ("http://u:p@[::1]:80/", ""),
        ("http://[::1]/", ""),
        ("http://h:/", ""),
        ("http://h:65535/", ""),
        ("http://h:65536/", "bad URL \"http://h:65536/\": its port is no number"),
        ("http://h:abc/", "bad URL \"http://h:abc/\": its port is no number"),
        ("http://u:hunter/2@h:1", "bad URL \"http://h:1\": its port is no number"),
        ("http://u:hunter?2@h:1", "bad URL \"http://h:1\": its port is no number"),
        ("http://u:hunter#2@h:1", "bad URL \"http://h:1\": its port is no number"),
        ("http://u:hunter 2/@h:1", "bad URL \"http://h:1\""),
    ];
    for (url, expected) in cases {
        let found = parse_url(url).map_or_else(|error| error.to_string(), |_| String::new());
        assert!(found.starts_with(expected) && found.is_empty() == expected.is_empty(), "{url}: {found}");
    }
    assert_eq!(without_userinfo("http://u:p@h:1/x@y"), "http://h:1/x@y");
}
