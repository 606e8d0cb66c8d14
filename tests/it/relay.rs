//! What passes between an open session's two ends, and how the ends end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::client::Client;
use crate::support::pki::PKI;
use crate::support::proxy::Proxy;
use crate::support::setup::Setup;
use crate::support::upstream::{Injected, Server, Upstream};
use crate::support::wire::{self, hello, op};
use crate::support::{End, eventually};

const MIB: usize = 1 << 20;

/// Bytes that are nowhere the same.
fn pattern(length: usize) -> Vec<u8> {
    (0..length as u32 / 4 + 1).flat_map(|number| number.to_be_bytes()).take(length).collect()
}

/// A server that opens the session and answers the first request with bytes.
async fn answering(bytes: Vec<u8>) -> Upstream {
    Upstream::scripted(move |mut server: Server| {
        let bytes = bytes.clone();
        async move {
            server.open().await;
            server.frame().await;
            server.send(&bytes).await;
            server.stall().await;
        }
    })
    .await
}

/// What the server saw behind the injected packet.
fn relayed(upstream: &Upstream) -> Vec<u8> {
    let bytes = upstream.only().bytes;
    let injected = 4 + usize::try_from(wire::int(&bytes, 0)).unwrap();
    Injected::parse(&bytes[..injected]);
    bytes[injected..].to_vec()
}

#[tokio::test]
async fn a_reply_of_ten_megabytes_passes_though_requests_may_have_64_kilobytes() {
    let reply = wire::reply(1, 0, &pattern(10 * MIB));
    let upstream = answering(reply.clone()).await;
    let proxy = Proxy::with(Setup::new(&upstream).set("limits.frame", "64KiB")).await;
    let mut client = Client::open(proxy.address).await;
    client.send(&wire::request(1, op::GET_DATA, b"/a")).await;
    assert!(client.frame().await == reply, "the reply is not the server's");
    client.hang_up().await;
    upstream.finish().await;
    proxy.finish(&["client_closed"]).await;
}

#[tokio::test]
async fn notifications_pass_where_they_come() {
    let replies = [
        wire::notification("/before"),
        wire::reply(1, 0, b"data"),
        wire::notification("/between"),
        wire::notification("/again"),
        wire::reply(2, -101, b""),
    ];
    let upstream = answering(replies.concat()).await;
    let proxy = Proxy::start(&upstream).await;
    let mut client = Client::open(proxy.address).await;
    client.send(&[wire::request(1, op::GET_DATA, b"/a"), wire::request(2, op::GET_DATA, b"/b")].concat()).await;
    assert_eq!(client.frames(5).await, replies);
    assert_eq!(proxy.admin.metrics().await.of("zoogate_notifications_total"), 3.0);
    client.hang_up().await;
    upstream.finish().await;
    proxy.finish(&["client_closed"]).await;
}

#[tokio::test]
async fn replies_to_the_clients_own_auth_come_back_in_order_whatever_their_xids() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::start(&upstream).await;
    let mut client = Client::open(proxy.address).await;
    // Java, C and kazoo send auth as -4, Go as any positive number; somebody may even use the xid of ours.
    let ours = -0x7a6f_6f67;
    for xid in [-4, 1, 2, ours, -4] {
        client.send(&wire::auth(xid, "digest", "app:password")).await;
    }
    client.send(&wire::request(3, op::GET_DATA, b"/a")).await;
    let xids: Vec<_> = client.frames(6).await.iter().map(|reply| wire::xid(reply)).collect();
    assert_eq!(xids, [-4, 1, 2, ours, -4, 3]);
    client.hang_up().await;
    upstream.finish().await;
    assert_eq!(Injected::parse(&wire::frames(&upstream.only().bytes)[0]).xid, ours);
    proxy.finish(&["client_closed"]).await;
}

#[tokio::test]
async fn a_refusal_of_the_clients_own_auth_is_the_clients() {
    let refusal = wire::reply(-4, -115, b"");
    let upstream = answering(refusal.clone()).await;
    let proxy = Proxy::start(&upstream).await;
    let mut client = Client::open(proxy.address).await;
    client.send(&wire::auth(-4, "sasl", "no such provider")).await;
    assert_eq!(client.frame().await, refusal);
    client.hang_up().await;
    upstream.finish().await;
    proxy.finish(&["client_closed"]).await;
}

