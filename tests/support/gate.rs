//! The program under test: started as an operator would, and held to a quiet log.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::pki::Pki;
use super::{free_address, run, wait_for};

/// A command line of the program under test.
pub fn zoogate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zoogate"));
    command.args(arguments).env_remove("RUST_LOG");
    command
}

/// The secret that credentials are derived from, made by `zoogate secret` when first asked for.
pub fn secret_file(pki: &Pki) -> PathBuf {
    let path = pki.path("secret");
    if !path.exists() {
        fs::write(&path, run(&mut zoogate(&["secret"]))).unwrap();
    }
    path
}

/// The ids that `zoogate identity` prints for a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids {
    /// The id that native ZooKeeper gives it, without the scheme.
    pub x509: String,
    /// The id of the credential that is injected: `x509/…:hash`, without the scheme; none for a nobody.
    pub digest: Option<String>,
}

/// Asks `zoogate identity --batch` for each certificate (DER); an error is the reason of a refusal.
pub fn identities(pki: &Pki, certificates: &[&[u8]]) -> Vec<Result<Ids, String>> {
    use base64::Engine as _;
    let input: String = certificates.iter().map(|der| base64::prelude::BASE64_STANDARD.encode(der) + "\n").collect();
    let mut child = zoogate(&["identity", "--batch", "--secret-file"])
        .arg(secret_file(pki))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // From a thread, or both sides could wait for the other to read.
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| read_ids(&serde_json::from_str(line).unwrap())).collect()
}

fn read_ids(object: &Value) -> Result<Ids, String> {
    if object["identity"].is_null() {
        return Err(object["reason"]
            .as_str()
            .unwrap_or_else(|| panic!("neither identity nor reason: {object}"))
            .into());
    }
    let id = |scheme: &str| object["acl_ids"][scheme].as_str().map(str::to_owned);
    let x509 = id("x509").unwrap_or_else(|| panic!("no x509 id: {object}"));
    Ok(Ids { x509, digest: id("digest") })
}

/// The id that is injected for a certificate, `x509/…:hash`.
pub fn digest_id(pki: &Pki, certificate: &[u8]) -> String {
    let ids = identities(pki, &[certificate]).pop().expect("a line of output").expect("an identity");
    ids.digest.expect("a digest id")
}

/// A running zoogate. When it ends, by [`Gate::finish`] or dropped, it fails the test if it logged a warning or an
/// error that was not announced by [`Gate::expect_log`].
#[derive(Debug)]
pub struct Gate {
    child: Child,
    dir: TempDir,
    address: SocketAddr,
    admin: SocketAddr,
    expected: Vec<String>,
    checked: bool,
}

impl Gate {
    /// The YAML of a gate with default settings before `upstream`; lines may be added behind it. `LISTEN` and `ADMIN`
    /// stand for addresses that [`Gate::start`] finds.
    pub fn config(pki: &Pki, upstream: SocketAddr) -> String {
        format!(
            "listen:\n  address: LISTEN\nupstream:\n  address: {upstream}\ntls:\n  \
             key_store: {{ path: {}, key_path: {} }}\n  trust_store: {{ path: {} }}\n\
             limits: {{ connections: 1000 }}\nidentity:\n  from: subject\n  inject: digest\n  secret_file: {}\nadmin:\n  address: ADMIN\n\
             log:\n  format: json\n  level: info\n",
            pki.path("server.crt").display(),
            pki.path("server.key").display(),
            pki.path("ca.crt").display(),
            secret_file(pki).display(),
        )
    }

    /// A gate with default settings before `upstream`.
    pub fn in_front_of(upstream: SocketAddr, pki: &Pki) -> Self {
        Self::start(&Self::config(pki, upstream))
    }

    /// Starts a gate with this YAML, in which `LISTEN` and `ADMIN` are replaced by free addresses, and waits until it
    /// is ready.
    pub fn start(yaml: &str) -> Self {
        let mut gate = Self::spawn(yaml);
        gate.wait_until_ready();
        gate
    }

