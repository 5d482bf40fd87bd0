//! A real TLS server and certificates that are made as the tests need them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::tls::provider;
use super::{Auth, ClientConfig, HttpClient, HttpRequest, Pem, Redirects, Secret, TlsConfig, TlsVersion};

/// An authority that signs what it is asked to.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

struct Identity {
    chain: Vec<CertificateDer<'static>>,
    pem: String,
    key: KeyPair,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed");
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn pem(&self) -> String {
        self.certificate.pem()
    }

    fn sign(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        Identity { chain: vec![certificate.der().clone()], pem: certificate.pem(), key }
    }
}

impl Identity {
    fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).expect("PKCS 8")
    }
}

struct Served<'s> {
    identity: &'s Identity,
    versions: &'s [&'static rustls::SupportedProtocolVersion],
    clients: Option<&'s Authority>,
}

impl<'s> Served<'s> {
    fn with(identity: &'s Identity) -> Self {
        Self { identity, versions: rustls::ALL_VERSIONS, clients: None }
    }

    /// Starts the server; it lives as long as the test's runtime.
    async fn start(self) -> SocketAddr {
        let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(self.versions);
        let builder = builder.expect("versions");
        let builder = match self.clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.certificate.der().clone()).expect("an authority");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build();
                builder.with_client_cert_verifier(verifier.expect("roots"))
            }
        };
        let config = builder.with_single_cert(self.identity.chain.clone(), self.identity.key_der()).expect("identity");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let served = hyper::server::conn::http1::Builder::new();
                    let _ = served.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
                });
            }
        });
        address
    }
}

/// Says which headers of interest came; `/to/HOST:PORT` and `/plain/HOST:PORT` redirect there.
async fn answer(request: Request<hyper::body::Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    let response = Response::builder();
    let (response, body) = if let Some(to) = path.strip_prefix("/to/") {
        (response.status(302).header("location", format!("https://{to}/")), String::new())
    } else if let Some(to) = path.strip_prefix("/plain/") {
        (response.status(302).header("location", format!("http://{to}/")), String::new())
    } else {
        let headers = request.headers();
        let all = |name: &str| {
            let values: Vec<_> = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?")).collect();
            values.join("+")
        };
        (response, format!("auth={} team={}", all("authorization"), all("x-team")))
    };
    Ok(response.body(Full::new(body.into())).expect("a valid answer"))
}

async fn get(config: &ClientConfig, url: &str) -> String {
    match HttpClient::new(config) {
        Ok(client) => ask(&client, url).await,
        Err(error) => format!("config: {error}"),
    }
}

async fn ask(client: &HttpClient, url: &str) -> String {
    let mut request = HttpRequest::get(url).timeout(Duration::from_secs(20));
    request.redirects = Redirects::Anywhere;
    match client.send(request).await {
        Ok(response) => format!("{} {}", response.status.as_u16(), String::from_utf8_lossy(&response.body)),
        Err(error) => format!("{}: {error}", error.reason()),
    }
}

fn with_tls(tls: TlsConfig) -> ClientConfig {
    ClientConfig { tls, ..ClientConfig::default() }
}

fn trusting(pem: &str) -> TlsConfig {
    TlsConfig { ca: Some(Pem::Inline(pem.to_owned())), ..TlsConfig::default() }
}

fn inline(text: &str) -> Option<Pem> {
    Some(Pem::Inline(text.to_owned()))
}

fn check(what: &str, found: &str, expected: &str) {
    assert!(found.contains(expected), "{what}: {found}\nexpected: {expected}");
}

