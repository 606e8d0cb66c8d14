//! Every command that a message advises is typed here, for a file that gets the message.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use zoogate::store::{Advice, KeyStorePaths, StoreError, load_certificates, load_key_store, load_trust_store};

use crate::formats::file;
use crate::keys::bench;
use crate::workshop::{PASSWORD, Workshop, fault, load, secret};

/// What a message about a file says.
type Told = String;

/// Types a command in a shell, with the words in capitals replaced. Passwords come from options in place of a terminal.
fn type_in(shop: &Workshop, advice: Advice, words: &[(&str, &str)], passwords: &str) {
    let mut command = advice.command().to_owned();
    for (word, own) in words {
        assert!(command.contains(word), "no {word} in `{command}`");
        command = command.replace(word, own);
    }
    let output = Command::new("sh")
        .args(["-c", &format!("{command} {passwords}")])
        .current_dir(shop.path(""))
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    assert!(output.status.success(), "`{command}`: {}", String::from_utf8_lossy(&output.stderr));
}

fn refused<T>(result: Result<T, StoreError>) -> Told {
    fault(result).to_string()
}

/// One file, which is refused with the advice, becomes what is read, and nothing else is changed.
fn follow(advice: Advice) {
    let shop = bench();
    let told = match advice {
        Advice::Pkcs12ToPem | Advice::PemToPkcs12 => pkcs12(&shop),
        Advice::Pkcs12ToPemUnchecked => pkcs12_with_an_unknown_mac(&shop),
        Advice::BcfksToPkcs12 | Advice::BksToPkcs12 | Advice::UberToPkcs12 => bouncy_castle(&shop, advice),
        Advice::EncryptAnew => sealed(&shop, advice, "openssl rsa -traditional -aes128 -in server.key -out OLD"),
        Advice::EncryptAnewLegacy => {
            let old = "openssl rsa -traditional -des -provider legacy -provider default -in server.key -out OLD";
            sealed(&shop, advice, old)
        }
        Advice::PlainCertificate => {
            shop.run("openssl x509 -in root.crt -trustout -addtrust clientAuth -out old.pem");
            trusted_after(&shop, advice, &[("OLD.pem", "old.pem"), ("NEW.pem", "new.pem")], ("old.pem", "new.pem"))
        }
        Advice::LookAtCertificate => {
            type_in(&shop, advice, &[("CERTIFICATE.pem", "root.crt")], "");
            advice.command().to_owned()
        }
        Advice::OpenSshKey => open_ssh(&shop),
        Advice::DerKey | Advice::EncryptedDerKey => der_key(&shop, advice),
        Advice::ExportByKeytool | Advice::ExportByOpenssl => export(&shop, advice),
        Advice::DeleteEntry => delete_entry(&shop),
        Advice::FromUtf16 | Advice::FromUtf16Le | Advice::FromUtf16Be => utf16(&shop, advice),
        Advice::Unindent | Advice::RealNewlines | Advice::OwnLines => lines(&shop, advice),
        Advice::DecodeBase64 => base64(&shop),
    };
    assert!(told.contains(&format!("`{}`", advice.command())) || told == advice.command(), "{advice:?}: {told}");
}

#[test]
fn every_command_that_a_message_advises_does_what_it_says() {
    for advice in Advice::ALL {
        follow(*advice);
    }
}

/// Loads the new store, which must be the server's.
fn is_the_servers(shop: &Workshop, name: &str, password: Option<&str>) {
    let store = load(&shop.path(name), password).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(store.key.secret_der(), shop.read("server.pk8"), "{name}");
    assert_eq!(store.chain[0].to_vec(), shop.certificate("server.crt"), "{name}");
}

fn trusted_after(shop: &Workshop, advice: Advice, words: &[(&str, &str)], (old, new): (&str, &str)) -> Told {
    let told = refused(load_trust_store(&shop.path(old), None));
    type_in(shop, advice, words, "");
    let store = load_trust_store(&shop.path(new), None).unwrap_or_else(|error| panic!("{advice:?}: {error}"));
    assert_eq!(store.certificates[0].certificate.to_vec(), shop.certificate("root.crt"), "{advice:?}");
    told
}

fn pkcs12(shop: &Workshop) -> Told {
    let export = "openssl pkcs12 -export -inkey server.key -in chain.pem -passout pass:changeit -out";
    let mut told = Told::new();
    for (name, options) in [
        ("camellia.p12", "-keypbe CAMELLIA-256-CBC -certpbe CAMELLIA-256-CBC"),
        ("rc4.p12", "-legacy -keypbe PBE-SHA1-RC4-128 -certpbe PBE-SHA1-RC4-40"),
    ] {
        shop.run(&format!("{export} {name} {options}"));
        told = refused(load(&shop.path(name), Some(PASSWORD)));
        type_in(shop, Advice::Pkcs12ToPem, &[("OLD.p12", name), ("ALL.pem", "all.pem")], "-passin pass:changeit");
        is_the_servers(shop, "all.pem", None);
        type_in(shop, Advice::PemToPkcs12, &[("ALL.pem", "all.pem"), ("NEW.p12", "new.p12")], "-passout pass:changeit");
        is_the_servers(shop, "new.p12", Some(PASSWORD));
    }
    assert!(told.contains("PBE-SHA1-RC4-40"), "{told}");
    told
}