    /// Waits until it is ready for clients.
    pub fn wait_until_ready(&mut self) {
        let ready = wait_for(|| {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "zoogate ended at once ({ended:?}): {}", self.output());
            self.get("/readyz").filter(|(status, _)| *status == 200)
        });
        assert!(ready.is_some(), "zoogate is not ready: {:?}\n{}", self.get("/readyz"), self.output());
    }

    /// Starts a gate like [`Gate::start`], but does not wait for anything.
    pub fn spawn(yaml: &str) -> Self {
        let dir = TempDir::with_prefix("zoogate-run-").unwrap();
        let (address, admin) = (free_address(), free_address());
        let config = dir.path().join("zoogate.yaml");
        fs::write(&config, placed(yaml, address, admin)).unwrap();
        let child = launch(&dir);
        Self { child, dir, address, admin, expected: Vec::new(), checked: false }
    }

    /// Kills the process, as a crash would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Stops it as an operator would, and checks the exit code. It may be started again.
    pub fn stop(&mut self) {
        self.signal("TERM");
        let status = self.wait();
        assert!(status.success(), "zoogate ended with {status}: {}", self.output());
    }

    /// Starts a stopped gate again, at the same addresses, with the files as they are now; its log goes on.
    pub fn restart(&mut self) {
        self.child = launch(&self.dir);
        self.wait_until_ready();
    }

    /// Replaces the configuration, as [`Gate::start`] takes it; for the next start.
    pub fn reconfigure(&self, yaml: &str) {
        fs::write(self.config_file(), placed(yaml, self.address, self.admin)).unwrap();
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where metrics and health are.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The configuration file that it was started with.
    pub fn config_file(&self) -> PathBuf {
        self.dir.path().join("zoogate.yaml")
    }

    /// GET of an admin page: status and body; `None` when nobody answers.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect_timeout(&self.admin, Duration::from_secs(1)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.admin).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// The value of one sample in `/metrics`, by its name and labels as they are printed; 0 if it isn't there.
    pub fn metric(&self, sample: &str) -> f64 {
        let (_, text) = self.get("/metrics").expect("/metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Announces a warning or error: a log line of such a level that contains `text` is no failure.
    pub fn expect_log(&mut self, text: &str) {
        self.expected.push(text.to_owned());
    }

    /// All that was printed.
    pub fn output(&self) -> String {
        fs::read_to_string(self.dir.path().join("output")).unwrap_or_default()
    }

    /// Every log line, parsed.
    pub fn log(&self) -> Vec<Value> {
        self.output().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Sends a signal, such as `TERM` or `HUP`.
    pub fn signal(&self, name: &str) {
        run(Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()));
    }

    /// Waits until the process has ended.
    pub fn wait(&mut self) -> ExitStatus {
        wait_for(|| self.child.try_wait().unwrap()).unwrap_or_else(|| panic!("zoogate runs on: {}", self.output()))
    }

    /// Stops it as an operator would, and checks exit code and log.
    pub fn finish(mut self) {
        self.stop();
        self.check_log();
    }

    fn check_log(&mut self) {
        self.checked = true;
        let output = self.output();
        for line in output.lines() {
            let Ok(record) = serde_json::from_str::<Value>(line) else {
                panic!("zoogate printed a line that is not JSON: {line}\n{output}");
            };
            let loud = matches!(record["level"].as_str(), Some("WARN" | "ERROR"));
            let announced = self.expected.iter().any(|text| line.contains(text));
            assert!(!loud || announced, "zoogate logged: {line}\n{output}");
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // A test that fails already must not panic twice, which would hide the reason.
        if !self.checked && !std::thread::panicking() {
            self.check_log();
        }
    }
}

/// A configuration with addresses in their places.
fn placed(yaml: &str, address: SocketAddr, admin: SocketAddr) -> String {
    yaml.replace("LISTEN", &address.to_string()).replace("ADMIN", &admin.to_string())
}

fn launch(dir: &TempDir) -> Child {
    let output = File::options().append(true).create(true).open(dir.path().join("output")).unwrap();
    zoogate(&["run", "--config"])
        .arg(dir.path().join("zoogate.yaml"))
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .unwrap()
}

/// The file in `deploy/` or elsewhere in the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
