//! The commands that messages about files advise.
//!
//! They stand in one table, so that a test can run each: an advice that fails when it is typed is worse than none.

use std::fmt;

macro_rules! table {
    ($($(#[$doc:meta])+ $name:ident => $command:literal,)+) => {
        /// A command for a person to type. Words in capitals stand for their own files and names.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Advice {
            $($(#[$doc])+ $name,)+
        }

        impl Advice {
            /// Every advice.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The command, for a shell.
            pub fn command(self) -> &'static str {
                match self {
                    $(Self::$name => $command,)+
                }
            }
        }
    };
}

table! {
    /// All of a PKCS#12 store as PEM, the key unencrypted. Without `-legacy`, OpenSSL 3 knows neither RC2 nor RC4.
    Pkcs12ToPem => "openssl pkcs12 -legacy -in OLD.p12 -nodes -out ALL.pem",
    /// The same for a store whose MAC OpenSSL 3.0 doesn't know.
    Pkcs12ToPemUnchecked => "openssl pkcs12 -legacy -nomacver -in OLD.p12 -nodes -out ALL.pem",
    /// And back into a store.
    PemToPkcs12 => "openssl pkcs12 -export -in ALL.pem -out NEW.p12",
    /// A store of Bouncy Castle's FIPS provider into one that everybody reads.
    BcfksToPkcs12 => "keytool -importkeystore -providerpath bcprov.jar -provider org.bouncycastle.jce.provider.BouncyCastleProvider -srckeystore OLD.bcfks -srcstoretype BCFKS -destkeystore NEW.p12 -deststoretype PKCS12",
    /// The same for Bouncy Castle's first kind of store.
    BksToPkcs12 => "keytool -importkeystore -providerpath bcprov.jar -provider org.bouncycastle.jce.provider.BouncyCastleProvider -srckeystore OLD.bks -srcstoretype BKS -destkeystore NEW.p12 -deststoretype PKCS12",
    /// The same for the encrypted one.
    UberToPkcs12 => "keytool -importkeystore -providerpath bcprov.jar -provider org.bouncycastle.jce.provider.BouncyCastleProvider -srckeystore OLD.uber -srcstoretype UBER -destkeystore NEW.p12 -deststoretype PKCS12",
    /// A key whose encryption is too old.
    EncryptAnew => "openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD.pem -out NEW.pem",
    /// The same, where OpenSSL 3 keeps the old cipher in its legacy provider.
    EncryptAnewLegacy => "openssl pkcs8 -topk8 -v2 aes-256-cbc -provider legacy -provider default -in OLD.pem -out NEW.pem",
    /// A certificate without OpenSSL's own trust settings.
    PlainCertificate => "openssl x509 -in OLD.pem -out NEW.pem",
    /// What a certificate says.
    LookAtCertificate => "openssl x509 -in CERTIFICATE.pem -noout -text",
    /// OpenSSH's own form of keys; it is rewritten in place.
    OpenSshKey => "ssh-keygen -p -m PKCS8 -f COPY",
    /// A key in DER.
    DerKey => "openssl pkey -inform DER -in OLD.der -out NEW.pem",
    /// An encrypted key in DER.
    EncryptedDerKey => "openssl pkcs8 -topk8 -v2 aes-256-cbc -inform DER -in OLD.der -out NEW.pem",
    /// One certificate of a store that keytool reads.
    ExportByKeytool => "keytool -exportcert -rfc -alias ALIAS -keystore OLD.jks -file NEW.pem",
    /// The certificates of a PKCS#12 store.
    ExportByOpenssl => "openssl pkcs12 -legacy -nokeys -in OLD.p12 -out NEW.pem",
    /// An entry that has no place in the store.
    DeleteEntry => "keytool -delete -alias ALIAS -keystore STORE",
    /// UTF-16 with a byte order mark.
    FromUtf16 => "iconv -f UTF-16 -t UTF-8 OLD > NEW",
    /// UTF-16 without a mark, the low byte first.
    FromUtf16Le => "iconv -f UTF-16LE -t UTF-8 OLD > NEW",
    /// UTF-16 without a mark, the high byte first.
    FromUtf16Be => "iconv -f UTF-16BE -t UTF-8 OLD > NEW",
    /// PEM whose lines are indented.
    Unindent => "sed 's/^[[:space:]]*//' OLD.pem > NEW.pem",
    /// PEM whose newlines are written as a backslash and an n.
    RealNewlines => "xargs -0 printf %b < OLD.pem > NEW.pem",
    /// PEM whose BEGIN and END lines have no lines of their own.
    OwnLines => "awk '{ gsub(/-----(BEGIN|END) [A-Z0-9 ]+-----/, RS \"&\" RS); print }' OLD.pem > NEW.pem",
    /// What was encoded once more, as in a Secret of Kubernetes, or has lost its BEGIN and END lines.
    DecodeBase64 => "base64 -d OLD > NEW",
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.command())
    }
}
