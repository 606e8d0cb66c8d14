//! Edits a stream of frames that passes by in chunks of any size: each frame passes, disappears, or is held
//! until it is whole and can be replaced. Only held frames are buffered, and a chunk that passes unchanged is
//! not copied.

use std::ops::Range;

use super::record::int;

/// Bytes of the length that precedes each frame.
const PREFIX: usize = 4;

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on as it is.
    Pass,
    /// It goes no further.
    Drop,
    /// It is collected; [`Editor::take`] has it whole.
    Hold,
}

/// What an editor needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The next chunk.
    Chunk,
    /// A verdict on [`Editor::length`]: [`Editor::accept`] it, or give the stream up.
    Length,
    /// A verdict on the frame by its [`Editor::head`]: [`Editor::decide`].
    Head,
    /// What goes on in place of the held frame: [`Editor::take`] it.
    Frame,
}

/// Follows one direction of a connection. `HEAD` is how many bytes of each frame, its length included, its
/// owner wants to see before it decides; of shorter frames it sees all. Until then they are withheld.
#[derive(Debug)]
pub struct Editor<const HEAD: usize> {
    head: [u8; HEAD],
    filled: usize,
    /// How many of the head's bytes came in earlier chunks.
    carried: usize,
    /// The frame's size with its prefix, once its length is accepted; before that, the prefix's.
    whole: usize,
    /// Bytes behind the head that are still to come.
    body: usize,
    fate: Fate,
    held: Vec<u8>,
    waits: Step,
}

/// A chunk on its way through an editor: what is left of it, and what comes out.
#[derive(Debug)]
pub struct Passage<'a> {
    chunk: &'a [u8],
    at: usize,
    /// The part of the chunk that comes out, as long as it is one part and nothing else does.
    part: Range<usize>,
    /// What comes out otherwise.
    copy: Option<Vec<u8>>,
    /// Where in the output a frame begins, but for its first byte.
    begins: Vec<usize>,
}

impl<'a> Passage<'a> {
    /// A chunk before its way.
    pub fn new(chunk: &'a [u8]) -> Self {
        Self { chunk, at: 0, part: 0..0, copy: None, begins: Vec::new() }
    }

    /// What has come out so far.
    pub fn output(&self) -> &[u8] {
        self.copy.as_deref().unwrap_or(&self.chunk[self.part.clone()])
    }

    /// What has come out so far, cut where frames begin. The first piece may be the rest of a frame, and the
    /// last one the beginning of another.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let output = self.output();
        let begins = [0].into_iter().chain(self.begins.iter().copied());
        let ends = self.begins.iter().copied().chain([output.len()]);
        begins.zip(ends).map(move |(begin, end)| &output[begin..end])
    }

    /// Lets a frame come out that is not of this chunk.
    pub fn add_frame(&mut self, frame: &[u8]) {
        self.begin();
        self.add(frame);
    }

    /// Notes that a frame begins here.
    fn begin(&mut self) {
        let at = self.output().len();
        if at > 0 {
            self.begins.push(at);
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        let part = &self.chunk[self.part.clone()];
        self.copy.get_or_insert_with(|| part.to_vec()).extend_from_slice(bytes);
    }

    fn pass(&mut self, range: Range<usize>) {
        match self.copy {
            None if self.part.is_empty() => self.part = range,
            None if self.part.end == range.start => self.part.end = range.end,
            _ => {
                let chunk = self.chunk;
                self.add(&chunk[range]);
            }
        }
    }

    /// What is left of the chunk.
    pub fn left(&self) -> &'a [u8] {
        &self.chunk[self.at..]
    }

    fn rest(&self) -> usize {
        self.chunk.len() - self.at
    }

    fn take(&mut self, count: usize) -> Range<usize> {
        let range = self.at..self.at + count;
        self.at = range.end;
        range
    }
}

impl<const HEAD: usize> Editor<HEAD> {
    /// An editor at the beginning of a stream.
    pub fn new() -> Self {
        const { assert!(HEAD > PREFIX) };
        Self {
            head: [0; HEAD],
            filled: 0,
            carried: 0,
            whole: PREFIX,
            body: 0,
            fate: Fate::Pass,
            held: Vec::new(),
            waits: Step::Chunk,
        }
    }

    /// Whether the last byte seen was the last of a frame.
    pub fn between_frames(&self) -> bool {
        self.filled == 0 && self.body == 0 && self.held.is_empty()
    }

    /// How many bytes the current frame lacks, as far as is known; 0 between frames. As long as its length has
    /// not come whole, the rest of the length.
    pub fn lacks(&self) -> usize {
        if self.filled > 0 { self.whole - self.filled } else { self.body }
    }

    /// Goes on until a verdict is needed or the chunk is used up.
    pub fn advance(&mut self, passage: &mut Passage<'_>) -> Step {
        while self.waits == Step::Chunk && passage.rest() > 0 {
            if self.body > 0 {
                self.take_body(passage);
            } else {
                self.take_head(passage);
            }
        }
        if self.waits == Step::Chunk {
            self.carried = self.filled;
        }
        self.waits
    }

