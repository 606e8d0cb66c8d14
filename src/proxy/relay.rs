//! Moves frames both ways until either side ends, one task per connection.
//!
//! Bytes pass through one scratch buffer per thread, so a connection owns a buffer only while a sink can't
//! keep up, and then its source isn't read: back-pressure in both directions.

mod auth_packet;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod judge;
mod outstanding;
mod paused;
mod pipe;
mod stopping;

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

pub use auth_packet::X509Auth;
pub use judge::Bounds;
pub(crate) use judge::injected_xids;

use super::record::ConnectionRecord;
use crate::metrics::{ConnectionState, Direction, Metrics, Peer};
use crate::reason::Ending;
use crate::shutdown::Drain;
use judge::Judge;
use pipe::Pipe;
use stopping::Stopping;

/// How much is read at once: two TLS records. With 64 KiB rustls' own buffer, which has that limit, overflows by
/// what the records add, and a crumb of each read is sent in a write of its own.
const SCRATCH: usize = 32 * 1024;

/// How long the second half of a connection may take to finish when the first has ended.
const LINGER: Duration = Duration::from_secs(1);

/// How long a client whose authority has ended may wait for replies to what it has asked before, and one that is to come
/// back asks nothing more.
const PATIENCE: Duration = Duration::from_secs(5);

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
    /// Whether it asks again although it is its turn to come back, since a reply takes long.
    waited: bool,
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
            waited: false,
            metrics: terms.metrics,
            record: terms.record,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        if let Some(turn) = self.stop.poll(cx) {
            self.record.enter(if turn.is_some() { ConnectionState::Draining } else { ConnectionState::Established });
            (self.turn, self.cut, self.waited) = (turn, None, false);
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
            if self.judge.request_waits() {
                let chunk = self.judge.unjudged_requests();
                if let Err(ending) = self.judge_requests(cx, &chunk) {
                    return Poll::Ready(ending);
                }
                if self.judge.request_waits() {
                    return others_first(cx);
                }
                continue;
            }
            // A client that asks without a pause would never come to such a moment.
            let is_held = self.turn.is_some() && !self.waited;
            let room = if is_held { self.judge.request_lacks().min(SCRATCH) } else { SCRATCH };
            if room == 0 || self.client_done || self.upstream_done.is_some() || self.judge.congested() {
                break;
            }
            let taken = BUFFER.with_borrow_mut(|buffer| {
                let read = ready!(poll_read(cx, self.client, &mut buffer[..room]));
                Poll::Ready(read.map(|length| self.take_requests(cx, &buffer[..length])))
            });
            match ready!(taken) {
                Ok(Ok(())) if self.judge.request_waits() => return others_first(cx),
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
        self.metrics.count_bytes(Peer::Client, Direction::Received, chunk.len() as u64);
        self.judge_requests(cx, chunk)
    }

    fn judge_requests(&mut self, cx: &mut Context<'_>, chunk: &[u8]) -> Result<(), Ending> {
        let (passed, verdict) = match self.judge.requests(chunk, Instant::now()) {
            Ok(passed) => (passed, Ok(())),
            Err(stopped) => (stopped.passed, Err(stopped.ending)),
        };
        let allowed = passed.output();
        self.record.traffic().received += allowed.len() as u64;
        self.record.requested(self.judge.seen);
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
            if self.judge.reply_waits() {
                let chunk = self.judge.unjudged_replies();
                if let Err(ending) = self.judge_replies(cx, &chunk) {
                    return Poll::Ready(ending);
                }
                if self.judge.reply_waits() {
                    return others_first(cx);
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
                Ok(Ok(())) if self.judge.reply_waits() => return others_first(cx),
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
        self.judge_replies(cx, chunk)
    }

    fn judge_replies(&mut self, cx: &mut Context<'_>, chunk: &[u8]) -> Result<(), Ending> {
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

    /// Whether a client whose authority has ended has had its time. A drain has an end of its own. Who is only to come
    /// back goes on as before, pings and all, until there is a moment without a reply to come.
    fn poll_cut(&mut self, cx: &mut Context<'_>, ending: Ending) -> bool {
        if ending == Ending::Drained || self.waited {
            return false;
        }
        let cut = self.cut.get_or_insert_with(|| Box::pin(tokio::time::sleep(PATIENCE)));
        let is_over = cut.as_mut().poll(cx).is_ready();
        if is_over && ending == Ending::SecretRotated {
            self.waited = true;
            // For what the client has sent meanwhile.
            cx.waker().wake_by_ref();
            return false;
        }
        is_over
    }

    fn client_broke(&self) -> Ending {
        if self.judge.session_closed() { Ending::SessionClosed } else { Ending::ClientReset }
    }
}

/// There is more to do, and others have their turn first.
fn others_first(cx: &mut Context<'_>) -> Poll<Ending> {
    cx.waker().wake_by_ref();
    Poll::Pending
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
