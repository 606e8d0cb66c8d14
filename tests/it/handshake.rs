//! Who gets in, and what becomes of those who don't.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::client::{Client, reset};
use crate::support::pki::{PKI, Who};
use crate::support::proxy::Proxy;
use crate::support::setup::Setup;
use crate::support::soon;
use crate::support::upstream::Upstream;
use crate::support::wire::hello;

/// A client that must not get in, for a reason; the server must not hear of it.
async fn is_refused(who: Option<&Who>, setup: impl FnOnce(Setup) -> Setup, reason: &str) {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(setup(Setup::new(&upstream))).await;
    // In TLS 1.3 a client learns of its refusal when it reads.
    if let Ok(mut client) = Client::attempt(proxy.address, who).await {
        let _ = client.try_send(&hello()).await;
        assert_eq!(client.rest().await.0, b"", "{reason}");
    }
    let sample = format!("zoogate_tls_handshake_failures_total{{reason=\"{reason}\"}}");
    proxy.admin.becomes(&sample, 1.0).await;
    proxy.finish(&[reason]).await;
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused() {
    is_refused(None, |setup| setup, "no_certificate").await;
}

#[tokio::test]
async fn a_client_of_another_ca_is_refused() {
    is_refused(Some(&PKI.stranger), |setup| setup, "unknown_ca").await;
}

#[tokio::test]
async fn an_expired_client_is_refused() {
    is_refused(Some(&PKI.expired), |setup| setup, "expired").await;
}

#[tokio::test]
async fn a_client_with_two_names_is_refused_where_one_is_wanted() {
    is_refused(Some(&PKI.two_names), |setup| setup.set("identity.from", "san_uri"), "ambiguous_identity").await;
}

#[tokio::test]
async fn a_client_without_a_name_is_refused() {
    is_refused(Some(&PKI.alice), |setup| setup.set("identity.from", "san_uri"), "no_identity").await;
}

/// Sends bytes to the TLS port; the answer.
async fn plaintext(proxy: &Proxy, bytes: &[u8]) -> Vec<u8> {
    let mut tcp = TcpStream::connect(proxy.address).await.unwrap();
    tcp.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    soon("the end of the connection", tcp.read_to_end(&mut answer)).await.unwrap();
    answer
}

#[tokio::test]
async fn plaintext_is_counted_by_kind_and_logged_once_a_minute() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::start(&upstream).await;
    for _ in 0..2 {
        for word in ["ruok", "isro"] {
            assert_eq!(plaintext(&proxy, word.as_bytes()).await, b"");
        }
        assert_eq!(plaintext(&proxy, &hello()).await, b"");
        assert_eq!(plaintext(&proxy, b"GET / HTTP/1.1\r\n\r\n").await, b"");
        // A fatal alert, in case it is TLS of some odd kind.
        assert_eq!(plaintext(&proxy, b"\0\x01\x02\x03\x04\x05\x06\x07").await[..3], [0x15, 3, 1]);
    }
    assert_eq!(proxy.admin.reasons().await, ["plaintext"; 10]);
    let metrics = proxy.admin.metrics().await;
    for (kind, count) in [("four_letter_word", 4.0), ("zookeeper", 2.0), ("http", 2.0), ("other", 2.0)] {
        let sample = format!("zoogate_probe_connections_total{{kind=\"{kind}\"}}");
        assert_eq!(metrics.of(&sample), count, "{kind}");
    }
    let loud = proxy.records().iter().filter(|record| record["level"] != "DEBUG").count();
    assert_eq!(loud, 1, "records above debug");
    proxy.finish(&["plaintext"; 10]).await;
    assert!(upstream.seen().is_empty());
}

/// What HAProxy 2.6 sends for `option ssl-hello-chk`: a ClientHello of SSL 3.0, in a record of that version.
const SSL_HELLO_CHK: &str = "16030000790100007503006b0ef1df484150524f585953534c43484b0a484150524f585953534c43484b0a00004e\
    000100020003000400050006000700080009000a000b000c000d000e000f0010001100120013001400150016001700180019001a001b002f00300031\
    00320033003400350036003700380039003a0100";

