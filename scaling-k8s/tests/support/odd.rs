//! Manifests as people write them, each with an oddity, and what is right for it: the HPA in short, or a part of the refusal.
//!
//! Used twice: without a server, and to ask a real one whether it takes the same and refuses the same.

/// A manifest with what is right for it.
pub(crate) struct Odd {
    pub(crate) what: &'static str,
    pub(crate) text: String,
    /// `MIN..MAX`, then each metric; or what the refusal says.
    #[allow(dead_code)] // a server has its own words
    pub(crate) right: Result<&'static str, &'static str>,
    /// Whether the API server can be asked: it takes one object at a time, and has its own words for a refusal.
    pub(crate) alone: bool,
}

const REFERENCE: &str = "{apiVersion: apps/v1, kind: Deployment, name: web}";

/// A manifest with these lines in `metadata` and `spec`.
fn v2(metadata: &str, spec: &str) -> String {
    written("autoscaling/v2", metadata, spec)
}

fn v1(metadata: &str, spec: &str) -> String {
    written("autoscaling/v1", metadata, spec)
}

fn written(version: &str, metadata: &str, spec: &str) -> String {
    let indented = |lines: &str| lines.lines().map(|line| format!("  {line}\n")).collect::<Vec<_>>().concat();
    format!(
        "apiVersion: {version}\nkind: HorizontalPodAutoscaler\nmetadata:\n  name: web\n{}spec:\n  scaleTargetRef: {REFERENCE}\n{}",
        indented(metadata),
        indented(spec)
    )
}

fn named(name: &str, max: u32) -> String {
    v2("", &format!("maxReplicas: {max}")).replace("name: web\n", &format!("name: {name}\n"))
}

const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {containers: [{name: a}]}}}\n";

pub(crate) fn all() -> Vec<Odd> {
    let alone = |what, text, right| Odd { what, text, right, alone: true };
    let stream = |what, text, right| Odd { what, text, right, alone: false };
    let mut found = Vec::new();
    found.extend(integers().into_iter().map(|(what, text, right)| alone(what, text, right)));
    found.extend(values().into_iter().map(|(what, text, right)| alone(what, text, right)));
    found.extend(metadata().into_iter().map(|(what, text, right)| alone(what, text, right)));
    found.extend(first_version().into_iter().map(|(what, text, right)| alone(what, text, right)));
    found.extend(streams().into_iter().map(|(what, text, right)| stream(what, text, right)));
    found.extend(templates().into_iter().map(|(what, text, right)| stream(what, text, right)));
    found
}

