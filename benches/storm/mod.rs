//! A reconnect storm: one server of an ensemble dies, and the clients of its gate come to this one, all at once, while
//! the clients that it has already want their replies.
//!
//! The sessions are opened through a gate of the same kind, which is then killed. Each client does what Java's does: it
//! pings every third of its session's timeout, pauses for up to a second before each attempt to come back, gives an
//! attempt up after two thirds of the timeout, and resumes by session id and password. A session that has expired is
//! lost, and its client does not ask for a new one.

mod clients;
mod report;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;

use crate::common::client::Clients;
use crate::common::steady::{Latency, Steadiness, Steady};
use crate::common::target::{Place, Programs, Target};
use crate::common::{page, upstream};
use clients::{Crowd, Storm};
use report::Report;

#[derive(Args)]
pub(crate) struct StormArguments {
    #[command(flatten)]
    programs: Programs,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How many sessions come back.
    #[arg(long, value_delimiter = ',', default_value = "2000,5000,8000")]
    sessions: Vec<usize>,
    /// How many CPUs everything has: clients, gate and server together.
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    cpus: Vec<usize>,
    /// Clients that were connected before.
    #[arg(long, default_value_t = 100)]
    established: usize,
    /// How long they are measured before the storm, in seconds.
    #[arg(long, default_value_t = 5)]
    calm: u64,
    /// Different client certificates; as many as there are sessions if it is not given.
    #[arg(long)]
    certificates: Option<usize>,
    /// Let clients offer TLS resumption.
    #[arg(long)]
    resume: bool,
    /// How long a storm may last, in seconds.
    #[arg(long, default_value_t = 60)]
    limit: u64,
    /// The page whose table is to be replaced; not by a part of the measurement.
    #[arg(long)]
    page: Option<PathBuf>,
}

/// What one storm did.
#[derive(Clone, Copy)]
pub(crate) struct Outcome {
    kept: usize,
    /// When the last of those that came back was there.
    last: Duration,
    attempts: usize,
    calm: Latency,
    during: Latency,
    /// Established clients that lost their connection.
    cut: usize,
    cpu: Duration,
}

/// What is measured in each round.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Case {
    cpus: usize,
    sessions: usize,
}

pub(crate) async fn run(arguments: &StormArguments) -> anyhow::Result<()> {
    let targets = arguments.programs.targets();
    ensure!(!targets.is_empty(), "no relay is left to be measured");
    let available = std::thread::available_parallelism()?.get();
    let mut report = Report::default();
    for round in 0..arguments.rounds {
        for &cpus in arguments.cpus.iter().filter(|cpus| **cpus <= available) {
            for &sessions in &arguments.sessions {
                for index in 0..targets.len() {
                    // Each relay goes first in turn.
                    let (target, case) = (&targets[(index + round) % targets.len()], Case { cpus, sessions });
                    let what = format!("{} with {sessions} sessions, {cpus} CPU", target.name());
                    let outcome = Box::pin(storm(arguments, target, case)).await.with_context(|| what.clone())?;
                    println!("round {}: {what}: {outcome}", round + 1);
                    report.add(case, target.name(), outcome);
                }
            }
        }
    }
    let text = format!("{}\n\n{report}", heading(arguments)?);
    println!("\n{text}");
    page::replace_by_whole(arguments.page.as_deref(), arguments.is_whole(), ("storm", &text))
}

impl StormArguments {
    /// Whether everything that the page promises was measured.
    fn is_whole(&self) -> bool {
        let all = self.sessions == [2000, 5000, 8000] && self.cpus == [1, 2] && self.rounds >= 3;
        all && self.programs.only.is_none() && !self.resume && self.certificates.is_none()
    }
}

fn heading(arguments: &StormArguments) -> anyhow::Result<String> {
    let (rounds, machine) = (arguments.rounds, page::machine()?);
    let versions = arguments.programs.versions().join(", ");
    Ok(format!("{versions}. {machine}. Rounds: {rounds}."))
}

/// One storm at one relay.
async fn storm(arguments: &StormArguments, target: &Target, case: Case) -> anyhow::Result<Outcome> {
    let cpus = cpu_list(case.cpus);
    let clients = Clients::load(&arguments.programs.directory, false)?;
    let (_upstream, upstream) = upstream::start_process(Some(&cpus))?;
    let connections = case.sessions + arguments.established + 900;
    let place = Place {
        directory: &arguments.programs.directory,
        upstream,
        cpus: Some(&cpus),
        role: "",
        workers: None,
        connections,
        keys: "",
    };
    let relay = target.start(&place).await?;
    let steadiness = Steadiness { relay: relay.address, count: arguments.established, cpus: Some(&cpus) };
    let steady = Steady::start(&clients, &steadiness).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let calm = Instant::now();
    tokio::time::sleep(Duration::from_secs(arguments.calm)).await;
    let calm = steady.latency(calm, Instant::now());

    // The gate that will die is not measured, so it has all CPUs: its role is to be done soon.
    let dying = target.start(&Place { cpus: None, role: "-dying", ..place }).await?;
    let storm = Storm {
        before: dying.address,
        after: relay.address,
        sessions: case.sessions,
        certificates: arguments.certificates.unwrap_or(case.sessions).clamp(1, case.sessions),
        resume: arguments.resume,
    };
    let crowd = Crowd::gather(&clients, storm).await?;
    crowd.pin(&cpus).await?;
    let before = relay.process.cpu()?;
    let cut = Instant::now();
    drop(dying);
    let settled = crowd.settle(cut + Duration::from_secs(arguments.limit)).await;
    let end = Instant::now();
    let cpu = relay.process.cpu()?.saturating_sub(before);
    if !settled {
        println!("some sessions were neither back nor lost after {} s", arguments.limit);
    }
    let (kept, last) = crowd.kept(cut);
    let during = steady.latency(cut, end);
    Ok(Outcome { kept, last, attempts: crowd.attempts(), calm, during, cut: steady.lost(), cpu })
}

fn cpu_list(count: usize) -> String {
    if count == 1 { "0".to_owned() } else { format!("0-{}", count - 1) }
}
