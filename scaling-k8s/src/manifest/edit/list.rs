//! A new item of a list at the top of a document, as a kustomization has them.

use granit_parser::{Event, StructureStyle};
use serde_json::{Value, json};

use super::spots::{Walk, above_comments, end_of_line, events};
use super::values;
use crate::ManifestError;

/// The text of a document with one more item, `path: file`, in the list called `list`; the same text if it is there. A list that is
/// missing is added at the end.
///
/// # Errors
/// [`ManifestError::Uneditable`] if there is no place for it.
pub(crate) fn with_item(text: &str, list: &str, file: &str) -> Result<String, ManifestError> {
    let uneditable = |why| ManifestError::Uneditable { field: list.to_owned(), why };
    let mut wanted = values(text);
    let [Value::Object(document)] = wanted.as_mut_slice() else { return Err(uneditable("it is not one object")) };
    let item = json!({ "path": file });
    let present = document.get(list).and_then(Value::as_array).is_some_and(|items| {
        items.iter().any(|item| {
            item.get("path").and_then(Value::as_str).is_some_and(|path| path.trim_start_matches("./") == file)
        })
    });
    if present {
        return Ok(text.to_owned());
    }
    let name = if crate::manifest::is_text(file) { file.to_owned() } else { Value::from(file).to_string() };
    let end = end_of_line(text);
    let (at, new) = match document.get(list) {
        None => (
            text.len(),
            format!(
                "{}{list}:{end}- path: {name}{end}",
                if text.is_empty() || text.ends_with('\n') { "" } else { end }
            ),
        ),
        Some(Value::Array(items)) => place(text, list, items.is_empty(), &name)
            .ok_or_else(|| uneditable("its list has no place for one more"))?,
        Some(_) => return Err(uneditable("it is no list")),
    };
    let items = document.entry(list).or_insert_with(|| json!([]));
    if let Some(items) = items.as_array_mut() {
        // A block list takes it in front, because the end of one is where its last item's comments end.
        let index = if at == text.len() { items.len() } else { 0 };
        items.insert(index, item);
    }
    let mut result = text.to_owned();
    result.insert_str(at, &new);
    if values(&result) != wanted {
        return Err(uneditable("the list cannot be changed in place; add the file by hand"));
    }
    Ok(result)
}

/// Everything that a kustomization refers to and that may say something of an HPA.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Its resources and bases: files, folders and addresses.
    pub(crate) resources: Vec<String>,
    /// Its components.
    pub(crate) components: Vec<String>,
    /// Files with patches.
    pub(crate) patches: Vec<Listed>,
    /// The namespace that it gives everything.
    pub(crate) namespace: Option<String>,
}

/// A file with patches, as a kustomization lists it.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) path: String,
    /// True if the kustomization says what is patched, rather than the patch itself.
    pub(crate) selects: bool,
}

/// The entries of a kustomization; empty for what is none.
pub(crate) fn listing(text: &str) -> Listing {
    let mut listing = Listing::default();
    for document in values(text) {
        let items = |list: &str| document.get(list).and_then(Value::as_array).cloned().unwrap_or_default();
        let names = |list: &str| items(list).into_iter().filter_map(|item| item.as_str().map(str::to_owned));
        listing.resources.extend(["resources", "bases"].into_iter().flat_map(names));
        listing.components.extend(names("components"));
        let namespace = document.get("namespace").and_then(Value::as_str);
        listing.namespace = namespace.map(str::to_owned).or(listing.namespace);
        // Of the former two fields for patches, one holds file names, or the patches themselves.
        let strategic = names("patchesStrategicMerge").filter(|name| !name.contains('\n'));
        listing.patches.extend(strategic.map(|path| Listed { path, selects: false }));
        for item in ["patches", "patchesJson6902"].into_iter().flat_map(items) {
            if let Some(path) = item.get("path").and_then(Value::as_str) {
                let selects = item.get("target").is_some_and(|target| !target.is_null());
                listing.patches.push(Listed { path: path.to_owned(), selects });
            }
        }
    }
    listing
}

/// The place of a new first item.
fn place(text: &str, list: &str, empty: bool, name: &str) -> Option<(usize, String)> {
    let (mut walk, at) = (Walk::new(), format!("/{list}"));
    let mut block = false;
    for (event, span) in events(text) {
        let here = walk.path();
        if let Event::SequenceStart(style, ..) = &event
            && here == at
        {
            if *style == StructureStyle::Flow {
                let after = span.start + 1;
                return Some((after, format!("{{path: {name}}}{}", if empty { "" } else { ", " })));
            }
            block = true;
        } else if block && here == format!("{at}/0") {
            let line = text.get(..span.start)?.rfind('\n').map_or(0, |end| end + 1);
            let dash = text.get(line..span.start)?;
            let indent = dash.trim_end().strip_suffix('-').filter(|indent| indent.trim().is_empty())?;
            return Some((above_comments(text, line), format!("{indent}- path: {name}{}", end_of_line(text))));
        }
        walk.take(&event, span);
    }
    None
}
