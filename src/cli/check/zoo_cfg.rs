//! `zoogate check --zoo-cfg`: the configuration that stands for a server's own settings, and what none can stand for.

mod addresses;
pub(super) mod dynamic;
mod identities;
mod leftovers;
mod page;
mod properties;
pub(super) mod settings;
mod stores;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::doors;
use crate::cli::text::escaped;
use crate::cli::{Exit, complain, print};
use addresses::Reached;
use dynamic::ClientParts;
use page::{Note, Page};
use settings::Settings;

/// The longest file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// A file that can't be read as a server's settings.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub(super) struct NotZooCfg {
    line: Option<usize>,
    why: String,
}

impl NotZooCfg {
    fn new(why: impl Into<String>) -> Self {
        Self { line: None, why: why.into() }
    }

    fn at(line: usize, why: impl Into<String>) -> Self {
        Self { line: Some(line), why: why.into() }
    }

    /// With the file and, where there is one, the line in front.
    fn in_file(&self, path: &Path) -> String {
        let line = self.line.map(|line| format!("{line}: ")).unwrap_or_default();
        let path = escaped(&path.display().to_string());
        format!("{path}:{}{line}{}", if line.is_empty() { " " } else { "" }, escaped(&self.why))
    }
}

/// Prints the configuration; what has no key is told on standard error too.
pub(super) fn convert(zoo_cfg: &Path, jvm_flags: Option<&Path>) -> Exit {
    let unreadable = |path: &Path, error: &NotZooCfg| complain(&error.in_file(path), Exit::UnreadableInput);
    let file = read(zoo_cfg, MAX_FILE).map_err(|error| unreadable(zoo_cfg, &error));
    let flags = match jvm_flags {
        Some(path) => read(path, MAX_FILE).map_err(|error| unreadable(path, &error)),
        None => Ok(Vec::new()),
    };
    let (file, flags) = match (file, flags) {
        (Ok(file), Ok(flags)) => (file, flags),
        (Err(exit), _) | (_, Err(exit)) => return exit,
    };
    match page_of(zoo_cfg, &file, &String::from_utf8_lossy(&flags)) {
        Ok(page) => {
            for note in &page.lost {
                complain(&format!("warning: {}", escaped(&note.text)), Exit::Ok);
            }
            print(&page.print(&zoo_cfg.display().to_string()), Exit::Ok)
        }
        Err(error) => unreadable(zoo_cfg, &error),
    }
}

fn page_of(path: &Path, zoo_cfg: &[u8], flags: &str) -> Result<Page, NotZooCfg> {
    let settings = Settings::read(zoo_cfg, flags)?;
    let mut page = Page::default();
    let parts = ClientParts::of(&settings, path, &mut page);
    let reached = Reached::by(&settings, &parts)?;
    addresses::convert(&settings, reached, &parts, &mut page)?;
    stores::convert(&settings, reached, &path.display().to_string(), &mut page);
    identities::convert(&settings, reached, &mut page);
    leftovers::convert(&settings, reached, &mut page);
    page.doors = doors(&settings, &parts);
    Ok(page)
}

/// The settings of a server as it runs.
///
/// # Errors
/// If the file can't be read, or is no zoo.cfg.
pub(super) fn read_server(zoo_cfg: &Path, flags: &str) -> Result<Settings, NotZooCfg> {
    Settings::read(&read(zoo_cfg, MAX_FILE)?, flags)
}

/// Doors that stay open beside the gate, each with the line that closes it. Clients' own ports are told of elsewhere.
fn doors(settings: &Settings, parts: &ClientParts) -> Vec<Note> {
    let declared = doors::declared(settings, &parts.server_lines, parts.id.as_deref());
    let open = doors::by_settings(&declared).into_iter().filter(|door| door.kind != doors::Kind::SecureClient);
    open.filter_map(|door| door.advice()).map(|(text, line)| Note::new(text).line(line)).collect()
}

/// # Errors
/// What the system says, or that the file is too long.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, NotZooCfg> {
    let told = |error: std::io::Error| NotZooCfg::new(format!("can't be read: {error}"));
    let mut bytes = Vec::new();
    File::open(path).map_err(told)?.take(limit + 1).read_to_end(&mut bytes).map_err(told)?;
    if bytes.len() as u64 > limit {
        return Err(NotZooCfg::new("is longer than 1 MiB; is it the right file?"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
