//! The properties of the judge: what passes does not depend on how the stream is cut.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use super::auth_packet::X509Auth;
use super::judge::{Bounds, Judge, Stopped};
use crate::credential::{DigestAlgorithm, IdentitySecrets, USER_PREFIX};
use crate::metrics::Metrics;
use crate::reason::Ending;
use crate::translate::{Names, Translator};
use crate::zk::dynamic_config::{Advertise, CONFIG_PATH, Which};
use crate::zk::editor::Passage;
use crate::zk::jute::{Fields, put_buffer};
use crate::zk::record::{AUTH_FAILED, auth_reply};

const FRAME: usize = 0xf_ffff;
const X509_AUTH: [X509Auth; 3] = [X509Auth::Answer, X509Auth::Refuse, X509Auth::Pass];

static METRICS: LazyLock<Arc<Metrics>> =
    LazyLock::new(|| Arc::new(Metrics::new(&prometheus::Registry::new()).expect("a new registry takes all")));

static TRANSLATOR: LazyLock<Arc<Translator>> = LazyLock::new(|| {
    let secrets = b"not a secret, but long enough to be one\nnor is this one, which is old by now\n";
    let secrets = IdentitySecrets::parse(secrets).expect("they are long enough");
    Arc::new(Translator::new(secrets, DigestAlgorithm::Sha1, Names::Any))
});

static ADVERTISE: LazyLock<Arc<Advertise>> =
    LazyLock::new(|| Arc::new(Advertise { which: Which::Loopback, port: 2281, addresses: BTreeMap::new() }));

fn bounds(settings: u8) -> Bounds {
    let edits = settings & 4 == 0;
    Bounds {
        frame: FRAME,
        reserve_user: true,
        x509_auth: X509_AUTH[usize::from(settings & 3) % 3],
        translate: edits.then(|| Arc::clone(&TRANSLATOR)),
        advertise: edits.then(|| Arc::clone(&ADVERTISE)),
    }
}

/// What came of a stream.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    out: Vec<u8>,
    end: Option<Ending>,
    seen: u64,
    lacks: usize,
    between: bool,
}

/// One direction of a judge: a step through a chunk, whether it waits for its next turn, and what it has left then.
#[derive(Clone, Copy)]
struct Way {
    step: for<'a> fn(&mut Judge, &'a [u8], Instant) -> Result<Passage<'a>, Stopped<'a>>,
    waits: fn(&Judge) -> bool,
    left: fn(&mut Judge) -> Vec<u8>,
}

const TO_SERVER: Way = Way { step: Judge::requests, waits: Judge::request_waits, left: Judge::unjudged_requests };
const TO_CLIENT: Way = Way { step: Judge::replies, waits: Judge::reply_waits, left: Judge::unjudged_replies };

/// Feeds a stream in pieces of these sizes, over and over, with as many turns for each as it takes.
fn feed(judge: &mut Judge, (stream, sizes): (&[u8], &[usize]), way: Way) -> Outcome {
    let (mut out, mut end, mut rest, now) = (Vec::new(), None, stream, Instant::now());
    let mut sizes = sizes.iter().cycle();
    while !rest.is_empty() && end.is_none() {
        let (chunk, next) = rest.split_at(sizes.next().map_or(rest.len(), |size| (*size).min(rest.len())));
        rest = next;
        let mut chunk = chunk.to_vec();
        loop {
            match (way.step)(judge, &chunk, now) {
                Ok(passed) => {
                    assert_eq!(passed.pieces().collect::<Vec<_>>().concat(), passed.output());
                    out.extend_from_slice(passed.output());
                }
                Err(stopped) => {
                    end = Some(stopped.ending);
                    out.extend_from_slice(stopped.passed.output());
                }
            }
            if end.is_some() || !(way.waits)(judge) {
                break;
            }
            chunk = (way.left)(judge);
        }
    }
    let (lacks, between) = (judge.request_lacks(), judge.between_requests());
    Outcome { out, end, seen: judge.seen, lacks, between }
}

/// Settings, the number of sizes, the sizes of pieces, the stream.
fn split(data: &[u8]) -> Option<(u8, Vec<usize>, &[u8])> {
    let mut fields = Fields::new(data);
    let head = fields.bytes(2)?;
    let sizes = fields.bytes(usize::from(head[1] & 7))?;
    Some((head[0], sizes.iter().map(|size| usize::from(*size) + 1).collect(), fields.rest()))
}

