//! A relay's process: its life, its CPU time and its memory, as the kernel tells them.

use std::fs;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::Context;

/// A process that is killed when it is not needed any more.
pub(super) struct Process {
    child: Child,
}

impl Process {
    pub(super) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let child = command.spawn().with_context(|| format!("can't start {command:?}"))?;
        Ok(Self { child })
    }

    /// CPU time of all its threads, user and system, in nanoseconds' resolution: `/proc/PID/stat` has only that of
    /// a clock tick. None of the relays ends threads while it is measured.
    pub(super) fn cpu(&self) -> anyhow::Result<Duration> {
        let mut total = 0;
        for thread in fs::read_dir(self.file("task"))? {
            let schedstat = fs::read_to_string(thread?.path().join("schedstat"))?;
            total += schedstat.split(' ').next().context("an empty schedstat")?.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(total))
    }

    /// Resident memory (VmRSS).
    pub(super) fn resident_kib(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(self.file("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
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
