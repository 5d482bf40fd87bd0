//! Where the server listens and who may speak to it.

use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;

/// The port of watchfire.
pub const DEFAULT_PORT: u16 = 9480;
/// How often `--web.allow-unauthenticated` must be given before a wider bind without a token is accepted.
const TOLD_TWICE: u8 = 2;

/// The server's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// Addresses to listen on.
    pub listen: Vec<ListenAddr>,
    /// Prefix of every path, empty or `/like/this` (no slash at the end).
    pub route_prefix: String,
    /// The address under which people reach the server, when it is another (a proxy): its host is allowed too.
    pub external_url: Option<String>,
    /// File whose first line is the bearer token; read again at every reload.
    pub token_file: Option<PathBuf>,
    /// How often `--web.allow-unauthenticated` was given: 2 and more binds wider than loopback without a token.
    pub allow_unauthenticated: u8,
    /// Whether `/-/reload` and `/-/quit` work.
    pub enable_lifecycle: bool,
    /// Whether `/api/v1/admin/…` works.
    pub enable_admin: bool,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: vec![ListenAddr { host: "127.0.0.1".to_owned(), port: DEFAULT_PORT }],
            route_prefix: String::new(),
            external_url: None,
            token_file: None,
            allow_unauthenticated: 0,
            enable_lifecycle: false,
            enable_admin: false,
        }
    }
}

/// `host:port` as Go's listeners read it: an empty host means every interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddr {
    /// Name or address without brackets; empty for every interface.
    pub host: String,
    /// Port; 0 takes a free one.
    pub port: u16,
}

/// A `--web.*` value that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpConfigError {
    /// Not `host:port`.
    #[error("bad listen address {0:?}: expected HOST:PORT or :PORT, for example 127.0.0.1:9480 or :9480")]
    Listen(String),
    /// The host has no address.
    #[error("listen address {0:?} cannot be resolved: {1}")]
    Resolve(String, String),
    /// Not an absolute path.
    #[error("bad route prefix {0:?}: expected a path that starts with a slash, for example /watchfire")]
    Prefix(String),
    /// Not an http(s) URL.
    #[error("bad external URL {0:?}: expected http://HOST[:PORT][/PATH] or https://…")]
    ExternalUrl(String),
    /// Everybody on the network could read and change things.
    #[error(
        "refusing to listen on {0} without authentication: set --web.token-file, or give --web.allow-unauthenticated twice to let everybody in"
    )]
    Unauthenticated(String),
}

impl FromStr for ListenAddr {
    type Err = HttpConfigError;

    fn from_str(text: &str) -> Result<Self, HttpConfigError> {
        let bad = || HttpConfigError::Listen(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let port = port.parse().map_err(|_| bad())?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_name = bare.is_none() && !host.contains([':', '/', '[', ']', ' ']);
        let is_v6 = bare.is_some_and(|host| host.parse::<Ipv6Addr>().is_ok());
        if !is_name && !is_v6 {
            return Err(bad());
        }
        Ok(Self { host: bare.unwrap_or(host).to_owned(), port })
    }
}

impl std::fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl ListenAddr {
    /// The socket addresses behind the name. An empty host is `[::]` (which also takes IPv4 on Linux), then `0.0.0.0`.
    ///
    /// # Errors
    /// When the name has no address.
    pub fn resolve(&self) -> Result<Vec<SocketAddr>, HttpConfigError> {
        if self.host.is_empty() {
            return Ok(vec![([0u16; 8], self.port).into(), ([0u8; 4], self.port).into()]);
        }
        let failed = |reason: String| HttpConfigError::Resolve(self.to_string(), reason);
        let found: Vec<SocketAddr> =
            (self.host.as_str(), self.port).to_socket_addrs().map_err(|error| failed(error.to_string()))?.collect();
        if found.is_empty() { Err(failed("no address".to_owned())) } else { Ok(found) }
    }
}

impl HttpConfig {
    /// Whether every address is on the loopback interface; unresolvable ones count as not.
    pub fn is_loopback_only(&self) -> bool {
        self.listen.iter().all(|addr| {
            addr.resolve().is_ok_and(|found| found.iter().all(|socket| socket.ip().to_canonical().is_loopback()))
        })
    }

