//! Moves frames both ways until either side ends, one task per connection.
//!
//! Bytes pass through one scratch buffer per thread, so a connection owns a buffer only while a sink can't
//! keep up, and then its source isn't read: back-pressure in both directions.

mod judge;
mod outstanding;
mod pipe;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::Sleep;

pub(crate) use judge::injected_xids;
pub use judge::{Bounds, X509Auth};

use super::record::ConnectionRecord;
use crate::metrics::{ConnectionState, Direction, Metrics, Peer};
use crate::reason::Ending;
use crate::shutdown::{self, Drain};
use judge::Judge;
use pipe::Pipe;

/// How much is read at once: two TLS records. With 64 KiB rustls' own buffer, which has that limit, overflows by
/// what the records add, and a crumb of each read is sent in a write of its own.
const SCRATCH: usize = 32 * 1024;

/// How long the second half of a connection may take to finish when the first has ended.
const LINGER: Duration = Duration::from_secs(1);

/// How long a client whose authority has ended may wait for replies to what it has asked before.
const PATIENCE: Duration = Duration::from_secs(5);

/// Over how long the connections of a certificate are closed when its authority has ended.
const SPREAD: Duration = Duration::from_secs(5);

/// The same for who is only to come back with other credentials; for a reply it may wait as long as it takes.
const UNHURRIED: Duration = Duration::from_secs(20);

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH]);
}

/// What a relay needs to know besides its two streams.
pub(crate) struct Terms<'a> {
    /// What the client may send.
    pub(crate) bounds: Bounds,
    /// How many packets were injected; the client must not see their replies.
    pub(crate) injected: usize,
    /// How long the server may take to answer them.
    pub(crate) answer_within: Duration,
    pub(crate) drain: Drain,
    /// Why the client's authority has ended, once it has.
    pub(crate) over: watch::Receiver<Option<Ending>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) record: &'a mut ConnectionRecord,
}

/// What passed, for the access record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Requests that the client sent.
    pub(crate) requests: u64,
    /// Bytes from the client, as ZooKeeper sees them.
    pub(crate) received: u64,
    /// Bytes to the client, as ZooKeeper sends them.
    pub(crate) sent: u64,
}

/// Relays until the connection ends, and says why. The streams are left for the caller to close.
pub(crate) async fn run<C, U>(client: &mut C, upstream: &mut U, terms: Terms<'_>) -> Ending
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let mut relay = Relay::new(client, upstream, terms);
    poll_fn(|cx| relay.poll(cx)).await
}

struct Relay<'a, C, U> {
    client: &'a mut C,
    upstream: &'a mut U,
    to_upstream: Pipe,
    to_client: Pipe,
    judge: Judge,
    /// When the injected packets must be answered; `None` once they are.
    answer_by: Option<Pin<Box<Sleep>>>,
    /// The client will send no more.
    client_done: bool,
    /// ZooKeeper takes no more; what it has sent may still be on its way.
    upstream_deaf: bool,
    /// ZooKeeper will send no more, and why.
    upstream_done: Option<Ending>,
    linger: Option<Pin<Box<Sleep>>>,
    stop: Stopping,
    /// Why the connection ends at the next moment without an outstanding request, once it shall.
    turn: Option<Ending>,
    /// When it ends all the same.
    cut: Option<Pin<Box<Sleep>>>,
    metrics: Arc<Metrics>,
    record: &'a mut ConnectionRecord,
}

