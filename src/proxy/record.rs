//! The one record of a connection: made at accept, written when the connection ends, whatever ends it.

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

    pub(crate) fn finish(mut self, closed: &Closed) {
        self.write(closed);
    }

    fn write(&mut self, closed: &Closed) {
        let Some(guard) = self.guard.take() else { return };
        let client = self.client.as_ref();
        let session = self.session.as_ref();
        macro_rules! access {
            ($level:ident) => {
                $level!(
                    target: ACCESS,
                    reason = closed.reason.as_str(),
                    detail = closed.detail.as_deref(),
                    peer = %self.peer,
                    proxy = self.proxy.map(tracing::field::display),
                    listener = %self.listener,
                    identity = client.and_then(|client| client.identity.as_ref()).map(|identity| identity.as_str()),
                    subject = client.map(|client| &*client.subject),
                    serial = client.map(|client| &*client.serial),
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

impl Drop for ConnectionRecord {
    fn drop(&mut self) {
        self.write(&Closed::ended(Ending::Aborted));
    }
}
