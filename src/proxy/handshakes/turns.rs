//! Turns: how many handshakes are at work at a time, and which is next. A source that has many waiting takes one turn where
//! another source has one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::proxy::source::Source;

/// All turns.
#[derive(Debug)]
pub(super) struct Turns {
    queue: Mutex<Queue>,
}

/// Somebody's turn; dropping it lets the next one begin.
#[derive(Debug)]
pub(super) struct Turn {
    /// Taken where the turn is passed on in another way.
    turns: Option<Arc<Turns>>,
}

#[derive(Debug)]
struct Queue {
    /// How many may begin at once.
    free: usize,
    /// In the order in which they came; no queue is empty.
    waiting: HashMap<Source, VecDeque<oneshot::Sender<Turn>>>,
    /// Sources with a queue, in the order of their turns.
    order: VecDeque<Source>,
}

impl Turns {
    pub(super) fn new(at_once: usize) -> Self {
        Self { queue: Mutex::new(Queue { free: at_once, waiting: HashMap::new(), order: VecDeque::new() }) }
    }

    /// Waits for a turn.
    pub(super) async fn next(self: &Arc<Self>, source: Source) -> Turn {
        let waiting = {
            let mut queue = self.lock();
            if queue.free > 0 {
                queue.free -= 1;
                return Turn { turns: Some(Arc::clone(self)) };
            }
            queue.enter(source)
        };
        match waiting.await {
            Ok(turn) => turn,
            // The sender stays in the queue until it has sent, and the queue is ours.
            Err(_) => std::future::pending().await,
        }
    }

    fn pass_on(self: &Arc<Self>) {
        loop {
            let next = {
                let mut queue = self.lock();
                let next = queue.leave();
                if next.is_none() {
                    queue.free += 1;
                }
                next
            };
            let Some(next) = next else { return };
            match next.send(Turn { turns: Some(Arc::clone(self)) }) {
                Ok(()) => return,
                // It has given up waiting; the turn goes to the one behind it.
                Err(mut turn) => turn.turns = None,
            }
        }
    }

    /// A panic elsewhere can't leave the queue half-changed.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.turns.take() {
            turns.pass_on();
        }
    }
}

impl Queue {
    fn enter(&mut self, source: Source) -> oneshot::Receiver<Turn> {
        let (turn, waiting) = oneshot::channel();
        let queue = self.waiting.entry(source).or_default();
        if queue.is_empty() {
            self.order.push_back(source);
        }
        queue.push_back(turn);
        waiting
    }

    fn leave(&mut self) -> Option<oneshot::Sender<Turn>> {
        let source = self.order.pop_front()?;
        let queue = self.waiting.get_mut(&source)?;
        let next = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&source);
        } else {
            self.order.push_back(source);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use tokio_test::{assert_pending, assert_ready, task};

    use super::*;

    fn source(last: u8) -> Source {
        Source::of([192, 0, 2, last].into())
    }

    #[test]
    fn turns_go_round_the_sources_and_in_order_within_one() {
        let turns = Arc::new(Turns::new(1));
        let mut running = assert_ready!(task::spawn(turns.next(source(9))).poll());
        let mut waiting: Vec<_> =
            [1, 1, 1, 2, 2, 3].map(|last| (last, task::spawn(turns.next(source(last))))).into_iter().collect();
        for (_, waiting) in &mut waiting {
            assert_pending!(waiting.poll());
        }
        let mut order = Vec::new();
        while !waiting.is_empty() {
            drop(running);
            let at = waiting.iter_mut().position(|(_, waiting)| waiting.is_woken()).unwrap();
            let (last, mut next) = waiting.remove(at);
            running = assert_ready!(next.poll());
            order.push(last);
            assert!(!waiting.iter().any(|(_, waiting)| waiting.is_woken()), "one at a time");
        }
        assert_eq!(order, [1, 2, 3, 1, 2, 1]);
        drop(running);
        let queue = turns.lock();
        assert!(queue.free == 1 && queue.waiting.is_empty() && queue.order.is_empty());
    }

    #[test]
    fn a_turn_that_nobody_takes_goes_to_the_next() {
        let turns = Arc::new(Turns::new(1));
        let running = assert_ready!(task::spawn(turns.next(source(1))).poll());
        let mut waiting: Vec<_> = (0..3).map(|_| task::spawn(turns.next(source(1)))).collect();
        for waiting in &mut waiting {
            assert_pending!(waiting.poll());
        }
        drop(waiting.remove(0));
        drop(running);
        assert!(waiting[0].is_woken());
        // It has got the turn and is dropped before it could look.
        drop(waiting.remove(0));
        drop(assert_ready!(waiting[0].poll()));
        assert_eq!(turns.lock().free, 1);
    }
}
