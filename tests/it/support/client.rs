//! A ZooKeeper client of frames, inside TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::pki::{PKI, Who};
use super::wire::{self, hello, welcome};
use super::{End, soon};

pub(crate) struct Client {
    pub(crate) stream: TlsStream<TcpStream>,
}

impl Client {
    /// Connects, handshakes and is let in.
    pub(crate) async fn connect(address: SocketAddr, who: &Who) -> Self {
        Self::attempt(address, Some(who)).await.expect("a handshake")
    }

    /// Connects as alice and opens a session.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let mut client = Self::connect(address, &PKI.alice).await;
        client.send(&hello()).await;
        client.welcome().await;
        client
    }

    /// Connects and handshakes; the server's alert, if any, is the error.
    pub(crate) async fn attempt(address: SocketAddr, who: Option<&Who>) -> io::Result<Self> {
        Self::over(TcpStream::connect(address).await?, who).await
    }

    /// Handshakes on a connection.
    pub(crate) async fn over(tcp: TcpStream, who: Option<&Who>) -> io::Result<Self> {
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").unwrap();
        let stream = soon("a handshake", TlsConnector::from(Arc::new(config(who))).connect(name, tcp)).await?;
        Ok(Self { stream })
    }

    /// Sends bytes, all at once.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).await.expect("a connection that takes bytes");
    }

    /// Sends bytes to a server that may be gone.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// The next frame, its length included.
    pub(crate) async fn frame(&mut self) -> Vec<u8> {
        soon("a frame from the server", async {
            let mut frame = vec![0; 4];
            self.stream.read_exact(&mut frame).await.expect("the length of a frame");
            frame.resize(4 + usize::try_from(wire::int(&frame, 0)).unwrap(), 0);
            self.stream.read_exact(&mut frame[4..]).await.expect("the body of a frame");
            frame
        })
        .await
    }

    /// Takes the grant of the session that fake servers grant; the password, which is not the server's.
    pub(crate) async fn welcome(&mut self) -> [u8; 16] {
        let granted = self.frame().await;
        assert_eq!(wire::unsealed(granted.clone()), wire::unsealed(welcome()));
        assert_ne!(granted, welcome(), "the server's password is not for clients");
        wire::password(&granted)
    }

    /// The next frames.
    pub(crate) async fn frames(&mut self, count: usize) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        for _ in 0..count {
            frames.push(self.frame().await);
        }
        frames
    }

    /// Sends a request and takes its reply.
    pub(crate) async fn ask(&mut self, xid: i32, opcode: i32, body: &[u8]) {
        self.send(&wire::request(xid, opcode, body)).await;
        assert_eq!(wire::xid(&self.frame().await), xid);
    }

    /// Reads until the server ends the connection: what came, and how it ended.
    pub(crate) async fn rest(&mut self) -> (Vec<u8>, End) {
        let mut rest = Vec::new();
        let result = soon("the end of the connection", self.stream.read_to_end(&mut rest)).await;
        (rest, End::of(&result.map(drop)))
    }

    /// The server must say goodbye (close_notify), and nothing else.
    pub(crate) async fn goodbye(mut self) {
        assert_eq!(self.rest().await, (Vec::new(), End::Goodbye));
        // With close_notify comes FIN: Java clients over TLS 1.3 need both.
        let fin = soon("FIN", self.stream.get_mut().0.read(&mut [0; 1])).await;
        assert!(matches!(fin, Ok(0)), "{fin:?}");
        let reset = self.stream.get_ref().0.take_error().unwrap();
        assert!(reset.is_none(), "{reset:?} behind the goodbye");
    }

    /// Says goodbye (close_notify and FIN) and stays to listen.
    pub(crate) async fn half_close(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Ends the TCP connection without a word, as most clients do.
    pub(crate) async fn hang_up(self) {
        let (mut tcp, _) = self.stream.into_inner();
        tcp.shutdown().await.unwrap();
    }

    /// Ends the TCP connection by a reset.
    pub(crate) fn reset(self) {
        let (tcp, _) = self.stream.into_inner();
        reset(tcp);
    }
}

/// Ends a TCP connection by a reset.
pub(crate) fn reset(tcp: TcpStream) {
    socket2::SockRef::from(&tcp).set_linger(Some(Duration::ZERO)).unwrap();
}

fn config(who: Option<&Who>) -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(PKI.roots());
    match who {
        Some(who) => builder.with_client_auth_cert(vec![who.certificate.clone()], who.key()).unwrap(),
        None => builder.with_no_client_auth(),
    }
}
