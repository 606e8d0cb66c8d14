//! How much of a ClientHello is there, before rustls sees a byte: an unfinished one costs its own bytes and no more.

/// Longest ClientHello that is read, in bytes of the handshake message. RFC 8446 allows 16 MiB, Java takes 32 KiB;
/// clients send 300 to 2,000, the larger ones with a post-quantum key share.
pub(crate) const LONGEST: usize = 16 * 1024;

/// Most records that one ClientHello is cut into. Clients use one; some networks cut it into a few.
const RECORDS: usize = 64;

/// Most bytes that are read before a ClientHello is whole: the message, its header, the records' headers.
pub(crate) const MOST_BYTES: usize = LONGEST + MESSAGE_HEADER + RECORDS * RECORD_HEADER;

const RECORD_HEADER: usize = 5;
const MESSAGE_HEADER: usize = 4;
/// `ContentType.handshake` (RFC 8446 §5.1).
const HANDSHAKE: u8 = 0x16;
/// `HandshakeType.client_hello` (RFC 8446 §4).
const CLIENT_HELLO: u8 = 1;

/// What the first bytes of a connection amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More is to come.
    Unfinished,
    /// A whole ClientHello, or something that rustls refuses at once.
    Whole,
    /// The ClientHello says that it is longer than [`LONGEST`], or comes in more than 64 records.
    TooLong,
}

/// Looks at the bytes that have come so far, the first of which begins a TLS record.
pub(crate) fn progress(bytes: &[u8]) -> Progress {
    let mut header = [0_u8; MESSAGE_HEADER];
    let (mut rest, mut message) = (bytes, 0_usize);
    for _record in 0..RECORDS {
        let Some((record, behind)) = rest.split_at_checked(RECORD_HEADER) else { return Progress::Unfinished };
        let length = usize::from(u16::from_be_bytes([record[3], record[4]]));
        if record[0] != HANDSHAKE || length == 0 {
            return Progress::Whole;
        }
        let (fragment, behind) = behind.split_at(length.min(behind.len()));
        for (to, from) in header.iter_mut().skip(message).zip(fragment) {
            *to = *from;
        }
        message += fragment.len();
        if message >= 1 && header[0] != CLIENT_HELLO {
            return Progress::Whole;
        }
        if message >= MESSAGE_HEADER {
            let said = u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
            if said > LONGEST {
                return Progress::TooLong;
            }
            if message >= MESSAGE_HEADER + said {
                return Progress::Whole;
            }
        }
        if fragment.len() < length {
            return Progress::Unfinished;
        }
        rest = behind;
    }
    Progress::TooLong
}

/// Whether a whole ClientHello is that of SSL 3.0. Clients of TLS may use a record of that version too, so the version in
/// the hello, behind the headers, decides.
pub(crate) fn is_of_ssl3(bytes: &[u8]) -> bool {
    const SSL3: [u8; 2] = [3, 0];
    let hello = RECORD_HEADER + MESSAGE_HEADER;
    bytes.get(1..3) == Some(&SSL3)
        && bytes.get(hello - MESSAGE_HEADER) == Some(&CLIENT_HELLO)
        && bytes.get(hello..hello + 2) == Some(&SSL3)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hello(length: usize) -> Vec<u8> {
        let said = u32::try_from(length).unwrap().to_be_bytes();
        [&[CLIENT_HELLO, said[1], said[2], said[3]][..], &vec![7; length]].concat()
    }

    /// A message in records of these sizes, the last of which takes what is left.
    fn records(message: &[u8], sizes: &[usize]) -> Vec<u8> {
        let mut rest = message;
        let mut wire = Vec::new();
        for size in sizes.iter().copied().chain(std::iter::repeat(usize::MAX)) {
            let (fragment, behind) = rest.split_at(size.min(rest.len()).min(16_384));
            let length = u16::try_from(fragment.len()).unwrap().to_be_bytes();
            wire.extend([HANDSHAKE, 3, 1, length[0], length[1]]);
            wire.extend(fragment);
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        wire
    }

    #[test]
    fn a_hello_is_whole_with_its_last_byte() {
        let wire = records(&hello(517), &[]);
        for end in 0..wire.len() {
            assert_eq!(progress(&wire[..end]), Progress::Unfinished, "{end}");
        }
        assert_eq!(progress(&wire), Progress::Whole);
        assert_eq!(progress(&[&wire[..], b"more"].concat()), Progress::Whole);
    }

    #[test]
    fn a_long_one_is_refused_at_its_header() {
        assert_eq!(progress(&records(&hello(LONGEST), &[])), Progress::Whole);
        let wire = records(&hello(LONGEST + 1), &[]);
        assert_eq!(progress(&wire[..RECORD_HEADER + MESSAGE_HEADER - 1]), Progress::Unfinished);
        assert_eq!(progress(&wire[..RECORD_HEADER + MESSAGE_HEADER]), Progress::TooLong);
    }

    #[test]
    fn one_in_many_pieces_is_refused() {
        let message = hello(200);
        assert_eq!(progress(&records(&message, &[1; RECORDS - 1])), Progress::Whole);
        assert_eq!(progress(&records(&message, &[1; RECORDS])), Progress::TooLong);
        let longest = records(&hello(LONGEST), &[1; RECORDS - 2]);
        assert!(longest.len() <= MOST_BYTES, "{}", longest.len());
        assert_eq!(progress(&longest), Progress::Whole);
    }

    #[test]
    fn what_rustls_refuses_is_left_to_it() {
        for bytes in [&[0x15, 3, 1, 0, 2, 1, 0][..], &[HANDSHAKE, 3, 1, 0, 0], &[HANDSHAKE, 3, 1, 0, 1, 2]] {
            assert_eq!(progress(bytes), Progress::Whole, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn the_cuts_make_no_difference(length in 0_usize..3000, cuts in prop::collection::vec(1_usize..900, 0..20)) {
            let wire = records(&hello(length), &cuts);
            prop_assert_eq!(progress(&wire), Progress::Whole);
            prop_assert_eq!(progress(&wire[..wire.len() - 1]), Progress::Unfinished);
        }
    }
}
