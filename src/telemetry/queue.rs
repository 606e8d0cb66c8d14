//! The way of a line from whoever logs it to standard output: through a bounded queue, so that a reader who stalls
//! stops the thread of the log, and nobody else.

use std::{
    io::{self, ErrorKind, Write},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

/// Bytes that may wait. As much again may be on its way to the reader: together the access records of some 10,000
/// connections that end at once.
const CAPACITY: usize = 4 * 1024 * 1024;

/// A buffer that has grown beyond this for a burst is given back.
const USUAL: usize = 64 * 1024;

/// How long lines are gathered after a write. Waking the thread for each line would cost several times what the line
/// itself does, when connections come and go by thousands.
const REST: Duration = Duration::from_millis(10);

/// How long to wait for a reader who made the descriptor non-blocking.
const BUSY: Duration = Duration::from_millis(20);

/// Where lines wait. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub(super) struct Queue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Something is to be written at once, or there will be nothing any more.
    work: Condvar,
    /// The queue is closed, and all is written.
    end: Condvar,
    /// Lines lost since the start, for the metric.
    dropped: &'static AtomicU64,
    capacity: usize,
}

#[derive(Debug, Default)]
struct State {
    /// Whole lines.
    waiting: Vec<u8>,
    /// Lines lost that the log has not told of.
    untold: u64,
    thread: Activity,
    /// No lines are to come; those that do are written as long as the thread has others to write.
    closed: bool,
    finished: bool,
}

/// What the thread does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Activity {
    /// It waits for a line, and must be told of it.
    #[default]
    Waits,
    /// It has just written, and will look by itself.
    Rests,
    /// Lines are on their way to the reader.
    Writes,
}

