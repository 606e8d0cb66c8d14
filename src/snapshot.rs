//! What a connection is judged by: one immutable value, loaded from the files that the configuration names.

mod grant;
pub mod names;
mod set_back;
mod trust;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls_pki_types::{CertificateDer, UnixTime};

use crate::config::{self, Config};
use crate::credential::{Credential, IdentitySecrets};
use crate::identity::{Identity, Source};
use crate::metrics::{CertificateRole, CertificateValidity, CrlValidity};
use crate::secret::Secret;
use crate::store::{self, KeyStore, KeyStorePaths, StoreError};
use crate::tls::material::{self, TlsMaterial, TlsOptions};
use crate::tls::revocation::{CrlInfo, RevocationOptions};
use crate::tls::verifier::{Anchor, ClientVerifier};
use crate::translate::{Names, Translator};
use grant::{Injection, derive};
use names::{Admitted, Identified, NameRules};
use trust::{load_verifier, revocation};

pub use grant::{Authority, Grant, Packets, Renewal};

/// The largest secret file that is read, in bytes.
const MAX_SECRET_FILE: u64 = 64 * 1024;

/// TLS material, and the judge of clients.
pub struct Snapshot {
    /// The server's certificate, and whom it trusts.
    pub tls: Arc<TlsMaterial>,
    judge: Judge,
    /// What sessions are bound to their owners with, if they are.
    binding: Option<Arc<IdentitySecrets>>,
    /// Translates ACLs, if that is configured.
    translator: Option<Arc<Translator>>,
}

/// Whom clients are judged by, and what they become: all of a snapshot but the server's own key.
pub struct Judge {
    /// Decides which certificates are let in.
    pub verifier: Arc<ClientVerifier>,
    /// What they are called.
    pub rules: IdentityRules,
    /// The file of each CRL, in the order of the verifier's.
    crl_paths: Vec<String>,
}

/// The files that certificates are verified with.
pub struct TrustFiles<'a> {
    /// The CAs of clients, and single trusted certificates.
    pub store: Option<&'a config::TrustStoreFiles>,
    /// Files of certificates that are clients, and never issuers.
    pub pinned: &'a [PathBuf],
    /// CRL files.
    pub crls: &'a [PathBuf],
    /// Whose revocation is checked, and how strictly.
    pub revocation: RevocationOptions,
}

/// How a certificate becomes an identity, and an identity a credential.
pub struct IdentityRules {
    names: NameRules,
    injection: Injection,
}

/// A file that the configuration names can't be used.
#[derive(Debug)]
pub struct LoadProblem {
    /// The configuration's key, such as `tls.key_store`.
    pub key: &'static str,
    /// What is wrong with the file and what to do.
    pub message: String,
}

impl fmt::Display for LoadProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

impl Snapshot {
    /// Loads every file, and checks them as clients and ZooKeeper will see them at `now`.
    ///
    /// # Errors
    /// Every file's problems.
    pub fn load(config: &Config, now: UnixTime) -> Result<Self, Vec<LoadProblem>> {
        let mut problems = Vec::new();
        let key_store = or_note(load_key_store(&config.tls.key_store), "tls.key_store", &mut problems);
        let judge = Judge::load(&TrustFiles::of(&config.tls), &config.identity);
        let judge = judge.map_err(|more| problems.extend(more)).ok();
        let material = key_store.zip(judge.as_ref()).and_then(|(key_store, judge)| {
            let material = TlsMaterial::new(key_store, Arc::clone(&judge.verifier), TlsOptions::default(), now);
            or_note(material, "tls.key_store", &mut problems)
        });
        let binding = judge.as_ref().and_then(|judge| {
            let binding = load_binding(config.session.binding.as_deref(), &judge.rules.injection);
            or_note(binding, "identity.secret_file", &mut problems)
        });
        match (material, judge, binding) {
            (Some(tls), Some(judge), Some(binding)) => {
                let translator = judge.rules.translator().filter(|_| config.acl.translate).map(Arc::new);
                Ok(Self { tls: Arc::new(tls), judge, binding, translator })
            }
            _ => Err(problems),
        }
    }

