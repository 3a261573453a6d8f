//! The modules of the crate form layers: no circle of imports among them.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Modules by what they import, and for each import a line that does it.
type Imports = BTreeMap<String, BTreeMap<String, String>>;

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The code of a file without its unit tests, comments and doc examples.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Names that the crate's root exports, with the module that they come from.
fn exports(root: &str) -> BTreeMap<String, String> {
    let mut exports = BTreeMap::new();
    for statement in root.split("pub use ").skip(1) {
        let statement = statement.split(';').next().unwrap_or_default();
        let Some((module, names)) = statement.split_once("::") else { continue };
        for name in names.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|name| !name.is_empty()) {
            exports.insert(name.to_owned(), module.trim().to_owned());
        }
    }
    exports
}

/// First names after `crate::` in a file: modules, or names that the root exports.
fn names_after_crate(code: &str) -> BTreeSet<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut names = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        if let Some(group) = rest.strip_prefix('{') {
            // Names at the outermost level of a group.
            let (mut depth, mut part) = (0, String::new());
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        names.insert(word(part.trim()));
                        part.clear();
                        continue;
                    }
                    _ => {}
                }
                part.push(c);
            }
            names.insert(word(part.trim()));
        } else {
            names.insert(word(rest));
        }
    }
    names
}

fn imports() -> Imports {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let exports = exports(&fs::read_to_string(folder.join("lib.rs")).unwrap());
    let mut files = Vec::new();
    sources(&folder, &mut files);
    files.sort();
    let modules: BTreeSet<String> = files.iter().map(|file| module_of(&folder, file)).collect();
    let mut imports = Imports::new();
    for file in &files {
        let module = module_of(&folder, file);
        // The tests of a module may use whatever they need.
        if module == "lib" || file.ends_with("tests.rs") {
            continue;
        }
        for name in names_after_crate(&code(file)) {
            let other = if modules.contains(&name) { &name } else { exports.get(&name).unwrap_or(&name) };
            if *other != module && modules.contains(other) {
                let place = file.strip_prefix(&folder).unwrap().display().to_string();
                imports.entry(module.clone()).or_default().entry(other.clone()).or_insert(place);
            }
        }
    }
    imports
}

fn module_of(folder: &Path, file: &Path) -> String {
    let first = file.strip_prefix(folder).unwrap().iter().next().unwrap().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn no_module_imports_itself_through_others() {
    let imports = imports();
    assert!(imports.len() > 10, "the crate has modules: {imports:?}");
    // Whatever imports nothing that is left is a layer; what remains at the end goes in circles.
    let mut left: BTreeSet<&String> = imports.keys().collect();
    loop {
        let layer: Vec<&String> =
            left.iter().filter(|module| imports[**module].keys().all(|other| !left.contains(other))).copied().collect();
        if layer.is_empty() {
            break;
        }
        left.retain(|module| !layer.contains(module));
    }
    let arrows: Vec<String> = left
        .iter()
        .flat_map(|module| {
            let among = imports[*module].iter().filter(|(other, _)| left.contains(other));
            among.map(move |(other, place)| format!("{module} -> {other} ({place})"))
        })
        .collect();
    assert!(arrows.is_empty(), "modules import each other in a circle:\n{}", arrows.join("\n"));
}
