//! Three real servers that elect a leader, each with a gate in front of it.

use super::free_address;
use super::gate::Gate;
use super::pki::Pki;
use super::wait_for;
use super::zookeeper::{Factory, ZooKeeper, ZooKeeperConfig};

/// Servers and gates by index; a gate stands before the server of its index.
pub struct Ensemble {
    /// The servers.
    pub servers: Vec<ZooKeeper>,
    /// The gates, if there are any.
    pub gates: Vec<Gate>,
}

impl Ensemble {
    /// Three servers without gates, with a leader.
    pub fn plain(version: &str, factory: Factory) -> Self {
        Self::start(|| ZooKeeperConfig::new(version, factory))
    }

    /// Three servers that speak TLS themselves, with a leader.
    pub fn native(version: &str, pki: &Pki) -> Self {
        Self::start(|| ZooKeeperConfig::new(version, Factory::Netty).secure(pki))
    }

    fn start(config: impl Fn() -> ZooKeeperConfig) -> Self {
        let quorum = |number: usize| format!("server.{number}={}:{}", free_address(), free_address().port());
        let members: Vec<String> = (1..=3).map(quorum).collect();
        // Long sessions: a machine with other work must not let them expire while a leader is elected.
        let config =
            |number: usize| config().line("maxSessionTimeout=40000").line("maxClientCnxns=0").member(number, &members);
        let mut servers: Vec<ZooKeeper> = (1..=3).map(|number| config(number).spawn()).collect();
        servers.iter_mut().for_each(ZooKeeper::wait_until_serving);
        Self { servers, gates: Vec::new() }
    }

    /// Three servers with a gate each, which have one secret and the lines `more` in their configuration.
    pub fn gated(version: &str, factory: Factory, pki: &Pki, more: &str) -> Self {
        let mut ensemble = Self::plain(version, factory);
        let gate = |server: &ZooKeeper| Gate::start(&(Gate::config(pki, server.address()) + more));
        ensemble.gates = ensemble.servers.iter().map(gate).collect();
        ensemble
    }

    /// Where clients connect: all gates, or all servers where there are none.
    pub fn hosts(&self) -> String {
        let gates: Vec<String> = self.gates.iter().map(|gate| gate.address().to_string()).collect();
        let servers = self.servers.iter().map(|server| server.address().to_string());
        if gates.is_empty() { servers.collect::<Vec<_>>().join(",") } else { gates.join(",") }
    }

    /// The index of the member that a client of [`Ensemble::hosts`] is connected to.
    pub fn index_of(&self, port: u16) -> usize {
        let gates = self.gates.iter().map(|gate| gate.address().port());
        let servers = self.servers.iter().map(|server| server.address().port());
        let mut ports = gates.chain(servers);
        ports.position(|own| own == port).unwrap_or_else(|| panic!("nobody listens on port {port}")) % 3
    }

    /// The index of the server that leads; waits until there is one.
    pub fn leader(&self) -> usize {
        let leads = |server: &ZooKeeper| server.mode().as_deref() == Some("leader");
        wait_for(|| self.servers.iter().position(leads)).expect("a leader")
    }

    /// Stops the gates as an operator would, and checks their logs.
    pub fn finish(self) {
        self.gates.into_iter().for_each(Gate::finish);
    }
}
