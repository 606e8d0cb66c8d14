//! Threads for handshakes alone, which give way to those that relay.

use std::io;

use tokio::runtime::{Builder, EnterGuard, Handle, Runtime};
use tokio::task::JoinHandle;
use tracing::warn;

/// How much these threads give way: a nice value of 5 is a third of the weight of 0 (`sched(7)`), so that handshakes go on
/// beside a busy ZooKeeper, and a thread that has a reply to relay is scheduled before them.
const NICE: i32 = 5;

/// A runtime of its own.
#[derive(Debug)]
pub(super) struct Threads {
    /// Taken when it ends.
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Threads {
    /// # Errors
    /// If the system starts no threads.
    pub(super) fn start(count: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(count)
            .thread_name("handshake")
            .on_thread_start(give_way)
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        Ok(Self { runtime: Some(runtime), handle })
    }

    pub(super) fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.handle.spawn(task)
    }

    /// Has sockets that are made meanwhile watched by these threads.
    pub(super) fn context(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Lowers the priority of the calling thread: on Linux, of that one alone.
fn give_way() {
    if let Err(error) = rustix::process::nice(NICE) {
        warn!(%error, "the threads of handshakes have the priority of the others");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn these_threads_give_way_and_no_others() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();
        let threads = Threads::start(2).unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        threads.spawn(async move { sender.send(nice()).unwrap() });
        assert_eq!(receiver.recv().unwrap(), (before + NICE).min(19));
        assert_eq!(nice(), before);
    }
}
