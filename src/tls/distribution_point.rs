//! Distribution points of CRLs: which part of an issuer's certificates a CRL covers (RFC 5280 §4.2.1.13, §5.2.5).
//!
//! Read here and strictly, not by a library: a scope that can't be read must never count as none, or a partial CRL
//! would pass for a complete one and a revoked client would come in.

use std::fmt;

use super::{der, name};

const SET: u8 = 0x31;
/// Context tags of a DistributionPoint, an IssuingDistributionPoint and a DistributionPointName.
const POINT: u8 = 0xa0;
const FULL_NAME: u8 = 0xa0;
const RELATIVE_NAME: u8 = 0xa1;
const CRL_ISSUER: u8 = 0xa2;
/// Context tags of a GeneralName.
const URI: u8 = 0x86;
const DIRECTORY_NAME: u8 = 0xa4;

/// A name of a distribution point. Names are equal if RFC 5280 says so.
#[derive(Clone, Debug)]
pub(crate) struct PointName {
    /// The tag and the value, a directory name in its canonical form.
    key: (u8, Box<[u8]>),
    text: String,
}

/// Whose certificates a CRL covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// All.
    #[default]
    All,
    /// Those that are no CA's (`onlyContainsUserCerts`).
    Users,
    /// Those of CAs (`onlyContainsCACerts`).
    Cas,
}

/// What a CRL covers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    /// Of which certificates.
    pub(crate) kind: Kind,
    /// Only certificates that name one of these points, if there are any.
    pub(crate) points: Vec<PointName>,
}

/// Why the scope of a CRL is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScopeError {
    /// It is not what RFC 5280 §5.2.5 has.
    Malformed,
    /// It lists certificates of other issuers.
    Indirect,
    /// It covers some reasons, or no certificates of public keys at all.
    Partial(&'static str),
}

impl PartialEq for PointName {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl fmt::Display for PointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Scope {
    /// Reads the value of an issuingDistributionPoint of a CRL by this issuer (DER of its name).
    pub(crate) fn read(value: &[u8], issuer: &[u8]) -> Result<Self, ScopeError> {
        let mut fields = whole(value, der::SEQUENCE).ok_or(ScopeError::Malformed)?;
        let mut scope = Self::default();
        let (mut user, mut ca, mut attribute, mut indirect, mut reasons) = (false, false, false, false, false);
        let mut last = None;
        while !fields.is_empty() {
            let field = der::next(&mut fields).ok_or(ScopeError::Malformed)?;
            let number = field.tag & 0x1f;
            // In their order and once each (X.690 §11).
            if last.is_some_and(|last| number <= last) {
                return Err(ScopeError::Malformed);
            }
            last = Some(number);
            let flag = || flag(field.contents).ok_or(ScopeError::Malformed);
            match field.tag {
                POINT => scope.points = point_names(field.contents, issuer).ok_or(ScopeError::Malformed)?,
                0x81 => user = flag()?,
                0x82 => ca = flag()?,
                0x83 => reasons = true,
                0x84 => indirect = flag()?,
                0x85 => attribute = flag()?,
                _ => return Err(ScopeError::Malformed),
            }
        }
        if indirect {
            return Err(ScopeError::Indirect);
        }
        if reasons {
            return Err(ScopeError::Partial("onlySomeReasons"));
        }
        scope.kind = match (user, ca, attribute) {
            (false, false, false) => Kind::All,
            (true, false, false) => Kind::Users,
            (false, true, false) => Kind::Cas,
            _ => {
                return Err(ScopeError::Partial(
                    "onlyContainsAttributeCerts, or several kinds that exclude each other",
                ));
            }
        };
        Ok(scope)
    }

