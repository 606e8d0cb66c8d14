//! The one record of a connection: made at accept, written when the connection ends, whatever ends it.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::{debug, info};

use super::admission::ClientName;
use super::relay::Traffic;
use super::session::Session;
use crate::identity::Identity;
use crate::metrics::{ConnectionGuard, ConnectionState};
use crate::reason::{CloseReason, Ending};

/// The most bytes of each text in the record of a refused connection, as they are written.
const LONGEST_TEXT: usize = 256;

/// The `target` of access records in the log.
pub const ACCESS: &str = "zoogate::access";

/// How a connection ended.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) reason: CloseReason,
    /// More than the reason's word, for a person.
    pub(crate) detail: Option<String>,
    /// Whether the record is of interest to nobody but a debugger: probes, repeated plaintext.
    pub(crate) quiet: bool,
    /// Subject and serial number of the certificate that was refused, where the record doesn't have it.
    pub(crate) certificate: Option<(String, String)>,
}

impl Closed {
    pub(crate) fn ended(ending: Ending) -> Self {
        Self { reason: CloseReason::Ended(ending), detail: None, quiet: false, certificate: None }
    }
}

/// What is known of a connection so far. One that is dropped unfinished is written as `aborted`.
pub(crate) struct ConnectionRecord {
    /// Taken when the record is finished.
    guard: Option<ConnectionGuard>,
    /// The client's address.
    peer: SocketAddr,
    /// The address of the proxy that has named the client's.
    proxy: Option<SocketAddr>,
    listener: SocketAddr,
    client: Option<ClientName>,
    session: Option<Session>,
    traffic: Traffic,
    /// Where the requests are counted beside those of other connections.
    requests: Option<Arc<AtomicU64>>,
}

impl ConnectionRecord {
    pub(crate) fn new(guard: ConnectionGuard, peer: SocketAddr, listener: SocketAddr) -> Self {
        Self {
            guard: Some(guard),
            peer,
            proxy: None,
            listener,
            client: None,
            session: None,
            traffic: Traffic::default(),
            requests: None,
        }
    }

    /// The client's address: the peer's, or what a proxy has named.
    pub(crate) fn client_address(&self) -> SocketAddr {
        self.peer
    }

    /// The client's address is this; the peer is a proxy if it has another one.
    pub(crate) fn comes_from(&mut self, client: SocketAddr) {
        if client != self.peer {
            self.proxy = Some(std::mem::replace(&mut self.peer, client));
        }
    }

    pub(crate) fn authenticated(&mut self, client: ClientName) {
        self.client = Some(client);
        self.enter(ConnectionState::Opening);
    }

    pub(crate) fn admitted(&mut self, identity: Identity) -> Option<&ClientName> {
        let client = self.client.as_mut()?;
        client.identity = Some(identity);
        Some(client)
    }

    /// The client has an identity, and that one may not come in.
    pub(crate) fn denied(&mut self, identity: Identity) {
        if let Some(client) = &mut self.client {
            client.identity = Some(identity);
        }
    }

    pub(crate) fn opened(&mut self, session: Session) {
        self.session = Some(session);
        self.enter(ConnectionState::Established);
    }

    pub(crate) fn enter(&mut self, state: ConnectionState) {
        if let Some(guard) = self.guard.as_mut().filter(|guard| guard.state() != state) {
            guard.enter(state);
        }
    }

    /// Who the client is, once its certificate was verified.
    pub(crate) fn client(&self) -> Option<&ClientName> {
        self.client.as_ref()
    }

    /// From now on requests are counted here too.
    pub(crate) fn count_requests(&mut self, requests: Arc<AtomicU64>) {
        self.requests = Some(requests);
    }

    /// How many requests have come so far.
    pub(crate) fn requested(&mut self, seen: u64) {
        if let Some(requests) = &self.requests {
            requests.fetch_add(seen - self.traffic.requests, Ordering::Relaxed);
        }
        self.traffic.requests = seen;
    }

    /// What passes, as it passes.
    pub(crate) fn traffic(&mut self) -> &mut Traffic {
        &mut self.traffic
    }

    /// Writes the record; `left_out` before it were refused alike, and have none.
    pub(crate) fn finish(mut self, closed: &Closed, left_out: u64) {
        self.write(closed, left_out);
    }

