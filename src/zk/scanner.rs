//! Finds the frames in a stream that passes by in chunks of any size, without keeping more of a frame than
//! its head.

use super::record::int;

/// Bytes of the length that precedes each frame.
const PREFIX: usize = 4;

/// Follows one direction of a connection. `HEAD` is how many bytes of each frame, its length included, the
/// owner wants to see; shorter frames are shown whole.
#[derive(Debug)]
pub struct Scanner<const HEAD: usize> {
    head: [u8; HEAD],
    /// Bytes of `head` that are filled; 0 between frames and while a body passes.
    filled: usize,
    /// Bytes of the current frame's body that are still to pass.
    body: usize,
}

/// The head of a frame.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The frame's first bytes, its length included: `HEAD` of them, or the whole frame if it is shorter.
    pub bytes: &'a [u8],
    /// The frame's length as its prefix says, in bytes.
    pub length: usize,
}

impl Head<'_> {
    /// The i32 at an offset from the frame's beginning (0 is the length's), if the frame is long enough.
    pub fn int(&self, at: usize) -> Option<i32> {
        (self.bytes.len() >= at + 4).then(|| int(self.bytes, at))
    }
}

/// Why a scan stopped, and how much may still be passed on.
#[derive(Debug, PartialEq, Eq)]
pub struct Stop<E> {
    /// Bytes of the chunk that precede the offending frame. What earlier chunks held of that frame is not
    /// the whole of it, so no receiver acts on it.
    pub before: usize,
    /// The reason.
    pub error: E,
}

impl<const HEAD: usize> Scanner<HEAD> {
    /// A scanner at the beginning of a stream.
    pub fn new() -> Self {
        const { assert!(HEAD > PREFIX) };
        Self { head: [0; HEAD], filled: 0, body: 0 }
    }

    /// Whether the last byte seen was the last of a frame.
    pub fn between_frames(&self) -> bool {
        self.filled == 0 && self.body == 0
    }

    /// Follows the next chunk. `length` turns each frame's length into a size or refuses it, as soon as it is
    /// known; `frame` sees each head once it is complete.
    ///
    /// # Errors
    /// The first error of either, with the offset up to which the chunk is unobjectionable.
    pub fn scan<E>(
        &mut self,
        chunk: &[u8],
        length: impl Fn(i32) -> Result<usize, E>,
        mut frame: impl FnMut(Head<'_>) -> Result<(), E>,
    ) -> Result<(), Stop<E>> {
        let mut at = 0;
        while at < chunk.len() {
            if self.body > 0 {
                let passing = self.body.min(chunk.len() - at);
                self.body -= passing;
                at += passing;
                continue;
            }
            let before = if self.filled > 0 { 0 } else { at };
            let stop = |error| Stop { before, error };
            at += self.fill(PREFIX, &chunk[at..]);
            if self.filled < PREFIX {
                break;
            }
            let size = length(int(&self.head, 0)).map_err(stop)?;
            let whole = size.saturating_add(PREFIX);
            let wanted = whole.min(HEAD);
            at += self.fill(wanted, &chunk[at..]);
            if self.filled < wanted {
                break;
            }
            self.filled = 0;
            self.body = whole - wanted;
            frame(Head { bytes: &self.head[..wanted], length: size }).map_err(stop)?;
        }
        Ok(())
    }

    /// Fills the head up to `until` bytes; says how many it took.
    fn fill(&mut self, until: usize, from: &[u8]) -> usize {
        let taken = until.saturating_sub(self.filled).min(from.len());
        self.head[self.filled..self.filled + taken].copy_from_slice(&from[..taken]);
        self.filled += taken;
        taken
    }
}

impl<const HEAD: usize> Default for Scanner<HEAD> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 100;

