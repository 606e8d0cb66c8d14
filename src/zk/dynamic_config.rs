//! The addresses that an ensemble tells its clients: `server.N` lines of `/zookeeper/config`
//! (`QuorumPeer.QuorumServer`, 3.5 to 3.10).
//!
//! `server.1=zk1:2888:3888:participant;127.0.0.1:2181` has a quorum part, in which several addresses may stand
//! side by side (`zk1:2888:3888|zk1b:2888:3888`), and behind the first semicolon a client part: `2181`,
//! `10.0.0.1:2181`, `[::1]:2181`; behind a second one newer servers have the part of their TLS port. Text that
//! went through Java's `Properties` has its colons escaped.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::jute::{Fields, put_buffer};

/// The path at which a reconfigurable ensemble keeps its configuration, whatever a client's chroot.
pub const CONFIG_PATH: &[u8] = b"/zookeeper/config";

/// Bytes of a frame's length, and of a `ReplyHeader`.
const PREFIX: usize = 4;
const REPLY_HEADER: usize = 16;

/// What clients are told in place of ZooKeeper's own client addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertise {
    /// Which client parts are replaced.
    pub which: Which,
    /// The gates' port, beside each server's quorum host; 0 in a configuration is that of the first listener.
    pub port: u16,
    /// Whole addresses for single servers, by their number, whatever their own client parts are.
    pub addresses: BTreeMap<u64, String>,
}

/// Which client parts are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those that no client elsewhere can use: loopback addresses.
    Loopback,
    /// Every one.
    All,
}

impl Advertise {
    /// The reply to a getData of [`CONFIG_PATH`], or to a reconfig, as the client should see it; `None` if it
    /// is the same.
    pub fn rewrite_reply(&self, frame: &[u8]) -> Option<Vec<u8>> {
        let mut fields = Fields::new(frame.get(PREFIX..)?);
        let header = fields.bytes(REPLY_HEADER)?;
        let error = Fields::new(&header[12..]).int()?;
        if error != 0 {
            return None;
        }
        let text = self.rewrite(fields.buffer()??)?;
        let mut body = header.to_vec();
        put_buffer(&mut body, &text);
        body.extend_from_slice(fields.rest());
        let mut frame = Vec::with_capacity(PREFIX + body.len());
        put_buffer(&mut frame, &body);
        Some(frame)
    }

    /// The configuration with the client parts replaced; `None` if there is nothing to replace.
    fn rewrite(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut changed = false;
        let mut out = Vec::with_capacity(text.len());
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            match self.rewrite_line(line) {
                Some(rewritten) => {
                    changed = true;
                    out.extend_from_slice(rewritten.as_bytes());
                }
                None => out.extend_from_slice(line),
            }
        }
        changed.then_some(out)
    }

    fn rewrite_line(&self, line: &[u8]) -> Option<String> {
        let line = str::from_utf8(line).ok()?;
        let (before, behind) = line.split_once(';')?;
        let (name, quorum) = before.split_once('=')?;
        let number: u64 = name.trim().strip_prefix("server.")?.parse().ok()?;
        let end = behind.find(|c: char| c == ';' || c.is_whitespace()).unwrap_or(behind.len());
        let (client, rest) = behind.split_at(end);
        let (host, _) = split_client(client)?;
        let address = match (self.addresses.get(&number), self.which) {
            (Some(address), _) => address.clone(),
            (None, Which::Loopback) if !host.as_deref().is_some_and(is_loopback) => return None,
            (None, _) => format!("{}:{}", quorum_host(quorum)?, self.port),
        };
        let escaped = before.contains("\\:") || client.contains("\\:");
        let address = if escaped { address.replace(':', "\\:") } else { address };
        let (semicolon, secure, rest) = split_secure(rest);
        // What a server calls its TLS port is left, unless nobody elsewhere can use it: the gate speaks TLS too.
        let of_no_use = split_client(secure).is_some_and(|(host, _)| host.as_deref().is_some_and(is_loopback));
        let secure = if of_no_use { &address } else { secure };
        (address != client || of_no_use).then(|| format!("{before};{address}{semicolon}{secure}{rest}"))
    }
}

