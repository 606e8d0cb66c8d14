//! zoogate as the program that people run.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::metrics::Admin;
use super::setup::Setup;
use super::{eventually, soon};

/// The program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_zoogate");

/// A running `zoogate run`.
pub(crate) struct Process {
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    pub(crate) admin: Admin,
    child: Child,
    setup: Setup,
}

impl Process {
    /// Starts it, with at most `descriptors` open files if that is said.
    pub(crate) async fn start(setup: Setup, descriptors: Option<u32>) -> Self {
        let mut command = match descriptors {
            Some(limit) => {
                let mut command = Command::new("prlimit");
                command.arg(format!("--nofile={limit}:{limit}")).arg(PROGRAM);
                command
            }
            None => Command::new(PROGRAM),
        };
        command.stdin(Stdio::null());
        Self::by(setup, command).await
    }

    /// Starts it by a command that lacks only the program's arguments.
    pub(crate) async fn by(setup: Setup, mut command: Command) -> Self {
        let setup = setup.set("log.format", "json");
        let path = |name: &str| setup.directory.path().join(name);
        fs::write(path("zoogate.yaml"), setup.text()).unwrap();
        let file = |name: &str| fs::File::create(path(name)).unwrap();
        command.args(["run", "--config"]).arg(path("zoogate.yaml")).env_remove("RUST_LOG");
        command.stdout(file("stdout")).stderr(file("stderr"));
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let nobody = SocketAddr::from(([0; 4], 0));
        let mut process = Self { address: nobody, admin: Admin(nobody), child, setup };
        eventually("a start", async || process.serving().is_some()).await;
        let serving = process.serving().unwrap();
        process.address = address(&serving["listeners"]);
        process.admin = Admin(address(&serving["admin"]));
        process
    }

    fn serving(&self) -> Option<Value> {
        self.log().into_iter().find(|event| event["message"] == "serving")
    }

    /// Everything that it has logged.
    pub(crate) fn log(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.setup.directory.path().join("stdout")).unwrap();
        // The last line may be half written.
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The configuration that it was started with.
    pub(crate) fn configuration(&self) -> String {
        self.setup.text()
    }

    /// Replaces a file that it was started with.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.setup.directory.path().join(name), text).unwrap();
    }

    /// How often a text is in its log; cheaper than to read the events.
    pub(crate) fn said(&self, text: &str) -> usize {
        fs::read_to_string(self.setup.directory.path().join("stdout")).unwrap().matches(text).count()
    }

    /// Open files.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(self.proc("fd")).unwrap().count()
    }

    /// Resident memory, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(self.proc("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    fn proc(&self, name: &str) -> std::path::PathBuf {
        Path::new("/proc").join(self.child.id().to_string()).join(name)
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill").args(["-s", signal, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Stops it; it must exit with 0 and must not have panicked, and `announced` are the only warnings it may
    /// have logged.
    pub(crate) async fn finish(mut self, announced: &[&str]) {
        self.signal("TERM");
        let child = &mut self.child;
        let status = soon("the end of the process", async {
            loop {
                if let Some(status) = child.try_wait().unwrap() {
                    return status;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        });
        assert!(status.await.success());
        assert_eq!(fs::read_to_string(self.setup.directory.path().join("stderr")).unwrap(), "");
        let loud = |event: &Value| event["level"] == "WARN" || event["level"] == "ERROR";
        let expected = |event: &Value| announced.iter().any(|text| event["message"].as_str().unwrap().contains(text));
        let warnings: Vec<_> = self.log().into_iter().filter(|event| loud(event) && !expected(event)).collect();
        assert!(warnings.is_empty(), "{warnings:#?}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first address in a text such as `Some(127.0.0.1:2281)`.
fn address(text: &Value) -> SocketAddr {
    let text = text.as_str().unwrap().split(", ").next().unwrap().trim_start_matches(|c: char| !c.is_ascii_digit());
    text.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().unwrap()
}
