use prometheus::TextEncoder;

use super::*;

fn fresh() -> (Registry, Arc<Metrics>) {
    let registry = Registry::new();
    let metrics = Arc::new(Metrics::new(&registry).unwrap());
    (registry, metrics)
}

/// The value of the sample whose name and labels are exactly `sample`, if it exists.
fn value(registry: &Registry, sample: &str) -> Option<f64> {
    let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '))?;
    Some(line.parse().unwrap())
}

#[test]
fn every_closed_label_value_exists_at_zero_from_the_start() {
    let (registry, _metrics) = fresh();
    for reason in CloseReason::all() {
        assert_eq!(value(&registry, &format!("zoogate_connections_closed_total{{reason=\"{reason}\"}}")), Some(0.0));
    }
    for opcode in Opcode::ALL {
        let opcode = opcode.as_str();
        assert_eq!(value(&registry, &format!("zoogate_requests_total{{opcode=\"{opcode}\"}}")), Some(0.0));
    }
    let sample = "zoogate_tls_handshake_duration_seconds_count{result=\"refused\",version=\"unknown\"}";
    assert_eq!(value(&registry, sample), Some(0.0));
    assert_eq!(value(&registry, "zoogate_bytes_total{direction=\"sent\",peer=\"upstream\"}"), Some(0.0));
}

#[test]
fn a_connection_is_counted_in_one_state_at_a_time() {
    let (_registry, metrics) = fresh();
    let mut guard = metrics.connection_accepted();
    assert_eq!(metrics.connections(ConnectionState::Handshaking), 1);
    for state in [ConnectionState::Opening, ConnectionState::Established, ConnectionState::Draining] {
        guard.enter(state);
        assert_eq!(guard.state(), state);
        let alive: Vec<_> = ConnectionState::ALL.iter().filter(|&&s| metrics.connections(s) == 1).collect();
        assert_eq!(alive, [&state]);
    }
    // Entering the state that it is in changes nothing.
    guard.enter(ConnectionState::Draining);
    assert_eq!(metrics.connections(ConnectionState::Draining), 1);
}

#[test]
fn a_closed_connection_leaves_the_gauges_and_counts_once_by_its_reason() {
    let (registry, metrics) = fresh();
    let mut guard = metrics.connection_accepted();
    guard.enter(ConnectionState::Established);
    guard.close(CloseReason::Ended(Ending::SessionClosed));
    assert!(ConnectionState::ALL.iter().all(|&state| metrics.connections(state) == 0));
    assert_eq!(value(&registry, "zoogate_connections_accepted_total"), Some(1.0));
    assert_eq!(value(&registry, "zoogate_connections_closed_total{reason=\"session_closed\"}"), Some(1.0));
    assert_eq!(value(&registry, "zoogate_connections_closed_total{reason=\"aborted\"}"), Some(0.0));
    assert_eq!(value(&registry, "zoogate_connection_duration_seconds_count"), Some(1.0));
}

#[test]
fn a_connection_whose_task_vanishes_counts_as_aborted() {
    let (registry, metrics) = fresh();
    drop(metrics.connection_accepted());
    assert_eq!(metrics.connections(ConnectionState::Handshaking), 0);
    assert_eq!(value(&registry, "zoogate_connections_closed_total{reason=\"aborted\"}"), Some(1.0));
}

#[test]
fn a_refusal_without_a_client_hello_is_counted_but_not_timed() {
    let (registry, metrics) = fresh();
    metrics.handshake_refused(Refusal::Timeout, TlsVersion::Unknown, None);
    metrics.handshake_refused(Refusal::Expired, TlsVersion::Tls13, Some(Duration::from_millis(3)));
    assert_eq!(value(&registry, "zoogate_tls_handshake_failures_total{reason=\"timeout\"}"), Some(1.0));
    assert_eq!(value(&registry, "zoogate_tls_handshake_failures_total{reason=\"expired\"}"), Some(1.0));
    let timed = |version| {
        value(
            &registry,
            &format!("zoogate_tls_handshake_duration_seconds_count{{result=\"refused\",version=\"{version}\"}}"),
        )
    };
    assert_eq!(timed("unknown"), Some(0.0));
    assert_eq!(timed("1.3"), Some(1.0));
}

