//! Certificates: that they are well-formed, and which belong to a key.

use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::parse_x509_certificate;

use super::der::{self, Elements, SEQUENCE};
use super::fault::StoreFault;
use super::kind::Kind;

/// Takes a certificate after parsing it once, so that a damaged one is reported with its place in the file.
pub(super) fn checked(der: Vec<u8>, place: &str) -> Result<CertificateDer<'static>, StoreFault> {
    match parse_x509_certificate(&der) {
        Ok(([], _)) => Ok(CertificateDer::from(der)),
        Ok(_) => Err(StoreFault::Malformed(format!("more follows the certificate {place}"))),
        Err(_) => Err(StoreFault::Malformed(match Kind::of(&der) {
            Kind::Certificate | Kind::Unknown => format!("the certificate {place} isn't a whole X.509 certificate"),
            other => format!("in the place of the certificate {place} is {}", other.name()),
        })),
    }
}

/// The certificates within Java's PkiPath, which is a sequence of them; anything else that is no certificate is refused
/// by name.
fn inner(data: &[u8]) -> Result<&[u8], StoreFault> {
    match Kind::of(data) {
        Kind::Certificate | Kind::Unknown => Ok(data),
        Kind::PkiPath => {
            let mut file = Elements::of(data);
            let path = file.expect(SEQUENCE).filter(|_| file.is_empty());
            path.ok_or_else(|| StoreFault::Malformed("more follows its PkiPath".into()))
        }
        other => Err(StoreFault::NotCertificates(other.name())),
    }
}

/// DER certificates, one after another.
pub(super) fn concatenated(data: &[u8]) -> Result<Vec<CertificateDer<'static>>, StoreFault> {
    let mut data = inner(data)?;
    let mut found = Vec::new();
    while !data.is_empty() {
        let (rest, _) = parse_x509_certificate(data).map_err(|_| {
            StoreFault::Malformed(format!("its DER, element {}, isn't a whole X.509 certificate", found.len() + 1))
        })?;
        let (certificate, rest) = data.split_at(data.len() - rest.len());
        found.push(CertificateDer::from(certificate.to_vec()));
        data = rest;
    }
    Ok(found)
}

/// DER elements, one after another, which may or may not be certificates.
pub(super) fn unchecked(data: &[u8]) -> Result<Vec<Vec<u8>>, StoreFault> {
    let mut data = inner(data)?;
    let mut found = Vec::new();
    while !data.is_empty() {
        let (element, rest) = der::split_first(data).ok_or_else(|| {
            StoreFault::Malformed(format!("its DER, element {}, isn't a whole sequence", found.len() + 1))
        })?;
        found.push(element.to_vec());
        data = rest;
    }
    Ok(found)
}

/// The chain of the key with this SubjectPublicKeyInfo: its certificate, then the issuers that are among the others.
///
/// Issuers are found by name and key identifier; signatures aren't checked, for a wrong guess would only make a
/// client refuse the server, and names decide everywhere but after an authority's change of key.
pub(super) fn chain_for(
    public_key: &[u8],
    certificates: Vec<CertificateDer<'static>>,
) -> Result<Vec<CertificateDer<'static>>, StoreFault> {
    let mut links = certificates.iter().map(Link::of).collect::<Result<Vec<_>, _>>()?;
    let Some(first) = links.first() else { return Err(StoreFault::NoCertificateForKey) };
    let Some(leaf) = links.iter().position(|link| link.certificate.public_key().raw == public_key) else {
        return Err(StoreFault::KeyMismatch { subject: first.certificate.subject().to_string() });
    };
    let mut last = links.remove(leaf);
    let mut chain = vec![last.der.clone()];
    while !last.is_self_issued() {
        let Some((issuer, _)) = links
            .iter()
            .enumerate()
            .map(|(index, link)| (index, last.likeness_of_issuer(link)))
            .filter(|(_, likeness)| *likeness > 0)
            // The first of equals, for the file's order is more likely right than wrong.
            .rev()
            .max_by_key(|(_, likeness)| *likeness)
        else {
            break;
        };
        last = links.remove(issuer);
        chain.push(last.der.clone());
    }
    Ok(chain)
}

/// A certificate and what ties it to its issuer.
struct Link<'a> {
    der: &'a CertificateDer<'static>,
    certificate: X509Certificate<'a>,
}

impl<'a> Link<'a> {
    fn of(der: &'a CertificateDer<'static>) -> Result<Self, StoreFault> {
        let (_, certificate) = parse_x509_certificate(der)
            .map_err(|_| StoreFault::Malformed("a certificate isn't a whole X.509 certificate".into()))?;
        Ok(Self { der, certificate })
    }

    /// Whether the chain ends here: the issuer is itself.
    fn is_self_issued(&self) -> bool {
        let same_key = match (self.issuer_key_id(), self.key_id()) {
            (Some(issuer), Some(own)) => issuer == own,
            _ => true,
        };
        self.certificate.subject().as_raw() == self.certificate.issuer().as_raw() && same_key
    }

    /// 0: another's. Names alone are enough, and so are key identifiers alone, since names may be spelt differently.
    fn likeness_of_issuer(&self, candidate: &Self) -> u8 {
        let name = self.certificate.issuer().as_raw() == candidate.certificate.subject().as_raw();
        let key = self.issuer_key_id().is_some() && self.issuer_key_id() == candidate.key_id();
        2 * u8::from(name) + u8::from(key)
    }

    fn key_id(&self) -> Option<&[u8]> {
        self.certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
            _ => None,
        })
    }

    fn issuer_key_id(&self) -> Option<&[u8]> {
        self.certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0),
            _ => None,
        })
    }
}
