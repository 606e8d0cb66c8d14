//! The verbs that probes and hooks of a container run, beside a running gate and a real ZooKeeper.
#![allow(clippy::unwrap_used, reason = "a test that can't go on stops there")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::der;
use support::gate::{Gate, zoogate};
use support::pki::{Certified, Pki, Profile};
use support::wire::Wire;
use support::zookeeper::{Factory, ZooKeeper, ZooKeeperConfig};
use support::{free_address, wait_for};

/// Exit code, standard output, standard error.
type Ran = (i32, String, String);

fn ran(mut command: Command) -> Ran {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn probe(line: &str) -> Ran {
    let mut command = zoogate(&["probe"]);
    command.args(line.split_whitespace());
    ran(command)
}

fn is(code: i32, stdout: &str, stderr: &str) -> Ran {
    (code, stdout.to_owned(), stderr.to_owned())
}

fn server() -> ZooKeeper {
    ZooKeeperConfig::new("3.9.5", Factory::Nio).start()
}

/// A gate that notices within a second what its server does.
fn gate(pki: &Pki, server: &ZooKeeper) -> Gate {
    let yaml = Gate::config(pki, server.address());
    Gate::start(&yaml.replace("upstream:\n", "upstream:\n  probe_interval: 1s\n  probe_timeout: 1s\n"))
}

fn alice(pki: &Pki) -> Certified {
    pki.ca.issue(&Profile::client(der::person("alice")))
}

#[test]
fn probe_tells_readiness_from_life_and_gives_the_reason() {
    let pki = Pki::new();
    let mut server = server();
    let mut gate = gate(&pki, &server);
    let by_config = format!("--config {}", gate.config_file().display());
    let by_address = format!("--admin {}", gate.admin());
    assert_eq!(probe(&by_config), is(0, "ready\n", ""));
    assert_eq!(probe(&format!("--ready {by_address}")), is(0, "ready\n", ""));
    assert_eq!(probe(&format!("--live {by_address}")), is(0, "live\n", ""));

    gate.expect_log("ZooKeeper does not serve any more");
    server.kill();
    let unready = is(1, "", "not ready: upstream_unreachable\n");
    assert!(wait_for(|| (probe(&by_config) == unready).then_some(())).is_some(), "{:?}", probe(&by_config));
    assert_eq!(probe(&format!("--live {by_config}")), is(0, "live\n", ""), "no reason to restart it");

    gate.signal("STOP");
    let started = Instant::now();
    let hung = probe(&format!("--live {by_address} --timeout 300ms"));
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    gate.signal("CONT");
    assert_eq!(hung, is(1, "", &format!("not live: {}: no answer within 300ms\n", gate.admin())));

    gate.stop();
    let (code, stdout, stderr) = probe(&format!("--live {by_config}"));
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.starts_with(&format!("not live: {}: Connection refused", gate.admin())), "{stderr}");
}

#[test]
fn probe_takes_nothing_else_for_a_gate() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answers: [&[u8]; 3] =
        [b"HTTP/1.1 404 Not Found\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 503 \x1b\r\n\r\n\x1b[2J"];
    std::thread::spawn(move || {
        for (answer, stream) in answers.iter().zip(listener.incoming()) {
            let mut stream = stream.unwrap();
            // Or the answer would be cut by a reset.
            let mut request = [0; 1024];
            assert_ne!(stream.read(&mut request).unwrap(), 0);
            stream.write_all(answer).unwrap();
        }
    });
    let (code, _, other) = probe(&format!("--admin {address}"));
    assert_eq!(code, 1);
    assert_eq!(other, format!("not ready: {address} answers /readyz with 404; is it a gate?\n"));
    let (code, _, not_http) = probe(&format!("--admin {address}"));
    assert_eq!(code, 1);
    assert_eq!(
        not_http,
        format!("not ready: {address}: what answers does not speak HTTP/1.1; is it `admin.address`?\n")
    );
    let (code, _, tricky) = probe(&format!("--admin {address}"));
    assert_eq!(code, 1);
    assert!(!tricky.contains('\u{1b}'), "{tricky:?}");
}