#[test]
fn each_verb_moves_its_own_family() {
    let (registry, metrics) = fresh();
    let ms = Duration::from_millis(1);
    metrics.set_limits(10_000, 20_000);
    metrics.count_bytes(Peer::Client, Direction::Received, 44);
    metrics.probed(ProbeKind::Http);
    metrics.handshake_completed(TlsVersion::Tls12, ms);
    metrics.client_certificate_seen(3600);
    metrics.shadow_compared(ShadowResult::Different);
    metrics.injection_sent();
    metrics.injection_answered(true, ms);
    metrics.injection_answered(false, ms);
    metrics.session_opening(SessionOpening::Resumed, Some(ms));
    metrics.session_opening(SessionOpening::Refused, None);
    metrics.request_forwarded(Opcode::GetData);
    metrics.request_answered(Opcode::GetData, ms);
    metrics.notified();
    metrics.four_letter_word(FourLetterWordResult::RefusedByGate);
    metrics.upstream_connected(ms);
    metrics.upstream_connect_failed();
    for (sample, expected) in [
        ("zoogate_connections_limit", 10_000.0),
        ("zoogate_handshakes_limit", 20_000.0),
        ("zoogate_bytes_total{direction=\"received\",peer=\"client\"}", 44.0),
        ("zoogate_bytes_total{direction=\"sent\",peer=\"client\"}", 0.0),
        ("zoogate_probe_connections_total{kind=\"http\"}", 1.0),
        ("zoogate_tls_handshake_duration_seconds_count{result=\"ok\",version=\"1.2\"}", 1.0),
        ("zoogate_client_certificate_expiration_seconds_bucket{le=\"1800\"}", 0.0),
        ("zoogate_client_certificate_expiration_seconds_bucket{le=\"3600\"}", 1.0),
        ("zoogate_identity_shadow_total{result=\"different\"}", 1.0),
        ("zoogate_identity_shadow_total{result=\"same\"}", 0.0),
        ("zoogate_auth_injections_total{result=\"sent\"}", 1.0),
        ("zoogate_auth_injections_total{result=\"accepted\"}", 1.0),
        ("zoogate_auth_injections_total{result=\"refused\"}", 1.0),
        ("zoogate_auth_injection_duration_seconds_count", 2.0),
        ("zoogate_session_openings_total{result=\"resumed\"}", 1.0),
        ("zoogate_session_openings_total{result=\"refused\"}", 1.0),
        ("zoogate_session_opening_duration_seconds_count", 1.0),
        ("zoogate_requests_total{opcode=\"get_data\"}", 1.0),
        ("zoogate_request_duration_seconds_count{opcode=\"get_data\"}", 1.0),
        ("zoogate_request_duration_seconds_count{opcode=\"set_data\"}", 0.0),
        ("zoogate_notifications_total", 1.0),
        ("zoogate_four_letter_words_total{result=\"refused_by_gate\"}", 1.0),
        ("zoogate_upstream_connect_duration_seconds_count", 1.0),
        ("zoogate_upstream_connect_failures_total", 1.0),
    ] {
        assert_eq!(value(&registry, sample), Some(expected), "{sample}");
    }
}

#[test]
fn accept_errors_tell_exhaustion_from_a_peer_that_left() {
    let (registry, metrics) = fresh();
    let failed = |errno| metrics.accept_failed(&io::Error::from_raw_os_error(errno));
    assert_eq!(failed(libc::EMFILE), AcceptError::Descriptors);
    assert_eq!(failed(libc::ECONNABORTED), AcceptError::Peer);
    assert_eq!(failed(libc::EINVAL), AcceptError::Other);
    assert_eq!(metrics.accept_failed(&io::Error::other("no errno")), AcceptError::Other);
    assert_eq!(value(&registry, "zoogate_accept_errors_total{kind=\"other\"}"), Some(2.0));
    assert_eq!(value(&registry, "zoogate_accept_errors_total{kind=\"descriptors\"}"), Some(1.0));
}