#[tokio::test]
async fn whom_we_trust() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let good = ours.sign("localhost", |_| {});
    let by_address = ours.sign("127.0.0.1", |_| {});
    let expired = ours.sign("localhost", |params| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2001, 2, 1);
    });
    let early = ours.sign("localhost", |params| params.not_before = date_time_ymd(2900, 1, 1));
    let named = ours.sign("a.example", |_| {});
    let ca = ours.pem();
    let lax = TlsConfig { insecure_skip_verify: true, ..TlsConfig::default() };
    let renamed = TlsConfig { server_name: Some("a.example".to_owned()), ..trusting(&ca) };
    let both = trusting(&format!("{}{ca}", other.pem()));
    let cases = [
        ("right CA", &good, trusting(&ca), "200 "),
        ("right CA of two", &good, both, "200 "),
        ("wrong CA", &good, trusting(&other.pem()), "signed by an unknown authority"),
        ("the system's CAs", &good, TlsConfig::default(), "this system's"),
        ("no check", &good, lax.clone(), "200 "),
        ("no check of time and name", &expired, lax, "200 "),
        ("expired", &expired, trusting(&ca), "has expired"),
        ("too early", &early, trusting(&ca), "not valid yet"),
        ("wrong name", &named, trusting(&ca), "it has"),
        ("name that is asked for", &named, renamed.clone(), "200 "),
        ("another name than asked for", &good, renamed, "asked was a.example"),
        ("address instead of name", &by_address, trusting(&ca), "for another name"),
    ];
    for (what, identity, tls, expected) in cases {
        let address = Served::with(identity).start().await;
        let found = get(&with_tls(tls), &format!("https://localhost:{}/", address.port())).await;
        check(what, &found, expected);
        if expected != "200 " {
            check(what, &found, "tls: cannot speak TLS with https://localhost:");
        }
    }
    let address = Served::with(&by_address).start().await;
    check("address", &get(&with_tls(trusting(&ca)), &format!("https://{address}/")).await, "200 ");
}

/// What `openssl req -x509` makes: a certificate that signed itself, authority and server at once.
#[tokio::test]
async fn a_certificate_that_is_its_own_authority() {
    let make = |ca: bool| {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        if ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed");
        Identity { chain: vec![certificate.der().clone()], pem: certificate.pem(), key }
    };
    for ca in [true, false] {
        let (own, foreign) = (make(ca), make(ca));
        let address = Served::with(&own).start().await;
        let url = format!("https://localhost:{}/", address.port());
        check("its own", &get(&with_tls(trusting(&own.pem)), &url).await, "200 ");
        check("by address", &get(&with_tls(trusting(&own.pem)), &format!("https://{address}/")).await, "another name");
        check("another of that name", &get(&with_tls(trusting(&foreign.pem)), &url).await, "tls: cannot speak TLS");
    }
}

/// What `openssl s_client` shows, put into a file: the server's certificate without its authority.
#[tokio::test]
async fn a_certificate_that_is_pinned() {
    let ours = Authority::new("ours");
    let (good, other) = (ours.sign("localhost", |_| {}), ours.sign("localhost", |_| {}));
    let expired = ours.sign("localhost", |params| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2001, 2, 1);
    });
    let named = ours.sign("a.example", |_| {});
    let cases = [
        ("pinned", &good, &good, "200 "),
        ("another of that authority", &good, &other, "unknown authority"),
        ("expired", &expired, &expired, "has expired"),
        ("another name", &named, &named, "for another name"),
    ];
    for (what, served, pinned, expected) in cases {
        let address = Served::with(served).start().await;
        let found = get(&with_tls(trusting(&pinned.pem)), &format!("https://localhost:{}/", address.port())).await;
        check(what, &found, expected);
    }
}

#[tokio::test]
async fn one_odd_certificate_does_not_spoil_a_bundle() {
    let ours = Authority::new("ours");
    let server = ours.sign("localhost", |_| {});
    let address = Served::with(&server).start().await;
    let odd = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let cases = [
        (format!("{odd}{}", ours.pem()), "200 "),
        (format!("{}{odd}", ours.pem()), "200 "),
        (odd.to_owned(), "CA certificates inline: expected a certificate of an authority, found none that can be read"),
    ];
    for (bundle, expected) in cases {
        let found = get(&with_tls(trusting(&bundle)), &format!("https://localhost:{}/", address.port())).await;
        check("bundle", &found, expected);
    }
}

