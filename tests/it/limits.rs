//! `limits.connections` and `limits.handshakes`: what a client gets that is one too many.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::client::Client;
use crate::support::pki::PKI;
use crate::support::proxy::Proxy;
use crate::support::setup::Setup;
use crate::support::upstream::{Server, Upstream};
use crate::support::wire::{self, hello, op};
use crate::support::{eventually, soon};

#[tokio::test]
async fn one_client_too_many_gets_an_alert_and_a_reason_until_another_leaves() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(Setup::new(&upstream).set("limits.connections", "2")).await;
    let first = Client::open(proxy.address).await;
    let second = Client::open(proxy.address).await;
    let mut refused = Client::connect(proxy.address, &PKI.bob).await;
    let error = soon("an alert", refused.stream.read(&mut [0; 1])).await.unwrap_err();
    assert!(error.to_string().contains("AccessDenied"), "{error}");
    proxy.admin.becomes("zoogate_tls_handshake_failures_total{reason=\"too_many_connections\"}", 1.0).await;
    proxy.admin.becomes("zoogate_connections_limit", 2.0).await;
    first.hang_up().await;
    proxy.admin.becomes("zoogate_connections{state=\"established\"}", 1.0).await;
    let third = Client::open(proxy.address).await;
    second.hang_up().await;
    third.hang_up().await;
    upstream.finish().await;
    let refused = proxy.records().into_iter().find(|record| record["reason"] == "too_many_connections").unwrap();
    assert!(refused["detail"].as_str().unwrap().contains("limits.connections"), "{refused}");
    proxy.finish(&["client_closed", "client_closed", "client_closed", "too_many_connections"]).await;
}

#[tokio::test]
async fn silent_strangers_lose_their_places_to_clients_and_never_a_client_its_own() {
    let upstream = Upstream::start().await;
    let setup = Setup::new(&upstream).set("limits.connections", "2").set("limits.handshakes", "8");
    let proxy = Proxy::with(setup).await;
    let mut first = Client::open(proxy.address).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(proxy.address).await.unwrap());
    }
    // A ClientHello of 508 bytes that has only begun.
    for stranger in &mut silent[16..18] {
        stranger.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await.unwrap();
    }
    let second = Client::open(proxy.address).await;
    first.ask(7, op::GET_DATA, b"").await;
    proxy.admin.becomes("zoogate_tls_handshake_failures_total{reason=\"too_many_handshakes\"}", 17.0).await;
    drop(silent);
    first.hang_up().await;
    second.hang_up().await;
    upstream.finish().await;
    let left = ["client_closed", "client_closed", "reset", "probe", "probe"];
    proxy.finish(&[&left[..], &["too_many_handshakes"; 17]].concat()).await;
}

#[tokio::test]
async fn every_address_is_served_whichever_was_used_last() {
    let upstream = Upstream::start().await;
    let addresses = "[ 127.0.0.1:0, 127.0.0.2:0, 127.0.0.3:0 ]";
    let setup = Setup::new(&upstream).set("listen.address", addresses).set("limits.connections", "1");
    let proxy = Proxy::with(setup).await;
    for address in [2, 0, 1, 1, 0, 2].map(|index| proxy.addresses[index]) {
        Client::open(address).await.hang_up().await;
    }
    upstream.finish().await;
    proxy.finish(&["client_closed"; 6]).await;
}

#[tokio::test]
async fn the_gauges_tell_how_far_connections_have_come() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::start(&upstream).await;
    let silent = TcpStream::connect(proxy.address).await.unwrap();
    let opening = Client::connect(proxy.address, &PKI.alice).await;
    let open = Client::open(proxy.address).await;
    for state in ["handshaking", "opening", "established"] {
        proxy.admin.becomes(&format!("zoogate_connections{{state=\"{state}\"}}"), 1.0).await;
    }
    let status = async || serde_json::from_str::<serde_json::Value>(&proxy.admin.get("/status").await.1).unwrap();
    let present = status().await;
    assert_eq!(present["connections_by_identity"][0]["identity"], "CN=alice", "{present}");
    assert_eq!(present["connections_by_identity"][0]["connections"], 2, "{present}");
    drop(silent);
    drop(opening.stream);
    open.hang_up().await;
    upstream.finish().await;
    eventually("nobody present", async || status().await["identities"] == 0).await;
    proxy.finish(&["client_closed", "no_request", "probe"]).await;
}

