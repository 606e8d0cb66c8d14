//! The page at `/`, looked at with a real browser while real clients are connected, hostile ones among them.
#![allow(clippy::unwrap_used, reason = "a test that can't go on stops there")]

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use support::clients::{Puppet, tls_files};
use support::gate::Gate;
use support::pki::{Certified, Pki, Profile, now};
use support::wire::{Wire, op, path_and_watch};
use support::zookeeper::{Factory, ZooKeeper, ZooKeeperConfig};
use support::{der, run, set_up, wait_for};

const SCRIPT: &str = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>";
const REVERSED: &str = "\u{202e}nimda\u{2066}\u{200b}";
const HOUR: i64 = 3_600;

/// Screens of people who were just paged.
const VIEWS: [(&str, u32, u32, bool, &str); 5] = [
    ("desktop-light", 1280, 800, false, "light"),
    ("desktop-dark", 1280, 800, false, "dark"),
    ("window-light", 800, 600, false, "light"),
    ("phone-light", 360, 740, true, "light"),
    ("phone-dark", 360, 740, true, "dark"),
];

/// Where the pictures are left for a person to look at.
fn screenshots(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("page").join(name);
    fs::create_dir_all(&path).unwrap();
    path
}

fn look(gate: &Gate, path: &str, name: &str) -> Value {
    let views: Vec<_> = VIEWS
        .iter()
        .map(|(name, width, height, mobile, scheme)| {
            json!({ "name": name, "width": width, "height": height, "mobile": mobile, "scheme": scheme })
        })
        .collect();
    let arguments = json!({
        "url": format!("http://{}{path}", gate.admin()), "screenshots": screenshots(name), "views": views,
    });
    fs::write(screenshots(name).join("page.html"), gate.get(path).unwrap().1).unwrap();
    let script = support::gate::repository("tests/clients/python/browser.py");
    let output = run(Command::new(set_up("venv/bin/python")).arg(script).arg(arguments.to_string()));
    serde_json::from_str(&output).unwrap()
}

fn client(pki: &Pki, common_name: &str, valid: (i64, i64)) -> Certified {
    let mut profile = Profile::client(der::name(&[("2.5.4.10", "Acme"), ("2.5.4.3", common_name)]));
    profile.valid = valid;
    pki.ca.issue(&profile)
}

/// Real sessions at a real server, and clients that are refused.
struct Scene {
    pki: Pki,
    server: ZooKeeper,
    gate: Gate,
    sessions: Vec<Wire>,
}

impl Scene {
    fn set() -> Self {
        let pki = Pki::new();
        let server = ZooKeeperConfig::new("3.9.5", Factory::Nio).line("maxClientCnxns=0").start();
        let yaml = Gate::config(&pki, server.address())
            .replace("  from: subject\n", "  from: subject\n  deny: [ 'CN=mallory,O=Acme' ]\n");
        Self { gate: Gate::start(&yaml), pki, server, sessions: Vec::new() }
    }

    fn enters(&mut self, certified: &Certified, requests: usize) {
        let mut wire = Wire::tls(self.gate.address(), &self.pki.ca, certified).unwrap();
        wire.open_new();
        for _ in 0..requests {
            wire.request(op::EXISTS, &path_and_watch("/", false)).unwrap().unwrap();
        }
        self.sessions.push(wire);
    }

    fn is_refused(&self, certified: &Certified) {
        // The handshake of TLS 1.3 is over for the client before the server has judged it.
        let refused = Wire::tls(self.gate.address(), &self.pki.ca, certified)
            .and_then(|mut wire| wire.open(None))
            .map_or(true, |session| session.is_none());
        assert!(refused);
    }

