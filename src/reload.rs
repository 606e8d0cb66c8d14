//! Notices that a file has changed, and replaces the snapshot by one that was checked before.
//!
//! Contents decide, not events: a Kubernetes `..data` swap, a bind mount, a rename and a write in place all show, and
//! a file that is written again unchanged does not. What can't be used is not published; the last good snapshot stays.

mod contents;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls_pki_types::UnixTime;
use tokio::sync::{Notify, watch};
use tracing::{error, info, warn};

use crate::config::Config;
use crate::metrics::{Material, Metrics, ReloadResult};
use crate::rfc3339::unix;
use crate::snapshot::Snapshot;

pub use contents::Contents;

/// How long a change may be unusable before anybody hears of it: certificate and key are rarely written at once.
const TORN: Duration = Duration::from_secs(10);

/// How long a file may change faster than that before somebody hears of it all the same.
const RESTLESS: Duration = Duration::from_secs(60);

/// When files are looked at again that have changed. What has changed is used only once it has held still for that
/// long: half a bundle of CAs or of CRLs is as good as a whole one, and would end the connections that it leaves out.
const SETTLING: Duration = Duration::from_secs(1);

/// The only writer of snapshots.
pub struct Reloader {
    config: Config,
    snapshots: watch::Sender<Arc<Snapshot>>,
    metrics: Arc<Metrics>,
    loaded: Contents,
    seen: Contents,
    /// What is new on the disk, and since when it is there.
    fresh: Option<(Contents, Instant)>,
    settling: Duration,
    trouble: Option<Trouble>,
    report: watch::Sender<Report>,
    clock: fn() -> UnixTime,
}

/// What came of the last look that had something to do.
#[derive(Clone, Debug)]
pub struct Report {
    /// When something was tried last, in Unix seconds.
    pub tried: i64,
    /// Whether that went well, and what is on the disk is in use.
    pub result: ReloadResult,
    /// When what is in use of each material was loaded, in Unix seconds.
    pub loaded: BTreeMap<Material, i64>,
    /// What is wrong with the files on the disk, if they can't be used.
    pub problem: Option<Problem>,
    /// What of the configuration has changed without effect.
    pub needs_restart: Vec<&'static str>,
    /// How often somebody has asked and was answered.
    pub answered: u64,
}

/// Why the files on the disk can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Since when, in Unix seconds.
    pub since: i64,
    /// Whether it has lasted long enough to be no half-written change, and somebody was told.
    pub told: bool,
    /// Which materials are not those in use.
    pub materials: Vec<Material>,
    /// What is wrong, a sentence each.
    pub messages: Vec<String>,
}

/// Something on the disk can't be used.
#[derive(Debug)]
struct Trouble {
    /// In Unix seconds.
    since: i64,
    /// What is on the disk.
    contents: Contents,
    /// Since when that is there.
    lasts_since: Instant,
    /// Since when nobody has heard of anything: when it began, or when it was told last.
    silent_since: Instant,
    /// Whether somebody has heard of these contents.
    told: bool,
}

/// What the files on the disk make.
struct Loaded {
    config: Config,
    /// What of the configuration has changed without effect.
    needs_restart: Vec<&'static str>,
    /// What the files contained before they were loaded.
    contents: Contents,
    snapshot: Snapshot,
}

impl Reloader {
    /// Watches what a snapshot was loaded from; `loaded` was read before it was.
    pub fn new(
        config: Config,
        loaded: Contents,
        snapshots: watch::Sender<Arc<Snapshot>>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let now = UnixTime::now();
        for material in loaded.materials() {
            metrics.material_changed(material);
            metrics.material_loaded(material);
        }
        metrics.reloaded(now.as_secs());
        let report = watch::Sender::new(Report {
            tried: unix(now),
            result: ReloadResult::Ok,
            loaded: loaded.materials().map(|material| (material, unix(now))).collect(),
            problem: None,
            needs_restart: Vec::new(),
            answered: 0,
        });
        let seen = loaded.clone();
        Self {
            config,
            snapshots,
            metrics,
            loaded,
            seen,
            fresh: None,
            settling: SETTLING,
            trouble: None,
            report,
            clock: UnixTime::now,
        }
    }

    /// What came of the last look that had something to do.
    pub fn report(&self) -> watch::Receiver<Report> {
        self.report.subscribe()
    }

    /// Looks on an interval, if there is one, and whenever somebody asks, for ever.
    pub async fn run(mut self, interval: Option<Duration>, asked: Arc<Notify>) {
        let metrics = Arc::clone(&self.metrics);
        // Who turned the interval off says by asking that the files are whole.
        self.settling = interval.map_or(Duration::ZERO, |interval| interval.min(SETTLING));
        // Whether the files were written to while they were read, and whether somebody waits for the result.
        let mut unsettled = None;
        loop {
            let wait = match (interval, unsettled) {
                (Some(interval), Some(_)) => Some(interval.min(SETTLING)),
                (None, Some(_)) => Some(SETTLING),
                (interval, None) => interval,
            };
            let tick = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            let asked = tokio::select! {
                () = tick => unsettled.unwrap_or(false),
                () = asked.notified() => true,
            };
            // Reading and checking takes a while where CRLs are large; connections must not wait for it.
            let looked = tokio::task::spawn_blocking(move || {
                let settled = self.look(asked);
                if asked && settled {
                    self.report.send_modify(|report| report.answered += 1);
                }
                (settled, self)
            });
            match looked.await {
                Ok((settled, reloader)) => {
                    self = reloader;
                    unsettled = (!settled).then_some(asked);
                }
                Err(defect) => {
                    metrics.reload_failed();
                    error!(%defect, "reloading has ended by a defect");
                    return;
                }
            }
        }
    }

