//! `zoogate drain`: tells a running gate to send its clients away, where a hook may run a program but send no signal.

use std::fs;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use super::{DrainArgs, Exit, complain, print};

pub(super) fn drain(args: &DrainArgs) -> Exit {
    let gates = match args.pid {
        Some(pid) => vec![pid].into_iter().filter(|pid| is_gate(&cmdline(*pid))).collect(),
        None => running(),
    };
    let pid = match gates.as_slice() {
        [pid] => *pid,
        [] => {
            return complain(
                &args.pid.map_or("no gate runs here", |_| "that process is no running gate"),
                Exit::Refused,
            );
        }
        many => return complain(&format!("several gates run here, {many:?}: choose with --pid"), Exit::Refused),
    };
    match Pid::from_raw(pid).ok_or(Errno::SRCH).and_then(|process| kill_process(process, Signal::TERM)) {
        Ok(()) => print(&format!("the gate, process {pid}, drains"), Exit::Ok),
        Err(error) => complain(&format!("process {pid} can't be told: {error}"), Exit::Refused),
    }
}

/// The gates that this process can see: in a container, the container's own.
fn running() -> Vec<i32> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| is_gate(&cmdline(*pid))).collect()
}

fn cmdline(pid: i32) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}

/// True for `…/zoogate run …`.
fn is_gate(cmdline: &[u8]) -> bool {
    let mut arguments = cmdline.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let program = arguments.next().unwrap_or_default();
    Path::new(program.as_ref()).file_name().is_some_and(|name| name == "zoogate")
        && arguments.next().as_deref() == Some("run")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_is_told_from_other_processes_by_its_verb() {
        for gate in ["/usr/bin/zoogate\0run\0--config\0z.yaml\0", "zoogate\0run\0"] {
            assert!(is_gate(gate.as_bytes()), "{gate:?}");
        }
        for other in ["", "zoogate\0drain\0", "/usr/bin/zoogate-run\0run\0", "bash\0-c\0zoogate run\0", "zoogate\0"] {
            assert!(!is_gate(other.as_bytes()), "{other:?}");
        }
    }
}