    /// Checks what does not need the network's cooperation.
    ///
    /// # Errors
    /// What is wrong with which value, and what to do about it.
    pub fn check(&self) -> Result<(), HttpConfigError> {
        let prefix = &self.route_prefix;
        if !(prefix.is_empty() || (prefix.starts_with('/') && !prefix.ends_with('/')))
            || prefix.contains(['{', '}', '?', '#', ' '])
        {
            return Err(HttpConfigError::Prefix(prefix.clone()));
        }
        if let Some(url) = &self.external_url
            && url_host(url).is_none()
        {
            return Err(HttpConfigError::ExternalUrl(url.clone()));
        }
        if self.token_file.is_none() && self.allow_unauthenticated < TOLD_TWICE && !self.is_loopback_only() {
            let listen: Vec<String> = self.listen.iter().map(ToString::to_string).collect();
            return Err(HttpConfigError::Unauthenticated(listen.join(", ")));
        }
        Ok(())
    }
}

/// The host of an http(s) URL, without port, brackets or user.
pub(crate) fn url_host(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"))?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = host_without_port(authority.rsplit('@').next()?);
    (!host.is_empty()).then_some(host)
}

/// `[::1]:80` → `::1`, `name:80` → `name`.
pub(crate) fn host_without_port(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or("");
    }
    authority.split(':').next().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::{HttpConfig, HttpConfigError, ListenAddr, url_host};

    #[test]
    fn reads_listen_addresses_as_go_does() {
        let cases: &[(&str, Option<(&str, u16)>)] = &[
            (":9480", Some(("", 9480))),
            ("127.0.0.1:0", Some(("127.0.0.1", 0))),
            ("localhost:80", Some(("localhost", 80))),
            ("[::1]:9480", Some(("::1", 9480))),
            ("::1:9480", None),
            ("9480", None),
            ("127.0.0.1", None),
            ("host:99999", None),
            ("http://host:1", None),
            ("[x]:1", None),
        ];
        for (text, expected) in cases {
            let found = text.parse::<ListenAddr>().ok();
            let expected = expected.map(|(host, port)| ListenAddr { host: host.to_owned(), port });
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn binds_wider_only_with_a_token_or_when_told_twice() {
        let wide = |allow_unauthenticated, token: bool| HttpConfig {
            listen: vec![":9480".parse().expect("valid")],
            allow_unauthenticated,
            token_file: token.then(|| "token".into()),
            ..HttpConfig::default()
        };
        assert_eq!(HttpConfig::default().check(), Ok(()));
        assert!(matches!(wide(0, false).check(), Err(HttpConfigError::Unauthenticated(_))));
        assert!(matches!(wide(1, false).check(), Err(HttpConfigError::Unauthenticated(_))));
        assert_eq!(wide(2, false).check(), Ok(()));
        assert_eq!(wide(0, true).check(), Ok(()));
    }

    #[test]
    fn checks_prefix_and_url() {
        for (prefix, valid) in [("", true), ("/a/b", true), ("/a/", false), ("a", false), ("/", false), ("/{x}", false)]
        {
            let config = HttpConfig { route_prefix: prefix.to_owned(), ..HttpConfig::default() };
            assert_eq!(config.check().is_ok(), valid, "{prefix:?}");
        }
        for (url, host) in [
            ("http://h:1/x", Some("h")),
            ("https://u:p@h.example", Some("h.example")),
            ("http://[::1]:2", Some("::1")),
            ("ftp://h", None),
            ("http://", None),
        ] {
            assert_eq!(url_host(url), host, "{url}");
        }
    }
}