    /// Looks once; whether the files held still meanwhile. Whoever `asked` hears of the result, whatever it is.
    fn look(&mut self, asked: bool) -> bool {
        let contents = Contents::read(&self.config);
        self.note_changes(&contents);
        if contents == self.loaded {
            if self.trouble.take().is_some() || asked {
                info!("nothing to reload: the files are those in use");
                self.succeeded();
            }
            self.fresh = None;
            return true;
        }
        if !self.has_settled(&contents) {
            return false;
        }
        let loaded = self.load();
        if Contents::read(&self.config) != contents {
            // Written to while it was read; the next look will see it whole.
            return false;
        }
        match loaded {
            Ok(loaded) => self.publish(loaded),
            Err(problems) => self.complain(contents, problems, asked),
        }
        true
    }

    fn has_settled(&mut self, contents: &Contents) -> bool {
        if self.fresh.as_ref().is_none_or(|(fresh, _)| fresh != contents) {
            self.fresh = Some((contents.clone(), Instant::now()));
        }
        self.fresh.as_ref().is_some_and(|(_, since)| since.elapsed() >= self.settling)
    }

    fn note_changes(&mut self, contents: &Contents) {
        for material in contents.differences(&self.seen) {
            self.metrics.material_changed(material);
            if contents.of(material) == self.loaded.of(material) {
                self.metrics.material_loaded(material);
            }
        }
        self.seen = contents.clone();
    }

    fn load(&self) -> Result<Loaded, Vec<String>> {
        refuse(contents::irregular(&self.config))?;
        let mut config = match &self.config.file {
            Some(file) => Config::load(file).map_err(|error| vec![error.to_string()])?,
            None => self.config.clone(),
        };
        let needs_restart = config.needs_restart(&self.config);
        config.keep_what_needs_restart(&self.config);
        // Its files may be others than those that were looked at.
        refuse(contents::irregular(&config))?;
        let contents = Contents::read(&config);
        let now = (self.clock)();
        let snapshot = Snapshot::load(&config, now)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        refuse(snapshot.set_backs(&self.snapshots.borrow(), unix(now)))?;
        Ok(Loaded { config, needs_restart, contents, snapshot })
    }

    fn publish(&mut self, loaded: Loaded) {
        let Loaded { config, needs_restart, contents, snapshot } = loaded;
        if !needs_restart.is_empty() && needs_restart != self.report.borrow().needs_restart {
            warn!(
                sections = needs_restart.join(","),
                "the configuration has changed in sections that only a restart reads: restart zoogate to use them"
            );
        }
        self.metrics.set_config_needs_restart(!needs_restart.is_empty());
        for warning in snapshot.warnings(unix((self.clock)())) {
            warn!("{warning}");
        }
        self.metrics.set_certificates(&snapshot.certificates());
        self.metrics.set_crls(&snapshot.crls());
        self.snapshots.send_replace(Arc::new(snapshot));
        self.note_changes(&contents);
        let changed = contents.differences(&self.loaded);
        for material in &changed {
            self.metrics.material_loaded(*material);
            self.metrics.reload_counted(*material, ReloadResult::Ok);
        }
        (self.loaded, self.config, self.trouble) = (contents, config, None);
        self.succeeded();
        self.report.send_modify(|report| {
            report.loaded.extend(changed.iter().map(|material| (*material, report.tried)));
            report.loaded.retain(|material, _| self.loaded.of(*material).is_some());
            report.needs_restart = needs_restart;
        });
        let changed: Vec<&str> = changed.iter().map(|material| material.as_str()).collect();
        info!(changed = changed.join(","), "reloaded");
    }

    /// States that what is on the disk is in use.
    fn succeeded(&self) {
        let now = (self.clock)();
        self.metrics.reloaded(now.as_secs());
        self.report.send_modify(|report| {
            (report.tried, report.result, report.problem) = (unix(now), ReloadResult::Ok, None);
        });
    }

    fn complain(&mut self, contents: Contents, problems: Vec<String>, asked: bool) {
        let now = unix((self.clock)());
        let differing = contents.differences(&self.loaded);
        let trouble = self.trouble.get_or_insert_with(|| Trouble::new(contents.clone(), now));
        trouble.see(contents);
        let first = !trouble.told && (asked || trouble.is_to_be_told());
        if first {
            for material in &differing {
                self.metrics.reload_counted(*material, ReloadResult::Failed);
            }
            self.metrics.reload_failed();
        }
        if first || asked {
            warn!(problems = problems.join("; "), "the files on the disk can't be used; what was loaded before stays");
            (trouble.told, trouble.silent_since) = (true, Instant::now());
        }
        let (since, told) = (trouble.since, trouble.told);
        self.report.send_modify(|report| {
            (report.tried, report.result) = (now, ReloadResult::Failed);
            report.problem = Some(Problem { since, told, materials: differing, messages: problems });
        });
    }
}

impl Trouble {
    fn new(contents: Contents, since: i64) -> Self {
        let now = Instant::now();
        Self { since, contents, lasts_since: now, silent_since: now, told: false }
    }

    /// Other contents may be half written again.
    fn see(&mut self, contents: Contents) {
        if self.contents != contents {
            (self.contents, self.lasts_since, self.told) = (contents, Instant::now(), false);
        }
    }

    fn is_to_be_told(&self) -> bool {
        !self.told && (self.lasts_since.elapsed() >= TORN || self.silent_since.elapsed() >= RESTLESS)
    }
}

fn refuse(problems: Vec<String>) -> Result<(), Vec<String>> {
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

#[cfg(test)]
mod tests;
