//! Reloads of the running program: very many of them, and one while a CA gives way to another.

use std::time::Duration;

use crate::support::client::Client;
use crate::support::pki::{PKI, Who};
use crate::support::process::Process;
use crate::support::proxy::Proxy;
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;
use crate::support::wire::{self, op};
use crate::support::{eventually, soon};

async fn connect(address: std::net::SocketAddr, who: &Who) -> Client {
    let mut client = Client::connect(address, who).await;
    client.send(&wire::hello()).await;
    client.welcome().await;
    client
}

/// Whether a client of this certificate is let in.
async fn comes_in(proxy: &Proxy, who: &Who) -> bool {
    let Ok(mut client) = Client::attempt(proxy.address, Some(who)).await else { return false };
    if client.try_send(&wire::hello()).await.is_err() {
        return false;
    }
    // In TLS 1.3 a client learns of its refusal when it reads.
    let mut byte = [0];
    let read = soon("an answer", tokio::io::AsyncReadExt::read(&mut client.stream, &mut byte)).await;
    let let_in = matches!(read, Ok(1));
    client.hang_up().await;
    let_in
}

#[tokio::test]
async fn a_ca_gives_way_to_another_and_only_its_own_clients_notice() {
    let upstream = Upstream::answering().await;
    let proxy = Proxy::with(Setup::new(&upstream).set("reload.interval", "100ms")).await;
    let loaded = async |count: usize| {
        eventually("a reload", async || {
            let status = proxy.admin.status("").await;
            status["certificates"].as_array().unwrap().iter().filter(|it| it["role"] == "trust_anchor").count() == count
                && status["reload"]["problem"].is_null()
        })
        .await;
    };
    let mut old = connect(proxy.address, &PKI.alice).await;
    assert!(!comes_in(&proxy, &PKI.stranger).await, "its CA is not known yet");

    let old_ca = std::fs::read_to_string(proxy.path("trust.pem")).unwrap();
    proxy.write("trust.pem", &format!("{old_ca}{}", PKI.other_ca));
    loaded(2).await;
    let mut new = connect(proxy.address, &PKI.stranger).await;
    assert!(comes_in(&proxy, &PKI.bob).await, "those of the old CA come in as well");
    old.ask(1, op::GET_DATA, b"").await;

    proxy.write("trust.pem", &PKI.other_ca);
    loaded(1).await;
    old.goodbye().await;
    new.ask(1, op::GET_DATA, b"").await;
    assert!(!comes_in(&proxy, &PKI.bob).await);
    assert!(comes_in(&proxy, &PKI.stranger).await);
    let metrics = proxy.admin.metrics().await;
    let series = |ca: &str| {
        let name = "zoogate_certificate_not_after_timestamp_seconds";
        metrics
            .names()
            .filter(|sample| sample.starts_with(name) && sample.contains(&format!("subject_CN=\"{ca}\"")))
            .count()
    };
    assert_eq!((series("ca"), series("other ca")), (0, 1), "series vanish with their certificate");
    new.ask(2, op::GET_DATA, b"").await;
    new.hang_up().await;
    let refused = ["unknown_ca", "unknown_ca", "no_longer_trusted"];
    let left = ["client_closed"; 3];
    proxy.finish(&[&refused[..], &left[..]].concat()).await;
}