fn pkcs12_with_an_unknown_mac(shop: &Workshop) -> Told {
    std::fs::copy(file("openssl-3.5-pbmac1-sha512-256.p12"), shop.path("old.p12")).unwrap();
    let told = refused(load(&shop.path("old.p12"), Some(PASSWORD)));
    assert!(told.contains("PBMAC1") && told.contains("3.4"), "{told}");
    let words = [("OLD.p12", "old.p12"), ("ALL.pem", "all.pem")];
    type_in(shop, Advice::Pkcs12ToPemUnchecked, &words, "-passin pass:changeit");
    assert_eq!(load(&shop.path("all.pem"), None).unwrap().chain.len(), 1);
    told
}

fn bouncy_castle(shop: &Workshop, advice: Advice) -> Told {
    let (word, name) = match advice {
        Advice::BcfksToPkcs12 => ("OLD.bcfks", "bouncycastle.bcfks"),
        Advice::BksToPkcs12 => ("OLD.bks", "bouncycastle.bks"),
        _ => ("OLD.uber", "bouncycastle.uber"),
    };
    let jar = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bouncycastle/bcprov.jar");
    assert!(jar.exists(), "{} is needed by this test: run `make setup`", jar.display());
    std::fs::copy(file(name), shop.path(name)).unwrap();
    let jar = jar.to_string_lossy();
    let words = [("bcprov.jar", &*jar), (word, name), ("NEW.p12", "new.p12")];
    type_in(shop, advice, &words, "-noprompt -srcstorepass changeit -deststorepass changeit");
    assert_eq!(load(&shop.path("new.p12"), Some(PASSWORD)).unwrap().chain.len(), 1);
    refused(load(&shop.path(name), Some(PASSWORD)))
}

fn sealed(shop: &Workshop, advice: Advice, make: &str) -> Told {
    shop.run(&format!("{} -passout pass:changeit", make.replace("OLD", "old.pem")));
    let told = refused(load(&shop.path("old.pem"), Some(PASSWORD)));
    let words = [("OLD.pem", "old.pem"), ("NEW.pem", "new.pem")];
    type_in(shop, advice, &words, "-passin pass:changeit -passout pass:changeit");
    shop.write("all.pem", [shop.read("new.pem"), shop.read("chain.pem")].concat());
    is_the_servers(shop, "all.pem", Some(PASSWORD));
    told
}

fn open_ssh(shop: &Workshop) -> Told {
    // The same key in OpenSSH's form; `-p` with an empty passphrase rewrites it.
    shop.write("copy", shop.read("server.key"));
    let set = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(shop.path("copy"), set).unwrap();
    let quiet = Command::new("ssh-keygen").args(["-p", "-P", "", "-N", "", "-f"]).arg(shop.path("copy")).output();
    assert!(quiet.expect("openssh-client is needed by this test").status.success());
    let old = shop.write("old.pem", [shop.read("copy"), shop.read("chain.pem")].concat());
    let told = refused(load(&old, None));
    type_in(shop, Advice::OpenSshKey, &[("COPY", "copy")], "-P '' -N ''");
    shop.write("all.pem", [shop.read("copy"), shop.read("chain.pem")].concat());
    is_the_servers(shop, "all.pem", None);
    told
}

fn der_key(shop: &Workshop, advice: Advice) -> Told {
    let sealed = advice == Advice::EncryptedDerKey;
    let how = if sealed { "-passout pass:changeit" } else { "-nocrypt" };
    shop.run(&format!("openssl pkcs8 -topk8 -in server.key -outform DER -out old.der {how}"));
    let password = secret(PASSWORD);
    let load = |key: &str| {
        let (path, key_path): (PathBuf, PathBuf) = (shop.path("chain.pem"), shop.path(key));
        let (key_path, password) = (Some(&*key_path), Some(&password));
        load_key_store(KeyStorePaths { path: &path, key_path, password, key_password: None })
    };
    let told = refused(load("old.der"));
    let passwords = if sealed { "-passin pass:changeit -passout pass:changeit" } else { "" };
    type_in(shop, advice, &[("OLD.der", "old.der"), ("NEW.pem", "new.pem")], passwords);
    assert_eq!(load("new.pem").unwrap().key.secret_der(), shop.read("server.pk8"));
    told
}

