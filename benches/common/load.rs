//! What clients do to a relay while it is measured.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::ensure;
use tokio::task::{JoinSet, LocalSet};

use super::client::{Clients, Session};
use super::target::Relay;

/// How long a relay may take to finish what it still does when the clients are done.
const SETTLE: Duration = Duration::from_millis(100);

/// How many sessions are opened at a time where that is not what is measured.
const OPENERS: usize = 32;

/// A load in a closed loop.
pub(crate) struct Load {
    pub(crate) figure: &'static str,
    pub(crate) connections: usize,
    pub(crate) count: usize,
    pub(crate) operation: Operation,
}

/// What each client does over and over.
#[derive(Clone, Copy)]
pub(crate) enum Operation {
    /// Opens a session and closes it; each time with another certificate, or always with the same.
    Handshake { newcomer: bool },
    /// Reads so many bytes.
    Read(usize),
}

impl Load {
    /// Microseconds of the relay's CPU per operation.
    pub(crate) async fn run(&self, clients: &Clients, relay: &Relay) -> anyhow::Result<f64> {
        LocalSet::new().run_until(self.run_locally(clients, relay)).await
    }

    async fn run_locally(&self, clients: &Clients, relay: &Relay) -> anyhow::Result<f64> {
        let left = Rc::new(Cell::new(self.count));
        let mut tasks = JoinSet::new();
        let mut sessions = match self.operation {
            Operation::Read(_) => open(clients, relay, self.connections).await?,
            Operation::Handshake { .. } => Vec::new(),
        };
        tokio::time::sleep(SETTLE).await;
        let before = relay.process.cpu()?;
        for _ in 0..self.connections {
            let left = Rc::clone(&left);
            match (self.operation, sessions.pop()) {
                (Operation::Read(bytes), Some(session)) => tasks.spawn_local(read(session, bytes, left)),
                (operation, _) => {
                    let newcomer = matches!(operation, Operation::Handshake { newcomer: true });
                    tasks.spawn_local(handshake(clients.clone(), (relay.address, newcomer), left))
                }
            };
        }
        let mut open = Vec::new();
        while let Some(done) = tasks.join_next().await {
            open.extend(done??);
        }
        tokio::time::sleep(SETTLE).await;
        let spent = relay.process.cpu()?.saturating_sub(before);
        for session in open {
            session.close().await?;
        }
        ensure!(!spent.is_zero(), "no CPU time is accounted for: does this kernel have schedstat?");
        Ok(spent.as_secs_f64() * 1e6 / self.count as f64)
    }
}

/// KiB of the relay's memory per session that was opened, did one read and then nothing.
pub(crate) async fn idle(clients: &Clients, relay: &Relay, count: usize) -> anyhow::Result<f64> {
    // What the first connections cause once is not theirs.
    let warm = open(clients, relay, OPENERS).await?;
    let before = relay.process.resident_kib()?;
    let sessions = open(clients, relay, count).await?;
    tokio::time::sleep(SETTLE * 10).await;
    let grown = relay.process.resident_kib()?.saturating_sub(before);
    drop((warm, sessions));
    Ok(grown as f64 / count as f64)
}

/// Opens sessions and reads a little on each.
async fn open(clients: &Clients, relay: &Relay, count: usize) -> anyhow::Result<Vec<Session>> {
    let mut sessions = Vec::with_capacity(count);
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        if tasks.len() == OPENERS
            && let Some(opened) = tasks.join_next().await
        {
            sessions.push(opened??);
        }
        let (clients, address) = (clients.clone(), relay.address);
        tasks.spawn(async move {
            let mut session = clients.open(address).await?;
            session.read(100, &mut [0; 256]).await?;
            anyhow::Ok(session)
        });
    }
    while let Some(opened) = tasks.join_next().await {
        sessions.push(opened??);
    }
    Ok(sessions)
}

async fn handshake(
    clients: Clients,
    (relay, newcomer): (std::net::SocketAddr, bool),
    left: Rc<Cell<usize>>,
) -> anyhow::Result<Option<Session>> {
    while take(&left) {
        let session = if newcomer { clients.open_new(relay).await? } else { clients.open(relay).await? };
        session.close().await?;
    }
    Ok(None)
}

async fn read(mut session: Session, bytes: usize, left: Rc<Cell<usize>>) -> anyhow::Result<Option<Session>> {
    let mut buffer = vec![0; 64 * 1024];
    while take(&left) {
        session.read(bytes, &mut buffer).await?;
    }
    Ok(Some(session))
}

fn take(left: &Cell<usize>) -> bool {
    let some = left.get() > 0;
    left.set(left.get().saturating_sub(1));
    some
}