#[tokio::test]
async fn certificates_that_a_mapping_makes_one_identity_are_told_by_their_names() {
    let upstream = Upstream::start().await;
    let setup = Setup::new(&upstream).set("identity.mapping", "[ 'RULE:CN=(alice|bob)/team/', DEFAULT ]");
    let proxy = Proxy::with(setup).await;
    let (alice, bob) =
        (Client::connect(proxy.address, &PKI.alice).await, Client::connect(proxy.address, &PKI.bob).await);
    let single = Client::connect(proxy.address, &PKI.two_names).await;
    let status = async || serde_json::from_str::<serde_json::Value>(&proxy.admin.get("/status").await.1).unwrap();
    eventually("three clients", async || status().await["identities"] == 2).await;
    proxy.admin.becomes("zoogate_connections{state=\"opening\"}", 3.0).await;
    let told = status().await;
    assert_eq!(told["merged_identities"], 1, "{told}");
    let team = &told["connections_by_identity"][0];
    assert_eq!((&team["identity"], &team["names_total"]), (&"team".into(), &2.into()), "{told}");
    assert_eq!(team["names"], serde_json::json!(["CN=alice", "CN=bob"]), "{told}");
    assert_eq!(told["connections_by_identity"][1]["names"], serde_json::json!(["CN=two names"]), "{told}");

    bob.hang_up().await;
    eventually("bob gone", async || status().await["merged_identities"] == 0).await;
    assert_eq!(status().await["connections_by_identity"][0]["names_total"], 1);
    alice.hang_up().await;
    single.hang_up().await;
    proxy.finish(&["no_request"; 3]).await;
}

/// Bytes that the kernel holds in sockets of this process with a port, to be sent and to be read.
fn queued(port: u16) -> (usize, usize) {
    let sockets = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let rows = sockets.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
    let number = |hex: &str| usize::from_str_radix(hex, 16).unwrap();
    let of = |row: &Vec<&str>, column: usize| number(row[column].split_once(':').unwrap().1) == usize::from(port);
    let queues = |row: &Vec<&str>| row[4].split_once(':').map(|(sent, read)| (number(sent), number(read))).unwrap();
    let (mut to_send, mut to_read) = (0, 0);
    for row in rows.filter(|row| row[3] == "01") {
        // The gate's end of a client's connection has the port itself, that of one to ZooKeeper has it as the peer's.
        if of(&row, 1) {
            to_send += queues(&row).0;
        } else if of(&row, 2) {
            to_read += queues(&row).1;
        }
    }
    (to_send, to_read)
}

#[tokio::test]
async fn the_kernel_holds_little_for_a_client_that_does_not_read() {
    const REPLY: usize = 64 * 1024 * 1024;
    let upstream = Upstream::scripted(async |mut server: Server| {
        server.open().await;
        let request = server.frame().await.unwrap();
        server.send(&wire::reply(wire::xid(&request), 0, &vec![7; REPLY])).await;
        server.stall().await;
    })
    .await;
    let proxy = Proxy::start(&upstream).await;
    let mut client = Client::open(proxy.address).await;
    client.send(&wire::request(1, op::GET_DATA, b"/a")).await;
    // Until it stands still.
    let mut before = (0, 0);
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = (queued(proxy.address.port()).0, queued(upstream.address.port()).1);
        if now == before && now.0 > 0 {
            break;
        }
        before = now;
    }
    assert!(before.0 <= 512 * 1024, "{before:?} bytes");
    assert!(before.1 <= 512 * 1024, "{before:?} bytes");
    client.hang_up().await;
    upstream.finish().await;
    proxy.finish(&["client_reset"]).await;
}

/// Whether the kernel waits to probe the peer of this process' socket with these ends.
fn is_probed(local: Option<SocketAddr>, remote: SocketAddr) -> bool {
    let hex = |address: SocketAddr| match address {
        SocketAddr::V4(v4) => format!("{:08X}:{:04X}", u32::from_ne_bytes(v4.ip().octets()), v4.port()),
        SocketAddr::V6(_) => panic!("not looked for"),
    };
    // sl local_address rem_address st tx_queue:rx_queue tr:tm->when; a timer of kind 2 is that of keepalive.
    let sockets = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let mut rows = sockets.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row[2] == hex(remote) && local.is_none_or(|local| row[1] == hex(local)));
    row.unwrap_or_else(|| panic!("{remote} is not in {sockets}"))[5].starts_with("02:")
}

#[tokio::test]
async fn the_kernel_watches_both_sides_of_an_idle_connection_if_it_is_told_to() {
    for (keepalive, probed) in [("7s", true), ("off", false)] {
        let upstream = Upstream::start().await;
        let keys = ["listen.keepalive", "upstream.keepalive"];
        let setup = keys.iter().fold(Setup::new(&upstream), |setup, key| setup.set(key, keepalive));
        let proxy = Proxy::with(setup).await;
        let tcp = TcpStream::connect(proxy.address).await.unwrap();
        let client_address = tcp.local_addr().unwrap();
        let mut client = Client::over(tcp, Some(&PKI.alice)).await.unwrap();
        client.send(&hello()).await;
        client.welcome().await;
        // What was sent last must be acknowledged first.
        eventually("a watch on the client", async || is_probed(Some(proxy.address), client_address) == probed).await;
        eventually("a watch on ZooKeeper", async || is_probed(None, upstream.address) == probed).await;
        client.hang_up().await;
        upstream.finish().await;
        proxy.finish(&["client_closed"]).await;
    }
}
