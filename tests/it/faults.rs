//! ZooKeeper at its worst: what it refuses, breaks off, withholds or garbles while a session is opened.

use std::time::Duration;

use crate::support::client::Client;
use crate::support::pki::PKI;
use crate::support::proxy::Proxy;
use crate::support::setup::Setup;
use crate::support::upstream::{Server, Upstream};
use crate::support::wire::{self, hello, op, welcome};
use crate::support::{End, eventually};

const AUTH_FAILED: i32 = -115;

/// A server that reads the ConnectRequest, sends bytes, and then FIN.
async fn says_and_hangs_up(bytes: Vec<u8>) -> Upstream {
    Upstream::scripted(move |mut server: Server| {
        let bytes = bytes.clone();
        async move {
            server.connect_request().await;
            server.send(&bytes).await;
            server.fin().await;
        }
    })
    .await
}

/// Opens a session that comes to nothing: the client gets `bytes` and a goodbye, the record gets `reason`.
async fn comes_to_nothing(upstream: Upstream, proxy: Proxy, bytes: &[u8], reason: &str) -> Upstream {
    let mut client = Client::connect(proxy.address, &PKI.alice).await;
    client.send(&[hello(), wire::request(1, op::GET_DATA, b"/a")].concat()).await;
    let (rest, end) = client.rest().await;
    assert_eq!((wire::unsealed(rest), end), (wire::unsealed(bytes.to_vec()), End::Goodbye), "{reason}");
    client.goodbye().await;
    upstream.finish().await;
    proxy.finish(&[reason]).await;
    upstream
}

#[tokio::test]
async fn a_refused_credential_is_an_error_in_the_log_and_never_reaches_the_client() {
    let upstream = Upstream::scripted(|mut server: Server| async move {
        server.grant().await;
        let xid = server.injected().await.xid;
        server.send(&wire::reply(xid, AUTH_FAILED, b"")).await;
        server.fin().await;
    })
    .await;
    let proxy = Proxy::start(&upstream).await;
    for _ in 0..3 {
        let client = Client::open(proxy.address).await;
        client.goodbye().await;
    }
    upstream.finish().await;
    proxy.admin.becomes("zoogate_auth_injections_total{result=\"refused\"}", 3.0).await;
    assert_eq!(proxy.admin.reasons().await, ["auth_failed"; 3]);
    // Loud, but not once for each of thousands of clients that come back at once.
    let errors = proxy.take_log("ERROR");
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert!(errors[0]["message"].as_str().unwrap().contains("DigestAuthenticationProvider.enabled"), "{errors:#?}");
    proxy.finish(&["auth_failed"; 3]).await;
}

#[tokio::test]
async fn a_refusal_of_the_second_of_two_credentials_is_one_too() {
    let upstream = Upstream::scripted(|mut server: Server| async move {
        server.grant().await;
        let (first, second) = (server.injected().await.xid, server.injected().await.xid);
        server.send(&[wire::reply(first, 0, b""), wire::reply(second, AUTH_FAILED, b"")].concat()).await;
        server.fin().await;
    })
    .await;
    let proxy = Proxy::with(Setup::new(&upstream).two_secrets()).await;
    Client::open(proxy.address).await.goodbye().await;
    upstream.finish().await;
    assert_eq!(proxy.admin.reasons().await, ["auth_failed"]);
    assert_eq!(proxy.take_log("ERROR").len(), 1);
    let metrics = proxy.admin.metrics().await;
    for (result, count) in [("sent", 2.0), ("accepted", 1.0), ("refused", 1.0)] {
        let sample = format!("zoogate_auth_injections_total{{result=\"{result}\"}}");
        assert_eq!(metrics.of(&sample), count, "{result}");
    }
    proxy.finish(&["auth_failed"]).await;
}

#[tokio::test]
async fn a_server_that_hangs_up_instead_of_answering_has_refused() {
    for answer in [vec![], welcome()[..1].to_vec(), welcome()[..4].to_vec(), welcome()[..40].to_vec()] {
        let upstream = says_and_hangs_up(answer).await;
        let proxy = Proxy::start(&upstream).await;
        let upstream = comes_to_nothing(upstream, proxy, b"", "upstream_refused").await;
        assert_eq!(upstream.only().bytes, b"", "a byte of the client's went past a refusal");
    }
}

#[tokio::test]
async fn a_server_that_resets_instead_of_answering_has_refused() {
    let upstream = Upstream::scripted(|mut server: Server| async move {
        server.connect_request().await;
        server.reset();
    })
    .await;
    let proxy = Proxy::start(&upstream).await;
    comes_to_nothing(upstream, proxy, b"", "upstream_refused").await;
}

#[tokio::test]
async fn a_server_that_hangs_up_after_its_answer_has_closed() {
    let upstream = says_and_hangs_up(welcome()).await;
    let proxy = Proxy::start(&upstream).await;
    comes_to_nothing(upstream, proxy, &welcome(), "upstream_closed").await;
}