    /// Three identities with names from hell, an ordinary one, and refused ones of both kinds.
    fn fill(&mut self) {
        let month = (now() - HOUR, now() + 30 * 24 * HOUR);
        let alice = self.pki.ca.issue(&Profile::client(der::person("alice")));
        self.enters(&alice, 12);
        self.enters(&alice, 0);
        self.enters(&client(&self.pki, SCRIPT, month), 1);
        // Less than an hour from the start: a quick machine would still read "1 h".
        self.enters(&client(&self.pki, REVERSED, (now() - HOUR, now() + HOUR - 30)), 0);
        self.enters(&client(&self.pki, &format!("{}END", "long ".repeat(800)), month), 0);
        self.is_refused(&client(&self.pki, "mallory", month));
        self.is_refused(&client(&self.pki, &"x".repeat(5_000), month));
        self.is_refused(&client(&self.pki, SCRIPT, (now() - 48 * HOUR, now() - HOUR)));
    }
}

#[test]
fn hostile_clients_change_nothing_of_the_page_on_any_screen() {
    let mut scene = Scene::set();
    scene.fill();
    let names = tls_files(&scene.pki, "bob");
    let arguments = json!({ "hosts": scene.gate.address().to_string(), "root": "/page", "tls": names, "digest": null });
    let mut kazoo = Puppet::start("mover.py", &arguments);
    kazoo.ask("open");
    let refused = || scene.gate.get("/status").filter(|(_, body)| body.matches("\"peer\"").count() == 3);
    assert!(wait_for(refused).is_some(), "{:?}", scene.gate.get("/status"));

    let seen = look(&scene.gate, "/", "clients");
    for (name, width, _, _, scheme) in VIEWS {
        let view = &seen[name];
        is_harmless(name, view, &format!("http://{}/", scene.gate.admin()));
        is_legible(name, view, width, scheme);
        says_who_is_there(name, view);
        assert_eq!(view["reload_after_s"], json!([10]), "{name}");
    }
    kazoo.ask("close");
    drop(scene.sessions);
    scene.gate.finish();
}