    /// The current frame's length as its prefix says.
    pub fn length(&self) -> i32 {
        int(&self.head, 0)
    }

    /// Accepts the current frame's length.
    pub fn accept(&mut self, size: usize) {
        self.whole = size.saturating_add(PREFIX);
        self.waits = if self.filled == self.whole.min(HEAD) { Step::Head } else { Step::Chunk };
    }

    /// The current frame's first bytes, its length included: `HEAD` of them, or all if they are fewer.
    pub fn head(&self) -> Head<'_> {
        Head(&self.head[..self.filled])
    }

    /// Decides the current frame's fate.
    pub fn decide(&mut self, fate: Fate, passage: &mut Passage<'_>) {
        let head = &self.head[..self.filled];
        if fate == Fate::Pass {
            passage.begin();
        }
        match fate {
            Fate::Pass if self.carried > 0 => passage.add(head),
            Fate::Pass => passage.pass(passage.at - self.filled..passage.at),
            Fate::Drop => {}
            Fate::Hold => self.held = head.to_vec(),
        }
        self.body = self.whole - self.filled;
        (self.filled, self.carried, self.whole) = (0, 0, PREFIX);
        self.fate = fate;
        self.waits = if fate == Fate::Hold && self.body == 0 { Step::Frame } else { Step::Chunk };
    }

    /// The held frame that [`Step::Frame`] speaks of, whole, its length included; empty otherwise.
    pub fn held(&self) -> &[u8] {
        if self.waits == Step::Frame { &self.held } else { &[] }
    }

    /// The held frame, whole, its length included. What goes on in its place is the caller's to
    /// [add](Passage::add_frame).
    pub fn take(&mut self) -> Vec<u8> {
        self.waits = Step::Chunk;
        std::mem::take(&mut self.held)
    }

    fn take_head(&mut self, passage: &mut Passage<'_>) {
        let wanted = self.whole.min(HEAD);
        let taken = passage.take((wanted - self.filled).min(passage.rest()));
        let filled = self.filled + taken.len();
        self.head[self.filled..filled].copy_from_slice(&passage.chunk[taken]);
        self.filled = filled;
        if filled == wanted {
            self.waits = if self.whole == PREFIX && filled == PREFIX { Step::Length } else { Step::Head };
        }
    }

    /// Makes room for so many more bytes of the held frame: twice what there is, so that bytes move a few times at
    /// most, but no more than the frame has.
    fn make_room(&mut self, count: usize) {
        let (length, room) = (self.held.len(), self.held.capacity());
        if length + count > room {
            let wanted = (2 * room).clamp(length + count, length + self.body);
            self.held.reserve_exact(wanted - length);
        }
    }

    fn take_body(&mut self, passage: &mut Passage<'_>) {
        let taken = passage.take(self.body.min(passage.rest()));
        if self.fate == Fate::Hold {
            self.make_room(taken.len());
        }
        self.body -= taken.len();
        match self.fate {
            Fate::Pass => passage.pass(taken),
            Fate::Drop => {}
            Fate::Hold => {
                self.held.extend_from_slice(&passage.chunk[taken]);
                if self.body == 0 {
                    self.waits = Step::Frame;
                }
            }
        }
    }
}

impl<const HEAD: usize> Default for Editor<HEAD> {
    fn default() -> Self {
        Self::new()
    }
}

/// A frame's first bytes, its length included.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a>(pub &'a [u8]);

