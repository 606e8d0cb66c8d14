//! The room before the gate: connections whose clients are not known yet. They have places, threads and a queue of their
//! own, so that strangers take neither a place nor a turn on a CPU from clients that were let in.

mod places;
mod threads;
mod turns;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::net::TcpStream;
use tokio::runtime::EnterGuard;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use self::places::Places;
use self::threads::Threads;
use self::turns::Turns;
use super::proxy_protocol;
use super::socket::{self, Liveness};
use super::source::Source;
use crate::metrics::Metrics;
use crate::snapshot::Snapshot;
use crate::tls::{self, Authenticated, ClientSocket, HandshakeError, HandshakeFailed};

pub(super) use self::places::Place;

/// Handshakes that are at work at a time, for each thread: enough that a thread has work while clients are far away, and few
/// enough that those which have begun are finished before others begin.
const AT_ONCE: usize = 64;

/// How long a handshake keeps its turn while its client doesn't answer.
const TURN: Duration = Duration::from_millis(25);

/// What the room before the gate is like.
#[derive(Clone, Debug)]
pub struct HandshakeSettings {
    /// Connections that are not admitted yet, in all (`limits.handshakes`); one source may have half of them.
    pub limit: usize,
    /// Connections that there are descriptors for, admitted or not.
    pub fit: usize,
    /// From accept to authenticated.
    pub timeout: Duration,
    /// Threads, which give way to those of admitted clients.
    pub threads: usize,
    /// Peers whose connections begin with a header of the PROXY protocol.
    pub proxies: Vec<IpNet>,
    /// Socket options of client connections.
    pub liveness: Liveness,
}

/// Everything that connections need until their clients are known.
pub(super) struct Handshakes {
    settings: HandshakeSettings,
    places: Arc<Places>,
    turns: Arc<Turns>,
    /// How many clients may be admitted, and the places for them.
    connections: usize,
    admitted: Arc<Semaphore>,
    threads: Threads,
    metrics: Arc<Metrics>,
}

/// How a handshake came out.
pub(super) struct Shaken {
    /// The client's address, which a proxy may have named.
    pub(super) client: SocketAddr,
    pub(super) result: Result<Box<Authenticated>, HandshakeFailed>,
}

impl Handshakes {
    /// # Errors
    /// If the system starts no threads.
    pub(super) fn new(settings: HandshakeSettings, connections: usize, metrics: Arc<Metrics>) -> io::Result<Self> {
        metrics.set_limits(connections, settings.limit);
        Ok(Self {
            places: Arc::new(Places::new(settings.limit)),
            turns: Arc::new(Turns::new(settings.threads.saturating_mul(AT_ONCE))),
            connections,
            admitted: Arc::new(Semaphore::new(connections)),
            threads: Threads::start(settings.threads)?,
            settings,
            metrics,
        })
    }

    /// A place for a connection that was accepted, if there is one.
    pub(super) fn enter(&self, peer: IpAddr) -> Option<Place> {
        let source = (!self.is_proxy(peer)).then(|| Source::of(peer));
        let admitted = self.connections.saturating_sub(self.admitted.available_permits());
        self.places.enter(source, self.settings.fit.saturating_sub(admitted), std::time::Instant::now())
    }

    /// Has sockets that are accepted meanwhile watched by the threads of handshakes.
    pub(super) fn context(&self) -> EnterGuard<'_> {
        self.threads.context()
    }

    /// A place among the admitted clients.
    pub(super) fn admit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.admitted).try_acquire_owned().ok()
    }

    /// Finds out who the client is, on the threads of handshakes. The client's socket is watched by the caller's runtime
    /// afterwards.
    pub(super) async fn shake(
        self: &Arc<Self>,
        (stream, peer): (TcpStream, SocketAddr),
        place: Place,
        snapshot: Arc<Snapshot>,
    ) -> Shaken {
        let handshake = Handshake { room: Arc::clone(self), client: peer, place, snapshot };
        // Dropped with the connection's own task.
        let task = AbortOnDropHandle::new(self.threads.spawn(handshake.run(stream)));
        let mut shaken = task.await.unwrap_or_else(|defect| Shaken {
            client: peer,
            result: Err(failed(HandshakeError::Protocol(format!("the handshake ended by a defect: {defect}")))),
        });
        if let Ok(authenticated) = &mut shaken.result
            && authenticated.stream.get_mut().0.move_here().is_err()
        {
            shaken.result = Err(failed(HandshakeError::Reset));
        }
        shaken
    }

    fn is_proxy(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.settings.proxies.iter().any(|network| network.contains(&peer))
    }
}

