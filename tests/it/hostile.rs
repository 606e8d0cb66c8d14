//! Clients that mean harm, or break at the worst moment, against the real program: nothing panics, nothing of a
//! client stays behind, and memory stays where it is.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::client::Client;
use crate::support::pki::PKI;
use crate::support::process::Process;
use crate::support::setup::Setup;
use crate::support::upstream::{Injected, Server, Upstream};
use crate::support::wire::{self, connect_request, hello, op};
use crate::support::{End, eventually, soon};

const MIB: u64 = 1 << 20;

/// A running program, and what it had open when nobody was there.
struct Victim {
    process: Process,
    descriptors: usize,
}

impl Victim {
    async fn start(setup: Setup) -> Self {
        let process = Process::start(setup, None).await;
        // Whatever is opened once and kept is open after the first client and the first scrape.
        Client::open(process.address).await.hang_up().await;
        assert_eq!(process.admin.reasons().await, ["client_closed"]);
        let descriptors = process.descriptors();
        Self { process, descriptors }
    }

    /// Waits until everybody is gone: no gauge and no descriptor may remain, no task may have died, and a good
    /// client must be served. Why they ended, without the good clients' reason.
    async fn recovers(self) -> Vec<String> {
        let process = self.process;
        let mut reasons = process.admin.reasons().await;
        eventually("the close of every descriptor", async || process.descriptors() <= self.descriptors).await;
        let mut client = Client::open(process.address).await;
        client.ask(1, op::GET_DATA, b"/still/here").await;
        client.hang_up().await;
        process.admin.reasons().await;
        process.finish(&[]).await;
        let good = reasons.iter().position(|reason| reason == "client_closed").unwrap();
        reasons.remove(good);
        reasons
    }
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.roll(most);
        (0..length).map(|_| self.roll(256) as u8).collect()
    }
}

#[tokio::test]
async fn a_client_may_break_at_any_byte_of_its_opening() {
    let upstream = Upstream::start().await;
    let victim = Victim::start(Setup::new(&upstream)).await;
    let address = victim.process.address;
    let behind = [wire::auth(-4, "digest", "app:password"), wire::request(1, op::CREATE, b"/a")].concat();
    let opening = [hello(), behind.clone()].concat();
    let ways = [Way::Goodbye, Way::Cut, Way::Reset];
    let mut clients = JoinSet::new();
    for (cut, way) in (0..=opening.len()).flat_map(|cut| ways.map(|way| (cut, way))) {
        let part = opening[..cut].to_vec();
        clients.spawn(async move {
            let mut client = Client::connect(address, &PKI.alice).await;
            client.send(&part).await;
            match way {
                Way::Goodbye => client.half_close().await,
                Way::Cut => client.hang_up().await,
                Way::Reset => client.reset(),
            }
        });
        if clients.len() >= 32 {
            clients.join_next().await.unwrap().unwrap();
        }
    }
    while let Some(result) = clients.join_next().await {
        result.unwrap();
    }
    let reasons: BTreeSet<_> = victim.recovers().await.into_iter().collect();
    // A reset right behind the handshake may come before the server has seen its end.
    let expected = ["client_closed", "client_reset", "no_request", "reset"].map(str::to_owned);
    assert!(reasons.is_subset(&BTreeSet::from(expected)), "{reasons:?}");
    upstream.finish().await;
    for seen in upstream.seen() {
        assert_eq!(seen.request, hello());
        // A break between the answer and the injected packet leaves nothing.
        let Some(injected) = wire::frames_so_far(&seen.bytes).into_iter().next() else { continue };
        Injected::parse(&injected);
        let rest = &seen.bytes[injected.len()..];
        assert!(behind.starts_with(rest) || rest == wire::request(1, op::GET_DATA, b"/still/here"), "{rest:?}");
    }
}

#[derive(Clone, Copy)]
enum Way {
    Goodbye,
    Cut,
    Reset,
}

