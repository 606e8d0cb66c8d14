//! One connection, from accept to its record. [`Connection::pipeline`] is the product's story.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Instant;

use rustls_pki_types::UnixTime;
use tokio::net::TcpStream;

use super::admission::{self, Authorized, ClientName, Recognized};
use super::handshakes::Place as HandshakePlace;
use super::record::{Closed, ConnectionRecord};
use super::relay::{self, Bounds, Terms};
use super::roster::Place;
use super::session::{self, Open, OpenError, Opening};
use super::source::Source;
use super::upstream::DialError;
use super::{Gate, farewell, words};
use crate::identity::Identity;
use crate::metrics::{FourLetterWordResult, ProbeKind, SessionOpening, SessionRefusal, TlsVersion};
use crate::reason::{CloseReason, Ending, Refusal};
use crate::rfc3339::unix;
use crate::snapshot::Snapshot;
use crate::snapshot::names::NotAdmitted;
use crate::tls::{Authenticated, HandshakeError, HandshakeFailed, PlaintextKind};
use crate::zk::four_letter_word::FourLetterWord;
use crate::zk::record::ConnectRequest;

/// Why a connection came to no relay.
#[derive(Debug, thiserror::Error)]
enum ConnectionError {
    #[error(transparent)]
    Handshake(#[from] HandshakeFailed),
    #[error("all places of `limits.connections` are taken")]
    TooMany,
    #[error(transparent)]
    Admission(#[from] NotAdmitted),
    #[error("ZooKeeper can't be reached: {0}")]
    Dial(#[from] DialError),
    #[error(transparent)]
    Open(#[from] OpenError),
    // The client reads the same sentence in both cases, so the record tells whose refusal it was.
    #[error("zoogate refused {0}: four_letter_words.allow does not list it")]
    WordNotAllowed(FourLetterWord),
    #[error("ZooKeeper refused {0}: its 4lw.commands.whitelist does not list it")]
    WordRefused(FourLetterWord),
}

/// A connection that nothing is known of but its ends.
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) listener: SocketAddr,
}

/// Serves a connection until it ends, and writes its record. The place is that of a connection whose client is not known
/// yet; without one it is turned away.
pub(super) async fn serve(gate: Arc<Gate>, accepted: Accepted, place: Option<HandshakePlace>) {
    let Accepted { stream, peer, listener } = accepted;
    let record = ConnectionRecord::new(gate.metrics.connection_accepted(), peer, listener);
    let mut connection = Connection { gate: &gate, record, ended: None };
    let forced = gate.drain.clone().forced();
    let mut closed = tokio::select! {
        result = connection.pipeline(stream, place) => connection.conclude(result),
        // A connection that is being closed has ended for another reason.
        () = forced => Closed::ended(connection.ended.unwrap_or(Ending::Forced)),
    };
    let client = connection.record.client_address();
    gate.refusals.note(client, &closed, connection.record.client());
    let permitted = gate.notices.left_out.permit(Instant::now(), Source::of(client.ip()), closed.reason);
    closed.quiet |= permitted.is_none();
    connection.record.finish(&closed, permitted.unwrap_or_default());
}

struct Connection<'a> {
    gate: &'a Gate,
    record: ConnectionRecord,
    /// Why the relay ended, once it has.
    ended: Option<Ending>,
}

impl Connection<'_> {
    /// The stages, each under its deadline. What a stage needs is what the one before it made.
    async fn pipeline(&mut self, stream: TcpStream, place: Option<HandshakePlace>) -> Result<Ending, ConnectionError> {
        let snapshot = self.gate.snapshot();
        // Boxed, since each is as large as its largest moment: thousands of connections wait for the one to end, and live in
        // the other.
        let authenticated = Box::pin(self.authenticate(stream, place, &snapshot)).await?;
        Box::pin(self.serve_authenticated(authenticated, snapshot)).await
    }

    /// Finds out who the client is, beside the clients that are known.
    async fn authenticate(
        &mut self,
        stream: TcpStream,
        place: Option<HandshakePlace>,
        snapshot: &Arc<Snapshot>,
    ) -> Result<Box<Authenticated>, ConnectionError> {
        let place = place.ok_or(HandshakeFailed { error: HandshakeError::TooManyHandshakes, elapsed: None })?;
        let peer = self.record.client_address();
        let shaken = self.gate.handshakes.shake((stream, peer), place, Arc::clone(snapshot)).await;
        self.record.comes_from(shaken.client);
        Ok(shaken.result?)
    }

