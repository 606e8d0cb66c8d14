//! One direction of a relay: bytes that the sink has not taken yet.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

/// Bytes on their way to a sink. Holds memory only while the sink can't keep up.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    waiting: Vec<u8>,
    /// How many of `waiting` the sink has taken.
    taken: usize,
    /// Whether the sink may hold bytes of ours in a buffer of its own.
    unflushed: bool,
}

impl Pipe {
    /// Hands bytes to the sink, and keeps what it doesn't take. Call only when [`Pipe::poll_empty`] was ready.
    pub(super) fn push(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut (impl AsyncWrite + Unpin),
        bytes: &[u8],
    ) -> io::Result<()> {
        let mut rest = bytes;
        self.unflushed |= !bytes.is_empty();
        while !rest.is_empty() {
            match Pin::new(&mut *sink).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => rest = &rest[written..],
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {
                    self.waiting = rest.to_vec();
                    break;
                }
            }
        }
        Ok(())
    }

    /// Ready once the sink has taken everything and holds nothing back.
    pub(super) fn poll_empty(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        while self.taken < self.waiting.len() {
            match ready!(Pin::new(&mut *sink).poll_write(cx, &self.waiting[self.taken..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.taken += written,
            }
        }
        if self.taken > 0 {
            (self.waiting, self.taken) = (Vec::new(), 0);
        }
        if self.unflushed {
            ready!(Pin::new(sink).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Whether nothing is on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && !self.unflushed
    }
}
