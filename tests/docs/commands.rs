//! The commands of openssl and keytool on the pages run as they stand there, on files like those that they are about.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{pages, root};

/// A machine as the pages suppose it: `/etc/zoogate` (here `etc`), a CA in the working directory, and a gate that
/// listens.
struct Machine {
    directory: TempDir,
    gate: Child,
    port: u16,
}

const MATERIAL: &str = r#"
mkdir etc
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=CA -keyout ca.key -out ca.pem
for name in server alice; do
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=$name -keyout $name.key -out $name.csr
  openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out $name.pem
  cp $name.pem $name.crt
done
printf '[ca]\ndefault_ca=a\n[a]\ndatabase=index\ncrlnumber=number\ndefault_md=sha256\ndefault_crl_days=9\ncertificate=ca.pem\nprivate_key=ca.key\n' >ca.cnf
touch index; echo 01 >number
openssl ca -config ca.cnf -gencrl -out published.crl
cp ca.pem server.pem server.key server.crt published.crl etc
cp published.crl etc/ca.crl
mkdir certs && cp alice.pem server.pem certs
zoogate secret >etc/secret
cat >etc/zoogate.yaml <<EOF
listen: { address: 127.0.0.1:2281 }
tls: { key_store: { path: server.pem, key_path: server.key }, trust_store: { path: ca.pem } }
identity: { secret_file: secret }
EOF
"#;

impl Machine {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        run(directory.path(), MATERIAL);
        // Free just now, which is good enough for a moment.
        let port = TcpListener::bind("127.0.0.1:0").expect("loopback").local_addr().expect("bound").port();
        let gate = Command::new("openssl")
            .args([
                "s_server",
                "-quiet",
                "-cert",
                "server.pem",
                "-key",
                "server.key",
                "-accept",
                &format!("127.0.0.1:{port}"),
            ])
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is needed by this test");
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(20), "openssl s_server does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { directory, gate, port }
    }

    /// The command with this machine's names for those of the page.
    fn here(&self, command: &str) -> String {
        let gate = format!("127.0.0.1:{}", self.port);
        let etc = format!("{}/", self.directory.path().join("etc").display());
        ["zk1:2281", "127.0.0.1:2281", "localhost:2281"]
            .iter()
            .fold(command.to_owned(), |command, name| command.replace(name, &gate))
            .replace("/etc/zoogate/", &etc)
            .replace("http://pki.example/ca.crl", &format!("file://{etc}published.crl"))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.gate.kill();
        let _ = self.gate.wait();
    }
}

fn run(directory: &Path, script: &str) -> String {
    // `zoogate` is ours.
    let programs = Path::new(env!("CARGO_BIN_EXE_zoogate")).parent().expect("a program has a directory");
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("bash");
    shell.args(["-euc", script]).current_dir(directory).env("PATH", path);
    let output = shell.output().expect("bash");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{told}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The blocks of shell commands on a page, each with the lines put together that are one command.
fn blocks(text: &str) -> Vec<String> {
    let block = |block: &str| block.split("```").next().unwrap_or_default().replace("\\\n", "").replace("|\n", "| ");
    text.split("```sh\n").skip(1).map(block).collect()
}

fn is_ours(line: &str) -> bool {
    let words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').collect::<Vec<_>>();
    !line.trim_start().starts_with('#') && words.iter().any(|word| matches!(*word, "openssl" | "keytool"))
}

#[test]
fn commands_of_openssl_and_keytool_on_the_pages_run() {
    let mut done = 0;
    for path in pages() {
        let text = fs::read_to_string(&path).expect("a page is text");
        for block in blocks(&text).iter().filter(|block| block.lines().any(is_ours)) {
            // Each block on a machine of its own, for some change files.
            let machine = Machine::new();
            if block.contains("openssl req") {
                issues_certificates(block);
                done += 1;
                continue;
            }
            let mut before = String::new();
            for line in block.lines() {
                if line.starts_with("new=") {
                    before = format!("{line}\n");
                }
                if !is_ours(line) {
                    continue;
                }
                let told = run(machine.directory.path(), &machine.here(&format!("{before}{line}")));
                // With -quiet it is ZooKeeper that would speak.
                let silent = line.contains(" -quiet ") || line.contains("openssl ca ") || line.contains("&& mv");
                assert!(silent || !told.trim().is_empty(), "{}: {line}: says nothing", path.display());
                done += 1;
            }
        }
    }
    assert!(done >= 12, "only {done} commands were found");
}

#[test]
fn commands_of_openssl_and_keytool_within_sentences_run() {
    let machine = Machine::new();
    let mut done = 0;
    for path in pages() {
        let text = fs::read_to_string(&path).expect("a page is text");
        for quoted in super::without_code(&text).split('`').skip(1).step_by(2).filter(|quoted| is_ours(quoted)) {
            // Without a file it is a name in a sentence.
            if quoted.contains(" -in ") && !quoted.contains('…') {
                let told = run(machine.directory.path(), &machine.here(&quoted.replace('\n', " ")));
                assert!(!told.trim().is_empty(), "{}: {quoted}", path.display());
                done += 1;
            }
        }
    }
    assert!(done > 0, "none was found");
}

/// A block that makes a CA and certificates, from an empty directory: what it makes must verify.
fn issues_certificates(block: &str) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::os::unix::fs::symlink(root().join("deploy"), directory.path().join("deploy")).expect("a link");
    let own = directory.path().join("pki").display().to_string();
    let script =
        block.replace("/srv/pki", &own).replace("docker run --rm zoogate:0.1.0", env!("CARGO_BIN_EXE_zoogate"));
    let check = r#"
for ca in ca.pem ca.crt gate/ca.crt; do
  if [ -e "$ca" ]; then openssl verify -CAfile "$ca" $(ls alice.crt alice.pem server.crt server.pem gate/tls.crt 2>/dev/null); fi
done"#;
    let told = run(directory.path(), &format!("{script}\n{check}"));
    assert!(told.matches(": OK").count() >= 2, "{block}\n{told}");
}

/// Every source file of the program.
fn sources() -> Vec<std::path::PathBuf> {
    let (mut found, mut directories) = (Vec::new(), vec![root().join("src")]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("it stays there").path();
            if path.is_dir() { directories.push(path) } else { found.push(path) }
        }
    }
    found
}

#[test]
fn commands_of_zoogate_in_messages_and_on_pages_are_in_its_grammar() {
    use clap::error::ErrorKind;
    let (mut done, mut wrong) = (0, Vec::new());
    for path in sources().into_iter().chain(pages()) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for quoted in text.split('`').filter(|quoted| quoted.starts_with("zoogate ") && !quoted.contains('\n')) {
            // A label in what the provider hashes, and no command.
            if quoted.ends_with(" v1") {
                continue;
            }
            let quoted = quoted.replace("VERB", "check");
            let words = quoted.split_whitespace().take_while(|word| !matches!(*word, "|" | ">" | "&&" | "…" | "<"));
            let parsed = zoogate::cli::grammar().try_get_matches_from(words);
            if let Err(error) = parsed {
                let unknown = matches!(error.kind(), ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand);
                if unknown {
                    wrong.push(format!("{}: `{quoted}`", path.display()));
                }
            }
            done += 1;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(done > 20, "only {done} were found");
}