#[tokio::test]
async fn who_we_are() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let client =
        |params: &mut CertificateParams| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let (server, good, foreign) =
        (ours.sign("localhost", |_| {}), ours.sign("client", client), other.sign("client", client));
    let base = trusting(&ours.pem());
    let known = |identity: &Identity, key: &Identity| TlsConfig {
        cert: inline(&identity.pem),
        key: inline(&key.key.serialize_pem()),
        ..base.clone()
    };
    let halves = TlsConfig { cert: inline(&good.pem), ..base.clone() };
    let no_key = TlsConfig { key: inline("nothing"), ..known(&good, &good) };
    let cases = [
        ("known", known(&good, &good), "200 "),
        ("nobody", base.clone(), "asks for a client certificate"),
        ("stranger", known(&foreign, &foreign), "the server refuses our certificate"),
        ("key of another", known(&good, &foreign), "config: key inline: it does not belong to the certificate"),
        ("no key", halves, "config: expected a key beside the certificate"),
        ("no PEM", no_key, "config: key inline: expected a private key in PEM"),
    ];
    for versions in [&[&rustls::version::TLS13][..], &[&rustls::version::TLS12]] {
        let address = Served { versions, clients: Some(&ours), ..Served::with(&server) }.start().await;
        let url = format!("https://localhost:{}/", address.port());
        for (what, tls, expected) in &cases {
            let found = get(&with_tls(tls.clone()), &url).await;
            // TLS 1.2 servers refuse a client without a certificate with a word that may mean anything.
            let expected = if found.contains("HandshakeFailure") { "HandshakeFailure" } else { expected };
            check(what, &found, expected);
        }
    }
}

#[tokio::test]
async fn versions() {
    use TlsVersion::{Tls10, Tls12, Tls13};
    let ours = Authority::new("ours");
    let server = ours.sign("localhost", |_| {});
    let (old, new) = ([&rustls::version::TLS12], [&rustls::version::TLS13]);
    let cases = [
        (&old, None, None, "200 "),
        (&old, Some(Tls10), None, "200 "),
        (&old, Some(Tls13), None, "TLS"),
        (&new, Some(Tls13), None, "200 "),
        (&new, None, Some(Tls12), "TLS"),
        (&old, None, Some(Tls12), "200 "),
    ];
    for (versions, min_version, max_version, expected) in cases {
        let address = Served { versions, ..Served::with(&server) }.start().await;
        let tls = TlsConfig { min_version, max_version, ..trusting(&ours.pem()) };
        let found = get(&with_tls(tls), &format!("https://localhost:{}/", address.port())).await;
        check(&format!("{min_version:?} {max_version:?}"), &found, expected);
    }
}

#[tokio::test]
async fn files_that_change() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let write = |name: &str, text: &str| std::fs::write(path(name), text).expect("written");
    let (old, new) = (Authority::new("old"), Authority::new("a new one"));
    let (server, later) = (old.sign("localhost", |_| {}), new.sign("localhost", |_| {}));
    let tls = TlsConfig { ca: Some(Pem::File(path("ca.pem"))), ..TlsConfig::default() };
    let client = HttpClient::new(&with_tls(tls)).expect("files are read later");
    let before = format!("https://localhost:{}/", Served::with(&server).start().await.port());
    let after = format!("https://localhost:{}/", Served::with(&later).start().await.port());
    check("no file yet", &ask(&client, &before).await, "ca.pem: cannot read");
    write("ca.pem", "nothing");
    check("no certificate in it", &ask(&client, &before).await, "expected -----BEGIN CERTIFICATE-----");
    write("ca.pem", &old.pem());
    check("the old one", &ask(&client, &before).await, "200 ");
    check("the old one, new server", &ask(&client, &after).await, "unknown authority");
    write("ca.pem", &new.pem());
    check("the new one", &ask(&client, &after).await, "200 ");
    check("connections of the old one are left", &ask(&client, &before).await, "unknown authority");
}

