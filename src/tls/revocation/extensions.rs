//! What the extensions of a CRL and of its entries say.

use std::collections::HashSet;

use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::X509Extension;

use super::CrlError;
use crate::tls::distribution_point::{Scope, ScopeError};
use crate::tls::name;

/// What the extensions of a CRL say.
#[derive(Default)]
pub(super) struct CrlExtensions {
    pub(super) number: Option<String>,
    pub(super) scope: Scope,
}

impl CrlExtensions {
    /// Every extension by itself, since one that a library can't read must not count as absent.
    pub(super) fn read(extensions: &[X509Extension<'_>], issuer: &[u8]) -> Result<Self, CrlError> {
        let (mut read, mut seen) = (Self::default(), HashSet::new());
        let text = || name::text(issuer);
        for extension in extensions {
            let oid = extension.oid.to_id_string();
            match oid.as_str() {
                "2.5.29.27" => return Err(CrlError::Delta(text())),
                "2.5.29.28" => {
                    read.scope = Scope::read(extension.value, issuer).map_err(|error| scope(error, text()))?
                }
                "2.5.29.20" if !extension.critical => {
                    let ParsedExtension::CRLNumber(number) = extension.parsed_extension() else {
                        return Err(CrlError::Malformed("its CRL number can't be parsed".to_owned()));
                    };
                    read.number = Some(number.to_string());
                }
                _ if extension.critical => return Err(CrlError::UnknownCritical(text(), oid)),
                _ => {}
            }
            if !seen.insert(oid) {
                return Err(CrlError::Malformed("it has an extension twice".to_owned()));
            }
        }
        Ok(read)
    }
}

fn scope(error: ScopeError, issuer: String) -> CrlError {
    match error {
        ScopeError::Malformed => CrlError::Malformed("its issuingDistributionPoint can't be parsed".to_owned()),
        ScopeError::Indirect => CrlError::Indirect(issuer),
        ScopeError::Partial(what) => CrlError::Partial(issuer, what),
    }
}

/// Refuses an entry of another issuer's certificate, and one with a critical extension that isn't known.
pub(super) fn check_entry(extension: &X509Extension<'_>, issuer: &str) -> Result<(), CrlError> {
    match extension.oid.to_id_string().as_str() {
        "2.5.29.29" => Err(CrlError::Indirect(issuer.to_owned())),
        "2.5.29.21" | "2.5.29.24" | "2.5.29.23" => Ok(()),
        oid if extension.critical => Err(CrlError::UnknownCritical(issuer.to_owned(), oid.to_owned())),
        _ => Ok(()),
    }
}