#[tokio::test]
async fn a_first_frame_that_is_no_connect_request_is_not_worth_a_dial() {
    let upstream = Upstream::start().await;
    let victim = Victim::start(Setup::new(&upstream)).await;
    let dials = upstream.seen().len();
    let with = |at: usize, bytes: &[u8]| {
        let mut request = hello();
        request[at..at + bytes.len()].copy_from_slice(bytes);
        request
    };
    let bad = [
        i32::MAX.to_be_bytes().to_vec(),
        (-1_i32).to_be_bytes().to_vec(),
        i32::MIN.to_be_bytes().to_vec(),
        0_i32.to_be_bytes().to_vec(),
        connect_request(43),
        connect_request(46),
        connect_request(1025),
        // A null password hangs a server of 3.4; other versions of the protocol are other protocols.
        with(28, &(-1_i32).to_be_bytes()),
        with(28, &18_i32.to_be_bytes()),
        with(28, &i32::MAX.to_be_bytes()),
        with(4, &10_i32.to_be_bytes()),
        b"GET / HTTP/1.1\r\nHost: zk\r\n\r\n".to_vec(),
        wire::auth(-4, "digest", "a:b"),
        wire::request(-2, op::PING, b""),
    ];
    for bytes in &bad {
        let mut client = Client::connect(victim.process.address, &PKI.alice).await;
        client.send(bytes).await;
        client.goodbye().await;
    }
    assert_eq!(upstream.seen().len(), dials);
    assert_eq!(victim.recovers().await, vec!["bad_connect_request"; bad.len()]);
}

#[tokio::test]
async fn random_bytes_do_no_harm_before_within_and_behind_the_handshake() {
    let upstream = Upstream::start().await;
    let setup = Setup::new(&upstream).set("limits.handshake_timeout", "2s");
    let victim = Victim::start(setup.set("limits.open_timeout", "2s")).await;
    let address = victim.process.address;
    let mut clients = JoinSet::new();
    for seed in 1..=240 {
        let mut dice = Dice(seed * 0x9e37_79b9);
        clients.spawn(async move {
            let mut bytes = dice.bytes(600);
            match seed % 4 {
                0 | 1 => {
                    if seed % 4 == 1 {
                        // The beginning of a ClientHello.
                        bytes.splice(0..0, [0x16, 3, 1, 1, 0, 1, 0, 0, 0xfc, 3, 3]);
                    }
                    let mut tcp = TcpStream::connect(address).await.unwrap();
                    let _ = tcp.write_all(&bytes).await;
                    let _ = tcp.shutdown().await;
                    let _ = soon("an end", tcp.read_to_end(&mut Vec::new())).await;
                }
                2 => {
                    let mut client = Client::connect(address, &PKI.bob).await;
                    let _ = client.try_send(&bytes).await;
                    let _ = client.stream.shutdown().await;
                    client.rest().await;
                }
                _ => {
                    // Lengths that are not refused at once let more of it through.
                    let frames: Vec<_> = bytes.chunks(97).flat_map(wire::frame).collect();
                    let mut client = Client::open(address).await;
                    let _ = client.try_send(&[frames, dice.bytes(50)].concat()).await;
                    let _ = client.stream.shutdown().await;
                    client.rest().await;
                }
            }
        });
        if clients.len() >= 32 {
            clients.join_next().await.unwrap().unwrap();
        }
    }
    while let Some(result) = clients.join_next().await {
        result.unwrap();
    }
    assert_eq!(victim.recovers().await.len(), 240);
}

#[tokio::test]
async fn many_half_done_openings_at_once_are_cut_and_forgotten() {
    let upstream = Upstream::start().await;
    let setup = Setup::new(&upstream).set("limits.handshake_timeout", "1s").set("limits.open_timeout", "1s");
    let victim = Victim::start(setup).await;
    let (mut silent, mut opening) = (Vec::new(), Vec::new());
    for _ in 0..100 {
        let mut tcp = TcpStream::connect(victim.process.address).await.unwrap();
        tcp.write_all(&[0x16, 3]).await.unwrap();
        silent.push(tcp);
    }
    for _ in 0..20 {
        let mut client = Client::connect(victim.process.address, &PKI.alice).await;
        client.send(&hello()[..20]).await;
        opening.push(client);
    }
    let reasons = victim.recovers().await;
    assert_eq!(reasons.iter().filter(|reason| *reason == "timeout").count(), 100);
    assert_eq!(reasons.iter().filter(|reason| *reason == "open_timeout").count(), 20);
    drop((silent, opening));
}