/// A client sends a good request and a bad one at once: the good one arrives, of the bad one nothing that a
/// server could act on.
async fn is_refused(bad: Vec<u8>, setup: impl FnOnce(Setup) -> Setup, reason: &str) {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(setup(Setup::new(&upstream))).await;
    let mut client = Client::open(proxy.address).await;
    let good = wire::request(1, op::CREATE, b"/good");
    client.send(&[good.clone(), bad.clone()].concat()).await;
    client.stream.flush().await.unwrap();
    // The reply to the good one may come or not.
    let (rest, end) = client.rest().await;
    assert_eq!(end, End::Goodbye, "{reason}");
    assert!(rest.is_empty() || rest == wire::reply(1, 0, b"/good"), "{rest:?}");
    drop(client);
    upstream.finish().await;
    assert_eq!(relayed(&upstream), good, "{reason}");

    // The same in single bytes: the server may see the beginning of the bad one, but never its end.
    let mut client = Client::open(proxy.address).await;
    for byte in &bad {
        if client.try_send(&[*byte]).await.is_err() {
            break;
        }
    }
    assert_eq!(client.rest().await.1, End::Goodbye, "{reason}");
    drop(client);
    upstream.finish().await;
    let seen = upstream.seen();
    assert_eq!(wire::frames(&seen[1].bytes).len(), 1, "{reason}");
    proxy.finish(&[reason; 2]).await;
}

#[tokio::test]
async fn opcodes_between_servers_are_refused() {
    for opcode in [op::CREATE_SESSION, op::DELETE_CONTAINER] {
        is_refused(wire::request(2, opcode, &[0, 0, 0x20, 0]), |setup| setup, "forbidden_opcode").await;
    }
}

#[tokio::test]
async fn requests_with_the_xid_of_watch_events_are_refused() {
    for opcode in [op::GET_DATA, op::PING, op::AUTH] {
        is_refused(wire::request(-1, opcode, b""), |setup| setup, "reserved_xid").await;
    }
}

#[tokio::test]
async fn credentials_of_reserved_users_are_refused() {
    is_refused(wire::auth(-4, "digest", "x509/CN=bob:guess"), |setup| setup, "reserved_user").await;
}

#[tokio::test]
async fn frames_over_the_limit_are_refused() {
    let small = |setup: Setup| setup.set("limits.frame", "1KiB");
    is_refused(wire::request(2, op::CREATE, &[0; 1017]), small, "frame_too_large").await;
    is_refused(i32::MAX.to_be_bytes().to_vec(), |setup| setup, "frame_too_large").await;
}

#[tokio::test]
async fn a_frame_at_the_limit_passes() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(Setup::new(&upstream).set("limits.frame", "1KiB")).await;
    let mut client = Client::open(proxy.address).await;
    client.ask(1, op::CREATE, &[0; 1016]).await;
    client.hang_up().await;
    upstream.finish().await;
    proxy.finish(&["client_closed"]).await;
}

#[tokio::test]
async fn frames_that_hold_no_request_are_refused() {
    for length in [-1_i32, 0, 7] {
        is_refused(length.to_be_bytes().to_vec(), |setup| setup, "malformed_frame").await;
    }
}

#[tokio::test]
async fn a_server_that_sends_no_frames_is_not_passed_on() {
    let upstream = answering(vec![0xff; 8]).await;
    let proxy = Proxy::start(&upstream).await;
    let mut client = Client::open(proxy.address).await;
    client.send(&wire::request(1, op::GET_DATA, b"/a")).await;
    client.goodbye().await;
    upstream.finish().await;
    proxy.finish(&["upstream_malformed"]).await;
}

