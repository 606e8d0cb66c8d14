use super::super::status::{ReloadProblem, Timestamp};
use super::super::tests::{HOSTILE, sample};
use super::*;
use crate::metrics::UpstreamState;

const NOW: i64 = 1_700_000_060;
const DAY: i64 = 86_400;

const DEFAULT: OverviewQuery = OverviewQuery { limit: None, pause: false };

fn html(not_ready: &[NotReady], status: Status, query: OverviewQuery) -> String {
    Overview::new(not_ready, status, query, NOW).render().unwrap()
}

/// A status in which nothing is amiss.
fn healthy() -> Status {
    let mut status = sample();
    status.reload.problem = None;
    status.reload.needs_restart.clear();
    status
}

fn verdict(not_ready: &[NotReady], status: &Status) -> (Gravity, Vec<String>) {
    let verdict = Verdict::new(not_ready, status, NOW);
    (verdict.gravity, verdict.findings.into_iter().map(|finding| finding.text).collect())
}

#[test]
fn no_text_of_others_becomes_markup() {
    let mut texts = 0;
    let mut text = || {
        texts += 1;
        format!("</style></td><script>alert({texts})</script>\"'><img src=x onerror=alert(0)>&amp;\u{202e}")
    };
    let mut status = sample();
    status.upstream.address = text();
    status.upstream.version = Some(text());
    let certificate = &mut status.certificates[0];
    (certificate.subject, certificate.subject_cn, certificate.issuer) = (text(), text(), text());
    (certificate.serial, certificate.not_after) = (text(), Timestamp(NOW + 1));
    let crl = &mut status.crls[0];
    (crl.issuer, crl.file, crl.number, crl.next_update) = (text(), text(), Some(text()), Some(Timestamp(0)));
    status.reload.problem.as_mut().unwrap().messages = vec![text()];
    let identity = &mut status.connections_by_identity[0];
    (identity.identity, identity.names) = (text(), vec![text()]);
    let client = &mut status.client_certificates[0];
    (client.identity, client.serial, client.sha256_prefix) = (text(), text(), text());
    let refusal = &mut status.refusals[0];
    (refusal.detail, refusal.subject, refusal.serial) = (Some(text()), Some(text()), Some(text()));

    let html = html(&[], status, DEFAULT);
    for shown in 1..=texts {
        assert!(html.contains(&format!("&#60;script&#62;alert({shown})&#60;/script&#62;&#34;&#39;&#62;")), "{shown}");
    }
    for markup in ["<script", "<img", "</style></td>", "&amp;\u{202e}", "\u{202e}"] {
        assert!(!html.contains(markup), "{markup}");
    }
    assert_eq!(html.matches("<style>").count(), 1);
}

#[test]
fn control_characters_are_shown_by_their_code() {
    let html = html(&[], sample(), DEFAULT);
    assert!(!html.contains(HOSTILE) && !html.contains('\u{1b}'));
    assert!(html.contains("&#60;/script&#62;\\<mark>U+000A</mark><mark>U+001B</mark>[31m,<wbr>O=é"), "{html}");
}

#[test]
fn lists_are_cut_and_say_by_how_much() {
    let rows = |html: &str| html.matches("scope=\"row\"").count();
    let default = html(&[], sample(), DEFAULT);
    assert_eq!(rows(&default), 1 + 1 + 20 + 5 + 20);
    for more in ["and 40 more", "and 55 more"] {
        assert!(default.contains(more), "{more}");
    }
    let all = html(&[], sample(), OverviewQuery { limit: Some(1000), pause: false });
    assert_eq!(rows(&all), 1 + 1 + 60 + 60 + 60);
    assert!(!all.contains(" more:"));
    let none = html(&[], sample(), OverviewQuery { limit: Some(0), pause: false });
    assert_eq!(rows(&none), 0);
}

#[test]
fn the_longest_texts_do_not_make_an_endless_page() {
    let mut status = sample();
    for identity in &mut status.connections_by_identity {
        identity.identity = "\u{202e}".repeat(4_096);
        identity.names = vec!["\u{202e}".repeat(4_096); IdentityStatus::MAX_NAMES];
    }
    for refusal in &mut status.refusals {
        refusal.detail = Some("\u{202e}".repeat(10_000));
    }
    let length = html(&[], status, DEFAULT).len();
    assert!(length < 400_000, "{length} bytes");
}

#[test]
fn the_page_loads_itself_again_unless_it_is_to_hold_still() {
    let refreshes = |pause| {
        html(&[], sample(), OverviewQuery { pause, ..DEFAULT }).contains("<meta http-equiv=\"refresh\" content=\"10\">")
    };
    assert!(refreshes(false));
    assert!(!refreshes(true));
}

#[test]
fn the_query_takes_a_limit_and_a_pause_and_nothing_else() {
    let query = |limit, pause| Ok(OverviewQuery { limit, pause });
    for (text, expected) in [
        (None, query(None, false)),
        (Some(""), query(None, false)),
        (Some("pause"), query(None, true)),
        (Some("limit=7"), query(Some(7), false)),
        (Some("limit=1000&pause"), query(Some(1000), true)),
        (Some("pause&limit=0"), query(Some(0), true)),
        (Some("limit=1001"), Err(OverviewQueryError)),
        (Some("limit=x&pause"), Err(OverviewQueryError)),
        (Some("pause=1"), Err(OverviewQueryError)),
        (Some("utm_source=pager"), Err(OverviewQueryError)),
    ] {
        assert_eq!(OverviewQuery::parse(text), expected, "{text:?}");
    }
}

