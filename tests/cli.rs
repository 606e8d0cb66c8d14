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