/// What a client sends.
pub(crate) fn requests(data: &[u8]) {
    let Some((settings, sizes, stream)) = split(data) else { return };
    let judged = |sizes: &[usize]| {
        let mut judge = Judge::new(bounds(settings), 0, Arc::clone(&METRICS));
        feed(&mut judge, (stream, sizes), TO_SERVER)
    };
    let whole = judged(&[]);
    assert_eq!(judged(&sizes), whole);
    assert_eq!(judged(&[1]), whole);
    if settings & 7 == 6 {
        assert!(stream.starts_with(&whole.out), "nothing is changed where nothing is edited");
        let withheld = stream.len() - whole.out.len();
        assert!(whole.end.is_some() || withheld < 64, "{withheld} bytes are held back");
    }
}

/// How many packets were injected and which requests wait, then as [`requests`], of the server.
pub(crate) fn replies(data: &[u8]) {
    let Some((&asked, rest)) = data.split_first() else { return };
    let Some((settings, sizes, stream)) = split(rest) else { return };
    let mut waiting = Vec::new();
    for (index, request) in waiting_requests().iter().enumerate() {
        if asked & (4 << index) != 0 {
            put_buffer(&mut waiting, &[&(index as i32 + 1).to_be_bytes(), &request[..]].concat());
        }
    }
    let judged = |sizes: &[usize]| {
        let mut judge = Judge::new(bounds(settings), usize::from(asked & 3), Arc::clone(&METRICS));
        assert!(judge.requests(&waiting, Instant::now()).is_ok(), "they are requests");
        let mut outcome = feed(&mut judge, (stream, sizes), TO_CLIENT);
        if outcome.end.is_none() {
            outcome.out.extend_from_slice(judge.local_replies().output());
        }
        (outcome, judge.injections_answered(), judge.credential_refused(), judge.session_closed())
    };
    let whole = judged(&[]);
    assert_eq!(judged(&sizes), whole);
    assert_eq!(judged(&[1]), whole);
}

/// Requests without their xids, one of each kind that is followed.
fn waiting_requests() -> [Vec<u8>; 6] {
    let request = |code: i32, strings: &[&[u8]], rest: &[u8]| {
        let mut request = code.to_be_bytes().to_vec();
        strings.iter().for_each(|string| put_buffer(&mut request, string));
        request.extend_from_slice(rest);
        request
    };
    [
        request(6, &[b"/a"], &[]),
        request(4, &[CONFIG_PATH], &[0]),
        request(107, &[], &[]),
        request(11, &[], &[]),
        request(100, &[], &[&[0; 4], &[0, 0, 0, 4][..], b"x509", &[0, 0, 0, 0]].concat()),
        request(-11, &[], &[]),
    ]
}

/// Settings, then what an auth packet has behind its header.
pub(crate) fn auth(data: &[u8]) {
    let Some((&settings, packet)) = data.split_first() else { return };
    let mut frame = Vec::new();
    put_buffer(&mut frame, &[&[0, 0, 0, 5, 0, 0, 0, 100], packet].concat());
    let bounds = bounds(settings);
    let answer = bounds.x509_auth;
    let mut judge = Judge::new(bounds, 0, Arc::clone(&METRICS));
    let outcome = feed(&mut judge, (&frame, &[]), TO_SERVER);
    let local = judge.local_replies().output().to_vec();
    let mut fields = Fields::new(packet);
    let read = (fields.int(), fields.buffer().flatten(), fields.buffer().flatten());
    match read {
        (Some(_), Some(b"digest"), Some(auth)) if auth.starts_with(USER_PREFIX.as_bytes()) => {
            assert_eq!((outcome.end, &outcome.out[..]), (Some(Ending::ReservedUser), &[][..]));
        }
        (Some(_), Some(b"x509"), Some(_)) if answer != X509Auth::Pass => {
            let error = if answer == X509Auth::Answer { 0 } else { AUTH_FAILED };
            assert_eq!((outcome.end, &outcome.out[..]), (None, &[][..]), "the server does not see it");
            assert_eq!(local, auth_reply(5, error));
        }
        (Some(_), Some(_), Some(_)) if fields.rest().is_empty() => {
            assert_eq!((outcome.end, outcome.out), (None, frame), "it is the server's business");
            assert!(local.is_empty());
        }
        // Not an auth packet: ended, answered or passed whole, but never changed.
        _ => assert!(outcome.out.is_empty() || outcome.out == frame),
    }
}
