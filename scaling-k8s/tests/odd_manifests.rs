//! Manifests as people write them: read as Kubernetes reads them, or refused with what is wrong and what to do.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/odd.rs"]
mod odd;
#[path = "support/short.rs"]
mod short;

use scaling_core::Target;
use scaling_k8s::{HpaManifest, Manifests};

#[test]
fn every_odd_manifest_is_read_rightly_or_refused_with_the_reason() {
    let cases = odd::all();
    let mut wrong = Vec::new();
    for odd::Odd { what, text, right, .. } in &cases {
        let read = Manifests::from_yaml(text).and_then(|manifests| manifests.one(None));
        let read = read.map(|manifest| short::of(&manifest)).map_err(|error| error.to_string());
        let is_right = match (&read, right) {
            (Ok(read), Ok(right)) => read == right,
            (Err(error), Err(part)) => error.contains(part) && !error.contains('\n'),
            _ => false,
        };
        if !is_right {
            wrong.push(format!("{what}: {read:?}, not {right:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(cases.iter().filter(|odd| !odd.alone).count() > 30 && cases.len() > 120, "{}", cases.len());
}

#[test]
fn what_is_read_is_written_as_v2_and_read_again() {
    for odd::Odd { what, text, .. } in odd::all() {
        let Ok(manifest) = Manifests::from_yaml(&text).and_then(|manifests| manifests.one(None)) else { continue };
        let written = manifest.to_yaml().unwrap();
        let again = HpaManifest::from_yaml(&written).unwrap();
        assert_eq!(
            (&again.spec, &again.metadata.labels),
            (&manifest.spec, &manifest.metadata.labels),
            "{what}\n{written}"
        );
    }
}

const SEVERAL: &str = "
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: shop}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, maxReplicas: 7}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: blog}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, maxReplicas: 9}
---
apiVersion: autoscaling/v2beta2
kind: HorizontalPodAutoscaler
metadata: {name: old}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, maxReplicas: 9}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: blog}
spec: {template: {spec: {containers: [{name: app, resources: {requests: {cpu: 250m}}}]}}}
";

#[test]
fn of_several_one_is_taken_by_name_and_one_that_is_refused_spoils_no_other() {
    let manifests = Manifests::from_yaml(SEVERAL).unwrap();
    let said = |name| manifests.one(name).map(|found| short::of(&found)).map_err(|error| error.to_string());
    assert_eq!(said(Some("shop/web")), Ok("1..7".to_owned()));
    assert_eq!(said(Some("blog/web")), Ok("1..9".to_owned()));
    let several = "there are 3 HorizontalPodAutoscalers in it: shop/web, blog/web, old; say which";
    assert_eq!(said(None).unwrap_err(), several);
    assert_eq!(said(Some("web")).unwrap_err(), several);
    assert!(said(Some("old")).unwrap_err().contains("kubectl convert"));
    let none = "there is no HorizontalPodAutoscaler \"api\" in it; there are: shop/web, blog/web, old";
    assert_eq!(said(Some("api")).unwrap_err(), none);
    assert_eq!(manifests.all().filter(|(_, read)| read.is_ok()).count(), 2);
}

#[test]
fn the_workload_beside_an_hpa_is_found() {
    let manifests = Manifests::from_yaml(SEVERAL).unwrap();
    let workload = manifests.workload(&manifests.one(Some("blog/web")).unwrap().target()).unwrap();
    assert_eq!(workload.request_milli("cpu"), Ok(250));
    assert!(manifests.workload(&Target::deployment("shop", "web")).is_none());
}

#[test]
fn nothing_of_the_metadata_is_lost() {
    let text = SEVERAL.split("---").next().unwrap().replace(
        "namespace: shop",
        "namespace: shop, finalizers: [example.com/a], ownerReferences: [{apiVersion: v1, kind: Node, name: a, uid: b}]",
    );
    let written = HpaManifest::from_yaml(&text).unwrap().to_yaml().unwrap();
    assert!(written.contains("example.com/a") && written.contains("uid: b"), "{written}");
}
