//! A fake ZooKeeper: each connection is served by a script, and what it saw is kept.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::client::reset;
use super::wire::{self, op};
use super::{End, soon};

/// What zoogate's health check is told.
const SRVR: &[u8] = b"Zookeeper version: 3.8.6-fake, built on 2025-01-01\nMode: standalone\n";

pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Arc<Mutex<Seen>>>>>,
    scripts: Arc<Mutex<Vec<JoinHandle<()>>>>,
    accepting: JoinHandle<()>,
}

/// What one connection saw.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Where it came from.
    pub(crate) source: IpAddr,
    /// The first frame.
    pub(crate) request: Vec<u8>,
    /// Everything behind the first frame.
    pub(crate) bytes: Vec<u8>,
    /// How the other side ended it.
    pub(crate) end: Option<End>,
}

impl Upstream {
    /// Serves every connection as ZooKeeper would.
    pub(crate) async fn start() -> Self {
        Self::scripted(|mut server: Server| async move { server.serve().await }).await
    }

    /// Answers whatever it is asked.
    pub(crate) async fn answering() -> Self {
        Self::scripted(async |mut server: Server| {
            server.open().await;
            while let Some(frame) = server.frame().await {
                server.send(&wire::reply(wire::xid(&frame), 0, b"answer")).await;
            }
        })
        .await
    }

    /// Serves every connection by a script. Health checks, which come from 127.0.0.1 itself, are answered apart.
    pub(crate) async fn scripted<S>(script: impl Fn(Server) -> S + Send + 'static) -> Self
    where
        S: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, scripts) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<Mutex<Vec<_>>>::default());
        let (all, running) = (Arc::clone(&seen), Arc::clone(&scripts));
        let accepting = tokio::spawn(async move {
            let mut probes = JoinSet::new();
            loop {
                let (stream, peer) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                if peer.ip() == Ipv4Addr::LOCALHOST {
                    probes.spawn(answer_probe(stream));
                    while probes.try_join_next().is_some() {}
                    continue;
                }
                let seen = Seen { source: peer.ip(), request: Vec::new(), bytes: Vec::new(), end: None };
                let seen = Arc::new(Mutex::new(seen));
                all.lock().unwrap().push(Arc::clone(&seen));
                running.lock().unwrap().push(tokio::spawn(script(Server { stream, seen })));
            }
        });
        Self { address, seen, scripts, accepting }
    }

    /// What each connection has seen so far, in the order of their coming.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().map(|seen| seen.lock().unwrap().clone()).collect()
    }

    /// What the only connection has seen.
    pub(crate) fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.into_iter().next().unwrap()
    }

    /// Waits for every script; one that failed fails the test.
    pub(crate) async fn finish(&self) {
        let scripts: Vec<_> = std::mem::take(&mut *self.scripts.lock().unwrap());
        for script in scripts {
            if let Err(error) = soon("the end of an upstream's script", script).await
                && let Ok(panic) = error.try_into_panic()
            {
                std::panic::resume_unwind(panic);
            }
        }
    }

    /// Closes the port.
    pub(crate) async fn close(&mut self) {
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn answer_probe(mut stream: TcpStream) {
    let mut word = [0; 4];
    if stream.read_exact(&mut word).await.is_ok() && &word == b"srvr" {
        let _ = stream.write_all(SRVR).await;
    }
}

/// One connection, as the server sees it.
pub(crate) struct Server {
    pub(crate) stream: TcpStream,
    seen: Arc<Mutex<Seen>>,
}

/// An injected auth packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Injected {
    pub(crate) xid: i32,
    pub(crate) scheme: String,
    pub(crate) data: String,
}

impl Server {
    /// Reads the ConnectRequest.
    pub(crate) async fn connect_request(&mut self) -> Vec<u8> {
        let frame = self.read_frame().await.expect("a ConnectRequest");
        self.seen.lock().unwrap().request.clone_from(&frame);
        frame
    }

