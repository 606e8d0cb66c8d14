//! Accepts connections. What zoogate has no place for is turned away at once, not left in the kernel's queue.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::Gate;
use super::connection::{self, Accepted};
use super::handshakes::Handshakes;
use super::socket::{self, Liveness};
use crate::metrics::AcceptError;

/// How long to wait for descriptors when there are none.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Whether the task that accepts connections moves: it answers, or nobody does.
#[derive(Debug, Default)]
pub struct Pulse {
    asked: Notify,
    answered: Notify,
}

impl Pulse {
    /// Waits until the task has come round once more. For one caller at a time.
    pub async fn beat(&self) {
        self.asked.notify_one();
        self.answered.notified().await;
    }
}

/// All listeners. One task accepts for all of them.
pub(super) struct Listeners {
    sockets: Vec<(TcpListener, SocketAddr)>,
    /// Which one is asked first: the one behind the last that had somebody.
    first: usize,
}

impl Listeners {
    /// # Errors
    /// If the system has lost a listener.
    pub(super) fn new(sockets: Vec<TcpListener>, liveness: Liveness) -> io::Result<Self> {
        let addressed = |socket: TcpListener| {
            socket::prepare_listener(&socket, liveness)?;
            socket.local_addr().map(|address| (socket, address))
        };
        Ok(Self { sockets: sockets.into_iter().map(addressed).collect::<io::Result<_>>()?, first: 0 })
    }

    /// Accepts until the drain closes the gate.
    pub(super) async fn run(mut self, gate: Arc<Gate>) {
        loop {
            let accepted = tokio::select! {
                accepted = self.accept(&gate) => accepted,
                () = gate.drain.closing() => return,
                // Also where nobody comes.
                () = gate.pulse.asked.notified() => {
                    gate.pulse.answered.notify_one();
                    continue;
                }
            };
            let place = gate.handshakes.enter(accepted.peer.ip());
            gate.drain.spawn(connection::serve(Arc::clone(&gate), accepted, place));
        }
    }

    /// The next connection.
    async fn accept(&mut self, gate: &Gate) -> Accepted {
        loop {
            match poll_fn(|cx| self.poll_accept(cx, &gate.handshakes)).await {
                Ok(accepted) => return accepted,
                Err(error) => match gate.metrics.accept_failed(&error) {
                    AcceptError::Peer => {}
                    AcceptError::Descriptors | AcceptError::Other => {
                        gate.notices.accept_failed(&error);
                        tokio::time::sleep(EXHAUSTED).await;
                    }
                },
            }
        }
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>, handshakes: &Handshakes) -> Poll<io::Result<Accepted>> {
        let _context = handshakes.context();
        let count = self.sockets.len();
        for index in (self.first..self.first + count).map(|index| index % count) {
            let (socket, address) = &self.sockets[index];
            if let Poll::Ready(accepted) = socket.poll_accept(cx) {
                self.first = index + 1;
                return Poll::Ready(accepted.map(|(stream, peer)| Accepted { stream, peer, listener: *address }));
            }
        }
        Poll::Pending
    }
}