impl<'a, C, U> Relay<'a, C, U>
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    fn new(client: &'a mut C, upstream: &'a mut U, terms: Terms<'a>) -> Self {
        Self {
            client,
            upstream,
            to_upstream: Pipe::default(),
            to_client: Pipe::default(),
            judge: Judge::new(terms.bounds, terms.injected, Arc::clone(&terms.metrics)),
            answer_by: (terms.injected > 0).then(|| Box::pin(tokio::time::sleep(terms.answer_within))),
            client_done: false,
            upstream_deaf: false,
            upstream_done: None,
            linger: None,
            stop: Stopping::new(terms.drain, terms.over),
            turn: None,
            cut: None,
            metrics: terms.metrics,
            record: terms.record,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        if let Some(turn) = self.stop.poll(cx) {
            self.record.enter(if turn.is_some() { ConnectionState::Draining } else { ConnectionState::Established });
            self.turn = turn;
        }
        loop {
            let congested = self.judge.congested();
            for poll in [self.poll_requests(cx), self.poll_replies(cx)] {
                if let Poll::Ready(ending) = poll {
                    return Poll::Ready(ending);
                }
            }
            if !congested || self.judge.congested() {
                break;
            }
        }
        if self.judge.injections_answered() {
            self.answer_by = None;
        }
        if let Some(deadline) = &mut self.answer_by
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Ending::UpstreamTimeout);
        }
        self.poll_end(cx)
    }

    /// Moves what the client sends until there is no more or the server can't keep up. Ready only when the
    /// connection must end.
    fn poll_requests(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        while !self.upstream_deaf {
            if ready!(self.to_upstream.poll_empty(cx, self.upstream)).is_err() {
                self.upstream_deaf = true;
                break;
            }
            // A client that asks without a pause would never come to such a moment.
            let room = if self.turn.is_some() { self.judge.request_lacks().min(SCRATCH) } else { SCRATCH };
            if room == 0 || self.client_done || self.upstream_done.is_some() || self.judge.congested() {
                break;
            }
            let taken = BUFFER.with_borrow_mut(|buffer| {
                let read = ready!(poll_read(cx, self.client, &mut buffer[..room]));
                Poll::Ready(read.map(|length| self.take_requests(cx, &buffer[..length])))
            });
            match ready!(taken) {
                Ok(Ok(())) => {}
                Ok(Err(ending)) => return Poll::Ready(ending),
                // TLS that ends without a close_notify: how most ZooKeeper clients hang up.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.client_done = true,
                Err(_) => return Poll::Ready(self.client_broke()),
            }
        }
        Poll::Pending
    }

    fn take_requests(&mut self, cx: &mut Context<'_>, chunk: &[u8]) -> Result<(), Ending> {
        self.client_done = chunk.is_empty();
        let (passed, verdict) = match self.judge.requests(chunk, Instant::now()) {
            Ok(passed) => (passed, Ok(())),
            Err(stopped) => (stopped.passed, Err(stopped.ending)),
        };
        let allowed = passed.output();
        self.record.traffic().received += allowed.len() as u64;
        self.record.requested(self.judge.seen);
        self.metrics.count_bytes(Peer::Client, Direction::Received, chunk.len() as u64);
        self.metrics.count_bytes(Peer::Upstream, Direction::Sent, allowed.len() as u64);
        self.upstream_deaf = self.to_upstream.push(cx, self.upstream, [allowed]).is_err();
        verdict
    }

    /// Moves what the server sends until there is no more or the client can't keep up. Ready only when the
    /// connection must end.
    fn poll_replies(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        loop {
            if ready!(self.to_client.poll_empty(cx, self.client)).is_err() {
                return Poll::Ready(self.client_broke());
            }
            if self.judge.credential_refused() {
                return Poll::Ready(Ending::ClientAuthRefused);
            }
            let local = self.judge.local_replies();
            if !local.output().is_empty() {
                if self.to_client.push(cx, self.client, local.pieces()).is_err() {
                    return Poll::Ready(self.client_broke());
                }
                continue;
            }
            if self.upstream_done.is_some() {
                return Poll::Pending;
            }
            let taken = BUFFER.with_borrow_mut(|buffer| {
                let read = ready!(poll_read(cx, self.upstream, buffer));
                Poll::Ready(read.map(|length| self.take_replies(cx, &buffer[..length])))
            });
            match ready!(taken) {
                Ok(Ok(())) => {}
                Ok(Err(ending)) => return Poll::Ready(ending),
                Err(_) => self.upstream_done = Some(Ending::UpstreamReset),
            }
        }
    }

    fn take_replies(&mut self, cx: &mut Context<'_>, chunk: &[u8]) -> Result<(), Ending> {
        if chunk.is_empty() {
            self.upstream_done = Some(Ending::UpstreamClosed);
            return Ok(());
        }
        self.metrics.count_bytes(Peer::Upstream, Direction::Received, chunk.len() as u64);
        let passed = self.judge.replies(chunk, Instant::now()).map_err(|stopped| stopped.ending)?;
        let length = passed.output().len() as u64;
        self.record.traffic().sent += length;
        self.metrics.count_bytes(Peer::Client, Direction::Sent, length);
        // A write for each frame makes a TLS record for each frame. The C client takes one frame at a time and
        // waits for the socket in between, so it would not see a second one that came in the same record.
        self.to_client.push(cx, self.client, passed.pieces()).map_err(|_| self.client_broke())
    }

    /// Decides whether the connection is over, once neither direction can move.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        let delivered = self.to_client.is_empty();
        if delivered && self.judge.session_closed() {
            return Poll::Ready(Ending::SessionClosed);
        }
        if let Some(ending) = self.upstream_done.filter(|_| delivered) {
            return Poll::Ready(ending);
        }
        let quiet = delivered && self.to_upstream.is_empty() && self.judge.between_requests();
        if self.client_done && quiet {
            return Poll::Ready(Ending::ClientClosed);
        }
        if let Some(ending) = self.turn
            && (quiet || self.poll_cut(cx, ending))
        {
            return Poll::Ready(ending);
        }
        if !self.client_done && !self.upstream_deaf && self.upstream_done.is_none() {
            return Poll::Pending;
        }
        let linger = self.linger.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        ready!(linger.as_mut().poll(cx));
        Poll::Ready(self.upstream_done.unwrap_or(match self.upstream_deaf {
            true => Ending::UpstreamReset,
            false => Ending::ClientClosed,
        }))
    }

    /// Whether a client whose authority has ended has had its time. A drain has an end of its own, and nothing is the
    /// matter with who is to come back.
    fn poll_cut(&mut self, cx: &mut Context<'_>, ending: Ending) -> bool {
        if matches!(ending, Ending::Drained | Ending::SecretRotated) {
            return false;
        }
        let cut = self.cut.get_or_insert_with(|| Box::pin(tokio::time::sleep(PATIENCE)));
        cut.as_mut().poll(cx).is_ready()
    }

    fn client_broke(&self) -> Ending {
        if self.judge.session_closed() { Ending::SessionClosed } else { Ending::ClientReset }
    }
}

