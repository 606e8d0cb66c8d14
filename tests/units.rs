//! The units of `deploy/systemd` by systemd's own judgement, and beside what the program and the pages say.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use tempfile::TempDir;
use zoogate::config::{Config, ListenAddress};

const SERVICES: [&str; 2] = ["zoogate.service", "zoogate@.service"];
const SOCKETS: [&str; 2] = ["zoogate.socket", "zoogate-admin.socket"];

/// The most exposure that `systemd-analyze security` may see, in tenths.
const EXPOSURE: u32 = 15;

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/systemd").join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(shipped(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The values of a directive.
fn values<'a>(unit: &'a str, directive: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(directive)?.strip_prefix('=')).collect()
}

fn seconds(unit: &str, directive: &str) -> Duration {
    humantime::parse_duration(values(unit, directive)[0]).expect("a duration")
}

/// Copies of the units whose program is the one under test.
fn installed() -> TempDir {
    let directory = TempDir::new().expect("a directory");
    for name in SERVICES.iter().chain(&SOCKETS) {
        let unit = text(name).replace("/usr/bin/zoogate", env!("CARGO_BIN_EXE_zoogate"));
        fs::write(directory.path().join(name), unit).expect("a copy");
    }
    directory
}

fn analyze(arguments: &[&str], directory: &TempDir) -> Output {
    let mut command = Command::new("systemd-analyze");
    command
        .args(arguments)
        .current_dir(directory.path())
        .env("SYSTEMD_UNIT_PATH", format!("{}:", directory.path().display()));
    command.output().expect("systemd-analyze, of Debian's package systemd")
}

fn security(unit: &str, directory: &TempDir) -> Output {
    let threshold = format!("--threshold={EXPOSURE}");
    analyze(&["security", "--offline=true", "--no-pager", &threshold, &format!("./{unit}")], directory)
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let directory = installed();
    let units: Vec<String> =
        SERVICES.iter().chain(&SOCKETS).map(|name| format!("./{}", name.replace('@', "@one"))).collect();
    fs::copy(directory.path().join("zoogate@.service"), directory.path().join("zoogate@one.service")).expect("a copy");
    let mut arguments = vec!["--man=no", "verify"];
    arguments.extend(units.iter().map(String::as_str));
    let output = analyze(&arguments, &directory);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
    // The drop-in, on a unit of its name.
    fs::write(directory.path().join("zookeeper.service"), "[Service]\nExecStart=/bin/true\n").expect("a unit");
    let dropins = directory.path().join("zookeeper.service.d");
    fs::create_dir(&dropins).expect("a directory");
    fs::copy(shipped("zookeeper-on-loopback.conf"), dropins.join("on-loopback.conf")).expect("a copy");
    let output = analyze(&["--man=no", "verify", "./zookeeper.service"], &directory);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
    // It would have said so.
    let wrong = text("zoogate.service").replace("[Service]", "[Service]\nProtectEverything=yes");
    fs::write(directory.path().join("wrong.service"), wrong).expect("a copy");
    let output = analyze(&["--man=no", "verify", "./wrong.service"], &directory);
    assert!(String::from_utf8_lossy(&output.stderr).contains("ProtectEverything"));
}

#[test]
fn systemd_finds_the_services_hardened() {
    let directory = installed();
    for unit in SERVICES {
        let output = security(unit, &directory);
        assert!(output.status.success(), "{unit}: {}", String::from_utf8_lossy(&output.stdout));
    }
    let soft = text("zoogate.service").replace("CapabilityBoundingSet=\n", "").replace("SystemCallFilter", "# ");
    fs::write(directory.path().join("soft.service"), soft).expect("a copy");
    assert!(!security("soft.service", &directory).status.success());
}

#[test]
fn nothing_of_zookeeper_keeps_the_service_down() {
    for unit in SERVICES {
        for dependency in ["Requires", "Requisite", "BindsTo", "PartOf", "Upholds"] {
            assert_eq!(values(&text(unit), dependency), Vec::<&str>::new(), "{unit}: {dependency}");
        }
    }
}

#[test]
fn the_units_differ_only_in_their_names() {
    let one = text("zoogate.service").replace(" zookeeper.service", "");
    let many = text("zoogate@.service")
        .replace(" (%i)", "")
        .replace("zoogate-%i", "zoogate")
        .replace("/%i.yaml", "/zoogate.yaml");
    let (_, many) = many.split_once('\n').expect("a first line");
    assert_eq!(one, many);
}

/// The configuration that is installed.
fn configuration() -> Config {
    let text = text("zoogate.yaml").replace("${CREDENTIALS_DIRECTORY}", "/run/credentials/zoogate.service");
    Config::parse(&text, Path::new("/etc/zoogate"), "zoogate.yaml").unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn the_units_fit_the_configuration_that_is_installed() {
    let (config, service) = (configuration(), text("zoogate.service"));
    let longest = config.shutdown.delay + config.shutdown.grace + Duration::from_secs(5);
    assert!(seconds(&service, "TimeoutStopSec") > longest);
    let descriptors: usize = values(&service, "LimitNOFILE")[0].parse().expect("a number");
    assert!(descriptors >= 2 * config.limits.connections + 100);
    let written = |address: &ListenAddress| address.to_string();
    assert_eq!(values(&text("zoogate.socket"), "ListenStream"), [written(&config.listen.addresses[0])]);
    assert_eq!(values(&text("zoogate-admin.socket"), "ListenStream"), [written(&config.admin.address.expect("one"))]);
}

#[test]
fn every_credential_of_the_page_and_of_the_configuration_is_in_the_unit() {
    let (service, page) = (text("zoogate.service"), include_str!("../docs/install-systemd.md"));
    let handed = values(&service, "LoadCredential");
    let row = |line: &str| Some(line.strip_prefix("| `zoogate")?.split_once("` | `")?.0.to_owned());
    let told: Vec<String> = page.lines().filter_map(row).map(|name| format!("zoogate{name}")).collect();
    assert_eq!(told, handed);
    let configuration = text("zoogate.yaml");
    let wanted: Vec<&str> = configuration
        .split("${CREDENTIALS_DIRECTORY}/")
        .skip(1)
        .filter_map(|rest| rest.split_whitespace().next())
        .filter(|name| *name != "NAME")
        .collect();
    assert_eq!(wanted, ["zoogate.key", "zoogate.secret"]);
    assert!(wanted.iter().all(|name| handed.contains(name)));
}
