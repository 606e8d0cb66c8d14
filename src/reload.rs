//! Notices that a file has changed, and replaces the snapshot by one that was checked before.
//!
//! Contents decide, not events: a Kubernetes `..data` swap, a bind mount, a rename and a write in place all show, and
//! a file that is written again unchanged does not. What can't be used is not published; the last good snapshot stays.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Context, SHA256};
use rustls_pki_types::UnixTime;
use tokio::sync::{Notify, watch};
use tracing::{error, info, warn};

use crate::config::Config;
use crate::metrics::{Material, Metrics, ReloadResult};
use crate::snapshot::Snapshot;

/// How long a change may be unusable before anybody hears of it: certificate and key are rarely written at once.
const TORN: Duration = Duration::from_secs(10);

/// The only writer of snapshots.
pub struct Reloader {
    config: Config,
    snapshots: watch::Sender<Arc<Snapshot>>,
    metrics: Arc<Metrics>,
    loaded: Contents,
    seen: Contents,
    trouble: Option<Trouble>,
    report: watch::Sender<Report>,
}

/// A SHA-256 of each material's files, in the order of the configuration. A file that can't be read counts as its error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents(BTreeMap<Material, Vec<u8>>);

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
    since: Instant,
    /// The same in Unix seconds.
    since_unix: i64,
    /// The contents that somebody has heard of.
    reported: Option<Contents>,
}

/// What the files on the disk make.
struct Loaded {
    config: Config,
    /// What of the configuration has changed without effect.
    needs_restart: Vec<&'static str>,
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
        let now = unix_now();
        for material in loaded.0.keys() {
            metrics.material_changed(*material);
            metrics.material_loaded(*material);
        }
        metrics.reloaded(UnixTime::now().as_secs());
        let report = watch::Sender::new(Report {
            tried: now,
            result: ReloadResult::Ok,
            loaded: loaded.0.keys().map(|material| (*material, now)).collect(),
            problem: None,
            needs_restart: Vec::new(),
            answered: 0,
        });
        Self { config, snapshots, metrics, seen: loaded.clone(), loaded, trouble: None, report }
    }

    /// What came of the last look that had something to do.
    pub fn report(&self) -> watch::Receiver<Report> {
        self.report.subscribe()
    }

    /// Looks on an interval, if there is one, and whenever somebody asks, for ever.
    pub async fn run(mut self, interval: Option<Duration>, asked: Arc<Notify>) {
        loop {
            let tick = async {
                match interval {
                    Some(interval) => tokio::time::sleep(interval).await,
                    None => std::future::pending().await,
                }
            };
            let asked = tokio::select! {
                () = tick => false,
                () = asked.notified() => true,
            };
            // Reading and checking takes a while where CRLs are large; connections must not wait for it.
            let looked = tokio::task::spawn_blocking(move || {
                self.look(asked);
                if asked {
                    self.report.send_modify(|report| report.answered += 1);
                }
                self
            });
            match looked.await {
                Ok(reloader) => self = reloader,
                Err(defect) => {
                    error!(%defect, "reloading has ended by a defect; restart to apply changes");
                    return;
                }
            }
        }
    }

    /// Looks once. Whoever `asked` hears of the result, whatever it is.
    fn look(&mut self, asked: bool) {
        let contents = Contents::read(&self.config);
        for material in contents.differences(&self.seen) {
            self.metrics.material_changed(material);
            if contents.0.get(&material) == self.loaded.0.get(&material) {
                self.metrics.material_loaded(material);
            }
        }
        self.seen = contents.clone();
        if contents == self.loaded {
            if self.trouble.take().is_some() || asked {
                info!("nothing to reload: the files are those in use");
                self.metrics.reloaded(UnixTime::now().as_secs());
                self.report.send_modify(Report::succeeded);
            }
            return;
        }
        match self.load() {
            // Written to while it was read; the next look will see it whole.
            _ if Contents::read(&self.config) != contents => {}
            Ok(loaded) => self.publish(&contents, loaded),
            Err(problems) => self.complain(contents, &problems, asked),
        }
    }

    fn load(&self) -> Result<Loaded, Vec<String>> {
        let mut config = match &self.config.file {
            Some(file) => Config::load(file).map_err(|error| vec![error.to_string()])?,
            None => self.config.clone(),
        };
        let needs_restart = config.needs_restart(&self.config);
        config.keep_what_needs_restart(&self.config);
        let snapshot = Snapshot::load(&config, UnixTime::now())
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        Ok(Loaded { config, needs_restart, snapshot })
    }

    fn publish(&mut self, contents: &Contents, loaded: Loaded) {
        let Loaded { config, needs_restart, snapshot } = loaded;
        if !needs_restart.is_empty() {
            warn!(
                sections = needs_restart.join(","),
                "the configuration has changed in places that are read at the start"
            );
        }
        for warning in snapshot.tls.warnings() {
            warn!("{warning}");
        }
        self.metrics.set_certificates(&snapshot.certificates());
        self.metrics.set_crls(&snapshot.crls());
        self.snapshots.send_replace(Arc::new(snapshot));
        let changed = contents.differences(&self.loaded);
        for material in &changed {
            self.metrics.material_loaded(*material);
            self.metrics.reload_counted(*material, ReloadResult::Ok);
        }
        self.metrics.reloaded(UnixTime::now().as_secs());
        self.report.send_modify(|report| {
            report.succeeded();
            report.loaded.extend(changed.iter().map(|material| (*material, report.tried)));
            report.needs_restart = needs_restart;
        });
        let changed: Vec<&str> = changed.iter().map(|material| material.as_str()).collect();
        info!(changed = changed.join(","), "reloaded");
        // Files may have other names now.
        self.loaded = Contents::read(&config);
        (self.seen, self.config, self.trouble) = (self.loaded.clone(), config, None);
    }

    fn complain(&mut self, contents: Contents, problems: &[String], asked: bool) {
        let now = unix_now();
        let trouble = self.trouble.get_or_insert_with(|| Trouble::new(now));
        let told = trouble.reported.as_ref() == Some(&contents);
        let tell = asked || !told && trouble.since.elapsed() >= TORN;
        let differing = contents.differences(&self.loaded);
        self.report.send_modify(|report| {
            (report.tried, report.result) = (now, ReloadResult::Failed);
            report.problem = Some(Problem {
                since: trouble.since_unix,
                told: told || tell,
                materials: differing.clone(),
                messages: problems.to_vec(),
            });
        });
        if !tell {
            return;
        }
        for material in differing {
            self.metrics.reload_counted(material, ReloadResult::Failed);
        }
        self.metrics.reload_failed();
        warn!(problems = problems.join("; "), "the files on the disk can't be used; what was loaded before stays");
        trouble.reported = Some(contents);
    }
}

