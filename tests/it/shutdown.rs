//! Graceful stop: nobody loses a reply, and everybody is gone in the end.

use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use crate::support::client::Client;
use crate::support::pki::PKI;
use crate::support::proxy::Proxy;
use crate::support::setup::Setup;
use crate::support::upstream::{Server, Upstream};
use crate::support::wire::{self, op};
use crate::support::{End, eventually, soon};

/// A server that answers when it is told to: one permit a request.
struct Patient {
    upstream: Upstream,
    answers: std::sync::Arc<tokio::sync::Semaphore>,
}

impl Patient {
    async fn start() -> Self {
        let answers = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
        let permits = std::sync::Arc::clone(&answers);
        let upstream = Upstream::scripted(move |mut server: Server| {
            let permits = std::sync::Arc::clone(&permits);
            async move {
                server.open().await;
                while let Some(frame) = server.frame().await {
                    if wire::int(&frame, 8) == op::PING {
                        server.send(&wire::reply(-2, 0, b"")).await;
                        continue;
                    }
                    permits.acquire().await.unwrap().forget();
                    server.send(&wire::reply(wire::xid(&frame), 0, b"answer")).await;
                }
            }
        })
        .await;
        Self { upstream, answers }
    }

    fn answer(&self, count: usize) {
        self.answers.add_permits(count);
    }
}

/// Waits until zoogate has forwarded so many requests.
async fn forwarded(proxy: &Proxy, opcode: &str, count: f64) {
    proxy.admin.becomes(&format!("zoogate_requests_total{{opcode=\"{opcode}\"}}"), count).await;
}

/// Waits for the end of a zoogate that was told to stop, and checks its log against the reasons.
async fn stopped(mut proxy: Proxy, reasons: &[&str]) {
    proxy.stopped().await;
    let mut reasons: Vec<_> = reasons.iter().map(|reason| (*reason).to_owned()).collect();
    reasons.sort();
    proxy.check_log(&reasons);
}

async fn refuses(proxy: &Proxy) -> bool {
    TcpStream::connect(proxy.address).await.is_err()
}

#[tokio::test]
async fn readiness_fails_at_once_and_everything_else_goes_on_until_the_delay_is_over() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(Setup::new(&upstream).set("shutdown.delay", "1500ms").set("shutdown.grace", "0s")).await;
    proxy.ready().await;
    let mut old = Client::open(proxy.address).await;
    let begun = Instant::now();
    proxy.stop().await;
    eventually("not ready", async || proxy.admin.get("/readyz").await.0 == 503).await;
    assert_eq!(proxy.admin.get("/livez").await.0, 200);
    old.ask(1, op::GET_DATA, b"/a").await;
    let mut new = Client::open(proxy.address).await;
    new.ask(1, op::GET_DATA, b"/a").await;
    assert!(begun.elapsed() < Duration::from_millis(1500), "too slow a machine to tell anything");
    eventually("refused connections", async || refuses(&proxy).await).await;
    assert!(begun.elapsed() >= Duration::from_millis(1500));
    for mut client in [old, new] {
        client.rest().await;
    }
    upstream.finish().await;
    let mut proxy = proxy;
    proxy.stopped().await;
}

#[tokio::test]
async fn idle_connections_are_told_goodbye_one_after_the_other() {
    const CONNECTIONS: usize = 30;
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(Setup::new(&upstream).set("shutdown.grace", "3s")).await;
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut client = Client::open(proxy.address).await;
        // The reply to the injected packet has come before this one.
        client.ask(1, op::GET_DATA, b"/a").await;
        clients.push(client);
    }
    let begun = Instant::now();
    proxy.stop().await;
    let mut waits = tokio::task::JoinSet::new();
    for client in clients {
        waits.spawn(async move {
            client.goodbye().await;
            begun.elapsed()
        });
    }
    let mut waited = waits.join_all().await;
    waited.sort();
    // 80 % of the grace is for turns; a quarter of it without anyone would be one chance in thousands.
    let gaps = waited.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(gaps < Duration::from_millis(1200), "{waited:?}");
    assert!(waited[CONNECTIONS - 1] - waited[0] > Duration::from_millis(1000), "{waited:?}");
    assert!(waited[CONNECTIONS - 1] < Duration::from_millis(3000), "{waited:?}");
    upstream.finish().await;
    stopped(proxy, &["drained"; CONNECTIONS]).await;
}

#[tokio::test]
async fn a_connection_with_a_request_on_its_way_is_closed_behind_the_reply() {
    let server = Patient::start().await;
    let proxy = Proxy::with(Setup::new(&server.upstream).set("shutdown.grace", "5s")).await;
    let mut client = Client::open(proxy.address).await;
    client.send(&wire::request(1, op::CREATE, b"/a")).await;
    forwarded(&proxy, "create", 1.0).await;
    proxy.stop().await;
    proxy.admin.becomes("zoogate_connections{state=\"draining\"}", 1.0).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!proxy.has_stopped());
    server.answer(1);
    assert_eq!(client.frame().await, wire::reply(1, 0, b"answer"));
    client.goodbye().await;
    server.upstream.finish().await;
    stopped(proxy, &["drained"]).await;
}

