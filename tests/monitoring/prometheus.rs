//! Prometheus itself and its tool, of Debian's package `prometheus`.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{free_address, set_up, wait_for};

/// Runs promtool; all that it printed, and whether it was content.
pub(crate) fn promtool(arguments: &[&str], file: &Path) -> (bool, String) {
    let output = Command::new(program("promtool")).args(arguments).arg(file).output().unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// The program in the environment variable of its name, in capitals, or else the one that `make setup` puts there.
pub(crate) fn program(name: &str) -> PathBuf {
    let named = std::env::var_os(name.to_uppercase());
    named.map_or_else(|| set_up(&format!("prometheus/{name}")), PathBuf::from)
}

/// A running Prometheus that scrapes and evaluates every second; killed when dropped.
pub(crate) struct Server {
    child: Child,
    dir: TempDir,
    address: SocketAddr,
}

impl Server {
    /// Starts it with a job `zoogate` of these targets, and waits until it has scraped them.
    pub(crate) fn start(targets: &[SocketAddr], rules: &Path) -> Self {
        let dir = TempDir::with_prefix("zoogate-prometheus-").unwrap();
        let (address, config) = (free_address(), dir.path().join("prometheus.yaml"));
        let listed: Vec<String> = targets.iter().map(|target| format!("\"{target}\"")).collect();
        let text = format!(
            "global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}\nrule_files: [ {} ]\n\
             scrape_configs:\n  - job_name: zoogate\n    static_configs: [ {{ targets: [ {} ] }} ]\n",
            rules.display(),
            listed.join(", ")
        );
        fs::write(&config, text).unwrap();
        let output = File::create(dir.path().join("output")).unwrap();
        let child = Command::new(program("prometheus"))
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let server = Self { child, dir, address };
        let scraped = format!("count(up{{job=\"zoogate\"}} == 1) == {}", targets.len());
        wait_for(|| server.holds(&scraped).then_some(())).unwrap_or_else(|| panic!("{}", server.output()));
        server
    }

    /// Whether an expression has a result.
    pub(crate) fn holds(&self, expression: &str) -> bool {
        let answer = self.get(&format!("/api/v1/query?query={}", encoded(expression)));
        answer.is_some_and(|answer| answer["data"]["result"].as_array().is_some_and(|result| !result.is_empty()))
    }

    /// Names of the alerts that fire, sorted.
    pub(crate) fn firing(&self) -> Vec<String> {
        let alerts = self.alerts().into_iter().filter(|alert| alert["state"] == "firing");
        let mut names: Vec<String> =
            alerts.map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    /// The alert of this name, firing or pending.
    pub(crate) fn alert(&self, name: &str) -> Value {
        let found = self.alerts().into_iter().find(|alert| alert["labels"]["alertname"] == name);
        found.unwrap_or_else(|| panic!("no alert {name}"))
    }

    fn alerts(&self) -> Vec<Value> {
        let answer = self.get("/api/v1/alerts").unwrap_or_else(|| panic!("no answer: {}", self.output()));
        answer["data"]["alerts"].as_array().unwrap_or_else(|| panic!("{answer}")).clone()
    }

    /// The answer to GET, if there is one. HTTP/1.0 has no chunks.
    fn get(&self, path: &str) -> Option<Value> {
        let mut stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    fn output(&self) -> String {
        fs::read_to_string(self.dir.path().join("output")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Percent-encoded, to be part of a URL.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}
