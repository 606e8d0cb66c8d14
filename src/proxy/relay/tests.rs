use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

use super::stopping::{SPREAD, UNHURRIED};
use super::*;
use crate::credential::{DigestAlgorithm, IdentitySecrets};
use crate::translate::{Names, Translator};

const ROOM: usize = 256 * 1024;

/// The longest request.
const FRAME: usize = 1 << 20;

/// What timers round up to.
const CLOCK: Duration = Duration::from_millis(1);

/// The far ends of a relay that runs as a task of its own.
struct Bench {
    client: DuplexStream,
    server: DuplexStream,
    drain: Drain,
    /// The client's authority.
    over: watch::Sender<Option<Ending>>,
    metrics: Arc<Metrics>,
    ending: tokio::task::JoinHandle<Ending>,
}

impl Bench {
    fn start(injected: usize) -> Self {
        Self::with_room(injected, ROOM)
    }

    fn with_room(injected: usize, room: usize) -> Self {
        Self::translating(injected, room, None)
    }

    fn translating(injected: usize, room: usize, translate: Option<Arc<Translator>>) -> Self {
        let ((client, mut near_client), (server, mut near_server)) = (duplex(room), duplex(room));
        let drain = Drain::new(Duration::ZERO);
        let asked = drain.clone();
        let (sender, over) = watch::channel(None);
        let metrics = Arc::new(Metrics::new(&prometheus::Registry::new()).unwrap());
        let shared = Arc::clone(&metrics);
        let ending = tokio::spawn(async move {
            let metrics = shared;
            let nowhere = std::net::SocketAddr::from(([0; 4], 0));
            let mut record = ConnectionRecord::new(metrics.connection_accepted(), nowhere, nowhere);
            let (reserve_user, x509_auth) = (true, X509Auth::Pass);
            let bounds = Bounds { frame: FRAME, reserve_user, x509_auth, translate, advertise: None };
            let answer_within = Duration::from_secs(30);
            let terms = Terms { bounds, injected, answer_within, drain: asked, over, metrics, record: &mut record };
            run(&mut near_client, &mut near_server, terms).await
        });
        Self { client, server, drain, over: sender, metrics, ending }
    }

    async fn ending(self) -> Ending {
        self.ending.await.unwrap()
    }
}

fn request(xid: i32) -> Vec<u8> {
    [&10_u32.to_be_bytes()[..], &xid.to_be_bytes(), &4_i32.to_be_bytes(), b"/a"].concat()
}

fn reply(xid: i32) -> Vec<u8> {
    [&16_u32.to_be_bytes()[..], &xid.to_be_bytes(), &[0; 12]].concat()
}

async fn read(stream: &mut DuplexStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.unwrap();
    bytes
}

