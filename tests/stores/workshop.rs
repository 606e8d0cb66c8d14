//! Makes stores with the tools that people use: OpenSSL 3 and the JDK's keytool.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;
use zoogate::secret::Secret;
use zoogate::store::{KeyStore, KeyStorePaths, StoreError, StoreFault, load_key_store};

/// The password of everything, unless a test says otherwise. Keytool wants six characters at least.
pub(crate) const PASSWORD: &str = "changeit";

/// A directory in which stores are made.
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

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(name), content).unwrap_or_else(|error| panic!("{name}: {error}"));
        self.path(name)
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
        assert!(
            output.status.success(),
            "`{command}` failed:\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// The first DER block of a PEM file, by OpenSSL's own base64.
    pub(crate) fn certificate(&self, name: &str) -> Vec<u8> {
        let der = format!("{name}.der-of");
        self.run(&format!("openssl x509 -in {name} -outform DER -out {der}"));
        self.read(&der)
    }
}

/// Root → intermediate → server (RSA 2048), and a few that stand alone; made once.
///
/// Files: `root.crt`, `twin.crt` (another root of the same name), `intermediate.crt`, `server.{key,crt}`,
/// `chain.pem` (server, intermediate, root), `ec.{key,crt}`, `ed.{key,crt}`, and per key `*.pk8` (PKCS#8 DER).
pub(crate) fn pki() -> &'static Workshop {
    static PKI: OnceLock<Workshop> = OnceLock::new();
    PKI.get_or_init(|| {
        let shop = Workshop::new();
        shop.write("ca.ext", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n");
        shop.write("leaf.ext", "basicConstraints=CA:FALSE\nsubjectAltName=DNS:localhost\n");
        let ec = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        for name in ["root", "twin"] {
            shop.run(&format!(
                "openssl req -x509 {ec} -keyout {name}.key -out {name}.crt -subj /O=Zoo/CN=Root -days 30"
            ));
        }
        shop.run(&format!("openssl req {ec} -keyout intermediate.key -out intermediate.csr -subj /O=Zoo/CN=Gate"));
        shop.run(
            "openssl x509 -req -in intermediate.csr -CA root.crt -CAkey root.key -CAcreateserial -days 30 \
             -extfile ca.ext -out intermediate.crt",
        );
        shop.run("openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /O=Zoo/CN=server");
        shop.run(
            "openssl x509 -req -in server.csr -CA intermediate.crt -CAkey intermediate.key -CAcreateserial -days 30 \
             -extfile leaf.ext -out server.crt",
        );
        shop.run(&format!("openssl req -x509 {ec} -keyout ec.key -out ec.crt -subj /CN=ec -days 30"));
        shop.run("openssl req -x509 -newkey ed25519 -nodes -keyout ed.key -out ed.crt -subj /CN=ed -days 30");
        shop.write(
            "chain.pem",
            [shop.read("server.crt"), shop.read("intermediate.crt"), shop.read("root.crt")].concat(),
        );
        for name in ["server", "ec", "ed"] {
            shop.run(&format!("openssl pkcs8 -topk8 -nocrypt -in {name}.key -outform DER -out {name}.pk8"));
        }
        shop
    })
}

pub(crate) fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

/// Loads a key store in which one file holds everything.
pub(crate) fn load(path: &Path, password: Option<&str>) -> Result<KeyStore, StoreError> {
    let password = password.map(secret);
    load_key_store(KeyStorePaths { path, key_path: None, password: password.as_ref(), key_password: None })
}

/// The fault of a load that must fail, after checking that its text and debugging form give no secret away.
pub(crate) fn fault<T>(result: Result<T, StoreError>) -> StoreFault {
    let Err(error) = result else { panic!("this store must be refused") };
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(!text.contains(PASSWORD), "a password is shown: {text}");
        assert!(text.contains(&error.path.file_name().expect("a file").to_string_lossy().into_owned()), "{text}");
    }
    error.fault
}