    /// Who a chain is that was accepted by `anchor`, and whether it may come in.
    pub fn identify(&self, chain: &[CertificateDer<'_>], anchor: &Anchor) -> Identified {
        self.judge.rules.identify(chain, anchor)
    }

    /// What an admitted client is given.
    pub fn grant(&self, admitted: &Admitted) -> Grant {
        Grant {
            names: std::iter::once(&admitted.identity).chain(&admitted.old_names).cloned().collect(),
            injection: self.judge.rules.injection.clone(),
            binding: self.binding.clone(),
            translator: self.translator.clone(),
        }
    }

    /// How many secrets credentials are made with.
    pub fn secrets(&self) -> usize {
        self.judge.rules.injection.secrets().map_or(0, |secrets| secrets.iter().len())
    }

    /// Every loaded certificate, for metrics.
    pub fn certificates(&self) -> Vec<CertificateValidity> {
        let validity = |loaded: &material::LoadedCertificate| CertificateValidity {
            role: match loaded.role {
                material::CertificateRole::Server => CertificateRole::Server,
                material::CertificateRole::Intermediate => CertificateRole::Intermediate,
                material::CertificateRole::TrustAnchor => CertificateRole::TrustAnchor,
                material::CertificateRole::Pinned => CertificateRole::Pinned,
            },
            subject_cn: loaded.common_name.clone(),
            issuer_cn: loaded.issuer_common_name.clone(),
            serial: loaded.serial.clone(),
            not_before: loaded.not_before,
            not_after: loaded.not_after,
        };
        self.tls.certificates().iter().map(validity).collect()
    }

    /// Every loaded CRL, and the file it came from.
    pub fn crl_files(&self) -> impl Iterator<Item = (&CrlInfo, &str)> {
        self.tls.verifier().crls().zip(self.judge.crl_paths.iter().map(String::as_str))
    }

    /// What works but will surprise someone, for the log.
    pub fn warnings(&self, now: i64) -> Vec<String> {
        let overdue = self.crl_files().filter(|(crl, _)| !crl.is_in_date(now));
        let overdue = overdue.map(|(crl, path)| format!("tls.crls: {path}: {}", crl.out_of_date()));
        self.lasting_warnings().into_iter().chain(overdue).collect()
    }

    /// Those of them that time alone does not end.
    pub fn lasting_warnings(&self) -> Vec<String> {
        let names = self.judge.rules.names.warnings(self.judge.verifier.count_of_cas());
        let probable_clients = self.judge.probable_clients();
        self.tls.warnings().iter().cloned().chain(names).chain(probable_clients).collect()
    }

    /// A line for each entry of the trust store and each pinned certificate: whether it is a CA.
    pub fn trust_lines(&self) -> Vec<String> {
        self.judge.trust_lines()
    }

    /// Whether new clients are refused whose issuer has no CRL in date.
    pub fn requires_crls(&self) -> bool {
        self.judge.verifier.requires_crls()
    }

    /// Every loaded CRL, for metrics.
    pub fn crls(&self) -> Vec<CrlValidity> {
        let validity = self.crl_files().map(|(info, path)| CrlValidity {
            issuer_cn: info.issuer_common_name.clone(),
            path: path.to_owned(),
            this_update: info.this_update,
            next_update: info.next_update,
            number: info.number.as_ref().and_then(|number| number.parse().ok()),
            entries: info.entries,
        });
        validity.collect()
    }
}

impl Judge {
    /// Loads the trust store, the CRLs and the secrets.
    ///
    /// # Errors
    /// Every file's problems.
    pub fn load(trust: &TrustFiles<'_>, identity: &config::Identity) -> Result<Self, Vec<LoadProblem>> {
        let mut problems = Vec::new();
        let verifier = load_verifier(trust, &mut problems);
        let rules = IdentityRules::load(identity).map_err(|problem| problems.push(problem)).ok();
        if let (Some((verifier, _)), Some(rules)) = (&verifier, &rules) {
            let anchors: Vec<&Anchor> = verifier.trusted().map(|(_, anchor)| anchor).collect();
            problems.extend(rules.names.check_issuers(&anchors));
        }
        match (verifier, rules) {
            (Some((verifier, crl_paths)), Some(rules)) if problems.is_empty() => {
                Ok(Self { verifier: Arc::new(verifier), rules, crl_paths })
            }
            _ => Err(problems),
        }
    }
}

/// What is wrong with files, where something else keeps a snapshot from being loaded.
pub fn problems_of(files: &config::NamedFiles) -> Vec<LoadProblem> {
    let mut problems = Vec::new();
    if let Some(key_store) = &files.key_store {
        or_note(load_key_store(key_store), "tls.key_store", &mut problems);
    }
    let pinned = &files.pinned_certificates;
    if files.trust_store.is_some() || !pinned.is_empty() {
        let store = files.trust_store.as_ref();
        let trust = TrustFiles { store, pinned, crls: &files.crls, revocation: RevocationOptions::default() };
        load_verifier(&trust, &mut problems);
    }
    if let Some(path) = &files.secret_file {
        or_note(load_secrets(path), "identity.secret_file", &mut problems);
    }
    problems
}

impl<'a> TrustFiles<'a> {
    /// Those of a configuration.
    pub fn of(tls: &'a config::Tls) -> Self {
        let (store, pinned) = (tls.trust_store.as_ref(), &tls.pinned_certificates);
        Self { store, pinned, crls: &tls.crls, revocation: revocation(tls) }
    }
}

impl IdentityRules {
    /// Loads the secrets, if any are configured.
    ///
    /// # Errors
    /// If they can't be used.
    pub fn load(identity: &config::Identity) -> Result<Self, LoadProblem> {
        let secrets = |path: &Path| {
            let secrets = load_secrets(path).map(Arc::new);
            secrets.map_err(|message| LoadProblem { key: "identity.secret_file", message })
        };
        let injection = match &identity.inject {
            config::Inject::None => Injection::None,
            config::Inject::Digest { secret_file, algorithm } => {
                Injection::Digest { secrets: secrets(secret_file)?, algorithm: *algorithm }
            }
            config::Inject::X509 { secret_file } => {
                Injection::X509 { secrets: secrets(secret_file)?, superusers: identity.superusers.clone() }
            }
        };
        Ok(Self { names: NameRules::new(identity), injection })
    }

