//! Measurements that anybody can rerun, each by its script: what zoogate costs beside a bare TLS relay and HAProxy
//! (`run.sh`), whether sessions live through a reconnect storm (`storm.sh`), and what strangers can do (`hostile.sh`).
//! `README.md` says what the figures mean.

#![expect(clippy::print_stdout, reason = "the figures are this program's output")]

mod common;
mod compare;
mod hostile;
mod storm;

use anyhow::bail;
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use common::{bare, upstream};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Cargo adds it to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Verb {
    /// Measures what every relay costs under every load.
    Run(compare::RunArguments),
    /// Measures how sessions live through a reconnect storm.
    Storm(storm::StormArguments),
    /// Measures what strangers and bad clients cost.
    Hostile(hostile::HostileArguments),
    /// Is the bare relay.
    Bare(bare::BareArguments),
    /// Is the ZooKeeper that only pretends.
    Upstream,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().verb {
        Some(Verb::Bare(arguments)) => bare::run(&arguments),
        Some(Verb::Upstream) => upstream::run(),
        Some(Verb::Run(arguments)) => until_stopped(compare::run(&arguments)),
        Some(Verb::Storm(arguments)) => until_stopped(storm::run(&arguments)),
        Some(Verb::Hostile(arguments)) => until_stopped(hostile::run(&arguments)),
        None => {
            println!("run it by one of benches/*.sh, which prepare certificates and relays");
            Ok(())
        }
    }
}

/// Relays are ended when their guards are dropped, also when this program is interrupted.
fn until_stopped(measurement: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            result = measurement => result,
            stopped = stop() => stopped,
        }
    })
}

async fn stop() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    bail!("stopped")
}