/// One handshake, before its client is known.
struct Handshake {
    room: Arc<Handshakes>,
    client: SocketAddr,
    place: Place,
    snapshot: Arc<Snapshot>,
}

impl Handshake {
    async fn run(mut self, stream: TcpStream) -> Shaken {
        let deadline = Instant::now() + self.room.settings.timeout;
        // A peer that is gone already shows in the handshake.
        let _ = socket::prepare_accepted(&stream, self.room.settings.liveness);
        let mut socket = ClientSocket::new(stream);
        let greeted = self.greet(&mut socket, deadline).await;
        let result = match greeted {
            Ok(started) => Box::pin(self.accept(socket, started, deadline)).await,
            Err(failed) => {
                if failed.error.is_answered() {
                    tls::close_gently(socket).await;
                }
                Err(failed)
            }
        };
        Shaken { client: self.client, result }
    }

    /// Reads what comes before the handshake, and the ClientHello.
    async fn greet(&mut self, socket: &mut ClientSocket, deadline: Instant) -> Result<Instant, HandshakeFailed> {
        if self.room.is_proxy(self.client.ip()) {
            let named = timeout_at(deadline, proxy_protocol::read_header(socket)).await;
            if let Some(client) = named.unwrap_or(Err(HandshakeError::Timeout)).map_err(failed)? {
                self.client = client;
            }
            let source = self.source();
            if !self.place.split().0.comes_from(source, std::time::Instant::now()) {
                return Err(failed(HandshakeError::TooManyHandshakes));
            }
        }
        let (place, lost) = self.place.split();
        tokio::select! {
            greeted = tls::greet(socket, deadline, |bytes| place.holds(bytes)) => greeted,
            () = lost.wait() => Err(failed(HandshakeError::TooManyHandshakes)),
        }
    }

    /// Waits for a turn, and shakes hands.
    async fn accept(
        &mut self,
        socket: ClientSocket,
        started: Instant,
        deadline: Instant,
    ) -> Result<Box<Authenticated>, HandshakeFailed> {
        let began = |error| HandshakeFailed { error, elapsed: Some(started.elapsed()) };
        let source = self.source();
        let (place, lost) = self.place.split();
        place.waits_for_gate(std::time::Instant::now());
        let turn = timeout_at(deadline, self.room.turns.next(source)).await;
        let turn = turn.map_err(|_| began(HandshakeError::Timeout))?;
        self.room.metrics.handshake_queued(started.elapsed());
        // In a storm, clients give up while they wait. What they have asked for is not worth a signature.
        if socket.is_abandoned() {
            return Err(began(HandshakeError::Reset));
        }
        let trust = (&*self.snapshot.tls, &self.room.admitted);
        let mut handshake = std::pin::pin!(tls::accept(socket, trust, (started, deadline)));
        let accepted = tokio::select! {
            accepted = &mut handshake => accepted,
            () = sleep(TURN) => {
                drop(turn);
                place.waits_for_client(std::time::Instant::now());
                tokio::select! {
                    accepted = &mut handshake => accepted,
                    () = lost.wait() => Err(began(HandshakeError::TooManyHandshakes)),
                }
            }
        };
        accepted.map(Box::new)
    }

    fn source(&self) -> Source {
        Source::of(self.client.ip())
    }
}

/// Before the first byte of TLS.
fn failed(error: HandshakeError) -> HandshakeFailed {
    HandshakeFailed { error, elapsed: None }
}
