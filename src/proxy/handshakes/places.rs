//! The places of connections that are not admitted yet: how many there are, and who loses its own to a newcomer.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::proxy::source::Source;

/// Bytes of unfinished ClientHellos that each place accounts for: all places together hold no more than so many times their
/// number. A ClientHello with a post-quantum key share has some 1,800.
pub(super) const SHARE: usize = 2048;

/// How long a client may leave its part of a handshake unanswered before its place may go to a newcomer.
const STALLED: Duration = Duration::from_secs(1);

/// `limits.handshakes`.
#[derive(Debug)]
pub(super) struct Places {
    /// In all.
    limit: usize,
    table: Mutex<Table>,
}

/// A connection's place; dropping it gives the place back.
#[derive(Debug)]
pub(in crate::proxy) struct Place {
    held: HeldPlace,
    lost: Lost,
}

/// The place itself.
#[derive(Debug)]
pub(super) struct HeldPlace {
    places: Arc<Places>,
    id: u64,
}

/// The moment in which a place is lost to another connection.
#[derive(Debug)]
pub(super) struct Lost(oneshot::Receiver<()>);

/// What a connection is waiting for, in the order in which connections lose their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Waits {
    /// For the rest of a ClientHello of which more than [`SHARE`] bytes have come.
    LongHello,
    /// For a ClientHello.
    Hello,
    /// For the client's part of the handshake.
    Client,
    /// For us.
    Gate,
}

/// By what a connection waits for, since when, and its number.
type Rank = (Waits, Instant, u64);

#[derive(Debug, Default)]
struct Table {
    next: u64,
    entries: HashMap<u64, Entry>,
    ranks: BTreeSet<Rank>,
    /// Those of each source; never empty.
    sources: HashMap<Source, BTreeSet<Rank>>,
    /// Bytes of ClientHellos.
    held: usize,
}

#[derive(Debug)]
struct Entry {
    rank: Rank,
    /// Unknown as long as a header of the PROXY protocol is to come.
    source: Option<Source>,
    held: usize,
    lose: oneshot::Sender<()>,
}

impl Places {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, table: Mutex::default() }
    }

    /// Enters a connection; another one may lose its place to it. Nothing if there is none for it: no more than `fit` are
    /// open, whatever the limit.
    pub(super) fn enter(self: &Arc<Self>, source: Option<Source>, fit: usize, now: Instant) -> Option<Place> {
        let (lose, lost) = oneshot::channel();
        let mut table = self.lock();
        if !table.make_room((self.limit, fit), source, now) {
            return None;
        }
        let id = table.next;
        table.next += 1;
        table.insert(id, Entry { rank: (Waits::Hello, now, id), source, held: 0, lose });
        Some(Place { held: HeldPlace { places: Arc::clone(self), id }, lost: Lost(lost) })
    }

    /// How many there are.
    #[cfg(test)]
    fn taken(&self) -> usize {
        self.lock().entries.len()
    }

    /// A panic elsewhere can't leave the table half-changed.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lost {
    /// Waits for it.
    pub(super) async fn wait(&mut self) {
        // An error would mean that the table has gone, which it has not as long as there is a place.
        let _ = (&mut self.0).await;
    }
}

impl Place {
    /// The place, and the moment in which it is lost.
    pub(super) fn split(&mut self) -> (&HeldPlace, &mut Lost) {
        (&self.held, &mut self.lost)
    }
}

impl HeldPlace {
    /// The connection's source has become known; false if there is no place for it.
    pub(super) fn comes_from(&self, source: Source, now: Instant) -> bool {
        let mut table = self.places.lock();
        let Some(entry) = table.remove(self.id) else { return false };
        // It has a place, so it makes none in all; only the source's own count.
        if table.share_taken(source, self.places.limit) && !table.evict_first(may_lose(now), Some(source)) {
            return false;
        }
        table.insert(self.id, Entry { source: Some(source), ..entry });
        true
    }

    /// So many bytes of an unfinished ClientHello are held.
    pub(super) fn holds(&self, bytes: usize) {
        let most = self.places.limit.saturating_mul(SHARE);
        let mut table = self.places.lock();
        table.change(self.id, |entry| {
            entry.held = bytes;
            if bytes > SHARE {
                entry.rank.0 = Waits::LongHello;
            }
        });
        // Where all hold more than they should, one holds more than its share.
        while table.held > most && table.evict_first(|waits, _since| waits == Waits::LongHello, None) {}
    }