#[test]
fn a_healthy_gate_is_told_in_one_line() {
    assert_eq!(verdict(&[], &healthy()), (Gravity::Good, vec![]));
    let html = html(&[], healthy(), DEFAULT);
    assert!(html.contains("<h1 class=\"good\"><span aria-hidden=\"true\">●</span> Serving clients</h1>"), "{html}");
    assert!(!html.contains("id=\"findings\""));
}

#[test]
fn what_keeps_clients_out_comes_before_what_merely_warns() {
    let (gravity, findings) = verdict(&[NotReady::Upstream(UpstreamState::NotServing)], &sample());
    assert_eq!(gravity, Gravity::Bad);
    assert_eq!(
        findings,
        [
            "ZooKeeper answers, but opens no sessions: it has no quorum, or is starting.",
            "Changed files can’t be used (crls, noticed 1 min ago). What was loaded before stays in use.",
            "The configuration file has changed where only a restart reads it: limits.",
        ]
    );
    assert_eq!(verdict(&[], &sample()).0, Gravity::Warning);
}

#[test]
fn a_change_that_may_be_half_written_is_no_warning() {
    let mut status = healthy();
    let materials = vec!["key_store"];
    status.reload.problem =
        Some(ReloadProblem { since: Timestamp(NOW), pending: true, materials, messages: vec!["torn".into()] });
    assert_eq!(verdict(&[], &status).0, Gravity::Good);
    assert!(html(&[], status, DEFAULT).contains(">changing<"));
}

#[test]
fn an_own_certificate_warns_in_the_last_tenth_of_its_time_and_a_month_at_most() {
    for (lifetime, left, warns) in [
        (90 * DAY, 10 * DAY, false),
        (90 * DAY, 8 * DAY, true),
        (10 * 365 * DAY, 31 * DAY, false),
        (10 * 365 * DAY, 29 * DAY, true),
        (DAY, 3 * 3_600, false),
        (DAY, 3_600, true),
    ] {
        let mut status = healthy();
        status.certificates[0].not_after = Timestamp(NOW + left);
        status.certificates[0].not_before = Timestamp(NOW + left - lifetime);
        assert_eq!(verdict(&[], &status).0 == Gravity::Warning, warns, "{lifetime} {left}");
        status.certificates[0].role = "trust_anchor";
        assert_eq!(verdict(&[], &status).0, Gravity::Good, "its date is not looked at when clients come");
    }
}

#[test]
fn an_expired_own_certificate_is_said_once() {
    let mut status = healthy();
    status.certificates[0].not_after = Timestamp(NOW - 60);
    let (gravity, findings) = verdict(&[NotReady::CertificateExpired], &status);
    assert_eq!(
        (gravity, findings),
        (Gravity::Bad, vec!["zoogate’s own certificate has expired: renew it.".to_owned()])
    );
    assert!(html(&[NotReady::CertificateExpired], status, DEFAULT).contains("✖</span> ended 1 min ago"));
}

#[test]
fn an_overdue_crl_and_clients_that_outlived_their_certificates_are_warnings() {
    let mut status = healthy();
    status.crls[0].next_update = Some(Timestamp(NOW - 7_200));
    status.client_certificates[0].not_after = Timestamp(NOW - 1);
    let (gravity, findings) = verdict(&[], &status);
    assert_eq!(gravity, Gravity::Warning);
    assert_eq!(
        findings,
        [
            "A CRL was to be replaced 2 h ago: fetch its successor. Until then, new clients of that CA are refused.",
            "A client is connected whose certificate has expired."
        ]
    );
}

#[test]
fn a_gate_whose_credentials_are_refused_does_not_call_itself_serving() {
    let mut status = healthy();
    status.upstream.last_credential = Some("refused");
    let verdict = Verdict::new(&[], &status, NOW);
    assert_eq!((verdict.gravity, verdict.headline), (Gravity::Bad, "No client gets in"));
    assert_eq!(verdict.findings.len(), 1);
    status.upstream.last_credential = Some("accepted");
    assert_eq!(Verdict::new(&[], &status, NOW).gravity, Gravity::Good);
}

#[test]
fn an_overdue_crl_that_is_not_required_keeps_nobody_out() {
    let mut status = healthy();
    status.crls[0].next_update = Some(Timestamp(NOW - 7_200));
    status.crls[0].required = false;
    assert_eq!(verdict(&[], &status).1, ["A CRL was to be replaced 2 h ago: fetch its successor."]);
}

#[test]
fn a_refused_client_with_an_empty_subject_is_called_so() {
    let mut status = healthy();
    status.refusals.truncate(1);
    status.refusals[0].subject = Some(String::new());
    assert!(html(&[], status, DEFAULT).contains("(empty subject)"));
}

#[test]
fn identities_that_were_mapped_show_from_what() {
    let mut status = sample();
    let identity = &mut status.connections_by_identity[0];
    identity.identity = "app".to_owned();
    (identity.names, identity.names_total) = ((0..10).map(|n| format!("CN=a{n}")).collect(), 12);
    status.connections_by_identity[1].names = vec!["CN=app1".to_owned()];
    let html = html(&[], status, DEFAULT);
    assert_eq!(html.matches("mapped from").count(), 1, "{html}");
    assert!(
        html.contains("mapped from <bdi>CN=a0</bdi> and <bdi>CN=a1</bdi> and <bdi>CN=a2</bdi> and 9 more"),
        "{html}"
    );
}

#[test]
fn times_beyond_all_measure_do_no_harm() {
    let mut status = sample();
    for (before, after) in [(i64::MIN, i64::MAX), (i64::MAX, i64::MIN), (0, 0)] {
        status.certificates[0].not_before = Timestamp(before);
        status.certificates[0].not_after = Timestamp(after);
        status.refusals[0].time = Timestamp(after);
        for now in [i64::MIN, 0, i64::MAX] {
            Overview::new(&[], status.clone(), DEFAULT, now).render().unwrap();
        }
    }
}
