//! Which refused connections have an access record. A stranger can be refused ten thousand times a second; what that
//! makes zoogate write is bounded, and what has no record is counted.
//!
//! Each reason and source has an allowance of its own, so nobody uses up another's. A state machine: `now` is an
//! argument, and what is to be written is a result.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::source::Source;
use crate::reason::{CloseReason, Refusal};

/// How often the allowance of most reasons grows by one line.
pub(super) const EVERY: Duration = Duration::from_secs(60);

/// How many lines a source may have for a reason.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// How many lines an allowance may grow to.
    burst: u32,
    /// How often it grows by one.
    every: Duration,
}

impl Pace {
    const fn of(refusal: Refusal) -> Self {
        match refusal {
            // It has no client to tell from others.
            Refusal::Plaintext => Self { burst: 1, every: EVERY },
            // Probes and load balancers come without one every few seconds, for ever, and nobody has to act.
            Refusal::NoCertificate => Self { burst: 2, every: Duration::from_secs(3600) },
            // Enough to see different clients of one host.
            _ => Self { burst: 5, every: EVERY },
        }
    }
}

/// How many sources have an allowance of their own, for each reason; the others share one.
const SOURCES: usize = 16;

/// The most bytes of a record of a refused connection, in any format, line end included: what the documented figure
/// comes from.
#[cfg(test)]
pub(super) const LONGEST_LINE: usize = 2048;

/// What is left out of the log.
#[derive(Debug, Default)]
pub(super) struct LeftOut(Mutex<HashMap<Refusal, Allowances>>);

/// The allowances of one reason.
#[derive(Debug, Default)]
struct Allowances {
    own: HashMap<Source, Allowance>,
    shared: Option<Allowance>,
}

/// How much may be written, and what was not.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    /// When it has grown to its full size.
    full_at: Instant,
    left_out: u64,
    /// When something was left out last.
    last: Instant,
}

/// Refusals that no record tells of, and none will.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Untold {
    pub(super) reason: Refusal,
    /// Where they came from; `None` for several sources that share an allowance.
    pub(super) source: Option<Source>,
    pub(super) count: u64,
}

impl LeftOut {
    /// Whether a connection that ended so has a record; if so, how many before it had none. Connections that were
    /// admitted always have one.
    pub(super) fn permit(&self, now: Instant, source: Source, reason: CloseReason) -> Option<u64> {
        let CloseReason::Refused(refusal) = reason else { return Some(0) };
        self.lock().entry(refusal).or_default().of(now, source).permit(now, Pace::of(refusal))
    }

    /// What was left out and is not about to be told by a record, since nobody was refused so for a while.
    pub(super) fn overdue(&self, now: Instant) -> Vec<Untold> {
        self.tell(now, |allowance, pace| now.saturating_duration_since(allowance.last) >= pace.every)
    }

    /// Everything that was left out; for the end.
    pub(super) fn rest(&self, now: Instant) -> Vec<Untold> {
        self.tell(now, |_, _| true)
    }

    fn tell(&self, now: Instant, is_due: impl Fn(&Allowance, Pace) -> bool) -> Vec<Untold> {
        let mut untold = Vec::new();
        for (&reason, allowances) in self.lock().iter_mut() {
            let pace = Pace::of(reason);
            let own = allowances.own.iter_mut().map(|(source, allowance)| (Some(*source), allowance));
            for (source, allowance) in own.chain(allowances.shared.as_mut().map(|shared| (None, shared))) {
                if allowance.left_out > 0 && is_due(allowance, pace) {
                    // One step after it was used up it has grown, so this takes nothing that is not there.
                    allowance.take(now, pace);
                    untold.push(Untold { reason, source, count: std::mem::take(&mut allowance.left_out) });
                }
            }
            allowances.forget(now);
        }
        untold
    }

    /// A panic elsewhere can't leave it half-changed.
    fn lock(&self) -> MutexGuard<'_, HashMap<Refusal, Allowances>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Allowances {
    fn of(&mut self, now: Instant, source: Source) -> &mut Allowance {
        let full = Allowance { full_at: now, left_out: 0, last: now };
        if self.own.len() >= SOURCES && !self.own.contains_key(&source) {
            self.forget(now);
            if self.own.len() >= SOURCES {
                return self.shared.get_or_insert(full);
            }
        }
        self.own.entry(source).or_insert(full)
    }

    /// Drops those that are as if they were new. So the place of each writes no more than one allowance does, whoever
    /// has it in turn.
    fn forget(&mut self, now: Instant) {
        self.own.retain(|_, allowance| !allowance.is_new(now));
        self.shared = self.shared.filter(|allowance| !allowance.is_new(now));
    }
}

