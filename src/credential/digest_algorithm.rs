//! The hash of ZooKeeper's `digest` scheme, which a server may choose among all that its JVM has
//! (`zookeeper.DigestAuthenticationProvider.digestAlg`, since 3.7).

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use md5::Digest as _;

/// How a server hashes `digest` credentials. Every server of an ensemble must hash alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DigestAlgorithm {
    /// MD5; only for servers that were set to it.
    Md5,
    /// SHA-1, what ZooKeeper does unless told otherwise.
    #[default]
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// SHA-512/256.
    Sha512_256,
    /// SHA3-256 (Java 9 and later).
    Sha3_256,
    /// SHA3-384 (Java 9 and later).
    Sha3_384,
    /// SHA3-512 (Java 9 and later).
    Sha3_512,
}

impl DigestAlgorithm {
    /// Every algorithm, in the order of the documentation.
    pub const ALL: &'static [Self] = &[
        Self::Md5,
        Self::Sha1,
        Self::Sha224,
        Self::Sha256,
        Self::Sha384,
        Self::Sha512,
        Self::Sha512_256,
        Self::Sha3_256,
        Self::Sha3_384,
        Self::Sha3_512,
    ];

    /// The standard name in the Java Cryptography Architecture, to be put into a server's settings.
    pub fn jca_name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA-1",
            Self::Sha224 => "SHA-224",
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
            Self::Sha512_256 => "SHA-512/256",
            Self::Sha3_256 => "SHA3-256",
            Self::Sha3_384 => "SHA3-384",
            Self::Sha3_512 => "SHA3-512",
        }
    }

    /// The word that stands for this algorithm in the configuration: `sha1`, `sha-256` and so on.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha224 => "sha-224",
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
            Self::Sha512_256 => "sha-512/256",
            Self::Sha3_256 => "sha3-256",
            Self::Sha3_384 => "sha3-384",
            Self::Sha3_512 => "sha3-512",
        }
    }

    pub(super) fn hash(self, data: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Md5 => return md5::Md5::digest(data).to_vec(),
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha224 => &digest::SHA224,
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
            Self::Sha512_256 => &digest::SHA512_256,
            Self::Sha3_256 => &digest::SHA3_256,
            Self::Sha3_384 => &digest::SHA3_384,
            Self::Sha3_512 => &digest::SHA3_512,
        };
        digest::digest(algorithm, data).as_ref().to_vec()
    }
}

impl fmt::Display for DigestAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.jca_name())
    }
}

impl FromStr for DigestAlgorithm {
    type Err = UnknownDigestAlgorithm;

    /// Takes what Java takes: its standard names and `SHA`, `SHA1`, `SHA256` and the like, in any case.
    fn from_str(name: &str) -> Result<Self, UnknownDigestAlgorithm> {
        let name = name.to_ascii_uppercase();
        if name == "SHA" {
            return Ok(Self::Sha1);
        }
        let is_name = |algorithm: &Self| {
            let standard = algorithm.jca_name();
            // Java has no alias without the hyphen for SHA3: "SHA3256" would be hard to read.
            name == standard || (!standard.starts_with("SHA3") && name == standard.replacen('-', "", 1))
        };
        Self::ALL.iter().copied().find(is_name).ok_or(UnknownDigestAlgorithm)
    }
}

/// The name is of no [`DigestAlgorithm`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not one of md5, sha1, sha-224, sha-256, sha-384, sha-512, sha-512/256, sha3-256, sha3-384, sha3-512")]
pub struct UnknownDigestAlgorithm;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn algorithms_are_parsed_by_java_names_in_any_case() {
        let cases = [
            ("SHA1", DigestAlgorithm::Sha1),
            ("sha-1", DigestAlgorithm::Sha1),
            ("SHA", DigestAlgorithm::Sha1),
            ("Sha-256", DigestAlgorithm::Sha256),
            ("sha512", DigestAlgorithm::Sha512),
            ("SHA512/256", DigestAlgorithm::Sha512_256),
            ("sha3-256", DigestAlgorithm::Sha3_256),
            ("md5", DigestAlgorithm::Md5),
        ];
        for (name, algorithm) in cases {
            assert_eq!(name.parse(), Ok(algorithm), "{name}");
        }
        for algorithm in DigestAlgorithm::ALL {
            assert_eq!(algorithm.as_str().parse(), Ok(*algorithm));
            assert_eq!(algorithm.to_string().parse(), Ok(*algorithm));
            assert!(UnknownDigestAlgorithm.to_string().contains(algorithm.as_str()));
        }
    }

    #[test]
    fn other_names_are_refused() {
        for name in ["", "sha2", "sha_256", " sha1", "sha3256", "sha--256", "crc32"] {
            assert_eq!(name.parse::<DigestAlgorithm>(), Err(UnknownDigestAlgorithm), "{name}");
        }
    }
}
