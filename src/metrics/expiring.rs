//! How many live client certificates end soon, counted when somebody asks.

use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntGauge, Registry, Result};

use super::family;
use super::label::ExpiryWindow;

/// Tells when each client certificate with live connections ends, in Unix seconds.
pub(super) type Ends = Box<dyn Fn() -> Vec<i64> + Send + Sync>;

/// The gauges of live client certificates. They stay at zero as long as nobody tells of any.
#[derive(Clone)]
pub(super) struct Expiring {
    descs: Arc<[Desc]>,
    total: IntGauge,
    within: GaugeVec,
    ends: Arc<OnceLock<Ends>>,
}

impl Expiring {
    pub(super) fn register(registry: &Registry) -> Result<Self> {
        let descs = [family::CLIENT_CERTIFICATES.desc()?, family::CLIENT_CERTIFICATES_EXPIRING.desc()?];
        let expiring = Self {
            descs: descs.into(),
            total: family::CLIENT_CERTIFICATES.loose_gauge()?,
            within: family::CLIENT_CERTIFICATES_EXPIRING.loose_gauges()?,
            ends: Arc::default(),
        };
        registry.register(Box::new(expiring.clone()))?;
        Ok(expiring)
    }

    /// Says who is asked at each scrape; the first one stays.
    pub(super) fn ask(&self, ends: Ends) {
        let _ = self.ends.set(ends);
    }

    fn count(&self, now: i64) {
        let ends = self.ends.get().map(|ends| ends()).unwrap_or_default();
        self.total.set(i64::try_from(ends.len()).unwrap_or(i64::MAX));
        for window in ExpiryWindow::ALL {
            let until = now.saturating_add(seconds(*window));
            let count = ends.iter().filter(|&&end| end <= until).count();
            self.within.with_label_values(&[window.as_str()]).set(count as f64);
        }
    }
}

impl Collector for Expiring {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.count(i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
        self.total.collect().into_iter().chain(self.within.collect()).collect()
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
