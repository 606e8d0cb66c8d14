//! `zoogate identity`.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::workshop::{CONFIG, LEAF, Run, Workshop, certificate_of, der, pki};

fn spawn(shop: &Workshop, arguments: &str) -> Child {
    let mut command = shop.command(&format!("identity --batch {arguments}"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

fn batch(shop: &Workshop, arguments: &str, input: &str) -> Run {
    let mut child = spawn(shop, arguments);
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let run = Run::of(child.wait_with_output().unwrap());
    writer.join().unwrap().unwrap();
    run
}

fn objects(run: &Run) -> Vec<Value> {
    run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn base64_of(shop: &Workshop, name: &str) -> String {
    shop.run(&format!("openssl x509 -in {name}.crt -outform DER -out {name}.der"));
    BASE64_STANDARD.encode(shop.read(&format!("{name}.der")))
}

#[test]
fn the_first_line_is_what_set_acl_takes_and_the_second_the_native_id() {
    let shop = pki();
    let run = shop.zoogate("identity alice.crt --secret-file secrets");
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(run.stderr, "");
    let lines: Vec<&str> = run.stdout.lines().collect();
    let [digest, "x509:CN=alice,O=Acme"] = lines[..] else { panic!("{run:?}") };
    let hash = digest.strip_prefix("digest:x509/CN=alice%2CO=Acme:").expect("the user");
    assert_eq!(BASE64_STANDARD.decode(hash).unwrap().len(), 20, "SHA-1");
    let id = shop.zoogate("explain alice.crt --trust-store root.crt --secret-file secret --output json").json();
    assert_eq!(format!("digest:{}", id["acl_ids"]["digest"].as_str().unwrap()), digest);
}

#[test]
fn a_configuration_says_how_to_name_and_hash() {
    let shop = pki();
    // The trust store and the key store are not looked at.
    let config = CONFIG.replace("UPSTREAM", "127.0.0.1:2181").replace("root.crt", "nowhere").replace("server", "no");
    shop.write(
        "zoogate.yaml",
        config.replace("{ secret_file: secret", "{ from: san_dns, digest_algorithm: SHA-256, secret_file: secret"),
    );
    let by_config = shop.zoogate("identity alice.crt --config zoogate.yaml");
    assert_eq!(by_config.code, 0, "{by_config:?}");
    assert!(by_config.stdout.starts_with("digest:x509/alice.example:"), "{by_config:?}");
    let options = "--from san_dns --digest-algorithm SHA-256 --secret-file secret";
    assert_eq!(by_config.stdout, shop.zoogate(&format!("identity alice.crt {options}")).stdout);
}

/// Ids that the provider gives are the names that it is told, and there is no digest user.
#[test]
fn where_x509_ids_are_injected_the_identity_is_the_only_id() {
    let shop = pki();
    let config = CONFIG.replace("UPSTREAM", "127.0.0.1:2181");
    shop.write("by-name.yaml", config.replace("{ secret_file", "{ inject: x509, from: san_dns, secret_file"));
    let run = shop.zoogate("identity alice.crt --config by-name.yaml");
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (0, "x509:alice.example\n", ""));
    let answers = objects(&batch(&shop, "--config by-name.yaml", &base64_of(&shop, "alice")));
    assert_eq!(answers[0]["acl_ids"], json!({"x509": "alice.example", "digest": null}));

    shop.write("by-subject.yaml", config.replace("{ secret_file", "{ inject: x509, secret_file"));
    let run = shop.zoogate("identity alice.crt --config by-subject.yaml");
    assert_eq!((run.code, run.stdout.as_str()), (0, "x509:CN=alice,O=Acme\n"), "{run:?}");
    assert!(run.stderr.contains("identity.mapping") && !run.stderr.contains("digest"), "{run:?}");

    shop.issue(("empty", "/"), "root", "subjectAltName=critical,DNS:a.example\n");
    let run = shop.zoogate("identity empty.crt --config by-subject.yaml");
    assert_eq!((run.code, run.stdout.as_str()), (1, ""), "the gate tells ZooKeeper nobody: {run:?}");
}

#[test]
fn without_a_secret_there_is_the_native_id_and_a_note_on_its_commas() {
    let shop = pki();
    let run = shop.zoogate("identity alice.crt");
    assert_eq!((run.code, run.stdout.as_str()), (0, "x509:CN=alice,O=Acme\n"), "{run:?}");
    assert!(run.stderr.contains("splits at commas"), "{run:?}");
    shop.issue(("plain", "/CN=plain"), "root", LEAF);
    let run = shop.zoogate("identity plain.crt");
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("x509:CN=plain\n", ""));
}

#[test]
fn an_empty_subject_has_an_empty_id_and_a_warning() {
    let shop = pki();
    shop.issue(("empty", "/"), "root", "subjectAltName=critical,DNS:a.example\n");
    let run = shop.zoogate("identity empty.crt --secret-file secret");
    assert_eq!((run.code, run.stdout.as_str()), (0, "x509:\n"), "{run:?}");
    assert!(run.stderr.starts_with("empty.crt: the gate refuses it (no_identity): "), "{run:?}");
    // Its alternative name is as good as any.
    let run = shop.zoogate("identity empty.crt --secret-file secret --from san_dns");
    assert!(run.stdout.starts_with("digest:x509/a.example:"), "{run:?}");
    assert_eq!((run.code, run.stdout.lines().count(), run.stderr.as_str()), (0, 1, ""));

    let answers = objects(&batch(&shop, "", &base64_of(&shop, "empty")));
    assert_eq!(answers[0]["identity"], "");
    assert_eq!(answers[0]["acl_ids"], json!({"x509": "", "digest": null}));
    assert_eq!(answers[0]["reason"], Value::Null);
    assert!(answers[0]["detail"].as_str().unwrap().contains("refuses"), "{answers:?}");
}

#[test]
fn a_certificate_without_identity_exits_1_and_an_unreadable_file_65() {
    let shop = pki();
    let run = shop.zoogate("identity alice.crt --from san_uri");
    assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{run:?}");
    assert!(run.stderr.starts_with("alice.crt: the certificate has no URI"), "{run:?}");
    shop.write("odd.pem", "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n");
    assert_eq!(shop.zoogate("identity odd.pem").code, 1);
    assert_eq!(shop.zoogate("identity nowhere.crt").code, 65);
    assert_eq!(shop.zoogate("identity alice.crt --secret-file password").code, 65);
    assert_eq!(shop.zoogate("identity alice.crt --config nowhere.yaml").code, 78);
}

#[test]
fn an_id_that_would_break_its_line_is_not_printed() {
    let shop = pki();
    let common_name = [der(0x06, &[0x55, 4, 3]), der(0x0c, b"a\x1b[2J\ndigest:x509 b")].concat();
    shop.write("evil.crt", certificate_of(&der(0x30, &der(0x31, &der(0x30, &common_name)))));
    let run = shop.zoogate("identity evil.crt --secret-file secret");
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(run.stdout.lines().count(), 1, "{run:?}");
    assert!(run.stdout.starts_with("digest:x509/CN=a%1B%5B2J%0Adigest%3Ax509%20b:"), "{run:?}");
    assert!(run.stderr.contains("control characters"), "{run:?}");
}

/// Every subject whose name is known from OpenJDK, in one run.
#[test]
fn a_batch_names_every_vector_as_java_does() {
    let shop = pki();
    let text = include_str!("../vectors/x509-dn-vectors.tsv");
    let vectors: Vec<Vec<&str>> =
        text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect()).collect();
    assert_eq!(vectors.len(), 76);
    let hex = |text: &str| -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    };
    let input: String =
        vectors.iter().map(|vector| BASE64_STANDARD.encode(certificate_of(&hex(vector[1]))) + "\n").collect();
    let run = batch(&shop, "--secret-file secret", &input);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    let answers = objects(&run);
    assert_eq!(answers.len(), vectors.len());
    for (vector, answer) in vectors.iter().zip(answers) {
        let expected = String::from_utf8(hex(vector[2])).unwrap();
        assert_eq!(answer["identity"], expected, "{}", vector[0]);
        assert_eq!(answer["acl_ids"]["x509"], expected, "{}", vector[0]);
        assert_eq!(answer["reason"], Value::Null, "{}", vector[0]);
        let digest = answer["acl_ids"]["digest"].as_str();
        assert_eq!(digest.is_none(), expected.is_empty(), "{}", vector[0]);
        assert!(digest.is_none_or(|id| id.starts_with("x509/") && !id.contains([',', ' '])), "{}", vector[0]);
    }
}

