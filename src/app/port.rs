//! Binding at start, and naming the process that already holds the port.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

/// Why an address could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}{holder}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// What the system says.
    pub source: io::Error,
    /// `; it is held by NAME (pid N): …` when that is known, else empty.
    pub holder: String,
}

/// Binds all addresses at once, before anything else starts, so that a taken port costs nothing.
///
/// # Errors
/// [`BindError`] for the first address that cannot be bound, with its holder where the system tells.
pub fn bind(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, BindError> {
    addresses
        .iter()
        .map(|address| {
            TcpListener::bind(address).map_err(|source| BindError {
                address: *address,
                holder: match source.kind() {
                    io::ErrorKind::AddrInUse => describe(holder(Path::new("/proc"), address.port()), address.port()),
                    io::ErrorKind::PermissionDenied => "; ports below 1024 need privileges: choose a higher one".to_owned(),
                    _ => String::new(),
                },
                source,
            })
        })
        .collect()
}

fn describe(holder: Option<(u32, String)>, port: u16) -> String {
    match holder {
        Some((pid, name)) => format!(
            "; it is held by {name} (pid {pid}): stop that process, or choose another port with --web.listen-address"
        ),
        None => format!("; port {port} is held by a process that this user cannot see: choose another with --web.listen-address"),
    }
}

/// The process that listens on a TCP port: its inode from `net/tcp`, then the process whose files name that socket.
fn holder(proc: &Path, port: u16) -> Option<(u32, String)> {
    let inode = ["net/tcp", "net/tcp6"].iter().find_map(|table| {
        let text = fs::read_to_string(proc.join(table)).ok()?;
        text.lines().skip(1).find_map(|line| listening_inode(line, port))
    })?;
    let wanted = format!("socket:[{inode}]");
    fs::read_dir(proc).ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let mut files = fs::read_dir(entry.path().join("fd")).ok()?.flatten();
        files.find(|file| fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == wanted.as_str()))?;
        let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        Some((pid, name.trim().to_owned()))
    })
}

/// Inode of a `net/tcp` line that listens (state 0A) on `port`.
fn listening_inode(line: &str, port: u16) -> Option<String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (_, hex) = fields.get(1)?.rsplit_once(':')?;
    let listens = *fields.get(3)? == "0A" && u16::from_str_radix(hex, 16).ok()? == port;
    listens.then(|| fields.get(9).map(|inode| (*inode).to_owned()))?
}

#[cfg(test)]
mod tests {
    use super::{holder, listening_inode};
    use std::path::Path;

    #[test]
    fn reads_a_line_of_net_tcp() {
        let line = "   0: 0100007F:2508 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 31337 1 0 100 0 0 10 0";
        assert_eq!(listening_inode(line, 9480).as_deref(), Some("31337"));
        assert_eq!(listening_inode(line, 9481), None);
        assert_eq!(listening_inode(&line.replace(" 0A ", " 01 "), 9480), None);
        assert_eq!(listening_inode("", 1), None);
    }

    #[test]
    fn finds_this_process() {
        let held = std::net::TcpListener::bind("127.0.0.1:0").expect("free port");
        let port = held.local_addr().expect("bound").port();
        assert_eq!(holder(Path::new("/proc"), port).map(|(pid, _)| pid), Some(std::process::id()));
    }
}
