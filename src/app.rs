//! The composition root: loads everything, binds everything, then serves until it is told to stop.

mod announce;
pub mod process;
mod sockets;
mod view;
mod vital;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use prometheus::Registry;
use rustls_pki_types::UnixTime;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::admin::{Admin, Hosts};
use crate::config::{self, Config};
use crate::metrics::Metrics;
use crate::proxy::{
    self, Bounds, Dialer, Gate, HandshakeSettings, Health, Liveness, LoopbackSources, Revalidation, Settings, X509Auth,
};
use crate::reload::{Contents, Reloader};
use crate::rfc3339::unix;
use crate::shutdown::Drain;
use crate::snapshot::{LoadProblem, Snapshot};
use crate::systemd::{Notifier, ServiceManager, SocketError, Watchdog};
use crate::zk::four_letter_word::FourLetterWord;
use announce::Announcer;
use view::View;
use vital::Vital;

pub use announce::Reload;

/// How long connections may take to notice that they are forced to end.
const FORCED: Duration = Duration::from_secs(2);

/// The name of the admin server's task.
const ADMIN: &str = "the admin address";

/// A program that has everything it needs and holds its ports, but accepts nobody yet.
pub struct App {
    config: Config,
    gate: Arc<Gate>,
    listeners: Vec<TcpListener>,
    admin: Option<Admin>,
    registry: Registry,
    metrics: Arc<Metrics>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    reloader: Reloader,
    reload: Arc<Notify>,
    drain: Drain,
    notifier: Arc<Notifier>,
    watchdog: Option<Watchdog>,
}

/// The addresses that are held; of interest where the configuration says port 0.
#[derive(Clone, Debug)]
pub struct Bound {
    /// Where clients connect.
    pub listeners: Vec<SocketAddr>,
    /// Where metrics and probes are.
    pub admin: Option<SocketAddr>,
}