#[tokio::test]
async fn a_pinned_certificate_comes_and_goes_with_its_file_and_lets_nobody_else_in() {
    let upstream = Upstream::answering().await;
    let setup = Setup::new(&upstream).set("reload.interval", "100ms").set("tls.pinned_certificates", "pinned.pem");
    let pinned = |who: &Who| who.certificate_pem();
    std::fs::write(setup.directory.path().join("pinned.pem"), pinned(&PKI.bob)).unwrap();
    let proxy = Proxy::with(setup).await;
    assert!(!comes_in(&proxy, &PKI.stranger).await, "not pinned yet");

    proxy.write("pinned.pem", &pinned(&PKI.stranger));
    let is_pinned = |status: &serde_json::Value, name: &str| {
        let certificates = status["certificates"].as_array().unwrap().iter();
        certificates.filter(|it| it["role"] == "pinned_certificate").all(|it| it.to_string().contains(name))
    };
    eventually("a reload", async || is_pinned(&proxy.admin.status("").await, "stranger")).await;
    let stranger = connect(proxy.address, &PKI.stranger).await;
    let metrics = proxy.admin.metrics().await;
    let series = |role: &str| metrics.names().filter(|name| name.contains(&format!("role=\"{role}\""))).count();
    assert_eq!(series("pinned_certificate"), 2, "notAfter and notBefore");

    proxy.write("pinned.pem", &pinned(&PKI.bob));
    stranger.goodbye().await;
    assert!(!comes_in(&proxy, &PKI.stranger).await);
    assert!(comes_in(&proxy, &PKI.bob).await);
    proxy.finish(&["unknown_ca", "unknown_ca", "no_longer_trusted", "client_closed"]).await;
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_yet_comes_in_when_its_time_has_come() {
    let upstream = Upstream::answering().await;
    let proxy = Proxy::start(&upstream).await;
    let early = PKI.valid_from(Duration::from_secs(6));
    assert!(!comes_in(&proxy, &early).await);
    proxy.admin.becomes("zoogate_tls_handshake_failures_total{reason=\"not_yet_valid\"}", 1.0).await;
    let refusal = proxy.admin.status("").await["refusals"][0].clone();
    assert!(refusal["detail"].as_str().unwrap().contains("is not valid before"), "{refusal}");
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert!(comes_in(&proxy, &early).await);
    proxy.finish(&["not_yet_valid", "client_closed"]).await;
}

/// How many reloads come before memory is measured, and how many follow.
const WARM: usize = 200;
const ROUNDS: usize = 1000;

/// What a thousand reloads may leave behind; one snapshot with its certificates takes tens of KiB.
const GROWTH: u64 = 3 << 20;

#[tokio::test]
async fn a_thousand_reloads_leave_neither_memory_nor_descriptors_behind() {
    let upstream = Upstream::answering().await;
    let setup = Setup::new(&upstream).set("reload.interval", "off").set("tls.crls", "ca.crl");
    let crls = [PKI.crl(1, false), PKI.crl(2, false)];
    std::fs::write(setup.directory.path().join("ca.crl"), &crls[0]).unwrap();
    let servers = [PKI.renewed_server(), PKI.renewed_server()];
    let process = Process::start(setup, None).await;
    let mut alice = connect(process.address, &PKI.alice).await;
    let mut reloaded = 0;
    let mut reload = async |round: usize| {
        process.write("server.pem", &servers[round % 2]);
        process.write("ca.crl", &crls[(round + 1) % 2]);
        process.signal("HUP");
        reloaded += 1;
        eventually("a reload", async || process.said("\"message\":\"reloaded\"") >= reloaded).await;
    };
    for round in 0..WARM {
        reload(round).await;
    }
    let before = (process.memory(), process.descriptors());
    for round in 0..ROUNDS {
        reload(round).await;
    }
    let after = (process.memory(), process.descriptors());
    assert!(after.0 < before.0 + GROWTH, "{} bytes before, {} after", before.0, after.0);
    assert!(after.1 <= before.1 + 2, "{} descriptors before, {} after", before.1, after.1);
    let judged = "zoogate_connections_revalidated_total{result=\"kept\",trigger=\"reload\"}";
    let kept = process.admin.metrics().await.of(judged);
    assert!(kept >= 1.0, "the live connection was judged again");
    alice.ask(1, op::GET_DATA, b"").await;
    alice.hang_up().await;
    assert_eq!(process.admin.reasons().await, ["client_closed"]);
    process.finish(&[]).await;
}
