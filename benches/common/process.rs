//! A relay's process: its life, its CPU time and its memory, as the kernel tells them.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command};
use std::time::Duration;

use anyhow::{Context, ensure};

/// A process that is killed when it is not needed any more.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let child = command.spawn().with_context(|| format!("can't start {command:?}"))?;
        Ok(Self { child })
    }

    /// CPU time of all its threads, user and system, in nanoseconds' resolution: `/proc/PID/stat` has only that of
    /// a clock tick. None of the relays ends threads while it is measured.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let mut total = 0;
        for thread in fs::read_dir(self.file("task"))? {
            let schedstat = fs::read_to_string(thread?.path().join("schedstat"))?;
            total += schedstat.split(' ').next().context("an empty schedstat")?.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(total))
    }

    /// Resident memory (VmRSS).
    pub(crate) fn resident_kib(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(self.file("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// Its standard output, if that is piped and was not taken before.
    pub(crate) fn output(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    fn file(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.child.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The same command, started on these CPUs only (a list as `taskset -c` takes it).
pub(crate) fn pinned(command: &Command, cpus: Option<&str>) -> Command {
    let mut pinned = match cpus {
        Some(cpus) => {
            let mut taskset = Command::new("taskset");
            taskset.args(["-c", cpus]).arg(command.get_program());
            taskset
        }
        None => Command::new(command.get_program()),
    };
    pinned.args(command.get_args());
    pinned
}

/// Pins the thread that calls it.
pub(crate) fn pin_this_thread(cpus: &str) -> anyhow::Result<()> {
    change_this_thread(Command::new("taskset").args(["-p", "-c", cpus]))
}

/// Lets everything else go before the thread that calls it, which still has a share on a busy machine.
pub(crate) fn yield_this_thread() -> anyhow::Result<()> {
    change_this_thread(Command::new("renice").args(["-n", "10", "-p"]))
}

/// Runs a command on the thread's id.
fn change_this_thread(command: &mut Command) -> anyhow::Result<()> {
    let thread: PathBuf = fs::read_link("/proc/thread-self")?;
    let id = thread.file_name().context("/proc/thread-self leads nowhere")?;
    let ended = command.arg(id).output().with_context(|| format!("can't start {command:?}"))?;
    ensure!(ended.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ended.stderr));
    Ok(())
}