#[tokio::test]
async fn a_client_that_never_stops_asking_is_closed_without_losing_a_reply() {
    let server = Patient::start().await;
    let proxy = Proxy::with(Setup::new(&server.upstream).set("shutdown.grace", "5s")).await;
    let client = Client::open(proxy.address).await;
    let (mut reader, mut writer) = tokio::io::split(client.stream);
    // Twenty requests are on their way at any time, as with Java's asynchronous calls.
    let window = std::sync::Arc::new(tokio::sync::Semaphore::new(20));
    let room = std::sync::Arc::clone(&window);
    let writing = tokio::spawn(async move {
        for xid in 1.. {
            room.acquire().await.unwrap().forget();
            let request = wire::request(xid, op::CREATE, &[b'x'; 3000]);
            if tokio::io::AsyncWriteExt::write_all(&mut writer, &request).await.is_err() {
                break;
            }
        }
    });
    let reading = tokio::spawn(async move {
        let (mut replies, mut reply) = (0, [0; 26]);
        loop {
            match tokio::io::AsyncReadExt::read_exact(&mut reader, &mut reply).await {
                Ok(_) => replies += 1,
                Err(error) => return (replies, End::of(&Err(error))),
            }
            assert_eq!(wire::xid(&reply), replies);
            window.add_permits(1);
        }
    });
    let answering = async {
        loop {
            server.answer(1);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        proxy.stop().await;
        soon("the end of the connection", reading).await.unwrap()
    };
    let (replies, end) = tokio::select! {
        () = answering => unreachable!(),
        ended = stopping => ended,
    };
    // A goodbye is an end of the stream between two replies.
    assert_eq!(end, End::Cut, "read_exact tells a goodbye so");
    writing.abort();
    server.answer(1000);
    server.upstream.finish().await;
    let asked = wire::frames(&server.upstream.only().bytes).len() - 1;
    assert_eq!(replies, i32::try_from(asked).unwrap(), "requests that the server answered to nobody");
    stopped(proxy, &["drained"]).await;
}

#[tokio::test]
async fn pings_do_not_keep_a_connection() {
    let server = Upstream::scripted(|mut server: Server| async move {
        server.open().await;
        server.stall().await;
    })
    .await;
    let proxy = Proxy::with(Setup::new(&server).set("shutdown.grace", "5s")).await;
    let mut client = Client::open(proxy.address).await;
    client.send(&wire::request(-2, op::PING, b"")).await;
    forwarded(&proxy, "ping", 1.0).await;
    proxy.stop().await;
    client.goodbye().await;
    server.finish().await;
    stopped(proxy, &["drained"]).await;
}

#[tokio::test]
async fn a_request_without_an_answer_is_cut_at_the_end_of_the_grace() {
    let server = Patient::start().await;
    let proxy = Proxy::with(Setup::new(&server.upstream).set("shutdown.grace", "1s")).await;
    let mut client = Client::open(proxy.address).await;
    client.send(&wire::request(1, op::CREATE, b"/a")).await;
    forwarded(&proxy, "create", 1.0).await;
    // Also somebody whose handshake never ends, and somebody who never opens a session.
    let silent = TcpStream::connect(proxy.address).await.unwrap();
    let opening = Client::connect(proxy.address, &PKI.bob).await;
    proxy.admin.becomes("zoogate_connections{state=\"handshaking\"}", 1.0).await;
    let begun = Instant::now();
    proxy.stop().await;
    assert_eq!(client.rest().await.0, b"");
    assert!(begun.elapsed() >= Duration::from_secs(1));
    server.answer(1);
    server.upstream.finish().await;
    stopped(proxy, &["forced"; 3]).await;
    drop((silent, opening));
}

#[tokio::test]
async fn a_second_signal_cuts_the_delay_and_the_grace_short() {
    for delay in ["0s", "600s"] {
        let server = Patient::start().await;
        let setup = Setup::new(&server.upstream).set("shutdown.grace", "600s").set("shutdown.delay", delay);
        let proxy = Proxy::with(setup).await;
        let mut client = Client::open(proxy.address).await;
        client.send(&wire::request(1, op::CREATE, b"/a")).await;
        forwarded(&proxy, "create", 1.0).await;
        proxy.stop().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!proxy.has_stopped());
        proxy.stop().await;
        client.rest().await;
        server.answer(1);
        server.upstream.finish().await;
        stopped(proxy, &["forced"]).await;
    }
}

#[tokio::test]
async fn nobody_there_is_nothing_to_wait_for() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(Setup::new(&upstream).set("shutdown.grace", "600s")).await;
    proxy.stop().await;
    stopped(proxy, &[]).await;
}
