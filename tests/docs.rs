//! The pages tell the truth where a machine can see it: words, codes, fields, dependencies, links and examples are
//! those of the code.

#[path = "docs/commands.rs"]
mod commands;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use zoogate::cli::Exit;
use zoogate::config::Config;
use zoogate::reason::{CloseReason, Ending, Refusal};

const README_LINES: usize = 150;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every page of the project: those beside `Cargo.toml` and those under `docs`, `deploy`, `benches` and `helm`.
fn pages() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories =
        vec!["docs", "deploy", "benches", "helm"].into_iter().map(|name| root().join(name)).collect::<Vec<_>>();
    collect(root(), &mut found, &mut Vec::new());
    while let Some(directory) = directories.pop() {
        collect(&directory, &mut found, &mut directories);
    }
    found
}

fn collect(directory: &Path, pages: &mut Vec<PathBuf>, directories: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.expect("it stays there").path();
        if path.is_dir() {
            directories.push(path);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
}

/// The lines of the section with this heading, subsections included.
fn section<'a>(page: &'a str, heading: &str) -> Vec<&'a str> {
    let level = heading.split(' ').next().expect("a heading begins with #").len();
    let is_end = |line: &&str| {
        let hashes = line.len() - line.trim_start_matches('#').len();
        (1..=level).contains(&hashes) && line[hashes..].starts_with(' ')
    };
    let mut lines = page.lines().skip_while(|line| *line != heading);
    assert!(lines.next().is_some(), "no section {heading}");
    lines.take_while(|line| !is_end(line)).collect()
}

/// The first column of the tables, where it is one word of code.
fn first_words(lines: &[&str]) -> Vec<String> {
    let row = |line: &&str| Some(line.strip_prefix("| `")?.split_once("` |")?.0.to_owned());
    lines.iter().filter_map(row).collect()
}

#[test]
fn the_readme_is_short() {
    let lines = page("README.md").lines().count();
    assert!(lines <= README_LINES, "{lines} lines");
}

#[test]
fn every_close_reason_is_explained_in_the_order_of_the_code() {
    let operations = page("docs/operations.md");
    let explained = first_words(&section(&operations, "## Close reasons"));
    let words: Vec<String> = CloseReason::all().map(|reason| reason.to_string()).collect();
    assert_eq!(explained, words);
    assert_eq!(words.len(), Refusal::ALL.len() + 1 + Ending::ALL.len());
}

#[test]
fn every_row_of_the_close_reasons_says_what_to_do() {
    let operations = page("docs/operations.md");
    let rows = section(&operations, "## Close reasons").into_iter().filter(|line| line.starts_with("| `"));
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 4, "{row}");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{row}");
    }
}

#[test]
fn every_exit_code_is_on_the_page_and_in_the_help() {
    let operations = page("docs/operations.md");
    let number = |line: &&str| line.strip_prefix("| ")?.split_once(" |")?.0.parse::<u8>().ok();
    let told: Vec<u8> = section(&operations, "## Exit codes").iter().filter_map(number).collect();
    let help = zoogate::cli::grammar().render_help().to_string();
    let (_, help) = help.split_once("Exit codes:").expect("the help lists them");
    let helped: Vec<u8> = help.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
    let source = page("src/cli/exit.rs");
    let value = |line: &str| line.trim().strip_suffix(',')?.split_once(" = ")?.1.parse::<u8>().ok();
    let codes: Vec<u8> = source.lines().filter_map(value).collect();
    assert_eq!(told, codes);
    assert_eq!(helped, codes);
    assert_eq!(codes.last(), Some(&(Exit::Configuration as u8)));
}

#[test]
fn every_field_of_the_access_record_is_on_the_page() {
    let operations = page("docs/operations.md");
    let told = first_words(&section(&operations, "### The access record"));
    let source = page("src/proxy/record.rs");
    let (_, fields) = source.split_once("target: ACCESS,").expect("the record is written there");
    let (fields, _) = fields.split_once("\"connection closed\"").expect("the record has its message");
    let name = |line: &str| Some(line.trim().split_once(" = ")?.0.to_owned());
    let written: Vec<String> = fields.lines().filter_map(name).collect();
    assert_eq!(told, written);
    assert!(written.len() > 10, "{written:?}");
}