    /// It is our turn to do something.
    pub(super) fn waits_for_gate(&self, now: Instant) {
        self.waits(Waits::Gate, now);
    }

    /// It is the client's turn to answer; nothing is held of its ClientHello any more.
    pub(super) fn waits_for_client(&self, now: Instant) {
        self.waits(Waits::Client, now);
    }

    fn waits(&self, waits: Waits, now: Instant) {
        self.places.lock().change(self.id, |entry| {
            entry.rank = (waits, now, entry.rank.2);
            entry.held = 0;
        });
    }
}

impl Drop for HeldPlace {
    fn drop(&mut self) {
        self.places.lock().remove(self.id);
    }
}

impl Table {
    fn insert(&mut self, id: u64, entry: Entry) {
        self.ranks.insert(entry.rank);
        if let Some(source) = entry.source {
            self.sources.entry(source).or_default().insert(entry.rank);
        }
        self.held += entry.held;
        self.entries.insert(id, entry);
    }

    fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        self.ranks.remove(&entry.rank);
        if let Some(source) = entry.source
            && let Some(ranks) = self.sources.get_mut(&source)
        {
            ranks.remove(&entry.rank);
            if ranks.is_empty() {
                self.sources.remove(&source);
            }
        }
        self.held -= entry.held;
        Some(entry)
    }

    fn change(&mut self, id: u64, change: impl FnOnce(&mut Entry)) {
        if let Some(mut entry) = self.remove(id) {
            change(&mut entry);
            self.insert(id, entry);
        }
    }

    /// Whether a source has all that one source may have: half of all places.
    fn share_taken(&self, source: Source, limit: usize) -> bool {
        self.sources.get(&source).is_some_and(|ranks| ranks.len() >= limit.div_ceil(2))
    }

    /// Whether there is a place, after somebody of the same source or, when all are taken, anybody has lost one.
    fn make_room(&mut self, (limit, fit): (usize, usize), source: Option<Source>, now: Instant) -> bool {
        let crowded = source.filter(|source| self.share_taken(*source, limit));
        let full = self.entries.len() >= limit.min(fit);
        if crowded.is_none() && !full {
            return true;
        }
        self.evict_first(may_lose(now), crowded)
    }

    /// Takes the place of the first, in all or of one source, if it may lose it.
    fn evict_first(&mut self, may_lose: impl Fn(Waits, Instant) -> bool, of: Option<Source>) -> bool {
        let ranks = match of {
            Some(source) => self.sources.get(&source),
            None => Some(&self.ranks),
        };
        let first = ranks.and_then(|ranks| ranks.first().copied());
        let Some((_, _, id)) = first.filter(|(waits, since, _)| may_lose(*waits, *since)) else { return false };
        let Some(entry) = self.remove(id) else { return false };
        // Its connection may have ended by itself in this moment.
        let _ = entry.lose.send(());
        true
    }
}