    /// Who a chain is that was accepted by `anchor`, and whether it may come in; it is not verified here.
    pub fn identify(&self, chain: &[CertificateDer<'_>], anchor: &Anchor) -> Identified {
        self.names.identify(chain.first().map_or(&[], |leaf| leaf.as_ref()), anchor)
    }

    /// What names are made of.
    pub fn names(&self) -> &NameRules {
        &self.names
    }

    /// The digest ids that ZooKeeper gives an identity, without their scheme; the first one is for new ACLs. None
    /// if it is not told of identities in that way.
    pub fn acl_ids(&self, identity: &Identity) -> Vec<String> {
        let Injection::Digest { secrets, algorithm } = &self.injection else { return Vec::new() };
        derive(secrets, identity).iter().map(|credential: &Credential| credential.acl_id(*algorithm)).collect()
    }

    /// Between `x509` ids and digest ids; none if ZooKeeper is not told of identities as the latter.
    fn translator(&self) -> Option<Translator> {
        let Injection::Digest { secrets, algorithm } = &self.injection else { return None };
        let names = if self.names.are_subjects() { Names::Subjects } else { Names::Any };
        Some(Translator::new((**secrets).clone(), *algorithm, names))
    }

    /// Where in a certificate the identity is looked for.
    pub fn source(&self) -> Source {
        self.names.source()
    }
}

fn load_key_store(files: &config::KeyStoreFiles) -> Result<KeyStore, StoreError> {
    let password = load_password(files.password_file.as_deref())?;
    let key_password = load_password(files.key_password_file.as_deref())?;
    store::load_key_store(KeyStorePaths {
        path: &files.path,
        key_path: files.key_path.as_deref(),
        password: password.as_ref(),
        key_password: key_password.as_ref(),
    })
}

/// The secrets that sessions are bound with: those of the injection, which come from the same file, or the file's.
fn load_binding(path: Option<&Path>, injection: &Injection) -> Result<Option<Arc<IdentitySecrets>>, String> {
    let Some(path) = path else { return Ok(None) };
    match injection.secrets() {
        Some(secrets) => Ok(Some(Arc::clone(secrets))),
        None => load_secrets(path).map(|secrets| Some(Arc::new(secrets))),
    }
}

fn load_password(path: Option<&Path>) -> Result<Option<Secret>, StoreError> {
    path.map(store::read_password).transpose()
}

/// Reads the file of identity secrets.
///
/// # Errors
/// A sentence with the path and what is wrong.
fn load_secrets(path: &Path) -> Result<IdentitySecrets, String> {
    let told = |error: &dyn fmt::Display| format!("{}: {error}", path.display());
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => {
            told(&"there is no such file; `zoogate secret` makes a secret, and every zoogate has the same file")
        }
        _ => told(&format_args!("the file of secrets can't be read: {error}")),
    };
    let file = File::open(path).map_err(unreadable)?;
    // One allocation, so that growing leaves no copies behind.
    let mut content = Vec::with_capacity(MAX_SECRET_FILE as usize + 1);
    let read = file.take(MAX_SECRET_FILE + 1).read_to_end(&mut content);
    let content = Secret::new(content);
    if read.map_err(unreadable)? as u64 > MAX_SECRET_FILE {
        return Err(told(&"too large to be a file of secrets; make one with `zoogate secret`"));
    }
    IdentitySecrets::parse(content.expose()).map_err(|error| told(&error))
}

fn or_note<T, E: fmt::Display>(result: Result<T, E>, key: &'static str, problems: &mut Vec<LoadProblem>) -> Option<T> {
    result.map_err(|error| problems.push(LoadProblem { key, message: error.to_string() })).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_secrets_may_be_as_large_as_is_allowed_and_no_larger() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let secret = "0123456789abcdef0123456789abcdef";
        let of_length = |length: usize| format!("{secret}\n#{}", "x".repeat(length - secret.len() - 2));
        std::fs::write(file.path(), of_length(MAX_SECRET_FILE as usize)).unwrap();
        load_secrets(file.path()).unwrap();
        std::fs::write(file.path(), of_length(MAX_SECRET_FILE as usize + 1)).unwrap();
        assert!(load_secrets(file.path()).unwrap_err().contains("too large"));
    }

    #[test]
    fn a_missing_file_of_secrets_is_told_with_its_path_and_the_remedy() {
        let told = load_secrets(Path::new("/nowhere/secret")).unwrap_err();
        assert!(told.starts_with("/nowhere/secret: there is no such file; `zoogate secret`"), "{told}");
    }
}
