//! Name constraints of CAs, held against the names of every certificate below them (RFC 5280 §6.1.3 (b) and (c)).
//!
//! Names are those of the subjectAltName and of the subject: the subject itself, its e-mail addresses and, as in OpenSSL
//! and the JDK, a leaf's common names that read as host names. What can't be compared is refused.

use std::cell::Cell;
use std::net::IpAddr;

use super::certificate::Certificate;
use super::der;
use super::general_name::{Form, GeneralName, Subtrees};
use super::name;
use super::path::Path;
use super::verifier::VerifyError;
use crate::reason::Refusal;

/// Most comparisons of a name with a subtree for one client, on all its paths together.
pub(crate) const MAX_COMPARISONS: usize = 65_536;

const PERMITTED: u8 = 0xa0;
const EXCLUDED: u8 = 0xa1;
const MINIMUM: u8 = 0x80;

/// The comparisons that are left for one client.
pub(crate) struct Comparisons(Cell<usize>);

impl Default for Comparisons {
    fn default() -> Self {
        Self(Cell::new(MAX_COMPARISONS))
    }
}

impl Comparisons {
    fn take(&self, names: usize, subtrees: usize) -> Option<()> {
        self.0.set(self.0.get().checked_sub(names.checked_mul(subtrees)?)?);
        Some(())
    }
}

/// The constraints of one CA.
struct Constraints<'p> {
    ca: &'p Certificate<'p>,
    permitted: Vec<GeneralName>,
    excluded: Vec<GeneralName>,
}

/// Refuses a path on which a certificate has a name that a CA above it may not give. Self-issued CAs are exempt, as
/// they renew their issuer's key; the trust anchor's own constraints count.
pub(crate) fn check(path: &Path<'_>, comparisons: &Comparisons) -> Result<(), VerifyError> {
    let mut above = Vec::new();
    above.extend(Constraints::of(path.anchor)?);
    for &ca in path.intermediates.iter().rev() {
        if !above.is_empty() && !ca.is_self_issued() {
            check_one(ca, &names(ca, false)?, (&above, comparisons))?;
        }
        above.extend(Constraints::of(ca)?);
    }
    if above.is_empty() {
        return Ok(());
    }
    check_one(path.leaf, &names(path.leaf, true)?, (&above, comparisons))
}

