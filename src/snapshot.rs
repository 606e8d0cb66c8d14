//! What a connection is judged by: one immutable value, loaded from the files that the configuration names.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::{CertificateDer, UnixTime};

use crate::config::{self, Config};
use crate::credential::{Credential, IdentitySecrets};
use crate::identity::{self, Identity, IdentityError, Source};
use crate::metrics::{CertificateRole, CertificateValidity, CrlValidity};
use crate::secret::Secret;
use crate::store::{self, KeyStore, KeyStorePaths, StoreError};
use crate::tls::material::{self, TlsMaterial, TlsOptions};
use crate::tls::revocation::{RevocationOptions, RevocationPolicy, RevocationScope};
use crate::tls::verifier::{ClientVerifier, VerifierError};

/// The largest secret file that is read, in bytes.
const MAX_SECRET_FILE: u64 = 64 * 1024;

/// TLS material and identity rules.
pub struct Snapshot {
    /// The server's certificate, and whom it trusts.
    pub tls: Arc<TlsMaterial>,
    source: Source,
    /// What identities' credentials are derived from; `None` if nothing is injected.
    secrets: Option<IdentitySecrets>,
    /// The file of each CRL, in the order of the verifier's.
    crl_paths: Vec<String>,
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
        let verifier = load_verifier(&config.tls, &mut problems);
        let secrets = match &config.identity.inject {
            config::Inject::None => Some(None),
            config::Inject::Digest { secret_file, .. } => {
                or_note(load_secrets(secret_file), "identity.secret_file", &mut problems).map(Some)
            }
        };
        let (verifier, crl_paths) = verifier.unzip();
        let material = key_store.zip(verifier).and_then(|(key_store, verifier)| {
            let material = TlsMaterial::new(key_store, Arc::new(verifier), TlsOptions::default(), now);
            or_note(material, "tls.key_store", &mut problems)
        });
        match (material, secrets, crl_paths) {
            (Some(tls), Some(secrets), Some(crl_paths)) => {
                Ok(Self { tls: Arc::new(tls), source: config.identity.from, secrets, crl_paths })
            }
            _ => Err(problems),
        }
    }

    /// Who a verified chain is.
    ///
    /// # Errors
    /// If the leaf has no name, or not one clear name, where the configuration looks for it.
    pub fn identify(&self, chain: &[CertificateDer<'_>]) -> Result<Identity, IdentityError> {
        identity::identify(chain.first().map_or(&[], |leaf| leaf.as_ref()), self.source)
    }

    /// What ZooKeeper is told of an identity; the first credential is the one that new ACLs should name.
    pub fn credentials(&self, identity: &Identity) -> Vec<Credential> {
        let secrets = self.secrets.iter().flat_map(IdentitySecrets::iter);
        secrets.map(|secret| Credential::derive(secret, identity)).collect()
    }

    /// Every loaded certificate, for metrics.
    pub fn certificates(&self) -> Vec<CertificateValidity> {
        let validity = |loaded: &material::LoadedCertificate| CertificateValidity {
            role: match loaded.role {
                material::CertificateRole::Server => CertificateRole::Server,
                material::CertificateRole::Intermediate => CertificateRole::Intermediate,
                material::CertificateRole::TrustAnchor => CertificateRole::TrustAnchor,
            },
            subject_cn: loaded.common_name.clone(),
            issuer_cn: loaded.issuer.clone(),
            serial: loaded.serial.clone(),
            not_before: loaded.not_before,
            not_after: loaded.not_after,
        };
        self.tls.certificates().iter().map(validity).collect()
    }

    /// Every loaded CRL, for metrics.
    pub fn crls(&self) -> Vec<CrlValidity> {
        let infos = self.tls.verifier().crls().zip(&self.crl_paths);
        let validity = infos.map(|(info, path)| CrlValidity {
            issuer_cn: info.issuer.clone(),
            path: path.clone(),
            this_update: info.this_update,
            next_update: info.next_update,
            number: info.number.as_ref().and_then(|number| number.parse().ok()),
            entries: info.entries,
        });
        validity.collect()
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

fn load_password(path: Option<&Path>) -> Result<Option<Secret>, StoreError> {
    path.map(store::read_password).transpose()
}

/// The verifier, with the file that each of its CRLs came from.
fn load_verifier(tls: &config::Tls, problems: &mut Vec<LoadProblem>) -> Option<(ClientVerifier, Vec<String>)> {
    let password = load_password(tls.trust_store.password_file.as_deref());
    let trust = password.and_then(|password| store::load_trust_store(&tls.trust_store.path, password.as_ref()));
    let trust = or_note(trust, "tls.trust_store", problems);
    let (mut crls, mut paths) = (Vec::new(), Vec::new());
    let before = problems.len();
    for path in &tls.crls {
        for crl in or_note(store::load_crls(path), "tls.crls", problems).unwrap_or_default() {
            crls.push(crl);
            paths.push(path.display().to_string());
        }
    }
    let trust = trust.filter(|_| problems.len() == before)?;
    match ClientVerifier::new(&trust, crls, revocation(tls)) {
        Ok(verifier) => Some((verifier, paths)),
        Err(errors) => {
            problems.extend(errors.iter().map(|error| verifier_problem(error, tls, &paths)));
            None
        }
    }
}

/// The options of revocation as TLS knows them.
pub fn revocation(tls: &config::Tls) -> RevocationOptions {
    RevocationOptions {
        scope: match tls.revocation {
            config::Revocation::Chain => RevocationScope::Chain,
            config::Revocation::Leaf => RevocationScope::Leaf,
        },
        policy: match tls.revocation_policy {
            config::RevocationPolicy::Hard => RevocationPolicy::Hard,
            config::RevocationPolicy::Soft => RevocationPolicy::Soft,
        },
    }
}

fn verifier_problem(error: &VerifierError, tls: &config::Tls, crl_paths: &[String]) -> LoadProblem {
    match error {
        VerifierError::Crl { index, error } => {
            let path = crl_paths.get(*index).map_or("", String::as_str);
            LoadProblem { key: "tls.crls", message: format!("{path}: {error}") }
        }
        VerifierError::Empty | VerifierError::Certificate { .. } => {
            let message = format!("{}: {error}", tls.trust_store.path.display());
            LoadProblem { key: "tls.trust_store", message }
        }
    }
}

/// Reads the file of identity secrets.
///
/// # Errors
/// A sentence with the path and what is wrong.
pub fn load_secrets(path: &Path) -> Result<IdentitySecrets, String> {
    let told = |error: &dyn fmt::Display| format!("{}: {error}", path.display());
    let size = fs::metadata(path).map_err(|error| told(&error))?.len();
    if size > MAX_SECRET_FILE {
        return Err(told(&"too large to be a file of secrets; make one with `zoogate secret`"));
    }
    let content = Secret::new(fs::read(path).map_err(|error| told(&error))?);
    IdentitySecrets::parse(content.expose()).map_err(|error| told(&error))
}

fn or_note<T, E: fmt::Display>(result: Result<T, E>, key: &'static str, problems: &mut Vec<LoadProblem>) -> Option<T> {
    result.map_err(|error| problems.push(LoadProblem { key, message: error.to_string() })).ok()
}