fn export(shop: &Workshop, advice: Advice) -> Told {
    shop.run("openssl pkcs12 -export -legacy -nokeys -in root.crt -passout pass:changeit -out old.p12");
    shop.run(
        "keytool -importcert -noprompt -alias ca -file root.crt -keystore old.jks -storetype JKS -storepass changeit",
    );
    let (name, words, passwords) = match advice {
        Advice::ExportByKeytool => ("old.jks", vec![("ALIAS", "ca"), ("OLD.jks", "old.jks")], "-storepass changeit"),
        _ => ("old.p12", vec![("OLD.p12", "old.p12")], "-passin pass:changeit"),
    };
    let told = refused(load_certificates(&shop.path(name)));
    type_in(shop, advice, &[words, vec![("NEW.pem", "new.pem")]].concat(), passwords);
    assert_eq!(load_certificates(&shop.path("new.pem")).unwrap()[0].to_vec(), shop.certificate("root.crt"));
    told
}

fn delete_entry(shop: &Workshop) -> Told {
    let to = "-keystore old.jceks -storetype JCEKS -storepass changeit";
    shop.run(&format!("keytool -genseckey -alias hush -keyalg AES -keysize 128 {to}"));
    shop.run(&format!("keytool -importcert -noprompt -alias ca -file root.crt {to}"));
    let told = refused(load_trust_store(&shop.path("old.jceks"), Some(&secret(PASSWORD))));
    let words = [("ALIAS", "hush"), ("STORE", "old.jceks")];
    type_in(shop, Advice::DeleteEntry, &words, "-storetype JCEKS -storepass changeit");
    assert_eq!(load_trust_store(&shop.path("old.jceks"), Some(&secret(PASSWORD))).unwrap().certificates.len(), 1);
    told
}

fn utf16(shop: &Workshop, advice: Advice) -> Told {
    let text = String::from_utf8(shop.read("root.crt")).unwrap();
    let (mark, bytes): (&str, fn(u16) -> [u8; 2]) = match advice {
        Advice::FromUtf16 => ("\u{feff}", u16::to_le_bytes),
        Advice::FromUtf16Le => ("", u16::to_le_bytes),
        _ => ("", u16::to_be_bytes),
    };
    let encoded: Vec<u8> = format!("{mark}{text}").encode_utf16().flat_map(bytes).collect();
    shop.write("old", encoded);
    trusted_after(shop, advice, &[("OLD", "old"), ("NEW", "new")], ("old", "new"))
}

fn lines(shop: &Workshop, advice: Advice) -> Told {
    let text = String::from_utf8(shop.read("root.crt")).unwrap();
    let variants = match advice {
        Advice::Unindent => {
            vec![format!("  {}", text.replace('\n', "\n  ")), format!("\t{}", text.replace('\n', "\n\t"))]
        }
        Advice::RealNewlines => vec![text.replace('\n', "\\n"), text.replace('\n', "\\r\\n")],
        _ => vec![
            format!("{}{text}", text.trim_end()),
            text.replace('\n', " "),
            text.replace("\n-----END", "-----END"),
            format!("certificate: \"{}\"\n", text.trim_end()),
        ],
    };
    let mut told = Told::new();
    for variant in variants {
        shop.write("old.pem", variant);
        told = trusted_after(shop, advice, &[("OLD.pem", "old.pem"), ("NEW.pem", "new.pem")], ("old.pem", "new.pem"));
    }
    told
}

fn base64(shop: &Workshop) -> Told {
    let text = String::from_utf8(shop.read("root.crt")).unwrap();
    shop.run("openssl base64 -in root.crt -out wrapped");
    shop.run("openssl base64 -A -in root.crt -out one-line");
    shop.write("bare", text.lines().filter(|line| !line.starts_with('-')).collect::<Vec<_>>().join("\n"));
    let mut told = Told::new();
    for old in ["wrapped", "one-line", "bare"] {
        told = trusted_after(shop, Advice::DecodeBase64, &[("OLD", old), ("NEW", "new")], (old, "new"));
    }
    told
}

/// Programs whose commands a message may advise.
const TOOLS: &[&str] =
    &["openssl", "keytool", "ssh-keygen", "iconv", "sed", "awk", "xargs", "base64", "certutil", "pk12util", "curl"];

#[test]
fn no_message_advises_a_command_that_is_not_in_the_table() {
    let known: BTreeSet<&str> = Advice::ALL.iter().map(|advice| advice.command()).collect();
    let (mut directories, mut seen) = (vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")], 0);
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") || path.ends_with("store/advice.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let is_comment = |line: &&str| line.trim_start().starts_with("//");
            // A string may go on in the next line, behind a backslash.
            let code: String =
                text.lines().filter(|line| !is_comment(line)).map(|line| format!("{}\n", line.trim())).collect();
            let code = code.replace("\\\n", "");
            for quoted in code.split('`').skip(1).step_by(2) {
                let tool = quoted.split_whitespace().next().unwrap_or_default();
                if TOOLS.contains(&tool) && quoted != tool {
                    assert!(known.contains(quoted), "{}: `{quoted}` is not in the table of advice", path.display());
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 0, "the one in `zoogate explain` was not found");
}
