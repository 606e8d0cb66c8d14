//! Connections that come through a load balancer: the PROXY protocol, from raw bytes and from HAProxy.

use std::net::SocketAddr;
use std::process::Stdio;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::support::client::Client;
use crate::support::pki::PKI;
use crate::support::proxy::Proxy;
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;
use crate::support::wire::hello;
use crate::support::{eventually, soon};

const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc0\0\x02\x01\x12\x67\x08\xe9";

/// A gate that takes headers from this machine.
async fn behind_a_proxy(upstream: &Upstream) -> Proxy {
    Proxy::with(Setup::new(upstream).set("listen.proxy_protocol", "{ from: [ '127.0.0.0/8' ] }")).await
}

/// A session behind a header.
async fn open_behind(address: SocketAddr, header: &[u8]) -> Client {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    tcp.write_all(header).await.unwrap();
    let mut client = Client::over(tcp, Some(&PKI.alice)).await.unwrap();
    client.send(&hello()).await;
    client.welcome().await;
    client
}

#[tokio::test]
async fn the_address_in_a_header_is_the_clients() {
    let upstream = Upstream::start().await;
    let proxy = behind_a_proxy(&upstream).await;
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    let headers = [b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 2281\r\n", V2, b"PROXY UNKNOWN\r\n", local];
    for header in headers {
        open_behind(proxy.address, header).await.hang_up().await;
    }
    upstream.finish().await;
    eventually("the records", async || proxy.records().len() == headers.len()).await;
    let records = proxy.records();
    for record in &records[..2] {
        assert_eq!(record["peer"], "192.0.2.7:4711", "{record}");
        assert!(record["proxy"].as_str().unwrap().starts_with("127.0.0.1:"), "{record}");
    }
    for record in &records[2..] {
        assert!(record["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{record}");
        assert!(record.get("proxy").is_none(), "{record}");
    }
    // `upstream.source: per_client` derives its address from the client's, not from the proxy's.
    let sources: Vec<_> = upstream.seen().iter().map(|seen| seen.source).collect();
    assert_eq!(sources[0], sources[1]);
    assert_ne!(sources[0], sources[2]);
    assert_eq!(sources[2], sources[3]);
    proxy.finish(&["client_closed"; 4]).await;
}

#[tokio::test]
async fn a_header_in_pieces_and_together_with_the_hello_is_a_header() {
    let upstream = Upstream::start().await;
    let proxy = behind_a_proxy(&upstream).await;
    let mut tcp = TcpStream::connect(proxy.address).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    for byte in V2 {
        tcp.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    Client::over(tcp, Some(&PKI.alice)).await.unwrap().hang_up().await;
    proxy.finish(&["no_request"]).await;
    upstream.finish().await;
}

/// Sends bytes to a gate that must refuse them, and returns the record.
async fn is_refused(proxy: Proxy, bytes: &[u8], reason: &str) -> serde_json::Value {
    let mut tcp = TcpStream::connect(proxy.address).await.unwrap();
    tcp.write_all(bytes).await.unwrap();
    let mut rest = Vec::new();
    let _ = soon("the end", tcp.read_to_end(&mut rest)).await;
    assert_eq!(rest, b"");
    eventually("the record", async || proxy.records().len() == 1).await;
    let record = proxy.records().remove(0);
    proxy.finish(&[reason]).await;
    record
}

#[tokio::test]
async fn a_header_from_anybody_else_is_refused_by_its_name() {
    for header in [&b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 2281\r\n"[..], V2] {
        let upstream = Upstream::start().await;
        let setup = Setup::new(&upstream).set("listen.proxy_protocol", "{ from: 192.0.2.0/24 }");
        let record = is_refused(Proxy::with(setup).await, header, "proxy_header").await;
        assert!(record["detail"].as_str().unwrap().contains("not in `listen.proxy_protocol.from`"), "{record}");
        assert!(record["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{record}");
        assert!(upstream.seen().is_empty());
    }
}

#[tokio::test]
async fn a_listed_peer_without_a_header_is_refused() {
    let upstream = Upstream::start().await;
    let proxy = behind_a_proxy(&upstream).await;
    let record = is_refused(proxy, b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", "proxy_header").await;
    assert!(record["detail"].as_str().unwrap().contains("none came, but TLS"), "{record}");
    let proxy = behind_a_proxy(&upstream).await;
    is_refused(proxy, b"ruok and the rest", "proxy_header").await;
    let proxy = behind_a_proxy(&upstream).await;
    drop(TcpStream::connect(proxy.address).await.unwrap());
    proxy.finish(&["probe"]).await;
}

/// HAProxy in TCP mode in front of a gate.
struct Haproxy {
    _child: Child,
    _files: tempfile::TempDir,
    port: u16,
}

impl Haproxy {
    async fn start(gate: SocketAddr, option: &str) -> Self {
        let files = tempfile::tempdir().unwrap();
        // Nobody else takes the port in between, since ports are given out in turn.
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let config = format!(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
             listen zookeeper\n bind 127.0.0.1:{port}\n server zk1 {gate} {option}\n"
        );
        let path = files.path().join("haproxy.cfg");
        std::fs::write(&path, config).unwrap();
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/target/haproxy/haproxy");
        let child = Command::new(program)
            .arg("-db")
            .arg("-f")
            .arg(&path)
            .stderr(Stdio::inherit())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("HAProxy; `make setup` fetches it");
        eventually("HAProxy", async || TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
        Self { _child: child, _files: files, port }
    }
}

#[tokio::test]
async fn haproxy_names_the_client_in_both_versions() {
    for option in ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options unique-id,crc32c"] {
        let upstream = Upstream::start().await;
        let proxy = behind_a_proxy(&upstream).await;
        let haproxy = Haproxy::start(proxy.address, option).await;
        // The connection that asked whether HAProxy listens.
        eventually("the first record", async || proxy.records().len() == 1).await;
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.9:0".parse().unwrap()).unwrap();
        let tcp = socket.connect(([127, 0, 0, 1], haproxy.port).into()).await.unwrap();
        let own = tcp.local_addr().unwrap();
        let mut client = Client::over(tcp, Some(&PKI.alice)).await.unwrap();
        client.send(&hello()).await;
        client.welcome().await;
        client.hang_up().await;
        eventually("the record", async || proxy.records().len() == 2).await;
        let record = proxy.records().remove(1);
        assert_eq!(record["peer"], own.to_string(), "{option}: {record}");
        upstream.finish().await;
        proxy.finish(&["client_closed", "probe"]).await;
    }
}
