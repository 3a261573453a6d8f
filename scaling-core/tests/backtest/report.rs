//! The report, as JSON, table and page.

use chrono::DateTime;
use scaling_core::backtest::{Candidate, ClusterModel, Report, SampleTime, Scenario, Trace};
use scaling_core::{ScalingMetrics, SignalKind};

use crate::world::{candidates, report, scenario, trace, waves};

#[test]
fn gaps_and_full_pods_are_counted_in_the_report() {
    let mut rates = waves();
    rates[500..560].fill(f64::NAN);
    let report = report(&[scenario(&rates)], &candidates()[..1]);
    let scored = &report.traces[0].scored;
    assert_eq!((scored.gap_seconds, report.traces[0].facts.absent), (3600.0, 60));
    assert!(report.traces[0].plot.load.contains(&None));
    assert_eq!(scored.settling_seconds, 600.0, "as long as settling takes at the beginning");
    assert!(report.to_html().contains("60 minutes without data count for nothing, nor do 10 minutes after them"));

    let full = |minute: i64, cpu: f64| {
        ScalingMetrics::new(DateTime::from_timestamp(minute * 60, 0).unwrap(), 5)
            .with(SignalKind::RequestRate, cpu * 2.5)
            .with(SignalKind::CpuUtilization, cpu)
    };
    let samples = (0..200).map(|minute| full(minute, if minute % 10 == 9 { 99.0 } else { 60.0 })).collect();
    let trace = Trace::from_samples("full", samples, SampleTime::Ends).unwrap();
    let report = report_of(trace);
    assert_eq!(report.traces[0].scored.censored_seconds, 9.0 * 60.0);
    assert!(report.to_table().contains("0.1 h with full pods recorded"));
}

fn report_of(trace: Trace) -> Report {
    let model = ClusterModel { pod_capacity: trace.pod_capacity().unwrap(), ..ClusterModel::default() };
    report(&[Scenario::new(trace, model)], &candidates()[..1])
}

#[test]
fn the_page_is_whole_in_itself_and_text_stays_text() {
    let evil = "</script><script>alert(1)</script>&\"";
    let named = Candidate::hpa_on_cpu(70).named(evil);
    let scenario = Scenario { trace: trace(evil, &waves()).into(), ..scenario(&waves()) };
    let html = report(&[scenario], &[named, Candidate::hpa_on_cpu(50)]).to_html();
    assert!(!html.contains("alert(1)</script>") && html.contains("&lt;/script&gt;"));
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!html.contains(outside), "{outside}");
    }
    for part in ["Load", "Pods", "Queue", "Cost against violations", "The whole trace"] {
        assert!(html.contains(&format!("<h3>{part}</h3>")), "{part}");
    }
    assert!(html.contains("requests/s") && html.contains("prefers-color-scheme: dark"));
    // What the script of the page draws can be read by it.
    let data = html.split("<script type=\"application/json\">").nth(1).unwrap().split("</script>").next().unwrap();
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["candidates"][0]["name"], evil);
    let points = data["load"].as_array().unwrap().len();
    for series in ["load_peak", "oracle"] {
        assert_eq!(data[series].as_array().unwrap().len(), points, "{series}");
    }
    for series in ["pods", "pods_peak", "queue"] {
        assert_eq!(data["candidates"][1][series].as_array().unwrap().len(), points, "{series}");
    }
}