#[tokio::test]
async fn a_flood_of_auth_packets_is_answered_in_order_without_memory() {
    const PACKETS: i32 = 100_000;
    let upstream = Upstream::start().await;
    let victim = Victim::start(Setup::new(&upstream)).await;
    let before = victim.process.memory();
    let client = Client::open(victim.process.address).await;
    let (mut reader, mut writer) = tokio::io::split(client.stream);
    let writing = tokio::spawn(async move {
        let packets: Vec<_> = (1..=PACKETS).flat_map(|xid| wire::auth(xid, "digest", "a:b")).collect();
        writer.write_all(&packets).await.unwrap();
        writer.flush().await.unwrap();
        writer
    });
    let mut reply = [0; 20];
    for xid in 1..=PACKETS {
        soon("a reply", reader.read_exact(&mut reply)).await.unwrap();
        assert_eq!(wire::xid(&reply), xid);
    }
    let grown = victim.process.memory().saturating_sub(before);
    assert!(grown < 24 * MIB, "{grown} bytes");
    Client { stream: reader.unsplit(writing.await.unwrap()) }.hang_up().await;
    assert_eq!(victim.recovers().await, ["client_closed"]);
}

#[tokio::test]
async fn a_flood_whose_replies_are_not_read_stands_still_and_dies_with_its_client() {
    let upstream = Upstream::start().await;
    let victim = Victim::start(Setup::new(&upstream)).await;
    let before = victim.process.memory();
    let mut client = Client::open(victim.process.address).await;
    let chunk: Vec<_> = (0..100).flat_map(|xid| wire::request(xid, op::GET_DATA, &[b'x'; 10_000])).collect();
    // Replies are as long as requests here, so what isn't read backs up to the writer.
    while tokio::time::timeout(Duration::from_secs(1), client.try_send(&chunk)).await.is_ok() {}
    let grown = victim.process.memory().saturating_sub(before);
    assert!(grown < 24 * MIB, "{grown} bytes");
    client.reset();
    assert_eq!(victim.recovers().await, ["client_reset"]);
    upstream.finish().await;
}

#[tokio::test]
async fn a_long_reply_takes_no_memory_even_if_nobody_reads_it() {
    let reply = wire::reply(1, 0, &vec![b'x'; 100 * MIB as usize]);
    let whole = reply.len();
    let upstream = Upstream::scripted(move |mut server: Server| {
        let reply = reply.clone();
        async move {
            server.open().await;
            while let Some(request) = server.frame().await {
                match request.ends_with(b"/long") {
                    true => server.send(&reply).await,
                    false => server.send(&wire::reply(1, 0, b"")).await,
                }
            }
        }
    })
    .await;
    let victim = Victim::start(Setup::new(&upstream)).await;
    let before = victim.process.memory();
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = Client::open(victim.process.address).await;
        client.send(&wire::request(1, op::GET_DATA, b"/long")).await;
        clients.push(client);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    clients.pop().unwrap().reset();
    let mut client = clients.pop().unwrap();
    let (mut left, mut buffer, mut most) = (whole, vec![0; MIB as usize], 0);
    while left > 0 {
        let read = soon("more of the reply", client.stream.read(&mut buffer)).await.unwrap();
        assert!(read > 0, "{left} bytes are missing");
        left -= read;
        if left % 64 == 0 {
            most = most.max(victim.process.memory());
        }
    }
    most = most.max(victim.process.memory());
    assert!(most.saturating_sub(before) < 24 * MIB, "{} bytes", most - before);
    client.half_close().await;
    assert_eq!(client.rest().await, (vec![], End::Goodbye));
    assert_eq!(victim.recovers().await, ["client_closed", "client_reset"]);
}