#[tokio::test]
async fn a_client_that_half_closes_still_gets_its_reply() {
    let upstream = Upstream::scripted(|mut server: Server| async move {
        server.open().await;
        server.frame().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.send(&wire::reply(1, 0, b"late")).await;
        server.stall().await;
    })
    .await;
    let proxy = Proxy::start(&upstream).await;
    let mut client = Client::open(proxy.address).await;
    client.send(&wire::request(1, op::GET_DATA, b"/a")).await;
    client.half_close().await;
    assert_eq!(client.frame().await, wire::reply(1, 0, b"late"));
    client.goodbye().await;
    upstream.finish().await;
    proxy.finish(&["client_closed"]).await;
}

#[tokio::test]
async fn a_client_that_half_closes_and_waits_in_vain_is_let_go() {
    let upstream = Upstream::scripted(|mut server: Server| async move {
        server.open().await;
        server.stall().await;
    })
    .await;
    let proxy = Proxy::start(&upstream).await;
    let mut client = Client::open(proxy.address).await;
    client.send(&wire::request(1, op::GET_DATA, b"/a")).await;
    client.half_close().await;
    client.goodbye().await;
    upstream.finish().await;
    proxy.finish(&["client_closed"]).await;
}

#[tokio::test]
async fn a_client_that_resets_takes_its_connection_along() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::start(&upstream).await;
    let client = Client::open(proxy.address).await;
    client.reset();
    upstream.finish().await;
    proxy.finish(&["client_reset"]).await;
}

#[tokio::test]
async fn a_server_that_resets_is_told_to_the_client_as_a_goodbye() {
    let upstream = Upstream::scripted(|mut server: Server| async move {
        server.open().await;
        server.frame().await;
        server.reset();
    })
    .await;
    let proxy = Proxy::start(&upstream).await;
    let mut client = Client::open(proxy.address).await;
    client.send(&wire::request(1, op::GET_DATA, b"/a")).await;
    client.goodbye().await;
    upstream.finish().await;
    proxy.finish(&["upstream_reset"]).await;
}

#[tokio::test]
async fn a_closed_session_ends_both_sides_without_waiting_for_either() {
    // This server answers closeSession and then waits for the other side, as does this client.
    let upstream = answering(wire::reply(7, 0, b"")).await;
    let proxy = Proxy::start(&upstream).await;
    let mut client = Client::open(proxy.address).await;
    client.send(&wire::request(7, op::CLOSE_SESSION, b"")).await;
    assert_eq!(client.frame().await, wire::reply(7, 0, b""));
    client.goodbye().await;
    upstream.finish().await;
    assert_eq!(upstream.only().end, Some(End::Cut));
    proxy.finish(&["session_closed"]).await;
}

#[tokio::test]
async fn a_server_is_not_read_from_while_its_client_does_not_read() {
    const TOTAL: usize = 96 * MIB;
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let upstream = Upstream::scripted(move |mut server: Server| {
        let count = Arc::clone(&count);
        async move {
            server.open().await;
            server.frame().await;
            let head = wire::reply(1, 0, b"");
            server.send(&[&u32::to_be_bytes(16 + TOTAL as u32), &head[4..]].concat()).await;
            let chunk = vec![b'x'; 64 * 1024];
            while count.load(Ordering::Relaxed) < TOTAL {
                server.stream.write_all(&chunk).await.unwrap();
                count.fetch_add(chunk.len(), Ordering::Relaxed);
            }
            server.stall().await;
        }
    })
    .await;
    let proxy = Proxy::start(&upstream).await;
    let mut client = Client::open(proxy.address).await;
    client.send(&wire::request(1, op::GET_DATA, b"/a")).await;
    // Sockets hold a few megabytes each, zoogate next to nothing.
    let stuck = stuck_at(&taken).await;
    assert!(stuck < TOTAL / 3, "{stuck} bytes were taken from the server");
    let mut left = 20 + TOTAL;
    let mut buffer = vec![0; 256 * 1024];
    while left > 0 {
        let read = client.stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "{left} bytes are missing");
        left -= read;
    }
    client.hang_up().await;
    upstream.finish().await;
    proxy.finish(&["client_closed"]).await;
}

