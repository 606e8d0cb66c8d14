//! Four-letter words: plaintext commands in the first four bytes of a connection
//! (`server/command/FourLetterCommands.java`).

use std::fmt;
use std::str::FromStr;

/// Every word of the servers 3.4 to 3.9.
const WORDS: [&str; 18] = [
    "conf", "cons", "crst", "dirs", "dump", "envi", "gtmk", "hash", "isro", "mntr", "ruok", "srst", "srvr", "stat",
    "stmk", "wchc", "wchp", "wchs",
];

/// A word that some ZooKeeper server knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FourLetterWord(&'static str);

impl FourLetterWord {
    /// Recognises the first four bytes of a connection. No word is a plausible frame length: read as one,
    /// each is over 1.6 GiB.
    pub fn recognise(bytes: [u8; 4]) -> Option<Self> {
        WORDS.iter().find(|word| word.as_bytes() == bytes).map(|word| Self(word))
    }

    /// The word.
    pub fn as_str(self) -> &'static str {
        self.0
    }

    /// What a server answers to a word that is not on its own allow-list.
    pub fn refusal(self) -> String {
        format!("{} is not executed because it is not in the whitelist.\n", self.0)
    }
}

impl fmt::Display for FourLetterWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The text is none of the words that ZooKeeper servers know.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a four-letter word of ZooKeeper; known are {}", WORDS.join(", "))]
pub struct UnknownWord;

impl FromStr for FourLetterWord {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let bytes: [u8; 4] = text.as_bytes().try_into().map_err(|_| UnknownWord)?;
        Self::recognise(bytes).ok_or(UnknownWord)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_from_lengths() {
        assert_eq!(FourLetterWord::recognise(*b"ruok").map(FourLetterWord::as_str), Some("ruok"));
        assert_eq!(FourLetterWord::recognise(45_i32.to_be_bytes()), None);
        assert_eq!(FourLetterWord::recognise(*b"GET "), None);
    }

    #[test]
    fn text_is_parsed_exactly() {
        assert_eq!("srvr".parse::<FourLetterWord>().map(FourLetterWord::as_str), Ok("srvr"));
        for text in ["", "RUOK", "ruok ", "srv"] {
            assert_eq!(text.parse::<FourLetterWord>(), Err(UnknownWord), "{text:?}");
        }
    }
}
