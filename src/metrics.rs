//! Every metric that zoogate exports, and the verbs by which the other modules move them.
//!
//! Names, labels and buckets stand in `metrics/family.rs`; callers see verbs, guards and closed enums only. All
//! families are registered, and every value of a closed label exists at zero, before the first connection, so that
//! `increase()` sees the first event. A verb costs an atomic addition or two: children are resolved once and found by
//! index.

mod expiring;
mod family;
mod handshakes;
mod label;
mod material;
mod process;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use prometheus::{Histogram, IntCounter, IntGauge, Registry};

use crate::reason::{CloseReason, Ending, Refusal};
use crate::zk::opcode::Opcode;

pub use expiring::LiveCertificate;
pub use label::{
    AcceptError, CertificateRole, ConnectionState, Direction, ExpiryWindow, FourLetterWordResult, GenerationOf,
    HandshakeResult, InjectionResult, Material, Peer, ProbeKind, ReloadResult, RevalidationResult, RevalidationTrigger,
    SessionOpening, SessionRefusal, ShadowResult, TlsVersion, UpstreamState,
};
use label::{Children, Label};
pub use material::{CertificateValidity, CrlValidity};

/// The revision that this program was built from, if the build told it (`ZOOGATE_REVISION`), else `unknown`.
pub const REVISION: &str = match option_env!("ZOOGATE_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// All metrics of one process, shared by whoever has something to count.
pub struct Metrics {
    accepted: IntCounter,
    closed: Children<CloseReason, IntCounter>,
    connections: Children<ConnectionState, IntGauge>,
    connections_limit: IntGauge,
    handshakes_limit: IntGauge,
    handshake_queue: Histogram,
    connection_duration: Histogram,
    accept_errors: Children<AcceptError, IntCounter>,
    bytes: Children<Peer, Children<Direction, IntCounter>>,
    probes: Children<ProbeKind, IntCounter>,
    handshake_duration: Children<TlsVersion, Children<HandshakeResult, Histogram>>,
    handshake_failures: Children<Refusal, IntCounter>,
    client_certificate_expiration: Histogram,
    shadow: Children<ShadowResult, IntCounter>,
    injections: Children<InjectionResult, IntCounter>,
    injection_duration: Histogram,
    /// Whether ZooKeeper took the last credential: 0 before there was one.
    last_injection: AtomicU8,
    opening_duration: Histogram,
    openings: Children<SessionOpening, IntCounter>,
    sessions_refused: Children<SessionRefusal, IntCounter>,
    requests: Children<Opcode, IntCounter>,
    request_duration: Children<Opcode, Histogram>,
    notifications: IntCounter,
    four_letter_words: Children<FourLetterWordResult, IntCounter>,
    upstream_up: IntGauge,
    upstream_state: Children<UpstreamState, IntGauge>,
    upstream_connect_duration: Histogram,
    upstream_connect_failures: IntCounter,
    reloads: Children<Material, Children<ReloadResult, IntCounter>>,
    revalidations: Children<RevalidationTrigger, Children<RevalidationResult, IntCounter>>,
    last_reload_successful: IntGauge,
    last_reload_success: IntGauge,
    config_needs_restart: IntGauge,
    generations: Children<Material, Children<GenerationOf, IntGauge>>,
    material: material::Validity,
    expiring: expiring::Expiring,
}

impl Metrics {
    /// Registers every family, and the process' own, on `registry`.
    ///
    /// # Errors
    /// Fails if the registry already holds a family of the same name.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let version = [env!("CARGO_PKG_VERSION"), REVISION];
        family::BUILD_INFO.gauge_family(registry)?.get_metric_with_label_values(&version)?.set(1);
        process::Process::register(registry)?;
        let metrics = Self {
            accepted: family::CONNECTIONS_ACCEPTED.counter(registry)?,
            closed: family::CONNECTIONS_CLOSED.counters(registry)?,
            connections: family::CONNECTIONS.gauges(registry)?,
            connections_limit: family::CONNECTIONS_LIMIT.gauge(registry)?,
            handshakes_limit: family::HANDSHAKES_LIMIT.gauge(registry)?,
            handshake_queue: family::TLS_HANDSHAKE_QUEUE.histogram(registry)?,
            connection_duration: family::CONNECTION_DURATION.histogram(registry)?,
            accept_errors: family::ACCEPT_ERRORS.counters(registry)?,
            bytes: family::BYTES.counters_by_two(registry)?,
            probes: family::PROBE_CONNECTIONS.counters(registry)?,
            handshake_duration: family::TLS_HANDSHAKE_DURATION.histograms_by_two(registry)?,
            handshake_failures: family::TLS_HANDSHAKE_FAILURES.counters(registry)?,
            client_certificate_expiration: family::CLIENT_CERTIFICATE_EXPIRATION.histogram(registry)?,
            shadow: family::IDENTITY_SHADOW.counters(registry)?,
            injections: family::AUTH_INJECTIONS.counters(registry)?,
            injection_duration: family::AUTH_INJECTION_DURATION.histogram(registry)?,
            last_injection: AtomicU8::new(0),
            opening_duration: family::SESSION_OPENING_DURATION.histogram(registry)?,
            openings: family::SESSION_OPENINGS.counters(registry)?,
            sessions_refused: family::SESSIONS_REFUSED.counters(registry)?,
            requests: family::REQUESTS.counters(registry)?,
            request_duration: family::REQUEST_DURATION.histograms(registry)?,
            notifications: family::NOTIFICATIONS.counter(registry)?,
            four_letter_words: family::FOUR_LETTER_WORDS.counters(registry)?,
            upstream_up: family::UPSTREAM_UP.gauge(registry)?,
            upstream_state: family::UPSTREAM_STATE.gauges(registry)?,
            upstream_connect_duration: family::UPSTREAM_CONNECT_DURATION.histogram(registry)?,
            upstream_connect_failures: family::UPSTREAM_CONNECT_FAILURES.counter(registry)?,
            reloads: family::RELOADS.counters_by_two(registry)?,
            revalidations: family::REVALIDATIONS.counters_by_two(registry)?,
            last_reload_successful: family::LAST_RELOAD_SUCCESSFUL.gauge(registry)?,
            last_reload_success: family::LAST_RELOAD_SUCCESS_TIMESTAMP.gauge(registry)?,
            config_needs_restart: family::CONFIG_NEEDS_RESTART.gauge(registry)?,
            generations: family::MATERIAL_GENERATION.gauges_by_two(registry)?,
            material: material::Validity::register(registry)?,
            expiring: expiring::Expiring::register(registry)?,
        };
        metrics.upstream_found(UpstreamState::Unknown);
        Ok(metrics)
    }

    /// Counts an accepted connection; the guard counts the rest of its life.
    pub fn connection_accepted(self: &Arc<Self>) -> ConnectionGuard {
        self.accepted.inc();
        let state = ConnectionState::Handshaking;
        self.connections.of(state).inc();
        ConnectionGuard { metrics: self.clone(), state, accepted: Instant::now(), reason: ABORTED }
    }

    /// How many connections are alive in `state`.
    pub fn connections(&self, state: ConnectionState) -> u64 {
        u64::try_from(self.connections.of(state).get()).unwrap_or(0)
    }

    /// Counts a failure of `accept` and tells its kind, so that the caller can tell exhaustion (wait) from a peer that
    /// left (go on).
    pub fn accept_failed(&self, error: &io::Error) -> AcceptError {
        let kind = AcceptError::of(error);
        self.accept_errors.of(kind).inc();
        kind
    }

    /// Counts bytes of ZooKeeper's protocol that passed at one side.
    pub fn count_bytes(&self, peer: Peer, direction: Direction, bytes: u64) {
        self.bytes.of(peer).of(direction).inc_by(bytes);
    }

    /// Counts a connection that was not TLS.
    pub fn probed(&self, kind: ProbeKind) {
        self.probes.of(kind).inc();
    }

    /// Records how many seconds a client's certificate has left at its handshake.
    pub fn client_certificate_seen(&self, seconds_left: i64) {
        self.client_certificate_expiration.observe(seconds_left as f64);
    }

    /// Says who tells, at each scrape, of each client certificate with live connections.
    pub fn client_certificates_from(&self, live: impl Fn() -> Vec<LiveCertificate> + Send + Sync + 'static) {
        self.expiring.ask(Box::new(live));
    }

    /// Counts a client that the rules in the shadow were tried on.
    pub fn shadow_compared(&self, result: ShadowResult) {
        self.shadow.of(result).inc();
    }

    /// Counts a credential written to ZooKeeper.
    pub fn injection_sent(&self) {
        self.injections.of(InjectionResult::Sent).inc();
    }

    /// Counts ZooKeeper's reply to an injected credential, `elapsed` after it was sent.
    pub fn injection_answered(&self, accepted: bool, elapsed: Duration) {
        let result = if accepted { InjectionResult::Accepted } else { InjectionResult::Refused };
        self.injections.of(result).inc();
        self.last_injection.store(1 + u8::from(accepted), Ordering::Relaxed);
        observe(&self.injection_duration, elapsed);
    }

    /// What ZooKeeper said to the last injected credential, if there was one.
    pub fn last_injection(&self) -> Option<InjectionResult> {
        match self.last_injection.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(InjectionResult::Refused),
            _ => Some(InjectionResult::Accepted),
        }
    }

    /// Counts ZooKeeper's answer to a ConnectRequest, and the time from the request to the answer forwarded if one was.
    pub fn session_opening(&self, opening: SessionOpening, elapsed: Option<Duration>) {
        self.openings.of(opening).inc();
        if let Some(elapsed) = elapsed {
            observe(&self.opening_duration, elapsed);
        }
    }

    /// Counts a client that wanted a session that is not its own.
    pub fn session_refused(&self, refusal: SessionRefusal) {
        self.sessions_refused.of(refusal).inc();
    }

    /// Counts a request forwarded to ZooKeeper.
    pub fn request_forwarded(&self, opcode: Opcode) {
        self.requests.of(opcode).inc();
    }

    /// Records a reply, `elapsed` after its request was forwarded.
    pub fn request_answered(&self, opcode: Opcode, elapsed: Duration) {
        observe(self.request_duration.of(opcode), elapsed);
    }

    /// Counts a watch event passed to a client.
    pub fn notified(&self) {
        self.notifications.inc();
    }

    /// Counts a four-letter word received inside TLS.
    pub fn four_letter_word(&self, result: FourLetterWordResult) {
        self.four_letter_words.of(result).inc();
    }

    /// States what the last probe of ZooKeeper found.
    pub fn upstream_found(&self, found: UpstreamState) {
        // The new state first: a scrape in between sees two states rather than none.
        self.upstream_state.of(found).set(1);
        for state in UpstreamState::all().filter(|&state| state != found) {
            self.upstream_state.of(state).set(0);
        }
        self.upstream_up.set(found.serves().into());
    }

    /// Records a connection made to ZooKeeper for a client.
    pub fn upstream_connected(&self, elapsed: Duration) {
        observe(&self.upstream_connect_duration, elapsed);
    }

    /// Counts a connection to ZooKeeper for a client that failed or took too long.
    pub fn upstream_connect_failed(&self) {
        self.upstream_connect_failures.inc();
    }

    /// Counts that a material's files have other contents than when they were last looked at.
    pub fn material_changed(&self, material: Material) {
        self.generations.of(material).of(GenerationOf::Disk).inc();
    }

    /// States that a material's files are in use as they are on the disk.
    pub fn material_loaded(&self, material: Material) {
        let generations = self.generations.of(material);
        generations.of(GenerationOf::Loaded).set(generations.of(GenerationOf::Disk).get());
    }

    /// How often a material's files have changed: on the disk, or in use.
    pub fn generation(&self, material: Material, of: GenerationOf) -> u64 {
        u64::try_from(self.generations.of(material).of(of).get()).unwrap_or(0)
    }

    /// Counts what came of a change of a material.
    pub fn reload_counted(&self, material: Material, result: ReloadResult) {
        self.reloads.of(material).of(result).inc();
    }

    /// Counts live connections that were judged again.
    pub fn revalidated(&self, trigger: RevalidationTrigger, result: RevalidationResult, connections: usize) {
        self.revalidations.of(trigger).of(result).inc_by(connections as u64);
    }

    /// States that the files on the disk are in use since `now`, in Unix seconds.
    pub fn reloaded(&self, now: u64) {
        self.last_reload_successful.set(1);
        self.last_reload_success.set(i64::try_from(now).unwrap_or(i64::MAX));
    }

    /// States whether the configuration file has changed in sections that only a restart reads.
    pub fn set_config_needs_restart(&self, needed: bool) {
        self.config_needs_restart.set(needed.into());
    }

    /// States that the files on the disk can't be used.
    pub fn reload_failed(&self) {
        self.last_reload_successful.set(0);
    }

    /// Replaces the validity of all loaded certificates; series of those not in the list vanish. Of certificates with
    /// equal labels, the first to expire is shown.
    pub fn set_certificates(&self, certificates: &[CertificateValidity]) {
        self.material.set_certificates(certificates);
    }

    /// Replaces the validity of all loaded CRLs; series of those not in the list vanish. Of CRLs with equal labels, the
    /// first to fall due is shown.
    pub fn set_crls(&self, crls: &[CrlValidity]) {
        self.material.set_crls(crls);
    }
}