    /// Whether it covers a certificate that is a CA's or not, with these distribution points.
    pub(crate) fn covers(&self, is_ca: bool, points: &[PointName]) -> bool {
        let kind = match self.kind {
            Kind::All => true,
            Kind::Users => !is_ca,
            Kind::Cas => is_ca,
        };
        kind && (self.points.is_empty() || points.iter().any(|point| self.points.contains(point)))
    }
}

/// The names of the points in a certificate's cRLDistributionPoints, whose issuer (DER of its name) is `issuer`. Nothing if
/// it can't be read: then no CRL of a point covers the certificate.
pub(crate) fn points_of_certificate(value: &[u8], issuer: &[u8]) -> Option<Vec<PointName>> {
    let mut points = whole(value, der::SEQUENCE)?;
    let mut names = Vec::new();
    while !points.is_empty() {
        let mut fields = der::expect(&mut points, der::SEQUENCE)?.contents;
        let (mut name, mut own_issuer) = (None, true);
        while !fields.is_empty() {
            let field = der::next(&mut fields)?;
            match field.tag {
                POINT => name = Some(field.contents),
                0x81 => {}
                CRL_ISSUER => own_issuer = false,
                _ => return None,
            }
        }
        // A name relative to another CRL issuer is none of a CRL by the certificate's own issuer.
        if let Some(name) = name.filter(|name| own_issuer || name.first() != Some(&RELATIVE_NAME)) {
            names.extend(point_names(name, issuer)?);
        }
    }
    Some(names)
}

/// The names of a DistributionPointName; never none.
fn point_names(mut contents: &[u8], issuer: &[u8]) -> Option<Vec<PointName>> {
    let name = der::next(&mut contents).filter(|_| contents.is_empty())?;
    match name.tag {
        FULL_NAME => {
            let mut names = Vec::new();
            let mut rest = name.contents;
            while !rest.is_empty() {
                names.push(general_name(der::next(&mut rest)?)?);
            }
            (!names.is_empty()).then_some(names)
        }
        RELATIVE_NAME => {
            let rdns = whole(issuer, der::SEQUENCE)?;
            let rdn = encoded(SET, name.contents)?;
            Some(vec![directory_name(&encoded(der::SEQUENCE, &[rdns, &rdn].concat())?)])
        }
        _ => None,
    }
}

fn general_name(name: der::Element<'_>) -> Option<PointName> {
    match name.tag {
        URI => {
            let text = name.contents.iter().flat_map(|byte| byte.escape_ascii()).map(char::from).collect();
            Some(PointName { key: (URI, name.contents.into()), text })
        }
        DIRECTORY_NAME => {
            let mut contents = name.contents;
            let directory = der::expect(&mut contents, der::SEQUENCE).filter(|_| contents.is_empty())?;
            Some(directory_name(directory.whole))
        }
        tag => Some(PointName { key: (tag, name.contents.into()), text: "a name of another kind".to_owned() }),
    }
}

fn directory_name(der: &[u8]) -> PointName {
    PointName { key: (DIRECTORY_NAME, name::canonical(der).into()), text: name::text(der) }
}

/// The contents of the only element, which must have this tag.
fn whole(mut value: &[u8], tag: u8) -> Option<&[u8]> {
    let element = der::expect(&mut value, tag)?;
    value.is_empty().then_some(element.contents)
}

/// An implicitly tagged BOOLEAN; DER has 0xff for true, some CAs have another number.
fn flag(contents: &[u8]) -> Option<bool> {
    match contents {
        [byte] => Some(*byte != 0),
        _ => None,
    }
}

fn encoded(tag: u8, contents: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(contents.len()).ok()?.to_be_bytes();
    let header: &[u8] = match length {
        [0, short @ 0..=0x7f] => &[tag, short],
        [0, medium] => &[tag, 0x81, medium],
        [high, low] => &[tag, 0x82, high, low],
    };
    Some([header, contents].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
        encoded(tag, contents).unwrap()
    }

    /// `CN=name` as an RDN's contents and as a whole name.
    fn rdn(common_name: &str) -> Vec<u8> {
        let attribute = [element(6, &[0x55, 4, 3]), element(0x0c, common_name.as_bytes())].concat();
        element(der::SEQUENCE, &attribute)
    }

    fn dn(common_names: &[&str]) -> Vec<u8> {
        let rdns: Vec<_> = common_names.iter().map(|name| element(SET, &rdn(name))).collect();
        element(der::SEQUENCE, &rdns.concat())
    }

    fn scope(fields: &[&[u8]]) -> Result<Scope, ScopeError> {
        Scope::read(&element(der::SEQUENCE, &fields.concat()), &dn(&["ca"]))
    }

    fn full_name(name: &[u8]) -> Vec<u8> {
        element(POINT, &element(FULL_NAME, name))
    }

    fn relative() -> Vec<u8> {
        element(POINT, &element(RELATIVE_NAME, &rdn("part 1")))
    }

    fn of_certificate(point: &[u8]) -> Option<Vec<PointName>> {
        points_of_certificate(&element(der::SEQUENCE, &element(der::SEQUENCE, point)), &dn(&["ca"]))
    }

    const YES: &[u8] = &[0xff];

    #[test]
    fn flags_count_beside_a_relative_name() {
        for (field, error) in [
            (element(0x83, &[1, 2]), ScopeError::Partial("onlySomeReasons")),
            (element(0x84, YES), ScopeError::Indirect),
        ] {
            assert_eq!(scope(&[&relative(), &field]).unwrap_err(), error);
            assert_eq!(scope(&[&field]).unwrap_err(), error);
        }
        assert!(matches!(scope(&[&relative(), &element(0x85, YES)]), Err(ScopeError::Partial(_))));
        assert!(matches!(scope(&[&element(0x81, YES), &element(0x82, YES)]), Err(ScopeError::Partial(_))));
        assert_eq!(scope(&[&relative(), &element(0x81, YES)]).unwrap().kind, Kind::Users);
        assert_eq!(scope(&[&element(0x82, &[1])]).unwrap().kind, Kind::Cas);
        assert_eq!(scope(&[&element(0x81, &[0])]).unwrap().kind, Kind::All);
    }

    #[test]
    fn a_relative_name_is_a_name_below_the_issuers() {
        let covered = scope(&[&relative()]).unwrap();
        let full = full_name(&element(DIRECTORY_NAME, &dn(&["ca", "PART  1"])));
        for (point, covers) in [
            (relative(), true),
            (full, true),
            (full_name(&element(DIRECTORY_NAME, &dn(&["other", "part 1"]))), false),
            (full_name(&element(URI, b"http://ca/crl")), false),
            ([relative(), element(CRL_ISSUER, &element(DIRECTORY_NAME, &dn(&["x"])))].concat(), false),
        ] {
            assert_eq!(covered.covers(false, &of_certificate(&point).unwrap()), covers, "{point:02x?}");
        }
        assert!(!covered.covers(false, &[]), "no point named");
        assert_eq!(covered.points[0].to_string(), "CN=part 1,CN=ca");
    }

    #[test]
    fn kinds_and_points_both_count() {
        let uri = full_name(&element(URI, b"http://ca/crl"));
        let own = of_certificate(&uri).unwrap();
        let users = scope(&[&uri, &element(0x81, YES)]).unwrap();
        assert_eq!(
            [users.covers(false, &own), users.covers(true, &own), users.covers(false, &[])],
            [true, false, false]
        );
        let cas = scope(&[&element(0x82, YES)]).unwrap();
        assert_eq!([cas.covers(true, &[]), cas.covers(false, &[])], [true, false]);
    }

    #[test]
    fn what_can_not_be_read_is_never_a_scope() {
        let uri = full_name(&element(URI, b"u"));
        for fields in [
            vec![element(0x86, YES)],
            vec![element(0x81, &[0xff, 0xff])],
            vec![element(0x82, YES), element(0x81, YES)],
            vec![uri.clone(), uri.clone()],
            vec![element(POINT, b"")],
            vec![element(POINT, &element(FULL_NAME, b""))],
            vec![element(POINT, &element(0xa2, &rdn("x")))],
            vec![vec![0xa0, 5, 1]],
        ] {
            assert_eq!(scope(&[&fields.concat()]).unwrap_err(), ScopeError::Malformed, "{fields:02x?}");
        }
        let behind = [element(der::SEQUENCE, b""), vec![0]].concat();
        assert_eq!(Scope::read(&behind, &dn(&["ca"])).unwrap_err(), ScopeError::Malformed);
        assert!(of_certificate(&element(0xa3, b"")).is_none());
        assert!(of_certificate(&uri).unwrap().len() == 1);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60)) {
            let _ = Scope::read(&bytes, &bytes);
            let _ = points_of_certificate(&bytes, &bytes);
        }
    }
}