type Case = (&'static str, String, Result<&'static str, &'static str>);

fn integers() -> Vec<Case> {
    let of = |what, number: &str, right| (what, v2("", &format!("maxReplicas: {number}")), right);
    vec![
        of("a number", "7", Ok("1..7")),
        of("a leading zero", "07", Ok("1..7")),
        of("octal", "010", Ok("1..8")),
        of("octal that is none", "019", Ok("1..19")),
        of("octal as in YAML 1.2", "0o10", Ok("1..8")),
        of("hexadecimal", "0x10", Ok("1..16")),
        of("hexadecimal, capital", "0X1f", Ok("1..31")),
        of("binary", "0b11", Ok("1..3")),
        of("a sign", "+5", Ok("1..5")),
        of("underscores", "5_0", Ok("1..50")),
        of("an exponent", "1e3", Ok("1..1000")),
        of("a point", "7.0", Ok("1..7")),
        of("a point at the end", "7.", Ok("1..7")),
        of("a tag", "!!int 7", Ok("1..7")),
        of("a comment after it", "7 # for now", Ok("1..7")),
        of("an anchor", "&max 7", Ok("1..7")),
        of("a fraction", "7.5", Err("spec.maxReplicas: is the number 7.5; it must be a whole number of 32 bits")),
        of(
            "33 bits",
            "4294967296",
            Err("spec.maxReplicas: is the number 4294967296; it must be a whole number of 32 bits"),
        ),
        of("one too many", "2147483648", Err("it must be a whole number of 32 bits")),
        of("65 bits", "36893488147419103232", Err("it must be a whole number of 32 bits")),
        of("quotes", "\"7\"", Err("spec.maxReplicas: is the text \"7\"; it must be a whole number without quotes")),
        of("single quotes", "'7'", Err("without quotes")),
        of("text by tag", "!!str 7", Err("without quotes")),
        of("base 60", "12:30", Err("spec.maxReplicas: is the text \"12:30\"")),
        of("a placeholder in capitals", "maxREPLICAS", Err("spec.maxReplicas: is the text \"maxREPLICAS\"")),
        of("a boolean", "yes", Err("spec.maxReplicas: is the boolean true")),
        of("a list", "[7]", Err("spec.maxReplicas: is a list")),
        of("nothing", "", Err("spec.maxReplicas: must be at least 1")),
        of("not a number", ".nan", Err("spec.maxReplicas")),
        of("negative", "-7", Err("spec.maxReplicas: must be at least 1")),
        of("nothing but a sign", "+", Err("spec.maxReplicas: is the text \"+\"")),
        of("zero with a sign", "-0", Err("spec.maxReplicas: must be at least 1")),
        of("zeros", "00", Err("spec.maxReplicas: must be at least 1")),
        of("a leading zero and an eight", "08", Ok("1..8")),
        of("octal of long ago with a sign", "-010", Err("spec.maxReplicas: must be at least 1")),
        of("an exponent with a point", "1.2e1", Ok("1..12")),
        of("an exponent that makes a fraction", "12e-1", Err("is the number 1.2")),
        of("a number beyond all", "1e30", Err("it must be a whole number of 32 bits")),
        of("infinity", ".inf", Err("spec.maxReplicas")),
        of("binary of nothing", "0b", Err("spec.maxReplicas: is the text \"0b\"")),
        of("octal of an eight", "0o8", Err("spec.maxReplicas: is the text \"0o8\"")),
        of("underscores and a point", "1_0.0", Ok("1..10")),
        of("a point before an underscore", ".7_0", Err("spec.maxReplicas")),
        of("a float by tag", "!!float 7", Ok("1..7")),
        of("a boolean by tag", "!!bool yes", Err("spec.maxReplicas: is the boolean true")),
        of("a tag of one's own", "!seven 7", Err("spec.maxReplicas: is the text \"7\"")),
        of("a block of text", "|-\n  7", Err("spec.maxReplicas: is the text \"7\"")),
        of("a comma", "1,000", Err("spec.maxReplicas: is the text \"1,000\"")),
        of("a letter", "y", Err("spec.maxReplicas: is the boolean true")),
        of("a mapping", "{a: 7}", Err("spec.maxReplicas: is a mapping")),
        (
            "min above max",
            v2("", "minReplicas: 9\nmaxReplicas: 7"),
            Err("spec.maxReplicas: must not be below minReplicas"),
        ),
        ("min of nothing", v2("", "minReplicas: ~\nmaxReplicas: 7"), Ok("1..7")),
        (
            "min 0 on CPU",
            v2("", "minReplicas: 0\nmaxReplicas: 7"),
            Err("minReplicas 0 needs an Object or External metric"),
        ),
        (
            "a key given twice",
            v2("", "maxReplicas: 7\nminReplicas: 2\nminReplicas: 3"),
            Err("spec.minReplicas: duplicate field"),
        ),
        (
            "a key given twice to the same",
            v2("labels: {a: b, a: b}", "maxReplicas: 7"),
            Err("metadata.labels.a: duplicate field"),
        ),
        ("JSON", json(), Ok("1..7")),
    ]
}

/// The smallest manifest as JSON.
fn json() -> String {
    "{\"apiVersion\": \"autoscaling/v2\", \"kind\": \"HorizontalPodAutoscaler\", \"metadata\": {\"name\": \"web\"},\n\t\"spec\": {\
     \"scaleTargetRef\": {\"apiVersion\": \"apps/v1\", \"kind\": \"Deployment\", \"name\": \"web\"}, \"maxReplicas\": 7}}"
        .to_owned()
}

fn cpu(target: &str) -> String {
    v2("", &format!("maxReplicas: 7\nmetrics:\n- type: Resource\n  resource: {{name: cpu, target: {target}}}"))
}

fn external(target: &str) -> String {
    v2(
        "",
        &format!("maxReplicas: 7\nmetrics:\n- type: External\n  external: {{metric: {{name: lag}}, target: {target}}}"),
    )
}

#[allow(clippy::too_many_lines)] // a table
fn values() -> Vec<Case> {
    let behavior = |rules: &str| v2("", &format!("maxReplicas: 7\nbehavior: {{scaleDown: {rules}}}"));
    vec![
        ("a utilization", cpu("{type: Utilization, averageUtilization: 70}"), Ok("1..7 cpu=70%")),
        ("a utilization with a point", cpu("{type: Utilization, averageUtilization: 70.0}"), Ok("1..7 cpu=70%")),
        (
            "a utilization in quotes",
            cpu("{type: Utilization, averageUtilization: \"70\"}"),
            Err("spec.metrics[0].resource.target.averageUtilization: is the text \"70\""),
        ),
        (
            "a percent sign",
            cpu("{type: Utilization, averageUtilization: 70%}"),
            Err("averageUtilization: is the text \"70%\""),
        ),
        ("an absolute CPU", cpu("{type: AverageValue, averageValue: 100m}"), Ok("1..7 cpu=100m")),
        ("no type of target", cpu("{averageUtilization: 70}"), Err("spec.metrics[0].resource.target.type")),
        (
            "the fields of v2beta1",
            v2("", "maxReplicas: 7\nmetrics:\n- {type: Resource, resource: {name: cpu, targetAverageUtilization: 70}}"),
            Err("spec.metrics[0].resource.targetAverageUtilization: unknown field"),
        ),
        (
            "the field of v1",
            v2("", "maxReplicas: 7\ntargetCPUUtilizationPercentage: 70"),
            Err("spec.targetCPUUtilizationPercentage: unknown field"),
        ),
        (
            "a field with other capitals",
            v2("", "maxReplicas: 7\nminreplicas: 2"),
            Err("spec.minreplicas: unknown field; the field is called minReplicas"),
        ),
        ("a metric of nothing", v2("", "maxReplicas: 7\nmetrics:\n-"), Err("spec.metrics[0].type")),
        ("no metrics", v2("", "maxReplicas: 7\nmetrics: []"), Ok("1..7")),
        (
            "metrics without a list",
            v2("", "maxReplicas: 7\nmetrics: {type: Resource}"),
            Err("spec.metrics: is a mapping"),
        ),
        ("a quantity as a number", external("{type: AverageValue, averageValue: 30}"), Ok("1..7 lag=30")),
        ("a quantity with a fraction", external("{type: AverageValue, averageValue: 0.5}"), Ok("1..7 lag=0.5")),
        ("a quantity with an exponent", external("{type: AverageValue, averageValue: 1e3}"), Ok("1..7 lag=1000")),
        ("a quantity in octal", external("{type: AverageValue, averageValue: 010}"), Ok("1..7 lag=8")),
        ("a quantity in quotes", external("{type: Value, value: '1.5k'}"), Ok("1..7 lag=1.5k")),
        (
            "a quantity that is none",
            external("{type: Value, value: 5K}"),
            Err("spec.metrics[0].external.target.value: is the text \"5K\"; it must be a quantity"),
        ),
        ("a quantity of a boolean", external("{type: Value, value: on}"), Err("it must be a quantity")),
        ("a quantity of nothing", external("{type: Value, value: }"), Err("spec.metrics[0].external.target")),
        (
            "two targets",
            external("{type: Value, value: 5, averageValue: 5}"),
            Err("must not have both value and averageValue"),
        ),
        (
            "a selector with a number",
            v2(
                "",
                "maxReplicas: 7\nmetrics:\n- type: External\n  external:\n    metric: {name: lag, selector: {matchLabels: {shard: 1}}}\n    target: {type: Value, value: 5}",
            ),
            Err(
                "spec.metrics[0].external.metric.selector.matchLabels.shard: is the number 1; it must be text; put it in quotes",
            ),
        ),
        ("a behavior", behavior("{selectPolicy: Disabled}"), Ok("1..7")),
        ("a policy with a point", behavior("{policies: [{type: Pods, value: 1.0, periodSeconds: 60}]}"), Ok("1..7")),
        (
            "a period as a duration",
            behavior("{policies: [{type: Pods, value: 1, periodSeconds: 60s}]}"),
            Err("periodSeconds: is the text \"60s\""),
        ),
        (
            "a window as a duration",
            behavior("{stabilizationWindowSeconds: 5m}"),
            Err("stabilizationWindowSeconds: is the text \"5m\""),
        ),
        ("a tolerance as a number", behavior("{tolerance: 0.05}"), Ok("1..7")),
        ("a behavior of nothing", v2("", "maxReplicas: 7\nbehavior:"), Ok("1..7")),
        ("a merged mapping", "x: &a {a: 1}\n".to_owned() + &v2("", "maxReplicas: 7"), Err("x: unknown field")),
        ("an empty status", v2("", "maxReplicas: 7") + "status: {}\n", Ok("1..7")),
        (
            "an exported status",
            v2("", "maxReplicas: 7")
                + "status:\n  currentMetrics: null\n  currentReplicas: 0\n  desiredReplicas: 0\n  lastScaleTime: 2026-01-08T07:13:07Z\n",
            Ok("1..7"),
        ),
        ("a field in the wrong place", v2("", "maxReplicas: 7") + "metrics: []\n", Err("metrics: unknown field")),
        ("tabs", v2("", "maxReplicas: 7\n\tminReplicas: 2"), Err("line ")),
        (
            "no target",
            "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: web}\nspec: {maxReplicas: 7}"
                .to_owned(),
            Err("looks like a kustomize patch; render it first: kustomize build"),
        ),
        (
            "a target without a group",
            v2("", "maxReplicas: 7").replace("apps/v1", "v1"),
            Err("spec.scaleTargetRef.apiVersion"),
        ),
    ]
}

fn metadata() -> Vec<Case> {
    let with = |metadata: &str| v2(metadata, "maxReplicas: 7");
    let name = |name: &str| with("").replace("  name: web\n", &format!("  name: {name}\n"));
    vec![
        (
            "a label of a number",
            with("labels: {tier: 1}"),
            Err("metadata.labels.tier: is the number 1; it must be text"),
        ),
        ("a label of a boolean", with("labels: {tier: on}"), Err("metadata.labels.tier: is the boolean true")),
        ("a label of one letter", with("labels: {tier: y}"), Err("metadata.labels.tier: is the boolean true")),
        ("a label of nothing", with("labels: {tier: }"), Ok("1..7")),
        ("a label of a version", with("labels: {version: 1.2.3}"), Ok("1..7")),
        ("a label of a date", with("labels: {day: 2026-01-31}"), Ok("1..7")),
        ("labels of nothing", with("labels:"), Ok("1..7")),
        (
            "an annotation of a boolean",
            with("annotations: {a: true}"),
            Err("metadata.annotations.a: is the boolean true"),
        ),
        ("braces in an annotation", with("annotations: {summary: 'at {{ $value }}'}"), Ok("1..7")),
        ("a name of a number", name("123"), Err("metadata.name: is the number 123; it must be text")),
        ("a name with capitals", name("Web"), Err("metadata.name is \"Web\"; it must be a DNS subdomain")),
        ("a name with an underscore", name("my_web"), Err("metadata.name")),
        ("a time of nothing", with("creationTimestamp: null"), Ok("1..7")),
        (
            "a time that is none",
            with("creationTimestamp: yesterday"),
            Err("metadata.creationTimestamp: is the text \"yesterday\""),
        ),
        (
            "an owner without uid",
            with("ownerReferences:\n- {apiVersion: apps/v1, kind: Deployment, name: web}"),
            Err("metadata.ownerReferences[0].uid: must not be empty"),
        ),
        (
            "an owner",
            with("ownerReferences:\n- {apiVersion: apps/v1, kind: Deployment, name: web, uid: a, controller: true}"),
            Ok("1..7"),
        ),
        ("a finalizer", with("finalizers: [example.com/a]"), Ok("1..7")),
        ("a finalizer that is none", with("finalizers: ['a b']"), Err("metadata.finalizers[0]")),
        ("a namespace of nothing", with("namespace:"), Ok("1..7")),
        (
            "labels as a list",
            with("labels: [a]"),
            Err("metadata.labels: is a list; it must be a mapping of text to text"),
        ),
        ("a label of a list", with("labels: {a: [b]}"), Err("metadata.labels.a: is a list")),
        ("a label that is too long", with(&format!("labels: {{a: {}}}", "x".repeat(64))), Err("must be a label value")),
        ("a label with a colon", with("labels: {a: 'b:c'}"), Err("must be a label value")),
        ("a key of a number", with("annotations: {1: a}"), Ok("1..7")),
        ("a key of a boolean", with("annotations: {on: a}"), Ok("1..7")),
        ("an annotation of a number", with("annotations: {a: 1}"), Err("metadata.annotations.a: is the number 1")),
        ("an annotation in a block", with("annotations:\n  a: |\n    {{ $x }}\n    ${Y}"), Ok("1..7")),
        ("a generation", with("generation: 3"), Ok("1..7")),
        ("a generation in quotes", with("generation: '3'"), Err("metadata.generation: is the text \"3\"")),
        (
            "two controllers",
            with(
                "ownerReferences:\n- {apiVersion: v1, kind: A, name: a, uid: a, controller: true}\n- {apiVersion: v1, kind: B, name: b, uid: b, controller: true}",
            ),
            Err("only one of them may be the controller"),
        ),
        (
            "an owner that controls by word",
            with("ownerReferences:\n- {apiVersion: v1, kind: A, name: a, uid: a, controller: 'true'}"),
            Err("metadata.ownerReferences[0].controller: is the text \"true\""),
        ),
        ("a field of long ago", with("clusterName: a"), Err("metadata.clusterName: unknown field")),
    ]
}

fn first_version() -> Vec<Case> {
    let metrics = |json: &str| {
        v1(&format!("annotations:\n  autoscaling.alpha.kubernetes.io/metrics: '{json}'"), "maxReplicas: 7")
    };
    vec![
        ("v1", v1("", "maxReplicas: 7\ntargetCPUUtilizationPercentage: 70"), Ok("1..7 cpu=70%")),
        ("v1 without a target", v1("", "minReplicas: 2\nmaxReplicas: 7"), Ok("2..7")),
        ("v1 at 0", v1("", "maxReplicas: 7\ntargetCPUUtilizationPercentage: 0"), Err("averageUtilization")),
        (
            "v1 in quotes",
            v1("", "maxReplicas: 7\ntargetCPUUtilizationPercentage: '70'"),
            Err("spec.targetCPUUtilizationPercentage: is the text \"70\""),
        ),
        ("v1 with metrics", v1("", "maxReplicas: 7\nmetrics: []"), Err("spec.metrics: unknown field")),
        (
            "v1 with metrics in an annotation",
            metrics(
                r#"[{"type":"Resource","resource":{"name":"memory","targetAverageUtilization":60}},{"type":"Pods","pods":{"metricName":"rps","targetAverageValue":"30"}}]"#,
            ),
            Ok("1..7 memory=60% rps=30"),
        ),
        (
            "v1 with an external metric in an annotation",
            metrics(
                r#"[{"type":"External","external":{"metricName":"lag","metricSelector":{"matchLabels":{"a":"b"}},"targetAverageValue":"5"}}]"#,
            ),
            Ok("1..7 lag=5"),
        ),
        (
            "v1 with an object in an annotation",
            metrics(
                r#"[{"type":"Object","object":{"target":{"kind":"Service","name":"a","apiVersion":"v1"},"metricName":"lag","targetValue":"5"}}]"#,
            ),
            Ok("1..7 lag=5"),
        ),
        ("v1 with an annotation that is none", metrics("nonsense"), Ok("1..7")),
        (
            "v1 with behavior in an annotation",
            v1(
                r#"annotations: {autoscaling.alpha.kubernetes.io/behavior: '{"ScaleDown":{"StabilizationWindowSeconds":60,"SelectPolicy":"Max","Policies":[{"Type":"Pods","Value":1,"PeriodSeconds":30}]}}'}"#,
                "maxReplicas: 7\ntargetCPUUtilizationPercentage: 70",
            ),
            Ok("1..7 cpu=70% down=60"),
        ),
        (
            "v1 with conditions in an annotation",
            v1(
                "annotations: {autoscaling.alpha.kubernetes.io/conditions: '[]', team: shop}",
                "maxReplicas: 7\ntargetCPUUtilizationPercentage: 70",
            ),
            Ok("1..7 cpu=70%"),
        ),
    ]
}

fn streams() -> Vec<Case> {
    let one = named("web", 7);
    let list = |kind: &str, version: &str, items: &str| format!("apiVersion: {version}\nkind: {kind}\nitems:\n{items}");
    let item = |text: &str, own: bool| {
        let mut lines =
            text.lines().filter(|line| own || !(line.starts_with("kind") || line.starts_with("apiVersion")));
        let first = format!("- {}\n", lines.next().unwrap_or_default());
        lines.fold(first, |all, line| all + "  " + line + "\n")
    };
    vec![
        ("comments before it", format!("# a\n---\n# b\n{one}"), Ok("1..7")),
        ("a document of comments", format!("---\n# Source: a\n{one}---\n# Source: b\n"), Ok("1..7")),
        ("marks around it", format!("---\n---\n{one}\n...\n---\n"), Ok("1..7")),
        ("lines of DOS", format!("---\n{one}---\n").replace('\n', "\r\n"), Ok("1..7")),
        ("a byte order mark", format!("\u{feff}{one}"), Ok("1..7")),
        ("a Deployment before it", format!("{DEPLOYMENT}---\n{one}"), Ok("1..7")),
        ("a list", list("List", "v1", &item(&one, true)), Ok("1..7")),
        ("a list with a Deployment", list("List", "v1", &(item(DEPLOYMENT, true) + &item(&one, true))), Ok("1..7")),
        ("a list of HPAs", list("HorizontalPodAutoscalerList", "autoscaling/v2", &item(&one, true)), Ok("1..7")),
        (
            "a list of HPAs without kinds",
            list("HorizontalPodAutoscalerList", "autoscaling/v2", &item(&one, false)),
            Ok("1..7"),
        ),
        (
            "an empty list",
            "apiVersion: v1\nkind: List\nitems: []".to_owned(),
            Err("there is no HorizontalPodAutoscaler in it"),
        ),
        (
            "two of them",
            format!("{one}---\n{}", named("api", 9)),
            Err("there are 2 HorizontalPodAutoscalers in it: web, api"),
        ),
        (
            "another kind",
            DEPLOYMENT.to_owned(),
            Err("there is no HorizontalPodAutoscaler in it; there is: Deployment web"),
        ),
        ("nothing", "# nothing\n".to_owned(), Err("there is no HorizontalPodAutoscaler in it")),
        (
            "KEDA's",
            "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: web}\nspec: {}".to_owned(),
            Err("KEDA makes an HPA of a ScaledObject: kubectl get hpa -o yaml"),
        ),
        ("v2beta2", one.replace("/v2", "/v2beta2"), Err("kubectl convert -f FILE --output-version autoscaling/v2")),
        ("v2beta1", one.replace("/v2", "/v2beta1"), Err("metricName becomes metric.name")),
        (
            "no version",
            one.replace("apiVersion: autoscaling/v2\n", ""),
            Err("apiVersion is \"\"; it must be \"autoscaling/v2\""),
        ),
        ("v2 with the group of long ago", one.replace("autoscaling/v2", "extensions/v1beta1"), Err("convert it")),
        (
            "a JSON patch",
            "- op: replace\n  path: /spec/maxReplicas\n  value: 7\n".to_owned(),
            Err("looks like a kustomize patch"),
        ),
        (
            "a kustomization",
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [hpa.yaml]".to_owned(),
            Err("kustomize build"),
        ),
        ("broken YAML elsewhere", format!("{one}---\nkind: Service\na: [\n"), Ok("1..7")),
        ("broken YAML", format!("{one}  a: [\n"), Err("line ")),
    ]
}

fn templates() -> Vec<Case> {
    let of = |name: &str, max: &str| {
        v2("", &format!("maxReplicas: {max}")).replace("  name: web\n", &format!("  name: {name}\n"))
    };
    vec![
        (
            "braces",
            of("{{ .Release.Name }}", "{{ .Values.max }}"),
            Err("line 4: \"{{ .Release.Name }}\" belongs to an unrendered template: render it first: helm template"),
        ),
        ("braces in quotes", of("\"{{ .Release.Name }}\"", "7"), Err("helm template")),
        ("a condition", format!("{{{{- if .Values.on }}}}\n{}{{{{- end }}}}\n", of("web", "7")), Err("helm template")),
        (
            "a condition after the license",
            format!("# Copyright\n\n{{{{ if a }}}}\n{}", of("web", "7")),
            Err("line 3: "),
        ),
        ("Jinja's condition", format!("{{% if on %}}\n{}{{% endif %}}\n", of("web", "7")), Err("render it first")),
        ("braces in comments alone", format!("# {{{{ .Values.max }}}}\n{}", of("web", "7")), Ok("1..7")),
        ("ERB", of("<%= name %>", "<%= max %>"), Err("with the tool whose <% %> these are")),
        ("a shell's variable", of("${NAME}", "7"), Err("render it first: envsubst")),
        ("a number from a variable", of("web", "${MAX}"), Err("envsubst")),
        ("a bare variable", of("$service_name", "7"), Err("envsubst")),
        ("kustomize's variable", of("$(NAME)", "7"), Err("kustomize build")),
        (
            "OpenShift's",
            format!(
                "apiVersion: template.openshift.io/v1\nkind: Template\nobjects:\n- {}parameters: [{{name: A}}]\n",
                named("web", 7).replace('\n', "\n  ").trim_end_matches("  ")
            ),
            Err("render it first: oc process -f FILE"),
        ),
        (
            "dollars in an annotation and a fault elsewhere",
            v2("annotations: {a: '${X} {{ $y }}'}", "maxReplicas: '7'"),
            Err("spec.maxReplicas: is the text \"7\""),
        ),
        (
            "a container's arguments, and no HPA",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: a, args: ['$(NAME)']}]}\n"
                .to_owned(),
            Err("there is no HorizontalPodAutoscaler in it; there is: Pod web"),
        ),
        (
            "values of a chart",
            "autoscaling: {enabled: true, maxReplicas: 7}\n".to_owned(),
            Err("there is: an object without a kind"),
        ),
        ("a template beside it", format!("{}---\nname: {{{{ .Values.a }}}}\n", of("web", "7")), Ok("1..7")),
    ]
}
