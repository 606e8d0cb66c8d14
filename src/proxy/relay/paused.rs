//! A frame whose rewriting waits for its next turn.

use crate::zk::acl::{self, Progress, Rewriting, Slice};
use crate::zk::editor::Passage;

/// A frame that is being rewritten, and what was read behind it: less than a chunk. Few connections have one.
pub(super) struct Paused {
    rewriting: Rewriting,
    pub(super) unjudged: Vec<u8>,
}

impl Paused {
    pub(super) fn new(rewriting: Rewriting) -> Box<Self> {
        Box::new(Self { rewriting, unjudged: Vec::new() })
    }
}

/// Remembers what of the chunk is left.
pub(super) fn keep(paused: &mut Option<Box<Paused>>, passed: &Passage<'_>) {
    if let Some(paused) = paused {
        paused.unjudged = passed.left().to_vec();
    }
}

/// Goes on with rewriting a frame. `None` if the slice is over; else it is done, and what it says is whether anything
/// changes.
#[allow(clippy::option_option, reason = "the outer one is for `?`")]
pub(super) fn run(
    rewriting: &mut Option<Box<Paused>>,
    frame: &[u8],
    slice: &Slice,
    rename: impl FnMut(&acl::Id<'_>) -> Option<acl::Id<'static>>,
) -> Option<Option<Vec<u8>>> {
    let Some(begun) = rewriting else { return Some(None) };
    match begun.rewriting.run(frame, slice, rename) {
        Progress::Unfinished => None,
        Progress::Done(rewritten) => {
            *rewriting = None;
            Some(rewritten)
        }
    }
}
