//! Every door of a real server that does not lead through the gate: tried, found, and closed by what `check` advises.
#![allow(clippy::unwrap_used, reason = "a test that can't go on stops there")]

mod support;

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use support::free_address;
use support::gate::{Gate, zoogate};
use support::pki::Pki;
use support::zookeeper::{Factory, ZooKeeper, ZooKeeperConfig};

/// What `zkServer.sh` gives to Java unless JMXDISABLE is set.
const JMX: [&str; 2] = ["-Dcom.sun.management.jmxremote", "-Dcom.sun.management.jmxremote.local.only=false"];

/// Ports by the name that `check` gives them.
struct Doors {
    server: ZooKeeper,
    ports: Vec<(&'static str, u16)>,
}

/// An ensemble of one server with all doors open, and then the settings `more`.
fn server(pki: &Pki, more: &[String]) -> Doors {
    let (quorum, election) = (free_address(), free_address().port());
    let mut config = ZooKeeperConfig::new("3.9.5", Factory::Netty)
        .secure(pki)
        .member(1, &[format!("server.1={quorum}:{election}")])
        .line("standaloneEnabled=false")
        .line("quorumListenOnAllIPs=true")
        .line("clientPortAddress=0.0.0.0")
        .line("secureClientPortAddress=0.0.0.0");
    if !more.iter().any(|line| line == "JMXDISABLE=true") {
        config = JMX.iter().fold(config, |config, flag| config.jvm(flag));
    }
    // ZooKeeper takes the last line of a key.
    let settings = more.iter().filter(|line| !line.starts_with("JMX"));
    let server = settings.fold(config, |config, line| config.line(line)).start();
    let secure = server.secure_address().port();
    let named = [("quorum port", quorum.port()), ("election port", election)];
    let clients = [("secureClientPort", secure), ("ZooKeeper's port", server.address().port())];
    Doors { server, ports: named.into_iter().chain(clients).collect() }
}

/// What `check --upstream` warns of, and what it prints.
fn checked(pki: &Pki, server: &ZooKeeper) -> (Vec<String>, String) {
    let file = pki.path("zoogate.yaml");
    let config = Gate::config(pki, server.address());
    let placed = config.replace("LISTEN", &free_address().to_string()).replace("ADMIN", &free_address().to_string());
    fs::write(&file, placed).unwrap();
    let output = zoogate(&["check", "--upstream", "--config", file.to_str().unwrap()]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let warnings = String::from_utf8(output.stderr).unwrap();
    (warnings.lines().map(str::to_owned).collect(), String::from_utf8(output.stdout).unwrap())
}

/// Whether somebody who is not at 127.0.0.1 gets in. Of loopback this address serves: what listens at 127.0.0.1 alone
/// does not answer there.
fn gets_in(port: u16) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 2], port)), Duration::from_secs(2)).is_ok()
}

/// The setting that a warning advises.
fn advised(warning: &str) -> Option<String> {
    let mut settings =
        warning.split_ascii_whitespace().filter(|word| word.contains('=') && !word.contains(['(', ')', ';']));
    settings.next_back().map(str::to_owned)
}

#[test]
fn each_open_door_is_named_and_closed_by_the_line_that_is_advised() {
    let pki = Pki::new();
    let open = server(&pki, &[]);
    let (warnings, printed) = checked(&pki, &open.server);
    for (name, port) in &open.ports {
        assert!(gets_in(*port), "{name} {port}");
        let named =
            |line: &&String| line.contains(name) && line.contains(&format!(":{port}: ")) && line.contains("set ");
        let open = |line: &&String| line.contains(&format!("{name} ")) && line.contains(&format!(":{port}: open; "));
        assert!(warnings.iter().any(|line| named(&line) || open(&line)), "{name} {port}: {warnings:#?}");
    }
    let jmx = warnings.iter().find(|line| line.starts_with("warning: JMX [::]:")).expect("a warning of JMX");
    let port = jmx.split(": open").next().and_then(|place| place.rsplit(':').next()?.parse().ok()).unwrap();
    assert!(gets_in(port), "{jmx}");
    assert!(!printed.contains(": closed"), "{printed}");

    let lines: Vec<String> = warnings.iter().filter_map(|warning| advised(warning)).collect();
    drop(open);
    let closed = server(&pki, &lines);
    let (warnings, printed) = checked(&pki, &closed.server);
    let still: Vec<_> = warnings.iter().filter(|line| line.contains("open")).collect();
    assert!(still.is_empty(), "{lines:?} {still:#?}");
    for (name, port) in &closed.ports {
        assert!(!gets_in(*port), "{name} {port}: {lines:?}");
        // The client port is the gate's.
        if *name != "ZooKeeper's port" {
            let line =
                |line: &str| line.starts_with(name) && line.ends_with(&format!(":{port}: closed, on loopback only"));
            assert!(printed.lines().any(line), "{name} {port}: {printed}");
        }
    }
}
