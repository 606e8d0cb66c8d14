//! The key store and the trust store, and the passwords that open them.

use super::addresses::Reached;
use super::page::{Note, Page, scalar, shell_word};
use super::settings::{Origin, Settings, Value};

/// One of the two stores.
struct Store {
    /// The key in zoogate's configuration.
    key: &'static str,
    /// The keys of zoo.cfg begin like this.
    prefix: &'static str,
    what: &'static str,
    /// Where to put its password.
    password_file: &'static str,
    /// Where to put a store that has to be made.
    new: &'static str,
}

const KEY_STORE: Store = Store {
    key: "key_store",
    prefix: "ssl.keyStore",
    what: "the server's certificate chain and key",
    password_file: "/etc/zoogate/key_store.pass",
    new: "/etc/zoogate/server.p12",
};

const TRUST_STORE: Store = Store {
    key: "trust_store",
    prefix: "ssl.trustStore",
    what: "the CAs of the clients",
    password_file: "/etc/zoogate/trust_store.pass",
    new: "/etc/zoogate/trust.p12",
};

/// Sets the stores and revocation; `zoo_cfg` is the file's name for commands.
pub(super) fn convert(settings: &Settings, reached: Reached, zoo_cfg: &str, page: &mut Page) {
    if reached == Reached::Plain && settings.get("ssl.keyStore.location").is_none() {
        page.first(Note::new(
            "put the server's certificate chain and key, and the CA of the clients' certificates, where `tls` says \
             (PEM, PKCS#12 or JKS; a store's password in a `password_file`)",
        ));
        page.set("tls", "key_store", "{ path: /etc/zoogate/server.pem, key_path: /etc/zoogate/server.key }");
        page.set("tls", "trust_store", "{ path: /etc/zoogate/clients-ca.pem }");
        return;
    }
    KEY_STORE.convert(settings, zoo_cfg, page);
    TRUST_STORE.convert(settings, zoo_cfg, page);
    revocation(settings, page);
}

impl Store {
    fn convert(&self, settings: &Settings, zoo_cfg: &str, page: &mut Page) {
        let (path, made) = self.path(settings, page);
        let password_file = if made { self.own_password(page) } else { self.password(settings, zoo_cfg, page) };
        let password = password_file.map(|file| format!(", password_file: {}", scalar(&file))).unwrap_or_default();
        page.set("tls", self.key, format!("{{ path: {}{password} }}", scalar(&path)));
    }

    fn setting(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    /// The store's path, and whether it has to be made first.
    fn path(&self, settings: &Settings, page: &mut Page) -> (String, bool) {
        let key = self.setting("location");
        let Some(location) = settings.get(&key) else {
            page.first(Note::new(format!("{key} is not set: make a store of {}, with a password", self.what)));
            return (self.new.to_owned(), true);
        };
        let kind = settings.get(&self.setting("type")).map(str::to_ascii_uppercase);
        if kind.as_deref() == Some("BCFKS") || (kind.is_none() && location.to_ascii_lowercase().ends_with(".bcfks")) {
            let from = format!("keytool -importkeystore -srcstoretype BCFKS -srckeystore {}", shell_word(location));
            let note = Note::new(format!(
                "{key}={location} is a BCFKS store, which zoogate does not read: copy it to PKCS#12. Give the \
                 options -providerclass and -providerpath that your Bouncy Castle needs, and choose a password"
            ));
            page.first(note.line(format!("{from} -deststoretype PKCS12 -destkeystore {}", self.new)));
            return (self.new.to_owned(), true);
        }
        if location.contains("${") || location.starts_with(['$', '~']) || location.contains('\n') {
            page.first(Note::new(format!("{key}={location}: write the whole path, for nothing in it is replaced")));
            return (self.new.to_owned(), false);
        }
        if !location.starts_with('/') {
            page.first(Note::new(format!(
                "{key}={location} is relative to the directory that ZooKeeper is started in, and here to that of \
                 the YAML file: write the whole path"
            )));
        }
        (location.to_owned(), false)
    }

    /// The password of a store that is yet to be made.
    fn own_password(&self, page: &mut Page) -> Option<String> {
        page.first(Note::new(format!("write that store's password into {}", self.password_file)));
        Some(self.password_file.to_owned())
    }

    /// The file with the password. One that stands in the settings is not repeated: it is told how to move it.
    fn password(&self, settings: &Settings, zoo_cfg: &str, page: &mut Page) -> Option<String> {
        let (path_key, key) = (self.setting("passwordPath"), self.setting("password"));
        if let Some(path) = settings.get(&path_key) {
            if path.starts_with('/') && !path.contains("${") {
                return Some(path.to_owned());
            }
            page.first(Note::new(format!("{path_key}={path}: put that file's whole path in its place")));
            return Some(self.password_file.to_owned());
        }
        page.first(self.move_password(&key, settings.value(&key)?, zoo_cfg));
        Some(self.password_file.to_owned())
    }

    fn move_password(&self, key: &str, value: &Value, zoo_cfg: &str) -> Note {
        let file = self.password_file;
        match value.origin {
            Origin::PlainLine => {
                let pattern = key.replace('.', r"\.");
                Note::new(format!("write the password that is {key} into {file}, readable for zoogate only"))
                    .line(format!("(umask 077; sed -n 's/^{pattern} *= *//p' {} > {file})", shell_word(zoo_cfg)))
            }
            Origin::Line => Note::new(format!(
                "write the password that is {key} into {file}, readable for zoogate only, in an editor: as Java reads \
                 it, with backslashes resolved, without blanks around it, as UTF-8"
            )),
            Origin::Flag => Note::new(format!(
                "write the password that -Dzookeeper.{key} gives on Java's command line into {file}, readable for \
                 zoogate only, in an editor"
            )),
        }
    }
}

/// Who was refused as revoked must not be let in because nobody noticed.
fn revocation(settings: &Settings, page: &mut Page) {
    let (crl, ocsp) = (settings.is_true("ssl.crl"), settings.is_true("ssl.ocsp"));
    if !crl && !ocsp {
        return;
    }
    page.set("tls", "crls", "[ /etc/zoogate/clients-ca.crl ]");
    if crl {
        page.first(Note::new(
            "ssl.crl=true: Java has fetched CRLs from where certificates say, zoogate reads files. Put those of each \
             CA on the clients' chains where `tls.crls` says, and have a timer fetch them anew before they end",
        ));
    }
    if ocsp {
        if !crl {
            page.first(Note::new("put the CRL of each CA on the clients' chains where `tls.crls` says"));
        }
        page.lost(
            "ssl.ocsp=true: zoogate asks no OCSP responder. Use the CAs' CRLs (`tls.crls`, set here so that nobody \
             revoked gets in unnoticed), or short-lived certificates, and then delete the line of `crls`",
        );
    }
}
