//! Subjects of certificates, most of them hostile, that native ZooKeeper and zoogate must name alike.

use std::fs;

use super::der;
use super::gate::repository;
use super::pki::{Certified, Pki, Profile};

/// A subject and how it is called.
pub struct Subject {
    /// In failures.
    pub name: String,
    /// DER of the name.
    pub der: Vec<u8>,
    /// What Java 17 printed for it when the vectors were made, if it is one of them.
    pub expected: Option<Vec<u8>>,
}

impl Subject {
    /// Whether Java prints nothing for it.
    pub fn is_empty(&self) -> bool {
        self.expected.as_ref().is_some_and(Vec::is_empty)
    }
}

/// Every vector, and names as people give them.
pub fn subjects() -> Vec<Subject> {
    let vectors = fs::read_to_string(repository("tests/vectors/x509-dn-vectors.tsv")).unwrap();
    let rows = vectors.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let mut subjects: Vec<Subject> = rows
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            Subject { name: fields[0].to_owned(), der: unhex(fields[1]), expected: Some(unhex(fields[2])) }
        })
        .collect();
    let organisation = |value: &str| der::name(&[("2.5.4.10", "Acme, Inc."), ("2.5.4.3", value)]);
    let more = [
        ("a plain person", der::person("alice")),
        ("a comma in the organisation", organisation("client")),
        ("a name that looks like two", organisation("alice,O=Other")),
        ("a name that looks like an ACL entry", organisation("world:anyone:rwcda")),
        ("a name that looks percent-encoded", organisation("a%2Cb%")),
        ("a name that looks injected", organisation("x509/CN=alice")),
        ("XML and shell", organisation("<a href='&'>$(id) `id` \"'")),
        ("right-to-left and joiners", organisation("\u{202e}nimda\u{200d}\u{feff}")),
        ("long", organisation(&"x".repeat(3_000))),
        ("many parts", der::name(&[("2.5.4.11", "unit"); 64])),
    ];
    subjects.extend(more.into_iter().map(|(name, der)| Subject { name: name.to_owned(), der, expected: None }));
    assert!(subjects.len() >= 30, "the list has {} subjects", subjects.len());
    subjects
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// A client certificate with this subject. Java reads one with an empty subject only if it has a critical alternative
/// name.
pub fn certificate(pki: &Pki, subject: &Subject) -> Certified {
    let mut profile = Profile::client(subject.der.clone());
    if subject.is_empty() {
        profile.alternative_names = vec![der::tlv(0x82, b"client.example.com")];
        profile.critical_names = true;
    }
    pki.ca.issue(&profile)
}
