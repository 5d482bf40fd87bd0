//! The one middleware: who may speak to us (Host, Origin), and whether this route is open to them (scope, token).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument as _;

use super::edge::Edge;
use super::error::{ApiError, ErrorKind};
use super::routes::Scope;
use super::server::{HttpConfig, host_without_port, url_host};

/// Shorter tokens can be guessed.
const MIN_TOKEN_BYTES: usize = 8;

/// The token file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It cannot be read.
    #[error("cannot read the token file {path}: {source}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Its first line is too short.
    #[error("the token in {path} is too short: put at least {MIN_TOKEN_BYTES} characters on its first line", path = path.display())]
    Short {
        /// The file.
        path: PathBuf,
    },
}

/// What the middleware knows.
#[derive(Debug)]
pub(super) struct Guard {
    token_file: Option<PathBuf>,
    token: ArcSwapOption<String>,
    /// Host names that may address us; `None` allows all.
    hosts: Option<Vec<String>>,
    external_host: Option<String>,
    scopes: HashMap<(String, Method), Scope>,
}

impl Guard {
    pub(super) fn new(config: &HttpConfig, scopes: HashMap<(String, Method), Scope>) -> Result<Self, TokenError> {
        let external_host = config.external_url.as_deref().and_then(url_host).map(str::to_ascii_lowercase);
        let loopback = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let hosts =
            config.is_loopback_only().then(|| loopback.into_iter().chain(external_host.clone()).collect::<Vec<_>>());
        let guard =
            Self { token_file: config.token_file.clone(), token: ArcSwapOption::empty(), hosts, external_host, scopes };
        guard.reload_token()?;
        Ok(guard)
    }

    /// Reads the token file again. A bad file keeps the old token.
    pub(super) fn reload_token(&self) -> Result<(), TokenError> {
        if let Some(path) = &self.token_file {
            self.token.store(Some(Arc::new(read_token(path)?)));
        }
        Ok(())
    }

    /// Whether a request may pass.
    fn check(&self, scope: Option<Scope>, headers: &HeaderMap) -> Result<(), ApiError> {
        let host = text(headers, header::HOST).unwrap_or("");
        self.check_host(host)?;
        if let Some(origin) = text(headers, header::ORIGIN) {
            self.check_origin(origin, host)?;
        }
        match scope {
            Some(Scope::Public) => Ok(()),
            Some(_) => self.check_token(text(headers, header::AUTHORIZATION)),
            None => Err(ApiError::new(ErrorKind::Forbidden, "this route has no scope")),
        }
    }

    /// A name that an attacker lets point to 127.0.0.1 must not reach us (DNS rebinding).
    fn check_host(&self, host: &str) -> Result<(), ApiError> {
        let Some(hosts) = &self.hosts else { return Ok(()) };
        let name = host_without_port(host).to_ascii_lowercase();
        if hosts.contains(&name) {
            return Ok(());
        }
        let message =
            format!("host {name:?} is not allowed here: use localhost, or set --web.external-url to that name");
        Err(ApiError::new(ErrorKind::Forbidden, message))
    }

    /// A page of another site must neither change anything nor read our streams.
    fn check_origin(&self, origin: &str, host: &str) -> Result<(), ApiError> {
        let name = url_host(origin).map(str::to_ascii_lowercase);
        let same = origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host));
        let known = name.as_ref().is_some_and(|name| {
            self.hosts.as_ref().is_some_and(|hosts| hosts.contains(name)) || self.external_host.as_ref() == Some(name)
        });
        if same || known {
            return Ok(());
        }
        Err(ApiError::new(ErrorKind::Forbidden, format!("requests of pages from {origin:?} are not allowed")))
    }

    fn check_token(&self, authorization: Option<&str>) -> Result<(), ApiError> {
        let Some(expected) = self.token.load_full() else { return Ok(()) };
        let given = authorization.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        match given {
            Some(given) if same_bytes(given.as_bytes(), expected.as_bytes()) => Ok(()),
            Some(_) => Err(ApiError::new(ErrorKind::Unauthorized, "the bearer token is wrong")),
            None => Err(ApiError::new(ErrorKind::Unauthorized, "a bearer token is required (Authorization: Bearer …)")),
        }
    }
}

fn read_token(path: &Path) -> Result<String, TokenError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| TokenError::Unreadable { path: path.to_owned(), source })?;
    let token = text.lines().next().unwrap_or("").trim();
    if token.len() < MIN_TOKEN_BYTES {
        return Err(TokenError::Short { path: path.to_owned() });
    }
    Ok(token.to_owned())
}

/// Takes as long for a wrong first byte as for a wrong last one.
fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

/// Runs before every handler, also before the one for unknown paths (which is public: it says nothing but 404).
pub(super) async fn guard(State(edge): State<Arc<Edge>>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let scope = match &path {
        None => Some(Scope::Public),
        Some(path) => edge.guard.scope(path, request.method()),
    };
    let mut response = match edge.guard.check(scope, request.headers()) {
        Ok(()) => {
            let route = path.as_deref().unwrap_or("unknown");
            next.run(request).instrument(tracing::debug_span!("request", route)).await
        }
        Err(error) => error.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    edge.counters.count(path.as_deref().map(|path| edge.unprefixed(path)).unwrap_or("unknown"), response.status());
    response
}

impl Guard {
    /// The scope of a path in the table; a method that the table does not name gets the scope of one that it names, so
    /// that the answer 405 is guarded too.
    fn scope(&self, path: &str, method: &Method) -> Option<Scope> {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        let named = [method, &Method::GET, &Method::POST, &Method::PUT];
        named.into_iter().find_map(|method| self.scopes.get(&(path.to_owned(), method.clone()))).copied()
    }
}
