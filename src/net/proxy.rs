//! Which requests go through a proxy, and how: plain ones in absolute form, encrypted ones through a tunnel (CONNECT).
//!
//! Source of the rules for hosts that are left out: Go's `golang.org/x/net/http/httpproxy`, which Prometheus uses.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::Uri;
use hyper::header::{HeaderName, HeaderValue};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::Service;

use super::no_proxy::NoProxy;
use super::resolve::Resolver;
use super::reuse::Answered;
use super::secret::{Auth, Secret, header};
use super::url::{UrlError, parse_url};

/// Bytes of a proxy's answer to CONNECT, up to the empty line.
const MAX_ANSWER: usize = 16 << 10;

/// Which proxies requests go through.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProxyConfig {
    /// For `http://` targets.
    pub http: Option<ProxyUrl>,
    /// For `https://` targets.
    pub https: Option<ProxyUrl>,
    /// Hosts that are reached without one; `None` leaves out nobody, not even this machine.
    pub no_proxy: Option<NoProxy>,
    /// Headers of CONNECT requests.
    pub connect_headers: Vec<(HeaderName, Secret)>,
}

/// A proxy's `http://` URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    /// Without user and password.
    uri: Uri,
    auth: Option<Auth>,
}

impl ProxyUrl {
    /// Reads `http://user:password@host:port`; without a scheme it is `http`.
    ///
    /// # Errors
    /// When it is no URL, or the proxy speaks something else.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri = parse_url(&text)?;
        let place = uri.authority().map_or("", |authority| authority.as_str());
        let (user, host) = place.rsplit_once('@').map_or((None, place), |(user, host)| (Some(user), host));
        let syntax = |reason: &str| UrlError::Syntax { url: super::without_userinfo(&text), reason: reason.to_owned() };
        if uri.scheme_str() != Some("http") {
            return Err(syntax("the proxy itself has to be reached without TLS"));
        }
        let auth = user.map(|user| {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            let part = |text: &str| Secret::Inline(percent_decoded(text));
            Auth::Basic { username: part(name), password: part(password) }
        });
        let bare = format!("http://{host}/");
        let uri = bare.parse().map_err(|error: hyper::http::uri::InvalidUri| syntax(&error.to_string()))?;
        Ok(Self { uri, auth })
    }

    /// `host:port`, for the shown configuration.
    pub fn place(&self) -> &str {
        self.uri.authority().map_or("", |authority| authority.as_str())
    }

    /// `Proxy-Authorization`, if the URL has a user.
    pub(super) fn authorization(&self) -> Option<Result<HeaderValue, String>> {
        self.auth.as_ref().map(Auth::header)
    }
}

impl ProxyConfig {
    /// The same proxy for everything.
    pub fn of(url: ProxyUrl, no_proxy: Option<NoProxy>) -> Self {
        Self { http: Some(url.clone()), https: Some(url), no_proxy, connect_headers: Vec::new() }
    }

    /// `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, or the same in small letters.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, UrlError> {
        let either = |name: &str| {
            let of = |name: String| variable(&name).filter(|value| !value.is_empty());
            of(name.to_owned()).or_else(|| of(name.to_ascii_lowercase()))
        };
        let url = |name: &str| either(name).map(|text| ProxyUrl::parse(&text)).transpose();
        let no_proxy = Some(NoProxy::parse(&either("NO_PROXY").unwrap_or_default()));
        Ok(Self { http: url("HTTP_PROXY")?, https: url("HTTPS_PROXY")?, no_proxy, connect_headers: Vec::new() })
    }

    /// The proxy for a target.
    pub fn proxy_of(&self, uri: &Uri) -> Option<&ProxyUrl> {
        let encrypted = uri.scheme_str() == Some("https");
        let proxy = if encrypted { &self.https } else { &self.http }.as_ref()?;
        let port = uri.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        let direct = self.no_proxy.as_ref().is_some_and(|no| no.matches(uri.host().unwrap_or(""), port));
        (!direct).then_some(proxy)
    }
}

/// Undoes `%41`; what is no such escape stays.
fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                out.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Connects to targets, or to the proxy that stands before them.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    tcp: HttpConnector<Resolver>,
    proxy: Option<Arc<ProxyConfig>>,
}

impl Connector {
    pub(super) fn new(tcp: HttpConnector<Resolver>, proxy: Option<Arc<ProxyConfig>>) -> Self {
        Self { tcp, proxy }
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, Failure>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let through = self.proxy.as_ref().and_then(|proxy| Some((Arc::clone(proxy), proxy.proxy_of(&target)?.clone())));
        let Some((config, proxy)) = through else {
            let connecting = self.tcp.call(target);
            return Box::pin(async move { Ok(Stream { io: connecting.await?, absolute: false }) });
        };
        let connecting = self.tcp.call(proxy.uri.clone());
        Box::pin(async move {
            let place = proxy.place();
            let io = connecting.await.map_err(|error| {
                let reason = super::reason::reason(&error);
                io::Error::other(format!("no connection to the proxy {place}: {reason}"))
            })?;
            if target.scheme_str() != Some("https") {
                return Ok(Stream { io, absolute: true });
            }
            let mut tcp = io.into_inner();
            let tunnel = tunnel(&mut tcp, &target, &proxy, &config.connect_headers).await;
            tunnel.map_err(|reason| io::Error::other(format!("no tunnel through the proxy {place}: {reason}")))?;
            Ok(Stream { io: TokioIo::new(tcp), absolute: false })
        })
    }
}

