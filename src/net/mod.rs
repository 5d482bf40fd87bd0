//! One HTTP client with timeouts and limits.
//!
//! Every request has a total time, a limit for its body after decompression, and stays on its host.

mod client;
mod error;
mod gunzip;
mod url;

pub use client::{ClientConfig, HttpClient, HttpRequest, HttpResponse, Redirects};
pub use error::HttpError;
pub use gunzip::{GunzipError, gunzip};
pub use url::{UrlError, parse_url, without_userinfo};

#[cfg(test)]
mod tests;