/// One live connection in the gauges; dropping it takes the connection out of them and counts it as closed.
///
/// Accepted and closed connections balance whatever becomes of the task that holds the guard: one that is dropped
/// without [`close`](Self::close) counts as `aborted`.
pub struct ConnectionGuard {
    metrics: Arc<Metrics>,
    state: ConnectionState,
    accepted: Instant,
    reason: CloseReason,
}

const ABORTED: CloseReason = CloseReason::Ended(Ending::Aborted);

impl ConnectionGuard {
    /// Moves the connection to another state.
    pub fn enter(&mut self, state: ConnectionState) {
        self.metrics.connections.of(state).inc();
        self.metrics.connections.of(self.state).dec();
        self.state = state;
    }

    /// The state that the connection is in.
    pub fn state(&self) -> ConnectionState {
        self.state
    }

    /// How long ago the connection was accepted.
    pub fn age(&self) -> Duration {
        self.accepted.elapsed()
    }

    /// Ends the connection for `reason`.
    pub fn close(mut self, reason: CloseReason) {
        self.reason = reason;
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.metrics.connections.of(self.state).dec();
        self.metrics.closed.of(self.reason).inc();
        observe(&self.metrics.connection_duration, self.accepted.elapsed());
    }
}

impl AcceptError {
    /// The kind of an error of `accept`.
    pub fn of(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => Self::Descriptors,
            // accept(2) of Linux passes on what is pending on the new socket; these are to be treated like EAGAIN.
            Some(
                libc::ECONNABORTED
                | libc::ECONNRESET
                | libc::EPROTO
                | libc::EPERM
                | libc::ETIMEDOUT
                | libc::ENETDOWN
                | libc::ENETUNREACH
                | libc::EHOSTDOWN
                | libc::EHOSTUNREACH
                | libc::ENOPROTOOPT
                | libc::ENONET
                | libc::EOPNOTSUPP,
            ) => Self::Peer,
            _ => Self::Other,
        }
    }
}

fn observe(histogram: &Histogram, elapsed: Duration) {
    histogram.observe(elapsed.as_secs_f64());
}

#[cfg(test)]
mod tests;
