//! Who listens on this machine, by Linux' own tables.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A listening socket, and its number among the sockets of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    pub(super) inode: u64,
}

/// The listening sockets of this network namespace; none where the system doesn't tell.
pub(super) fn listening() -> Vec<SocketAddr> {
    listeners().into_iter().map(|listener| listener.address).collect()
}

/// The same with their numbers.
pub(super) fn listeners() -> Vec<Listener> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    tables.iter().filter_map(|table| fs::read_to_string(table).ok()).flat_map(|table| read(&table)).collect()
}

/// Reads a table of `proc_net_tcp`: the second column is the local address, the fourth the state, the
/// tenth the inode.
fn read(table: &str) -> Vec<Listener> {
    const LISTEN: &str = "0A";
    let mut found = Vec::new();
    for line in table.lines().skip(1) {
        let mut columns = line.split_ascii_whitespace().skip(1);
        let (local, state) = (columns.next(), columns.nth(1));
        let inode = columns.nth(5).and_then(|inode| inode.parse().ok()).unwrap_or(0);
        if state == Some(LISTEN) {
            found.extend(local.and_then(address).map(|address| Listener { address, inode }));
        }
    }
    found
}

/// Reads `0100007F:0885`. The address is printed as words of 32 bits in the machine's order, the port as a number.
fn address(text: &str) -> Option<SocketAddr> {
    let (words, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::with_capacity(16);
    for start in (0..words.len()).step_by(8) {
        let word = u32::from_str_radix(words.get(start..start + 8)?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let ip = match (<[u8; 4]>::try_from(bytes.as_slice()), <[u8; 16]>::try_from(bytes.as_slice())) {
        (Ok(v4), _) => IpAddr::V4(Ipv4Addr::from(v4)),
        (_, Ok(v6)) => IpAddr::V6(Ipv6Addr::from(v6)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn listening_sockets_are_found_with_their_addresses() {
        for ip in ["0.0.0.0", "127.0.0.7", "::1"] {
            let Ok(listener) = TcpListener::bind((ip, 0)) else {
                assert_eq!(ip, "::1", "only IPv6 may be missing here");
                continue;
            };
            let address = listener.local_addr().unwrap();
            assert!(listening().contains(&address), "{address}");
            drop(listener);
            assert!(!listening().contains(&address), "{address}");
        }
    }

    #[test]
    fn odd_lines_are_passed_over() {
        assert_eq!(read("head\n 0: x 0:0 0A\n 1: 0100007F 0:0 0A\n 2:\n\n 3: 01:0885 0:0 0A\n"), []);
    }
}