#[test]
fn the_page_begins_with_a_verdict_and_ranks_the_policies() {
    let command = "backtest --trace '<waves>.csv'";
    let report = report(&[scenario(&waves())], &candidates()).made_by(command);
    let html = report.to_html();
    let at = |part: &str| html.find(part).unwrap_or_else(|| panic!("{part}\n{html}"));
    let trace = &report.traces[0];
    let ranked: Vec<_> = trace.ranking().into_iter().map(|place| &trace.candidates[place]).collect();
    assert!(ranked.windows(2).all(|pair| pair[0].score.oracle_ratio <= pair[1].score.oracle_ratio));
    let (verdict, best) = (trace.verdict(), &trace.candidates[trace.best().unwrap()].name);
    assert!(verdict.contains(&format!("{best} costs least at equal violations")), "{verdict}");
    assert!(at(&verdict) < at("<dt>Made by</dt>") && at("<dt>Made by</dt>") < at("<table>"));
    assert!(html.contains(&format!("<dd>scaling-core {}</dd>", env!("CARGO_PKG_VERSION"))));
    assert!(html.contains("<code>backtest --trace &#39;&lt;waves&gt;.csv&#39;</code>"));
    assert!(html.contains("no dates; of 12.0 hours those from hour 6.2 on count"));
    let rows: Vec<_> = ranked.iter().map(|one| at(&format!("\">{}</td>", one.name))).collect();
    assert!(rows.is_sorted(), "{rows:?}");
    assert_eq!((html.matches("<tr class=\"best\">").count(), html.matches("× oracle</abbr>").count()), (1, 1));
    let table = report.to_table();
    assert!(table.contains(&verdict) && table.contains(&format!(" {best} * ")), "{table}");
    assert!(table.contains("× oracle: pod-hours over the least that any schedule could have had at the same share"));
}

#[test]
fn load_and_pods_are_drawn_below_the_table_within_80_columns() {
    let mut rates = waves();
    rates[500..520].fill(f64::NAN);
    let table = report(&[scenario(&rates)], &candidates()).to_table();
    let drawn: Vec<_> = table.lines().filter(|line| line.contains('▁') || line.contains('█')).collect();
    assert_eq!(drawn.len(), 2 + candidates().len(), "the load, the oracle, each policy\n{table}");
    assert!(drawn.iter().all(|line| line.chars().count() <= 80), "{table}");
    assert!(drawn[0].starts_with(" load ") && drawn[0].contains('·') && drawn[0].ends_with("/s"), "{}", drawn[0]);
}

#[test]
fn a_month_of_six_policies_is_a_page_of_less_than_two_megabytes() {
    let mut report = report(&[scenario(&waves())], &candidates()[..1]);
    let trace = &mut report.traces[0];
    let many = |at: usize| Some(((at * 37 % 101) as f64).mul_add(1.37, 20.0));
    let points: Vec<Option<f64>> = (0..4032).map(many).collect();
    for series in
        [&mut trace.plot.load, &mut trace.plot.load_peak, &mut trace.plot.history, &mut trace.plot.history_peak]
    {
        series.clone_from(&points);
    }
    trace.plot.oracle_pods.clone_from(&points);
    let plot = &mut trace.candidates[0].plot;
    (plot.pods, plot.queue, plot.pods_peak) = (points.clone(), points.clone(), points);
    trace.candidates = vec![trace.candidates[0].clone(); 6];
    assert!(report.to_html().len() < 2_000_000, "{}", report.to_html().len());
}

#[test]
fn the_table_has_a_row_for_each_candidate_and_the_oracle() {
    let report = report(&[scenario(&waves()), scenario(&waves())], &candidates());
    let table = report.to_table();
    for name in ["hpa:50", "kpa", "rules over hpa"] {
        let rows = table.lines().filter(|line| line.trim_start().starts_with(name) && line.contains(" %"));
        assert_eq!(rows.filter(|line| !line.contains("costs")).count(), 3, "{name}\n{table}");
    }
    assert!(
        table.contains("waves: no dates; of 12.0 hours")
            && table.contains("\n5.8 hours count, after 6.0 hours of history"),
        "{table}"
    );
    assert!(table.contains("oracle, none") && table.contains("over all traces") && table.contains("EUR"));
}

#[test]
fn charts_go_by_the_clock_of_the_zone() {
    let zone = chrono::FixedOffset::east_opt(7200).unwrap();
    let report = report(&[scenario(&waves())], &[Candidate::hpa_on_cpu(70)]);
    let utc = report.to_html();
    assert!(utc.contains("\"zone\":\"UTC\",\"offsets\":[]"), "a page without a zone is in UTC");
    let page = report.in_zone("Plus2", &zone).to_html();
    assert!(
        page.contains("\"zone\":\"Plus2\",\"offsets\":[[0,7200]]"),
        "offsets to UTC are in the numbers of the page"
    );
}