/// Asks the proxy for a connection to the target.
async fn tunnel(
    tcp: &mut TcpStream,
    target: &Uri,
    proxy: &ProxyUrl,
    headers: &[(HeaderName, Secret)],
) -> Result<(), String> {
    let host = target.host().unwrap_or("");
    let place = format!("{host}:{}", target.port_u16().unwrap_or(443));
    let mut request = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n").into_bytes();
    let mut add = |name: &str, value: &HeaderValue| {
        request.extend_from_slice(name.as_bytes());
        request.extend_from_slice(b": ");
        request.extend_from_slice(value.as_bytes());
        request.extend_from_slice(b"\r\n");
    };
    for (name, secret) in headers {
        add(name.as_str(), &header(&secret.read()?)?);
    }
    if let Some(value) = proxy.authorization() {
        add("Proxy-Authorization", &value?);
    }
    request.extend_from_slice(b"\r\n");
    let told = |error: io::Error| error.to_string();
    tcp.write_all(&request).await.map_err(told)?;
    let mut answer = Vec::new();
    // The target speaks only after us, so what the proxy sends ends with its empty line.
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= MAX_ANSWER {
            return Err(format!("its answer has more than {MAX_ANSWER} bytes"));
        }
        match tcp.read_u8().await {
            Ok(byte) => answer.push(byte),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err("it closed the connection".to_owned());
            }
            Err(error) => return Err(told(error)),
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.lines().next().unwrap_or("").split_once(' ').map_or("", |(_, status)| status);
    if status.starts_with('2') { Ok(()) } else { Err(format!("it answered {status:?}")) }
}

/// A connection, and whether requests on it name their target.
#[derive(Debug)]
pub(super) struct Stream {
    io: TokioIo<TcpStream>,
    absolute: bool,
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        self.io.connected().proxy(self.absolute).extra(Answered::default())
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::{ProxyConfig, ProxyUrl};
    use crate::net::NoProxy;

    #[test]
    fn urls_of_proxies() {
        let cases = [
            ("http://p:3128", "p:3128"),
            ("p:3128", "p:3128"),
            ("http://u:p%40w@p:3128/ignored", "p:3128"),
            ("https://p:3128", "ERROR"),
            ("socks5://p:1080", "ERROR"),
            ("http://u:p/w@p:3128", "ERROR"),
            ("u:p?w@p:3128", "ERROR"),
            ("http://", "ERROR"),
            ("", "ERROR"),
        ];
        for (text, expected) in cases {
            let found = ProxyUrl::parse(text);
            assert_eq!(found.as_ref().map_or("ERROR", ProxyUrl::place), expected, "{text}");
            assert!(!["p@w", "p/w", "p?w"].iter().any(|secret| format!("{found:?}").contains(secret)), "{found:?}");
        }
        let header = ProxyUrl::parse("http://u:p%40w@p:1").expect("good").authorization();
        assert_eq!(header.expect("a user").expect("plain"), "Basic dTpwQHc=");
    }

    #[test]
    fn the_environment_names_proxies() {
        let environment = |name: &str| match name {
            "HTTP_PROXY" => Some(String::new()),
            "http_proxy" => Some("one:1".to_owned()),
            "HTTPS_PROXY" => Some("http://two:2".to_owned()),
            "no_proxy" => Some("near.example".to_owned()),
            _ => None,
        };
        let config = ProxyConfig::from_environment(environment).expect("good");
        let cases = [
            ("http://far.example/", "one:1"),
            ("https://far.example/", "two:2"),
            ("https://near.example/", ""),
            ("http://localhost:9100/", ""),
            ("http://127.0.0.1/", ""),
        ];
        for (target, expected) in cases {
            let found = config.proxy_of(&target.parse().expect("a URL")).map_or("", ProxyUrl::place);
            assert_eq!(found, expected, "{target}");
        }
        assert_eq!(ProxyConfig::from_environment(|_| None).expect("good").http, None);
        assert!(ProxyConfig::from_environment(|_| Some("ftp://x".to_owned())).is_err());
        // Whoever names a proxy and no exceptions means everybody.
        let all = ProxyConfig::of(ProxyUrl::parse("p:1").expect("good"), None);
        assert!(all.proxy_of(&"http://127.0.0.1/".parse().expect("a URL")).is_some());
        let some = ProxyConfig { no_proxy: Some(NoProxy::parse("a")), ..all };
        assert!(some.proxy_of(&"http://127.0.0.1/".parse().expect("a URL")).is_none());
    }
}
