//! Names of a certificate, and the subtrees of names that a CA is constrained to (RFC 5280 §4.2.1.6, §4.2.1.10).
//!
//! A name or subtree that can't be read is kept as such: whether it lies in a subtree has no answer then, and nobody may
//! take that for a yes or a no.

use std::fmt;
use std::net::IpAddr;

use super::{der, name};

const OTHER_NAME: u8 = 0xa0;
const EMAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const DIRECTORY_NAME: u8 = 0xa4;
const URI: u8 = 0x86;
const ADDRESS: u8 = 0x87;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// The OID 1.3.6.1.5.5.7.8.9, an e-mail address beyond ASCII, which constraints of e-mail addresses bind (RFC 8398).
const SMTP_UTF8_MAILBOX: &[u8] = b"\x2b\x06\x01\x05\x05\x07\x08\x09";

/// What kind of name it is. Only names of one form are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Dns,
    Email,
    Uri,
    Address,
    Directory,
    /// By its tag, and its type if it is an otherName: never compared.
    Other(u8, Box<[u8]>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    /// In lower case; of a subtree, a leading dot means hosts below it.
    Host(String),
    /// A subtree may have no local part.
    Mailbox(Option<String>, String),
    /// Of a subtree, with the mask behind it.
    Address(Vec<u8>),
    /// In its canonical form, so that a subtree's is a prefix of those within.
    Directory(Vec<u8>),
    Unreadable,
}

/// A name of a certificate, or a subtree of names.
#[derive(Clone, Debug)]
pub(crate) struct GeneralName {
    pub(crate) form: Form,
    value: Value,
    text: String,
}

/// Which side of a comparison a GeneralName is for, and what it would mean.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subtrees {
    Permitted,
    Excluded,
}

impl GeneralName {
    /// A name of a subjectAltName; `None` if it isn't the encoding of one.
    pub(crate) fn of_certificate(element: der::Element<'_>) -> Option<Self> {
        let (form, text) = read(element)?;
        let value = match form {
            Form::Dns => ascii(element.contents).map(Self::dns_value),
            Form::Email => ascii(element.contents).map(mailbox),
            Form::Uri => ascii(element.contents).and_then(authority).map(Value::Host),
            Form::Address => {
                matches!(element.contents.len(), 4 | 16).then(|| Value::Address(element.contents.to_vec()))
            }
            Form::Directory => directory(element.contents),
            Form::Other(..) => None,
        };
        Some(Self { form, value: value.unwrap_or(Value::Unreadable), text })
    }

    /// The base of a subtree; `None` if it isn't the encoding of a name.
    pub(crate) fn of_subtree(element: der::Element<'_>) -> Option<Self> {
        let (form, text) = read(element)?;
        let value = match form {
            Form::Dns if element.contents.is_empty() => Some(Value::Host(String::new())),
            Form::Dns | Form::Uri => ascii(element.contents).and_then(domain).map(Value::Host),
            Form::Email => ascii(element.contents).and_then(|text| match text.rsplit_once('@') {
                Some(("", domain)) => host(domain).map(|host| Value::Mailbox(None, host)),
                Some((local, domain)) => host(domain).map(|host| Value::Mailbox(Some(local.to_owned()), host)),
                None => domain(text).map(|host| Value::Mailbox(None, host)),
            }),
            Form::Address => masked(element.contents).then(|| Value::Address(element.contents.to_vec())),
            Form::Directory => directory(element.contents),
            Form::Other(..) => None,
        };
        Some(Self { form, value: value.unwrap_or(Value::Unreadable), text })
    }

    /// A subject (DER of the Name) as a directory name.
    pub(crate) fn subject(der: &[u8]) -> Self {
        let value = directory(der).unwrap_or(Value::Unreadable);
        Self { form: Form::Directory, value, text: name::text(der) }
    }

    /// A host name of a subject; `None` is one that can't be read.
    pub(crate) fn host_of_subject(text: Option<&str>) -> Self {
        let value = text.map_or(Value::Unreadable, Self::dns_value);
        Self { form: Form::Dns, value, text: shown(text.unwrap_or("(unreadable common name)")) }
    }

    /// An e-mail address of a subject; `None` is one that can't be read.
    pub(crate) fn email_of_subject(text: Option<&str>) -> Self {
        let value = text.map_or(Value::Unreadable, mailbox);
        Self { form: Form::Email, value, text: shown(text.unwrap_or("(unreadable emailAddress)")) }
    }

    /// An IP address of a subject.
    pub(crate) fn address_of_subject(address: IpAddr) -> Self {
        let octets = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        Self { form: Form::Address, value: Value::Address(octets), text: address.to_string() }
    }

