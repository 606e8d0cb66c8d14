//! Nobody reads the logs any more: the program goes on.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::client::Client;
use crate::support::metrics::Admin;
use crate::support::setup::Setup;
use crate::support::soon;
use crate::support::upstream::Upstream;
use crate::support::wire::op;

#[tokio::test]
async fn a_closed_log_is_survived() {
    let upstream = Upstream::start().await;
    let setup = Setup::new(&upstream).set("log.format", "json").set("upstream.probe_interval", "100ms");
    let setup = setup.set("upstream.probe_timeout", "100ms");
    let (mut child, address, admin) = start_and_deafen(&setup);
    let mut client = Client::open(address).await;
    client.ask(1, op::GET_DATA, b"/a").await;
    client.hang_up().await;
    assert_eq!(admin.reasons().await, ["client_closed"]);
    // Events that are not a connection's: each would be logged, too.
    drop(upstream);
    admin.becomes("zoogate_upstream_up", 0.0).await;
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    let ended = tokio::task::spawn_blocking(move || child.wait().unwrap());
    assert!(soon("the end of the process", ended).await.unwrap().success());
}

/// Starts the program, and closes the pipes of its output once it serves.
fn start_and_deafen(setup: &Setup) -> (Child, SocketAddr, Admin) {
    let path = setup.directory.path().join("zoogate.yaml");
    std::fs::write(&path, setup.text()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_zoogate"));
    command.args(["run", "--config"]).arg(path).env_remove("RUST_LOG").stdin(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut events = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let serving = events.find(|event| event["message"] == "serving").unwrap();
    let address = |field: &str| {
        let text = serving[field].as_str().unwrap().trim_start_matches(|c: char| !c.is_ascii_digit());
        text.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().unwrap()
    };
    (child, address("listeners"), Admin(address("admin")))
}