    fn bounded(length: i32) -> Result<usize, &'static str> {
        usize::try_from(length).ok().filter(|size| *size <= LIMIT).ok_or("length")
    }

    fn stream(bodies: &[Vec<u8>]) -> Vec<u8> {
        bodies.iter().flat_map(|body| [&(body.len() as u32).to_be_bytes()[..], body].concat()).collect()
    }

    /// Heads seen when the stream comes in chunks of the given sizes, again and again.
    fn heads(stream: &[u8], sizes: &[usize]) -> (Vec<(usize, Vec<u8>)>, bool) {
        let mut scanner = Scanner::<12>::new();
        let (mut seen, mut rest, mut sizes) = (Vec::new(), stream, sizes.iter().cycle());
        while !rest.is_empty() {
            let (chunk, next) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
            scanner
                .scan(chunk, bounded, |head| {
                    seen.push((head.length, head.bytes.to_vec()));
                    Ok(())
                })
                .unwrap();
            rest = next;
        }
        (seen, scanner.between_frames())
    }

    proptest! {
        #[test]
        fn any_chunking_shows_the_same_heads(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..LIMIT), 0..12),
            sizes in prop::collection::vec(1_usize..40, 1..8),
        ) {
            let stream = stream(&bodies);
            let expected: Vec<_> = bodies.iter().map(|body| {
                let frame = [&(body.len() as u32).to_be_bytes()[..], body].concat();
                (body.len(), frame[..frame.len().min(12)].to_vec())
            }).collect();
            prop_assert_eq!(heads(&stream, &sizes), (expected.clone(), true));
            prop_assert_eq!(heads(&stream, &[1]), (expected, true));
        }

        #[test]
        fn any_bytes_are_survived(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..20)) {
            let mut scanner = Scanner::<40>::new();
            for chunk in chunks {
                if let Err(stop) = scanner.scan(&chunk, bounded, |_| Ok(())) {
                    prop_assert!(stop.before <= chunk.len());
                    break;
                }
            }
        }

        #[test]
        fn nothing_of_an_offending_frame_is_released_with_its_end(
            first in prop::collection::vec(any::<u8>(), 8..30), cut in 0_usize..20,
        ) {
            let bad = stream(&[vec![0xee; 12]]);
            let bytes = [stream(&[first]), bad.clone()].concat();
            let cut = bytes.len() - bad.len() + cut.min(bad.len() - 1);
            let mut scanner = Scanner::<40>::new();
            let mut refuse = |head: Head<'_>| if head.int(4) == Some(-286_331_154) { Err("bad") } else { Ok(()) };
            let mut released = 0;
            for chunk in [&bytes[..cut], &bytes[cut..]] {
                match scanner.scan(chunk, bounded, &mut refuse) {
                    Ok(()) => released += chunk.len(),
                    Err(stop) => { released += stop.before; break; }
                }
            }
            prop_assert!(released < bytes.len(), "the whole offending frame was released");
            prop_assert!(released >= bytes.len() - bad.len(), "the frame before it was held back");
        }
    }

    #[test]
    fn a_refused_length_stops_the_scan_at_its_frame() {
        let bytes = [stream(&[vec![1; 5]]), 101_u32.to_be_bytes().to_vec()].concat();
        let stop = Scanner::<12>::new().scan(&bytes, bounded, |_| Ok(())).unwrap_err();
        assert_eq!(stop, Stop { before: 9, error: "length" });
    }

    #[test]
    fn short_frames_answer_for_what_they_have() {
        let mut scanner = Scanner::<20>::new();
        let mut seen = Vec::new();
        let bytes = stream(&[vec![], vec![0, 0, 0, 7]]);
        scanner
            .scan(&bytes, bounded, |head| {
                seen.push((head.int(4), head.int(8)));
                Ok(())
            })
            .unwrap();
        assert_eq!(seen, [(None, None), (Some(7), None)]);
    }

    #[test]
    fn a_head_within_a_frame_is_not_between_frames() {
        let mut scanner = Scanner::<12>::new();
        scanner.scan(&[0, 0], bounded, |_| Ok(())).unwrap();
        assert!(!scanner.between_frames());
        scanner.scan(&[0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9], bounded, |_| Ok(())).unwrap();
        assert!(!scanner.between_frames());
        scanner.scan(&[0; 11], bounded, |_| Ok(())).unwrap();
        assert!(scanner.between_frames());
    }
}
