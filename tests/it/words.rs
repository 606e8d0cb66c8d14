//! Four-letter words, which come inside TLS as the first bytes of a connection.

use crate::support::client::Client;
use crate::support::pki::PKI;
use crate::support::proxy::Proxy;
use crate::support::setup::Setup;
use crate::support::upstream::{Server, Upstream};
use crate::support::{End, wire};
use tokio::io::AsyncReadExt;

/// A server that answers each word by an echo of it, and closes.
async fn echoing() -> Upstream {
    Upstream::scripted(|mut server: Server| async move {
        let mut word = [0; 4];
        server.stream.read_exact(&mut word).await.unwrap();
        server.send(&[b"the answer to ", &word[..]].concat()).await;
        server.fin().await;
    })
    .await
}

fn count(result: &str) -> String {
    format!("zoogate_four_letter_words_total{{result=\"{result}\"}}")
}

#[tokio::test]
async fn allowed_words_are_answered_by_zookeeper() {
    let upstream = echoing().await;
    let proxy = Proxy::start(&upstream).await;
    for word in ["ruok", "srvr", "isro"] {
        let mut client = Client::connect(proxy.address, &PKI.alice).await;
        client.send(word.as_bytes()).await;
        let answer = format!("the answer to {word}").into_bytes();
        assert_eq!(client.rest().await, (answer, End::Goodbye));
    }
    upstream.finish().await;
    assert_eq!(proxy.admin.metrics().await.of(&count("allowed")), 3.0);
    proxy.finish(&["four_letter_word"; 3]).await;
}

#[tokio::test]
async fn a_client_that_half_closes_behind_its_word_gets_the_answer() {
    let upstream = echoing().await;
    let proxy = Proxy::start(&upstream).await;
    let mut client = Client::connect(proxy.address, &PKI.alice).await;
    client.send(b"ruok").await;
    client.half_close().await;
    assert_eq!(client.rest().await, (b"the answer to ruok".to_vec(), End::Goodbye));
    upstream.finish().await;
    proxy.finish(&["four_letter_word"]).await;
}

#[tokio::test]
async fn other_words_are_refused_in_zookeepers_own_words_and_never_reach_it() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(Setup::new(&upstream).set("four_letter_words.allow", "[srvr]")).await;
    for word in ["dump", "ruok", "crst", "stmk"] {
        let mut client = Client::connect(proxy.address, &PKI.alice).await;
        client.send(word.as_bytes()).await;
        let refusal = format!("{word} is not executed because it is not in the whitelist.\n").into_bytes();
        assert_eq!(client.rest().await, (refusal, End::Goodbye));
    }
    assert!(upstream.seen().is_empty());
    assert_eq!(proxy.admin.metrics().await.of(&count("refused_by_gate")), 4.0);
    assert_eq!(proxy.admin.reasons().await, ["four_letter_word_refused"; 4]);
    let detail = proxy.records()[0]["detail"].to_string();
    assert!(detail.contains("zoogate refused dump: four_letter_words.allow does not list it"), "{detail}");
    proxy.finish(&["four_letter_word_refused"; 4]).await;
}

/// The client reads the same sentence; the record and the metric tell whose refusal it was.
#[tokio::test]
async fn a_word_that_zookeeper_refuses_is_told_from_one_that_the_gate_refuses() {
    let upstream = Upstream::scripted(|mut server: Server| async move {
        let mut word = [0; 4];
        server.stream.read_exact(&mut word).await.unwrap();
        let word = String::from_utf8(word.to_vec()).unwrap();
        server.dribble(format!("{word} is not executed because it is not in the whitelist.\n").as_bytes()).await;
        server.fin().await;
    })
    .await;
    let proxy = Proxy::start(&upstream).await;
    let mut client = Client::connect(proxy.address, &PKI.alice).await;
    client.send(b"ruok").await;
    let refusal = b"ruok is not executed because it is not in the whitelist.\n".to_vec();
    assert_eq!(client.rest().await, (refusal, End::Goodbye));
    upstream.finish().await;
    let metrics = proxy.admin.metrics().await;
    let counts = ["refused_by_zookeeper", "refused_by_gate", "allowed"].map(|result| metrics.of(&count(result)));
    assert_eq!(counts, [1.0, 0.0, 0.0]);
    assert_eq!(proxy.admin.reasons().await, ["four_letter_word"]);
    let detail = proxy.records()[0]["detail"].to_string();
    assert!(detail.contains("ZooKeeper refused ruok: its 4lw.commands.whitelist"), "{detail}");
    proxy.finish(&["four_letter_word"]).await;
}

#[tokio::test]
async fn a_word_is_none_once_a_session_is_open() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::start(&upstream).await;
    let mut client = Client::open(proxy.address).await;
    client.send(b"ruok").await;
    client.goodbye().await;
    upstream.finish().await;
    assert_eq!(wire::frames(&upstream.only().bytes).len(), 1, "the injected packet alone");
    proxy.finish(&["frame_too_large"]).await;
}

#[tokio::test]
async fn a_word_to_a_silent_server_ends_at_the_deadline() {
    let upstream = Upstream::scripted(|mut server: Server| async move { server.stall().await }).await;
    let proxy = Proxy::with(Setup::new(&upstream).set("upstream.response_timeout", "300ms")).await;
    let mut client = Client::connect(proxy.address, &PKI.alice).await;
    client.send(b"ruok").await;
    client.goodbye().await;
    upstream.finish().await;
    proxy.finish(&["upstream_timeout"]).await;
}

#[tokio::test]
async fn a_word_to_no_server_is_unreachable() {
    let mut upstream = Upstream::start().await;
    let proxy = Proxy::start(&upstream).await;
    upstream.close().await;
    let mut client = Client::connect(proxy.address, &PKI.alice).await;
    client.send(b"ruok").await;
    client.goodbye().await;
    assert_eq!(proxy.admin.reasons().await, ["upstream_unreachable"]);
    proxy.take_log("WARN");
    proxy.finish(&["upstream_unreachable"]).await;
}
