//! Validity of what is loaded: certificates and CRLs, replaced as a whole by a reload.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Registry, Result};

use super::family::{self, Family};
use super::label::CertificateRole;

/// The most certificates, and the most CRLs, that have series: a trust store may pin thousands of clients.
const MAX_SERIES: usize = 500;

/// A certificate that zoogate has loaded.
#[derive(Clone, Debug)]
pub struct CertificateValidity {
    /// What it is for.
    pub role: CertificateRole,
    /// The common name of its subject; empty if it has none.
    pub subject_cn: String,
    /// The common name of its issuer; empty if it has none.
    pub issuer_cn: String,
    /// Its serial number in hexadecimal, as the logs print it.
    pub serial: String,
    /// When it begins to be valid, in Unix seconds.
    pub not_before: i64,
    /// When it ceases to be valid, in Unix seconds.
    pub not_after: i64,
}

/// A certificate revocation list that zoogate has loaded.
#[derive(Clone, Debug)]
pub struct CrlValidity {
    /// The common name of its issuer; empty if it has none.
    pub issuer_cn: String,
    /// The file it was read from, as configured.
    pub path: String,
    /// When it was issued, in Unix seconds.
    pub this_update: i64,
    /// When its successor is due, in Unix seconds, if it says so.
    pub next_update: Option<i64>,
    /// Its CRL number (RFC 5280 section 5.2.3), if it has one.
    pub number: Option<f64>,
    /// How many certificates it revokes.
    pub entries: usize,
}

/// Families whose series come and go with what is loaded.
pub(super) struct Validity {
    certificates: Replaceable,
    crls: Replaceable,
}

impl Validity {
    pub(super) fn register(registry: &Registry) -> Result<Self> {
        let certificates = [&family::CERTIFICATE_NOT_AFTER, &family::CERTIFICATE_NOT_BEFORE];
        let crls = [&family::CRL_NEXT_UPDATE, &family::CRL_THIS_UPDATE, &family::CRL_NUMBER, &family::CRL_ENTRIES];
        Ok(Self {
            certificates: Replaceable::register(registry, &certificates)?,
            crls: Replaceable::register(registry, &crls)?,
        })
    }

    pub(super) fn set_certificates(&self, certificates: &[CertificateValidity]) {
        let mut first_to_expire: Vec<_> =
            distinct(certificates, |c| (c.role, &c.subject_cn, &c.issuer_cn, &c.serial), |c| c.not_after).collect();
        first_to_expire
            .sort_by_key(|c| (matches!(c.role, CertificateRole::TrustAnchor | CertificateRole::Pinned), c.not_after));
        let samples = first_to_expire.into_iter().take(MAX_SERIES).map(|c| {
            let labels = [c.role.as_str(), &c.subject_cn, &c.issuer_cn, &c.serial].map(str::to_owned);
            (labels, [Some(c.not_after as f64), Some(c.not_before as f64)])
        });
        self.certificates.replace([&family::CERTIFICATE_NOT_AFTER, &family::CERTIFICATE_NOT_BEFORE], samples);
    }

    pub(super) fn set_crls(&self, crls: &[CrlValidity]) {
        let due = |c: &CrlValidity| c.next_update.unwrap_or(i64::MAX);
        let mut first_to_expire: Vec<_> = distinct(crls, |c| (&c.issuer_cn, &c.path), due).collect();
        first_to_expire.sort_by_key(|c| due(c));
        let samples = first_to_expire.into_iter().take(MAX_SERIES).map(|c| {
            let labels = [c.issuer_cn.clone(), c.path.clone()];
            let next_update = c.next_update.map(|time| time as f64);
            (labels, [next_update, Some(c.this_update as f64), c.number, Some(c.entries as f64)])
        });
        let families = [&family::CRL_NEXT_UPDATE, &family::CRL_THIS_UPDATE, &family::CRL_NUMBER, &family::CRL_ENTRIES];
        self.crls.replace(families, samples);
    }
}

/// Of items that the labels can't tell apart, the one whose time comes first: a series that hid it would hide the
/// one that an alert is for.
fn distinct<'a, T, K: Eq + std::hash::Hash>(
    items: &'a [T],
    key: impl Fn(&'a T) -> K,
    time: impl Fn(&T) -> i64,
) -> impl Iterator<Item = &'a T> {
    let mut first: HashMap<K, &'a T> = HashMap::new();
    for item in items {
        let slot = first.entry(key(item)).or_insert(item);
        if time(item) < time(slot) {
            *slot = item;
        }
    }
    first.into_values()
}

/// A collector whose series are replaced at once, so that no scrape falls between old and new.
#[derive(Clone)]
struct Replaceable {
    descs: Arc<[Desc]>,
    current: Arc<RwLock<Vec<MetricFamily>>>,
}

impl Replaceable {
    fn register(registry: &Registry, families: &[&Family]) -> Result<Self> {
        let descs = families.iter().map(|family| family.desc()).collect::<Result<_>>()?;
        let collector = Self { descs, current: Arc::default() };
        registry.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    /// Publishes one series per sample and family; `None` leaves the family's series out.
    fn replace<const LABELS: usize, const FAMILIES: usize>(
        &self,
        families: [&Family; FAMILIES],
        samples: impl Iterator<Item = ([String; LABELS], [Option<f64>; FAMILIES])>,
    ) {
        let gauges = families.map(|family| family.loose_gauges().expect("the same family was registered"));
        for (labels, values) in samples {
            let labels = labels.each_ref().map(String::as_str);
            for (gauge, value) in gauges.iter().zip(values) {
                if let Some(value) = value {
                    gauge.with_label_values(&labels).set(value);
                }
            }
        }
        let new = gauges.iter().flat_map(Collector::collect).collect();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
    }
}

impl Collector for Replaceable {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
