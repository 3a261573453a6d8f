use proptest::prelude::*;

use super::*;
use crate::metrics::{Absence, ScalingMetrics, Signal, SignalKind};

const MINUTE: Duration = Duration::from_secs(60);

fn query(measure: impl Into<Measure>, unit: Unit, statistic: Statistic) -> SignalQuery<String> {
    SignalQuery::new(measure, "q".to_owned(), unit, statistic)
}

fn facts() -> WorkloadFacts {
    let mut facts = WorkloadFacts::default();
    (facts.cpu_request_millicores, facts.memory_request_bytes) = (Some(500), Some(1 << 30));
    facts
}

#[test]
fn each_unit_becomes_the_unit_of_its_measure() {
    for (kind, unit, statistic, value, expected) in [
        (SignalKind::CpuUtilization, Unit::Percent, Statistic::Average, 62.0, 62.0),
        (SignalKind::CpuUtilization, Unit::Ratio, Statistic::Average, 0.62, 62.0),
        (SignalKind::CpuUtilization, Unit::Cores, Statistic::Average, 0.25, 50.0),
        (SignalKind::CpuUtilization, Unit::Millicores, Statistic::Maximum, 250.0, 50.0),
        (SignalKind::CpuUtilization, Unit::Nanocores, Statistic::Average, 250e6, 50.0),
        (SignalKind::MemoryUtilization, Unit::Bytes, Statistic::Average, 536_870_912.0, 50.0),
        (SignalKind::RequestRate, Unit::PerMinute, Statistic::Average, 120.0, 2.0),
        (SignalKind::RequestRate, Unit::PerPeriod, Statistic::Sum, 120.0, 2.0),
        (SignalKind::ResponseTime, Unit::Seconds, Statistic::Average, 0.25, 250.0),
        (SignalKind::ResponseTime, Unit::Microseconds, Statistic::Average, 250.0, 0.25),
        (SignalKind::QueueDepth, Unit::Count, Statistic::Sum, 7.0, 7.0),
    ] {
        let conversion = query(kind, unit, statistic).conversion(&facts(), MINUTE).unwrap();
        let converted = conversion.convert(value);
        assert!((converted - expected).abs() < 1e-9, "{kind} {unit}: {converted}");
    }
}

#[test]
fn what_is_no_unit_of_a_measure_is_refused_with_those_that_are() {
    let refused = query(SignalKind::CpuUtilization, Unit::Seconds, Statistic::Average).check().unwrap_err();
    assert_eq!(
        refused.to_string(),
        "cpu_utilization_percent: the unit seconds does not measure it; \
         expected one of percent, ratio, cores, millicores, nanocores"
    );
    let sum = query(SignalKind::CpuUtilization, Unit::Percent, Statistic::Sum).check().unwrap_err();
    assert!(matches!(sum, MappingError::Statistic { statistic: Statistic::Sum, .. }), "{sum}");
    let mean = query(SignalKind::RequestRate, Unit::PerPeriod, Statistic::Average).check().unwrap_err();
    assert!(mean.to_string().ends_with("expected sum or sample_count"), "{mean}");
    assert!(query(Measure::ReadyPods, Unit::Percent, Statistic::Average).check().is_err());
}

#[test]
fn an_amount_without_the_request_of_a_pod_is_refused_and_no_request_is_made_up() {
    for (kind, unit, field) in [
        (SignalKind::CpuUtilization, Unit::Cores, "cpu_request_millicores"),
        (SignalKind::MemoryUtilization, Unit::Bytes, "memory_request_bytes"),
    ] {
        let query = query(kind, unit, Statistic::Average);
        let refused = query.conversion(&WorkloadFacts::default(), MINUTE).unwrap_err();
        assert!(refused.to_string().contains(field), "{refused}");
        let mut zero = facts();
        (zero.cpu_request_millicores, zero.memory_request_bytes) = (Some(0), Some(0));
        assert!(query.conversion(&zero, MINUTE).is_err());
    }
    let counted = query(SignalKind::RequestRate, Unit::PerPeriod, Statistic::Sum);
    assert!(matches!(counted.conversion(&facts(), Duration::ZERO), Err(MappingError::NoPeriod { .. })));
}

