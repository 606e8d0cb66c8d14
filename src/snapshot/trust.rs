//! Whom clients are trusted by: the files of it, and what is told of them.

use std::path::Path;

use super::{Judge, LoadProblem, TrustFiles, load_password, or_note};
use crate::config;
use crate::store::{self, TrustStore, TrustedCertificate};
use crate::tls::revocation::{RevocationOptions, RevocationPolicy, RevocationScope};
use crate::tls::verifier::{ClientVerifier, TrustEntry, TrustKind, VerifierError};

impl Judge {
    /// A warning of each CA of the trust store that is probably meant to let in one client.
    pub fn probable_clients(&self) -> Vec<String> {
        let meant =
            self.verifier.trust_entries().filter(|entry| entry.kind == TrustKind::Ca && entry.looks_like_client);
        let warning = |entry: TrustEntry| {
            format!(
                "tls.trust_store: {} is a CA (CA:TRUE): the holder of its key can issue a certificate for any name, and come \
                 in by that name; if it is one client's own certificate, take it out and put its file into \
                 tls.pinned_certificates",
                entry.name
            )
        };
        meant.map(warning).collect()
    }

    /// A line for each entry of the trust store and each pinned certificate: whether it is a CA.
    pub fn trust_lines(&self) -> Vec<String> {
        let line = |entry: TrustEntry| match entry.kind {
            TrustKind::Ca => format!("{}: a CA, which issues clients (tls.trust_store)", entry.name),
            TrustKind::Client => format!("{}: no CA, this client alone (tls.trust_store)", entry.name),
            TrustKind::Pinned => format!("{}: this client alone (tls.pinned_certificates)", entry.name),
        };
        self.verifier.trust_entries().map(line).collect()
    }
}

/// The verifier, with the file that each of its CRLs came from.
pub(super) fn load_verifier(
    trust: &TrustFiles<'_>,
    problems: &mut Vec<LoadProblem>,
) -> Option<(ClientVerifier, Vec<String>)> {
    let before = problems.len();
    let store = match trust.store {
        Some(files) => {
            let password = load_password(files.password_file.as_deref());
            let store = password.and_then(|password| store::load_trust_store(&files.path, password.as_ref()));
            or_note(store, "tls.trust_store", problems)
        }
        None => Some(TrustStore::default()),
    };
    let mut pins = Vec::new();
    for path in trust.pinned {
        let pinned = or_note(store::load_trust_store(path, None), "tls.pinned_certificates", problems);
        let pinned = pinned.map_or_else(Vec::new, |store| store.certificates);
        pins.extend(pinned.into_iter().map(|entry| (path.as_path(), entry)));
    }
    let (mut crls, mut paths) = (Vec::new(), Vec::new());
    for path in trust.crls {
        for crl in or_note(store::load_crls(path), "tls.crls", problems).unwrap_or_default() {
            crls.push(crl);
            paths.push(path.display().to_string());
        }
    }
    let store = store.filter(|_| problems.len() == before)?;
    let pinned: Vec<_> = pins.iter().map(|(_, entry)| entry.clone()).collect();
    match ClientVerifier::with_pins(&store, &pinned, crls, trust.revocation) {
        Ok(verifier) => Some((verifier, paths)),
        Err(errors) => {
            let store = trust.store.map_or(Path::new(""), |store| &store.path);
            problems.extend(errors.iter().map(|error| verifier_problem(error, (store, &pins), &paths)));
            None
        }
    }
}

/// The options of revocation as TLS knows them.
pub(super) fn revocation(tls: &config::Tls) -> RevocationOptions {
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

fn verifier_problem(
    error: &VerifierError,
    (store, pins): (&Path, &[(&Path, TrustedCertificate)]),
    crl_paths: &[String],
) -> LoadProblem {
    match error {
        VerifierError::Pinned { index, .. } => {
            let path = pins.get(*index).map_or(Path::new(""), |(path, _)| path);
            LoadProblem { key: "tls.pinned_certificates", message: format!("{}: {error}", path.display()) }
        }
        VerifierError::Crl { index, error } => {
            let path = crl_paths.get(*index).map_or("", String::as_str);
            LoadProblem { key: "tls.crls", message: format!("{path}: {error}") }
        }
        VerifierError::Empty | VerifierError::Certificate { .. } => {
            let message = format!("{}: {error}", store.display());
            LoadProblem { key: "tls.trust_store", message }
        }
    }
}