    async fn serve_authenticated(
        &mut self,
        authenticated: Box<Authenticated>,
        snapshot: Arc<Snapshot>,
    ) -> Result<Ending, ConnectionError> {
        let (gate, settings) = (self.gate, &self.gate.settings);
        self.authenticated(&authenticated);
        let Some(_permit) = gate.handshakes.admit() else {
            Box::pin(farewell::bid(authenticated.stream)).await;
            return Err(ConnectionError::TooMany);
        };
        let (mut authorized, recognized) = Box::pin(admission::admit(authenticated, gate, &snapshot)).await?;
        let mut place = self.admitted(recognized, authorized.share.until());
        drop(snapshot);

        match Box::pin(session::read_opening(&mut authorized.client, settings.open_timeout)).await {
            Ok(Opening::Session(request)) => {
                let open = Box::pin(self.open(authorized, request)).await?;
                place.iter_mut().for_each(|place| place.opened(open.session.id));
                Ok(self.relay(open).await)
            }
            Ok(Opening::Word(word)) => Box::pin(self.answer(authorized, word)).await,
            Err(error) => Err(Box::pin(self.dismiss(authorized, error.into())).await),
        }
    }

    async fn open(&mut self, authorized: Authorized, request: ConnectRequest) -> Result<Open, ConnectionError> {
        let (begun, within) = (Instant::now(), self.gate.settings.response_timeout);
        let request = match self.gate.passwords.claim(&authorized.grant, &request) {
            Ok(request) => request,
            Err(refusal) => {
                let error = self.not_owner(&authorized, request.session_id(), refusal);
                session::refuse(authorized, &request, within).await;
                return Err(error.into());
            }
        };
        let upstream = match self.dial().await {
            Ok(upstream) => upstream,
            Err(error) => return Err(self.dismiss(authorized, error.into()).await),
        };
        let opened = session::open(authorized, upstream, &request, (&self.gate.passwords, within)).await;
        let opening = match &opened {
            Ok(open) if open.session.resumed => Some(SessionOpening::Resumed),
            Ok(_) => Some(SessionOpening::New),
            Err(OpenError::Expired) => Some(SessionOpening::Expired),
            Err(OpenError::Refused | OpenError::ReadOnly) => Some(SessionOpening::Refused),
            Err(_) => None,
        };
        if let Some(opening) = opening {
            self.gate.metrics.session_opening(opening, Some(begun.elapsed()));
        }
        let open = opened?;
        (0..open.injected).for_each(|_| self.gate.metrics.injection_sent());
        Ok(open)
    }

    async fn relay(&mut self, open: Open) -> Ending {
        let Open { mut client, mut upstream, injected, translator, share, session } = open;
        self.record.opened(session);
        let terms = Terms {
            bounds: Bounds { translate: translator, ..self.gate.settings.bounds.clone() },
            injected,
            answer_within: self.gate.settings.response_timeout,
            drain: self.gate.drain.clone(),
            over: share.over(),
            metrics: Arc::clone(&self.gate.metrics),
            record: &mut self.record,
        };
        let ending = relay::run(&mut client, &mut upstream, terms).await;
        self.ended = Some(ending);
        // ZooKeeper first: it must learn at once that its client is gone.
        drop(upstream);
        Box::pin(farewell::bid(client)).await;
        ending
    }

    async fn answer(&mut self, mut authorized: Authorized, word: FourLetterWord) -> Result<Ending, ConnectionError> {
        let (client, within) = (&mut authorized.client, self.gate.settings.response_timeout);
        let allowed = self.gate.settings.words.contains(&word);
        let answered = if allowed {
            match self.dial().await {
                Ok(mut upstream) => words::ask(client, &mut upstream, word, within).await,
                Err(error) => {
                    self.gate.metrics.four_letter_word(FourLetterWordResult::Allowed);
                    return Err(self.dismiss(authorized, error.into()).await);
                }
            }
        } else {
            words::refuse(client, word, within).await.map(|()| false)
        };
        let result = match (allowed, &answered) {
            (false, _) => FourLetterWordResult::RefusedByGate,
            (true, Ok(true)) => FourLetterWordResult::RefusedByZookeeper,
            (true, _) => FourLetterWordResult::Allowed,
        };
        self.gate.metrics.four_letter_word(result);
        farewell::bid(authorized.client).await;
        answered?;
        match result {
            FourLetterWordResult::Allowed => Ok(Ending::FourLetterWord),
            FourLetterWordResult::RefusedByGate => Err(ConnectionError::WordNotAllowed(word)),
            FourLetterWordResult::RefusedByZookeeper => Err(ConnectionError::WordRefused(word)),
        }
    }

    async fn dial(&self) -> Result<TcpStream, DialError> {
        let begun = Instant::now();
        let dialled = self.gate.dialer.dial(Some(self.record.client_address().ip())).await;
        match &dialled {
            Ok(_) => self.gate.metrics.upstream_connected(begun.elapsed()),
            Err(_) => self.gate.metrics.upstream_connect_failed(),
        }
        dialled
    }

    /// Sends an authorized client away whose session came to nothing.
    async fn dismiss(&self, authorized: Authorized, error: ConnectionError) -> ConnectionError {
        farewell::bid(authorized.client).await;
        error
    }

    fn authenticated(&mut self, authenticated: &Authenticated) {
        let version = TlsVersion::of(authenticated.version);
        self.gate.metrics.handshake_completed(version, authenticated.elapsed);
        let left = authenticated.verified.leaf_not_after.saturating_sub(unix(UnixTime::now()));
        self.gate.metrics.client_certificate_seen(left);
        self.record.authenticated(ClientName::of(authenticated));
    }