#[test]
fn a_mapping_holds_each_measure_once_and_declares_its_signals() {
    assert_eq!(Mapping::<String>::new([]).unwrap_err(), MappingError::Empty);
    let cpu = query(SignalKind::CpuUtilization, Unit::Percent, Statistic::Average);
    let twice = Mapping::new([cpu.clone(), cpu.clone()]).unwrap_err();
    assert_eq!(twice, MappingError::Twice { measure: SignalKind::CpuUtilization.into() });
    let p99 = query(SignalKind::ResponseTime, Unit::Seconds, "p99".parse().unwrap());
    let pods = query(Measure::ReadyPods, Unit::Count, Statistic::Average);
    let mapping = Mapping::new([cpu, p99, pods]).unwrap();
    assert_eq!(mapping.declared(), SignalSet::of([SignalKind::CpuUtilization, SignalKind::ResponseTime]));
    assert_eq!(mapping.response_time_quantile(), Some(0.99));
}

#[test]
fn a_mapping_is_read_as_it_is_written_and_refused_with_what_is_wrong() {
    let text = r#"[{"measure":"request_rate_per_second","query":"q","unit":"per_period","statistic":"sum"},
        {"measure":"current_pod_count","query":"q","unit":"count","statistic":"p99.9"}]"#;
    let mapping: Mapping<String> = serde_json::from_str(text).unwrap();
    let written = serde_json::to_string(&mapping).unwrap();
    assert_eq!(serde_json::from_str::<Mapping<String>>(&written).unwrap(), mapping);
    for (wrong, what) in [
        (r#"[{"measure":"cpu","query":"q","unit":"percent","statistic":"average"}]"#, "there is no measure \"cpu\""),
        (r#"[{"measure":"queue_depth","query":"q","unit":"things","statistic":"sum"}]"#, "things"),
        (
            r#"[{"measure":"queue_depth","query":"q","unit":"count","statistic":"mean"}]"#,
            "there is no statistic \"mean\"",
        ),
        (r#"[{"measure":"queue_depth","query":"q","unit":"bytes","statistic":"average"}]"#, "does not measure it"),
        (r#"[{"measure":"queue_depth","query":"q","unit":"count","statistic":"sum","scale":3}]"#, "scale"),
        ("[]", "no query"),
    ] {
        let error = serde_json::from_str::<Mapping<String>>(wrong).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn numbers_that_cannot_be_true_are_absent_and_never_0() {
    let at = chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    let put = |measure: Measure, unit, value| {
        let mut sample = ScalingMetrics::new(at, 9);
        query(measure, unit, Statistic::Average).conversion(&facts(), MINUTE).unwrap().put(value, &mut sample);
        sample
    };
    let cpu = |value| put(SignalKind::CpuUtilization.into(), Unit::Ratio, value).signal(SignalKind::CpuUtilization);
    assert_eq!(cpu(f64::NAN), Signal::Absent(Absence::NotFinite));
    assert_eq!(cpu(f64::MAX), Signal::Absent(Absence::NotFinite));
    assert_eq!(cpu(-0.1), Signal::Absent(Absence::OutOfRange));
    assert_eq!(cpu(0.5), Signal::Present(50.0));
    for (value, pods) in [
        (3.0, Some(3)),
        (3.000_000_1, Some(3)),
        (3.1, Some(4)),
        (0.0, Some(0)),
        (-1.0, None),
        (f64::NAN, None),
        (f64::INFINITY, None),
        (1e12, None),
    ] {
        assert_eq!(put(Measure::ReadyPods, Unit::Count, value).current_pod_count, pods, "{value}");
    }
}

proptest! {
    /// Text of any kind either is a statistic, which then reads back as it was written, or is refused.
    #[test]
    fn statistics_read_back_as_they_were_written(text in "(average|sum|maximum|p?[0-9]{0,3}(\\.[0-9]{1,3})?|p[-+eN.0-9a-z]{0,6})") {
        if let Ok(statistic) = text.parse::<Statistic>() {
            prop_assert_eq!(statistic.to_string().parse::<Statistic>(), Ok(statistic));
            prop_assert!(statistic.quantile().is_none_or(|quantile| quantile > 0.0 && quantile < 1.0));
        }
    }
}
