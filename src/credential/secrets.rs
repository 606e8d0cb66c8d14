//! The file of identity secrets: one a line, the first one for new ACLs, the others until rotation is over.

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// Shortest secret, in bytes of text. Whoever reads an ACL can try secrets against it for ever.
pub const MIN_SECRET: usize = 32;

/// Most secrets in a file: for each one, a packet is injected into every session.
pub const MAX_SECRETS: usize = 8;

/// The secrets that passwords are derived from; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentitySecrets(Vec<Secret>);

impl IdentitySecrets {
    /// Reads a secrets file: one secret a line, white space around it dropped; empty lines and lines that begin
    /// with `#` are ignored. The text of the line is the key, whatever it may encode.
    ///
    /// # Errors
    ///
    /// When a line is not text or too short, when a secret is there twice, or there are none, or more than
    /// [`MAX_SECRETS`]. Errors tell the line's number, never what it says.
    pub fn parse(file: &[u8]) -> Result<Self, SecretsError> {
        let mut secrets: Vec<Secret> = Vec::new();
        for (index, line) in file.split(|&byte| byte == b'\n').enumerate() {
            let number = index + 1;
            let text = line.trim_ascii();
            // A NUL or a byte order mark tells a file in UTF-16, whose secrets no other tool would read alike.
            if !is_text(text) {
                return Err(SecretsError::NotText { line: number });
            }
            if text.is_empty() || text.starts_with(b"#") {
                continue;
            }
            if text.len() < MIN_SECRET {
                return Err(SecretsError::TooShort { line: number, bytes: text.len() });
            }
            if secrets.iter().any(|secret| secret.expose() == text) {
                return Err(SecretsError::Duplicate { line: number });
            }
            if secrets.len() == MAX_SECRETS {
                return Err(SecretsError::TooMany { line: number });
            }
            secrets.push(Secret::new(text.to_vec()));
        }
        if secrets.is_empty() { Err(SecretsError::Empty) } else { Ok(Self(secrets)) }
    }

    /// The secret that new ACLs are made with.
    pub fn first(&self) -> &Secret {
        &self.0[0]
    }

    /// Every secret, in the order of the file. A session gets a credential of each.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Secret> {
        self.0.iter()
    }
}

/// What is wrong with a secrets file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    /// No line holds a secret.
    #[error("no secret in it: make one with `zoogate secret`")]
    Empty,
    /// The line is not UTF-8 or holds control characters or a byte order mark.
    #[error("line {line} is not plain text: save the file as UTF-8 without a byte order mark")]
    NotText {
        /// The line's number, from 1.
        line: usize,
    },
    /// The secret is shorter than [`MIN_SECRET`].
    #[error(
        "the secret in line {line} has {bytes} bytes, and {MIN_SECRET} is the least: make one with `zoogate secret`"
    )]
    TooShort {
        /// The line's number, from 1.
        line: usize,
        /// How long the secret is.
        bytes: usize,
    },
    /// An earlier line holds the same secret.
    #[error("line {line} repeats a secret: remove it")]
    Duplicate {
        /// The line's number, from 1.
        line: usize,
    },
    /// There are more than [`MAX_SECRETS`].
    #[error("line {line} holds one secret more than {MAX_SECRETS}: remove those that are rotated out")]
    TooMany {
        /// The line's number, from 1.
        line: usize,
    },
}

/// Makes a new secret: 32 random bytes as 43 characters of base64url.
///
/// # Panics
///
/// When the operating system gives no random bytes.
pub fn generate() -> Secret {
    let mut bytes = Zeroizing::new([0; 32]);
    rand::fill(bytes.as_mut_slice()).expect("the operating system has random bytes");
    Secret::new(BASE64_URL_SAFE_NO_PAD.encode(bytes.as_slice()).into_bytes())
}

fn is_text(line: &[u8]) -> bool {
    const BYTE_ORDER_MARK: char = '\u{feff}';
    std::str::from_utf8(line)
        .is_ok_and(|text| !text.contains(|c: char| c == BYTE_ORDER_MARK || (c.is_control() && c != '\t')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "0123456789abcdef0123456789abcdef";
    const TWO: &str = "fedcba9876543210fedcba9876543210";

    fn parsed(file: &str) -> Result<Vec<String>, SecretsError> {
        let text = |secret: &Secret| String::from_utf8(secret.expose().to_vec()).unwrap();
        IdentitySecrets::parse(file.as_bytes()).map(|secrets| secrets.iter().map(text).collect())
    }

    #[test]
    fn a_file_holds_one_secret_a_line_between_comments_and_empty_lines() {
        assert_eq!(parsed(ONE).unwrap(), [ONE]);
        assert_eq!(parsed(&format!("# new\n\n  {ONE} \t\r\n   # old\r\n{TWO}\n\n")).unwrap(), [ONE, TWO]);
        assert_eq!(
            IdentitySecrets::parse(format!("{TWO}\n{ONE}").as_bytes()).unwrap().first().expose(),
            TWO.as_bytes()
        );
    }

    #[test]
    fn a_file_without_secrets_is_refused() {
        assert_eq!(parsed("").unwrap_err(), SecretsError::Empty);
        assert_eq!(parsed("# soon\n \n").unwrap_err(), SecretsError::Empty);
    }

    #[test]
    fn a_short_secret_is_refused_by_line_and_not_shown() {
        let error = parsed(&format!("#\n{ONE}\n{}\n", &TWO[1..])).unwrap_err();
        assert_eq!(error, SecretsError::TooShort { line: 3, bytes: 31 });
        assert!(error.to_string().contains("line 3") && !error.to_string().contains(&TWO[1..5]), "{error}");
    }

    #[test]
    fn a_secret_twice_is_refused() {
        assert_eq!(parsed(&format!("{ONE}\n{TWO}\n {ONE}\n")).unwrap_err(), SecretsError::Duplicate { line: 3 });
    }

    #[test]
    fn more_than_eight_secrets_are_refused() {
        let lines = |count: usize| (0..count).map(|n| format!("{ONE}{n}\n")).collect::<String>();
        assert_eq!(parsed(&lines(8)).unwrap().len(), 8);
        assert_eq!(parsed(&lines(9)).unwrap_err(), SecretsError::TooMany { line: 9 });
    }

    #[test]
    fn a_file_that_is_not_plain_text_is_refused() {
        let not_text = |file: &[u8]| IdentitySecrets::parse(file).unwrap_err();
        assert_eq!(not_text(format!("\u{feff}{ONE}").as_bytes()), SecretsError::NotText { line: 1 });
        assert_eq!(not_text(format!("{ONE}\n{TWO}\0").as_bytes()), SecretsError::NotText { line: 2 });
        assert_eq!(not_text(format!("{ONE}\r{TWO}").as_bytes()), SecretsError::NotText { line: 1 });
        assert_eq!(not_text(&[0xff; 40]), SecretsError::NotText { line: 1 });
    }

    #[test]
    fn secrets_are_not_shown_by_debug() {
        let shown = format!("{:?}", IdentitySecrets::parse(ONE.as_bytes()).unwrap());
        assert!(!shown.contains("0123"), "{shown}");
    }

    #[test]
    fn generated_secrets_are_accepted_and_differ() {
        let (one, two) = (generate(), generate());
        assert_ne!(one, two);
        assert_eq!(one.expose().len(), 43);
        assert!(one.expose().iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)));
        let file = [one.expose(), b"\n", two.expose()].concat();
        assert_eq!(IdentitySecrets::parse(&file).unwrap().iter().len(), 2);
    }
}
