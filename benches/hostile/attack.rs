//! The attacks: who sends what, how often, and how many at a time.

use crate::common::client::{Client, Clients};

use super::forge;

/// One row of the table.
pub(super) struct Attack {
    /// For the command line.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) method: Method,
    /// How many attackers there are.
    pub(super) at_once: usize,
    /// How often they attack in all.
    pub(super) count: usize,
    /// The gate's `limits.connections`.
    pub(super) limit: usize,
    /// Keys that the gate is to have.
    pub(super) keys: &'static str,
}

/// What one attempt is.
pub(super) enum Method {
    /// A handshake that is refused.
    Handshake(Client),
    /// A session that is opened if it is let in, and then idle.
    Session(Client),
    /// These bytes at once, then nothing, for as long as the gate bears it.
    Hold(Vec<u8>),
    /// These bytes at once; whatever the gate answers, the connection then ends.
    Throw(Vec<u8>),
    /// These bytes one by one, then likewise.
    Drip(Vec<u8>),
    /// Requests of an admitted client.
    Requests(Requests),
}

/// What an admitted client does, over and over, on one connection.
pub(super) struct Requests {
    pub(super) client: Client,
    pub(super) bytes: Vec<u8>,
    pub(super) replies: Replies,
}

/// What it does about replies.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Replies {
    /// It waits for so many bytes before it sends on.
    Await(usize),
    /// The same, and each byte of the request is a record of its own.
    AwaitAfterBytes(usize),
    /// It reads none.
    Ignore,
}

impl Attack {
    /// Whether its connections stay, so that memory can be counted per connection.
    pub(super) fn stays(&self) -> bool {
        match &self.method {
            Method::Session(_) | Method::Hold(_) => true,
            Method::Requests(requests) => !matches!(requests.replies, Replies::AwaitAfterBytes(_)),
            Method::Handshake(_) | Method::Throw(_) | Method::Drip(_) => false,
        }
    }

    /// Whether an attempt is a request on a connection that stays, not a connection.
    pub(super) fn is_of_requests(&self) -> bool {
        matches!(self.method, Method::Requests(_))
    }
}

/// All of them. Counts are what a few seconds suffice for.
pub(super) fn all(clients: &Clients) -> anyhow::Result<Vec<Attack>> {
    let mut attacks = handshakes(clients)?;
    attacks.extend(before_handshakes(clients)?);
    attacks.extend(requests(clients));
    Ok(attacks)
}

fn handshakes(clients: &Clients) -> anyhow::Result<Vec<Attack>> {
    let handshake = |chain| Method::Handshake(clients.presenting(chain));
    let extensions = handshake(forge::many_extensions(clients, 5800)?);
    let issuers = handshake(forge::false_issuers(clients, 15)?);
    let stranger = handshake(forge::unknown(clients)?);
    let junk = Method::Session(clients.presenting(forge::junk_behind(clients)?));
    let flight = Method::Hold(clients.hello()?);
    Ok(vec![
        attack("extensions", "self-signed certificate with 5,800 extensions", extensions, (300, 300)),
        attack("issuers", "16 certificates, 15 of them false CAs with 8,192-bit keys", issuers, (300, 1000)),
        attack("junk", "good certificate with 58 KB of junk behind it", junk, (1000, 1000)),
        attack("refused", "unknown certificate, again and again from one address", stranger, (16, 8000)),
        crowd("flight", "9,000 handshakes that stop after the server's flight (limits.connections: 4000)", flight),
    ])
}

fn before_handshakes(clients: &Clients) -> anyhow::Result<Vec<Attack>> {
    let hello = clients.hello()?;
    let long = forge::padded_hello(clients, 60_000)?;
    let half = Method::Hold(hello[..hello.len() / 2].to_vec());
    let record = forge::padded_hello(clients, 15_000)?;
    let nearly = Method::Hold(record[..record.len() - 1].to_vec());
    let unending = Method::Hold(long[..long.len() - 1].to_vec());
    let drip = Method::Drip(hello.clone());
    let http = Method::Throw(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec());
    Ok(vec![
        attack("hello-half", "ClientHello that stops in the middle", half, (4000, 8000)),
        attack("hello-15k", "ClientHello of 15 KB without its last byte", nearly, (4000, 8000)),
        attack("hello-60k", "ClientHello of 60 KB without its last byte", unending, (2000, 4000)),
        attack("hello-long", "ClientHello of 60 KB, again and again", Method::Throw(long), (16, 8000)),
        attack("hello-bytes", "ClientHello in single bytes", drip, (200, 1000)),
        crowd("silent", "9,000 silent TCP connections (limits.connections: 4000)", Method::Hold(Vec::new())),
        attack("plaintext", "plaintext HTTP, again and again", http, (16, 50_000)),
    ])
}

fn requests(clients: &Clients) -> Vec<Attack> {
    const REPLY: usize = crate::common::client::REPLY_OF_100;
    let admitted = |bytes, replies| Method::Requests(Requests { client: clients.usual(), bytes, replies });
    let reserved = admitted(forge::reads(-1, 100), Replies::Await(100 * REPLY));
    let bytes = admitted(forge::reads(1, 1), Replies::AwaitAfterBytes(REPLY));
    let unread = admitted(crate::common::client::get_data(1_000_000).repeat(4), Replies::Ignore);
    let entries = admitted(forge::set_acl(52_000), Replies::Await(20));
    vec![
        attack("xid", "admitted client: 100 reads with xid −1 at a time", reserved, (4, 20_000)),
        attack("record-bytes", "admitted client: requests in records of one byte", bytes, (16, 20_000)),
        attack("unread", "admitted client: asks for megabytes, reads no reply", unread, (16, 800)),
        Attack {
            keys: "acl: { translate: on }\n",
            ..attack("set-acl", "admitted client: setACL with 52,000 entries, translated", entries, (1, 100))
        },
    ]
}

/// More attackers at a time than `limits.connections` and `limits.handshakes`, which is twice that, let in.
fn crowd(name: &'static str, title: &'static str, method: Method) -> Attack {
    Attack { limit: 4000, ..attack(name, title, method, (9000, 18_000)) }
}

fn attack(name: &'static str, title: &'static str, method: Method, (at_once, count): (usize, usize)) -> Attack {
    Attack { name, title, method, at_once, count, limit: 8000, keys: "" }
}