#[test]
fn probe_wants_a_configuration_with_an_admin_address() {
    let pki = Pki::new();
    let file = pki.dir().join("zoogate.yaml");
    let yaml = Gate::config(&pki, free_address()).replace("LISTEN", "127.0.0.1:2281").replace("ADMIN", "none");
    std::fs::write(&file, yaml).unwrap();
    let (code, stdout, stderr) = probe(&format!("--config {}", file.display()));
    assert_eq!((code, stdout.as_str()), (78, ""));
    assert!(stderr.starts_with(&format!("{}: admin.address: it is `none`", file.display())), "{stderr}");
    assert_eq!(probe("--config /nowhere/zoogate.yaml").0, 78);
}

/// A preStop hook: it ends with ZooKeeper, and until then a client of the gate has what it had.
#[test]
fn the_hook_lets_the_gate_serve_until_zookeeper_is_gone() {
    let pki = Pki::new();
    let mut server = server();
    let mut gate = gate(&pki, &server);
    let mut client = Wire::tls(gate.address(), &pki.ca, &alice(&pki)).unwrap();
    client.open_new();
    let mut hook = zoogate(&["wait-upstream-closed", "--timeout", "30s", "--config"]);
    hook.arg(gate.config_file()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut hook = hook.spawn().unwrap();
    // Long enough for several looks.
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(hook.try_wait().unwrap(), None, "it did not wait");
    assert!(client.who_am_i().iter().any(|id| id.starts_with(b"digest")), "the client is served");

    gate.expect_log("ZooKeeper does not serve any more");
    server.kill();
    assert!(wait_for(|| hook.try_wait().unwrap()).is_some(), "it waits for a server that is gone");
    let output = hook.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{} is closed\n", server.address()));
    // Nothing is left to drain: the grace of 30 seconds is not waited for.
    let started = Instant::now();
    gate.signal("TERM");
    assert!(gate.wait().success());
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn the_hook_gives_up_when_its_time_is_over() {
    let open = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = open.local_addr().unwrap().to_string();
    let wait = |upstream: &str| {
        let started = Instant::now();
        let ran = ran(zoogate(&["wait-upstream-closed", "--timeout", "700ms", "--upstream", upstream]));
        assert!(started.elapsed() < Duration::from_secs(3), "{upstream}: {:?}", started.elapsed());
        ran
    };
    assert_eq!(wait(&address), is(1, "", &format!("{address} is not closed after 700ms: it takes connections\n")));
    drop(open);
    assert_eq!(wait(&address), is(0, &format!("{address} is closed\n"), ""));
    // A name that can't be looked up proves nothing.
    let (code, _, stderr) = wait("nobody.invalid:2181");
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.starts_with("nobody.invalid:2181 is not closed after 700ms: "), "{stderr}");
}

/// The hook of a native sidecar: its stop signal is the first of two.
#[test]
fn drain_has_the_gate_send_its_clients_away_and_stop() {
    let pki = Pki::new();
    let server = server();
    // Sooner than the session ends, which sends no pings.
    let yaml = Gate::config(&pki, server.address()) + "shutdown: { grace: 2s }\n";
    let mut gate = Gate::start(&yaml);
    let mut client = Wire::tls(gate.address(), &pki.ca, &alice(&pki)).unwrap();
    client.open_new();
    let drain = |pid: u32| {
        let mut command = zoogate(&["drain", "--pid"]);
        command.arg(pid.to_string());
        ran(command)
    };
    let other = std::process::id();
    assert_eq!(drain(other), is(1, "", "that process is no running gate\n"));
    let pid = gate.pid();
    assert_eq!(drain(pid), is(0, &format!("the gate, process {pid}, drains\n"), ""));
    assert_eq!(client.read_frame().unwrap(), None);
    assert!(gate.wait().success());
    let records: Vec<_> = gate.log().into_iter().filter(|line| line["message"] == "connection closed").collect();
    assert_eq!(records.iter().map(|record| &record["reason"]).collect::<Vec<_>>(), ["drained"]);
    assert_eq!(drain(pid).0, 1, "there is nobody to tell any more");
}
