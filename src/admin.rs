//! The admin address: a page for people at `/`, `/metrics`, `/livez`, `/readyz` and `/status`, over HTTP/1.1.
//!
//! Nothing here changes anything, and nothing shows a secret. One request is answered per connection, within a
//! deadline; when all places are taken, the oldest connection makes room. A scraper or a probe gets its answer in
//! milliseconds, so only those lose their place who were sitting on it.

mod host;
mod overview;
mod page;
pub mod status;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use prometheus::Registry;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::metrics::AcceptError;

use page::Pages;

pub use host::Hosts;

/// What the pages are made of.
pub struct AdminView {
    /// Gathered for `/metrics`.
    pub registry: Registry,
    /// Asked for `/status`.
    pub status: status::Source,
    /// Asked for `/readyz` and `/status`.
    pub readiness: status::Readiness,
    /// The names that the pages are served under.
    pub hosts: Hosts,
}

/// The admin address, bound but not served yet.
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
}

/// What a client of the admin address may take.
#[derive(Clone, Copy)]
struct Limits {
    connections: usize,
    /// From accept to the end of the request's header.
    header: Duration,
    /// From accept to the end of the answer.
    exchange: Duration,
    /// From the order to stop to the end of all connections.
    stop: Duration,
}

const LIMITS: Limits = Limits {
    connections: 64,
    header: Duration::from_secs(5),
    exchange: Duration::from_secs(15),
    stop: Duration::from_secs(2),
};

/// The most bytes of a request's header; more is answered with 431.
const HEADER_BYTES: usize = 16 * 1024;
const HEADER_LINES: usize = 64;
const BACKLOG: u32 = 128;

impl Admin {
    /// Binds the address and listens. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// Passes on what the system says: the address is in use, not this host's, or not permitted.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A restart must not wait for the last process' connections to be forgotten.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Self::on(socket.listen(BACKLOG)?)
    }

    /// Takes over a socket that listens and does not block. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// If the system has lost it.
    pub fn adopt(listener: std::net::TcpListener) -> io::Result<Self> {
        Self::on(TcpListener::from_std(listener)?)
    }

    fn on(listener: TcpListener) -> io::Result<Self> {
        let address = listener.local_addr()?;
        Ok(Self { listener, address, limits: LIMITS })
    }

    /// The address that is listened at, with the port that the system chose if 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until `shutdown`, then finishes those that have begun, for two seconds at most.
    pub async fn serve(self, view: Arc<AdminView>, shutdown: CancellationToken) {
        let pages = Arc::new(Pages::new(view));
        let stopping = GracefulShutdown::new();
        let mut open = OpenConnections::default();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _peer)) => {
                        open.make_room(self.limits.connections);
                        open.add(exchange(stream, pages.clone(), stopping.watcher(), self.limits));
                    }
                    Err(error) => accept_failed(&error).await,
                },
                Some(_) = open.tasks.join_next() => {}
            }
        }
        drop(self.listener);
        // What is left after that is aborted by dropping its tasks.
        let _ = timeout(self.limits.stop, stopping.shutdown()).await;
    }
}

/// The connections that are being answered, oldest first.
#[derive(Default)]
struct OpenConnections {
    tasks: JoinSet<()>,
    by_age: VecDeque<AbortHandle>,
}

impl OpenConnections {
    fn make_room(&mut self, limit: usize) {
        self.by_age.retain(|task| !task.is_finished());
        if self.by_age.len() >= limit
            && let Some(oldest) = self.by_age.pop_front()
        {
            oldest.abort();
        }
    }

    fn add(&mut self, exchange: impl Future<Output = ()> + Send + 'static) {
        self.by_age.push_back(self.tasks.spawn(exchange));
    }
}

/// One request and its answer.
async fn exchange(stream: TcpStream, pages: Arc<Pages>, stopping: Watcher, limits: Limits) {
    let answer = service_fn(move |request| {
        let pages = pages.clone();
        async move { Ok::<_, Infallible>(pages.answer(&request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_buf_size(HEADER_BYTES)
        .max_headers(HEADER_LINES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer);
    match timeout(limits.exchange, stopping.watch(connection)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an admin request was not answered"),
        Err(_elapsed) => tracing::debug!("an admin request was not over in time"),
    }
}

async fn accept_failed(error: &io::Error) {
    match AcceptError::of(error) {
        AcceptError::Peer => {}
        AcceptError::Descriptors | AcceptError::Other => {
            tracing::warn!(%error, "the admin address can't accept a connection");
            // The cause does not go away by trying again at once.
            sleep(Duration::from_secs(1)).await;
        }
    }
}

#[cfg(test)]
mod tests;
