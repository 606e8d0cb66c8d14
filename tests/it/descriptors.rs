//! Out of descriptors: the program waits for better times and goes on.

use tokio::net::TcpStream;

use crate::support::client::Client;
use crate::support::process::Process;
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;
use crate::support::wire::op;
use crate::support::{eventually, soon};

#[tokio::test]
async fn running_out_of_descriptors_is_survived_and_counted() {
    let upstream = Upstream::start().await;
    let process = Process::start(Setup::new(&upstream), Some(64)).await;
    let mut old = Client::open(process.address).await;
    old.ask(1, op::GET_DATA, b"/before").await;
    let mut crowd = Vec::new();
    for _ in 0..100 {
        crowd.push(TcpStream::connect(process.address).await.unwrap());
    }
    let exhausted = "accepting connections fails";
    let said = |text: &str| process.log().iter().any(|event| event["message"].as_str().unwrap().contains(text));
    eventually("a warning", async || said(exhausted)).await;
    // Who is in is served; who comes, to either port, waits.
    old.ask(2, op::GET_DATA, b"/meanwhile").await;
    let scrape = tokio::spawn(process.admin.metrics());
    let address = process.address;
    let new = tokio::spawn(async move {
        let mut client = Client::open(address).await;
        client.ask(1, op::GET_DATA, b"/after").await;
        client
    });
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(!new.is_finished());
    drop(crowd);
    let new = soon("the client that waited", new).await.unwrap();
    soon("the scrape that waited", scrape).await.unwrap();
    let errors = process.admin.metrics().await.of("zoogate_accept_errors_total{kind=\"descriptors\"}");
    assert!((1.0..200.0).contains(&errors), "{errors} errors: it should wait between attempts");
    new.hang_up().await;
    old.hang_up().await;
    let reasons = process.admin.reasons().await;
    assert_eq!(reasons.iter().filter(|reason| *reason == "client_closed").count(), 2, "{reasons:?}");
    assert_eq!(reasons.iter().filter(|reason| *reason == "probe").count(), 100, "{reasons:?}");
    let admin = "the admin address can't accept a connection";
    process.finish(&[exhausted, admin, "too few open files", "does not serve any more"]).await;
}