#[test]
fn what_is_wrong_comes_first_and_long_lists_are_cut() {
    let mut scene = Scene::set();
    let month = (now() - HOUR, now() + 30 * 24 * HOUR);
    for n in 0..23 {
        scene.enters(&client(&scene.pki, &format!("app{n:02}"), month), n);
    }
    fs::write(scene.pki.path("ca.crt"), "<b>no certificate</b>").unwrap();
    scene.gate.expect_log("the files on the disk can't be used");
    scene.gate.expect_log("ZooKeeper does not serve any more");
    scene.gate.signal("HUP");
    scene.server.freeze();
    let broken = || {
        let (_, status) = scene.gate.get("/status")?;
        let status: Value = serde_json::from_str(&status).ok()?;
        (status["not_ready"] == json!(["upstream_unreachable"]) && !status["reload"]["problem"].is_null()).then_some(())
    };
    assert!(wait_for(broken).is_some(), "{:?}", scene.gate.get("/status"));

    let seen = look(&scene.gate, "/?pause&limit=5", "trouble");
    for (name, width, _, _, scheme) in VIEWS {
        let view = &seen[name];
        is_legible(name, view, width, scheme);
        assert_eq!(view["headline"], "✖ Not ready for clients", "{name}");
        let findings: Vec<_> = view["findings"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
        assert!(findings[0].starts_with("✖ ZooKeeper takes no connection"), "{name}: {findings:?}");
        assert!(findings[1].starts_with("▲ Changed files can’t be used (trust store"), "{name}: {findings:?}");
        assert_eq!(view["reload_after_s"], json!([]), "{name}: it was to hold still");
        let lines = |table: &str| view["tables"][table]["rows"].as_array().unwrap().len();
        assert_eq!([lines("identities"), lines("clients")], [5, 5], "{name}");
        assert_eq!(view["more"], json!(["and 18 more: show up to 1000", "and 18 more: show up to 1000"]), "{name}");
    }
    drop(scene.sessions);
    scene.gate.finish();
}

/// Nothing runs, nothing is fetched, and no element is there that the template doesn't have.
fn is_harmless(name: &str, view: &Value, url: &str) {
    assert_eq!(view["active"], json!([]), "{name}");
    assert_eq!(view["dialogs"], json!([]), "{name}");
    assert_eq!(view["unseen"], json!([]), "{name}: characters that nobody sees");
    assert_eq!(view["complaints"], json!([]), "{name}: the policy, or the page, is wrong");
    let requests: Vec<_> = view["requests"].as_array().unwrap().iter().map(|url| url.as_str().unwrap()).collect();
    assert!(requests.iter().all(|request| *request == url || request.starts_with("data:")), "{name}: {requests:?}");
}

/// Fits the screen, in the colours that were asked for, with text that is big and dark enough.
fn is_legible(name: &str, view: &Value, width: u32, scheme: &str) {
    assert_eq!(view["width"], width, "{name}");
    assert!(view["content_width"].as_u64().unwrap() <= u64::from(width), "{name}: {}", view["content_width"]);
    for flaw in ["beyond", "pale", "tiny"] {
        assert_eq!(view[flaw], json!([]), "{name}: {flaw}");
    }
    let picture = &view["picture"];
    let dark = |colour: &Value| colour.as_array().unwrap().iter().map(|part| part.as_u64().unwrap()).sum::<u64>();
    for paper in [&view["background"], &picture["paper"]] {
        let sum = dark(paper);
        assert!(if scheme == "dark" { sum < 120 } else { sum > 700 }, "{name}: {paper}");
    }
    assert_eq!(picture["width"], width, "{name}");
    assert!(picture["colours"].as_u64().unwrap() > 50 && picture["paper_share"].as_f64().unwrap() < 0.99, "{name}");
    // A stack of lines on a phone is still a table for a screen reader.
    let (roles, tables) = (&view["roles"], view["tables"].as_object().unwrap());
    let headers = tables.values().map(|table| table["headers"].as_array().unwrap().len()).sum::<usize>();
    let rows = tables.values().map(|table| table["rows"].as_array().unwrap().len()).sum::<usize>();
    let told = ["main", "table", "columnheader", "rowheader"].map(|role| roles[role].as_u64().unwrap_or(0) as usize);
    assert_eq!(told, [1, tables.len(), headers, rows], "{name}: {roles}");
}

fn says_who_is_there(name: &str, view: &Value) {
    assert_eq!(view["headline"], "● Serving clients", "{name}");
    let table = |table: &str| -> Vec<Vec<String>> {
        let rows = view["tables"][table]["rows"].as_array().unwrap();
        rows.iter().map(|row| serde_json::from_value(row.clone()).unwrap()).collect()
    };
    let identities = table("identities");
    assert_eq!(identities.len(), 5, "{name}: {identities:?}");
    let alice = &identities[0];
    assert_eq!(alice[..4], ["CN=alice,O=Acme,C=US", "2", "2", "12"], "{name}");
    assert!(alice[5].starts_with("29 days left 20"), "{name}: {alice:?}");
    let of = |text: &str| {
        identities.iter().find(|row| row[0].contains(text)).unwrap_or_else(|| panic!("{name}: {text}: {identities:?}"))
    };
    assert_eq!(of("script")[0], r#"CN=\<script\>alert(1)\</script\>\"'&\<img src\=x onerror\=alert(2)\>,O=Acme"#);
    let reversed = of("nimda");
    assert_eq!(reversed[0], "CN=U+202EnimdaU+2066U+200B,O=Acme", "{name}");
    assert!(reversed[5].starts_with("▲ 59 min"), "{name}: {reversed:?}");
    assert!(of("END,O=Acme")[0].contains("characters …"), "{name}");
    assert!(table("clients")[0][0].contains("nimda"), "{name}: the first to end is first");
    let refusals = table("refusals");
    let reasons: Vec<_> = refusals.iter().map(|row| row[1].split(' ').next().unwrap()).collect();
    assert_eq!(reasons, ["expired", "malformed", "denied"], "{name}: {refusals:?}");
    assert!(refusals[2][0].starts_with("CN=mallory,O=Acme from 127.0.0.1:"), "{name}: {refusals:?}");
    assert!(refusals[0][0].contains(r"\<script\>"), "{name}: {refusals:?}");
}
