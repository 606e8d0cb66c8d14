//! A server's settings: those of zoo.cfg, and system properties of its Java command line behind them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::NotZooCfg;
use super::properties::{self, Property};

/// What makes a file a zoo.cfg.
const TELLING: [&str; 5] = ["dataDir", "clientPort", "secureClientPort", "dynamicConfigFile", "tickTime"];

#[derive(Default)]
pub(in super::super) struct Settings {
    file: BTreeMap<String, Value>,
    /// By the whole name of the system property.
    flags: BTreeMap<String, Value>,
}

/// A value and where it was found.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) text: String,
    pub(super) origin: Origin,
    /// In zoo.cfg, from 1; 0 on the command line.
    line: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A line of zoo.cfg that is the key, `=` and the value, and the only one of that key.
    PlainLine,
    /// Another line of zoo.cfg.
    Line,
    /// The Java command line.
    Flag,
}

impl Settings {
    /// # Errors
    /// If the file is no zoo.cfg.
    pub(in super::super) fn read(zoo_cfg: &[u8], flags: &str) -> Result<Self, NotZooCfg> {
        let mut file = BTreeMap::new();
        for Property { key, value, line, plain } in properties::parse(zoo_cfg)? {
            let twice = file.contains_key(&key);
            let origin = if plain && !twice { Origin::PlainLine } else { Origin::Line };
            file.insert(key, Value { text: value, origin, line });
        }
        let flags = system_properties(flags);
        let telling = |key: &String| TELLING.contains(&key.as_str()) || key.starts_with("ssl.");
        if !file.keys().any(telling) {
            return Err(NotZooCfg::new("holds no setting of a ZooKeeper server; is it a zoo.cfg?"));
        }
        Ok(Self { file, flags })
    }

    /// A setting that zoo.cfg alone can make; an empty one is none.
    pub(in super::super) fn own(&self, key: &str) -> Option<&str> {
        self.file.get(key).map(|value| value.text.as_str()).filter(|text| !text.is_empty())
    }

    /// A system property `zookeeper.KEY`, which zoo.cfg sets over the command line; an empty one is none.
    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        let found = self.file.get(key).or_else(|| self.flags.get(&format!("zookeeper.{key}")));
        found.filter(|value| !value.text.is_empty())
    }

    pub(in super::super) fn get(&self, key: &str) -> Option<&str> {
        self.value(key).map(|value| value.text.as_str())
    }

    /// A system property of another name.
    pub(in super::super) fn flag(&self, name: &str) -> Option<&str> {
        self.flags.get(name).map(|value| value.text.as_str())
    }

    pub(super) fn is_true(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    pub(in super::super) fn is_false(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| value.eq_ignore_ascii_case("false"))
    }

    /// Whether a list with commas has the word.
    pub(super) fn lists(&self, key: &str, word: &str) -> bool {
        self.get(key).is_some_and(|list| list.split(',').any(|listed| listed.trim().eq_ignore_ascii_case(word)))
    }

    /// A port of zoo.cfg; 0 is none.
    ///
    /// # Errors
    /// If ZooKeeper wouldn't take it.
    pub(super) fn port(&self, key: &str) -> Result<Option<u16>, NotZooCfg> {
        let Some(Value { text, line, .. }) = self.file.get(key).filter(|value| !value.text.is_empty()) else {
            return Ok(None);
        };
        let port: u16 = text.parse().map_err(|_| NotZooCfg::at(*line, format!("{key}: `{text}` is no port")))?;
        Ok((port != 0).then_some(port))
    }

    /// The `server.N` lines of zoo.cfg, by N.
    pub(in super::super) fn server_lines(&self) -> Vec<(String, String)> {
        super::dynamic::server_lines(self.file())
    }

    /// Every setting of zoo.cfg, by key.
    pub(super) fn file(&self) -> impl Iterator<Item = (&str, &str)> {
        self.file.iter().map(|(key, value)| (key.as_str(), value.text.as_str()))
    }

    /// Every key that is a system property `zookeeper.KEY`, once.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        let flags = self.flags.keys().filter_map(|name| name.strip_prefix("zookeeper."));
        self.file.keys().map(String::as_str).chain(flags.filter(|key| !self.file.contains_key(*key)))
    }
}

/// A host as an IP address, where it is written as one.
pub(super) fn ip(host: &str) -> Option<IpAddr> {
    host.trim_matches(['[', ']']).parse().ok()
}

/// `localhost` counts as loopback, which is what a resolver says.
pub(in super::super) fn is_loopback(host: &str) -> bool {
    host == "localhost" || ip(host).is_some_and(|ip| ip.to_canonical().is_loopback())
}

/// Each `-Dname=value` of a command line, or of a script that makes one. Quotes are taken off; variables are not
/// replaced.
fn system_properties(script: &str) -> BTreeMap<String, Value> {
    let mut properties = BTreeMap::new();
    let lines = script.lines().map(str::trim_start).filter(|line| !line.starts_with('#'));
    for line in lines {
        for (at, _) in line.match_indices("-D") {
            let before = line[..at].chars().next_back();
            if !before.is_none_or(|c| c.is_whitespace() || matches!(c, '"' | '\'' | '=')) {
                continue;
            }
            let flag = &line[at + 2..];
            let Some((name, rest)) = flag.split_once('=') else { continue };
            if !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')) {
                let text = word(rest).to_owned();
                properties.insert(name.to_owned(), Value { text, origin: Origin::Flag, line: 0 });
            }
        }
    }
    properties
}

/// The value in front of the next blank or quote; if it begins with a quote, up to that one again.
fn word(rest: &str) -> &str {
    let quoted = |quote: char| rest.strip_prefix(quote)?.split_once(quote).map(|(value, _)| value);
    let bare = || rest.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).next().unwrap_or_default();
    quoted('"').or_else(|| quoted('\'')).unwrap_or_else(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_found_in_scripts_and_files_of_arguments() {
        let script = "# -Dzookeeper.a=0\nexport SERVER_JVMFLAGS=\"-Xmx1g -Dzookeeper.a=1 \\\n  -Dzookeeper.b='x y' \
                      -Dzookeeper.c=z\"\n-Djute.maxbuffer=7\nJVMFLAGS=-Dzookeeper.d=$HOME/x\nx-Dno=1 -Dnone";
        let found: Vec<_> = system_properties(script).into_iter().map(|(name, value)| (name, value.text)).collect();
        let expected = [
            ("jute.maxbuffer", "7"),
            ("zookeeper.a", "1"),
            ("zookeeper.b", "x y"),
            ("zookeeper.c", "z"),
            ("zookeeper.d", "$HOME/x"),
        ];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn zoo_cfg_wins_over_flags_as_zookeeper_sets_its_properties_later() {
        let settings = Settings::read(b"tickTime=1\nssl.protocol=one", "-Dzookeeper.ssl.protocol=two -Dzookeeper.x=3");
        let settings = settings.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((settings.get("ssl.protocol"), settings.get("x")), (Some("one"), Some("3")));
        assert_eq!((settings.own("x"), settings.flag("zookeeper.ssl.protocol")), (None, Some("two")));
        assert_eq!(settings.keys().collect::<Vec<_>>(), ["ssl.protocol", "tickTime", "x"]);
    }
}