    fn admitted(&mut self, Recognized { identity, name }: Recognized, until: Arc<AtomicI64>) -> Option<Place> {
        let place = self.record.admitted(identity).map(|client| self.gate.roster.enter(client, &name, until))?;
        self.record.count_requests(place.requests());
        Some(place)
    }

    fn not_owner(&self, authorized: &Authorized, id: i64, refusal: SessionRefusal) -> OpenError {
        let own = authorized.grant.names().first().map(Identity::as_str);
        let owner = self.gate.roster.owner(id).filter(|owner| Some(&**owner) != own);
        let refusal = if owner.is_some() { SessionRefusal::OtherIdentity } else { refusal };
        self.gate.metrics.session_refused(refusal);
        OpenError::NotOwner { id, refusal, owner }
    }

    /// The pipeline's result as the record tells it; what somebody must act on is logged too.
    fn conclude(&mut self, result: Result<Ending, ConnectionError>) -> Closed {
        match result {
            Ok(ending) => {
                let mut closed = Closed::ended(ending);
                if ending == Ending::AuthFailed {
                    self.gate.notices.auth_failed();
                    closed.detail = Some("ZooKeeper refused the injected credential; its log says why".to_owned());
                }
                closed
            }
            Err(error) => self.conclude_error(&error),
        }
    }

    fn conclude_error(&mut self, error: &ConnectionError) -> Closed {
        let metrics = &self.gate.metrics;
        let detail = Some(error.to_string());
        let closed = |reason| Closed { reason, detail, quiet: false, certificate: None };
        match error {
            ConnectionError::Handshake(failed) => self.conclude_handshake(failed),
            ConnectionError::TooMany => {
                metrics.handshake_refused(Refusal::TooManyConnections, TlsVersion::Unknown, None);
                closed(CloseReason::Refused(Refusal::TooManyConnections))
            }
            ConnectionError::Admission(admission) => {
                metrics.handshake_refused(admission.refusal(), TlsVersion::Unknown, None);
                if let NotAdmitted::Denied { identity, .. } = admission {
                    self.record.denied(identity.clone());
                }
                closed(CloseReason::Refused(admission.refusal()))
            }
            ConnectionError::Dial(error) => {
                self.gate.notices.unreachable(error);
                closed(CloseReason::Ended(Ending::UpstreamUnreachable))
            }
            ConnectionError::WordNotAllowed(_) => closed(CloseReason::Ended(Ending::FourLetterWordRefused)),
            ConnectionError::WordRefused(_) => closed(CloseReason::Ended(Ending::FourLetterWord)),
            ConnectionError::Open(open) => closed(CloseReason::Ended(open.ending())),
        }
    }

    fn conclude_handshake(&self, failed: &HandshakeFailed) -> Closed {
        let metrics = &self.gate.metrics;
        let Some(refusal) = failed.error.refusal() else {
            metrics.probed(if failed.error == HandshakeError::Ssl3 { ProbeKind::Ssl3 } else { ProbeKind::Empty });
            return Closed { reason: CloseReason::Probe, detail: None, quiet: true, certificate: None };
        };
        metrics.handshake_refused(refusal, TlsVersion::Unknown, failed.elapsed);
        let certificate = match &failed.error {
            HandshakeError::Refused(error) => error.subject.clone().zip(error.serial.clone()),
            _ => None,
        };
        let (reason, detail) = (CloseReason::Refused(refusal), Some(failed.to_string()));
        if let HandshakeError::Plaintext(kind) = failed.error {
            metrics.probed(probe_kind(kind));
        }
        Closed { reason, detail, quiet: false, certificate }
    }
}

fn probe_kind(kind: PlaintextKind) -> ProbeKind {
    match kind {
        PlaintextKind::FourLetterWord => ProbeKind::FourLetterWord,
        PlaintextKind::Zookeeper => ProbeKind::Zookeeper,
        PlaintextKind::Http => ProbeKind::Http,
        PlaintextKind::Other => ProbeKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each connection holds always, before its client is known, and while it is idle, beside the task of its handshake
    /// before, and rustls' state and the strings of its record afterwards.
    #[test]
    fn the_futures_of_a_connection_are_small() {
        type Here = &'static mut Connection<'static>;
        fn always<F: Future>(_: impl FnOnce(Arc<Gate>, Accepted, Option<HandshakePlace>) -> F) -> usize {
            size_of::<F>()
        }
        fn before<F: Future>(
            _: impl FnOnce(Here, TcpStream, Option<HandshakePlace>, &'static Arc<Snapshot>) -> F,
        ) -> usize {
            size_of::<F>()
        }
        fn afterwards<F: Future>(_: impl FnOnce(Here, Box<Authenticated>, Arc<Snapshot>) -> F) -> usize {
            size_of::<F>()
        }
        let sizes = (always(serve), before(Connection::authenticate), afterwards(Connection::serve_authenticated));
        assert!(sizes.0 <= 704 && sizes.1 <= 512 && sizes.2 <= 1280, "{sizes:?} bytes");
    }
}
