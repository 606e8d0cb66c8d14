//! Changes of inputs that make other inputs: blind ones, and one that makes an input much longer while the lengths in
//! it stay right, so that work which grows with its square shows.

/// A source of numbers that gives the same ones for the same seed (splitmix64).
#[derive(Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// The numbers of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number below a bound, or 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound.max(1) as u64) as usize
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let (a, b) = (self.below(length + 1), self.below(length + 1));
        a.min(b)..a.max(b)
    }
}

/// Changes an input once, blindly.
pub fn mutate(data: &mut Vec<u8>, numbers: &mut Numbers) {
    const ODD: [u8; 12] = [0, 1, 0x30, 0x7f, 0x80, 0x82, 0xff, b'\n', b'\r', b':', b' ', b'"'];
    let at = numbers.below(data.len());
    match numbers.below(7) {
        0 if !data.is_empty() => data[at] ^= 1 << numbers.below(8),
        1 if !data.is_empty() => data[at] = ODD[numbers.below(ODD.len())],
        2 => data.insert(at, ODD[numbers.below(ODD.len())]),
        3 => drop(data.drain(numbers.range(data.len()))),
        4 => data.truncate(at),
        5 => {
            let part = data[numbers.range(data.len())].to_vec();
            data.splice(at..at, part);
        }
        _ if !data.is_empty() => data[at] = numbers.below(256) as u8,
        _ => {}
    }
}

/// Repeats a part of an input until it has some `length` bytes, each copy with a number of its own in it.
pub fn stretch(data: &[u8], length: usize, numbers: &mut Numbers) -> Vec<u8> {
    let part = numbers.range(data.len());
    let copies = copies(&data[part.clone()], length.saturating_sub(data.len()), numbers);
    [&data[..part.start], &copies, &data[part.end..]].concat()
}

/// As [`stretch`], of a DER value, in which the lengths around it are written anew; `None` if there is no DER.
pub fn stretch_der(data: &[u8], length: usize, numbers: &mut Numbers) -> Option<Vec<u8>> {
    let mut values = Vec::new();
    collect(data, 0, None, &mut values);
    let inner: Vec<usize> = (0..values.len()).filter(|index| values[*index].parent.is_some()).collect();
    let chosen = &values[*inner.get(numbers.below(inner.len()))?];
    let mut changed = copies(&data[chosen.start..chosen.end], length.saturating_sub(data.len()), numbers);
    let (mut start, mut end, mut parent) = (chosen.start, chosen.end, chosen.parent);
    while let Some(index) = parent {
        let around = &values[index];
        let contents = [&data[around.contents..start], &changed, &data[end..around.end]].concat();
        changed = vec![data[around.start]];
        put_length(&mut changed, contents.len());
        changed.extend_from_slice(&contents);
        (start, end, parent) = (around.start, around.end, around.parent);
    }
    Some([&data[..start], &changed, &data[end..]].concat())
}

/// Copies of a part, which take some `length` bytes.
fn copies(part: &[u8], length: usize, numbers: &mut Numbers) -> Vec<u8> {
    if part.is_empty() {
        return Vec::new();
    }
    // The number's place: the same in each copy, so that copies differ in one field.
    let at = numbers.below(part.len());
    let digits = numbers.below(2) == 0;
    let mut out = part.to_vec();
    for number in 0..length / part.len() {
        let begin = out.len();
        out.extend_from_slice(part);
        let octets = (number as u16).to_be_bytes();
        for (index, byte) in out[begin..].iter_mut().skip(at).take(2).enumerate() {
            *byte = if digits { b'0' + octets[1 - index] % 10 } else { octets[index] & 0x7f };
        }
    }
    out
}

/// Where a DER value is.
struct Value {
    start: usize,
    contents: usize,
    end: usize,
    parent: Option<usize>,
}

/// The values that follow one another in `data`, which stands at `offset`, and those within; nothing if it isn't DER.
fn collect(data: &[u8], offset: usize, parent: Option<usize>, values: &mut Vec<Value>) -> bool {
    const MOST: usize = 4096;
    let before = values.len();
    let mut at = 0;
    while at < data.len() && values.len() < MOST {
        let Some((contents, end)) = header(&data[at..]) else {
            values.truncate(before);
            return false;
        };
        let index = values.len();
        values.push(Value { start: offset + at, contents: offset + at + contents, end: offset + at + end, parent });
        let holds = data[at] & 0x20 != 0 || (data[at] == 0x04 && data.get(at + contents) == Some(&0x30));
        if holds && values.len() < MOST {
            collect(&data[at + contents..at + end], offset + at + contents, Some(index), values);
        }
        at += end;
    }
    true
}

/// Where the contents of the first value begin, and where they end.
fn header(data: &[u8]) -> Option<(usize, usize)> {
    let first = usize::from(*data.get(1)?);
    let (contents, length) = match first {
        0..=0x7f => (2, first),
        0x81..=0x83 => {
            let octets = data.get(2..2 + (first & 0x7f))?;
            (2 + octets.len(), octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)))
        }
        _ => return None,
    };
    (contents + length <= data.len()).then_some((contents, contents + length))
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    match length {
        0..=0x7f => out.push(length as u8),
        0x80..=0xff => out.extend([0x81, length as u8]),
        0x100..=0xffff => out.extend([0x82, (length >> 8) as u8, length as u8]),
        _ => out.extend([0x83, (length >> 16) as u8, (length >> 8) as u8, length as u8]),
    }
}
