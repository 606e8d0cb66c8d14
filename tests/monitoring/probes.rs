//! Probes of the server's certificate, by the blackbox_exporter of Debian's package `prometheus-blackbox-exporter`.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::read;
use crate::support::gate::Gate;
use crate::support::pki::Pki;
use crate::support::zookeeper::{Factory, ZooKeeperConfig};
use crate::support::{free_address, set_up, wait_for};

/// A running blackbox_exporter; killed when dropped.
struct Exporter {
    child: Child,
    address: SocketAddr,
    dir: TempDir,
}

impl Exporter {
    fn start(config: &str) -> Self {
        let dir = TempDir::with_prefix("zoogate-blackbox-").unwrap();
        let (address, file) = (free_address(), dir.path().join("blackbox.yml"));
        fs::write(&file, config).unwrap();
        let output = File::create(dir.path().join("output")).unwrap();
        let child = Command::new(set_up("blackbox/prometheus-blackbox-exporter"))
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Self { child, address, dir }
    }

    /// The metrics of a probe.
    fn probe(&self, module: &str, target: &str) -> String {
        let answered = wait_for(|| {
            let mut stream = TcpStream::connect(self.address).ok()?;
            stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
            let path = format!("/probe?module={module}&target={target}");
            write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).ok()?;
            Some(answer)
        });
        answered.unwrap_or_else(|| panic!("{:?}", fs::read_to_string(self.dir.path().join("output"))))
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The module as `docs/operations.md` has it.
fn documented_module(ca: &str) -> String {
    let page = read("docs/operations.md");
    let start = page.find("```yaml\nmodules:").expect("a block of modules") + "```yaml\n".len();
    let module = &page[start..start + page[start..].find("```").unwrap()];
    assert!(module.contains("/etc/prometheus/zoogate-server-ca.pem"), "{module}");
    module.replace("/etc/prometheus/zoogate-server-ca.pem", ca)
}

#[test]
fn the_documented_blackbox_module_sees_the_expiry_and_is_no_failure_of_a_client() {
    let pki = Pki::new();
    let server = ZooKeeperConfig::new("3.9.5", Factory::Nio).start();
    let gate = Gate::in_front_of(server.address(), &pki);
    let exporter = Exporter::start(&documented_module(&pki.path("ca.crt").display().to_string()));
    let target = gate.address().to_string();
    for _ in 0..30 {
        let metrics = exporter.probe("zoogate_certificate", &target);
        assert!(metrics.contains("\nprobe_success 1\n"), "{metrics}");
        assert!(metrics.contains("\nprobe_ssl_earliest_cert_expiry "), "{metrics}");
    }
    let failures = |reason: &str| gate.metric(&format!("zoogate_tls_handshake_failures_total{{reason=\"{reason}\"}}"));
    wait_for(|| (failures("no_certificate") >= 30.0).then_some(())).expect("the probes are counted apart");
    let others: f64 = ["reset", "peer_alert", "protocol", "timeout", "malformed"].map(failures).iter().sum();
    assert_eq!((failures("no_certificate"), others), (30.0, 0.0));

    // The alerts are quiet about this reason, and not about that of a client that does not trust the gate.
    let untrusting = Exporter::start(&documented_module(&pki.path("alice.crt").display().to_string()));
    let metrics = untrusting.probe("zoogate_certificate", &target);
    assert!(metrics.contains("\nprobe_success 0\n"), "{metrics}");
    wait_for(|| (failures("peer_alert") >= 1.0).then_some(())).expect("a client that refuses is counted as one");
    gate.finish();
}