/// The program can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Files that the configuration names are wrong.
    #[error("{}", lines(.0))]
    Load(Vec<LoadProblem>),
    /// An address can't be listened on.
    #[error("{key}: can't listen on {address}: {error}")]
    Bind {
        /// The configuration's key.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// The system's answer.
        error: io::Error,
    },
    /// The service manager passes other sockets than the configuration wants.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The system starts no threads.
    #[error("can't start the threads of handshakes: {0}")]
    Threads(#[from] io::Error),
    /// A metric is registered twice; a defect.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// The program has ended, and not because it was told to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Serving can't begin.
    #[error("can't serve: {0}")]
    Begin(#[from] io::Error),
    /// A task without which it is of no use has ended; a defect.
    #[error("the task of {0} has ended by a defect; restart zoogate")]
    Death(&'static str),
}

fn lines(problems: &[LoadProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl App {
    /// Loads and binds everything. Call it inside a Tokio runtime.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is held then.
    pub fn build(config: Config, service_manager: ServiceManager) -> Result<Self, StartError> {
        // Before the files are loaded, so that a change in between is one.
        let contents = Contents::read(&config);
        let now = UnixTime::now();
        let snapshot = Arc::new(Snapshot::load(&config, now).map_err(StartError::Load)?);
        let registry = Registry::new();
        let metrics = Arc::new(Metrics::new(&registry)?);
        metrics.set_certificates(&snapshot.certificates());
        metrics.set_crls(&snapshot.crls());
        for warning in snapshot.warnings(unix(now)) {
            warn!("{warning}");
        }
        let ServiceManager { mut sockets, notifier, watchdog } = service_manager;
        let listeners = sockets::bind_listeners(&config.listen, &mut sockets)?;
        let admin =
            config.admin.address.as_ref().map(|address| sockets::bind_admin(address, &mut sockets)).transpose()?;
        sockets.finish()?;
        let drain = Drain::new(config.shutdown.grace);
        let (snapshots, current) = watch::channel(snapshot);
        let shared = (Arc::clone(&metrics), drain.clone());
        let gate = Arc::new(Gate::new(
            settings(&config, sockets::own_port(&listeners)),
            dialer(&config.upstream),
            current.clone(),
            shared,
        )?);
        let (roster, warning) = (gate.roster(), config.tls.expiry_warning);
        metrics.client_certificates_from(move || roster.live(warning));
        let reloader = Reloader::new(config.clone(), contents, snapshots, Arc::clone(&metrics));
        let (reload, notifier) = (Arc::default(), Arc::new(notifier));
        let snapshots = current;
        let app = Self {
            config,
            gate,
            listeners,
            admin,
            registry,
            metrics,
            snapshots,
            reloader,
            reload,
            drain,
            notifier,
            watchdog,
        };
        Ok(app)
    }

    /// For whoever wants the files to be looked at now.
    pub fn reload(&self) -> Reload {
        Reload {
            asked: Arc::clone(&self.reload),
            reports: self.reloader.report(),
            notifier: Arc::clone(&self.notifier),
        }
    }

    /// The addresses that are held.
    ///
    /// # Errors
    /// If the system has lost a listener.
    pub fn bound(&self) -> io::Result<Bound> {
        let listeners = self.listeners.iter().map(TcpListener::local_addr).collect::<io::Result<_>>()?;
        Ok(Bound { listeners, admin: self.admin.as_ref().map(Admin::local_addr) })
    }

    /// Serves. Each message of `stops` is a wish to stop, with a name for the log: the first one begins the
    /// drain, the second one cuts it short. A closed channel is no wish. The death of a task that all depend on
    /// begins the drain, too.
    ///
    /// # Errors
    /// If serving can't begin, or has ended without a wish.
    pub async fn run(self, mut stops: mpsc::Receiver<&'static str>) -> Result<(), ServeError> {
        let bound = self.bound()?;
        let (health, healths) = watch::channel(None);
        let listening = Arc::new(AtomicBool::new(false));
        let admin_done = CancellationToken::new();
        let view = View {
            started: UnixTime::now(),
            listeners: bound.listeners.clone(),
            upstream: self.config.upstream.address.to_string(),
            metrics: Arc::clone(&self.metrics),
            roster: self.gate.roster(),
            refusals: self.gate.refusals(),
            reload: self.reloader.report(),
            snapshots: self.snapshots.clone(),
            health: healths.clone(),
            listening: Arc::clone(&listening),
            drain: self.drain.clone(),
        };
        let announcer = Announcer {
            notifier: Arc::clone(&self.notifier),
            health: healths,
            reports: self.reloader.report(),
            snapshots: self.snapshots,
            drain: self.drain.clone(),
        };
        let mut vital = Vital::default();
        if let Some(admin) = self.admin {
            vital.spawn(
                ADMIN,
                admin.serve(
                    Arc::new(view.into_admin(self.registry, Hosts::new(self.config.admin.hosts.clone()))),
                    admin_done.clone(),
                ),
            );
        }
        let probing = watch_upstream(self.config.upstream.clone(), Arc::clone(&self.metrics), health);
        vital.spawn("watching ZooKeeper", probing);
        vital.spawn("revalidating", self.gate.revalidate());
        vital.spawn("counting refusals", self.gate.tell_left_out());
        vital.spawn("accepting", self.gate.open(self.listeners)?);
        // Not before: whoever asked for a reload hears that it is ready.
        vital.spawn("reloading", self.reloader.run(self.config.reload.interval, self.reload));
        listening.store(true, Ordering::Release);
        info!(listeners = ?bound.listeners, admin = bound.admin.map(tracing::field::display), upstream = %self.config.upstream.address, "serving");
        tokio::spawn(announcer.run());
        if let Some(watchdog) = self.watchdog {
            let (pulse, notifier) = (self.gate.pulse(), Arc::clone(&self.notifier));
            tokio::spawn(announce::feed(watchdog, pulse, notifier, self.drain.clone()));
        }

        let stopping = (&self.drain, &*self.notifier);
        let result = stop(stopping, &self.config.shutdown, (&mut stops, &mut vital)).await;

        admin_done.cancel();
        vital.end_of(ADMIN).await;
        self.gate.tell_the_rest();
        info!("stopped");
        result
    }
}

/// Waits for the wish to stop or for a task that dies, then goes through the phases of the drain.
async fn stop(
    (drain, notifier): (&Drain, &Notifier),
    shutdown: &config::Shutdown,
    (stops, vital): (&mut mpsc::Receiver<&'static str>, &mut Vital),
) -> Result<(), ServeError> {
    let (cause, result) = tokio::select! {
        signal = next(stops) => (signal, Ok(())),
        name = vital.death() => ("the death of a task", Err(ServeError::Death(name))),
    };
    notifier.stopping("stopping: live connections are closed between requests");
    info!(cause, delay = ?shutdown.delay, grace = ?shutdown.grace, "stopping: not ready any more");
    drain.stop();
    let hurried = tokio::select! {
        signal = next(stops) => Some(signal),
        () = tokio::time::sleep(shutdown.delay) => None,
    };
    drain.close();
    let hurried = match hurried {
        Some(signal) => Some(signal),
        None => tokio::select! {
            () = drain.finished() => return result,
            signal = next(stops) => Some(signal),
            () = tokio::time::sleep(shutdown.grace) => None,
        },
    };
    match hurried {
        Some(signal) => info!(signal, "second signal: cutting the connections that are left"),
        None => info!("the grace period is over: cutting the connections that are left"),
    }
    drain.force();
    let _ = tokio::time::timeout(FORCED, drain.finished()).await;
    result
}

/// The next wish to stop; never comes once nobody can wish any more.
async fn next(stops: &mut mpsc::Receiver<&'static str>) -> &'static str {
    match stops.recv().await {
        Some(signal) => signal,
        None => std::future::pending().await,
    }
}

/// Probes ZooKeeper for readiness and metrics: on an interval, and sooner while it does not serve.
async fn watch_upstream(
    upstream: config::Upstream,
    metrics: Arc<Metrics>,
    found: watch::Sender<Option<(Health, i64)>>,
) {
    let dialer = dialer(&upstream);
    let mut away_since = None;
    loop {
        let asked = Instant::now();
        let health = proxy::probe(&dialer, upstream.probe_timeout).await;
        metrics.upstream_found(health.state);
        let before = found.borrow().as_ref().map(|(before, _)| before.state);
        let Health { state, version, detail } = &health;
        match before {
            Some(before) if before == *state => {}
            Some(before) if before.serves() && !state.serves() => {
                warn!(%state, detail, "ZooKeeper does not serve any more");
            }
            _ => info!(%state, version, detail, "ZooKeeper's state"),
        }
        away_since = if state.serves() { None } else { away_since.or(Some(asked)) };
        found.send_replace(Some((health, unix(UnixTime::now()))));
        let pause = proxy::pause(upstream.probe_interval, away_since.map(|since| asked.duration_since(since)));
        tokio::time::sleep_until((asked + pause).into()).await;
    }
}

fn settings(config: &Config, own_port: u16) -> Settings {
    let mut advertise = config.ensemble.clone();
    if let Some(unknown) = advertise.as_mut().filter(|advertise| advertise.port == 0) {
        unknown.port = own_port;
    }
    let words = config.four_letter_words.allow.iter();
    Settings {
        connections: config.limits.connections,
        handshakes: HandshakeSettings {
            limit: config.limits.handshakes,
            fit: process::connections_that_fit(),
            timeout: config.limits.handshake_timeout,
            threads: config.runtime.handshake_workers,
            proxies: config.listen.proxies.clone(),
            liveness: liveness(config.listen.tcp),
        },
        open_timeout: config.limits.open_timeout,
        response_timeout: config.upstream.response_timeout,
        bounds: Bounds {
            frame: config.limits.frame,
            reserve_user: matches!(config.identity.inject, config::Inject::Digest { .. }),
            x509_auth: x509_auth(config),
            // Each connection's, from its snapshot.
            translate: None,
            advertise: advertise.map(Arc::new),
        },
        words: words.filter_map(|word| word.parse::<FourLetterWord>().ok()).collect(),
        revalidation: Revalidation {
            enforce: config.tls.revalidate,
            margin: config.tls.expiry_margin,
            warning: config.tls.expiry_warning,
        },
    }
}

fn x509_auth(config: &Config) -> X509Auth {
    match (&config.identity.inject, config.client_auth.x509) {
        (config::Inject::None, _) => X509Auth::Pass,
        (_, config::ClientX509::Answer) => X509Auth::Answer,
        (_, config::ClientX509::Refuse) => X509Auth::Refuse,
    }
}

/// How ZooKeeper is dialled.
pub fn dialer(upstream: &config::Upstream) -> Dialer {
    Dialer {
        host: upstream.address.host.clone(),
        port: upstream.address.port,
        timeout: upstream.connect_timeout,
        sources: (upstream.source == config::UpstreamSource::PerClient).then(LoopbackSources::default),
        liveness: liveness(upstream.tcp),
    }
}

fn liveness(tcp: config::Tcp) -> Liveness {
    Liveness { keepalive: tcp.keepalive, user_timeout: tcp.user_timeout }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHUTDOWN: config::Shutdown =
        config::Shutdown { delay: Duration::from_secs(1), grace: Duration::from_secs(100) };

    #[tokio::test(start_paused = true)]
    async fn the_death_of_a_task_drains_the_program_and_fails_it() {
        let drain = Drain::new(SHUTDOWN.grace);
        let connection = drain.clone();
        drain.spawn(async move { connection.closing().await });
        let (_stops, mut wishes) = mpsc::channel(1);
        let mut vital = Vital::default();
        vital.spawn("panicking", async { panic!("on purpose") });
        let notifier = Notifier::default();
        let stopping = stop((&drain, &notifier), &SHUTDOWN, (&mut wishes, &mut vital));
        let ended = tokio::time::timeout(2 * SHUTDOWN.grace, stopping);
        assert!(matches!(ended.await.unwrap(), Err(ServeError::Death("panicking"))));
        assert!(drain.is_closing());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wish_to_stop_is_no_failure_though_tasks_end_by_it() {
        let drain = Drain::new(SHUTDOWN.grace);
        let (stops, mut wishes) = mpsc::channel(1);
        let mut vital = Vital::default();
        let closing = drain.clone();
        vital.spawn("accepting", async move { closing.closing().await });
        stops.send("test").await.unwrap();
        let start = tokio::time::Instant::now();
        stop((&drain, &Notifier::default()), &SHUTDOWN, (&mut wishes, &mut vital)).await.unwrap();
        assert_eq!(start.elapsed(), SHUTDOWN.delay, "nobody is left to wait for");
    }

    /// A connection that never ends by itself is given the grace period, and not more than a moment beyond.
    #[tokio::test(start_paused = true)]
    async fn what_is_left_after_the_grace_period_is_forced() {
        let drain = Drain::new(SHUTDOWN.grace);
        drain.spawn(drain.clone().forced());
        let (stops, mut wishes) = mpsc::channel(1);
        stops.send("test").await.unwrap();
        let start = tokio::time::Instant::now();
        stop((&drain, &Notifier::default()), &SHUTDOWN, (&mut wishes, &mut Vital::default())).await.unwrap();
        let took = start.elapsed();
        let latest = SHUTDOWN.delay + SHUTDOWN.grace + Duration::from_millis(10);
        assert!(SHUTDOWN.delay + SHUTDOWN.grace <= took && took < latest, "{took:?}");
    }
}
