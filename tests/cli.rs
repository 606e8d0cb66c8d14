//! Exit codes of the built program.

use std::process::{Command, Output};

fn zoogate(line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_zoogate")).args(line.split_whitespace()).output().expect("the program starts")
}

#[test]
fn a_wrong_command_line_exits_64_and_explains_on_standard_error() {
    for line in ["", "fly", "run", "run --confg x", "explain c.pem", "explain c.pem --trust-store t --at noon"] {
        let output = zoogate(line);
        assert_eq!(output.status.code(), Some(64), "{line}");
        assert_eq!(output.stdout, b"", "{line}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("Usage: zoogate") || line.contains("noon"), "{line}");
    }
}

#[test]
fn help_and_version_go_to_standard_output_and_exit_0() {
    let version = format!("zoogate {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8(zoogate("version").stdout).unwrap(), version);
    assert_eq!(String::from_utf8(zoogate("--version").stdout).unwrap(), version);
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
