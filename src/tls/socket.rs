//! The client's socket below TLS: what was read ahead of the handshake, and how much a handshake may read.

use std::io::{self, ErrorKind, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Most bytes that one read takes ahead of the handshake.
const CHUNK: usize = 4096;

/// Most bytes that a client may send behind its ClientHello until the handshake is finished: a Certificate message of
/// 32 KiB (`jdk.tls.maxHandshakeMessageSize`), its signature, the headers of records.
pub(super) const HANDSHAKE_BYTES: usize = 40 * 1024;

/// A client's TCP connection. Bytes that were read ahead are read first.
#[derive(Debug)]
pub struct ClientSocket {
    /// Nothing only while it changes its runtime.
    tcp: Option<TcpStream>,
    /// Read ahead of the handshake, and not given on.
    ahead: Vec<u8>,
    /// How many bytes the handshake may still read from the connection.
    allowance: Option<usize>,
}

/// The client's part of a handshake is longer than [`HANDSHAKE_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client's handshake messages behind its ClientHello are longer than {} KiB", HANDSHAKE_BYTES / 1024)]
pub(super) struct TooMuch;

impl ClientSocket {
    /// A connection of which nothing was read.
    pub fn new(tcp: TcpStream) -> Self {
        Self { tcp: Some(tcp), ahead: Vec::new(), allowance: None }
    }

    /// What was read ahead.
    pub fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    /// Drops the first bytes of what was read ahead, which somebody else has understood.
    pub fn take_ahead(&mut self, count: usize) {
        self.ahead.drain(..count.min(self.ahead.len()));
    }

    /// Reads on ahead until there are `most` bytes at the most; 0 is the end.
    ///
    /// # Errors
    /// If the connection is broken.
    pub async fn read_ahead(&mut self, most: usize) -> io::Result<usize> {
        loop {
            self.tcp()?.readable().await?;
            match self.try_read_ahead(most) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }

    /// Not inlined into the future above, which would have to hold the buffer.
    fn try_read_ahead(&mut self, most: usize) -> io::Result<usize> {
        let mut chunk = [0_u8; CHUNK];
        let room = most.saturating_sub(self.ahead.len()).min(CHUNK);
        let count = self.tcp()?.try_read(&mut chunk[..room])?;
        // Thousands of unfinished greetings are held at a time: not by doubling.
        self.ahead.reserve_exact(count);
        self.ahead.extend_from_slice(&chunk[..count]);
        Ok(count)
    }

    /// Whether the client has closed its side and left nothing to read.
    pub fn is_abandoned(&self) -> bool {
        let Ok(tcp) = self.tcp() else { return true };
        match SockRef::from(tcp).peek(&mut [MaybeUninit::uninit()]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }

    /// From now on, so many bytes may be read until [`end_handshake`](Self::end_handshake).
    pub(super) fn begin_handshake(&mut self) {
        self.allowance = Some(HANDSHAKE_BYTES);
    }

    pub(super) fn end_handshake(&mut self) {
        self.allowance = None;
    }

    /// Has the readiness of the socket watched by the runtime that this is called in.
    ///
    /// # Errors
    /// If the system refuses; the socket is closed then.
    pub fn move_here(&mut self) -> io::Result<()> {
        let tcp = self.tcp.take().ok_or(ErrorKind::NotConnected)?;
        self.tcp = Some(TcpStream::from_std(tcp.into_std()?)?);
        Ok(())
    }

    /// The connection itself, without what was read ahead.
    pub(super) fn into_tcp(self) -> Option<TcpStream> {
        self.tcp
    }

    /// The connection itself, to ask it for something.
    pub(crate) fn tcp(&self) -> io::Result<&TcpStream> {
        self.tcp.as_ref().ok_or_else(|| ErrorKind::NotConnected.into())
    }

    fn pinned(self: Pin<&mut Self>) -> io::Result<Pin<&mut TcpStream>> {
        self.get_mut().tcp.as_mut().map(Pin::new).ok_or_else(|| ErrorKind::NotConnected.into())
    }
}

impl AsyncRead for ClientSocket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let count = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.ahead[..count]);
            self.ahead.drain(..count);
            if self.ahead.is_empty() {
                self.ahead = Vec::new();
            }
            return Poll::Ready(Ok(()));
        }
        let Some(allowance) = self.allowance else { return self.pinned()?.poll_read(cx, buffer) };
        if allowance == 0 {
            return Poll::Ready(Err(io::Error::new(ErrorKind::InvalidData, TooMuch)));
        }
        let room = allowance.min(buffer.remaining());
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
        ready!(self.as_mut().pinned()?.poll_read(cx, &mut part))?;
        let count = part.filled().len();
        buffer.advance(count);
        self.allowance = Some(allowance - count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.pinned()?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.pinned()?.poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pinned()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pinned()?.poll_shutdown(cx)
    }
}