/// When this connection is asked to end, because zoogate does or because its client's authority has ended.
struct Stopping {
    drain: Drain,
    over: watch::Receiver<Option<Ending>>,
    turn: Option<Pin<Box<dyn Future<Output = Option<Ending>> + Send>>>,
    /// Whether `turn` has seen the task's waker. Before anything happens it isn't polled again: each poll takes
    /// locks that connections share.
    armed: bool,
}

impl Stopping {
    fn new(drain: Drain, over: watch::Receiver<Option<Ending>>) -> Self {
        let turn = turn(drain.clone(), over.clone(), None);
        Self { turn: Some(Box::pin(turn)), armed: false, drain, over }
    }

    /// Why this connection is to end, once it is its turn; then `None` if it need not end any more.
    fn poll(&mut self, cx: &mut Context<'_>) -> Option<Option<Ending>> {
        let mut said = None;
        while let Some(turn) = self.turn.as_mut() {
            if self.armed && !self.drain.is_closing() && !self.over.has_changed().unwrap_or(true) {
                break;
            }
            self.armed = true;
            let Poll::Ready(ending) = turn.as_mut().poll(cx) else { break };
            said = Some(ending);
            let goes_on = matches!(ending, None | Some(Ending::SecretRotated));
            let next = || Box::pin(self::turn(self.drain.clone(), self.over.clone(), ending)) as Pin<Box<_>>;
            self.turn = goes_on.then(next);
        }
        said
    }
}

/// Waits until this connection is to end for another reason than `before`, or for none.
async fn turn(drain: Drain, mut over: watch::Receiver<Option<Ending>>, before: Option<Ending>) -> Option<Ending> {
    let changed = async {
        match before {
            None => Some(authority_ended(over).await),
            // Its turn has come: what is more urgent does not wait for another.
            Some(before) => {
                let changed = over.wait_for(|ending| *ending != Some(before)).await.map(|ending| *ending);
                match changed {
                    Ok(ending) => ending,
                    // Nobody is left who could say so.
                    Err(_) => std::future::pending().await,
                }
            }
        }
    };
    tokio::select! {
        () = drain.turn() => Some(Ending::Drained),
        ending = changed => ending,
    }
}

/// Waits for the end of a client's authority, and then for this connection's turn.
async fn authority_ended(mut over: watch::Receiver<Option<Ending>>) -> Ending {
    loop {
        let ending = *over.borrow_and_update();
        let turn = async {
            match ending {
                None => std::future::pending().await,
                Some(Ending::SecretRotated) => tokio::time::sleep(shutdown::random_part(UNHURRIED)).await,
                Some(_) => tokio::time::sleep(shutdown::random_part(SPREAD)).await,
            }
        };
        tokio::select! {
            () = turn => {}
            // Something that can't wait so long may come between, or the need may pass.
            Ok(()) = over.changed(), if matches!(ending, None | Some(Ending::SecretRotated)) => continue,
        }
        if let Some(ending) = ending {
            return ending;
        }
    }
}

/// Reads what is there; 0 bytes are the end.
fn poll_read(
    cx: &mut Context<'_>,
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    let mut buffer = ReadBuf::new(buffer);
    ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
    Poll::Ready(Ok(buffer.filled().len()))
}

#[cfg(test)]
mod tests;
