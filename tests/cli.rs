//! The verbs of the built program: what they print, and how they exit.
#![allow(clippy::unwrap_used, reason = "a failure of a test's own preparations is a failure of the test")]

#[path = "cli/check.rs"]
mod check;
#[path = "cli/explain.rs"]
mod explain;
#[path = "cli/identity.rs"]
mod identity;
#[path = "cli/workshop.rs"]
mod workshop;
#[path = "cli/zoo_cfg.rs"]
mod zoo_cfg;

use workshop::zoogate;

#[test]
fn a_wrong_command_line_exits_64_and_explains_on_standard_error() {
    for line in [
        "",
        "fly",
        "run",
        "run --confg x",
        "check",
        "check --zoo-cfg zoo.cfg --upstream",
        "explain c.pem",
        "explain c.pem --trust-store t --at noon",
        "explain c.pem --trust-store t --at 1970-01-01T00:30:00+01:00",
    ] {
        let output = zoogate(line);
        assert_eq!(output.status.code(), Some(64), "{line}");
        assert_eq!(output.stdout, b"", "{line}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("Usage: zoogate") || line.contains("--at"), "{line}");
    }
}

#[test]
fn help_and_version_go_to_standard_output_and_exit_0() {
    let version = env!("CARGO_PKG_VERSION");
    let (revised, short) = (zoogate("version"), zoogate("--version"));
    assert_eq!(String::from_utf8(short.stdout).unwrap(), format!("zoogate {version}\n"));
    let revised = String::from_utf8(revised.stdout).unwrap();
    let revision = revised.strip_prefix(&format!("zoogate {version} (revision ")).and_then(|r| r.strip_suffix(")\n"));
    assert!(revision.is_some_and(|revision| !revision.is_empty()), "{revised}");
    let help = zoogate("explain --help");
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8(help.stdout).unwrap().contains("zoogate explain client.pem --config"));
}

#[test]
fn run_and_check_exit_78_on_a_configuration_that_is_not_there() {
    for verb in ["run", "check"] {
        let output = zoogate(&format!("{verb} --config /nowhere/zoogate.yaml"));
        assert_eq!(output.status.code(), Some(78), "{verb}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with("/nowhere/zoogate.yaml: can't be read: "), "{said}");
    }
}

/// `run` tells of files as `check` does.
#[test]
fn run_exits_78_with_every_file_that_is_missing() {
    let shop = workshop::Workshop::new();
    shop.write("zoogate.yaml", workshop::CONFIG.replace("UPSTREAM", "127.0.0.1:2181"));
    let run = shop.zoogate("run --config zoogate.yaml");
    assert_eq!(run.code, 78);
    assert!(run.stderr.starts_with("zoogate.yaml:4: tls.key_store: "), "{}", run.stderr);
    assert!(run.stderr.contains("\nzoogate.yaml:5: tls.trust_store: "), "{}", run.stderr);
    assert!(run.stderr.contains("\nzoogate.yaml:6: identity.secret_file: "), "{}", run.stderr);
}

#[test]
fn whoever_has_read_enough_changes_no_exit_code() {
    let shop = workshop::pki();
    for (line, code) in [
        ("explain alice.crt --trust-store root.crt", 0),
        ("explain alice.crt --trust-store root.crt --at 2001-01-01T00:00:00Z --output json", 1),
        ("identity alice.crt --secret-file secret", 0),
        ("version", 0),
    ] {
        // A pipe whose reader is gone before anything is written.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = shop.command(line).stdout(writer).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{line}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{line}");
    }
}

/// Problems of the configuration itself hide none of the files that it names.
#[test]
fn check_and_run_tell_of_files_beside_a_wrong_key() {
    let shop = workshop::Workshop::new();
    let config = workshop::CONFIG.replace("UPSTREAM", "127.0.0.1:2181");
    shop.write("zoogate.yaml", format!("{config}limits: {{ frame: much }}\n"));
    for verb in ["check", "run"] {
        let run = shop.zoogate(&format!("{verb} --config zoogate.yaml"));
        assert_eq!(run.code, 78);
        for told in ["7: limits.frame: ", "4: tls.key_store: ", "5: tls.trust_store: ", "6: identity.secret_file: "] {
            assert_eq!(run.stderr.matches(&format!("zoogate.yaml:{told}")).count(), 1, "{told}: {}", run.stderr);
        }
    }
}

#[test]
fn an_empty_store_is_called_empty() {
    let shop = workshop::Workshop::new();
    shop.write("zoogate.yaml", workshop::CONFIG.replace("UPSTREAM", "127.0.0.1:2181"));
    for name in ["server.crt", "server.key", "root.crt"] {
        shop.write(name, "");
    }
    let check = shop.zoogate("check --config zoogate.yaml").stderr;
    assert!(check.contains("tls.trust_store: ") && check.contains("root.crt: is empty\n"), "{check}");
    assert!(check.contains("tls.key_store: ") && check.contains("server.crt: is empty\n"), "{check}");
}
