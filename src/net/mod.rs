//! One HTTP client with timeouts, limits, TLS, proxies and credentials.
//!
//! Every request has a total time, a limit for its body after decompression, and stays on its host.

mod client;
mod error;
mod gunzip;
mod location;
mod no_proxy;
mod oauth2;
mod proxy;
mod reason;
mod resolve;
mod reuse;
mod secret;
mod tls;
mod url;
mod verify;

pub use client::{ClientConfig, HttpClient, HttpRequest, HttpResponse, Redirects};
pub use error::HttpError;
pub use gunzip::{GunzipError, gunzip};
pub use no_proxy::NoProxy;
pub use oauth2::OAuth2Config;
pub use proxy::{ProxyConfig, ProxyUrl};
pub use secret::{Auth, Pem, Secret};
pub use tls::{TlsConfig, TlsError, TlsVersion};
pub use url::{UrlError, parse_url, without_userinfo};

#[cfg(test)]
mod proxy_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;
