//! What strangers, and clients that are let in but behave badly, cost a gate and its other clients.
//!
//! Each attack has a gate of its own. First the CPU time of an ordinary handshake is measured, then a calm time with
//! established clients, then the attack: it is bounded in attempts and time. Meanwhile an ordinary client opens a session
//! four times a second.

mod attack;
mod attackers;
mod forge;
mod report;

use std::cell::Cell;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;

use crate::common::client::Clients;
use crate::common::load::{Load, Operation};
use crate::common::steady::{Latency, Steadiness, Steady};
use crate::common::target::{Place, Programs, Relay, Target};
use crate::common::{page, upstream};
use attack::Attack;
use attackers::Attackers;
use report::Report;

/// What a gate may still do after an attack has ended, and its CPU time then counts for the attack.
const SETTLE: Duration = Duration::from_millis(500);
/// How long attempts that were begun may take to end.
const ENDING: Duration = Duration::from_secs(30);
const CALM: Duration = Duration::from_secs(3);
const SAMPLE: Duration = Duration::from_millis(100);
const PROBE: Duration = Duration::from_millis(250);
const ORDINARY: usize = 500;

#[derive(Args)]
pub(crate) struct HostileArguments {
    #[command(flatten)]
    programs: Programs,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long an attack may last, in seconds.
    #[arg(long, default_value_t = 12)]
    seconds: u64,
    /// Run these attacks alone, by the names that are printed.
    #[arg(long, value_delimiter = ',')]
    attacks: Option<Vec<String>>,
    /// Clients that are connected and read every 100 ms.
    #[arg(long, default_value_t = 100)]
    established: usize,
    /// Pin relays to this CPU (`taskset`).
    #[arg(long)]
    cpu: Option<String>,
    /// The page whose table is to be replaced; not by a part of the measurement.
    #[arg(long)]
    page: Option<PathBuf>,
}

/// What one attack did.
#[derive(Clone, Copy)]
pub(crate) struct Outcome {
    attempts: usize,
    /// CPU time of the gate during the attack, and how much of it its other clients cost.
    spent: Duration,
    others: Duration,
    /// CPU time of an ordinary handshake.
    ordinary: Duration,
    /// CPU time of an attempt, in ordinary handshakes.
    cost: f64,
    /// The most connections that were open, if they stay.
    open: usize,
    /// KiB of the gate's memory for each of them.
    memory: Option<f64>,
    /// KiB that the kernel held for each of them, to be sent to the attacker.
    queued: Option<f64>,
    calm: Latency,
    during: Latency,
    /// Established clients that lost their connection.
    lost: usize,
    /// The longest time in which an ordinary client got a new session.
    newcomer: Duration,
    /// Bytes of log per attempt.
    log: f64,
}

pub(crate) async fn run(arguments: &HostileArguments) -> anyhow::Result<()> {
    let clients = Clients::load(&arguments.programs.directory, false)?;
    let mut attacks = attack::all(&clients)?;
    attacks.retain(|attack| arguments.attacks.as_ref().is_none_or(|only| only.iter().any(|name| name == attack.name)));
    let mut targets = arguments.programs.targets();
    if arguments.programs.only.is_none() {
        targets.retain(|target| matches!(target, Target::Zoogate(_) | Target::OtherZoogate(_)));
    }
    ensure!(!attacks.is_empty() && !targets.is_empty(), "nothing is left to be measured");
    let attacks: Vec<_> = attacks.into_iter().map(Arc::new).collect();
    let mut report = Report::default();
    for round in 0..arguments.rounds {
        for attack in &attacks {
            for target in &targets {
                let what = format!("{} against {}", attack.name, target.name());
                let outcome =
                    Box::pin(measure(arguments, &clients, target, attack)).await.with_context(|| what.clone())?;
                println!("round {}: {what}: {outcome}", round + 1);
                report.add(attack.title, target.name(), outcome);
            }
        }
    }
    let versions = arguments.programs.versions().join(", ");
    let text = format!("{versions}. {}. Rounds: {}.\n\n{report}", page::machine()?, arguments.rounds);
    println!("\n{text}");
    page::replace_by_whole(arguments.page.as_deref(), arguments.is_whole(), ("hostile", &text))
}

impl HostileArguments {
    /// Whether everything that the page promises was measured.
    fn is_whole(&self) -> bool {
        self.attacks.is_none() && self.programs.only.is_none() && self.rounds >= 3
    }
}

