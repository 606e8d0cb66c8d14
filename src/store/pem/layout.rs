//! What people and programs do to the lines of PEM: each is told by name, for what is passed over in silence may be a
//! CA or a revocation.

use std::ops::Range;

use super::{BEGIN, END, holds};
use crate::store::advice::Advice;
use crate::store::fault::StoreFault;

/// What is wrong with a line that has BEGIN or END, but not at its head.
pub(super) fn misplaced(line: &[u8], number: usize) -> Option<StoreFault> {
    if !holds(line, BEGIN) && !holds(line, END) {
        return None;
    }
    if is_indented(line) {
        return Some(StoreFault::Malformed(format!(
            "line {number} is indented, and BEGIN and END must be at the head of a line: take the blanks out with {}",
            Advice::Unindent
        )));
    }
    Some(own_lines(number))
}

/// Whether nothing but blanks is in front of BEGIN or END.
pub(super) fn is_indented(line: &[u8]) -> bool {
    let text = line.trim_ascii_start();
    text.len() < line.len() && (text.starts_with(BEGIN) || text.starts_with(END))
}

/// What is wrong with a line that begins with BEGIN or END and has more than that.
pub(super) fn overfull(line: &[u8], number: usize) -> Option<StoreFault> {
    let line = line.trim_ascii();
    if holds(line, br"\n") {
        return Some(StoreFault::Malformed(format!(
            "line {number} has its newlines written as `\\n`, a backslash and an n, as in an environment variable: \
             make real ones with {}",
            Advice::RealNewlines
        )));
    }
    let name = line.strip_prefix(BEGIN).or_else(|| line.strip_prefix(END))?;
    let end = name.windows(5).position(|window| window == b"-----")?;
    (end + 5 < name.len()).then(|| own_lines(number))
}

fn own_lines(number: usize) -> StoreFault {
    StoreFault::Malformed(format!(
        "line {number} has more on it than one BEGIN or END, perhaps for lost newlines: give each its own line with {}",
        Advice::OwnLines
    ))
}

/// Refuses a DER file among PEM, as `cat` makes it. Any other text between blocks is let be, and so are control
/// characters: friendly names are cut into some, and DOS ends files with one.
pub(super) fn check_gap(data: &[u8], gap: Range<usize>) -> Result<(), StoreFault> {
    let Some(at) = gap.into_iter().find(|at| begins_der(&data[*at..])) else { return Ok(()) };
    let number = 1 + data[..at].iter().filter(|byte| **byte == b'\n').count();
    let what = format!("line {number} is no text, beside PEM: give DER a file of its own, or convert it");
    Err(StoreFault::Malformed(what))
}

/// Whether a sequence begins here that fits what is there, and holds a sequence, a number or an identifier.
fn begins_der(data: &[u8]) -> bool {
    let (length, body) = match data {
        [0x30, 0x81, length, body @ ..] => (usize::from(*length), body),
        [0x30, 0x82, high, low, body @ ..] => (usize::from(*high) << 8 | usize::from(*low), body),
        [0x30, 0x83, high, middle, low, body @ ..] => {
            ([high, middle, low].iter().fold(0, |length, octet| length << 8 | usize::from(**octet)), body)
        }
        [0x30, 0x80, body @ ..] => return body.starts_with(&[2, 1, 3]) || body.starts_with(&[6, 9]),
        _ => return false,
    };
    length <= body.len() && matches!(body.first(), Some(0x30 | 0x02 | 0x06))
}
