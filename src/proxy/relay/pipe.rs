//! One direction of a relay: bytes that the sink has not taken yet.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

/// Bytes on their way to a sink, in pieces that are never written together. Holds memory only while the sink
/// can't keep up.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    waiting: Vec<u8>,
    /// Where in `waiting` its pieces end.
    ends: VecDeque<usize>,
    /// How many of `waiting` the sink has taken.
    taken: usize,
    /// Whether the sink may hold bytes of ours in a buffer of its own.
    unflushed: bool,
}

impl Pipe {
    /// Hands pieces to the sink, and keeps what it doesn't take. Call only when [`Pipe::poll_empty`] was ready.
    pub(super) fn push<'a>(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut (impl AsyncWrite + Unpin),
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> io::Result<()> {
        for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
            self.unflushed = true;
            let mut rest = piece;
            while self.ends.is_empty() && !rest.is_empty() {
                match write(cx, sink, rest) {
                    Poll::Ready(written) => rest = &rest[written?..],
                    Poll::Pending => break,
                }
            }
            if !rest.is_empty() {
                self.waiting.extend_from_slice(rest);
                self.ends.push_back(self.waiting.len());
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
        while let Some(&end) = self.ends.front() {
            self.taken += ready!(write(cx, sink, &self.waiting[self.taken..end]))?;
            if self.taken == end {
                self.ends.pop_front();
            }
        }
        if self.taken > 0 {
            (self.waiting, self.ends, self.taken) = (Vec::new(), VecDeque::new(), 0);
        }
        if self.unflushed {
            ready!(Pin::new(sink).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Whether nothing is on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty() && !self.unflushed
    }
}

/// Writes some of the bytes, which are not none.
fn write(cx: &mut Context<'_>, sink: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Poll<io::Result<usize>> {
    match ready!(Pin::new(sink).poll_write(cx, bytes))? {
        0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        written => Poll::Ready(Ok(written)),
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// Records each write; takes nothing as long as it is blocked, and then a few bytes at a time.
    #[derive(Default)]
    struct Sink {
        blocked: bool,
        writes: Vec<Vec<u8>>,
    }

    impl AsyncWrite for Sink {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            if self.blocked {
                return Poll::Pending;
            }
            let taken = bytes.len().min(4);
            self.writes.push(bytes[..taken].to_vec());
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    async fn push(pipe: &mut Pipe, sink: &mut Sink) {
        poll_fn(|cx| Poll::Ready(pipe.push(cx, sink, [&b"first"[..], b"", b"two"]))).await.unwrap();
    }

    #[tokio::test]
    async fn no_write_holds_bytes_of_two_pieces() {
        for blocked in [false, true] {
            let (mut pipe, mut sink) = (Pipe::default(), Sink { blocked, ..Sink::default() });
            push(&mut pipe, &mut sink).await;
            assert_eq!(pipe.waiting.len(), if blocked { 8 } else { 0 });
            sink.blocked = false;
            poll_fn(|cx| pipe.poll_empty(cx, &mut sink)).await.unwrap();
            assert_eq!(sink.writes, [&b"firs"[..], b"t", b"two"]);
        }
    }

    #[tokio::test]
    async fn an_empty_pipe_keeps_no_buffer() {
        let (mut pipe, mut sink) = (Pipe::default(), Sink { blocked: true, ..Sink::default() });
        push(&mut pipe, &mut sink).await;
        assert!(!pipe.is_empty());
        sink.blocked = false;
        poll_fn(|cx| pipe.poll_empty(cx, &mut sink)).await.unwrap();
        assert!(pipe.is_empty());
        assert_eq!((pipe.waiting.capacity(), pipe.ends.capacity()), (0, 0));
    }
}
