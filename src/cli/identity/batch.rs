//! Certificates from standard input, base64 of DER, one a line; one JSON object a line on standard output.

use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, Read, Write};

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::Named;
use crate::cli::acl_ids::Naming;
use crate::cli::{Exit, complain, text};

/// Longest line, in bytes; certificates have a few thousand.
const MAX_LINE: u64 = 1024 * 1024;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) fn run(naming: &Naming) -> Exit {
    let input = BufReader::with_capacity(64 * 1024, io::stdin().lock());
    match name_all(naming, input, io::stdout().lock()) {
        Ok(Tally { unreadable: 0, .. }) => Exit::Ok,
        Ok(Tally { unreadable, lines }) => {
            let told = format!("{unreadable} of {lines} lines can't be read as base64 of a certificate");
            complain(&told, Exit::UnreadableInput)
        }
        // Whoever read the answers has enough of them.
        Err(Failure::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Exit::Ok,
        Err(Failure::Output(error)) => complain(&format!("can't write the answers: {error}"), Exit::Internal),
        Err(Failure::Input(error)) => complain(&format!("can't read standard input: {error}"), Exit::UnreadableInput),
    }
}

/// How many lines there were.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    lines: u64,
    unreadable: u64,
}

#[derive(Debug)]
enum Failure {
    Input(io::Error),
    Output(io::Error),
}

fn name_all(naming: &Naming, mut input: BufReader<impl Read>, output: impl Write) -> Result<Tally, Failure> {
    let mut output = BufWriter::with_capacity(64 * 1024, output);
    let mut tally = Tally::default();
    let mut line = Vec::new();
    loop {
        // Whoever sends one line and waits for its answer gets it; in bulk, many answers go at once.
        if input.buffer().is_empty() {
            output.flush().map_err(Failure::Output)?;
        }
        let Some(whole) = next_line(&mut input, &mut line).map_err(Failure::Input)? else { break };
        tally.lines += 1;
        let named = match decode(&line, whole) {
            Ok(der) => Named::of(naming, &der),
            Err(why) => {
                tally.unreadable += 1;
                Named::unreadable(why)
            }
        };
        writeln!(output, "{}", text::json(&named)).map_err(Failure::Output)?;
    }
    output.flush().map_err(Failure::Output)?;
    Ok(tally)
}

/// Reads a line into the buffer. Of one that is too long, the rest is skipped, and it is not whole; `None` at the end.
fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<bool>> {
    line.clear();
    if input.take(MAX_LINE + 1).read_until(b'\n', line)? == 0 {
        return Ok(None);
    }
    let whole = line.ends_with(b"\n") || line.len() as u64 <= MAX_LINE;
    if !whole {
        input.skip_until(b'\n')?;
    }
    Ok(Some(whole))
}

fn decode(line: &[u8], whole: bool) -> Result<Vec<u8>, String> {
    if !whole {
        return Err("the line is longer than 1 MiB".to_owned());
    }
    if line.trim_ascii().is_empty() {
        return Err("the line is blank".to_owned());
    }
    if line.starts_with(b"-----") {
        return Err("the line is of a PEM file; give the base64 of each certificate in a line of its own".to_owned());
    }
    BASE64.decode(line.trim_ascii()).map_err(|error| format!("the line is not base64: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::acl_ids::X509Id;
    use crate::config;
    use crate::identity::Source;
    use crate::snapshot::IdentityRules;

    fn answers(input: &[u8]) -> (Vec<serde_json::Value>, Tally) {
        let identity = config::Identity::plain(Source::Subject, config::Inject::None);
        let naming = Naming { rules: IdentityRules::load(&identity).unwrap(), x509: X509Id::Subject };
        let mut output = Vec::new();
        // A small buffer, so that lines are read in pieces.
        let tally = name_all(&naming, BufReader::with_capacity(7, input), &mut output).unwrap();
        let lines = String::from_utf8(output).unwrap();
        (lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), tally)
    }

    #[test]
    fn every_line_has_an_answer_and_the_last_one_needs_no_end() {
        let (answers, tally) = answers(b"\n  \r\nAAAA\r\n\nAAA");
        assert_eq!(tally, Tally { lines: 5, unreadable: 3 });
        let blank: Vec<_> = answers.iter().map(|answer| answer["detail"] == "the line is blank").collect();
        assert_eq!(blank, [true, true, false, true, false]);
        assert!(answers.iter().all(|answer| answer["reason"] == "malformed" && answer["identity"].is_null()));
    }

    #[test]
    fn a_line_that_is_too_long_costs_only_itself() {
        let long = vec![b'A'; 3 * MAX_LINE as usize];
        let (answers, tally) = answers(&[&long[..], b"\nAAAA\n", &long[..]].concat());
        assert_eq!(tally, Tally { lines: 3, unreadable: 2 });
        assert_eq!(answers.len(), 3);
        assert_eq!(answers[0]["detail"], "the line is longer than 1 MiB");
        assert_ne!(answers[1]["detail"], answers[0]["detail"]);
        // As long as is allowed, and one byte more.
        let (_, tally) = self::answers(&[&long[..MAX_LINE as usize], b"\n", &long[..=MAX_LINE as usize]].concat());
        assert_eq!(tally, Tally { lines: 2, unreadable: 1 });
    }

    #[test]
    fn lines_that_are_not_base64_are_told_and_counted() {
        let (answers, tally) = answers(b"-----BEGIN CERTIFICATE-----\n*\nAAAA\n");
        assert_eq!(tally, Tally { lines: 3, unreadable: 2 });
        assert!(answers[0]["detail"].as_str().unwrap().contains("PEM"), "{answers:?}");
    }
}
