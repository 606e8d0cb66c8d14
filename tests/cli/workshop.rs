//! Certificates made by OpenSSL, and the program run beside them.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

/// Nothing that the program prints may hold these.
pub(crate) const PASSWORD: &str = "word-that-opens-stores";
pub(crate) const SECRETS: [&str; 2] =
    ["first-secret-which-nobody-may-see-0123456789", "other-secret-which-nobody-may-see-9876543210"];

/// A configuration in the workshop's directory.
pub(crate) const CONFIG: &str = "\
listen: { address: 127.0.0.1:2281 }
upstream: { address: UPSTREAM }
tls:
  key_store: { path: server.crt, key_path: server.key }
  trust_store: { path: root.crt }
identity: { secret_file: secret }
";

pub(crate) fn zoogate(line: &str) -> Output {
    let arguments = line.split_whitespace();
    Command::new(env!("CARGO_BIN_EXE_zoogate")).args(arguments).output().expect("the program starts")
}

/// A run of the program that has ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// After checking that it told no secret.
    pub(crate) fn of(output: Output) -> Self {
        let stdout = String::from_utf8(output.stdout).expect("standard output is UTF-8");
        let stderr = String::from_utf8(output.stderr).expect("standard error is UTF-8");
        for secret in [PASSWORD, SECRETS[0], SECRETS[1]] {
            assert!(!stdout.contains(secret) && !stderr.contains(secret), "{stdout}\n{stderr}");
        }
        Self { code: output.status.code().expect("it ends by itself"), stdout, stderr }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.stdout.lines().count(), 1, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A directory with certificates.
pub(crate) struct Workshop {
    directory: TempDir,
}

impl Workshop {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a temporary directory") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// Runs `openssl …` or `keytool …` in the directory. Words are parted by spaces; `~` stands for a space in one.
    pub(crate) fn run(&self, command: &str) {
        let mut words = command.split_ascii_whitespace().map(|word| word.replace('~', " "));
        let tool = words.next().expect("a tool");
        let output = Command::new(&tool)
            .args(words)
            .current_dir(self.directory.path())
            .env("LC_ALL", "C")
            .output()
            .unwrap_or_else(|error| {
                panic!("`{tool}` is needed by this test (Debian: openssl, openjdk-17-jre-headless): {error}")
            });
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`{command}` failed:\n{}{said}", String::from_utf8_lossy(&output.stdout));
    }

    /// Runs the program in the directory.
    pub(crate) fn zoogate(&self, line: &str) -> Run {
        Run::of(self.command(line).output().expect("the program starts"))
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zoogate"));
        command.args(line.split_whitespace()).current_dir(self.directory.path()).stdin(Stdio::null());
        command.env_remove("CREDENTIALS_DIRECTORY").env_remove("RUST_LOG");
        command
    }

    /// Makes `NAME.key` and `NAME.crt` of a name and a subject, valid for 20 days, issued by `issuer`, with extensions by lines as OpenSSL
    /// takes them.
    pub(crate) fn issue(&self, named: (&str, &str), issuer: &str, extensions: &str) {
        self.issue_with_key(named, issuer, (extensions, "ec -pkeyopt ec_paramgen_curve:P-256"));
    }

    pub(crate) fn issue_with_key(&self, (name, subject): (&str, &str), issuer: &str, (extensions, key): (&str, &str)) {
        self.write(&format!("{name}.ext"), extensions);
        self.run(&format!("openssl req -utf8 -newkey {key} -nodes -keyout {name}.key -out {name}.csr -subj {subject}"));
        self.run(&format!(
            "openssl x509 -req -in {name}.csr -CA {issuer}.crt -CAkey {issuer}.key -CAcreateserial -days 20 \
             -extfile {name}.ext -out {name}.crt"
        ));
    }

    /// Makes `NAME.crl` of the CA `issuer`, current for a day, which revokes the certificate `revoked`.
    pub(crate) fn revoke(&self, name: &str, issuer: &str, revoked: &str) {
        self.write(&format!("{name}.index"), "");
        self.write(&format!("{name}.number"), "01\n");
        self.write(
            &format!("{name}.cnf"),
            format!(
                "[ca]\ndefault_ca=it\n[it]\ndatabase={name}.index\ncrlnumber={name}.number\ndefault_md=sha256\n\
                 default_crl_days=1\ncertificate={issuer}.crt\nprivate_key={issuer}.key\n"
            ),
        );
        self.run(&format!("openssl ca -config {name}.cnf -revoke {revoked}.crt"));
        self.run(&format!("openssl ca -config {name}.cnf -gencrl -out {name}.crl"));
    }

    fn root(&self, name: &str, subject: &str) {
        self.run(&format!(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.crt \
             -subj {subject} -days 30"
        ));
    }
}

pub(crate) const CA: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n";
pub(crate) const LEAF: &str = "basicConstraints=CA:FALSE\nsubjectAltName=DNS:alice.example\n";

/// `root` → `alice`, `server`; `root` → `middle` → `bob`; a `stranger` root; files of passwords and secrets.
pub(crate) fn pki() -> Workshop {
    let shop = Workshop::new();
    let made = made_once();
    for name in ["root", "stranger", "middle", "alice", "bob", "server"] {
        for ending in ["key", "crt"] {
            let file = format!("{name}.{ending}");
            shop.write(&file, made.read(&file));
        }
    }
    shop.write("bob.chain", [shop.read("bob.crt"), shop.read("middle.crt")].concat());
    shop.write("password", PASSWORD);
    shop.write("secret", format!("{}\n", SECRETS[0]));
    shop.write("secrets", format!("{}\n{}\n", SECRETS[0], SECRETS[1]));
    shop
}

fn made_once() -> &'static Workshop {
    static MADE: OnceLock<Workshop> = OnceLock::new();
    MADE.get_or_init(|| {
        let shop = Workshop::new();
        shop.root("root", "/O=Zoo/CN=Root");
        shop.root("stranger", "/O=Elsewhere/CN=Root");
        shop.issue(("middle", "/O=Zoo/CN=Middle"), "root", CA);
        shop.issue(("alice", "/O=Acme/CN=alice"), "root", LEAF);
        shop.issue(("bob", "/O=Acme/CN=bob"), "middle", LEAF);
        shop.issue(("server", "/O=Acme/CN=gate"), "root", LEAF);
        shop
    })
}

/// One DER element.
pub(crate) fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = match contents.len() {
        length @ 0..=0x7f => vec![length as u8],
        length @ 0x80..=0xff => vec![0x81, length as u8],
        length => vec![0x82, (length >> 8) as u8, length as u8],
    };
    [&[tag][..], &length, contents].concat()
}

/// The outline of a certificate with this subject, signed by nobody: good enough to be named.
pub(crate) fn certificate_of(subject: &[u8]) -> Vec<u8> {
    let empty = der(0x30, &[]);
    let tbs = [&der(2, &[1])[..], &empty, &empty, &empty, subject, &empty].concat();
    der(0x30, &[der(0x30, &tbs), empty, der(3, &[0])].concat())
}