fn check_one(
    certificate: &Certificate<'_>,
    names: &[GeneralName],
    (above, comparisons): (&[Constraints<'_>], &Comparisons),
) -> Result<(), VerifyError> {
    for constraints in above {
        let subtrees = constraints.permitted.len() + constraints.excluded.len();
        if comparisons.take(names.len(), subtrees).is_none() {
            return refuse(format!(
                "the names of {} and the name constraints of {} take more than {MAX_COMPARISONS} comparisons",
                certificate.label(),
                constraints.ca.label()
            ));
        }
        for name in names {
            constraints.check(certificate, name)?;
        }
    }
    Ok(())
}

impl<'p> Constraints<'p> {
    fn of(ca: &'p Certificate<'p>) -> Result<Option<Self>, VerifyError> {
        let Some(value) = ca.name_constraints() else {
            return Ok(None);
        };
        match read(value) {
            Some((permitted, excluded)) => Ok(Some(Self { ca, permitted, excluded })),
            None => refuse(format!("the name constraints of {} can't be read", ca.label())),
        }
    }

    fn check(&self, certificate: &Certificate<'_>, name: &GeneralName) -> Result<(), VerifyError> {
        let label = certificate.label();
        let ca = self.ca.label();
        let unclear = |base: &GeneralName| {
            refuse(format!("the {name} of {label} can't be compared with the name constraint of {ca}: {base}"))
        };
        for base in self.excluded.iter().filter(|base| base.form == name.form) {
            match name.within(base, Subtrees::Excluded) {
                Some(false) => {}
                Some(true) => {
                    return refuse(format!(
                        "the {name} of {label} is what {ca} excludes by its name constraints: {base}"
                    ));
                }
                None => return unclear(base),
            }
        }
        let (mut constrained, mut inside) = (None, false);
        for base in self.permitted.iter().filter(|base| base.form == name.form) {
            match name.within(base, Subtrees::Permitted) {
                Some(within) => inside |= within,
                None => return unclear(base),
            }
            constrained.get_or_insert(base);
        }
        match constrained.filter(|_| !inside) {
            Some(base) => refuse(format!(
                "the {name} of {label} is outside what {ca} permits by its name constraints, such as {base}"
            )),
            None => Ok(()),
        }
    }
}

/// The permitted and the excluded subtrees.
fn read(mut value: &[u8]) -> Option<(Vec<GeneralName>, Vec<GeneralName>)> {
    let mut fields = der::expect(&mut value, der::SEQUENCE).filter(|_| value.is_empty())?.contents;
    let (mut permitted, mut excluded) = (None, None);
    while !fields.is_empty() {
        let field = der::next(&mut fields)?;
        let list = match field.tag {
            PERMITTED if permitted.is_none() && excluded.is_none() => &mut permitted,
            EXCLUDED if excluded.is_none() => &mut excluded,
            _ => return None,
        };
        *list = Some(subtrees(field.contents)?);
    }
    // An empty sequence constrains nothing, so whoever wrote it meant something else (RFC 5280 §4.2.1.10).
    (permitted.is_some() || excluded.is_some()).then(|| (permitted.unwrap_or_default(), excluded.unwrap_or_default()))
}

fn subtrees(mut contents: &[u8]) -> Option<Vec<GeneralName>> {
    let mut subtrees = Vec::new();
    while !contents.is_empty() {
        let mut subtree = der::expect(&mut contents, der::SEQUENCE)?.contents;
        let base = GeneralName::of_subtree(der::next(&mut subtree)?)?;
        // The minimum is 0, written or not, and there is no maximum.
        let minimum = (!subtree.is_empty()).then(|| der::next(&mut subtree));
        let zero = minimum.is_none_or(|minimum| minimum.is_some_and(|it| it.tag == MINIMUM && it.contents == b"\0"));
        if !zero || !subtree.is_empty() {
            return None;
        }
        subtrees.push(base);
    }
    (!subtrees.is_empty()).then_some(subtrees)
}

/// Every name that constraints bind.
fn names(certificate: &Certificate<'_>, is_leaf: bool) -> Result<Vec<GeneralName>, VerifyError> {
    let Some(mut names) = alternative_names(certificate.alternative_names()) else {
        return refuse(format!(
            "the subjectAltName of {} can't be read, and its CA has name constraints",
            certificate.label()
        ));
    };
    let has = |form: &Form| names.iter().any(|name| name.form == *form);
    let (has_dns, has_address) = (has(&Form::Dns), has(&Form::Address));
    let subject = certificate.subject();
    if der::expect(&mut &*subject, der::SEQUENCE).is_none_or(|name| !name.contents.is_empty()) {
        names.push(GeneralName::subject(subject));
    }
    let Some(emails) = name::values(subject, name::EMAIL_ADDRESS) else {
        return refuse(format!(
            "the subject of {} can't be read, and its CA has name constraints",
            certificate.label()
        ));
    };
    names.extend(emails.iter().map(|email| GeneralName::email_of_subject(email.as_deref())));
    if is_leaf {
        for common_name in name::values(subject, name::COMMON_NAME).unwrap_or_default() {
            let text = common_name.as_deref().map(|text| text.trim_matches(|c: char| c.is_whitespace() || c == '\0'));
            let address = text.and_then(|text| text.parse::<IpAddr>().ok()).filter(|_| !has_address);
            names.extend(address.map(GeneralName::address_of_subject));
            if !has_dns && text.is_none_or(|text| text.contains('\0') || is_host_name(text)) {
                names.push(GeneralName::host_of_subject(text));
            }
        }
    }
    Ok(names)
}

fn alternative_names(value: Option<&[u8]>) -> Option<Vec<GeneralName>> {
    let Some(mut value) = value else {
        return Some(Vec::new());
    };
    let mut contents = der::expect(&mut value, der::SEQUENCE).filter(|_| value.is_empty())?.contents;
    let mut names = Vec::new();
    while !contents.is_empty() {
        names.push(GeneralName::of_certificate(der::next(&mut contents)?)?);
    }
    Some(names)
}

/// Whether a common name is a host name of two labels or more, as OpenSSL tells it from a person's name. A dot at the
/// end and a wildcard at the head don't hide one.
fn is_host_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let text = text.strip_prefix("*.").unwrap_or(text);
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    text.contains('.') && text.split('.').all(label)
}

fn refuse<T>(detail: String) -> Result<T, VerifyError> {
    Err(VerifyError::new(Refusal::NameConstraints, detail))
}
