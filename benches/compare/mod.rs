//! Measures what zoogate costs, beside a bare TLS relay and HAProxy, in interleaved rounds.
//!
//! The clients and a ZooKeeper that only pretends live in this process; each relay is a process of its own, and
//! only the CPU time and the memory of that process count.

mod report;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use crate::common::client::Clients;
use crate::common::load::{self, Load, Operation};
use crate::common::target::{Place, Programs, Target};
use crate::common::upstream;
use report::Report;

#[derive(Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    programs: Programs,
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Handshakes per relay and round.
    #[arg(long, default_value_t = 2000)]
    handshakes: usize,
    /// Handshakes per relay and round, each with a certificate that was not seen before.
    #[arg(long, default_value_t = 2000)]
    newcomers: usize,
    /// Reads of 100 bytes per relay and round.
    #[arg(long, default_value_t = 100_000)]
    requests: usize,
    /// Reads of 1 MB per relay and round.
    #[arg(long, default_value_t = 1000)]
    bulk: usize,
    /// Idle sessions per relay.
    #[arg(long, default_value_t = 5000)]
    idle: usize,
    /// How often idle sessions are measured.
    #[arg(long, default_value_t = 3)]
    idle_rounds: usize,
    /// Let clients offer X25519MLKEM768 too, which OpenSSL 3.0 does not know.
    #[arg(long)]
    post_quantum: bool,
    /// Pin relays to this CPU (`taskset`).
    #[arg(long)]
    cpu: Option<String>,
}

pub(crate) async fn run(arguments: &RunArguments) -> anyhow::Result<()> {
    let clients = Clients::load(&arguments.programs.directory, arguments.post_quantum)?;
    let upstream = upstream::start().await?;
    let targets = arguments.programs.targets();
    let mut report = Report::new(targets.iter().map(Target::name).collect());
    busy_rounds(arguments, &clients, (&targets, upstream), &mut report).await?;
    for round in 0..arguments.idle_rounds {
        for target in &targets {
            let place = place(arguments, upstream);
            let relay = target.start(&place).await?;
            let kib = load::idle(&clients, &relay, arguments.idle).await.context(target.name())?;
            report.add("RSS KiB per idle session", target.name(), kib);
            println!("idle round {round}: {} {kib:.2} KiB", target.name());
        }
    }
    print!("{report}");
    Ok(())
}

/// Every load on every relay in every round, so that what else the machine does meets all alike.
async fn busy_rounds(
    arguments: &RunArguments,
    clients: &Clients,
    (targets, upstream): (&[Target], SocketAddr),
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut relays = Vec::new();
    for target in targets {
        relays.push((target.name(), target.start(&place(arguments, upstream)).await?));
    }
    let loads = [
        load("CPU µs per handshake", 16, arguments.handshakes, Operation::Handshake { newcomer: false }),
        load("CPU µs per first handshake", 16, arguments.newcomers, Operation::Handshake { newcomer: true }),
        load("CPU µs per request", 64, arguments.requests, Operation::Read(100)),
        load("CPU µs per MB", 8, arguments.bulk, Operation::Read(1_000_000)),
    ];
    // The first round warms up and does not count.
    for round in 0..=arguments.rounds {
        for load in loads.iter().filter(|load| load.count > 0) {
            for index in 0..relays.len() {
                // Each relay goes first in turn.
                let (name, relay) = &relays[(index + round) % relays.len()];
                let cost = load.run(clients, relay).await.with_context(|| format!("{name}: {}", load.figure))?;
                if round > 0 {
                    println!("round {round}: {}: {name} {cost:.2}", load.figure);
                    report.add(load.figure, name, cost);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    Ok(())
}

fn load(figure: &'static str, connections: usize, count: usize, operation: Operation) -> Load {
    Load { figure, connections, count, operation }
}

fn place<'a>(arguments: &'a RunArguments, upstream: SocketAddr) -> Place<'a> {
    let (directory, cpus) = (&*arguments.programs.directory, arguments.cpu.as_deref());
    Place { directory, upstream, cpus, role: "", workers: Some(1), connections: 6000, keys: "" }
}
