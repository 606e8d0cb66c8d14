//! `zoogate check --zoo-cfg`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::workshop::{PASSWORD, Run, Workshop, pki};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/zoo-cfg").join(name)
}

/// Converts `NAME.cfg` among the goldens, with `NAME.env` if there is one.
fn converted(name: &str) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zoogate"));
    command.args(["check", "--zoo-cfg", &format!("{name}.cfg")]).current_dir(golden(""));
    if golden(&format!("{name}.env")).exists() {
        command.args(["--jvm-flags", &format!("{name}.env")]);
    }
    Run::of(command.output().expect("the program starts"))
}

#[test]
fn every_zoo_cfg_becomes_the_yaml_that_stands_beside_it() {
    for name in ["debian", "native-3.5", "dynamic-3.9", "hostile"] {
        let run = converted(name);
        assert_eq!(run.code, 0, "{run:?}");
        for (extension, said) in [("yaml", &run.stdout), ("warnings", &run.stderr)] {
            let file = golden(&format!("{name}.{extension}"));
            if env::var_os("UPDATE").is_some() {
                fs::write(&file, said).unwrap();
            }
            let expected = fs::read_to_string(&file).unwrap_or_default();
            assert_eq!(*said, expected, "{}; UPDATE=1 rewrites what is expected", file.display());
        }
        for printed in [&run.stdout, &run.stderr] {
            assert!(!printed.contains("not-to-be-printed"), "{printed}");
            let obeyed = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!printed.contains(obeyed), "{printed:?}");
        }
    }
}

/// The lines of shell that the comments give, at another place than /etc/zoogate.
fn told_commands(yaml: &str) -> Vec<String> {
    let commands = yaml.lines().filter_map(|line| line.strip_prefix("#       ")).filter(|line| line.starts_with('('));
    commands.map(str::to_owned).collect()
}

/// Follows what the YAML says in the workshop, which stands for /etc/zoogate, and checks the configuration.
fn follow(shop: &Workshop, yaml: &str) -> Run {
    let here = shop.path("").display().to_string();
    let here = here.trim_end_matches('/');
    let moved = yaml.replace("/etc/zoogate", here);
    let bin = Path::new(env!("CARGO_BIN_EXE_zoogate")).parent().expect("it is in a directory");
    let path = format!("{}:{}", bin.display(), env::var("PATH").expect("there are tools"));
    for command in told_commands(&moved) {
        let status = Command::new("sh").args(["-c", &command]).current_dir(here).env("PATH", &path).status();
        assert!(status.expect("there is a shell").success(), "{command}");
    }
    shop.write("zoogate.yaml", moved);
    shop.zoogate("check --config zoogate.yaml")
}

#[test]
fn the_yaml_of_a_native_server_is_good_once_its_commands_were_run() {
    let shop = pki();
    shop.run(&format!(
        "openssl pkcs12 -export -in server.crt -inkey server.key -name server -passout pass:{PASSWORD} -out server.p12"
    ));
    shop.run(&format!(
        "keytool -importcert -noprompt -alias ca -storetype JKS -storepass {PASSWORD} -file root.crt -keystore \
         trust.jks"
    ));
    let here = shop.path("").display().to_string();
    for line_end in ["\n", "\r\n"] {
        let zoo_cfg = [
            "clientPort=2181".to_owned(),
            "secureClientPort=2281".to_owned(),
            format!("ssl.keyStore.location={here}server.p12"),
            format!("ssl.keyStore.password={PASSWORD}"),
            format!("ssl.trustStore.location={here}trust.jks"),
            format!("ssl.trustStore.password = {PASSWORD}"),
            "X509AuthenticationProvider.superUser=CN=admin,O=Acme".to_owned(),
            String::new(),
        ];
        shop.write("zoo.cfg", zoo_cfg.join(line_end));
        let run = shop.zoogate("check --zoo-cfg zoo.cfg");
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
        assert_eq!(told_commands(&run.stdout).len(), 3, "{run:?}");
        let checked = follow(&shop, &run.stdout);
        assert_eq!((checked.code, checked.stderr.as_str()), (0, ""), "{checked:?}\n{}", run.stdout);
        for password_file in ["key_store.pass", "trust_store.pass"] {
            let content = String::from_utf8(shop.read(password_file)).unwrap();
            assert_eq!(content.trim_end(), PASSWORD);
        }
    }
}

#[test]
fn the_yaml_of_a_plaintext_server_is_good_once_its_files_are_there() {
    let shop = pki();
    shop.write("zoo.cfg", "tickTime=2000\ndataDir=/var/lib/zookeeper\nclientPort=2181\n");
    let run = shop.zoogate("check --zoo-cfg zoo.cfg");
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    let missing = follow(&shop, &run.stdout);
    assert_eq!(missing.code, 78, "{missing:?}");
    assert!(missing.stderr.contains("server.pem") && missing.stderr.contains("clients-ca.pem"), "{missing:?}");
    shop.write("server.pem", shop.read("server.crt"));
    shop.write("clients-ca.pem", shop.read("root.crt"));
    let checked = shop.zoogate("check --config zoogate.yaml");
    assert_eq!((checked.code, checked.stderr.as_str()), (0, ""), "{checked:?}");
}

#[test]
fn a_file_that_is_no_zoo_cfg_exits_65_with_its_line() {
    let shop = Workshop::new();
    shop.write("port.cfg", "tickTime=2000\n\nclientPort=many\n");
    shop.write("escape.cfg", "clientPort=2181\n# \\u\nssl.keyStore.password=\\u12 word-that-opens-stores\n");
    shop.write("other.yaml", "listen:\n  address: 0.0.0.0:2281\n");
    shop.write("binary", b"PK\x03\x04\0\0");
    shop.write("long.cfg", "# long\n".repeat(200_000));
    for (file, said) in [
        ("port.cfg", "port.cfg:3: clientPort: `many` is no port\n"),
        ("escape.cfg", "escape.cfg:3: `\\u` without four hexadecimal digits, which Java refuses\n"),
        ("other.yaml", "other.yaml: holds no setting of a ZooKeeper server; is it a zoo.cfg?\n"),
        ("binary", "binary: is no text\n"),
        ("long.cfg", "long.cfg: is longer than 1 MiB; is it the right file?\n"),
        ("nowhere.cfg", "nowhere.cfg: can't be read: No such file or directory (os error 2)\n"),
    ] {
        let run = shop.zoogate(&format!("check --zoo-cfg {file}"));
        assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (65, "", said), "{file}");
    }
    shop.write("zoo.cfg", "clientPort=2181\n");
    let flags = shop.zoogate("check --zoo-cfg zoo.cfg --jvm-flags java.env");
    assert_eq!(flags.code, 65, "{flags:?}");
    assert!(flags.stderr.starts_with("java.env: can't be read: "), "{flags:?}");
}
