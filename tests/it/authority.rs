//! Authority ends when it ends: live connections are judged again, and a reload as such disturbs nobody.

use std::time::Duration;

use crate::support::client::Client;
use crate::support::pki::{PKI, Who};
use crate::support::proxy::Proxy;
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;
use crate::support::wire::{self, op};

async fn start(upstream: &Upstream, keys: &[(&str, &str)]) -> Proxy {
    let setup = Setup::new(upstream).set("reload.interval", "100ms").set("tls.expiry_warning", "off");
    std::fs::write(setup.directory.path().join("ca.crl"), PKI.crl(1, false)).unwrap();
    Proxy::with(keys.iter().fold(setup, |setup, (key, value)| setup.set(key, value))).await
}

async fn connect(proxy: &Proxy, who: &Who) -> Client {
    let mut client = Client::connect(proxy.address, who).await;
    client.send(&wire::hello()).await;
    client.welcome().await;
    client
}

/// Asks for something and gets it.
async fn works(client: &mut Client, xid: i32) {
    client.ask(xid, op::GET_DATA, b"").await;
}

async fn judged(proxy: &Proxy, trigger: &str, result: &str, connections: f64) {
    let sample = format!("zoogate_connections_revalidated_total{{result=\"{result}\",trigger=\"{trigger}\"}}");
    proxy.admin.becomes(&sample, connections).await;
}

#[tokio::test]
async fn a_connection_ends_with_its_certificate() {
    let upstream = Upstream::answering().await;
    let proxy = start(&upstream, &[]).await;
    let short_lived = connect(&proxy, &PKI.short_lived(Duration::from_secs(4))).await;
    let mut bob = connect(&proxy, &PKI.bob).await;
    short_lived.goodbye().await;
    judged(&proxy, "expiry", "closed", 1.0).await;
    works(&mut bob, 1).await;
    bob.hang_up().await;
    proxy.finish(&["certificate_expired", "client_closed"]).await;
}

#[tokio::test]
async fn a_margin_ends_it_earlier() {
    let upstream = Upstream::answering().await;
    let proxy = start(&upstream, &[("tls.expiry_margin", "1h")]).await;
    let client = connect(&proxy, &PKI.short_lived(Duration::from_secs(3604))).await;
    client.goodbye().await;
    proxy.finish(&["certificate_expired"]).await;
}

#[tokio::test]
async fn who_comes_back_with_the_same_certificate_within_the_margin_is_not_cut_again_and_again() {
    let upstream = Upstream::answering().await;
    let proxy = start(&upstream, &[("tls.expiry_margin", "1h")]).await;
    let mut client = connect(&proxy, &PKI.short_lived(Duration::from_secs(3000))).await;
    proxy.write("server.pem", &PKI.renewed_server());
    judged(&proxy, "reload", "kept", 1.0).await;
    works(&mut client, 1).await;
    client.hang_up().await;
    proxy.finish(&["client_closed"]).await;
}

#[tokio::test]
async fn a_client_whose_certificate_ends_soon_is_named_once_however_often_it_connects() {
    let upstream = Upstream::answering().await;
    let proxy = start(&upstream, &[("tls.expiry_warning", "2h")]).await;
    let soon = PKI.short_lived(Duration::from_secs(3600));
    for who in [&soon, &PKI.bob, &soon] {
        connect(&proxy, who).await.hang_up().await;
    }
    proxy.admin.becomes("zoogate_connections_closed_total{reason=\"client_closed\"}", 3.0).await;
    let warnings = proxy.take_log("WARN");
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    assert_eq!((&warnings[0]["identity"], &warnings[0]["connections"]), (&"CN=short-lived".into(), &1.into()));
    assert!(warnings[0]["not_after"].as_str().unwrap().ends_with('Z'), "{warnings:#?}");
    proxy.finish(&["client_closed"; 3]).await;
}

#[tokio::test]
async fn a_revoked_client_is_cut_off_and_the_others_stay() {
    let upstream = Upstream::answering().await;
    let proxy = start(&upstream, &[("tls.crls", "ca.crl")]).await;
    let alice = connect(&proxy, &PKI.alice).await;
    let mut bob = connect(&proxy, &PKI.bob).await;
    proxy.write("ca.crl", &PKI.crl(2, true));
    alice.goodbye().await;
    judged(&proxy, "reload", "closed", 1.0).await;
    judged(&proxy, "reload", "kept", 1.0).await;
    works(&mut bob, 1).await;
    bob.hang_up().await;
    proxy.finish(&["certificate_revoked", "client_closed"]).await;
}

/// The snapshot that a connection is judged by is that of its beginning.
#[tokio::test]
async fn a_client_that_was_let_in_by_what_has_been_replaced_meanwhile_is_cut_off_too() {
    let upstream = Upstream::answering().await;
    let proxy = start(&upstream, &[("tls.crls", "ca.crl")]).await;
    let early = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
    proxy.admin.becomes("zoogate_connections{state=\"handshaking\"}", 1.0).await;
    proxy.write("ca.crl", &PKI.crl(2, true));
    proxy.admin.becomes("zoogate_material_generation{material=\"crls\",of=\"loaded\"}", 2.0).await;
    let mut alice = Client::over(early, Some(&PKI.alice)).await.unwrap();
    alice.send(&wire::hello()).await;
    alice.welcome().await;
    alice.goodbye().await;
    proxy.finish(&["certificate_revoked"]).await;
}

#[tokio::test]
async fn a_ca_that_is_trusted_no_more_takes_its_clients_along() {
    let upstream = Upstream::answering().await;
    let proxy = start(&upstream, &[]).await;
    let alice = connect(&proxy, &PKI.alice).await;
    proxy.write("trust.pem", &PKI.other_ca);
    alice.goodbye().await;
    let stranger = connect(&proxy, &PKI.stranger).await;
    stranger.hang_up().await;
    proxy.finish(&["no_longer_trusted", "client_closed"]).await;
}

#[tokio::test]
async fn who_only_observes_hears_of_it_and_closes_nothing() {
    let upstream = Upstream::answering().await;
    let proxy = start(&upstream, &[("tls.crls", "ca.crl"), ("tls.revalidate", "observe")]).await;
    let mut alice = connect(&proxy, &PKI.alice).await;
    proxy.write("ca.crl", &PKI.crl(2, true));
    judged(&proxy, "reload", "observed", 1.0).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    works(&mut alice, 1).await;
    alice.hang_up().await;
    proxy.finish(&["client_closed"]).await;
}

#[tokio::test]
async fn a_reload_as_such_disturbs_nobody() {
    let upstream = Upstream::answering().await;
    let proxy = start(&upstream, &[]).await;
    let mut alice = connect(&proxy, &PKI.alice).await;
    proxy.write("server.pem", &PKI.renewed_server());
    proxy.admin.becomes("zoogate_reload_total{material=\"key_store\",result=\"ok\"}", 1.0).await;
    judged(&proxy, "reload", "kept", 1.0).await;
    works(&mut alice, 1).await;
    let status = proxy.admin.get("/status").await.1;
    assert!(status.contains("CN=renewed"), "{status}");
    let bob = connect(&proxy, &PKI.bob).await;
    bob.hang_up().await;
    alice.hang_up().await;
    proxy.finish(&["client_closed", "client_closed"]).await;
}
