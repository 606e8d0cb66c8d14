//! The house rules that a compiler does not check: which module may import which, and how long things may be.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Modules by layer, as in `src/lib.rs`; a module imports from lower layers only.
const LAYERS: &[&[&str]] = &[
    &["credential", "identity", "policy", "reason", "rfc3339", "seal", "secret", "translate", "zk"],
    &["config", "metrics", "shutdown", "store", "systemd", "telemetry", "tls"],
    &["reload", "snapshot"],
    &["proxy"],
    &["admin", "app", "cli"],
    &["fuzzing"],
];

/// Imports within a layer that are meant.
const NEIGHBOURS: &[(&str, &[&str])] = &[
    // Values that are made of others.
    ("credential", &["identity", "secret"]),
    ("identity", &["reason"]),
    ("policy", &["identity", "reason"]),
    ("seal", &["credential", "identity", "zk"]),
    ("translate", &["credential", "identity", "zk"]),
    // A configuration is checked by those who know what its words mean.
    ("config", &["telemetry"]),
    // The lines that the log has lost are counted where they are.
    ("metrics", &["telemetry"]),
    // Stores hold what TLS is made of.
    ("tls", &["store"]),
    // The one writer of snapshots.
    ("reload", &["snapshot"]),
    // The composition root starts the admin server, and verbs start the composition root.
    ("app", &["admin"]),
    ("cli", &["app"]),
];

/// Lines of a file, its tests left out.
const FILE: usize = 400;

/// Lines of a function.
const FUNCTION: usize = 60;

/// Names that tell a module's place in a diagram, not what it does.
const EMPTY_NAMES: [&str; 7] = ["manager", "helper", "helpers", "util", "utils", "context", "common"];

/// A source file.
struct Source {
    /// Modules from the root of the crate to this one.
    path: Vec<String>,
    file: PathBuf,
    /// Its text without tests and comments.
    code: String,
    /// How many lines it has, comments included but tests left out.
    lines: usize,
}

/// Every source file of the library.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut sources, mut directories) = (Vec::new(), vec![root.clone()]);
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.extend(Source::read(&root, path));
            }
        }
    }
    assert!(sources.len() > 50, "where are the sources?");
    sources
}

impl Source {
    /// `None` for tests, and for `main.rs`, which is another crate.
    fn read(root: &Path, file: PathBuf) -> Option<Self> {
        let stem = file.strip_prefix(root).unwrap().with_extension("");
        let path: Vec<_> = stem.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
        let name = path.last().unwrap();
        if name == "tests" || path == ["main"] {
            return None;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]\nmod ").next().unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let path = if path == ["lib"] { Vec::new() } else { path };
        Some(Self { code: code.map(|line| format!("{line}\n")).collect(), lines: text.lines().count(), path, file })
    }

    /// The modules right below the root that this file names.
    fn imports(&self) -> BTreeSet<String> {
        let mut imports = BTreeSet::new();
        for (at, _) in self.code.match_indices("crate::") {
            imports.extend(names(&self.code[at + "crate::".len()..]));
        }
        // As many `super::` as there are modules around this one lead to the root.
        let up = "super::".repeat(self.path.len());
        if !up.is_empty() {
            for (at, _) in self.code.match_indices(&up) {
                imports.extend(names(&self.code[at + up.len()..]));
            }
        }
        imports
    }

    /// Functions and how many lines each has, by rustfmt's indentation.
    fn functions(&self) -> impl Iterator<Item = (&str, usize)> {
        let lines: Vec<_> = self.code.lines().collect();
        let starts = lines.clone().into_iter().enumerate().filter(|(_, line)| is_function(line));
        starts.filter_map(move |(start, line)| {
            let indent = &line[..line.len() - line.trim_start().len()];
            let end = lines[start..].iter().position(|line| *line == format!("{indent}}}"))?;
            let one_line = line.ends_with('}') || line.ends_with(';');
            (!one_line).then_some((line.trim(), end + 1))
        })
    }
}