#[test]
fn exactly_one_upstream_state_is_set_and_up_means_serving() {
    let (registry, metrics) = fresh();
    let check = |found: UpstreamState, up: f64| {
        for state in UpstreamState::ALL {
            let expected = if *state == found { 1.0 } else { 0.0 };
            assert_eq!(value(&registry, &format!("zoogate_upstream_state{{state=\"{state}\"}}")), Some(expected));
        }
        assert_eq!(value(&registry, "zoogate_upstream_up"), Some(up), "{found}");
    };
    check(UpstreamState::Unknown, 0.0);
    for (state, up) in [
        (UpstreamState::Follower, 1.0),
        (UpstreamState::ReadOnly, 0.0),
        (UpstreamState::Standalone, 1.0),
        (UpstreamState::Unreachable, 0.0),
    ] {
        metrics.upstream_found(state);
        check(state, up);
    }
}

fn certificate(subject: &str, serial: &str, not_after: i64) -> CertificateValidity {
    CertificateValidity {
        role: CertificateRole::TrustAnchor,
        subject_cn: subject.into(),
        issuer_cn: "ca".into(),
        serial: serial.into(),
        not_before: 1_600_000_000,
        not_after,
    }
}

fn not_after(registry: &Registry, subject: &str, serial: &str) -> Option<f64> {
    let labels = format!("issuer_CN=\"ca\",role=\"trust_anchor\",serial_number=\"{serial}\",subject_CN=\"{subject}\"");
    value(registry, &format!("zoogate_certificate_not_after_timestamp_seconds{{{labels}}}"))
}

#[test]
fn the_series_of_a_certificate_vanish_with_it() {
    let (registry, metrics) = fresh();
    metrics.set_certificates(&[certificate("a", "01", 1_800_000_000), certificate("b", "02", 1_900_000_000)]);
    assert_eq!(not_after(&registry, "a", "01"), Some(1_800_000_000.0));
    metrics.set_certificates(&[certificate("b", "02", 1_900_000_000)]);
    assert_eq!(not_after(&registry, "a", "01"), None);
    assert_eq!(not_after(&registry, "b", "02"), Some(1_900_000_000.0));
    metrics.set_certificates(&[]);
    assert!(registry.gather().iter().all(|family| !family.name().starts_with("zoogate_certificate")));
}

#[test]
fn of_certificates_that_look_the_same_the_first_to_expire_is_shown() {
    let (registry, metrics) = fresh();
    let both = [certificate("a", "01", 1_900_000_000), certificate("a", "01", 1_800_000_000)];
    metrics.set_certificates(&both);
    assert_eq!(not_after(&registry, "a", "01"), Some(1_800_000_000.0));
    metrics.set_certificates(&[both[1].clone(), both[0].clone()]);
    assert_eq!(not_after(&registry, "a", "01"), Some(1_800_000_000.0));
}

#[test]
fn of_very_many_certificates_the_server_s_own_and_the_first_to_expire_have_series() {
    let (registry, metrics) = fresh();
    let mut all: Vec<_> = (0..5_000).map(|n| certificate("a", &format!("{n}"), 1_900_000_000 - n)).collect();
    all.push(CertificateValidity { role: CertificateRole::Server, ..certificate("own", "01", 2_000_000_000) });
    metrics.set_certificates(&all);
    let families = registry.gather();
    let series = families.iter().find(|f| f.name() == "zoogate_certificate_not_after_timestamp_seconds").unwrap();
    assert_eq!(series.get_metric().len(), 500);
    assert_eq!(not_after(&registry, "a", "4999"), Some(1_899_995_001.0));
    assert_eq!(not_after(&registry, "a", "0"), None);
    let labels = "issuer_CN=\"ca\",role=\"server\",serial_number=\"01\",subject_CN=\"own\"";
    let sample = format!("zoogate_certificate_not_after_timestamp_seconds{{{labels}}}");
    assert_eq!(value(&registry, &sample), Some(2_000_000_000.0));
}