#[test]
fn every_dependency_has_a_row_and_every_row_a_dependency() {
    let dependencies = page("docs/dependencies.md");
    let manifest = page("Cargo.toml");
    for (heading, table) in
        [("## At run time", "[dependencies]"), ("## For tests and generated files", "[dev-dependencies]")]
    {
        let told: BTreeSet<String> = first_words(&section(&dependencies, heading)).into_iter().collect();
        let lines = manifest.lines().skip_while(|line| *line != table).skip(1);
        let mut named = BTreeSet::new();
        for line in lines.take_while(|line| !line.starts_with('[')).filter(|line| !line.starts_with('#')) {
            let Some((name, rest)) = line.split_once(" = ") else { continue };
            // The page calls rustls-webpki by its own name, as people look it up.
            let package = rest.split_once("package = \"").and_then(|(_, rest)| rest.split_once('"'));
            named.insert(if name == "webpki" { package.expect("it is renamed").0 } else { name }.to_owned());
        }
        if table == "[dev-dependencies]" {
            // Tokio's test utilities are the same dependency with more features.
            named.remove("tokio");
        }
        assert_eq!(told, named, "{heading}");
    }
}

#[test]
fn relative_links_lead_somewhere() {
    let mut checked = 0;
    for path in pages() {
        let text = without_code(&fs::read_to_string(&path).expect("a page is text"));
        for target in text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0)) {
            if target.contains("://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let linked =
                if file.is_empty() { path.clone() } else { path.parent().expect("a page has a directory").join(file) };
            assert!(linked.exists(), "{}: {target}", path.display());
            if !anchor.is_empty() {
                let there = anchors(&fs::read_to_string(&linked).expect("a page is text"));
                assert!(there.contains(anchor), "{}: {target}: {there:?}", path.display());
            }
            checked += 1;
        }
    }
    assert!(checked > 30, "only {checked} links were found");
}

/// Headings as links name them: lower case, blanks as hyphens, no punctuation.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = without_code(page);
    let headings = headings.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let text = line.trim_start_matches('#').trim().to_lowercase();
            let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

fn without_code(page: &str) -> String {
    let mut inside = false;
    let mut kept = String::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if !inside {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

#[test]
fn configurations_on_the_pages_are_taken() {
    let mut parsed = 0;
    for path in pages() {
        let text = fs::read_to_string(&path).expect("a page is text");
        for block in text.split("```yaml\n").skip(1) {
            let block = block.split("```").next().expect("a split has a first part");
            if !block.lines().any(|line| line.starts_with("listen:")) {
                continue;
            }
            let block = block.replace("${CREDENTIALS_DIRECTORY}", "/run/credentials/zoogate");
            let result = Config::parse(&block, Path::new("/etc/zoogate"), "example.yaml");
            assert!(result.is_ok(), "{}:\n{}", path.display(), result.expect_err("it is not"));
            parsed += 1;
        }
    }
    assert!(parsed >= 3, "only {parsed} configurations were found");
}

#[test]
fn every_row_of_the_stores_names_a_test_that_there_is() {
    let certificates = page("docs/certificates.md");
    let rows = section(&certificates, "### Which stores are read");
    let named: Vec<&str> = rows.iter().filter_map(|row| row.rsplit(" | `").next()?.strip_suffix("` |")).collect();
    assert!(named.len() > 12, "{named:?}");
    for name in named {
        let (module, test) = name.split_once("::").unwrap_or_else(|| panic!("{name} is no test"));
        let source = page(&format!("tests/stores/{module}.rs"));
        assert!(test == "…" || source.contains(&format!("#[test]\nfn {test}()")), "{name}");
    }
}