impl Report {
    fn succeeded(&mut self) {
        (self.tried, self.result, self.problem) = (unix_now(), ReloadResult::Ok, None);
    }
}

impl Trouble {
    fn new(now: i64) -> Self {
        Self { since: Instant::now(), since_unix: now, reported: None }
    }
}

impl Contents {
    /// Reads everything that a snapshot is loaded from.
    pub fn read(config: &Config) -> Self {
        let mut digests: BTreeMap<Material, Context> = BTreeMap::new();
        for (material, path) in files(config) {
            let digest = digests.entry(material).or_insert_with(|| Context::new(&SHA256));
            if let Err(error) = feed(digest, path) {
                digest.update(error.kind().to_string().as_bytes());
            }
        }
        Self(digests.into_iter().map(|(material, digest)| (material, digest.finish().as_ref().to_vec())).collect())
    }

    fn differences(&self, other: &Self) -> Vec<Material> {
        let all = self.0.keys().chain(other.0.keys()).copied().collect::<BTreeSet<_>>();
        all.into_iter().filter(|material| self.0.get(material) != other.0.get(material)).collect()
    }
}

/// Feeds a file's length and bytes, so that two files can't be taken for two others.
fn feed(digest: &mut Context, path: &Path) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 64 * 1024];
    let mut length = 0_u64;
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => {
                digest.update(&buffer[..read]);
                length += read as u64;
            }
        }
    }
    digest.update(&length.to_be_bytes());
    Ok(())
}

/// Every file that a snapshot is loaded from.
fn files(config: &Config) -> Vec<(Material, &Path)> {
    let tls = &config.tls;
    let key_store = [&tls.key_store.password_file, &tls.key_store.key_path, &tls.key_store.key_password_file];
    let key_store = std::iter::once(&tls.key_store.path).chain(key_store.into_iter().flatten());
    let trust_store = std::iter::once(&tls.trust_store.path).chain(&tls.trust_store.password_file);
    let secrets = config.identity.inject.secret_file().into_iter().chain(&config.session.binding);
    let of = |material| move |path| (material, path);
    key_store
        .map(of(Material::KeyStore))
        .chain(trust_store.map(of(Material::TrustStore)))
        .chain(tls.crls.iter().map(of(Material::Crls)))
        .chain(secrets.map(of(Material::Secret)))
        .chain(config.file.iter().map(of(Material::Config)))
        .map(|(material, path)| (material, path.as_path()))
        .collect()
}

fn unix_now() -> i64 {
    i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