    fn write(&mut self, closed: &Closed, left_out: u64) {
        let Some(guard) = self.guard.take() else { return };
        // A stranger chooses what its certificate says, and an admitted client's was let in.
        let longest = if matches!(closed.reason, CloseReason::Refused(_)) { LONGEST_TEXT } else { usize::MAX };
        let cut = |text| cut(text, longest);
        let client = self.client.as_ref();
        let session = self.session.as_ref();
        macro_rules! access {
            ($level:ident) => {
                $level!(
                    target: ACCESS,
                    reason = closed.reason.as_str(),
                    detail = closed.detail.as_deref().map(cut).as_deref(),
                    peer = %self.peer,
                    proxy = self.proxy.map(tracing::field::display),
                    listener = %self.listener,
                    left_out = (left_out > 0).then_some(left_out),
                    identity = client.and_then(|client| client.identity.as_ref()).map(|it| cut(it.as_str())).as_deref(),
                    subject = client.map(|client| cut(&client.subject)).as_deref(),
                    serial = client.map(|client| cut(&client.serial)).as_deref(),
                    sha256 = client.map(|client| &*client.sha256),
                    tls_version = client.map(|client| client.tls_version),
                    tls_cipher = client.map(|client| client.tls_cipher),
                    session = session.map(|session| format!("{:#x}", session.id)),
                    session_timeout_ms = session.map(|session| session.timeout),
                    resumed = session.map(|session| session.resumed),
                    requests = self.traffic.requests,
                    received_bytes = self.traffic.received,
                    sent_bytes = self.traffic.sent,
                    duration_ms = guard.age().as_millis() as u64,
                    "connection closed"
                )
            };
        }
        if closed.quiet {
            access!(debug)
        } else {
            access!(info)
        }
        guard.close(closed.reason);
    }
}

/// A text, or its beginning if it would take more bytes in the log than these, however it is escaped there.
fn cut(text: &str, longest: usize) -> Cow<'_, str> {
    if longest == usize::MAX {
        return Cow::Borrowed(text);
    }
    let mut written = 0;
    for (at, c) in text.char_indices() {
        // JSON writes a control character in six bytes; text writes as Debug does.
        let debug: usize = c.escape_debug().map(char::len_utf8).sum();
        written += if c.is_control() { debug.max(6) } else { debug };
        if written > longest {
            return Cow::Owned(format!("{}…", &text[..at]));
        }
    }
    Cow::Borrowed(text)
}

impl Drop for ConnectionRecord {
    fn drop(&mut self) {
        self.write(&Closed::ended(Ending::Aborted), 0);
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;

    use tracing_subscriber::fmt;

    use super::super::left_out::LONGEST_LINE;
    use super::*;
    use crate::metrics::Metrics;
    use crate::reason::Refusal;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The record of a client whose texts are all this one.
    fn written(reason: CloseReason, text: &str, json: bool) -> String {
        let (buffer, metrics) = (Buffer::default(), Arc::new(Metrics::new(&prometheus::Registry::new()).unwrap()));
        let peer = "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535".parse().unwrap();
        let write = || {
            let mut record = ConnectionRecord::new(metrics.connection_accepted(), peer, peer);
            record.authenticated(ClientName {
                identity: Identity::new(text.chars().take(1000).collect()).ok(),
                subject: text.into(),
                serial: text.into(),
                sha256: "f".repeat(64).into(),
                tls_version: "TLSv1.3",
                tls_cipher: "TLS_CHACHA20_POLY1305_SHA256",
                not_before: 0,
            });
            let closed = Closed { reason, detail: Some(text.to_owned()), quiet: false, certificate: None };
            record.finish(&closed, u64::MAX);
        };
        let (own, builder) = (buffer.clone(), fmt::Subscriber::builder());
        let builder = builder.with_writer(Mutex::new(own));
        if json {
            let format = builder.json().flatten_event(true).with_current_span(false).with_span_list(false);
            tracing::subscriber::with_default(format.finish(), write);
        } else {
            tracing::subscriber::with_default(builder.with_ansi(true).finish(), write);
        }
        let bytes = buffer.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn no_refusal_writes_more_bytes_than_the_documented_figure_comes_from() {
        for unit in ["a", "\"", "\\", "\u{1}", "\u{1b}", "é", "\u{200b}", "😀", "\u{e0001}", "\n", "\u{85}"] {
            for json in [false, true] {
                for &refusal in Refusal::ALL {
                    let line = written(CloseReason::Refused(refusal), &unit.repeat(10_000), json);
                    assert!(line.contains(refusal.as_str()), "{line}");
                    assert!(line.len() <= LONGEST_LINE, "{} bytes: {line}", line.len());
                }
            }
        }
    }

    #[test]
    fn texts_of_admitted_clients_and_short_ones_are_written_whole() {
        let long = "a".repeat(10_000);
        assert!(written(CloseReason::Ended(Ending::ClientClosed), &long, true).contains(&long));
        for text in ["", "CN=é", "a\"b", &"a".repeat(LONGEST_TEXT)] {
            assert_eq!(cut(text, LONGEST_TEXT), text);
        }
        assert_eq!(cut(&"a".repeat(LONGEST_TEXT + 1), LONGEST_TEXT), format!("{}…", "a".repeat(LONGEST_TEXT)));
        assert_eq!(cut("éé", 3), "é…");
    }
}
