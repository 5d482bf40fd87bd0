//! The client: keep-alive connections, total timeouts, bounded bodies, gzip.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION,
    PROXY_AUTHORIZATION, USER_AGENT,
};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;

use super::gunzip::{GunzipError, gunzip};
use super::location::absolute;
use super::oauth2::Tokens;
use super::proxy::{Connector, ProxyConfig, ProxyUrl};
use super::reason::{is_tls, reason};
use super::resolve::Resolver;
use super::reuse;
use super::secret::{Auth, Secret, header};
use super::tls::{Stamps, TlsConfig, TlsError, server_name};
use super::url::without_userinfo;
use super::{HttpError, parse_url};
use crate::clock::Stopwatch;
use crate::limits::MAX_SCRAPE_BYTES;
use crate::model::format_duration;

/// Redirects that one request follows, as Go's client.
const MAX_REDIRECTS: usize = 10;
/// Headers of one answer; its head has at most some 400 KB.
const MAX_HEADERS: usize = 1_000;

/// How the client connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientConfig {
    /// The longest wait for a connection; without it the total timeout of the request is the limit.
    pub connect_timeout: Option<Duration>,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
    /// Idle connections kept for one host.
    pub max_idle_per_host: usize,
    /// The User-Agent header.
    pub user_agent: String,
    /// How `https://` is spoken.
    pub tls: TlsConfig,
    /// How the client proves who it is; a request's own Authorization header comes first.
    pub auth: Option<Auth>,
    /// Proxies on the way; none without it.
    pub proxy: Option<ProxyConfig>,
    /// Headers of every request, until it is redirected to another host.
    pub headers: Vec<(HeaderName, Secret)>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            connect_timeout: None,
            idle_timeout: Duration::from_secs(90),
            max_idle_per_host: 2,
            user_agent: concat!("watchfire/", env!("CARGO_PKG_VERSION")).to_owned(),
            tls: TlsConfig::default(),
            auth: None,
            proxy: None,
            headers: Vec::new(),
        }
    }
}

/// One request.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    /// GET, POST, …
    pub method: Method,
    /// The absolute `http://` or `https://` URL.
    pub url: String,
    /// Headers beside User-Agent and Accept-Encoding.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body, empty for GET.
    pub body: Bytes,
    /// From the first byte sent to the last received.
    pub timeout: Duration,
    /// Bytes of the answer, after decompression.
    pub max_body: usize,
    /// Whose redirects are followed.
    pub redirects: Redirects,
    /// Whether the body of an answer other than 200 is wanted; otherwise it is not waited for, and empty.
    pub errors_too: bool,
}

/// Whose redirects a request follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Redirects {
    /// None: the redirect itself is the answer.
    Never,
    /// Those that stay on the host and port, or go from `http://` to `https://` there, both with their usual port.
    #[default]
    SameHost,
    /// All; credentials stay behind when the host or port changes.
    Anywhere,
}

impl HttpRequest {
    /// A GET with the limits of a scrape: 10 s and [`MAX_SCRAPE_BYTES`].
    pub fn get(url: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            url: url.into(),
            headers: Vec::new(),
            body: Bytes::new(),
            timeout: Duration::from_secs(10),
            max_body: MAX_SCRAPE_BYTES,
            redirects: Redirects::SameHost,
            errors_too: true,
        }
    }

    /// The same request with another total timeout.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same request with one more header.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// A complete answer.
#[derive(Debug, Clone)]
pub struct HttpResponse {
    /// The status code, whatever it is.
    pub status: StatusCode,
    /// Headers as the server sent them.
    pub headers: HeaderMap,
    /// The body, decompressed.
    pub body: Bytes,
}

impl HttpResponse {
    /// The Content-Type header, or `""`.
    pub fn content_type(&self) -> &str {
        self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("")
    }
}

type Body = Full<Bytes>;
type Secure = Client<HttpsConnector<Connector>, Body>;

/// The one HTTP client. Clones share its connections.
///
/// Files of its TLS settings are looked at before each `https://` request: when one has changed, new connections are made with it and the old
/// ones are left. Nothing is read before the first such request.
#[derive(Debug, Clone)]
pub struct HttpClient {
    plain: Client<Connector, Body>,
    secure: Arc<Mutex<Option<(Stamps, Secure)>>>,
    config: Arc<ClientConfig>,
    tokens: Option<Arc<Tokens>>,
    user_agent: HeaderValue,
}

impl HttpClient {
    /// A client without connections.
    ///
    /// # Errors
    /// When settings contradict each other, or inline certificates and keys cannot be used. Files are read later: what is wrong with them is an
    /// error of the request.
    pub fn new(config: &ClientConfig) -> Result<Self, TlsError> {
        config.tls.validate()?;
        let tokens = match &config.auth {
            Some(Auth::OAuth2(oauth2)) => Some(Arc::new(Tokens::new(oauth2)?)),
            _ => None,
        };
        Ok(Self { tokens, ..Self::with(config) })
    }

