//! Configurations.

use std::collections::BTreeMap;
use std::fmt::Write;

use tempfile::TempDir;

use super::pki::{PKI, SECRETS};
use super::upstream::Upstream;

/// A configuration and the files that it names.
pub(crate) struct Setup {
    pub(crate) directory: TempDir,
    /// Values by section and key.
    keys: BTreeMap<(String, String), String>,
}

impl Setup {
    /// Everything by default, with one secret, in front of an upstream; ports are chosen by the system.
    pub(crate) fn new(upstream: &Upstream) -> Self {
        let directory = tempfile::tempdir().unwrap();
        PKI.write_to(directory.path(), &SECRETS[..1]);
        Self { directory, keys: BTreeMap::new() }
            .set("listen.address", "127.0.0.1:0")
            .set("upstream.address", &upstream.address.to_string())
            .set("tls.key_store", "{ path: server.pem }")
            .set("tls.trust_store", "{ path: trust.pem }")
            .set("identity.secret_file", "secret")
            .set("admin.address", "127.0.0.1:0")
            .set("runtime.workers", "2")
    }

    /// Sets a key.
    pub(crate) fn set(mut self, path: &str, value: &str) -> Self {
        let (section, key) = path.split_once('.').unwrap();
        self.keys.insert((section.to_owned(), key.to_owned()), value.to_owned());
        self
    }

    /// Two secrets, as during a rotation.
    pub(crate) fn two_secrets(self) -> Self {
        PKI.write_to(self.directory.path(), &SECRETS);
        self
    }

    /// The configuration as a person would write it.
    pub(crate) fn text(&self) -> String {
        let (mut text, mut current) = (String::new(), "");
        for ((section, key), value) in &self.keys {
            if section != current {
                writeln!(text, "{section}:").unwrap();
                current = section;
            }
            writeln!(text, "  {key}: {value}").unwrap();
        }
        text
    }
}