impl Head<'_> {
    /// The i32 at an offset from the frame's beginning (the length's is 0), if the head reaches that far.
    pub fn int(self, at: usize) -> Option<i32> {
        (self.0.len() >= at + 4).then(|| int(self.0, at))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame's fate follows from its first byte.
    fn fate(head: &[u8]) -> Fate {
        match head.get(PREFIX) {
            Some(b) if b % 3 == 1 => Fate::Drop,
            Some(b) if b % 3 == 2 => Fate::Hold,
            _ => Fate::Pass,
        }
    }

    fn frame(body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32).to_be_bytes()[..], body].concat()
    }

    fn replacement(held: &[u8]) -> Vec<u8> {
        frame(&[&held[PREFIX..], b"edited"].concat())
    }

    /// What comes out of one chunk, and the heads that were seen; `None` once a length is negative.
    fn edit(editor: &mut Editor<12>, chunk: &[u8], heads: &mut Vec<Vec<u8>>) -> Option<Vec<u8>> {
        let mut passage = Passage::new(chunk);
        loop {
            match editor.advance(&mut passage) {
                Step::Chunk => return Some(passage.output().to_vec()),
                Step::Length => editor.accept(usize::try_from(editor.length()).ok()?),
                Step::Head => {
                    heads.push(editor.head().0.to_vec());
                    editor.decide(fate(editor.head().0), &mut passage);
                }
                Step::Frame => {
                    let held = editor.take();
                    passage.add_frame(&replacement(&held));
                }
            }
        }
    }

    fn run(stream: &[u8], sizes: &[usize]) -> (Vec<u8>, Vec<Vec<u8>>, bool) {
        let (mut editor, mut heads) = (Editor::<12>::new(), Vec::new());
        let (mut out, mut rest, mut sizes) = (Vec::new(), stream, sizes.iter().cycle());
        while !rest.is_empty() {
            let (chunk, next) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
            out.extend(edit(&mut editor, chunk, &mut heads).unwrap());
            rest = next;
        }
        (out, heads, editor.between_frames())
    }

    #[test]
    fn a_frame_lacks_what_is_still_to_come() {
        let mut editor = Editor::<12>::new();
        assert_eq!(editor.lacks(), 0);
        for (chunk, lacks) in [(&[0, 0][..], 2), (&[0, 20, 1], 19), (&[0; 15], 4), (&[0; 4], 0), (&[0], 3)] {
            let mut passage = Passage::new(chunk);
            loop {
                match editor.advance(&mut passage) {
                    Step::Chunk => break,
                    Step::Length => editor.accept(20),
                    Step::Head => editor.decide(Fate::Pass, &mut passage),
                    Step::Frame => unreachable!("nothing is held"),
                }
            }
            assert_eq!(editor.lacks(), lacks, "behind {chunk:?}");
        }
    }

    proptest! {
        #[test]
        fn any_chunking_edits_the_same(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..12),
            sizes in prop::collection::vec(1_usize..40, 1..8),
        ) {
            let frames: Vec<_> = bodies.iter().map(|body| frame(body)).collect();
            let out: Vec<u8> = frames.iter().flat_map(|frame| match fate(frame) {
                Fate::Pass => frame.clone(),
                Fate::Drop => Vec::new(),
                Fate::Hold => replacement(frame),
            }).collect();
            let heads: Vec<_> = frames.iter().map(|frame| frame[..frame.len().min(12)].to_vec()).collect();
            let expected = (out, heads, true);
            prop_assert_eq!(&run(&frames.concat(), &sizes), &expected);
            prop_assert_eq!(&run(&frames.concat(), &[1]), &expected);
            prop_assert_eq!(&run(&frames.concat(), &[usize::MAX]), &expected);
        }

        #[test]
        fn any_bytes_are_survived(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..20)) {
            let mut editor = Editor::<12>::new();
            for chunk in chunks {
                if edit(&mut editor, &chunk, &mut Vec::new()).is_none() {
                    break;
                }
            }
        }
    }

    #[test]
    fn a_chunk_that_passes_whole_is_not_copied() {
        let chunk = [frame(&[0; 30]), frame(&[]), frame(&[0; 5])].concat();
        let (mut editor, mut passage) = (Editor::<12>::new(), Passage::new(&chunk));
        loop {
            match editor.advance(&mut passage) {
                Step::Chunk => break,
                Step::Length => editor.accept(editor.length() as usize),
                Step::Head => editor.decide(Fate::Pass, &mut passage),
                Step::Frame => unreachable!("nothing is held"),
            }
        }
        assert_eq!(passage.output(), chunk);
        assert!(passage.copy.is_none());
    }

    #[test]
    fn a_held_frame_takes_the_memory_that_it_has_bytes_and_moves_them_seldom() {
        let frame = frame(&[2; 100_000]);
        let (mut editor, mut rooms) = (Editor::<12>::new(), Vec::new());
        for chunk in frame.chunks(100) {
            let mut passage = Passage::new(chunk);
            loop {
                match editor.advance(&mut passage) {
                    Step::Chunk | Step::Frame => break,
                    Step::Length => editor.accept(editor.length() as usize),
                    Step::Head => editor.decide(fate(editor.head().0), &mut passage),
                }
            }
            rooms.push(editor.held.capacity());
        }
        assert_eq!(editor.held(), frame);
        rooms.dedup();
        assert_eq!(rooms.last(), Some(&frame.len()));
        assert!(rooms.len() < 15, "{rooms:?}");
    }

    #[test]
    fn what_comes_out_is_cut_where_frames_begin() {
        let (first, second, held) = (frame(&[0; 30]), frame(&[3; 5]), frame(&[2; 9]));
        let chunk = [&first[20..], &second, &held, &second[..2]].concat();
        let mut editor = Editor::<12>::new();
        edit(&mut editor, &first[..20], &mut Vec::new());
        let mut passage = Passage::new(&chunk);
        loop {
            match editor.advance(&mut passage) {
                Step::Chunk => break,
                Step::Length => editor.accept(editor.length() as usize),
                Step::Head => editor.decide(fate(editor.head().0), &mut passage),
                Step::Frame => {
                    let held = editor.take();
                    passage.add_frame(&replacement(&held));
                }
            }
        }
        let pieces: Vec<_> = passage.pieces().collect();
        assert_eq!(pieces, [&first[20..], &second, &replacement(&held)]);
    }

    #[test]
    fn a_withheld_head_is_not_between_frames() {
        let (mut editor, heads) = (Editor::<12>::new(), &mut Vec::new());
        assert_eq!(edit(&mut editor, &[0, 0, 0, 20, 1, 2], heads), Some(vec![]));
        assert!(!editor.between_frames());
        let rest = edit(&mut editor, &[3; 18], heads).unwrap();
        assert_eq!(rest.len(), 0, "a frame whose first byte is 1 disappears");
        assert!(editor.between_frames());
    }
}
