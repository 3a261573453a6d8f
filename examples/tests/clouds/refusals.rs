//! Files that are refused, with the file, the place and what is wrong.

use examples::Failure;
use scaling_core::chrono::DateTime;

use crate::Program;

const CLOUDWATCH: &str = "region: eu-central-1\nendpoint: http://127.0.0.1:1\n";

async fn refused(flag: &str, file: &str) -> String {
    let program = Program::new(flag, file, &[]);
    match program.check(DateTime::from_timestamp(1_700_000_000, 0).unwrap()).await.0 {
        Err(Failure::Input(what)) => {
            assert!(what.contains("mappings.yaml: ") && !what.contains('\n'), "{what}");
            what
        }
        other => panic!("{file}: {other:?}"),
    }
}

fn workload(lines: &str) -> String {
    format!("{CLOUDWATCH}workloads:\n  shop/shop:\n{lines}")
}

fn query(lines: &str) -> String {
    workload(&format!("    eks: {{ cluster: prod }}\n    queries:\n      - {lines}\n"))
}

#[tokio::test]
async fn a_file_is_refused_with_its_place_and_what_is_wrong() {
    let metric = "{ namespace: Shop, metric: Things, statistic: average }";
    for (file, what) in [
        ("wrkloads: {}".to_owned(), "wrkloads"),
        ("region: [".to_owned(), "line 1"),
        ("\u{1}".to_owned(), "mappings.yaml"),
        (format!("{CLOUDWATCH}workloads: {{}}"), "there is no shop/Deployment/shop"),
        (
            format!("{CLOUDWATCH}workloads:\n  shop: {{ eks: {{ cluster: prod }} }}"),
            "workloads: shop: expected NAMESPACE/NAME",
        ),
        (format!("{CLOUDWATCH}workloads:\n  shop/other: {{ eks: {{ cluster: prod }} }}"), "there are: shop/other"),
        (
            format!(
                "{CLOUDWATCH}workloads:\n  shop/shop: &one {{ eks: {{ cluster: prod }} }}\n  shop/Deployment/shop: {{ eks: {{ cluster: prod }} }}"
            ),
            "shop/shop: it is written twice",
        ),
        (workload("    eks: { cluster: prod, namespace: shop }\n"), "namespace"),
        (workload("    eks: { cluster: prod }\n    ecs: { cluster: prod, service: shop }\n"), "shop/shop: eks and ecs"),
        (workload("    eks: { cluster: \"\" }\n"), "shop/shop: the value of a dimension \"\" is empty"),
        (
            workload("    without: [queue_depth]\n    eks: { cluster: prod }\n"),
            "without: no preset of it delivers queue_depth",
        ),
        (workload("    facts: {}\n"), "shop/shop: there is no query in it"),
        (query("{ measure: cpu, unit: percent }"), "there is no measure \"cpu\""),
        (query("{ measure: queue_depth }"), "queries: 1 (queue_depth): expected series and unit, or part and whole"),
        (query(&format!("{{ measure: queue_depth, unit: furlongs, series: {metric} }}")), "furlongs"),
        (
            query(&format!("{{ measure: queue_depth, unit: seconds, series: {metric} }}")),
            "queue_depth: the unit seconds does not measure it; expected one of count",
        ),
        (
            query(&format!("{{ measure: request_rate_per_second, unit: per_period, series: {metric} }}")),
            "the statistic average of a quantity in per_period is none; expected sum or sample_count",
        ),
        (
            query(&format!("{{ measure: memory_utilization_percent, unit: bytes, series: {metric} }}")),
            "needs the request of a pod: set memory_request_bytes",
        ),
        (
            query(&format!(
                "{{ measure: error_rate_percent, part: {{ unit: bytes, series: {metric} }}, whole: {{ unit: count, series: {metric} }} }}"
            )),
            "an amount in bytes is no share of one in count",
        ),
        (
            query(&format!("{{ measure: queue_depth, unit: count, sparse: true, series: {metric} }}")),
            "expected series and unit",
        ),
        (
            workload(&format!(
                "    queries:\n      - {{ measure: current_pod_count, unit: count, series: {metric} }}\n"
            )),
            "it measures pods and no signal",
        ),
    ] {
        let said = refused("--cloudwatch", &file).await;
        assert!(said.contains(what), "{what:?} is not in {said:?}");
    }
    let gateway = "workloads: { shop/shop: { application_gateway: { resource: edge, pool: web } } }";
    assert!(refused("--azure", gateway).await.contains("shop/shop: \"edge\" is no resource id"));
    let picked = "workloads: { shop/shop: { queries: [{ measure: queue_depth, unit: count, series: { resource: \
                  /subscriptions/s/resourceGroups/g/providers/Microsoft.ServiceBus/namespaces/n, metric: ActiveMessages, aggregation: \
                  average, pick: { dimension: EntityName } } }] } }";
    assert!(refused("--azure", picked).await.contains("pick: expected value, or pods: true"));
    let tag = "workloads: { shop/shop: { traces: { operation: http.request, service: \"a b\" } } }";
    assert!(refused("--datadog", tag).await.contains("a b\" is no Datadog tag"));
    let space = "workloads: { shop/shop: { queries: [{ measure: queue_depth, unit: count, series: { metric: a, kind: gauge, space: p42, \
                 tags: {} } }] } }";
    assert!(refused("--datadog", space).await.contains("p42"));
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named() {
    let mut program = Program::new("--cloudwatch", "", &[]);
    program.live.from.origin.cloudwatch = Some(program.folder.path().join("none.yaml"));
    let (result, _) = program.check(DateTime::UNIX_EPOCH).await;
    assert!(matches!(&result, Err(Failure::Input(what)) if what.contains("none.yaml: ")), "{result:?}");
}