#[tokio::test]
async fn the_hello_check_of_haproxy_is_a_probe_and_gets_an_alert() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::start(&upstream).await;
    let pairs = SSL_HELLO_CHK.as_bytes().chunks(2);
    let hello: Vec<u8> =
        pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect();
    assert_eq!(hello.len(), 126);
    // Any record of a handshake or an alert contents HAProxy.
    assert_eq!(plaintext(&proxy, &hello).await, [0x15, 3, 0, 0, 2, 2, 70]);
    assert_eq!(proxy.admin.reasons().await, ["probe"]);
    // The same hello of TLS 1.0 is a client's, too old, and no probe.
    let mut old = hello.clone();
    old[10] = 1;
    assert_eq!(plaintext(&proxy, &old).await[0], 0x15);
    assert_eq!(proxy.admin.reasons().await, ["no_common_version", "probe"]);
    assert_eq!(proxy.records()[0]["level"], "DEBUG");
    let metrics = proxy.admin.metrics().await;
    assert_eq!(metrics.of("zoogate_probe_connections_total{kind=\"ssl3\"}"), 1.0);
    proxy.finish(&["probe", "no_common_version"]).await;
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn empty_probes_are_counted_apart_and_logged_for_debuggers_only() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::start(&upstream).await;
    for _ in 0..2 {
        drop(TcpStream::connect(proxy.address).await.unwrap());
        reset(TcpStream::connect(proxy.address).await.unwrap());
    }
    assert_eq!(proxy.admin.reasons().await, ["probe"; 4]);
    let metrics = proxy.admin.metrics().await;
    assert_eq!(metrics.of("zoogate_probe_connections_total{kind=\"empty\"}"), 4.0);
    for version in ["1.2", "1.3", "unknown"] {
        for result in ["ok", "refused"] {
            let labels = format!("{{result=\"{result}\",version=\"{version}\"}}");
            let sample = format!("zoogate_tls_handshake_duration_seconds_count{labels}");
            assert_eq!(metrics.of(&sample), 0.0, "a probe blurs the handshakes' duration");
        }
    }
    assert!(proxy.records().iter().all(|record| record["level"] == "DEBUG"));
    proxy.finish(&["probe"; 4]).await;
}

#[tokio::test]
async fn a_slow_handshake_is_cut_at_the_deadline() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(Setup::new(&upstream).set("limits.handshake_timeout", "300ms")).await;
    // Silent, stuck in the middle of a ClientHello, and a byte at a time for ever.
    let silent = TcpStream::connect(proxy.address).await.unwrap();
    let mut stuck = TcpStream::connect(proxy.address).await.unwrap();
    stuck.write_all(&[0x16, 3, 1, 0x02, 0, 1, 0]).await.unwrap();
    let mut slow = TcpStream::connect(proxy.address).await.unwrap();
    let dribble = async {
        slow.write_all(&[0x16, 3, 1, 0x40, 0, 1]).await.unwrap();
        while slow.write_all(&[0]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("the end of the slow handshake", dribble).await;
    for mut tcp in [silent, stuck] {
        let mut answer = Vec::new();
        let _ = soon("the end of the connection", tcp.read_to_end(&mut answer)).await;
    }
    proxy.finish(&["timeout"; 3]).await;
}

#[tokio::test]
async fn an_authenticated_client_that_asks_for_nothing_is_cut_at_the_deadline() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(Setup::new(&upstream).set("limits.open_timeout", "300ms")).await;
    let silent = Client::connect(proxy.address, &PKI.alice).await;
    silent.goodbye().await;
    let mut slow = Client::connect(proxy.address, &PKI.alice).await;
    for byte in &hello()[..40] {
        if slow.try_send(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    slow.goodbye().await;
    proxy.finish(&["open_timeout"; 2]).await;
    assert!(upstream.seen().is_empty());
}