    fn with(config: &ClientConfig) -> Self {
        let user_agent = HeaderValue::from_str(&config.user_agent).unwrap_or(HeaderValue::from_static("watchfire"));
        let plain = pool(config, tcp(config));
        Self { plain, secure: Arc::default(), config: Arc::new(config.clone()), tokens: None, user_agent }
    }

    /// The client that speaks TLS with the files as they are now.
    fn secure(&self) -> Result<Secure, TlsError> {
        let stamps = self.config.tls.stamps();
        let mut secure = self.secure.lock();
        if let Some((_, client)) = secure.as_ref().filter(|(known, _)| *known == stamps) {
            return Ok(client.clone());
        }
        let connector = tcp(&self.config);
        let builder = HttpsConnectorBuilder::new().with_tls_config(self.config.tls.build()?).https_only();
        let builder = match &self.config.tls.server_name {
            Some(name) => builder.with_server_name_resolver(FixedServerNameResolver::new(server_name(name)?)),
            None => builder,
        };
        let client: Secure = pool(&self.config, builder.enable_http1().wrap_connector(connector));
        *secure = Some((stamps, client.clone()));
        Ok(client)
    }

    /// Sends a request and reads the whole answer. A status that says "error" is an answer too.
    ///
    /// # Errors
    /// When there is no answer, it is too large, too late, or elsewhere.
    pub async fn send(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (after, url, watch) = (request.timeout, without_userinfo(&request.url), Stopwatch::start());
        let uri = parse_url(&request.url)?;
        match (tokio::time::timeout(after, self.authorize(&mut request)).await, &self.tokens) {
            (Ok(result), _) => result?,
            (Err(_), None) => return Err(HttpError::Timeout { url, after }),
            // Not the target is slow.
            (Err(_), Some(tokens)) => {
                let reason = format!("no token from {} within {} yet", tokens.place(), format_duration(after));
                return Err(HttpError::Credentials { url, reason });
            }
        }
        match tokio::time::timeout(after.saturating_sub(watch.elapsed()), self.follow(request, uri)).await {
            Ok(result) => result,
            Err(_) => Err(HttpError::Timeout { url, after }),
        }
    }

    async fn follow(&self, mut request: HttpRequest, mut uri: Uri) -> Result<HttpResponse, HttpError> {
        for _ in 0..=MAX_REDIRECTS {
            let response = self.exchange(&request, uri.clone()).await?;
            // Without a location it is an answer like any other.
            let moved =
                matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) && !location(&response).is_empty();
            if !moved || request.redirects == Redirects::Never {
                return read(response, &request).await;
            }
            let (next, same_host) = redirect(&response, &uri, &request)?;
            uri = next;
            if !same_host {
                request.headers.retain(|(name, _)| *name != AUTHORIZATION && !self.is_own(name));
            }
            if response.status() == StatusCode::SEE_OTHER {
                request.method = Method::GET;
                request.body = Bytes::new();
            }
        }
        Err(HttpError::RedirectLoop {
            url: without_userinfo(&request.url),
            location: without_userinfo(&uri.to_string()),
            limit: MAX_REDIRECTS,
        })
    }

    async fn exchange(&self, request: &HttpRequest, uri: Uri) -> Result<Response<Incoming>, HttpError> {
        let url = || without_userinfo(&request.url);
        let mut message = Request::new(Full::new(request.body.clone()));
        *message.method_mut() = request.method.clone();
        let encrypted = uri.scheme_str() == Some("https");
        let through = self.config.proxy.as_ref().filter(|_| !encrypted).and_then(|proxy| proxy.proxy_of(&uri));
        let proxied = through.and_then(ProxyUrl::authorization).transpose();
        let proxied = proxied.map_err(|reason| HttpError::Credentials { url: url(), reason })?;
        *message.uri_mut() = uri;
        let headers = message.headers_mut();
        headers.insert(USER_AGENT, self.user_agent.clone());
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        for (name, _) in &request.headers {
            headers.remove(name);
        }
        for (name, value) in &request.headers {
            headers.append(name, value.clone());
        }
        if let Some(value) = proxied {
            headers.insert(PROXY_AUTHORIZATION, value);
        }
        let answer = if encrypted {
            let client = self.secure().map_err(|error| HttpError::Tls { url: url(), reason: error.to_string() })?;
            reuse::send(&client, message).await
        } else {
            reuse::send(&self.plain, message).await
        };
        answer.map_err(|error| {
            let (url, reason) = (url(), reason(&error));
            if is_tls(&error) {
                HttpError::Tls { url, reason }
            } else if error.is_connect() {
                HttpError::Connect { url, reason }
            } else {
                HttpError::Exchange { url, reason }
            }
        })
    }

    /// Adds who we are; secrets in files are read anew.
    async fn authorize(&self, request: &mut HttpRequest) -> Result<(), HttpError> {
        let url = without_userinfo(&request.url);
        let failed = |reason| HttpError::Credentials { url: url.clone(), reason };
        let mut own = Vec::new();
        for (name, value) in &self.config.headers {
            own.push((name.clone(), value.read().and_then(|text| header(&text)).map_err(failed)?));
        }
        if let Some(auth) = &self.config.auth
            && !request.headers.iter().any(|(name, _)| *name == AUTHORIZATION)
        {
            let value = match &self.tokens {
                Some(tokens) => tokens.header().await,
                None => auth.header(),
            };
            own.push((AUTHORIZATION, value.map_err(failed)?));
        }
        request.headers.extend(own);
        Ok(())
    }

    fn is_own(&self, name: &HeaderName) -> bool {
        self.config.headers.iter().any(|(own, _)| own == name)
    }
}

