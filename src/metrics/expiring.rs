//! How many live client certificates end soon or should have been renewed, counted when somebody asks.

use std::sync::{Arc, OnceLock};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntGauge, Registry, Result};
use rustls_pki_types::UnixTime;

use super::family;
use super::label::ExpiryWindow;
use crate::rfc3339::unix;

/// A client certificate that has live connections. Times are Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveCertificate {
    /// When the first certificate of its path ends.
    pub not_after: i64,
    /// From when on the client should have come back with its successor, if it lives long enough for that.
    pub renewal_due: Option<i64>,
}

/// Tells of each client certificate with live connections.
pub(super) type Live = Box<dyn Fn() -> Vec<LiveCertificate> + Send + Sync>;

/// The gauges of live client certificates. They stay at zero as long as nobody tells of any.
#[derive(Clone)]
pub(super) struct Expiring {
    descs: Arc<[Desc]>,
    total: IntGauge,
    within: GaugeVec,
    due: GaugeVec,
    live: Arc<OnceLock<Live>>,
}

impl Expiring {
    pub(super) fn register(registry: &Registry) -> Result<Self> {
        let descs = [
            family::CLIENT_CERTIFICATES.desc()?,
            family::CLIENT_CERTIFICATES_EXPIRING.desc()?,
            family::CLIENT_CERTIFICATES_RENEWAL_DUE.desc()?,
        ];
        let expiring = Self {
            descs: descs.into(),
            total: family::CLIENT_CERTIFICATES.loose_gauge()?,
            within: family::CLIENT_CERTIFICATES_EXPIRING.loose_gauges()?,
            due: family::CLIENT_CERTIFICATES_RENEWAL_DUE.loose_gauges()?,
            live: Arc::default(),
        };
        registry.register(Box::new(expiring.clone()))?;
        Ok(expiring)
    }

    /// Says who is asked at each scrape; the first one stays.
    pub(super) fn ask(&self, live: Live) {
        let _ = self.live.set(live);
    }

    fn count(&self, now: i64) {
        let live = self.live.get().map(|live| live()).unwrap_or_default();
        self.total.set(i64::try_from(live.len()).unwrap_or(i64::MAX));
        for window in ExpiryWindow::ALL {
            let until = now.saturating_add(seconds(*window));
            let count = live.iter().filter(|live| live.not_after <= until).count();
            self.within.with_label_values(&[window.as_str()]).set(count as f64);
        }
        let day = now.saturating_add(seconds(ExpiryWindow::Day));
        for (within, until) in [(ExpiryWindow::Day.as_str(), day), ("any", i64::MAX)] {
            let due = |live: &&LiveCertificate| live.renewal_due.is_some_and(|due| due <= now);
            let count = live.iter().filter(due).filter(|live| live.not_after <= until).count();
            self.due.with_label_values(&[within]).set(count as f64);
        }
    }
}

impl Collector for Expiring {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.count(unix(UnixTime::now()));
        [self.total.collect(), self.within.collect(), self.due.collect()].concat()
    }
}

fn seconds(window: ExpiryWindow) -> i64 {
    const DAY: i64 = 86_400;
    match window {
        ExpiryWindow::Hour => 3_600,
        ExpiryWindow::Day => DAY,
        ExpiryWindow::Week => 7 * DAY,
        ExpiryWindow::FourWeeks => 28 * DAY,
    }
}
