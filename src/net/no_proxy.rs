//! Hosts that are reached without a proxy.

use std::net::IpAddr;

/// A list as `NO_PROXY` has it: names (with those below them), `.names` and `*.names` (only those below), addresses, networks as `10.0.0.0/8`, each
/// maybe with a port; `*` is everybody. This machine is always in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NoProxy {
    text: String,
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    All,
    Network {
        address: IpAddr,
        bits: u32,
    },
    Address {
        address: IpAddr,
        port: Option<u16>,
    },
    /// The name with a dot before it, and whether it stands for itself too.
    Name {
        below: String,
        itself: bool,
        port: Option<u16>,
    },
}

impl NoProxy {
    /// Reads a list with commas. What means nothing is passed over, as in Go.
    pub fn parse(text: &str) -> Self {
        Self { text: text.to_owned(), rules: text.split(',').filter_map(Rule::parse).collect() }
    }

    /// The list as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a host is in the list.
    pub fn matches(&self, host: &str, port: u16) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
        // `::ffff:127.0.0.1` is this machine too.
        let address = host.parse().ok().map(|address: IpAddr| address.to_canonical());
        let here = host == "localhost" || address.is_some_and(|address| address.is_loopback());
        here || self.rules.iter().any(|rule| rule.matches(&host, address, port))
    }
}

impl Rule {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        if text == "*" {
            return Some(Self::All);
        }
        if let Some((address, bits)) = text.split_once('/') {
            let address: IpAddr = address.parse().ok()?;
            let bits = bits.parse().ok().filter(|bits| *bits <= width(address))?;
            return Some(Self::Network { address, bits });
        }
        if let Ok(address) = text.trim_start_matches('[').trim_end_matches(']').parse() {
            return Some(Self::Address { address, port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (text.as_str(), None),
        };
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse() {
            return Some(Self::Address { address, port });
        }
        let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
        let itself = !host.starts_with('.');
        let name = host.trim_start_matches('.');
        (!name.is_empty()).then(|| Self::Name { below: format!(".{name}"), itself, port })
    }

    fn matches(&self, host: &str, address: Option<IpAddr>, port: u16) -> bool {
        let at = |wanted: &Option<u16>| wanted.is_none_or(|wanted| wanted == port);
        match self {
            Self::All => true,
            Self::Network { address: network, bits } => address.is_some_and(|it| is_within(it, *network, *bits)),
            Self::Address { address: one, port: wanted } => address == Some(one.to_canonical()) && at(wanted),
            Self::Name { below, itself, port: wanted } => {
                let matches = host.ends_with(below.as_str()) || (*itself && Some(host) == below.strip_prefix('.'));
                matches && at(wanted)
            }
        }
    }
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn is_within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let number = |address: IpAddr| match address {
        IpAddr::V4(it) => u128::from(it.to_bits()),
        IpAddr::V6(it) => it.to_bits(),
    };
    let shift = width(network) - bits;
    let cut = |address: IpAddr| number(address).checked_shr(shift).unwrap_or(0);
    address.is_ipv4() == network.is_ipv4() && cut(address) == cut(network)
}

#[cfg(test)]
mod tests {
    use super::NoProxy;

    #[test]
    fn lists_of_hosts() {
        let cases = [
            ("", "a.example", 80, false),
            ("", "localhost", 80, true),
            ("", "127.1.2.3", 80, true),
            ("", "::1", 80, true),
            ("", "[::ffff:127.0.0.1]", 80, true),
            ("::ffff:10.1.2.3", "10.1.2.3", 80, true),
            ("*", "a.example", 80, true),
            ("example", "example", 80, true),
            ("example", "A.EXAMPLE", 80, true),
            ("example", "example.", 80, true),
            ("example", "anexample", 80, false),
            (".example", "example", 80, false),
            (".example", "a.example", 80, true),
            ("*.example", "a.example", 80, true),
            ("*.example", "example", 80, false),
            ("x, example:81 ,y", "example", 80, false),
            ("x, example:81 ,y", "example", 81, true),
            ("10.0.0.0/8", "10.1.2.3", 80, true),
            ("10.0.0.0/8", "11.1.2.3", 80, false),
            ("0.0.0.0/0", "11.1.2.3", 80, true),
            ("0.0.0.0/0", "fd00::1", 80, false),
            ("fd00::/8", "[fd00::1]", 80, true),
            ("10.1.2.3", "10.1.2.3", 80, true),
            ("10.1.2.3:81", "10.1.2.3", 80, false),
            ("[fd00::1]:80", "fd00::1", 80, true),
            ("10.0.0.0/99,a:b,,.", "10.0.0.1", 80, false),
        ];
        for (list, host, port, expected) in cases {
            assert_eq!(NoProxy::parse(list).matches(host, port), expected, "{list:?} {host}:{port}");
        }
    }
}
