//! The program on Curator's recipes, as a child process that answers questions.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::support::clients::java_tls_flags;
use super::support::pki::Pki;
use super::support::set_up;

/// A running program; killed when dropped.
#[derive(Debug)]
pub(crate) struct Client {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    transcript: String,
}

impl Client {
    /// Starts it as alice, with the connect string that it is to begin with.
    pub(crate) fn start(pki: &Pki, servers: &str) -> Self {
        let class_path = fs::read_to_string(set_up("curator/cp.txt")).unwrap();
        let mut child = Command::new("java")
            .args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=error")
            .args(java_tls_flags(pki, "alice"))
            .arg("-cp")
            .arg(format!("{}:{}", set_up("clients/curator").display(), class_path.trim()))
            .args(["CuratorClient", servers])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(pki.path("curator.log")).unwrap())
            .spawn()
            .expect("java starts; `make setup` installs it");
        let (stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, stdin, stdout, transcript: String::new() }
    }

    /// Asks it something, and returns its answer.
    pub(crate) fn ask(&mut self, command: &str) -> String {
        writeln!(self.stdin, "{command}").unwrap();
        let mut answer = String::new();
        self.stdout.read_line(&mut answer).unwrap();
        self.transcript += &format!("{command}\t{answer}");
        answer.trim_end().to_owned()
    }
}

impl Drop for Client {
    #[allow(clippy::print_stderr, reason = "the test's output, shown where it fails")]
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("what the program on Curator said:\n{}", self.transcript);
        }
    }
}
