//! When a connection is asked to end, and by whom: a moment of its own, so that not all clients come back at once.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::watch;

use crate::reason::Ending;
use crate::shutdown::{self, Drain};

/// Over how long the connections of a certificate are closed when its authority has ended.
pub(super) const SPREAD: Duration = Duration::from_secs(5);

/// The same for who is only to come back with other credentials.
pub(super) const UNHURRIED: Duration = Duration::from_secs(20);

/// When this connection is asked to end, because zoogate does or because its client's authority has ended.
pub(super) struct Stopping {
    drain: Drain,
    over: watch::Receiver<Option<Ending>>,
    turn: Option<Pin<Box<dyn Future<Output = Option<Ending>> + Send>>>,
    /// Whether `turn` has seen the task's waker. Before anything happens it isn't polled again: each poll takes
    /// locks that connections share.
    armed: bool,
}

impl Stopping {
    pub(super) fn new(drain: Drain, mut over: watch::Receiver<Option<Ending>>) -> Self {
        if over.borrow().is_some() {
            // It began before this connection came; else nobody would be asked when its turn comes.
            over.mark_changed();
        }
        let turn = turn(drain.clone(), over.clone(), None);
        Self { turn: Some(Box::pin(turn)), armed: false, drain, over }
    }

    /// Why this connection is to end, once it is its turn; then `None` if it need not end any more.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Option<Option<Ending>> {
        let mut said = None;
        while let Some(turn) = self.turn.as_mut() {
            if self.armed && !self.drain.is_closing() && !self.over.has_changed().unwrap_or(true) {
                break;
            }
            self.armed = true;
            let Poll::Ready(ending) = turn.as_mut().poll(cx) else { break };
            said = Some(ending);
            let goes_on = matches!(ending, None | Some(Ending::SecretRotated));
            let next = || Box::pin(self::turn(self.drain.clone(), self.over.clone(), ending)) as Pin<Box<_>>;
            self.turn = goes_on.then(next);
        }
        said
    }
}

/// Waits until this connection is to end for another reason than `before`, or for none.
async fn turn(drain: Drain, mut over: watch::Receiver<Option<Ending>>, before: Option<Ending>) -> Option<Ending> {
    let changed = async {
        match before {
            None => Some(authority_ended(over).await),
            // Its turn has come: what is more urgent does not wait for another.
            Some(before) => {
                let changed = over.wait_for(|ending| *ending != Some(before)).await.map(|ending| *ending);
                match changed {
                    Ok(ending) => ending,
                    // Nobody is left who could say so.
                    Err(_) => std::future::pending().await,
                }
            }
        }
    };
    tokio::select! {
        () = drain.turn() => Some(Ending::Drained),
        ending = changed => ending,
    }
}

/// Waits for the end of a client's authority, and then for this connection's turn.
async fn authority_ended(mut over: watch::Receiver<Option<Ending>>) -> Ending {
    loop {
        let ending = *over.borrow_and_update();
        let turn = async {
            match ending {
                None => std::future::pending().await,
                Some(Ending::SecretRotated) => tokio::time::sleep(shutdown::random_part(UNHURRIED)).await,
                Some(_) => tokio::time::sleep(shutdown::random_part(SPREAD)).await,
            }
        };
        tokio::select! {
            () = turn => {}
            // Something that can't wait so long may come between, or the need may pass.
            Ok(()) = over.changed(), if matches!(ending, None | Some(Ending::SecretRotated)) => continue,
        }
        if let Some(ending) = ending {
            return ending;
        }
    }
}
