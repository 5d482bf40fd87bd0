//! Who holds a port: for the message that says why we cannot listen.

use std::path::Path;

/// `NAME (pid N)` of the process that listens on `port`, as far as `/proc` under `root` tells it to us.
pub(super) fn port_holder(root: &Path, port: u16) -> Option<String> {
    let inode = ["net/tcp", "net/tcp6"]
        .iter()
        .filter_map(|table| std::fs::read_to_string(root.join(table)).ok())
        .find_map(|table| listening_inode(&table, port))?;
    let wanted = format!("socket:[{inode}]");
    std::fs::read_dir(root).ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let holds = std::fs::read_dir(entry.path().join("fd"))
            .ok()?
            .flatten()
            .any(|fd| std::fs::read_link(fd.path()).is_ok_and(|target| target.as_os_str() == wanted.as_str()));
        let name = std::fs::read_to_string(entry.path().join("comm")).ok()?;
        holds.then(|| format!("{} (pid {pid})", name.trim()))
    })
}

/// Columns of `/proc/net/tcp`: number, local address as HEX:PORT, remote address, state (0A = listening), …, inode.
fn listening_inode(table: &str, port: u16) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (_, local_port) = columns.get(1)?.rsplit_once(':')?;
        let matches = u16::from_str_radix(local_port, 16).ok()? == port && *columns.get(3)? == "0A";
        if matches { columns.get(9)?.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::{listening_inode, port_holder};

    #[test]
    fn reads_the_table() {
        let table = "  sl  local_address rem_address   st ...\n   0: 0100007F:2508 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1\n   1: 0100007F:2509 00000000:0000 01 0:0 0:0 0 0 0 77 1\n";
        assert_eq!(listening_inode(table, 9480), Some(4242));
        assert_eq!(listening_inode(table, 9481), None);
    }

    #[test]
    fn finds_this_very_process() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let holder = port_holder(std::path::Path::new("/proc"), port).expect("it is us");
        assert!(holder.contains(&format!("(pid {})", std::process::id())), "{holder}");
    }
}
