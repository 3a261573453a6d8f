//! An HPA in short, for comparison: `2..9 cpu=70% lag=5 down=60`.

use scaling_k8s::HpaManifest;

pub(crate) fn of(manifest: &HpaManifest) -> String {
    let mut short = manifest.bounds().unwrap().to_string();
    for metric in manifest.spec.metrics.iter().flatten() {
        let sources = [&metric.resource, &metric.container_resource, &metric.pods, &metric.object, &metric.external];
        let source = sources.into_iter().flatten().next().unwrap();
        let name = source.name.as_ref().or(source.metric.as_ref().map(|metric| &metric.name)).unwrap();
        let target = &source.target;
        let value = match (target.average_utilization, target.average_value.as_ref().or(target.value.as_ref())) {
            (Some(percent), _) => format!("{percent}%"),
            (None, Some(value)) => value.to_string(),
            (None, None) => "nothing".to_owned(),
        };
        short = format!("{short} {name}={value}");
    }
    let down =
        manifest.spec.behavior.as_ref().and_then(|behavior| behavior.scale_down.as_ref()?.stabilization_window_seconds);
    down.map_or(short.clone(), |seconds| format!("{short} down={seconds}"))
}