#[tokio::test]
async fn a_server_that_hangs_up_instead_of_accepting_the_credential_has_closed() {
    let upstream = Upstream::scripted(|mut server: Server| async move {
        server.grant().await;
        server.injected().await;
        server.fin().await;
    })
    .await;
    let proxy = Proxy::start(&upstream).await;
    comes_to_nothing(upstream, proxy, &welcome(), "upstream_closed").await;
}

#[tokio::test]
async fn what_a_server_says_before_it_hangs_up_arrives_to_the_last_byte() {
    let half = wire::reply(1, 0, b"half of a reply")[..25].to_vec();
    let said = half.clone();
    let upstream = Upstream::scripted(move |mut server: Server| {
        let half = half.clone();
        async move {
            server.open().await;
            server.frame().await;
            server.send(&[wire::notification("/a"), half].concat()).await;
            server.fin().await;
        }
    })
    .await;
    let proxy = Proxy::start(&upstream).await;
    let expected = [welcome(), wire::notification("/a"), said].concat();
    comes_to_nothing(upstream, proxy, &expected, "upstream_closed").await;
}

#[tokio::test]
async fn an_answer_that_is_no_connect_response_is_not_passed_on() {
    let wrong_password = [&welcome()[..20], &[0, 0, 0, 15], &welcome()[24..]].concat();
    for answer in [wire::reply(-4, 0, b""), vec![0xff; 60], b"HTTP/1.1 400 Bad Request\r\n".to_vec(), wrong_password] {
        let upstream = says_and_hangs_up(answer).await;
        let proxy = Proxy::start(&upstream).await;
        let upstream = comes_to_nothing(upstream, proxy, b"", "upstream_malformed").await;
        assert_eq!(upstream.only().bytes, b"");
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_at_the_deadline() {
    let upstream = Upstream::scripted(|mut server: Server| async move { server.stall().await }).await;
    let proxy = Proxy::with(Setup::new(&upstream).set("upstream.response_timeout", "300ms")).await;
    comes_to_nothing(upstream, proxy, b"", "upstream_timeout").await;
}

#[tokio::test]
async fn a_server_that_does_not_accept_the_credential_is_given_up_at_the_deadline() {
    let upstream = Upstream::scripted(|mut server: Server| async move {
        server.grant().await;
        server.stall().await;
    })
    .await;
    let proxy = Proxy::with(Setup::new(&upstream).set("upstream.response_timeout", "300ms")).await;
    comes_to_nothing(upstream, proxy, &welcome(), "upstream_timeout").await;
}

#[tokio::test]
async fn an_answered_credential_leaves_no_deadline_behind() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(Setup::new(&upstream).set("upstream.response_timeout", "300ms")).await;
    let mut client = Client::open(proxy.address).await;
    proxy.admin.becomes("zoogate_auth_injections_total{result=\"accepted\"}", 1.0).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    client.ask(1, op::GET_DATA, b"/a").await;
    client.hang_up().await;
    upstream.finish().await;
    proxy.finish(&["client_closed"]).await;
}

#[tokio::test]
async fn a_client_that_leaves_while_the_server_is_silent_takes_its_connection_along() {
    let upstream = Upstream::scripted(|mut server: Server| async move {
        server.connect_request().await;
        server.stall().await;
    })
    .await;
    let proxy = Proxy::start(&upstream).await;
    for pipelined in [vec![], wire::request(1, op::GET_DATA, b"/a")] {
        for leave in [Client::reset, |client: Client| drop(client.stream)] {
            let mut client = Client::connect(proxy.address, &PKI.alice).await;
            let count = upstream.seen().len();
            client.send(&[hello(), pipelined.clone()].concat()).await;
            eventually("the connection to the server", async || upstream.seen().len() > count).await;
            leave(client);
            // The default deadline for the server's answer is longer than any test waits.
            upstream.finish().await;
        }
    }
    proxy.finish(&["client_closed"; 4]).await;
}

#[tokio::test]
async fn a_zookeeper_that_is_not_there_is_a_warning_once_and_a_goodbye_for_each_client() {
    let mut upstream = Upstream::start().await;
    let proxy = Proxy::start(&upstream).await;
    upstream.close().await;
    for _ in 0..3 {
        let mut client = Client::connect(proxy.address, &PKI.alice).await;
        client.send(&hello()).await;
        client.goodbye().await;
    }
    assert_eq!(proxy.admin.reasons().await, ["upstream_unreachable"; 3]);
    let unreachable = |event: &serde_json::Value| event["message"].as_str().unwrap().contains("can't be reached");
    let warnings = proxy.take_log("WARN");
    assert_eq!(warnings.iter().filter(|event| unreachable(event)).count(), 1, "{warnings:#?}");
    assert_eq!(proxy.admin.metrics().await.of("zoogate_upstream_connect_failures_total"), 3.0);
    proxy.finish(&["upstream_unreachable"; 3]).await;
}