impl Allowance {
    fn permit(&mut self, now: Instant, pace: Pace) -> Option<u64> {
        if self.full_at.saturating_duration_since(now) > pace.every * (pace.burst - 1) {
            (self.left_out, self.last) = (self.left_out + 1, now);
            return None;
        }
        self.take(now, pace);
        Some(std::mem::take(&mut self.left_out))
    }

    fn take(&mut self, now: Instant, pace: Pace) {
        self.full_at = self.full_at.max(now) + pace.every;
    }

    fn is_new(&self, now: Instant) -> bool {
        self.left_out == 0 && self.full_at <= now
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use proptest::prelude::*;

    use super::*;
    use crate::reason::Ending;

    const UNKNOWN_CA: CloseReason = CloseReason::Refused(Refusal::UnknownCa);

    /// The most bytes that refused connections make zoogate write in a day.
    const BYTES_A_DAY: usize = {
        let (mut lines, mut reason) = (0, 0);
        while reason < Refusal::ALL.len() {
            let pace = Pace::of(Refusal::ALL[reason]);
            lines += 24 * 3600 / pace.every.as_secs() as usize + pace.burst as usize;
            reason += 1;
        }
        (SOURCES + 1) * lines * LONGEST_LINE
    };

    fn source(n: u32) -> Source {
        Source::of(IpAddr::V4(Ipv4Addr::from_bits(n)))
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_source_has_some_records_at_once_and_then_one_a_minute_with_the_count_of_the_others() {
        let (log, begin) = (LeftOut::default(), Instant::now());
        let at = |after| log.permit(begin + seconds(after), source(1), UNKNOWN_CA);
        let told: Vec<_> = (0..8).map(|_| at(0)).collect();
        assert_eq!(told, [Some(0), Some(0), Some(0), Some(0), Some(0), None, None, None]);
        assert_eq!((at(59), at(60), at(60), at(120)), (None, Some(4), None, Some(1)));
        assert_eq!(at(1000), Some(0));
    }

    #[test]
    fn plaintext_has_one_record_a_minute() {
        let (log, begin) = (LeftOut::default(), Instant::now());
        let at = |after| log.permit(begin + seconds(after), source(1), CloseReason::Refused(Refusal::Plaintext));
        assert_eq!([at(0), at(0), at(59), at(60), at(61), at(120)], [Some(0), None, None, Some(2), None, Some(1)]);
    }

    #[test]
    fn probes_without_a_certificate_have_one_record_an_hour() {
        let (log, begin) = (LeftOut::default(), Instant::now());
        let at = |after| {
            let _ = log.overdue(begin + seconds(after));
            log.permit(begin + seconds(after), source(1), CloseReason::Refused(Refusal::NoCertificate))
        };
        let told: Vec<_> = (0..24 * 240).map(|n| at(n * 15)).collect();
        let (records, counted): (usize, u64) =
            told.iter().flatten().fold((0, 0), |(records, sum), others| (records + 1, sum + others));
        assert_eq!((told[0], told[1], told[2], told[240]), (Some(0), Some(0), None, Some(238)));
        assert_eq!((records, records as u64 + counted), (25, 24 * 240 - 239));
        assert_eq!(log.overdue(begin + seconds(24 * 3600 + 3000)), []);
        assert_eq!(log.overdue(begin + seconds(25 * 3600)).iter().map(|untold| untold.count).sum::<u64>(), 239);
    }

    #[test]
    fn nobody_uses_up_what_another_source_or_reason_has() {
        let (log, now) = (LeftOut::default(), Instant::now());
        for _ in 0..1000 {
            let _ = log.permit(now, source(1), UNKNOWN_CA);
        }
        assert_eq!(log.permit(now, source(2), UNKNOWN_CA), Some(0));
        assert_eq!(log.permit(now, source(1), CloseReason::Refused(Refusal::Expired)), Some(0));
        // Many sources use up the places of their reason, and no other's.
        for n in 0..1000 {
            let _ = log.permit(now, source(n), UNKNOWN_CA);
        }
        assert_eq!(log.permit(now, source(2), UNKNOWN_CA), Some(0), "it has its place already");
        assert_eq!(log.permit(now, source(5000), CloseReason::Refused(Refusal::Expired)), Some(0));
    }

    #[test]
    fn a_network_of_ipv6_is_one_source() {
        let (log, now) = (LeftOut::default(), Instant::now());
        let permit = |text: &str| log.permit(now, Source::of(text.parse().unwrap()), UNKNOWN_CA);
        let written = (0..100).filter(|n| permit(&format!("2001:db8::{n:x}")).is_some()).count();
        assert_eq!(written, 5);
        assert_eq!(permit("2001:db8:0:1::"), Some(0));
    }

    #[test]
    fn connections_that_were_admitted_always_have_a_record() {
        let (log, now) = (LeftOut::default(), Instant::now());
        for &ending in Ending::ALL {
            assert!((0..100).all(|_| log.permit(now, source(1), CloseReason::Ended(ending)) == Some(0)), "{ending}");
        }
        assert!(log.lock().is_empty());
    }

    #[test]
    fn what_no_record_tells_of_is_told_after_a_while_and_at_the_end() {
        let (log, begin) = (LeftOut::default(), Instant::now());
        let at = |after| begin + seconds(after);
        for _ in 0..9 {
            let _ = log.permit(at(10), source(1), UNKNOWN_CA);
        }
        assert_eq!(log.overdue(at(69)), []);
        let untold = |count| [Untold { reason: Refusal::UnknownCa, source: Some(source(1)), count }];
        assert_eq!(log.overdue(at(70)), untold(4));
        assert_eq!(log.overdue(at(700)), [], "once");
        assert!(log.lock()[&Refusal::UnknownCa].own.is_empty(), "and is forgotten");
        for _ in 0..7 {
            let _ = log.permit(at(800), source(1), UNKNOWN_CA);
        }
        assert_eq!(log.rest(at(800)), untold(2));
        assert_eq!(log.rest(at(800)), []);
    }

    #[test]
    fn memory_and_bytes_are_the_documented_ones() {
        let (log, now) = (LeftOut::default(), Instant::now());
        for &refusal in Refusal::ALL {
            for n in 0..10_000 {
                let _ = log.permit(now, source(n), CloseReason::Refused(refusal));
            }
        }
        let reasons = log.lock();
        assert!(reasons.values().all(|allowances| allowances.own.len() == SOURCES));
        // An entry, and the byte that a hash table has beside it.
        let entry = size_of::<(Source, Allowance)>() + 1;
        let places: usize = reasons.values().map(|allowances| allowances.own.capacity() * 8 / 7 + 1).sum();
        let bytes = places * entry + reasons.len() * 2 * size_of::<(Refusal, Allowances)>();
        assert!(bytes <= 64 * 1024, "{bytes}");
        let page = include_str!("../../docs/security.md");
        let line = page.lines().find(|line| line.starts_with("| fill the disk with its log")).unwrap();
        assert!(line.contains("64 KiB"), "{line}");
        let (_, figure) = line.split_once("at most ").unwrap();
        let (gigabytes, _) = figure.split_once(" GB a day").unwrap();
        let documented = (gigabytes.parse::<f64>().unwrap() * 1e9) as usize;
        assert!((documented * 3 / 4..=documented).contains(&BYTES_A_DAY), "{BYTES_A_DAY}: {line}");
    }

    proptest! {
        /// However many sources come and go: every refusal is in a record or counted in one, and no more lines are
        /// written than the documented figure comes from.
        #[test]
        fn nothing_is_lost_and_the_lines_are_bounded(
            refusal in prop::sample::select(vec![Refusal::UnknownCa, Refusal::NoCertificate, Refusal::Plaintext]),
            steps in prop::collection::vec((0_u64..90, 0_u32..40, 1_u64..30), 1..400),
        ) {
            let (log, begin, pace) = (LeftOut::default(), Instant::now(), Pace::of(refusal));
            let (mut after, mut refused, mut told, mut lines) = (0, 0, 0, 0_u64);
            for (pause, from, times) in steps {
                after += pause;
                let now = begin + seconds(after);
                if pause % 3 == 0 {
                    for untold in log.overdue(now) {
                        (told, lines) = (told + untold.count, lines + 1);
                    }
                }
                for _ in 0..times {
                    refused += 1;
                    if let Some(others) = log.permit(now, source(from), CloseReason::Refused(refusal)) {
                        (told, lines) = (told + others + 1, lines + 1);
                    }
                }
                let most = (SOURCES as u64 + 1) * (after / pace.every.as_secs() + u64::from(pace.burst));
                prop_assert!(lines <= most, "{} of {} after {} s", lines, most, after);
            }
            told += log.rest(begin + seconds(after)).iter().map(|untold| untold.count).sum::<u64>();
            prop_assert_eq!(told, refused);
        }
    }
}
