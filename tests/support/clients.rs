//! Programs written against other client libraries, as child processes.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::pki::{Pki, STORE_PASSWORD};
use super::{run, set_up};

/// Who a client is, and how that is shown in ACLs.
#[derive(Clone, Debug)]
pub struct Persona {
    /// Name of the files in a [`Pki`] for TLS; `None` connects in plaintext.
    pub certificate: Option<&'static str>,
    /// `user:password` of a digest credential that the client itself adds.
    pub digest: Option<String>,
    /// The id that the server then knows, `digest:user:hash`.
    pub id: String,
}

/// Runs the kazoo script at `address` and returns its transcript: a list of `[step, outcome]`.
pub fn kazoo(address: SocketAddr, pki: &Pki, alice: &Persona, bob: &Persona) -> Vec<Value> {
    let mut names = Vec::new();
    for (persona, word) in [(alice, "ALICE"), (bob, "BOB")] {
        let user = &persona.id[..persona.id.rfind(':').unwrap()];
        names.extend([
            json!([persona.id, word]),
            json!([user, word]),
            json!([format!("{user}:x"), format!("{word}:x")]),
        ]);
    }
    let arguments = json!({
        "hosts": address.to_string(), "root": "/transcript", "names": names, "bob_id": bob.id,
        "alice": persona(pki, alice), "bob": persona(pki, bob),
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/python/transcript.py");
    let output = run(Command::new(set_up("venv/bin/python")).arg(script).arg(arguments.to_string()));
    serde_json::from_str(&output).unwrap()
}

fn persona(pki: &Pki, persona: &Persona) -> Value {
    json!({ "tls": persona.certificate.map(|name| tls_files(pki, name)), "digest": persona.digest })
}

/// What Python clients need to be `name` by TLS: CA, certificate, key.
pub fn tls_files(pki: &Pki, name: &str) -> [PathBuf; 3] {
    [pki.path("ca.crt"), pki.path(&format!("{name}.crt")), pki.path(&format!("{name}.key"))]
}

/// A Python client that does as it is told, one line at a time; killed when dropped.
pub struct Puppet {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Puppet {
    /// Starts a script of `tests/clients/python`.
    pub fn start(script: &str, arguments: &Value) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/python").join(script);
        let mut command = Command::new(set_up("venv/bin/python"));
        command.arg(path).arg(arguments.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, stdin, stdout: BufReader::new(stdout) }
    }

    /// Says a line and returns the answer. The script has deadlines of its own.
    pub fn ask(&mut self, line: &str) -> Value {
        writeln!(self.stdin, "{line}").unwrap();
        let mut answer = String::new();
        self.stdout.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{line}: {error}: {answer:?}"))
    }
}

impl Drop for Puppet {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Java virtual machine with the class path of a ZooKeeper version, and TLS flags for the client `name` if any.
pub fn java(version: &str, pki: &Pki, name: Option<&str>) -> Command {
    let class_path = fs::read_to_string(set_up(&format!("zookeeper/{version}/cp.txt"))).unwrap();
    let mut command = Command::new("java");
    command.args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
    command.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn");
    if let Some(name) = name {
        command.args(java_tls_flags(pki, name));
    }
    command.arg("-cp").arg(format!("{}:{}", set_up("clients/java").display(), class_path.trim()));
    command
}

/// The six flags by which articles and products (Storm, Solr, HBase) give a Java client its TLS.
pub fn java_tls_flags(pki: &Pki, name: &str) -> [String; 6] {
    let (key_store, trust_store) = (pki.path(&format!("{name}.jks")), pki.path("trust.jks"));
    [
        "-Dzookeeper.clientCnxnSocket=org.apache.zookeeper.ClientCnxnSocketNetty".to_owned(),
        "-Dzookeeper.client.secure=true".to_owned(),
        format!("-Dzookeeper.ssl.keyStore.location={}", key_store.display()),
        format!("-Dzookeeper.ssl.keyStore.password={STORE_PASSWORD}"),
        format!("-Dzookeeper.ssl.trustStore.location={}", trust_store.display()),
        format!("-Dzookeeper.ssl.trustStore.password={STORE_PASSWORD}"),
    ]
}

/// Runs the Java client; returns its lines `step<TAB>outcome`.
pub fn java_client(jvm: Command, address: SocketAddr, root: &str, digest: Option<&str>) -> Vec<(String, String)> {
    let credential = digest.map(|digest| ("digest", digest));
    steps(&run(&mut java_client_with(jvm, address, root, credential)))
}

/// The command that runs the Java client, with a credential (scheme and data) that it adds before it is connected.
pub fn java_client_with(
    mut jvm: Command,
    address: SocketAddr,
    root: &str,
    credential: Option<(&str, &str)>,
) -> Command {
    jvm.args(["org.apache.zookeeper.GateClient", &address.to_string(), root]);
    jvm.args(credential.iter().flat_map(|(scheme, data)| [scheme, data]));
    jvm
}

/// Who takes part in a story about `x509` ids: a name in a [`Pki`], and the id of its certificate.
pub type Person<'a> = (&'a str, &'a str);

/// Runs the Java program for native `x509` ACLs; returns its lines `step<TAB>outcome`. The key stores of both, and the
/// trust store, must have been made.
pub fn java_native_acls(pki: &Pki, address: SocketAddr, alice: Person<'_>, bob: Person<'_>) -> Vec<(String, String)> {
    let mut jvm = java("3.9.5", pki, None);
    jvm.args(["org.apache.zookeeper.NativeAcls", &address.to_string(), "/program"]);
    jvm.arg(pki.path("trust.jks")).arg(STORE_PASSWORD);
    for (name, id) in [alice, bob] {
        jvm.arg(pki.path(&format!("{name}.jks"))).arg(id);
    }
    steps(&run(&mut jvm))
}

/// Runs the kazoo program for native `x509` ACLs; returns its transcript, a list of `[step, outcome]`. `strangers` are
/// more ids to write and read.
pub fn kazoo_native_acls(
    pki: &Pki,
    address: SocketAddr,
    people: [Person<'_>; 2],
    strangers: &[String],
) -> Vec<(String, String)> {
    let [alice, bob] = people.map(|(name, id)| {
        let files = ["ca.crt".to_owned(), format!("{name}.crt"), format!("{name}.key")];
        json!({ "tls": files.map(|file| pki.path(&file)), "id": id })
    });
    let arguments = json!({
        "hosts": address.to_string(), "root": "/script", "alice": alice, "bob": bob, "strangers": strangers,
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/python/native_acls.py");
    let output = run(Command::new(set_up("venv/bin/python")).arg(script).arg(arguments.to_string()));
    let transcript: Vec<(String, Value)> = serde_json::from_str(&output).unwrap();
    transcript.into_iter().map(|(step, outcome)| (step, outcome.to_string())).collect()
}

/// Types lines into `zkCli.sh`, and returns all that it printed.
pub fn zk_cli(mut jvm: Command, address: SocketAddr, lines: &[&str]) -> String {
    jvm.args(["org.apache.zookeeper.ZooKeeperMain", "-waitforconnection", "-server", &address.to_string()]);
    let mut child = jvm.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for line in lines.iter().chain(&["quit"]) {
        writeln!(stdin, "{line}").unwrap();
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs the C client by TLS as alice; returns its lines `step<TAB>outcome`.
pub fn c_client(address: SocketAddr, pki: &Pki, root: &str, digest: Option<&str>) -> Vec<(String, String)> {
    let file = |name: &str| pki.path(name).display().to_string();
    let tls = [file("ca.crt"), file("alice.crt"), file("alice.key"), "unused".into()];
    let servers = address.to_string();
    steps(&run(Command::new(set_up("clients/c/gate_client")).args([&servers, &tls.join(","), root]).args(digest)))
}

/// Lines `step<TAB>outcome`.
pub fn steps(output: &str) -> Vec<(String, String)> {
    output
        .lines()
        .map(|line| line.split_once('\t').unwrap_or_else(|| panic!("not a step: {line}")))
        .map(|(step, outcome)| (step.to_owned(), outcome.to_owned()))
        .collect()
}