impl Queue {
    /// A queue that counts what it loses, and the thread that empties it into `out`. The thread calls `tell` with the
    /// number of lines that were lost, once they can be written again.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(super) fn start(
        out: impl Write + Send + 'static,
        dropped: &'static AtomicU64,
        tell: fn(u64),
    ) -> io::Result<Self> {
        Self::with_capacity(CAPACITY, out, dropped, tell)
    }

    fn with_capacity(
        capacity: usize,
        mut out: impl Write + Send + 'static,
        dropped: &'static AtomicU64,
        tell: fn(u64),
    ) -> io::Result<Self> {
        let (state, work, end) = Default::default();
        let queue = Self(Arc::new(Shared { state, work, end, dropped, capacity }));
        let writer = queue.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || writer.empty_into(&mut out, tell))?;
        Ok(queue)
    }

    /// Takes a line, or loses it; never waits for the reader.
    fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.waiting.len() + line.len() > self.0.capacity {
            self.lose(&mut state, 1);
            return;
        }
        state.waiting.extend_from_slice(line);
        let wanted = match state.thread {
            Activity::Waits => true,
            Activity::Rests => self.is_filling(&state),
            Activity::Writes => false,
        };
        if wanted {
            self.0.work.notify_one();
        }
    }

    /// Whether lines come faster than they can be gathered.
    fn is_filling(&self, state: &State) -> bool {
        state.waiting.len() > self.0.capacity / 2
    }

    /// Waits until all lines are written, and the loss of others told, but no longer than `patience`.
    pub(super) fn close(&self, patience: Duration) {
        let mut state = self.lock();
        state.closed = true;
        self.0.work.notify_one();
        drop(self.0.end.wait_timeout_while(state, patience, |state| !state.finished));
    }

    /// Writes what comes until the queue is closed and empty.
    fn empty_into(&self, out: &mut impl Write, tell: fn(u64)) {
        let mut batch = Vec::new();
        let mut works = true;
        while let Some(untold) = self.next(&mut batch, works) {
            if untold > 0 {
                // Goes into the queue, behind what is about to be written and before what comes now.
                tell(untold);
            }
            let lost = write(out, &batch);
            works = lost == 0;
            if lost > 0 {
                self.lose(&mut self.lock(), lost);
            }
            batch.clear();
            batch.shrink_to(USUAL);
        }
    }

    /// Waits for lines, or for losses that can be told because the reader `works`; how many were lost. `None` is the
    /// end.
    fn next(&self, batch: &mut Vec<u8>, works: bool) -> Option<u64> {
        let mut state = self.lock();
        if state.thread == Activity::Writes {
            state.thread = Activity::Rests;
            let goes_on = |state: &mut State| !state.closed && !self.is_filling(state);
            let rested = self.0.work.wait_timeout_while(state, REST, goes_on);
            state = rested.unwrap_or_else(PoisonError::into_inner).0;
        }
        loop {
            let untold = if works { state.untold } else { 0 };
            if !state.waiting.is_empty() || untold > 0 {
                state.untold -= untold;
                state.thread = Activity::Writes;
                std::mem::swap(batch, &mut state.waiting);
                return Some(untold);
            }
            if state.closed {
                state.finished = true;
                self.0.end.notify_all();
                return None;
            }
            state.thread = Activity::Waits;
            state = self.0.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lose(&self, state: &mut State, lines: u64) {
        state.untold += lines;
        self.0.dropped.fetch_add(lines, Ordering::Relaxed);
    }

    /// A panic elsewhere can't leave the state half-changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes lines; how many of them, or of their ends, were lost.
fn write(out: &mut impl Write, mut lines: &[u8]) -> u64 {
    while !lines.is_empty() {
        match out.write(lines) {
            Ok(0) => break,
            Ok(written) => lines = &lines[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(BUSY),
            Err(_) => break,
        }
    }
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

/// The subscriber writes an event by one call.
impl Write for &Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Instant;

    use super::*;

    /// A reader who takes a write when told to, and fails it when told that.
    struct Reader {
        orders: mpsc::Receiver<bool>,
        taken: mpsc::Sender<String>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.orders.recv() {
                Ok(true) => {
                    self.taken.send(String::from_utf8(bytes.to_owned()).unwrap()).unwrap();
                    Ok(bytes.len())
                }
                _ => Err(ErrorKind::BrokenPipe.into()),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const LONG: Duration = Duration::from_secs(20);

    fn stalled(
        capacity: usize,
        dropped: &'static AtomicU64,
        tell: fn(u64),
    ) -> (Queue, mpsc::Sender<bool>, mpsc::Receiver<String>) {
        let (order, orders) = mpsc::channel();
        let (taken, takes) = mpsc::channel();
        let queue = Queue::with_capacity(capacity, Reader { orders, taken }, dropped, tell).unwrap();
        (queue, order, takes)
    }

    /// Has a line on its way to the reader, so that the queue itself is empty.
    fn occupy(queue: &Queue) {
        queue.push(b"first\n");
        while queue.lock().thread != Activity::Writes {
            thread::yield_now();
        }
    }

    #[test]
    fn what_does_not_fit_is_lost_and_counted_and_told_when_the_reader_is_back() {
        static DROPPED: AtomicU64 = AtomicU64::new(0);
        static TOLD: AtomicU64 = AtomicU64::new(0);
        let (queue, order, takes) = stalled(8, &DROPPED, |lines| {
            TOLD.fetch_add(lines, Ordering::Relaxed);
        });
        occupy(&queue);
        for line in ["abc\n", "def\n", "g\n", "h\n"] {
            queue.push(line.as_bytes());
        }
        assert_eq!(DROPPED.load(Ordering::Relaxed), 2);
        assert_eq!(TOLD.load(Ordering::Relaxed), 0, "the reader is not back");
        order.send(true).unwrap();
        order.send(true).unwrap();
        assert_eq!(takes.recv_timeout(LONG).unwrap(), "first\n");
        assert_eq!(takes.recv_timeout(LONG).unwrap(), "abc\ndef\n");
        queue.close(LONG);
        assert_eq!(TOLD.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_write_that_fails_loses_its_lines_and_says_so_after_one_that_succeeds() {
        static DROPPED: AtomicU64 = AtomicU64::new(0);
        static TOLD: AtomicU64 = AtomicU64::new(0);
        let (queue, order, takes) = stalled(100, &DROPPED, |lines| {
            TOLD.fetch_add(lines, Ordering::Relaxed);
        });
        occupy(&queue);
        queue.push(b"a\nb\n");
        order.send(false).unwrap();
        while DROPPED.load(Ordering::Relaxed) < 1 {
            thread::yield_now();
        }
        order.send(false).unwrap();
        while DROPPED.load(Ordering::Relaxed) < 3 {
            thread::yield_now();
        }
        queue.push(b"c\n");
        assert_eq!(TOLD.load(Ordering::Relaxed), 0);
        order.send(true).unwrap();
        assert_eq!(takes.recv_timeout(LONG).unwrap(), "c\n");
        while TOLD.load(Ordering::Relaxed) < 3 {
            thread::yield_now();
        }
    }

    #[test]
    fn closing_waits_until_all_is_written() {
        static DROPPED: AtomicU64 = AtomicU64::new(0);
        let (queue, order, takes) = stalled(100, &DROPPED, |_| {});
        occupy(&queue);
        queue.push(b"last\n");
        let reader = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            order.send(true).unwrap();
            order.send(true).unwrap();
        });
        queue.close(LONG);
        assert_eq!(takes.try_iter().collect::<Vec<_>>(), ["first\n", "last\n"]);
        reader.join().unwrap();
    }

    #[test]
    fn closing_waits_no_longer_than_it_may() {
        static DROPPED: AtomicU64 = AtomicU64::new(0);
        let (queue, _order, _takes) = stalled(100, &DROPPED, |_| {});
        occupy(&queue);
        let start = Instant::now();
        queue.close(Duration::from_millis(50));
        assert!(start.elapsed() < LONG);
    }

    /// Counts the writes it gets.
    struct Counter(mpsc::Sender<usize>);

    impl Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.len()).unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_behind_each_other_are_written_together() {
        static DROPPED: AtomicU64 = AtomicU64::new(0);
        let (write, writes) = mpsc::channel();
        let queue = Queue::with_capacity(CAPACITY, Counter(write), &DROPPED, |_| {}).unwrap();
        queue.push(b"first\n");
        assert_eq!(writes.recv_timeout(LONG).unwrap(), 6, "at once, since nothing was written lately");
        let start = Instant::now();
        let mut lines = 0;
        while start.elapsed() < 3 * REST {
            queue.push(b"line\n");
            lines += 1;
        }
        let taken = start.elapsed();
        queue.close(LONG);
        let writes: Vec<_> = writes.try_iter().collect();
        assert_eq!(writes.iter().sum::<usize>(), 5 * lines);
        let most = taken.as_millis() / REST.as_millis() + 2;
        assert!(writes.len() as u128 <= most, "{} writes of {lines} lines in {taken:?}", writes.len());
    }

    #[test]
    fn the_end_does_not_wait_for_a_thread_that_waits_for_lines() {
        static DROPPED: AtomicU64 = AtomicU64::new(0);
        let (write, _writes) = mpsc::channel();
        let queue = Queue::with_capacity(CAPACITY, Counter(write), &DROPPED, |_| {}).unwrap();
        queue.push(b"first\n");
        thread::sleep(2 * REST);
        while queue.lock().thread != Activity::Waits || !queue.lock().waiting.is_empty() {
            thread::yield_now();
        }
        let start = Instant::now();
        queue.close(LONG);
        assert!(start.elapsed() < LONG / 2, "the thread was not woken");
    }

    #[test]
    fn a_queue_that_fills_up_is_emptied_at_once() {
        static DROPPED: AtomicU64 = AtomicU64::new(0);
        let (write, writes) = mpsc::channel();
        let queue = Queue::with_capacity(12, Counter(write), &DROPPED, |_| {}).unwrap();
        let start = Instant::now();
        for _ in 0..1000 {
            queue.push(b"first\n");
            queue.push(b"more\n");
            while !queue.lock().waiting.is_empty() {
                thread::yield_now();
            }
        }
        assert!(start.elapsed() < 500 * REST, "the thread was not woken");
        queue.close(LONG);
        assert_eq!((writes.try_iter().sum::<usize>(), DROPPED.load(Ordering::Relaxed)), (11_000, 0));
    }

    #[test]
    fn a_reader_that_is_busy_or_takes_little_gets_everything() {
        struct Choosy(Vec<u8>, u32);
        impl Write for Choosy {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.1 += 1;
                match self.1 % 3 {
                    0 => Err(ErrorKind::WouldBlock.into()),
                    1 => Err(ErrorKind::Interrupted.into()),
                    _ => self.0.write(&bytes[..2.min(bytes.len())]),
                }
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut reader = Choosy(Vec::new(), 0);
        assert_eq!(write(&mut reader, b"one\ntwo\n"), 0);
        assert_eq!(reader.0, b"one\ntwo\n");
    }
}
