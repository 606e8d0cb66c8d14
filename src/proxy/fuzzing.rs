//! The properties of what clients and servers send; see `crate::fuzzing`.

pub(crate) use super::relay::fuzzing::{auth, replies, requests};

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::runtime::{Builder, Runtime};

use super::session::{Opening, read_opening};
use crate::zk::record::{ConnectRequest, ConnectResponse};

thread_local! {
    static RUNTIME: RefCell<Runtime> =
        RefCell::new(Builder::new_current_thread().enable_time().build().expect("a runtime needs nothing"));
}

/// The size of the second and later pieces, then the stream.
pub(crate) fn opening(data: &[u8]) {
    let Some((&size, stream)) = data.split_first() else { return };
    let whole = read(stream, usize::MAX);
    assert_eq!(whole, read(stream, usize::from(size).max(1)));
    assert_eq!(whole, read(stream, 1));
    if let Ok((printed, left)) = whole {
        assert_eq!(printed, stream[..stream.len() - left], "it goes on as it came");
    }
    let response = stream.get(4..).map(|body| ConnectResponse::parse(body.to_vec()));
    if let Some(Ok(response)) = response {
        assert_eq!(response.to_frame()[4..], stream[4..]);
        assert_eq!(response.clone().with_password(response.password()), response);
    }
}

/// What a client begins with, printed, and how many bytes are left for the relay; or the error.
fn read(stream: &[u8], size: usize) -> Result<(Vec<u8>, usize), String> {
    let mut pieces = Pieces { rest: stream, size };
    let opening = RUNTIME
        .with_borrow(|runtime| runtime.block_on(async { read_opening(&mut pieces, Duration::from_secs(3600)).await }));
    match opening {
        Ok(Opening::Word(word)) => Ok((word.as_str().as_bytes().to_vec(), pieces.rest.len())),
        Ok(Opening::Session(request)) => {
            check(&request);
            Ok((request.to_frame(), pieces.rest.len()))
        }
        Err(error) => Err(error.to_string()),
    }
}

fn check(request: &ConnectRequest) {
    let expired = request.expired().to_frame();
    let response = ConnectResponse::parse(expired[4..].to_vec()).expect("our own answer is one");
    assert_eq!((response.timeout(), response.session_id()), (0, 0));
}

/// A stream that comes in pieces.
struct Pieces<'a> {
    rest: &'a [u8],
    size: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (piece, rest) = self.rest.split_at(self.size.min(buffer.remaining()).min(self.rest.len()));
        buffer.put_slice(piece);
        self.rest = rest;
        Poll::Ready(Ok(()))
    }
}
