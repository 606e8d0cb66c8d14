//! Accepts connections: a permit first, so that the kernel queues what zoogate can't take.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Gate, connection};
use crate::metrics::AcceptError;

/// How long to wait for descriptors when there are none.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Accepts until the drain closes the gate.
pub(super) async fn run(gate: Arc<Gate>, listener: TcpListener, address: SocketAddr, places: Arc<Semaphore>) {
    loop {
        let accepted = tokio::select! {
            accepted = accept(&gate, &listener, &places) => accepted,
            () = gate.drain.closing() => return,
        };
        let Some((stream, peer, permit)) = accepted else { return };
        gate.drain.spawn(connection::serve(Arc::clone(&gate), stream, (peer, address), permit));
    }
}

/// The next connection; `None` if there will be none.
async fn accept(
    gate: &Gate,
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(places).acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return Some((stream, peer, permit)),
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
