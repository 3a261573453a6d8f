//! A new item of a list at the top of a document, as a kustomization has them.

use granit_parser::{Event, StructureStyle};
use serde_json::{Value, json};

use super::spots::{Walk, events};
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
    let (at, new) = match document.get(list) {
        None => (
            text.len(),
            format!("{}{list}:\n- path: {name}\n", if text.is_empty() || text.ends_with('\n') { "" } else { "\n" }),
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

/// The files of the list called `list`: the `path` of each item that has one.
pub(crate) fn listed(text: &str, list: &str) -> Vec<String> {
    let documents = values(text);
    let items = documents.iter().filter_map(|document| document.get(list)?.as_array()).flatten();
    items.filter_map(|item| item.get("path")?.as_str().map(str::to_owned)).collect()
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
            return Some((line, format!("{indent}- path: {name}\n")));
        }
        walk.take(&event, span);
    }
    None
}
