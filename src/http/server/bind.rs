//! Takes the sockets before anything else is built, so that the address is known and a port in use is said at once.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use super::config::{HttpConfig, HttpConfigError, ListenAddr};
use super::holder::port_holder;
use crate::http::TokenError;

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] HttpConfigError),
    /// The token file cannot be used.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Somebody has the port.
    #[error("cannot listen on {addr}: the port is in use{holder}; stop it or choose another --web.listen-address")]
    InUse {
        /// The address.
        addr: ListenAddr,
        /// ` by NAME (pid N)` when it can be known, else empty.
        holder: String,
    },
    /// The address cannot be bound.
    #[error("cannot listen on {addr}: {source}")]
    Bind {
        /// The address.
        addr: ListenAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The server's runtime cannot be made.
    #[error("cannot start the HTTP server's threads: {0}")]
    Threads(io::Error),
}

/// Sockets that are bound; nothing answers yet, connections wait.
#[derive(Debug)]
pub struct Bound {
    pub(super) listeners: Vec<TcpListener>,
    addrs: Vec<SocketAddr>,
}

impl Bound {
    /// The addresses, with the ports that the system chose for port 0.
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }
}

/// Checks the configuration and takes its sockets.
///
/// # Errors
/// When a setting is wrong, or an address cannot be bound.
pub fn bind(config: &HttpConfig) -> Result<Bound, HttpError> {
    config.check()?;
    let mut listeners = Vec::with_capacity(config.listen.len());
    for addr in &config.listen {
        listeners.push(bind_one(addr)?);
    }
    let addrs = listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
    Ok(Bound { listeners, addrs })
}

/// The first address of the name that can be bound, IPv4 first (as Go does for `localhost`), but `[::]` before `0.0.0.0`.
fn bind_one(addr: &ListenAddr) -> Result<TcpListener, HttpError> {
    let mut found = addr.resolve()?;
    if !addr.host.is_empty() {
        found.sort_by_key(SocketAddr::is_ipv6);
    }
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for socket in found {
        match TcpListener::bind(socket) {
            Ok(listener) => {
                listener.set_nonblocking(true).map_err(|source| HttpError::Bind { addr: addr.clone(), source })?;
                return Ok(listener);
            }
            Err(error) => failure = error,
        }
        if failure.kind() == io::ErrorKind::AddrInUse {
            break;
        }
    }
    if failure.kind() == io::ErrorKind::AddrInUse {
        let holder = port_holder(Path::new("/proc"), addr.port).map_or_else(String::new, |who| format!(" by {who}"));
        return Err(HttpError::InUse { addr: addr.clone(), holder });
    }
    Err(HttpError::Bind { addr: addr.clone(), source: failure })
}

#[cfg(test)]
mod tests {
    use super::{HttpError, bind};
    use crate::http::{HttpConfig, ListenAddr};

    #[test]
    fn a_port_in_use_names_its_holder() {
        let config = |port| HttpConfig {
            listen: vec![ListenAddr { host: "127.0.0.1".to_owned(), port }],
            ..HttpConfig::default()
        };
        let bound = bind(&config(0)).expect("a free port");
        let refused = bind(&config(bound.addrs()[0].port())).expect_err("in use");
        assert!(matches!(refused, HttpError::InUse { .. }), "{refused}");
        assert!(refused.to_string().contains(&format!("pid {}", std::process::id())), "{refused}");
    }
}