/// The first names of a path or of a group of paths.
fn names(rest: &str) -> Vec<String> {
    let first = |path: &str| path.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let Some(group) = rest.strip_prefix('{') else { return vec![first(rest)] };
    let (mut depth, mut names, mut start) = (0, Vec::new(), 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                names.push(first(&group[start..at]));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    names.retain(|name: &String| !name.is_empty());
    names
}

fn is_function(line: &str) -> bool {
    let words = line.trim_start().split([' ', '(']);
    let before = |word: &&str| matches!(*word, "pub" | "const" | "async" | "unsafe" | "crate)" | "super)");
    words.into_iter().find(|word| !before(word)) == Some("fn")
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

#[test]
fn modules_import_from_lower_layers_only() {
    let neighbours: BTreeMap<_, _> = NEIGHBOURS.iter().copied().collect();
    let mut used = BTreeSet::new();
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !source.path.is_empty()) {
        let module = source.path[0].as_str();
        let own = layer(module).unwrap_or_else(|| panic!("{module} has no layer: add it here and in src/lib.rs"));
        for import in source.imports() {
            let Some(other) = layer(&import) else { continue };
            let meant = neighbours.get(module).is_some_and(|meant| meant.contains(&import.as_str()));
            if meant {
                used.insert((module.to_owned(), import.clone()));
            }
            if import != module && other >= own && !meant {
                wrong.push(format!("{} imports {import}", source.file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let listed = NEIGHBOURS.iter().flat_map(|(module, meant)| meant.iter().map(|other| (*module, *other)));
    let idle: Vec<_> = listed.filter(|(a, b)| !used.contains(&((*a).to_owned(), (*b).to_owned()))).collect();
    assert!(idle.is_empty(), "no longer needed: {idle:?}");
}

#[test]
fn the_crate_lists_its_modules_in_layers() {
    let library = sources().into_iter().find(|source| source.path.is_empty()).unwrap();
    let modules = library.code.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    assert_eq!(modules.collect::<Vec<_>>(), LAYERS.concat());
}

#[test]
fn files_and_functions_keep_their_budgets() {
    let mut over = Vec::new();
    let (mut functions, mut short) = (0, 0);
    for source in sources() {
        if source.lines > FILE {
            over.push(format!("{}: {} lines", source.file.display(), source.lines));
        }
        for (function, lines) in source.functions() {
            functions += 1;
            short += usize::from(lines <= FUNCTION / 2);
            if lines > FUNCTION {
                over.push(format!("{}: {function} … {lines} lines", source.file.display()));
            }
        }
    }
    assert!(over.is_empty(), "{over:#?}");
    assert!(functions > 300, "only {functions} functions were found");
    assert!(short * 10 >= functions * 9, "{short} of {functions} functions have {} lines or less", FUNCTION / 2);
}

#[test]
fn modules_are_named_by_what_they_do() {
    for source in sources() {
        let name = source.path.last().map(String::as_str).unwrap_or_default();
        assert!(!EMPTY_NAMES.contains(&name), "{}", source.file.display());
        assert_ne!(name, "mod", "{}: name it after its module", source.file.display());
    }
}

#[test]
fn imports_are_found_however_they_are_written() {
    let source = |path: &[&str], code: &str| Source {
        path: path.iter().map(|part| (*part).to_owned()).collect(),
        file: PathBuf::new(),
        code: code.to_owned(),
        lines: 0,
    };
    let grouped = "use crate::{tls::{self, hex}, zk::record};\nfn f() { crate::store::load() }\npub(crate) struct S;";
    let found = source(&["app"], grouped).imports();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["store", "tls", "zk"]);
    let above = "use super::super::metrics::Metrics;\nuse super::pipe::Pipe;";
    assert_eq!(source(&["proxy", "relay"], above).imports().into_iter().collect::<Vec<_>>(), ["metrics"]);
    let functions = source(&[], "pub(crate) async fn f(\n) {\n    x\n}\nfn g() {}\nconst fn h() {\n}\n");
    assert_eq!(functions.functions().map(|(_, lines)| lines).collect::<Vec<_>>(), [4, 2]);
}