#[tokio::test(start_paused = true)]
async fn injected_packets_are_waited_for_as_long_as_is_said() {
    let bench = Bench::start(1);
    let begun = Instant::now();
    assert_eq!(bench.ending().await, Ending::UpstreamTimeout);
    assert_eq!(begun.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn answered_packets_leave_an_idle_connection_alone() {
    let mut bench = Bench::start(1);
    bench.server.write_all(&reply(injected_xids().next().unwrap())).await.unwrap();
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    bench.client.write_all(&request(1)).await.unwrap();
    assert_eq!(read(&mut bench.server, 14).await, request(1));
    bench.server.write_all(&reply(1)).await.unwrap();
    assert_eq!(read(&mut bench.client, 20).await, reply(1), "and nothing of the injected packet's reply");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_done_waits_a_moment_for_its_reply() {
    let mut bench = Bench::start(0);
    bench.client.write_all(&request(1)).await.unwrap();
    bench.client.shutdown().await.unwrap();
    let begun = Instant::now();
    assert_eq!(bench.ending().await, Ending::ClientClosed);
    assert_eq!(begun.elapsed(), LINGER);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_done_and_misses_nothing_is_let_go_at_once() {
    let mut bench = Bench::start(0);
    bench.client.shutdown().await.unwrap();
    let begun = Instant::now();
    assert_eq!(bench.ending().await, Ending::ClientClosed);
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn at_its_turn_a_connection_takes_the_request_at_hand_to_its_end_and_no_other() {
    for cut in 1..14 {
        let mut bench = Bench::start(0);
        bench.client.write_all(&request(1)[..cut]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        bench.drain.close();
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(!bench.ending.is_finished(), "half a request is not to be cut");
        bench.client.write_all(&[&request(1)[cut..], &request(2)].concat()).await.unwrap();
        assert_eq!(read(&mut bench.server, 14).await, request(1));
        bench.server.write_all(&reply(1)).await.unwrap();
        assert_eq!(read(&mut bench.client, 20).await, reply(1));
        let Bench { mut server, ending, .. } = bench;
        assert_eq!(ending.await.unwrap(), Ending::Drained);
        let mut more = Vec::new();
        server.read_to_end(&mut more).await.unwrap();
        assert_eq!(more, b"", "cut at {cut}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_confirmation_of_a_sessions_end_is_delivered_whole_before_the_end() {
    // The client takes less at a time than the confirmation has, and later.
    let mut bench = Bench::with_room(0, 7);
    let close = [&8_u32.to_be_bytes()[..], &9_i32.to_be_bytes(), &(-11_i32).to_be_bytes()].concat();
    let (asked, confirmed) = tokio::join!(bench.client.write_all(&close), read(&mut bench.server, close.len()));
    asked.unwrap();
    assert_eq!(confirmed, close);
    bench.server.write_all(&reply(9)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!bench.ending.is_finished(), "most of the confirmation is still to be delivered");
    assert_eq!(read(&mut bench.client, 20).await, reply(9));
    assert_eq!(bench.ending().await, Ending::SessionClosed);
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_authority_ends_is_let_go_within_the_spread() {
    let bench = Bench::start(0);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let begun = Instant::now();
    bench.over.send_replace(Some(Ending::CertificateRevoked));
    assert_eq!(bench.ending.await.unwrap(), Ending::CertificateRevoked);
    assert!(begun.elapsed() <= SPREAD, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_authority_ends_gets_the_reply_that_it_waits_for_and_asks_no_more() {
    // Its turn comes at any time, and its reply must come within a while from there.
    let mut bench = waiting_in_its_turn(Ending::CertificateExpired).await;
    bench.client.write_all(&request(2)).await.unwrap();
    assert!(!bench.ending.is_finished());
    bench.server.write_all(&reply(1)).await.unwrap();
    assert_eq!(read(&mut bench.client, 20).await, reply(1));
    let Bench { mut server, ending, .. } = bench;
    assert_eq!(ending.await.unwrap(), Ending::CertificateExpired);
    let mut more = Vec::new();
    server.read_to_end(&mut more).await.unwrap();
    assert_eq!(more, b"");
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_authority_ends_is_cut_if_its_reply_does_not_come() {
    let mut bench = Bench::start(0);
    bench.client.write_all(&request(1)).await.unwrap();
    let begun = Instant::now();
    bench.over.send_replace(Some(Ending::NoLongerTrusted));
    assert_eq!(bench.ending.await.unwrap(), Ending::NoLongerTrusted);
    assert!(begun.elapsed() >= PATIENCE && begun.elapsed() <= SPREAD + PATIENCE, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_to_come_back_gets_its_reply_also_when_that_takes_longer() {
    let mut bench = waiting_in_its_turn(Ending::SecretRotated).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    bench.server.write_all(&reply(1)).await.unwrap();
    assert_eq!(read(&mut bench.client, 20).await, reply(1));
    assert_eq!(bench.ending().await, Ending::SecretRotated);
}

/// A relay that is asked to end, whose turn has come, and whose client waits for a reply.
async fn waiting_in_its_turn(ending: Ending) -> Bench {
    const LOOK: Duration = Duration::from_millis(100);
    let mut bench = Bench::start(0);
    bench.client.write_all(&request(1)).await.unwrap();
    assert_eq!(read(&mut bench.server, 14).await, request(1));
    let begun = Instant::now();
    bench.over.send_replace(Some(ending));
    while bench.metrics.connections(ConnectionState::Draining) == 0 {
        tokio::time::sleep(LOOK).await;
    }
    let within = if ending == Ending::SecretRotated { UNHURRIED } else { SPREAD };
    assert!(begun.elapsed() <= within + LOOK, "{:?}", begun.elapsed());
    bench
}

#[tokio::test(start_paused = true)]
async fn who_waits_long_for_a_reply_before_it_comes_back_goes_on_as_before_meanwhile() {
    let mut bench = waiting_in_its_turn(Ending::SecretRotated).await;
    let ping = [&8_u32.to_be_bytes()[..], &(-2_i32).to_be_bytes(), &11_i32.to_be_bytes()].concat();
    bench.client.write_all(&ping).await.unwrap();
    let begun = Instant::now();
    assert_eq!(read(&mut bench.server, ping.len()).await, ping, "or the session expires");
    assert!(begun.elapsed() <= PATIENCE, "{:?}", begun.elapsed());
    bench.client.write_all(&request(2)).await.unwrap();
    assert_eq!(read(&mut bench.server, 14).await, request(2));
    bench.server.write_all(&[reply(1), reply(-2), reply(2)].concat()).await.unwrap();
    assert_eq!(read(&mut bench.client, 60).await, [reply(1), reply(-2), reply(2)].concat());
    assert_eq!(bench.ending().await, Ending::SecretRotated, "now nothing is to come");
}

#[tokio::test(start_paused = true)]
async fn who_hangs_up_while_it_waits_to_come_back_is_noticed() {
    let Bench { client, server, over, ending, .. } = waiting_in_its_turn(Ending::SecretRotated).await;
    drop(client);
    assert_eq!(tokio::time::timeout(PATIENCE + LINGER, ending).await.unwrap().unwrap(), Ending::ClientClosed);
    drop((server, over));
}

#[tokio::test(start_paused = true)]
async fn who_comes_when_others_are_already_asked_to_come_back_does_so_too() {
    let over = watch::Sender::new(None);
    over.send_replace(Some(Ending::SecretRotated));
    let mut stop = Stopping::new(Drain::new(Duration::from_secs(30)), over.subscribe());
    let said = poll_fn(|cx| stop.poll(cx).map_or(Poll::Pending, Poll::Ready));
    assert_eq!(tokio::time::timeout(UNHURRIED, said).await, Ok(Some(Ending::SecretRotated)));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_reply_before_it_comes_back_is_cut_when_its_authority_ends() {
    let bench = waiting_in_its_turn(Ending::SecretRotated).await;
    let begun = Instant::now();
    bench.over.send_replace(Some(Ending::CertificateRevoked));
    assert_eq!(bench.ending.await.unwrap(), Ending::CertificateRevoked);
    assert!(begun.elapsed() <= SPREAD + PATIENCE, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_need_not_come_back_any_more_stays_also_in_its_turn() {
    let mut bench = waiting_in_its_turn(Ending::SecretRotated).await;
    bench.over.send_replace(None);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.metrics.connections(ConnectionState::Draining), 0);
    bench.server.write_all(&reply(1)).await.unwrap();
    assert_eq!(read(&mut bench.client, 20).await, reply(1));
    tokio::time::sleep(Duration::from_secs(600)).await;
    bench.client.write_all(&request(2)).await.unwrap();
    assert_eq!(read(&mut bench.server, 14).await, request(2), "it goes on");
    // And it hears of what comes then.
    bench.over.send_replace(Some(Ending::SecretRotated));
    bench.server.write_all(&reply(2)).await.unwrap();
    assert_eq!(read(&mut bench.client, 20).await, reply(2));
    assert_eq!(bench.ending().await, Ending::SecretRotated);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_in_a_hurry_to_come_back() {
    let mut took = Duration::ZERO;
    for _ in 0..40 {
        let bench = Bench::start(0);
        tokio::time::sleep(Duration::from_millis(1)).await;
        let begun = Instant::now();
        bench.over.send_replace(Some(Ending::SecretRotated));
        bench.ending.await.unwrap();
        took = took.max(begun.elapsed());
    }
    assert!(took > SPREAD && took <= UNHURRIED + CLOCK, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn who_is_to_come_back_ends_soon_when_its_authority_ends_meanwhile() {
    let mut took = Vec::new();
    for _ in 0..20 {
        let bench = Bench::start(0);
        bench.over.send_replace(Some(Ending::SecretRotated));
        tokio::time::sleep(Duration::from_millis(1)).await;
        let begun = Instant::now();
        bench.over.send_replace(Some(Ending::CertificateRevoked));
        match bench.ending.await.unwrap() {
            Ending::CertificateRevoked => took.push(begun.elapsed()),
            // Its turn came within the millisecond.
            ending => assert_eq!(ending, Ending::SecretRotated),
        }
    }
    assert!(took.len() > 10 && took.iter().all(|took| *took <= SPREAD + CLOCK), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_read_no_faster_than_it_is_answered() {
    let Bench { client, mut server, ending, .. } = Bench::start(0);
    let flood: Vec<u8> = (0..3_000).flat_map(request).collect();
    let total = flood.len();
    let (mut replies, mut requests) = tokio::io::split(client);
    let sending = tokio::spawn(async move { requests.write_all(&flood).await });
    let (mut chunk, mut seen) = (vec![0; ROOM], 0);
    while let Ok(read) = tokio::time::timeout(LINGER, server.read(&mut chunk)).await {
        seen += read.unwrap();
    }
    let most = outstanding::LIMIT * request(0).len() + SCRATCH;
    assert!(seen + SCRATCH >= most && seen <= most, "{seen} of {total} bytes");
    let reading = tokio::spawn(async move { tokio::io::copy(&mut replies, &mut tokio::io::sink()).await });
    for xid in 0..i32::try_from(seen / request(0).len()).unwrap() {
        server.write_all(&reply(xid)).await.unwrap();
    }
    read(&mut server, total - seen).await;
    sending.await.unwrap().unwrap();
    ending.abort();
    reading.abort();
}

#[tokio::test(start_paused = true)]
async fn everything_passes_through_sinks_that_take_a_byte_at_a_time() {
    let mut bench = Bench::with_room(0, 1);
    let (requests, replies): (Vec<_>, Vec<_>) = (1..50).map(|xid| (request(xid), reply(xid))).unzip();
    let (requests, replies) = (requests.concat(), replies.concat());
    let (client, server) = tokio::join!(
        exchange(&mut bench.client, &requests, replies.len()),
        exchange(&mut bench.server, &replies, requests.len())
    );
    assert_eq!((client, server), (replies, requests));
}

/// Writes and reads at the same time; what was read.
async fn exchange(stream: &mut DuplexStream, bytes: &[u8], length: usize) -> Vec<u8> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut received = vec![0; length];
    let (written, read) = tokio::join!(writer.write_all(bytes), reader.read_exact(&mut received));
    written.unwrap();
    read.unwrap();
    received
}

/// A `setACL` or the reply to a `getACL`, but for its header: 25,000 entries of as many names.
fn many_names() -> Vec<u8> {
    let entries = (0..25_000_u32).flat_map(|n| {
        let id = format!("CN={n}");
        let buffer = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat();
        [&31_i32.to_be_bytes()[..], &buffer(b"x509"), &buffer(id.as_bytes())].concat()
    });
    25_000_u32.to_be_bytes().into_iter().chain(entries).collect()
}

/// On one thread: with a frame that is translated in one go, nobody else would have a turn before it is through.
#[tokio::test]
async fn others_have_their_turn_while_a_long_acl_is_translated() {
    let secrets = IdentitySecrets::parse(b"a-secret-of-thirty-two-bytes-or-more").unwrap();
    let translator = Arc::new(Translator::new(secrets, DigestAlgorithm::Sha1, Names::Any));
    let mut bench = Bench::translating(0, 8 << 20, Some(translator));
    let body = [&7_i32.to_be_bytes()[..], &2_u32.to_be_bytes(), b"/a", &many_names(), &[0; 4]].concat();
    let set_acl = [&(4 + body.len() as u32).to_be_bytes()[..], &1_i32.to_be_bytes(), &body].concat();
    bench.client.write_all(&[set_acl, request(2)].concat()).await.unwrap();
    let turns = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&turns);
    let other = tokio::spawn(poll_fn(move |cx: &mut Context<'_>| {
        counted.fetch_add(1, Ordering::Relaxed);
        // Not by `yield_now`, which waits until nobody else has anything to do.
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    }));
    let first = read(&mut bench.server, 1).await;
    other.abort();
    // 25,000 names of 1,500 units and more, in slices of 500,000.
    let turns = turns.load(Ordering::Relaxed);
    assert!(turns > 75, "{turns}");
    let rest = u32::from_be_bytes([first[0], 0, 0, 0]);
    assert_eq!(rest, 0, "less than 16 MiB");
    let length = read(&mut bench.server, 3).await;
    let length = u32::from_be_bytes([0, length[0], length[1], length[2]]) as usize;
    assert!(length > body.len() + 25_000 * 30);
    read(&mut bench.server, length).await;
    assert_eq!(read(&mut bench.server, 14).await, request(2), "what came behind it follows");
    for xid in [1, 2] {
        bench.server.write_all(&reply(xid)).await.unwrap();
        assert_eq!(read(&mut bench.client, 20).await, reply(xid));
    }
}
