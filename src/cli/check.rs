//! `zoogate check`: all that `run` would load, and every problem with it.

mod doors;
mod sockets;
mod upstream;
mod zoo_cfg;

use std::path::Path;

use rustls_pki_types::UnixTime;

use super::text::escaped;
use super::{CheckArgs, Exit, complain, files, print, warn};
use crate::config::{Config, Inject, RevocationPolicy};
use crate::rfc3339::unix;
use crate::snapshot::Snapshot;
use crate::tls::date;
use crate::tls::material::CertificateRole;

pub(super) fn check(args: &CheckArgs) -> Exit {
    if let Some(zoo_cfg) = &args.zoo_cfg {
        return zoo_cfg::convert(zoo_cfg, args.jvm_flags.as_deref());
    }
    // The grammar asks for one of the two.
    let path = args.config.as_deref().unwrap_or(Path::new(""));
    let config = match files::load_whole_config(path) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let now = UnixTime::now();
    let snapshot = match Snapshot::load(&config, now) {
        Ok(snapshot) => snapshot,
        Err(problems) => return files::complain_in(path, &problems),
    };
    warn(&snapshot.lasting_warnings());
    warn(&overdue_crls(&config, &snapshot, now));
    let trust: String = snapshot.trust_lines().iter().map(|line| format!("\n{}", escaped(line))).collect();
    let exit = print(&format!("{}: ok\n{}{trust}", path.display(), summary(&config, &snapshot)), Exit::Ok);
    if exit != Exit::Ok || !args.upstream {
        return exit;
    }
    match upstream::look(&config) {
        Ok(findings) => {
            warn(&findings.warnings);
            print(&findings.summary, Exit::Ok)
        }
        Err(error) => complain(&error, Exit::UpstreamUnavailable),
    }
}

/// CRLs that don't count any more, or not yet.
fn overdue_crls(config: &Config, snapshot: &Snapshot, now: UnixTime) -> Vec<String> {
    let consequence = match config.tls.revocation_policy {
        RevocationPolicy::Hard => "are refused",
        RevocationPolicy::Soft => "are not checked for revocation",
    };
    let now = unix(now);
    let mut warnings = Vec::new();
    for crl in snapshot.crls() {
        if let Some(due) = crl.next_update.filter(|due| *due < now) {
            let (path, issuer, due) = (crl.path, crl.issuer_cn, date(due));
            warnings.push(format!(
                "tls.crls: {path}: the CRL of {issuer} was to be replaced by {due}; certificates of that CA {consequence}"
            ));
        }
    }
    warnings
}

/// A paragraph on what was loaded.
fn summary(config: &Config, snapshot: &Snapshot) -> String {
    let certificates = snapshot.tls.certificates();
    let server = certificates.iter().find(|certificate| certificate.role == CertificateRole::Server);
    let server = server.map_or_else(String::new, |server| {
        format!("the server is {} until {}", server.subject, date(server.not_after))
    });
    let anchors = certificates.iter().filter(|certificate| certificate.role == CertificateRole::TrustAnchor).count();
    let crls = match snapshot.crls().len() {
        0 => "revocation is not checked".to_owned(),
        crls => counted(crls, "CRL"),
    };
    let injected = match &config.identity.inject {
        Inject::Digest { algorithm, .. } => {
            format!("injected as digest ({algorithm}, {})", counted(snapshot.secrets(), "secret"))
        }
        Inject::X509 { .. } => format!("injected as x509 ({})", counted(snapshot.secrets(), "secret")),
        Inject::None => "not injected".to_owned(),
    };
    let mut anchors = counted(anchors, "trust anchor");
    let pinned = certificates.iter().filter(|certificate| certificate.role == CertificateRole::Pinned).count();
    if pinned > 0 {
        anchors = format!("{anchors}; {}", counted(pinned, "pinned certificate"));
    }
    format!("{server}; {anchors}; {crls}; the identity is taken from {}, {injected}", config.identity.from)
}

fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