/// Host, if there is one, and port of a client part.
fn split_client(part: &str) -> Option<(Option<String>, u16)> {
    let part = part.replace("\\:", ":");
    match part.rsplit_once(':') {
        Some((host, port)) => Some((Some(host.to_owned()), port.parse().ok()?)),
        None => Some((None, part.parse().ok()?)),
    }
}

/// The semicolon in front of the part of the TLS port, that part, and what is behind it.
fn split_secure(rest: &str) -> (&str, &str, &str) {
    let (semicolon, behind) = rest.split_at(usize::from(rest.starts_with(';')));
    let end = behind.find(|c: char| c == ';' || c.is_whitespace()).unwrap_or(behind.len());
    let (secure, rest) = behind.split_at(if semicolon.is_empty() { 0 } else { end });
    (semicolon, secure, rest)
}

/// The host of the first address of a quorum part, in brackets if it stands in brackets there.
fn quorum_host(part: &str) -> Option<String> {
    let part = part.trim_start().replace("\\:", ":");
    let first = part.split('|').next()?;
    let end = if first.starts_with('[') { first.find(']')? + 1 } else { first.find(':')? };
    // What has a blank or a backslash in it would be another address when it is read again.
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_' | ':' | '[' | ']' | '%');
    Some(first[..end].to_owned()).filter(|host| !host.is_empty() && host.chars().all(plain))
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn advertise(which: Which) -> Advertise {
        Advertise { which, port: 2281, addresses: BTreeMap::from([(9, "zk9.example.com:443".to_owned())]) }
    }

    fn line(which: Which, line: &str) -> String {
        let rewritten = advertise(which).rewrite(line.as_bytes());
        rewritten.map_or_else(|| line.to_owned(), |bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn loopback_client_parts_become_the_gates_address() {
        for (before, after) in [
            ("server.1=zk1:2888:3888:participant;127.0.0.1:2181", "server.1=zk1:2888:3888:participant;zk1:2281"),
            ("server.2=zk2:2888:3888;localhost:2181", "server.2=zk2:2888:3888;zk2:2281"),
            (
                "server.3=[2001:db8::3]:2888:3888:observer;[::1]:2181",
                "server.3=[2001:db8::3]:2888:3888:observer;[2001:db8::3]:2281",
            ),
            (
                "server.4=a:2888:3888|b:2888:3888:participant;127.0.0.7:1",
                "server.4=a:2888:3888|b:2888:3888:participant;a:2281",
            ),
            ("server.5=a:1:2;127.0.0.1:2181;10.0.0.5:2182", "server.5=a:1:2;a:2281;10.0.0.5:2182"),
            ("server.5=a:1:2;127.0.0.1:2181;2182 ", "server.5=a:1:2;a:2281;2182 "),
            ("server.5=a:1:2;127.0.0.1:2181;127.0.0.1:2182\n", "server.5=a:1:2;a:2281;a:2281\n"),
            ("server.5=a\\:1\\:2;[\\:\\:1]\\:2181;[\\:\\:1]\\:2182", "server.5=a\\:1\\:2;a\\:2281;a\\:2281"),
            ("server.5=a:1:2;127.0.0.1:2181;", "server.5=a:1:2;a:2281;"),
            ("server.5=a:1:2;127.0.0.1:2181;;x", "server.5=a:1:2;a:2281;;x"),
            ("server.6=a\\:1\\:2\\:participant;127.0.0.1\\:2181", "server.6=a\\:1\\:2\\:participant;a\\:2281"),
            ("server.7 = a:1:2;[::ffff:127.0.0.1]:2181  ", "server.7 = a:1:2;a:2281  "),
            ("server.9=a:1:2;127.0.0.1:2181", "server.9=a:1:2;zk9.example.com:443"),
            ("server.9=a:1:2;0.0.0.0:2181", "server.9=a:1:2;zk9.example.com:443"),
        ] {
            assert_eq!(line(Which::Loopback, before), after);
        }
    }

    /// As 3.5.10, 3.6.4 and 3.9.5 print it, with ports made shorter: the port alone gets a host, the role is always
    /// there, IPv6 addresses are in their long form, several addresses are sorted, and no line ends the text.
    #[test]
    fn texts_of_real_servers_are_rewritten() {
        for (before, after) in [
            (
                "server.1=127.0.0.2:2888:3888:participant;127.0.0.1:2181\nversion=100000000",
                "server.1=127.0.0.2:2888:3888:participant;127.0.0.2:2281\nversion=100000000",
            ),
            (
                "server.1=localhost:2888:3888:participant;localhost:2181\nversion=100000000",
                "server.1=localhost:2888:3888:participant;localhost:2281\nversion=100000000",
            ),
            (
                "server.1=[0:0:0:0:0:0:0:1]:2888:3888:participant;[0:0:0:0:0:0:0:1]:2181\n\
                 server.2=127.0.0.3:2888:3888:observer;0.0.0.0:2199\nversion=100000002",
                "server.1=[0:0:0:0:0:0:0:1]:2888:3888:participant;[0:0:0:0:0:0:0:1]:2281\n\
                 server.2=127.0.0.3:2888:3888:observer;0.0.0.0:2199\nversion=100000002",
            ),
            (
                "server.1=127.0.0.1:2888:3888|127.0.0.2:2889:3889:participant;127.0.0.1:2181\nversion=100000000",
                "server.1=127.0.0.1:2888:3888|127.0.0.2:2889:3889:participant;127.0.0.1:2281\nversion=100000000",
            ),
        ] {
            assert_eq!(line(Which::Loopback, before), after);
        }
        for untouched in [
            "server.1=127.0.0.1:2888:3888:participant;0.0.0.0:2181\nversion=100000000",
            "server.1=127.0.0.1:2888:3888:participant\nversion=0",
        ] {
            assert_eq!(line(Which::Loopback, untouched), untouched);
        }
    }

    #[test]
    fn other_lines_stay_byte_for_byte() {
        for text in [
            "server.1=zk1:2888:3888:participant;0.0.0.0:2181\nversion=100000000",
            "server.1=zk1:2888:3888:participant;2181",
            "server.1=zk1:2888:3888:participant;10.0.0.1:2181",
            "server.1=zk1:2888:3888:participant",
            "server.x=zk1:2888:3888;127.0.0.1:2181",
            "server.1=zk1:2888:3888;;127.0.0.1:2181",
            "server.1=zk1:2888:3888;127.0.0.1:port",
            "group.1=1:2;127.0.0.1:2181",
            "server.1=[::\r1]:2888:3888;127.0.0.1:2181",
            "server.1=a b:2888:3888;127.0.0.1:2181",
            "server.1=a\\\\:2888:3888;127.0.0.1:2181",
            "",
        ] {
            assert_eq!(line(Which::Loopback, text), text);
        }
    }

    #[test]
    fn every_client_part_can_be_replaced() {
        for part in ["2181", "0.0.0.0:2181", "10.0.0.1:2181", "[::]:2181"] {
            assert_eq!(
                line(Which::All, &format!("server.1=zk1:1:2:participant;{part}")),
                "server.1=zk1:1:2:participant;zk1:2281"
            );
        }
    }

    #[test]
    fn a_whole_configuration_keeps_its_order_and_version() {
        let before =
            "server.2=b:1:2:participant;127.0.0.1:2181\nserver.1=a:1:2:participant;127.0.0.1:2181\nversion=100000000";
        let after = "server.2=b:1:2:participant;b:2281\nserver.1=a:1:2:participant;a:2281\nversion=100000000";
        assert_eq!(line(Which::Loopback, before), after);
    }

    #[test]
    fn a_reply_is_rewritten_around_its_data() {
        let reply = |error: i32, text: &str| {
            let mut body = [&[0; 12][..], &error.to_be_bytes()].concat();
            put_buffer(&mut body, text.as_bytes());
            body.extend_from_slice(&[7; 68]);
            let mut frame = Vec::new();
            put_buffer(&mut frame, &body);
            frame
        };
        let (before, after) = ("server.1=a:1:2;127.0.0.1:2181", "server.1=a:1:2;a:2281");
        let advertise = advertise(Which::Loopback);
        assert_eq!(advertise.rewrite_reply(&reply(0, before)), Some(reply(0, after)));
        assert_eq!(advertise.rewrite_reply(&reply(0, after)), None);
        assert_eq!(advertise.rewrite_reply(&reply(-102, before)), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "server\\.[0-9]=[a:;|\\\\\\[\\]0-9]{0,40}") {
            advertise(Which::All).rewrite_reply(&bytes);
            advertise(Which::All).rewrite(text.as_bytes());
        }
    }
}