#[test]
fn a_batch_says_why_a_certificate_has_no_identity() {
    let shop = pki();
    shop.issue(("two", "/CN=two"), "root", "subjectAltName=DNS:a.example,DNS:b.example\n");
    shop.issue(("none", "/CN=none"), "root", "basicConstraints=CA:FALSE\n");
    let names = ["alice", "two", "none"].map(|name| base64_of(&shop, name)).join("\n");
    let run =
        batch(&shop, "--from san_dns", &format!("{names}\n\n{}\n", BASE64_STANDARD.encode(der(0x30, &[2, 1, 1]))));
    assert_eq!(run.code, 65, "{run:?}");
    let answers = objects(&run);
    let reasons: Vec<&Value> = answers.iter().map(|answer| &answer["reason"]).collect();
    let malformed = json!("malformed");
    let expected = [&Value::Null, &json!("ambiguous_identity"), &json!("no_identity"), &malformed, &malformed];
    assert_eq!(reasons, expected);
    assert_eq!(answers[3]["detail"], "the line is blank");
    assert_eq!(answers[0]["identity"], "alice.example");
    for refused in &answers[1..] {
        assert_eq!(refused["identity"], Value::Null);
        assert_eq!(refused["acl_ids"], json!({"x509": null, "digest": null}));
        assert!(refused["detail"].is_string(), "{refused}");
    }
}

#[test]
fn a_line_that_is_not_base64_costs_only_itself_and_exits_65() {
    let shop = pki();
    let alice = base64_of(&shop, "alice");
    let run = batch(&shop, "", &format!("{alice}\nnot base64!\n{alice}"));
    assert_eq!(run.code, 65, "{run:?}");
    assert!(run.stderr.starts_with("1 of 3 lines"), "{run:?}");
    let answers = objects(&run);
    assert_eq!(answers[0], answers[2]);
    assert_eq!((&answers[1]["identity"], &answers[1]["reason"]), (&Value::Null, &json!("malformed")));
}

#[test]
fn a_batch_answers_a_line_before_the_next_one_comes() {
    let shop = pki();
    let alice = base64_of(&shop, "alice");
    let mut child = spawn(&shop, "");
    let mut stdin = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..3 {
        writeln!(stdin, "{alice}").unwrap();
        let answer: Value = serde_json::from_str(&answers.next().unwrap().unwrap()).unwrap();
        assert_eq!(answer["identity"], "CN=alice,O=Acme");
    }
    drop(stdin);
    assert!(answers.next().is_none());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_reader_that_has_enough_ends_a_batch_in_silence() {
    let shop = pki();
    let alice = base64_of(&shop, "alice");
    let mut child = spawn(&shop, "");
    let mut stdin = child.stdin.take().unwrap();
    drop(child.stdout.take());
    // Until the program, too, hangs up.
    while writeln!(stdin, "{alice}").is_ok() {}
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
