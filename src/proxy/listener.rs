//! Accepts connections: a permit first, so that the kernel queues what zoogate can't take.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::socket::{self, Liveness};
use super::{Gate, connection};
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

/// All listeners. One task accepts for all of them: with one task each, a listener where nobody comes would
/// hold a permit that another one needs.
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
    pub(super) async fn run(mut self, gate: Arc<Gate>, places: Arc<Semaphore>) {
        loop {
            let accepted = tokio::select! {
                accepted = self.accept(&gate, &places) => accepted,
                () = gate.drain.closing() => return,
                // Also where no place is free, and nobody comes.
                () = gate.pulse.asked.notified() => {
                    gate.pulse.answered.notify_one();
                    continue;
                }
            };
            let Some((stream, ends, permit)) = accepted else { return };
            gate.drain.spawn(connection::serve(Arc::clone(&gate), stream, ends, permit));
        }
    }

    /// The next connection, its peer and its listener; `None` if there will be none.
    async fn accept(
        &mut self,
        gate: &Gate,
        places: &Arc<Semaphore>,
    ) -> Option<(TcpStream, (SocketAddr, SocketAddr), OwnedSemaphorePermit)> {
        let permit = Arc::clone(places).acquire_owned().await.ok()?;
        loop {
            match poll_fn(|cx| self.poll_accept(cx)).await {
                Ok((stream, ends)) => return Some((stream, ends, permit)),
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

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, (SocketAddr, SocketAddr))>> {
        let count = self.sockets.len();
        for index in (self.first..self.first + count).map(|index| index % count) {
            let (socket, address) = &self.sockets[index];
            if let Poll::Ready(accepted) = socket.poll_accept(cx) {
                self.first = index + 1;
                return Poll::Ready(accepted.map(|(stream, peer)| (stream, (peer, *address))));
            }
        }
        Poll::Pending
    }
}