    /// Whether this name lies in a subtree of its own form; `None` if one of them can't be read, or if names of this form
    /// are not compared. What could be read in two ways counts as outside of permitted and inside of excluded subtrees.
    pub(crate) fn within(&self, base: &Self, subtrees: Subtrees) -> Option<bool> {
        let excluded = subtrees == Subtrees::Excluded;
        Some(match (&self.value, &base.value) {
            (Value::Host(host), Value::Host(base)) if self.form == Form::Dns => {
                // A wildcard stands for each host below it.
                let covers = |parent: &str| base.split_once('.').is_some_and(|(_, rest)| rest == parent);
                base.is_empty()
                    || below(host, base)
                    || host == base
                    || (!base.starts_with('.') && below(host, &format!(".{base}")))
                    || (excluded && host.strip_prefix("*.").is_some_and(covers))
            }
            (Value::Host(host), Value::Host(base)) => host == base || below(host, base),
            (Value::Mailbox(local, host), Value::Mailbox(base_local, base)) => {
                let same_local = match (local, base_local) {
                    (_, None) => true,
                    // Local parts have a case, though hardly any server heeds it.
                    (Some(local), Some(base)) if excluded => local.eq_ignore_ascii_case(base),
                    (local, base) => local == base,
                };
                same_local && (host == base || below(host, base))
            }
            (Value::Address(address), Value::Address(base)) => {
                let (net, mask) = base.split_at(base.len() / 2);
                let mut octets = address.iter().zip(net).zip(mask);
                address.len() == net.len() && octets.all(|((octet, net), mask)| octet & mask == net & mask)
            }
            (Value::Directory(name), Value::Directory(base)) => name.starts_with(base),
            _ => return None,
        })
    }

    /// A wildcard may stand for the first label.
    fn dns_value(text: &str) -> Value {
        let (wildcard, rest) = text.strip_prefix("*.").map_or(("", text), |rest| ("*.", rest));
        host(rest).map_or(Value::Unreadable, |host| Value::Host(format!("{wildcard}{host}")))
    }
}

impl fmt::Display for GeneralName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = match &self.form {
            Form::Dns => "DNS name",
            Form::Email => "e-mail address",
            Form::Uri => "URI",
            Form::Address => "IP address",
            Form::Directory => "directory name",
            Form::Other(..) => return f.write_str("name of a form that is not compared"),
        };
        write!(f, "{form} {:?}", self.text)
    }
}

/// The form of a GeneralName, and how a person reads it.
fn read(element: der::Element<'_>) -> Option<(Form, String)> {
    let text = || shown(&String::from_utf8_lossy(element.contents));
    Some(match element.tag {
        DNS => (Form::Dns, text()),
        EMAIL => (Form::Email, text()),
        URI => (Form::Uri, text()),
        ADDRESS => (Form::Address, address_text(element.contents)),
        DIRECTORY_NAME => (Form::Directory, name::text(element.contents)),
        OTHER_NAME => match der::expect(&mut &*element.contents, OBJECT_IDENTIFIER)?.contents {
            SMTP_UTF8_MAILBOX => (Form::Email, "(beyond ASCII)".to_owned()),
            oid => (Form::Other(OTHER_NAME, oid.into()), String::new()),
        },
        // x400Address, ediPartyName, registeredID.
        tag @ (0xa3 | 0xa5 | 0x88) => (Form::Other(tag, Box::default()), String::new()),
        _ => return None,
    })
}

fn ascii(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// A host name in lower case without the dot at its end.
fn host(text: &str) -> Option<String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    text.split('.').all(label).then(|| text.to_ascii_lowercase())
}

/// A host name, or with a leading dot the hosts below one.
fn domain(text: &str) -> Option<String> {
    match text.strip_prefix('.') {
        Some(rest) => host(rest).map(|host| format!(".{host}")),
        None => host(text),
    }
}

/// Whether a host lies below a domain with a leading dot.
fn below(host: &str, domain: &str) -> bool {
    domain.starts_with('.') && host.len() > domain.len() && host.ends_with(domain)
}

fn mailbox(text: &str) -> Value {
    let parts = text.rsplit_once('@').filter(|(local, _)| !local.is_empty());
    let parts = parts.and_then(|(local, domain)| Some((local.to_owned(), host(domain)?)));
    parts.map_or(Value::Unreadable, |(local, host)| Value::Mailbox(Some(local), host))
}

/// The host of a URI. One without a host name has none to compare, an IP address included (RFC 5280 §4.2.1.10).
fn authority(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (_user, host_and_port) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (name, port) = host_and_port.split_once(':').unwrap_or((host_and_port, ""));
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let fits = !scheme.is_empty() && plain(scheme) && port.bytes().all(|byte| byte.is_ascii_digit());
    host(name).filter(|name| fits && !uri.contains('\\') && name.parse::<IpAddr>().is_err())
}

/// Whether it is an address with a mask whose ones come first.
fn masked(contents: &[u8]) -> bool {
    let mask =
        contents.split_at(contents.len() / 2).1.iter().fold(0_u128, |mask, &byte| (mask << 8) | u128::from(byte));
    let bits = match contents.len() {
        8 => 32,
        32 => 128,
        _ => return false,
    };
    let aligned = mask << (128 - bits);
    aligned.leading_ones() == aligned.count_ones()
}

/// A Name without anything behind it, each part of which can be read.
fn directory(mut contents: &[u8]) -> Option<Value> {
    let name = der::expect(&mut contents, der::SEQUENCE).filter(|_| contents.is_empty())?;
    name::is_readable(name.whole).then(|| Value::Directory(name::canonical(name.whole)))
}

fn shown(text: &str) -> String {
    name::cut(text.to_owned())
}

fn address_text(contents: &[u8]) -> String {
    match *contents {
        [a, b, c, d] => format!("{a}.{b}.{c}.{d}"),
        [a, b, c, d, e, f, g, h] => format!("{a}.{b}.{c}.{d}/{e}.{f}.{g}.{h}"),
        _ => shown(&super::hex(contents)),
    }
}
