use super::*;
use serde_json::json;

fn tree(text: &str) -> Result<Tree, Fault> {
    read(text, &mut Copies::default())
}

fn value(text: &str) -> Value {
    tree(text).unwrap().value
}

#[test]
fn documents_are_split_at_their_marks_and_may_be_empty() {
    let text = "# head\n---\na: 1\n--- # why\nb: |\n  x\n  --- y\n---\n# nothing\n";
    let found = documents(text);
    let values: Vec<_> = found.iter().map(|document| document.content.as_ref().unwrap().value.clone()).collect();
    assert_eq!(values, [json!(null), json!({ "a": 1 }), json!({ "b": "x\n--- y\n" }), json!(null)]);
    assert_eq!(found.iter().map(|document| document.line).collect::<Vec<_>>(), [1, 2, 4, 8]);
    assert_eq!(documents("--- {a: 1}\n")[1].content.as_ref().unwrap().value, json!({ "a": 1 }));
}

#[test]
fn a_fault_has_its_line_in_the_whole_text() {
    let found = documents("a: 1\n---\nb: [\n---\nc: 3\n");
    assert_eq!(found[2].content.as_ref().unwrap().value, json!({ "c": 3 }));
    let fault = found[1].content.as_ref().unwrap_err();
    assert!((3..=4).contains(&fault.line) && !fault.what.is_empty(), "{fault:?}");
}

#[test]
fn keys_that_stand_twice_are_told_with_their_path() {
    let found = tree("a: {b: [{c: 1}, {c: 1, c: 2}]}\na: 3\nx.y: 1\nx.y: 2\n").unwrap();
    assert_eq!(found.duplicates, ["a.b[1].c", "a", "x.y"]);
}

#[test]
fn anchors_merges_and_tags() {
    assert_eq!(
        value("a: &a {x: 1, z: 2}\nb: {<<: *a, x: 3}\nc: *a"),
        json!({ "a": { "x": 1, "z": 2 }, "b": { "x": 3, "z": 2 }, "c": { "x": 1, "z": 2 } })
    );
    assert_eq!(value("[!!str 5, !!int 5, '5', \"5\", 5, yes, 'yes']"), json!(["5", 5, "5", "5", 5, true, "yes"]));
    assert_eq!(value("{on: 1, 012: 2}"), json!({ "true": 1, "10": 2 }));
    assert!(tree("!!int five").is_err() && tree("&a [*a]").is_err() && tree("{[a]: 1}").is_err());
}

#[test]
fn in_json_a_fraction_of_nothing_is_no_integer() {
    assert_eq!(value("{\"a\": 70.0}"), json!({ "a": 70.0 }));
    assert!(value("{\"a\": 70.0}")["a"].is_f64() && value("a: 70.0")["a"].is_i64());
}

#[test]
fn what_anchors_copy_is_bounded_in_bytes_and_over_all_documents() {
    let long = "x".repeat(1 << 20);
    let refused = |text: &str| {
        let faults: Vec<_> = documents(text).into_iter().filter_map(|document| document.content.err()).collect();
        assert!(faults.iter().all(|fault| fault.what.contains("copies")), "{:?}", faults.first());
        faults.len()
    };
    let aliases = |count: usize| format!("[&a {long}{}]\n", ", *a".repeat(count));
    assert_eq!(refused(&aliases(40)), 0);
    assert_eq!(refused(&aliases(100)), 1, "100 MiB");
    let keys = format!("? &a {long}\n: [{}]\n", "{*a : 1}, ".repeat(100));
    assert_eq!(refused(&keys), 1, "an alias may be a key");
    let nested = (0..100).fold(long.clone(), |inner, _| format!("&a [{inner}]"));
    assert_eq!(refused(&nested), 1, "each anchor keeps its value");
    let many = vec![aliases(10); 20].join("---\n");
    assert!((10..20).contains(&refused(&many)), "together they are 200 MiB");
    // Each path of a duplicate names the keys above it.
    assert_eq!(refused(&format!("? {long}\n: {{{}}}\n", "a: 1, ".repeat(100))), 1);
    let small = "a: &a [1, 2]\nb: *a\n---\n".repeat(10_000);
    assert_eq!(refused(&small), 0);
    assert!(refused(&"[&a [1,1,1,1,1,1,1,1,1], *a, *a, *a, *a]\n---\n".repeat(20_000)) > 0, "by their number");
}