#[test]
fn live_client_certificates_are_counted_by_when_they_end_at_each_scrape() {
    let (registry, metrics) = fresh();
    let within =
        |window: &str| value(&registry, &format!("zoogate_client_certificates_expiring{{within=\"{window}\"}}"));
    assert_eq!((within("1h"), value(&registry, "zoogate_client_certificates")), (Some(0.0), Some(0.0)));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let live = Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = Arc::clone(&live);
    let lives = |left: i64| LiveCertificate { not_after: now + left, renewal_due: None };
    metrics.client_certificates_from(move || told.lock().unwrap().clone());
    // Long over (where nothing is enforced), half an hour, half a day, three days, two weeks, a year.
    *live.lock().unwrap() = [-9_000, 1_800, 43_200, 259_200, 1_209_600, 31_536_000].map(lives).to_vec();
    assert_eq!(["1h", "1d", "7d", "28d"].map(within), [Some(2.0), Some(3.0), Some(4.0), Some(5.0)]);
    assert_eq!(value(&registry, "zoogate_client_certificates"), Some(6.0));
    live.lock().unwrap().clear();
    assert_eq!(["1h", "1d", "7d", "28d"].map(within), [Some(0.0); 4]);
}

#[test]
fn live_client_certificates_that_should_have_been_renewed_are_counted_at_each_scrape() {
    let (registry, metrics) = fresh();
    let due =
        |window: &str| value(&registry, &format!("zoogate_client_certificates_renewal_due{{within=\"{window}\"}}"));
    assert_eq!(["1d", "any"].map(due), [Some(0.0); 2]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let live =
        |left: i64, due: Option<i64>| LiveCertificate { not_after: now + left, renewal_due: due.map(|d| now + d) };
    // An hour left of a year, three days left of it, forty, half an hour of an hour.
    let told = [live(3_600, Some(-9_000)), live(259_200, Some(-60)), live(3_456_000, Some(60)), live(1_800, None)];
    metrics.client_certificates_from(move || told.to_vec());
    assert_eq!(["1d", "any"].map(due), [Some(1.0), Some(2.0)]);
}

#[test]
fn hostile_names_are_escaped_in_labels() {
    let (registry, metrics) = fresh();
    metrics.set_certificates(&[certificate("\"} 1\nevil 1\\", "01", 1_800_000_000)]);
    assert_eq!(not_after(&registry, "\\\"} 1\\nevil 1\\\\", "01"), Some(1_800_000_000.0));
    assert_eq!(value(&registry, "evil"), None);
}

#[test]
fn a_crl_without_a_number_or_next_update_has_no_such_series() {
    let (registry, metrics) = fresh();
    let crl = |path: &str, next_update, number| CrlValidity {
        issuer_cn: "ca".into(),
        path: path.into(),
        this_update: 1_700_000_000,
        next_update,
        number,
        entries: 3,
    };
    metrics.set_crls(&[crl("/a", Some(1_800_000_000), Some(17.0)), crl("/b", None, None)]);
    let of = |family: &str, path: &str| {
        value(&registry, &format!("zoogate_crl_{family}{{filepath=\"{path}\",issuer_CN=\"ca\"}}"))
    };
    assert_eq!(of("next_update_timestamp_seconds", "/a"), Some(1_800_000_000.0));
    assert_eq!(of("number", "/a"), Some(17.0));
    assert_eq!(of("next_update_timestamp_seconds", "/b"), None);
    assert_eq!(of("number", "/b"), None);
    assert_eq!(of("this_update_timestamp_seconds", "/b"), Some(1_700_000_000.0));
    assert_eq!(of("entries", "/b"), Some(3.0));
}

#[test]
fn a_registry_takes_the_families_only_once() {
    let (registry, _metrics) = fresh();
    assert!(Metrics::new(&registry).is_err());
}
