//! Every family: name, help, labels and buckets. Names and labels are public interface: see `docs/metrics.md`.

use prometheus::core::{Collector, Desc};
use prometheus::proto;
use prometheus::{GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use prometheus::{Opts, Registry, Result};

use super::label::{Children, Label};

/// What a family is before it has a value.
pub(super) struct Family {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    buckets: &'static [f64],
}

pub(super) const BUILD_INFO: Family =
    Family::new("zoogate_build_info", "Always 1; the labels tell what is running.").by(&["version", "revision"]);

pub(super) const CONNECTIONS_ACCEPTED: Family =
    Family::new("zoogate_connections_accepted_total", "TCP connections accepted from clients.");
pub(super) const CONNECTIONS_CLOSED: Family =
    Family::new("zoogate_connections_closed_total", "Client connections ended, by what ended them.").by(&["reason"]);
pub(super) const CONNECTIONS: Family =
    Family::new("zoogate_connections", "Live client connections, by how far they have come.").by(&["state"]);
pub(super) const CONNECTIONS_LIMIT: Family =
    Family::new("zoogate_connections_limit", "The most clients that are admitted at a time.");
pub(super) const HANDSHAKES_LIMIT: Family =
    Family::new("zoogate_handshakes_limit", "The most connections at a time whose clients are not admitted yet.");
pub(super) const CONNECTION_DURATION: Family =
    Family::new("zoogate_connection_duration_seconds", "Time from accept to close of client connections.")
        .in_buckets(&[0.1, 1.0, 10.0, MINUTE, 10.0 * MINUTE, HOUR, 6.0 * HOUR, DAY, 7.0 * DAY, 14.0 * DAY, 28.0 * DAY]);
pub(super) const ACCEPT_ERRORS: Family =
    Family::new("zoogate_accept_errors_total", "Failures to accept a client's connection, by cause.").by(&["kind"]);
pub(super) const BYTES: Family = Family::new(
    "zoogate_bytes_total",
    "Bytes of ZooKeeper's protocol received from and sent to each peer, without TLS overhead.",
)
.by(&["peer", "direction"]);
pub(super) const PROBE_CONNECTIONS: Family =
    Family::new("zoogate_probe_connections_total", "Connections to the TLS port that were not TLS, by what came.")
        .by(&["kind"]);

pub(super) const TLS_HANDSHAKE_DURATION: Family = Family::new(
    "zoogate_tls_handshake_duration_seconds",
    "Time from the ClientHello to the end of the handshake; silent connections are not counted.",
)
.by(&["version", "result"])
.in_buckets(&OPENING_BUCKETS);
pub(super) const TLS_HANDSHAKE_QUEUE: Family = Family::new(
    "zoogate_tls_handshake_queue_seconds",
    "Time that handshakes have waited for their turn, from the ClientHello on.",
)
.in_buckets(&OPENING_BUCKETS);
pub(super) const TLS_HANDSHAKE_FAILURES: Family =
    Family::new("zoogate_tls_handshake_failures_total", "Clients that were not let in, by reason.").by(&["reason"]);
pub(super) const CLIENT_CERTIFICATE_EXPIRATION: Family = Family::new(
    "zoogate_client_certificate_expiration_seconds",
    "Remaining life of client certificates at their handshake.",
)
.in_buckets(&[
    0.0,
    0.5 * HOUR,
    HOUR,
    2.0 * HOUR,
    6.0 * HOUR,
    12.0 * HOUR,
    DAY,
    2.0 * DAY,
    4.0 * DAY,
    7.0 * DAY,
    14.0 * DAY,
    28.0 * DAY,
    90.0 * DAY,
    180.0 * DAY,
    365.0 * DAY,
]);

pub(super) const IDENTITY_SHADOW: Family = Family::new(
    "zoogate_identity_shadow_total",
    "Clients named by identity.mapping_shadow, by what that would change; nothing without such rules.",
)
.by(&["result"]);
pub(super) const AUTH_INJECTIONS: Family = Family::new(
    "zoogate_auth_injections_total",
    "Credentials put in front of clients' sessions, by what came of them.",
)
.by(&["result"]);
pub(super) const AUTH_INJECTION_DURATION: Family = Family::new(
    "zoogate_auth_injection_duration_seconds",
    "Time from sending an injected credential to ZooKeeper's reply to it.",
)
.in_buckets(&OPENING_BUCKETS);
pub(super) const SESSION_OPENING_DURATION: Family = Family::new(
    "zoogate_session_opening_duration_seconds",
    "Time from a client's ConnectRequest to the ConnectResponse forwarded to it.",
)
.in_buckets(&OPENING_BUCKETS);
pub(super) const SESSION_OPENINGS: Family =
    Family::new("zoogate_session_openings_total", "ConnectRequests passed to ZooKeeper, by its answer.")
        .by(&["result"]);
pub(super) const RELOADS: Family =
    Family::new("zoogate_reload_total", "Changes of files that were noticed, by what came of them.")
        .by(&["material", "result"]);
pub(super) const LAST_RELOAD_SUCCESSFUL: Family = Family::new(
    "zoogate_last_reload_successful",
    "1 if the files on the disk are in use, 0 if they can't be used and what was loaded before stays.",
);
pub(super) const LAST_RELOAD_SUCCESS_TIMESTAMP: Family = Family::new(
    "zoogate_last_reload_success_timestamp_seconds",
    "When the files in use were loaded, or last found to be those on the disk after a failure.",
);
pub(super) const CONFIG_NEEDS_RESTART: Family = Family::new(
    "zoogate_config_needs_restart",
    "1 while the configuration file has changed in sections that only a restart reads, else 0.",
);
pub(super) const MATERIAL_GENERATION: Family = Family::new(
    "zoogate_material_generation",
    "How often the contents of the files have changed: on the disk, and in use. Unequal: something older is in use.",
)
.by(&["material", "of"]);
pub(super) const REVALIDATIONS: Family = Family::new(
    "zoogate_connections_revalidated_total",
    "Live connections whose certificate was judged again, by what made it so and what came of it.",
)
.by(&["trigger", "result"]);
pub(super) const SESSIONS_REFUSED: Family = Family::new(
    "zoogate_sessions_refused_total",
    "ConnectRequests for a session that is not the client's, answered as expired without asking ZooKeeper.",
)
.by(&["reason"]);
pub(super) const REQUESTS: Family =
    Family::new("zoogate_requests_total", "Requests of clients forwarded to ZooKeeper, by opcode.").by(&["opcode"]);
pub(super) const REQUEST_DURATION: Family = Family::new(
    "zoogate_request_duration_seconds",
    "Time from forwarding a request to ZooKeeper to its reply, by opcode.",
)
.by(&["opcode"])
.in_buckets(&[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0]);
pub(super) const NOTIFICATIONS: Family =
    Family::new("zoogate_notifications_total", "Watch events passed from ZooKeeper to clients.");
pub(super) const FOUR_LETTER_WORDS: Family =
    Family::new("zoogate_four_letter_words_total", "Four-letter words received inside TLS.").by(&["result"]);

pub(super) const UPSTREAM_UP: Family =
    Family::new("zoogate_upstream_up", "1 if ZooKeeper served sessions when it was last probed, else 0.");
pub(super) const UPSTREAM_STATE: Family =
    Family::new("zoogate_upstream_state", "1 for the state in which ZooKeeper was last found, 0 for the others.")
        .by(&["state"]);
pub(super) const UPSTREAM_CONNECT_DURATION: Family = Family::new(
    "zoogate_upstream_connect_duration_seconds",
    "Time to connect to ZooKeeper for a client, where it succeeded.",
)
.in_buckets(&[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.1, 1.0, 5.0]);
pub(super) const UPSTREAM_CONNECT_FAILURES: Family = Family::new(
    "zoogate_upstream_connect_failures_total",
    "Connections to ZooKeeper for a client that failed or took too long.",
);

pub(super) const CERTIFICATE_NOT_AFTER: Family = Family::new(
    "zoogate_certificate_not_after_timestamp_seconds",
    "When a loaded certificate ceases to be valid, in Unix time.",
)
.by(CERTIFICATE_LABELS);
pub(super) const CERTIFICATE_NOT_BEFORE: Family = Family::new(
    "zoogate_certificate_not_before_timestamp_seconds",
    "When a loaded certificate begins to be valid, in Unix time.",
)
.by(CERTIFICATE_LABELS);
pub(super) const CLIENT_CERTIFICATES: Family =
    Family::new("zoogate_client_certificates", "Client certificates that have live connections.");
pub(super) const CLIENT_CERTIFICATES_EXPIRING: Family = Family::new(
    "zoogate_client_certificates_expiring",
    "Client certificates that have live connections and expire within a time.",
)
.by(&["within"]);
pub(super) const CLIENT_CERTIFICATES_RENEWAL_DUE: Family = Family::new(
    "zoogate_client_certificates_renewal_due",
    "Client certificates of more than a week that have live connections and should have been renewed, by what is left.",
)
.by(&["within"]);
pub(super) const CRL_NEXT_UPDATE: Family = Family::new(
    "zoogate_crl_next_update_timestamp_seconds",
    "When a loaded CRL is to be replaced at the latest, in Unix time.",
)
.by(CRL_LABELS);
pub(super) const CRL_THIS_UPDATE: Family =
    Family::new("zoogate_crl_this_update_timestamp_seconds", "When a loaded CRL was issued, in Unix time.")
        .by(CRL_LABELS);
pub(super) const CRL_NUMBER: Family =
    Family::new("zoogate_crl_number", "The CRL number of a loaded CRL, where it has one.").by(CRL_LABELS);
pub(super) const CRL_ENTRIES: Family =
    Family::new("zoogate_crl_entries", "Certificates that a loaded CRL revokes.").by(CRL_LABELS);

pub(super) const LOG_LINES_DROPPED: Family = Family::new(
    "zoogate_log_lines_dropped_total",
    "Lines of the log that were lost because nobody read them in time, or writing them failed.",
);

pub(super) const PROCESS_CPU: Family =
    Family::new("process_cpu_seconds_total", "User and system CPU time spent, in seconds.");
pub(super) const PROCESS_RESIDENT_MEMORY: Family =
    Family::new("process_resident_memory_bytes", "Resident memory size, in bytes.");
pub(super) const PROCESS_VIRTUAL_MEMORY: Family =
    Family::new("process_virtual_memory_bytes", "Virtual memory size, in bytes.");
pub(super) const PROCESS_OPEN_FDS: Family = Family::new("process_open_fds", "Open file descriptors.");
pub(super) const PROCESS_MAX_FDS: Family =
    Family::new("process_max_fds", "The most file descriptors that may be open.");
pub(super) const PROCESS_START_TIME: Family =
    Family::new("process_start_time_seconds", "When the process started, in Unix time.");
pub(super) const PROCESS_THREADS: Family = Family::new("process_threads", "Threads of the process.");

// The names that exporters of certificates share, so that their dashboards and alerts work here.
const CERTIFICATE_LABELS: &[&str] = &["role", "subject_CN", "issuer_CN", "serial_number"];
const CRL_LABELS: &[&str] = &["issuer_CN", "filepath"];

const MINUTE: f64 = 60.0;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;
const OPENING_BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

impl Family {
    const fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, help, labels: &[], buckets: &[] }
    }

    const fn by(self, labels: &'static [&'static str]) -> Self {
        Self { labels, ..self }
    }

    const fn in_buckets(self, buckets: &'static [f64]) -> Self {
        Self { buckets, ..self }
    }

    pub(super) fn counter(&self, registry: &Registry) -> Result<IntCounter> {
        registered(registry, IntCounter::with_opts(self.opts())?)
    }

    pub(super) fn counters<L: Label>(&self, registry: &Registry) -> Result<Children<L, IntCounter>> {
        let family = registered(registry, IntCounterVec::new(self.opts(), self.labels)?)?;
        Children::new(|value| family.get_metric_with_label_values(&[value]))
    }

    pub(super) fn counters_by_two<A: Label, B: Label>(
        &self,
        registry: &Registry,
    ) -> Result<Children<A, Children<B, IntCounter>>> {
        let family = registered(registry, IntCounterVec::new(self.opts(), self.labels)?)?;
        Children::new(|a| Children::new(|b| family.get_metric_with_label_values(&[a, b])))
    }

    pub(super) fn gauge(&self, registry: &Registry) -> Result<IntGauge> {
        registered(registry, IntGauge::with_opts(self.opts())?)
    }

    pub(super) fn gauges_by_two<A: Label, B: Label>(
        &self,
        registry: &Registry,
    ) -> Result<Children<A, Children<B, IntGauge>>> {
        let family = self.gauge_family(registry)?;
        Children::new(|a| Children::new(|b| family.get_metric_with_label_values(&[a, b])))
    }

    pub(super) fn gauges<L: Label>(&self, registry: &Registry) -> Result<Children<L, IntGauge>> {
        let family = self.gauge_family(registry)?;
        Children::new(|value| family.get_metric_with_label_values(&[value]))
    }

    /// For labels that are no closed enum; their values must be few all the same.
    pub(super) fn gauge_family(&self, registry: &Registry) -> Result<IntGaugeVec> {
        registered(registry, IntGaugeVec::new(self.opts(), self.labels)?)
    }

    pub(super) fn histogram(&self, registry: &Registry) -> Result<Histogram> {
        registered(registry, Histogram::with_opts(self.histogram_opts())?)
    }

    pub(super) fn histograms<L: Label>(&self, registry: &Registry) -> Result<Children<L, Histogram>> {
        let family = registered(registry, HistogramVec::new(self.histogram_opts(), self.labels)?)?;
        Children::new(|value| family.get_metric_with_label_values(&[value]))
    }

    pub(super) fn histograms_by_two<A: Label, B: Label>(
        &self,
        registry: &Registry,
    ) -> Result<Children<A, Children<B, Histogram>>> {
        let family = registered(registry, HistogramVec::new(self.histogram_opts(), self.labels)?)?;
        Children::new(|a| Children::new(|b| family.get_metric_with_label_values(&[a, b])))
    }

    /// A gauge that no registry knows, for a collector that sets it when it is asked.
    pub(super) fn loose_gauge(&self) -> Result<IntGauge> {
        IntGauge::with_opts(self.opts())
    }

    /// A gauge that no registry knows, to be filled and then collected as a whole.
    pub(super) fn loose_gauges(&self) -> Result<GaugeVec> {
        GaugeVec::new(self.opts(), self.labels)
    }

    /// One sample without labels, for a collector that reads the value when it is asked.
    pub(super) fn sample(&self, kind: proto::MetricType, value: f64) -> proto::MetricFamily {
        let mut metric = proto::Metric::default();
        if kind == proto::MetricType::COUNTER {
            let mut counter = proto::Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        let mut family = proto::MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(kind);
        family.set_metric(vec![metric]);
        family
    }

    /// What a registry wants to know of a family whose values come from a collector of ours.
    pub(super) fn desc(&self) -> Result<Desc> {
        let labels = self.labels.iter().map(|&label| label.to_owned()).collect();
        Desc::new(self.name.to_owned(), self.help.to_owned(), labels, Default::default())
    }

    fn opts(&self) -> Opts {
        Opts::new(self.name, self.help)
    }

    fn histogram_opts(&self) -> HistogramOpts {
        HistogramOpts::new(self.name, self.help).buckets(self.buckets.to_vec())
    }
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
