//! Tells a TLS ClientHello from what else arrives on the port, before rustls sees a byte.

use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::error::HandshakeError;
use super::socket::ClientSocket;
use crate::zk::four_letter_word::FourLetterWord;
use crate::zk::frame::OPENING_LIMIT;

/// What a client that does not speak TLS seems to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PlaintextKind {
    /// Monitoring, or a Java client before 3.9.4 looking for a read-write server (ZOOKEEPER-4819).
    FourLetterWord,
    /// A ZooKeeper client without TLS.
    Zookeeper,
    /// A health check or a browser.
    Http,
    /// Anything else; answered with a TLS alert, since it may be TLS of a kind that is no longer spoken.
    Other,
}

impl PlaintextKind {
    /// Every kind, for metrics.
    pub const ALL: &'static [Self] = &[Self::FourLetterWord, Self::Zookeeper, Self::Http, Self::Other];

    /// The word in labels and output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FourLetterWord => "four_letter_word",
            Self::Zookeeper => "zookeeper",
            Self::Http => "http",
            Self::Other => "other",
        }
    }

    /// What to do about it, as the end of a sentence.
    pub(super) fn remedy(self) -> &'static str {
        match self {
            Self::Zookeeper => ": have it use TLS (zookeeper.client.secure=true in Java, use_ssl in kazoo)",
            Self::FourLetterWord => ": send the word inside TLS, with a client certificate",
            Self::Http | Self::Other => "",
        }
    }
}

/// First byte of a TLS record that carries a ClientHello.
pub(super) const HANDSHAKE: u8 = 0x16;
/// Bytes that tell every kind apart.
const ENOUGH: usize = 8;
/// How long a client may take for those bytes once it has begun.
const PATIENCE: Duration = Duration::from_millis(200);

/// How the PROXY protocol's headers of version 1 and 2 begin.
const PROXY_HEADERS: [&[u8]; 2] = [b"PROXY ", b"\r\n\r\n\0\r\nQ"];

/// `AlertLevel.fatal` (RFC 8446 §6).
pub(super) const FATAL: u8 = 2;
const UNEXPECTED_MESSAGE: u8 = 10;

/// Telnet's interrupt sequence, which a server treats as a four-letter word.
const TELNET_INTERRUPT: [u8; 4] = *b"\xff\xf4\xff\xfd";

const HTTP_METHODS: [&[u8]; 10] =
    [b"GET ", b"HEAD ", b"POST ", b"PUT ", b"PATCH ", b"DELETE ", b"OPTIONS ", b"CONNECT ", b"TRACE ", b"PRI * "];

/// Tells what a client sends that does not begin with a TLS handshake record, and answers it where TLS has an answer.
pub(crate) async fn refuse(socket: &mut ClientSocket) -> HandshakeError {
    let patience = Instant::now() + PATIENCE;
    let kind = loop {
        let first = &socket.ahead()[..socket.ahead().len().min(ENOUGH)];
        if PROXY_HEADERS.iter().any(|signature| first.starts_with(signature)) {
            return HandshakeError::ProxyHeader("its address is not in `listen.proxy_protocol.from`".to_owned());
        }
        if let Some(kind) = classify(first) {
            break kind;
        }
        match timeout_at(patience, socket.read_ahead(ENOUGH)).await {
            Ok(Ok(1..)) => {}
            _ => break PlaintextKind::Other,
        }
    };
    if kind == PlaintextKind::Other {
        // In the record version that every TLS client knows.
        let _ = timeout_at(patience, socket.write_all(&[0x15, 3, 1, 0, 2, FATAL, UNEXPECTED_MESSAGE])).await;
    }
    HandshakeError::Plaintext(kind)
}

/// Sends our FIN behind what was written and throws away what the client still sends, so that the kernel does
/// not answer it with a reset, which would take the alert from the client. Bounded in time and bytes.
pub async fn close_gently(socket: ClientSocket) {
    const LONGEST: Duration = Duration::from_millis(500);
    const MOST: usize = 256 * 1024;
    let Some(mut tcp) = socket.into_tcp() else { return };
    let deadline = Instant::now() + LONGEST;
    let mut left = MOST;
    if tcp.shutdown().await.is_err() {
        return;
    }
    while let Ok(Ok(())) = timeout_at(deadline, tcp.readable()).await {
        match discard(&tcp) {
            Ok(0) => return,
            Ok(count) => left = left.saturating_sub(count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
        if left == 0 {
            return;
        }
    }
}

/// Not inlined into the future above, which would have to hold the buffer.
fn discard(tcp: &TcpStream) -> io::Result<usize> {
    tcp.try_read(&mut [0_u8; 4096])
}

/// `None` when more bytes may still make it something.
pub(super) fn classify(bytes: &[u8]) -> Option<PlaintextKind> {
    let is_word = |word: &[u8; 4]| FourLetterWord::recognise(*word).is_some() || *word == TELNET_INTERRUPT;
    if bytes.first_chunk().is_some_and(is_word) {
        return Some(PlaintextKind::FourLetterWord);
    }
    if HTTP_METHODS.iter().any(|method| bytes.starts_with(method)) {
        return Some(PlaintextKind::Http);
    }
    // ConnectRequest: a length of 28 bytes or more, by the session password that the client sends, and protocolVersion 0,
    // or ClickHouse's 10 and 11 for its own server.
    if let Some([0, 0, high, low, 0, 0, 0, 0 | 10 | 11]) = bytes.first_chunk::<ENOUGH>()
        && (28..=OPENING_LIMIT).contains(&usize::from(u16::from_be_bytes([*high, *low])))
    {
        return Some(PlaintextKind::Zookeeper);
    }
    (bytes.len() >= ENOUGH).then_some(PlaintextKind::Other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_told_by_its_first_bytes() {
        for (bytes, kind) in [
            (&b"ruok"[..], Some(PlaintextKind::FourLetterWord)),
            (b"isro\n", Some(PlaintextKind::FourLetterWord)),
            (b"\xff\xf4\xff\xfd", Some(PlaintextKind::FourLetterWord)),
            (b"GET / HTTP/1.1", Some(PlaintextKind::Http)),
            (b"OPTIONS ", Some(PlaintextKind::Http)),
            (b"\0\0\0\x2d\0\0\0\0", Some(PlaintextKind::Zookeeper)),
            (b"\0\0\0\x2c\0\0\0\x0a", Some(PlaintextKind::Zookeeper)),
            (b"\0\0\0\x1c\0\0\0\0", Some(PlaintextKind::Zookeeper)),
            (b"\0\0\x02\x10\0\0\0\0", Some(PlaintextKind::Zookeeper)),
            (b"\0\0\0\x1b\0\0\0\0", Some(PlaintextKind::Other)),
            (b"\0\0\x04\x01\0\0\0\0", Some(PlaintextKind::Other)),
            (b"\0\0\0\x2d\0\0\0\x01", Some(PlaintextKind::Other)),
            (b"\0\0\0\x2d\0\0\0", None),
            (b"ruo", None),
            (b"OPTION", None),
            (b"SSH-2.0-", Some(PlaintextKind::Other)),
        ] {
            assert_eq!(classify(bytes), kind, "{bytes:?}");
        }
    }
}
