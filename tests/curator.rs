//! Ensembles that tell clients where their servers are: what Curator makes of it, and what gates tell instead.
#![allow(clippy::unwrap_used, reason = "a test that can't go on stops there")]

#[path = "curator/addresses.rs"]
mod addresses;
#[path = "curator/client.rs"]
mod client;
#[path = "curator/ensemble.rs"]
mod ensemble;
mod support;

use std::net::{IpAddr, SocketAddr};

use client::Client;
use ensemble::{Configuration, Seat, Server, shared_port, start};
use support::gate::Gate;
use support::pki::{Pki, Profile};
use support::wire::{self, Wire, op};
use support::{der, wait_for};

const HOSTS: [&str; 3] = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];

/// Three servers, each on a port of 127.0.0.1 and with a quorum host of its own, and before each a gate at that host;
/// all gates have the same port.
struct Site {
    pki: Pki,
    servers: Vec<Server>,
    gates: Vec<Gate>,
    port: u16,
}

impl Site {
    /// Starts them; `section` is of the gates' configuration.
    fn start(section: &str) -> Self {
        let pki = Pki::new();
        pki.java_key_store("alice");
        pki.java_trust_store();
        let mut server = Profile::server();
        server.alternative_names.extend((2..=3).map(|last| der::tlv(0x87, &[127, 0, 0, last])));
        pki.save("server", &pki.ca.issue(&server));
        let seats = HOSTS.map(|host| Seat::new(host, "127.0.0.1"));
        let servers = start("3.9.5", &seats, Configuration::Dynamic);
        let port = shared_port(&HOSTS.map(|host| host.parse::<IpAddr>().unwrap()));
        let gate = |(host, seat): (&str, &Seat)| {
            let yaml = Gate::config(&pki, seat.client).replace("LISTEN", &format!("{host}:{port}"));
            Gate::start(&(yaml + section))
        };
        let gates = HOSTS.into_iter().zip(&seats).map(gate).collect();
        Self { pki, servers, gates, port }
    }

    /// Where clients connect, in the order of these hosts.
    fn connect_string(&self, hosts: [&str; 3]) -> String {
        hosts.map(|host| format!("{host}:{}", self.port)).join(",")
    }

    /// Which of the three gates a client is connected to.
    fn gate_of(&self, client: &mut Client) -> Option<usize> {
        let address = client.ask("server");
        let host = address.strip_suffix(&format!(":{}", self.port))?;
        HOSTS.iter().position(|known| *known == host)
    }

    /// Kills the server behind the gate that a client is connected to; returns which.
    fn kill_server_of(&mut self, client: &mut Client) -> usize {
        let index = self.gate_of(client).expect("a connection to a gate");
        // Where the leader dies, the others don't serve for a moment either.
        for gate in &mut self.gates {
            gate.expect_log("ZooKeeper does not serve any more");
            gate.expect_log("ZooKeeper can't be reached");
        }
        self.servers[index].kill();
        index
    }

    fn kill_gate(&mut self, index: usize) {
        self.gates[index].signal("KILL");
        self.gates[index].wait();
    }

    /// Creates a znode through the gate at this host.
    fn create(&self, host: &str, path: &str) {
        let address = SocketAddr::new(host.parse().unwrap(), self.port);
        let mut wire = Wire::tls(address, &self.pki.ca, &self.pki.alice).unwrap();
        wire.open_new();
        let created = wire.request(op::CREATE, &wire::create(path, &[(31, "world", "anyone")], 0)).unwrap();
        assert_eq!(created.unwrap().error, 0);
    }
}

const AT_WORK: &str = "connected, leads, locks, is present, in the same session";

#[test]
fn curators_recipes_survive_the_death_of_a_server_and_of_a_gate() {
    let mut site = Site::start("");
    site.create(HOSTS[0], "/app");
    // Curator sorts what it is told, so this order shows where the connect string comes from.
    let given = site.connect_string(["127.0.0.3", "127.0.0.2", "127.0.0.1"]) + "/app";
    let told = site.connect_string(HOSTS) + "/app";
    let mut client = Client::start(&site.pki, &given);
    assert_eq!(client.ask("start"), AT_WORK);
    assert_eq!(client.ask("servers"), told);

    let first = site.kill_server_of(&mut client);
    assert_eq!(client.ask("work"), AT_WORK, "after the death of its server");
    let second = site.gate_of(&mut client).filter(|second| *second != first).expect("a connection elsewhere");
    site.kill_gate(second);
    assert_eq!(client.ask("work"), AT_WORK, "after the death of its gate");
    assert_eq!(site.gate_of(&mut client), Some(3 - first - second), "one way to the ensemble is left");
    assert_eq!(client.ask("servers"), told);
    assert_eq!(client.ask("states"), "[CONNECTED, SUSPENDED, RECONNECTED, SUSPENDED, RECONNECTED]");
}

#[test]
fn curator_loses_an_ensemble_that_tells_it_loopback_addresses() {
    let mut site = Site::start("ensemble: { advertise: off }\n");
    let mut client = Client::start(&site.pki, &site.connect_string(HOSTS));
    assert_eq!(client.ask("start"), AT_WORK);
    let told: Vec<String> = site.servers.iter().map(|server| server.seat.client.to_string()).collect();
    assert_eq!(client.ask("servers"), told.join(","), "the servers' ports, which have no TLS");

    // Curator believes that at the first end of a connection, but may have chosen the next gate by then.
    let first = site.kill_server_of(&mut client);
    let states = wait_for(|| {
        Some(client.ask("states")).filter(|states| states.contains("RECONNECTED") || states.contains("LOST"))
    });
    assert!(states.is_some(), "neither back nor lost");
    let second = site.gate_of(&mut client);
    if let Some(second) = second {
        site.kill_gate(second);
    }
    assert_eq!(client.ask("lost"), "lost for good, leads not");
    assert!(client.ask("states").ends_with("SUSPENDED, LOST]"));
    assert_eq!(client.ask("servers"), told.join(","));
    // It is not for want of an ensemble.
    let left = (0..3).find(|left| *left != first && Some(*left) != second).unwrap();
    site.create(HOSTS[left], "/elsewhere");
}