#[tokio::test]
async fn secrets_are_read_at_each_request_and_stay_with_their_host() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    let ours = Authority::new("ours");
    let server = ours.sign("localhost", |_| {});
    let (here, there) = (Served::with(&server).start().await.port(), Served::with(&server).start().await.port());
    let config = |auth| ClientConfig {
        auth: Some(auth),
        headers: ["a", "b"].map(|text| ("x-team".parse().expect("a name"), Secret::Inline(text.to_owned()))).into(),
        ..with_tls(trusting(&ours.pem()))
    };
    let bearer =
        |path: &Path| Auth::Authorization { scheme: "Bearer".to_owned(), credentials: Secret::File(path.to_owned()) };
    let client = HttpClient::new(&config(bearer(&token))).expect("good");
    let url = format!("https://localhost:{here}");
    check("no file", &ask(&client, &url).await, "credentials: no credentials for https://localhost");
    for text in ["one", "two\n"] {
        std::fs::write(&token, text).expect("written");
        check("token", &ask(&client, &url).await, &format!("200 auth=Bearer {} team=a+b", text.trim()));
    }
    std::fs::write(&token, [0xff]).expect("written");
    check("no text", &ask(&client, &url).await, "is no text");
    let basic = Auth::Basic { username: Secret::Inline("u".to_owned()), password: Secret::Inline("p".to_owned()) };
    let client = HttpClient::new(&config(basic)).expect("good");
    check("basic", &ask(&client, &url).await, "200 auth=Basic dTpw team=a+b");
    check("same host", &ask(&client, &format!("{url}/to/localhost:{here}")).await, "200 auth=Basic dTpw team=a+b");
    check("another port", &ask(&client, &format!("{url}/to/localhost:{there}")).await, "200 auth= team=");
    let own = HttpRequest::get(&url).header(hyper::header::AUTHORIZATION, "Own x".parse().expect("a value"));
    let answer = client.send(own).await.expect("an answer").body;
    assert_eq!(String::from_utf8_lossy(&answer), "auth=Own x team=a+b");
}

#[tokio::test]
async fn servers_that_speak_something_else() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let plain = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let served = hyper::server::conn::http1::Builder::new();
            tokio::spawn(served.serve_connection(TokioIo::new(stream), service_fn(answer)));
        }
    });
    let ours = Authority::new("ours");
    let server = ours.sign("localhost", |_| {});
    let secure = Served::with(&server).start().await;
    let config = with_tls(trusting(&ours.pem()));
    check("https to http", &get(&config, &format!("https://{plain}/")).await, "the answer is not TLS");
    check("http to https", &get(&config, &format!("http://{secure}/")).await, "exchange: ");
    check("plain", &get(&config, &format!("http://{plain}/")).await, "200 ");
    let down = get(&config, &format!("https://localhost:{}/plain/{plain}", secure.port())).await;
    check("from https to http", &down, "200 auth= team=");
    let text = format!("{config:?}");
    assert!(!text.contains("BEGIN CERTIFICATE"), "{text}");
}

#[tokio::test]
async fn a_tunnel_speaks_tls_with_the_target() {
    let authority = Authority::new("wf");
    let identity = authority.sign("localhost", |_| {});
    let address = Served::with(&identity).start().await;
    let (place, asked) = super::proxy_tests::proxy(None).await;
    let config = ClientConfig {
        tls: TlsConfig {
            ca: Some(Pem::Inline(authority.pem())),
            server_name: Some("localhost".to_owned()),
            ..TlsConfig::default()
        },
        proxy: super::proxy_tests::through(&format!("http://u:p@{place}"), None),
        ..ClientConfig::default()
    };
    let client = HttpClient::new(&config).expect("good");
    for _ in 0..2 {
        let response = client.send(HttpRequest::get(format!("https://{address}/"))).await.expect("an answer");
        assert_eq!(response.status.as_u16(), 200);
    }
    // The connection is kept, and nothing but its target is said to the proxy.
    let expected = format!("CONNECT {address} HTTP/1.1|x-key: k|Proxy-Authorization: Basic dTpw");
    assert_eq!(*asked.lock(), [expected]);
}
