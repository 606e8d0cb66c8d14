//! A ZooKeeper that only pretends: it opens every session, accepts every credential and answers a read of `/N`
//! with N bytes. It costs so little that what is measured is the relay.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::client::{GET_DATA, int};

const PING: i32 = 11;
const SRVR: &[u8] = b"Zookeeper version: 3.9.5-benchmark, built for measuring\nMode: standalone\nNode count: 1\n";

/// Serves on a port of its own for as long as the runtime lives.
pub(super) async fn start() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            tokio::spawn(serve(stream));
        }
    });
    Ok(address)
}

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut prefix = [0; 4];
    stream.read_exact(&mut prefix).await?;
    if &prefix == b"srvr" {
        return stream.write_all(SRVR).await;
    }
    let mut request = vec![0; int(&prefix, 0) as usize];
    stream.read_exact(&mut request).await?;
    stream.write_all(&connect_response(request.len() == 45)).await?;
    // Small, since thousands of sessions are idle.
    let mut received = Vec::with_capacity(128);
    let mut replies = Vec::new();
    while stream.read_buf(&mut received).await? > 0 {
        let mut at = 0;
        while let Some(frame) = whole_frame(&received[at..]) {
            answer(frame, &mut replies);
            at += frame.len();
        }
        received.drain(..at);
        if !replies.is_empty() {
            stream.write_all(&replies).await?;
            replies.clear();
            replies.shrink_to(64 * 1024);
        }
    }
    Ok(())
}

fn whole_frame(bytes: &[u8]) -> Option<&[u8]> {
    (bytes.len() >= 4).then(|| bytes.get(..4 + int(bytes, 0) as usize)).flatten()
}

fn connect_response(read_only: bool) -> Vec<u8> {
    let length = 36 + usize::from(read_only);
    let mut response = vec![0; 4 + length];
    response[..4].copy_from_slice(&(length as u32).to_be_bytes());
    response[8..12].copy_from_slice(&30_000_u32.to_be_bytes());
    response[12..20].copy_from_slice(&0x0100_0000_0000_0001_u64.to_be_bytes());
    response[20..24].copy_from_slice(&16_u32.to_be_bytes());
    response
}

/// A reply: header (xid, zxid, err), and for a read the data and a Stat.
fn answer(frame: &[u8], replies: &mut Vec<u8>) {
    const STAT: usize = 68;
    let xid = if int(frame, 8) == PING { -2 } else { int(frame, 4) };
    let data = (int(frame, 8) == GET_DATA).then(|| data_length(frame));
    let length = 16 + data.map_or(0, |data| 4 + data + STAT);
    replies.extend_from_slice(&(length as u32).to_be_bytes());
    replies.extend_from_slice(&xid.to_be_bytes());
    replies.extend_from_slice(&[0; 12]);
    if let Some(data) = data {
        replies.extend_from_slice(&(data as u32).to_be_bytes());
        replies.resize(replies.len() + data + STAT, b'z');
    }
}

/// N of a read of `/N`.
fn data_length(frame: &[u8]) -> usize {
    let path = frame.get(17..frame.len().saturating_sub(1)).unwrap_or_default();
    std::str::from_utf8(path).ok().and_then(|path| path.parse().ok()).unwrap_or(0)
}
