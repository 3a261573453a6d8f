//! The decoder: what it reads, and that no bytes make it panic or read more than there is.

use proptest::prelude::*;
use proptest::sample::Index;
use scaling_core::source::prometheus::answer::{AnswerError, Sample, Shape, read};

const CORPUS: [(&str, Shape); 8] = [
    (
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"namespace":"shop","workload":"web"},"value":[1700000000.123,"1.5"]}]}}"#,
        Shape::Vector,
    ),
    (
        r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"up","a":"\u00e4\"\\"},"values":[[1700000000,"1"],[1700000060,"NaN"],[1700000120,"+Inf"],[1700000180,"-Inf"],[1700000240,"1e-7"]]}]}}"#,
        Shape::Matrix,
    ),
    (
        r#"{"data":{"result":[{"values":[[1,"2"]],"metric":{}}],"resultType":"matrix","analysis":{"a":[1,{"b":null}]}},"status":"success","isPartial":false,"stats":{"seriesFetched":"1"}}"#,
        Shape::Matrix,
    ),
    (
        r#"{"status":"success","data":{"resultType":"vector","result":[]},"warnings":["w","PromQL info"],"infos":["i"]}"#,
        Shape::Vector,
    ),
    (r#"{"status":"success","data":{"resultType":"scalar","result":[1700000000,"1"]}}"#, Shape::Vector),
    (r#"{"status":"success","data":{"resultType":"string","result":[1700000000.5,"a"]}}"#, Shape::Vector),
    (
        r#"{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:1: parse error"}"#,
        Shape::Vector,
    ),
    (
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1,{"count":"1","sum":"2","buckets":[[0,"1","2","3"]]}]}]}}"#,
        Shape::Vector,
    ),
];

fn number(samples: usize) -> Vec<Sample> {
    (0..samples).map(|n| Sample { at_ms: n as i64 * 60_000, value: n as f64 * 1.1 }).collect()
}

#[test]
fn answers_are_read_in_any_order_of_their_fields() {
    let [vector, matrix, swapped, warned, ..] = CORPUS.map(|(text, shape)| read(text.as_bytes(), shape));
    let vector = vector.unwrap();
    assert_eq!(vector.series[0].samples, [Sample { at_ms: 1_700_000_000_123, value: 1.5 }]);
    assert_eq!((vector.series[0].label("workload"), vector.series[0].label("none")), ("web", ""));
    let matrix = matrix.unwrap();
    assert_eq!(matrix.series[0].label("a"), "ä\"\\");
    let values: Vec<_> = matrix.series[0].samples.iter().map(|sample| sample.value.to_string()).collect();
    assert_eq!(values, ["1", "NaN", "inf", "-inf", "0.0000001"]);
    let swapped = swapped.unwrap();
    assert!(swapped.series[0].is_bare() && swapped.partial().is_none());
    assert_eq!(warned.unwrap().partial().as_deref(), Some("w"));
}

#[test]
fn what_is_no_answer_is_told_as_what_it_is() {
    let [.., scalar, string, refused, histogram] =
        CORPUS.map(|(text, shape)| read(text.as_bytes(), shape).unwrap_err());
    for (error, got) in [(scalar, "scalar"), (string, "string")] {
        assert_eq!(error, AnswerError::WrongType { expected: "vector", got: got.into() });
    }
    assert!(
        matches!(&refused, AnswerError::Refused { kind, message } if kind == "bad_data" && message.contains("parse error"))
    );
    assert_eq!(histogram, AnswerError::Histograms);
    for text in [
        "",
        "null",
        "[]",
        "<html>",
        r#"{"status":"success"}"#,
        r#"{"status":"success","data":null}"#,
        r#"{"status":"success","data":{"resultType":"vector"}}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":{}}}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,2]}]}}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"x"]}]}}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1]}]}}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":["1","1"]}]}}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1e300,"1"]}]}}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[18446744073709551615,"1"]}]}}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":1},"value":[1,"1"]}]}}"#,
    ] {
        let error = read(text.as_bytes(), Shape::Vector).unwrap_err();
        assert!(matches!(error, AnswerError::Malformed(_) | AnswerError::Cut(_)), "{text}: {error:?}");
        assert!(error.to_string().len() < 400, "{error}");
    }
}

#[test]
fn a_text_that_is_cut_anywhere_is_no_answer() {
    for (text, shape) in CORPUS {
        for end in 0..text.len() {
            let error = read(&text.as_bytes()[..end], shape).unwrap_err();
            assert_eq!(error, AnswerError::Cut(end), "{}", &text[..end]);
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for shape in [Shape::Vector, Shape::Matrix] {
            let _ = read(&bytes, shape);
        }
    }

    /// Valid answers with bytes changed, cut out, doubled and swapped: what still reads has no more samples than there are brackets.
    #[test]
    fn no_mutation_makes_it_panic_or_invent_samples(
        which in 0..CORPUS.len(), changes in prop::collection::vec((any::<Index>(), any::<Index>(), any::<u8>(), 0..4_u8), 1..6),
    ) {
        let mut bytes = CORPUS[which].0.as_bytes().to_vec();
        for (a, b, byte, how) in changes {
            if bytes.is_empty() { break }
            let (a, b) = (a.index(bytes.len()), b.index(bytes.len()));
            let (from, to) = (a.min(b), a.max(b));
            match how {
                0 => bytes[a] = byte,
                1 => { bytes.drain(from..to); }
                2 => { let part = bytes[from..to].to_vec(); bytes.splice(a..a, part); }
                _ => bytes.swap(a, b),
            }
        }
        if let Ok(answer) = read(&bytes, CORPUS[which].1) {
            let brackets = bytes.iter().filter(|byte| **byte == b'[').count();
            prop_assert!(answer.series.iter().map(|series| series.samples.len()).sum::<usize>() <= brackets);
        }
    }

    #[test]
    fn every_number_reads_back_as_the_same_bits(samples in 0..200_usize, scale in -300..300_i32) {
        let mut expected = number(samples);
        expected.iter_mut().for_each(|sample| sample.value *= 10_f64.powi(scale));
        let values: Vec<_> = expected.iter().map(|sample| format!("[{},\"{}\"]", sample.at_ms / 1000, sample.value)).collect();
        let text = format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{{"metric":{{}},"values":[{}]}}]}}}}"#, values.join(","));
        prop_assert_eq!(&read(text.as_bytes(), Shape::Matrix).unwrap().series[0].samples, &expected);
    }
}
