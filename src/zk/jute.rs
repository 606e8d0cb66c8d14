//! Reading jute's variable-length types out of a frame (`BinaryInputArchive`). Every length is checked against
//! the bytes that are there.

use super::record::int;

/// What is left of a record. Each method takes a field from its front; `None` says that the record is shorter
/// than its fields claim, after which nothing else that is read means anything.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The fields of a record.
    pub fn new(record: &'a [u8]) -> Self {
        Self(record)
    }

    /// Everything that is left.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }

    /// So many bytes.
    pub fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    /// An `int`.
    pub fn int(&mut self) -> Option<i32> {
        self.bytes(4).map(|bytes| int(bytes, 0))
    }

    /// A `buffer` or `ustring`; null is an empty one's other spelling and is told as `Some(None)`.
    pub fn buffer(&mut self) -> Option<Option<&'a [u8]>> {
        match self.int()? {
            -1 => Some(None),
            length => self.bytes(usize::try_from(length).ok()?).map(Some),
        }
    }

    /// The count of a `vector`, null counted as none, if so many elements of at least `least` bytes can follow.
    pub fn count(&mut self, least: usize) -> Option<usize> {
        let count = match self.int()? {
            -1 => 0,
            count => usize::try_from(count).ok()?,
        };
        (count <= self.0.len() / least).then_some(count)
    }
}

/// Appends a `buffer` or `ustring`.
pub fn put_buffer(out: &mut Vec<u8>, bytes: &[u8]) {
    // What is written here was read from a frame or is as short as one.
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_taken_in_order() {
        let record = [&7_i32.to_be_bytes()[..], &3_i32.to_be_bytes(), b"abc", &(-1_i32).to_be_bytes(), b"!"].concat();
        let mut fields = Fields::new(&record);
        assert_eq!(fields.int(), Some(7));
        assert_eq!(fields.buffer(), Some(Some(&b"abc"[..])));
        assert_eq!(fields.buffer(), Some(None));
        assert_eq!(fields.rest(), b"!");
    }

    #[test]
    fn lengths_are_not_believed() {
        for length in [-2_i32, 5, i32::MAX, i32::MIN] {
            let record = [&length.to_be_bytes()[..], b"abcd"].concat();
            assert_eq!(Fields::new(&record).buffer(), None, "{length}");
        }
        assert_eq!(Fields::new(&i32::MAX.to_be_bytes()).count(12), None);
        assert_eq!(Fields::new(&[0, 0, 0, 2, 0, 0, 0]).count(2), None);
        assert_eq!(Fields::new(&[0, 0, 0, 1, 0, 0, 0]).count(2), Some(1));
        assert_eq!(Fields::new(&(-1_i32).to_be_bytes()).count(12), Some(0));
    }

    #[test]
    fn a_buffer_comes_back_as_it_was_put() {
        let mut out = Vec::new();
        put_buffer(&mut out, b"x509");
        assert_eq!(Fields::new(&out).buffer(), Some(Some(&b"x509"[..])));
    }
}