    /// Reads the ConnectRequest and grants the session; the answer is as long as the request deserves.
    pub(crate) async fn grant(&mut self) {
        let request = self.connect_request().await;
        let session = i64::from_be_bytes(request[20..28].try_into().unwrap());
        let session = if session == 0 { wire::SESSION } else { session };
        self.send(&wire::connect_response(request.len() - 12, wire::TIMEOUT, session)).await;
    }

    /// Reads an injected packet.
    pub(crate) async fn injected(&mut self) -> Injected {
        let frame = self.frame().await.expect("an injected packet");
        Injected::parse(&frame)
    }

    /// Grants a session and accepts one injected packet.
    pub(crate) async fn open(&mut self) {
        self.grant().await;
        let injected = self.injected().await;
        self.send(&wire::reply(injected.xid, 0, b"")).await;
    }

    /// The next frame, its length included; `None` when the other side has ended the connection.
    pub(crate) async fn frame(&mut self) -> Option<Vec<u8>> {
        let frame = self.read_frame().await?;
        self.seen.lock().unwrap().bytes.extend_from_slice(&frame);
        Some(frame)
    }

    async fn read_frame(&mut self) -> Option<Vec<u8>> {
        let mut frame = Vec::new();
        let read = async {
            frame.resize(4, 0);
            self.stream.read_exact(&mut frame).await?;
            frame.resize(4 + usize::try_from(wire::int(&frame, 0)).unwrap(), 0);
            self.stream.read_exact(&mut frame[4..]).await
        };
        match read.await {
            Ok(_) => Some(frame),
            Err(error) => {
                self.seen.lock().unwrap().end = Some(End::of(&Err(error)));
                None
            }
        }
    }

    /// Sends bytes; the other side may be gone.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Sends bytes one by one.
    pub(crate) async fn dribble(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.send(&[*byte]).await;
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    /// Takes whatever comes, and says nothing, until the other side ends the connection.
    pub(crate) async fn stall(&mut self) {
        while self.bytes().await > 0 {}
    }

    async fn bytes(&mut self) -> usize {
        let mut buffer = vec![0; 64 * 1024];
        let read = self.stream.read(&mut buffer).await;
        let mut seen = self.seen.lock().unwrap();
        match read {
            Ok(0) => seen.end = Some(End::Cut),
            Ok(length) => seen.bytes.extend_from_slice(&buffer[..length]),
            Err(_) => seen.end = Some(End::Reset),
        }
        read.unwrap_or(0)
    }

    /// Sends FIN, and takes whatever comes until the other side ends the connection.
    pub(crate) async fn fin(&mut self) {
        let _ = self.stream.shutdown().await;
        self.stall().await;
    }

    /// Ends the connection by a reset.
    pub(crate) fn reset(self) {
        reset(self.stream);
    }

    /// Behaves as ZooKeeper: answers every request by its own body.
    pub(crate) async fn serve(&mut self) {
        self.grant().await;
        self.go_on().await;
    }

    /// As [`Server::serve`], in an open session.
    pub(crate) async fn go_on(&mut self) {
        while let Some(frame) = self.frame().await {
            let (xid, opcode) = (wire::xid(&frame), wire::int(&frame, 8));
            match opcode {
                op::AUTH => self.send(&wire::reply(xid, 0, b"")).await,
                op::PING => self.send(&wire::reply(-2, 0, b"")).await,
                op::CLOSE_SESSION => {
                    self.send(&wire::reply(xid, 0, b"")).await;
                    return self.fin().await;
                }
                _ => self.send(&wire::reply(xid, 0, &frame[12..])).await,
            }
        }
    }
}

impl Injected {
    pub(crate) fn parse(frame: &[u8]) -> Self {
        assert_eq!(wire::int(frame, 8), op::AUTH, "not an auth packet: {frame:?}");
        let string = |at: usize| {
            let length = usize::try_from(wire::int(frame, at)).unwrap();
            (String::from_utf8(frame[at + 4..at + 4 + length].to_vec()).unwrap(), at + 4 + length)
        };
        let (scheme, at) = string(16);
        let (data, at) = string(at);
        assert_eq!(at, frame.len(), "bytes behind the credential");
        Self { xid: wire::xid(frame), scheme, data }
    }
}