#[tokio::test]
async fn a_client_is_not_read_from_while_its_server_does_not_read() {
    const REQUESTS: usize = 96;
    let (start, started) = tokio::sync::watch::channel(false);
    let upstream = Upstream::scripted(move |mut server: Server| {
        let mut started = started.clone();
        async move {
            server.open().await;
            started.wait_for(|started| *started).await.unwrap();
            server.go_on().await;
        }
    })
    .await;
    let proxy = Proxy::start(&upstream).await;
    let client = Client::open(proxy.address).await;
    let (mut reader, mut writer) = tokio::io::split(client.stream);
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let writing = tokio::spawn(async move {
        for xid in 1..=REQUESTS as i32 {
            writer.write_all(&wire::request(xid, op::CREATE, &vec![xid as u8; MIB])).await.unwrap();
            writer.flush().await.unwrap();
            count.fetch_add(MIB, Ordering::Relaxed);
        }
        writer
    });
    let stuck = stuck_at(&taken).await;
    assert!(stuck < REQUESTS * MIB / 3, "{stuck} bytes were taken from the client");
    start.send(true).unwrap();
    for xid in 1..=REQUESTS as i32 {
        let mut reply = vec![0; 20 + MIB];
        reader.read_exact(&mut reply).await.unwrap();
        assert!(reply == wire::reply(xid, 0, &vec![xid as u8; MIB]), "the reply to {xid} is another one");
    }
    let client = Client { stream: reader.unsplit(writing.await.unwrap()) };
    client.hang_up().await;
    upstream.finish().await;
    proxy.finish(&["client_closed"]).await;
}

/// Where a counter comes to a stand.
async fn stuck_at(count: &AtomicUsize) -> usize {
    let last = std::cell::Cell::new(0);
    eventually("the writer to get stuck", async || {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = count.load(Ordering::Relaxed);
        now > 0 && last.replace(now) == now
    })
    .await;
    last.get()
}

#[tokio::test]
async fn a_server_that_dies_while_its_client_does_not_read_is_noticed_in_the_end() {
    let reply = wire::reply(1, 0, &pattern(32 * MIB));
    let whole = reply.len();
    let upstream = Upstream::scripted(move |mut server: Server| {
        let reply = reply.clone();
        async move {
            server.open().await;
            server.frame().await;
            server.stream.write_all(&reply).await.unwrap();
            server.fin().await;
        }
    })
    .await;
    let proxy = Proxy::start(&upstream).await;
    let mut client = Client::open(proxy.address).await;
    client.send(&wire::request(1, op::GET_DATA, b"/a")).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    // Not a byte of what the server said is lost, however late it is read.
    let (rest, end) = client.rest().await;
    assert_eq!((rest.len(), end), (whole, End::Goodbye));
    drop(client);
    upstream.finish().await;
    proxy.finish(&["upstream_closed"]).await;
}

#[tokio::test]
async fn bytes_and_requests_are_counted_at_both_sides() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::start(&upstream).await;
    let mut client = Client::connect(proxy.address, &PKI.alice).await;
    client.send(&hello()).await;
    client.welcome().await;
    client.ask(1, op::GET_DATA, b"/a").await;
    client.send(&wire::request(-2, op::PING, b"")).await;
    assert_eq!(wire::xid(&client.frame().await), -2);
    client.hang_up().await;
    upstream.finish().await;
    assert_eq!(proxy.admin.reasons().await, ["client_closed"]);
    let metrics = proxy.admin.metrics().await;
    assert_eq!(metrics.of("zoogate_requests_total{opcode=\"get_data\"}"), 1.0);
    assert_eq!(metrics.of("zoogate_request_duration_seconds_count{opcode=\"get_data\"}"), 1.0);
    assert_eq!(metrics.of("zoogate_requests_total{opcode=\"ping\"}"), 1.0);
    let record = &proxy.records()[0];
    let (asked, answered) = (14 + 12, 22 + 20);
    assert_eq!((&record["received_bytes"], &record["sent_bytes"]), (&asked.into(), &answered.into()), "{record}");
    proxy.finish(&["client_closed"]).await;
}