async fn measure(
    arguments: &HostileArguments,
    clients: &Clients,
    target: &Target,
    attack: &Arc<Attack>,
) -> anyhow::Result<Outcome> {
    let (_upstream, upstream) = upstream::start_process(None)?;
    let place = Place {
        directory: &arguments.programs.directory,
        upstream,
        cpus: arguments.cpu.as_deref(),
        role: "",
        workers: None,
        connections: attack.limit,
        keys: attack.keys,
    };
    let relay = target.start(&place).await?;
    let ordinary = ordinary(clients, &relay).await?;
    let steadiness = Steadiness { relay: relay.address, count: arguments.established, cpus: None };
    let steady = Steady::start(clients, &steadiness).await?;
    tokio::time::sleep(SETTLE).await;
    let (start, used) = (Instant::now(), relay.process.cpu()?);
    tokio::time::sleep(CALM).await;
    let per_second = (relay.process.cpu()?.saturating_sub(used)).as_secs_f64() / start.elapsed().as_secs_f64();
    let calm = steady.latency(start, Instant::now());

    let (start, used, logged) = (Instant::now(), relay.process.cpu()?, fs::metadata(&relay.log)?.len());
    let attackers = Attackers::start(Arc::clone(attack), relay.address);
    let newcomer = Newcomer::default();
    let memory = tokio::select! {
        memory = watch(&attackers, (&relay, attack), Duration::from_secs(arguments.seconds)) => memory?,
        never = newcomer.comes_again(clients, &relay) => never?,
    };
    let attempts = attackers.attempts();
    attackers.stop()?;
    tokio::time::sleep(SETTLE).await;
    let spent = relay.process.cpu()?.saturating_sub(used).as_secs_f64();
    let others = per_second * start.elapsed().as_secs_f64() + ordinary * newcomer.served.get() as f64;
    let logged = fs::metadata(&relay.log)?.len().saturating_sub(logged);
    Ok(Outcome {
        attempts,
        spent: Duration::from_secs_f64(spent),
        others: Duration::from_secs_f64(others),
        ordinary: Duration::from_secs_f64(ordinary),
        cost: (spent - others).max(0.0) / attempts.max(1) as f64 / ordinary,
        open: memory.open,
        memory: memory.resident,
        queued: memory.queued,
        calm,
        during: steady.latency(start, Instant::now()),
        lost: steady.lost(),
        newcomer: newcomer.longest(),
        log: logged as f64 / attempts.max(1) as f64,
    })
}

/// Seconds of the gate's CPU for a session that is opened with a certificate that it has not seen before, and closed.
async fn ordinary(clients: &Clients, relay: &Relay) -> anyhow::Result<f64> {
    let operation = Operation::Handshake { newcomer: true };
    // The first ones warm up.
    for count in [ORDINARY / 5, ORDINARY] {
        let load = Load { figure: "CPU per first handshake", connections: 16, count, operation };
        let microseconds = load.run(clients, relay).await?;
        if count == ORDINARY {
            return Ok(microseconds / 1e6);
        }
    }
    unreachable!("the second load returns")
}

/// What connections that stay cost when the most of them were open.
#[derive(Clone, Copy, Default)]
struct Memory {
    open: usize,
    resident: Option<f64>,
    queued: Option<f64>,
}

/// Looks at the gate's memory until the attack is over: until its time is up, and the attempts have ended that were begun.
async fn watch(attackers: &Attackers, (relay, attack): (&Relay, &Attack), limit: Duration) -> anyhow::Result<Memory> {
    let (until, before) = (Instant::now() + limit, relay.process.resident_kib()?);
    let mut memory = Memory::default();
    let last = if attack.stays() { until } else { until + ENDING };
    while Instant::now() < last && !attackers.are_done() {
        if Instant::now() >= until {
            attackers.close();
        }
        tokio::time::sleep(SAMPLE).await;
        let open = attackers.open();
        if attack.stays() && open > 0 && open >= memory.open {
            let grown = relay.process.resident_kib()?.saturating_sub(before);
            memory = Memory { open, resident: Some(grown as f64 / open as f64), queued: None };
            if attack.is_of_requests() {
                memory.queued = Some(queued_kib(relay.address.port())? / open as f64);
            }
        }
    }
    Ok(memory)
}

/// What the kernel holds for the connections of a port, to be sent or confirmed.
fn queued_kib(port: u16) -> anyhow::Result<f64> {
    let port = format!(":{port:04X}");
    let sockets = fs::read_to_string("/proc/net/tcp")?;
    let mut bytes = 0;
    for socket in sockets.lines().skip(1) {
        let fields: Vec<&str> = socket.split_whitespace().collect();
        if fields.get(1).is_some_and(|local| local.ends_with(&port)) {
            let queues = fields.get(4).and_then(|queues| queues.split_once(':')).context("a socket without queues")?;
            bytes += u64::from_str_radix(queues.0, 16)?;
        }
    }
    Ok(bytes as f64 / 1024.0)
}

/// An ordinary client that comes while the gate is attacked.
#[derive(Default)]
struct Newcomer {
    served: Cell<usize>,
    longest: Cell<Duration>,
    waits_since: Cell<Option<Instant>>,
}

impl Newcomer {
    async fn comes_again<T>(&self, clients: &Clients, relay: &Relay) -> anyhow::Result<T> {
        let client = clients.usual().from(Ipv4Addr::new(127, 4, 0, 1));
        loop {
            tokio::time::sleep(PROBE).await;
            self.waits_since.set(Some(Instant::now()));
            // It may be refused; it then comes again, and still waits.
            while client.open(relay.address).await.is_err() {
                tokio::time::sleep(PROBE).await;
            }
            self.served.set(self.served.get() + 1);
            self.longest.set(self.longest());
            self.waits_since.set(None);
        }
    }

    /// What it has waited, the present time included.
    fn longest(&self) -> Duration {
        self.longest.get().max(self.waits_since.get().map_or(Duration::ZERO, |since| since.elapsed()))
    }
}