/// Whether a connection that waits for this since then may lose its place.
fn may_lose(now: Instant) -> impl Fn(Waits, Instant) -> bool {
    move |waits, since| match waits {
        Waits::LongHello | Waits::Hello => true,
        Waits::Client => now.saturating_duration_since(since) >= STALLED,
        Waits::Gate => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> Source {
        Source::of([192, 0, 2, last].into())
    }

    struct Bench {
        places: Arc<Places>,
        start: Instant,
    }

    impl Bench {
        fn new(limit: usize) -> Self {
            Self { places: Arc::new(Places::new(limit)), start: Instant::now() }
        }

        fn at(&self, millis: u64) -> Instant {
            self.start + Duration::from_millis(millis)
        }

        fn enter(&self, last: u8, millis: u64) -> Option<Place> {
            self.places.enter(Some(source(last)), usize::MAX, self.at(millis))
        }
    }

    fn is_lost(place: &mut Place) -> bool {
        place.lost.0.try_recv().is_ok()
    }

    #[test]
    fn the_oldest_without_a_hello_goes_first() {
        let bench = Bench::new(4);
        let mut places: Vec<_> = (0..4).map(|n| bench.enter(n, u64::from(n)).unwrap()).collect();
        places[0].held.waits_for_gate(bench.at(10));
        assert!(bench.enter(9, 11).is_some());
        assert_eq!(places.iter_mut().map(is_lost).collect::<Vec<_>>(), [false, true, false, false]);
        assert_eq!(bench.places.taken(), 3, "the newcomer has left again");
    }

    #[test]
    fn there_are_no_more_than_there_are_descriptors_for() {
        let bench = Bench::new(8);
        let enter = |last, fit| bench.places.enter(Some(source(last)), fit, bench.at(0));
        let mut places = [enter(1, 2).unwrap(), enter(2, 2).unwrap()];
        let third = enter(3, 2).unwrap();
        assert!(is_lost(&mut places[0]) && !is_lost(&mut places[1]));
        third.held.waits_for_gate(bench.at(1));
        places[1].held.waits_for_gate(bench.at(1));
        assert!(enter(4, 2).is_none());
        assert!(enter(4, 3).is_some());
    }

    #[test]
    fn one_whose_client_is_silent_goes_before_one_that_waits_for_us() {
        let bench = Bench::new(4);
        let mut places: Vec<_> = (0..4).map(|n| bench.enter(n, 0).unwrap()).collect();
        for place in &places {
            place.held.waits_for_gate(bench.at(1));
        }
        places[2].held.waits_for_client(bench.at(2));
        assert!(bench.enter(9, 1001).is_none(), "not silent for long enough");
        assert!(!is_lost(&mut places[2]));
        assert!(bench.enter(9, 1002).is_some());
        assert!(is_lost(&mut places[2]));
    }

    #[test]
    fn one_source_has_half_and_takes_from_itself() {
        let bench = Bench::new(4);
        let mut neighbour = bench.enter(2, 0).unwrap();
        let mut own: Vec<_> = (0..2).map(|n| bench.enter(1, n).unwrap()).collect();
        let newcomer = bench.enter(1, 5).unwrap();
        assert!(is_lost(&mut own[0]) && !is_lost(&mut own[1]) && !is_lost(&mut neighbour));
        own[1].held.waits_for_gate(bench.at(6));
        newcomer.held.waits_for_gate(bench.at(6));
        assert!(bench.enter(1, 7).is_none(), "both of its places are at work");
        assert!(bench.enter(3, 7).is_some(), "another source has a place");
    }

    #[test]
    fn a_source_that_becomes_known_later_counts_as_if_it_had_been() {
        let bench = Bench::new(4);
        let unknown = |millis| bench.places.enter(None, usize::MAX, bench.at(millis)).unwrap();
        let mut proxied: Vec<_> = (0..4).map(unknown).collect();
        assert!(proxied[0].held.comes_from(source(1), bench.at(5)));
        assert!(proxied[1].held.comes_from(source(1), bench.at(5)));
        assert!(proxied[2].held.comes_from(source(1), bench.at(5)));
        assert_eq!(proxied.iter_mut().map(is_lost).collect::<Vec<_>>(), [true, false, false, false]);
        proxied[1].held.waits_for_gate(bench.at(6));
        proxied[2].held.waits_for_gate(bench.at(6));
        assert!(!proxied[3].held.comes_from(source(1), bench.at(7)));
        assert_eq!(bench.places.taken(), 2);
    }

    #[test]
    fn all_hellos_together_have_an_end() {
        let bench = Bench::new(4);
        let mut places: Vec<_> = (0..4).map(|n| bench.enter(n, u64::from(n)).unwrap()).collect();
        places[1].held.holds(SHARE + 1);
        places[3].held.holds(2 * SHARE);
        places[0].held.holds(SHARE - 1);
        assert!(!places.iter_mut().any(is_lost), "exactly all that they may have");
        places[0].held.holds(SHARE);
        assert_eq!(places.iter_mut().map(is_lost).collect::<Vec<_>>(), [false, true, false, false]);
        assert_eq!(bench.places.lock().held, 3 * SHARE);
        drop(places);
        let table = bench.places.lock();
        assert!(table.held == 0 && table.ranks.is_empty() && table.sources.is_empty() && table.entries.is_empty());
    }

    #[test]
    fn nothing_is_held_once_the_handshake_has_begun() {
        let bench = Bench::new(1);
        let mut place = bench.enter(1, 0).unwrap();
        place.held.holds(SHARE);
        place.held.waits_for_gate(bench.at(1));
        assert_eq!(bench.places.lock().held, 0);
        assert!(!is_lost(&mut place));
    }
}
