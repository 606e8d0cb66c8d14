//! What `/status` tells whoever was just paged: who expires when, who was refused, and what is loaded.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::eventually;
use crate::support::pki::PKI;
use crate::support::proxy::Proxy;
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;
use crate::support::wire::op;

fn of<'a>(list: &'a Value, key: &str) -> Vec<&'a Value> {
    list.as_array().unwrap().iter().map(|entry| &entry[key]).collect()
}

#[tokio::test]
async fn client_certificates_come_in_the_order_in_which_they_expire() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(Setup::new(&upstream).set("tls.expiry_warning", "off")).await;
    let soon = PKI.short_lived(Duration::from_secs(3600));
    let clients = [
        Client::connect(proxy.address, &PKI.alice).await,
        Client::connect(proxy.address, &soon).await,
        Client::connect(proxy.address, &soon).await,
    ];
    proxy.admin.becomes("zoogate_connections{state=\"opening\"}", 3.0).await;
    let status = proxy.admin.status("").await;
    let told = &status["client_certificates"];
    assert_eq!(of(told, "identity"), ["CN=short-lived", "CN=alice"]);
    assert_eq!(of(told, "connections"), [2, 1]);
    assert_eq!(told[1]["serial"], "0a11ce");
    assert_eq!(told[1]["sha256_prefix"].as_str().unwrap().len(), 16);
    let cut = proxy.admin.status("?limit=1").await;
    assert_eq!(of(&cut["client_certificates"], "identity"), ["CN=short-lived"], "the culprit is on the list");
    assert_eq!(cut["client_certificates_total"], 2);
    proxy.admin.becomes("zoogate_client_certificates", 2.0).await;
    for (within, expiring) in [("1h", 1.0), ("1d", 1.0), ("7d", 1.0), ("28d", 1.0)] {
        let sample = format!("zoogate_client_certificates_expiring{{within=\"{within}\"}}");
        assert_eq!(proxy.admin.metrics().await.of(&sample), expiring, "{within}");
    }
    for client in clients {
        client.hang_up().await;
    }
    eventually("nobody", async || proxy.admin.status("").await["client_certificates"] == json!([])).await;
    proxy.finish(&["no_request"; 3]).await;
}

#[tokio::test]
async fn an_identity_has_the_sessions_and_requests_of_all_its_connections() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::start(&upstream).await;
    let mut busy = Client::open(proxy.address).await;
    let mut idle = Client::open(proxy.address).await;
    let opening = Client::connect(proxy.address, &PKI.alice).await;
    for xid in 1..=3 {
        busy.ask(xid, op::GET_DATA, b"/a").await;
    }
    idle.ask(1, op::GET_DATA, b"/a").await;
    proxy.admin.becomes("zoogate_connections{state=\"opening\"}", 1.0).await;
    let alice = proxy.admin.status("").await["connections_by_identity"][0].clone();
    assert_eq!([&alice["connections"], &alice["sessions"], &alice["requests"]], [3, 2, 4]);
    opening.hang_up().await;
    busy.hang_up().await;
    let left = async || {
        let alice = &proxy.admin.status("").await["connections_by_identity"][0];
        [&alice["connections"], &alice["sessions"], &alice["requests"]] == [1, 1, 4]
    };
    eventually("one connection", left).await;
    idle.hang_up().await;
    proxy.finish(&["no_request", "client_closed", "client_closed"]).await;
}

#[tokio::test]
async fn who_was_refused_is_told_with_subject_and_reason() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(Setup::new(&upstream).set("identity.deny", "[ 'CN=bob' ]")).await;
    for who in [&PKI.expired, &PKI.expired, &PKI.bob] {
        if let Ok(mut client) = Client::attempt(proxy.address, Some(who)).await {
            client.rest().await;
        }
    }
    let left = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
    drop(left);
    let refusals = async || proxy.admin.status("").await["refusals"].clone();
    eventually("two refusals", async || of(&refusals().await, "times") == [1, 2]).await;
    let told = refusals().await;
    assert_eq!(of(&told, "reason"), ["denied", "expired"]);
    assert_eq!(of(&told, "subject"), ["CN=bob", "CN=expired"]);
    assert_eq!(of(&told, "identity"), [&json!("CN=bob"), &Value::Null]);
    let detail = told[1]["detail"].as_str().unwrap();
    assert!(detail.contains("expired at 2001-01-01"), "{detail}");
    proxy.finish(&["denied", "expired", "expired", "probe"]).await;
}

#[tokio::test]
async fn what_is_loaded_is_told_and_what_stands_in_the_way_of_a_reload() {
    let upstream = Upstream::start().await;
    let setup = Setup::new(&upstream).set("reload.interval", "100ms").set("tls.crls", "ca.crl");
    std::fs::write(setup.directory.path().join("ca.crl"), PKI.crl(7, true)).unwrap();
    let proxy = Proxy::with(setup).await;
    let status = proxy.admin.status("").await;
    assert_eq!(of(&status["certificates"], "role"), ["server", "trust_anchor"]);
    assert_eq!(of(&status["certificates"], "subject_cn"), ["localhost", "ca"]);
    assert_eq!(of(&status["certificates"], "issuer_cn"), ["ca", "ca"]);
    let crl = &status["crls"][0];
    assert_eq!((&crl["issuer_cn"], &crl["number"], &crl["entries"]), (&json!("ca"), &json!("7"), &json!(1)));
    assert_eq!(crl["next_update"], "2090-01-01T00:00:00Z");
    assert!(crl["file"].as_str().unwrap().ends_with("/ca.crl"));
    assert_eq!((&status["reload"]["result"], &status["reload"]["problem"]), (&json!("ok"), &Value::Null));

    proxy.write("ca.crl", "not a CRL");
    let reload = async || proxy.admin.status("").await["reload"].clone();
    eventually("a problem", async || reload().await["problem"] != Value::Null).await;
    let standing = reload().await;
    assert_eq!((&standing["result"], &standing["problem"]["pending"]), (&json!("failed"), &json!(true)));
    assert_eq!(standing["problem"]["materials"], json!(["crls"]));
    let message = standing["problem"]["messages"][0].as_str().unwrap();
    assert!(message.contains("tls.crls") && message.contains("ca.crl"), "{message}");
    let material = |of: &Value| of["materials"].as_array().unwrap().iter().find(|m| m["material"] == "crls").cloned();
    let crls = material(&standing).unwrap();
    assert_eq!(
        (&crls["current"], &crls["disk_generation"], &crls["loaded_generation"]),
        (&json!(false), &json!(2), &json!(1))
    );

    proxy.write("ca.crl", &PKI.crl(8, true));
    eventually("no problem", async || reload().await["problem"] == Value::Null).await;
    let crls = material(&reload().await).unwrap();
    assert_eq!((&crls["current"], &crls["loaded_generation"]), (&json!(true), &json!(3)));
    assert_eq!(proxy.admin.status("").await["crls"][0]["number"], "8");
    proxy.finish(&[]).await;
}