impl Default for HttpClient {
    fn default() -> Self {
        Self::with(&ClientConfig::default())
    }
}

fn tcp(config: &ClientConfig) -> Connector {
    let mut connector = HttpConnector::new_with_resolver(Resolver::shared());
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_nodelay(true);
    connector.enforce_http(false);
    Connector::new(connector, config.proxy.clone().map(Arc::new))
}

fn pool<C: Connect + Clone>(config: &ClientConfig, connector: C) -> Client<C, Body> {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(config.idle_timeout)
        .pool_max_idle_per_host(config.max_idle_per_host)
        .http1_max_headers(MAX_HEADERS)
        .build(connector)
}

async fn read(response: Response<Incoming>, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
    let url = || without_userinfo(&request.url);
    let limit = request.max_body;
    let (parts, body) = response.into_parts();
    if !request.errors_too && parts.status != StatusCode::OK {
        return Ok(HttpResponse { status: parts.status, headers: parts.headers, body: Bytes::new() });
    }
    let body = Limited::new(body, limit).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            HttpError::BodyTooLarge { url: url(), limit }
        } else {
            HttpError::Exchange { url: url(), reason: error.to_string() }
        }
    })?;
    let mut body = body.to_bytes();
    let coding = parts.headers.get(CONTENT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or("");
    match coding.to_ascii_lowercase().as_str() {
        "" | "identity" => {}
        "gzip" | "x-gzip" => {
            body = gunzip(&body, limit)
                .map_err(|error| match error {
                    GunzipError::TooLarge(limit) => HttpError::BodyTooLarge { url: url(), limit },
                    GunzipError::Damaged(reason) => HttpError::Encoding { url: url(), reason },
                })?
                .into();
        }
        other => {
            return Err(HttpError::Encoding { url: url(), reason: format!("expected gzip or none, found {other:?}") });
        }
    }
    Ok(HttpResponse { status: parts.status, headers: parts.headers, body })
}

fn location(response: &Response<Incoming>) -> &str {
    response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or("")
}

/// Where a redirect leads, and whether that is the same host and port, or the same host with encryption.
fn redirect(response: &Response<Incoming>, from: &Uri, request: &HttpRequest) -> Result<(Uri, bool), HttpError> {
    let location = location(response);
    let refuse = || HttpError::Redirect { url: without_userinfo(&request.url), location: without_userinfo(location) };
    let uri = parse_url(&absolute(location, from)).map_err(|_| refuse())?;
    let same_host = is_same_host(from, &uri);
    if same_host || request.redirects == Redirects::Anywhere { Ok((uri, same_host)) } else { Err(refuse()) }
}

fn is_same_host(from: &Uri, to: &Uri) -> bool {
    let place = |uri: &Uri| {
        let encrypted = uri.scheme_str() == Some("https");
        (encrypted, uri.port_u16().unwrap_or(if encrypted { 443 } else { 80 }))
    };
    let upgraded = place(from) == (false, 80) && place(to) == (true, 443);
    to.host() == from.host() && (upgraded || place(to) == place(from))
}

#[cfg(test)]
mod tests {
    use super::{ClientConfig, Uri, is_same_host};

    #[test]
    fn only_the_usual_upgrade_keeps_the_host() {
        let cases = [
            ("http://a/x", "http://a:80/y", true),
            ("http://a/x", "https://a/x", true),
            ("http://a:80/x", "https://a:443/x", true),
            ("http://a:8080/x", "https://a/x", false),
            ("http://a/x", "https://a:8443/x", false),
            ("https://a/x", "http://a/x", false),
            ("http://a/x", "https://b/x", false),
        ];
        for (from, to, expected) in cases {
            let (one, other) = (Uri::from_static(from), Uri::from_static(to));
            assert_eq!(is_same_host(&one, &other), expected, "{from} {to}");
        }
        assert_eq!(ClientConfig::default().connect_timeout, None, "a scrape may take its whole timeout to connect");
    }
}
