//! Files for a Git repository.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/vertical.rs"]
mod vertical;

use scaling_core::conformance::applier::plan as plan_of;
use scaling_core::{Bounds, Target, WorkloadFacts};
use scaling_k8s::repository::{files, files_after};
use scaling_k8s::{HpaManifest, ManifestError};

fn checkout() -> HpaManifest {
    HpaManifest::from_yaml(include_str!("../../test_data/hpa/checkout.yaml")).unwrap()
}

#[test]
fn an_hpa_has_one_file_in_its_namespace() {
    let files = files(&checkout(), None).unwrap();
    assert_eq!(files, [("shop/checkout-hpa.hpa.yaml".to_owned(), checkout().to_yaml().unwrap())]);
}

#[test]
fn a_plan_moves_the_bounds_in_it() {
    let manifest = checkout();
    let plan = plan_of(&manifest.target(), Bounds::new(3, 30).unwrap(), 20, 40);
    let files = files_after(&plan, &manifest, None).unwrap();
    let [(path, content)] = &files[..] else { panic!("{files:?}") };
    assert_eq!(path, "shop/checkout-hpa.hpa.yaml");
    assert_eq!(HpaManifest::from_yaml(content).unwrap(), manifest.with_bounds(Bounds::new(20, 50).unwrap()));
}

#[test]
fn a_change_of_requests_is_a_patch_for_the_container_that_is_given() {
    let manifest = checkout();
    let plan = vertical::plan(&manifest.target(), Bounds::new(3, 30).unwrap(), &vertical::facts(), 30, -25);
    let files = files_after(&plan, &manifest, Some("app")).unwrap();
    assert_eq!(files[1].0, "shop/checkout.deployment.requests.yaml");
    let expected = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: checkout
  namespace: shop
spec:
  template:
    spec:
      containers:
      - name: app
        resources:
          requests:
            cpu: 325m
            memory: 384Mi
";
    assert_eq!(files[1].1, expected);
    let plan = vertical::plan(&manifest.target(), Bounds::new(3, 30).unwrap(), &vertical::facts(), 30, 0);
    assert!(!files_after(&plan, &manifest, Some("app")).unwrap()[1].1.contains("memory"));
}

#[test]
fn what_is_not_known_is_not_guessed() {
    let manifest = checkout();
    let target = manifest.target();
    let old = Bounds::new(3, 30).unwrap();
    let plan = vertical::plan(&target, old, &vertical::facts(), 30, 0);
    let said = |result: Result<_, ManifestError>| result.map(|_: Vec<(String, String)>| ()).unwrap_err().to_string();
    assert!(said(files_after(&plan, &manifest, None)).ends_with("the name of the container is not given"));
    assert!(said(files_after(&plan, &manifest, Some("../x"))).contains("container is \"../x\""));
    let blind = vertical::plan(&target, old, &WorkloadFacts::default(), 30, 0);
    assert!(said(files_after(&blind, &manifest, Some("app"))).ends_with("the present request is not known"));
    let nothing = vertical::plan(&target, old, &vertical::facts(), -100, 0);
    assert!(said(files_after(&nothing, &manifest, Some("app"))).ends_with("would be 0"));

    let mut rollout = manifest.clone();
    rollout.spec.scale_target_ref.api_version = Some("argoproj.io/v1alpha1".into());
    rollout.spec.scale_target_ref.kind = "Rollout".into();
    let plan = vertical::plan(&rollout.target(), old, &vertical::facts(), 30, 0);
    assert!(said(files_after(&plan, &rollout, Some("app"))).contains("no Deployment"));
}

#[test]
fn a_plan_for_something_else_is_refused() {
    let manifest = checkout();
    let old = Bounds::new(3, 30).unwrap();
    let other = plan_of(&Target::deployment("shop", "cart").with_hpa("checkout-hpa"), old, 20, 40);
    assert!(matches!(files_after(&other, &manifest, None), Err(ManifestError::OtherTarget { .. })));
    let stale = plan_of(&manifest.target(), Bounds::new(3, 20).unwrap(), 20, 40);
    assert!(matches!(files_after(&stale, &manifest, None), Err(ManifestError::OtherBounds { .. })));
    let there = plan_of(&manifest.target().in_cluster("eu-1"), old, 20, 40);
    assert!(files_after(&there, &manifest, None).is_ok(), "a manifest names no cluster");
}

#[test]
fn no_path_leaves_its_folder() {
    for (namespace, name) in
        [("..", "x"), ("shop", "../x"), ("a/b", "x"), ("shop", ".."), ("shop", "/etc/x"), ("", "x")]
    {
        assert!(files(&HpaManifest::new(namespace, name, checkout().spec), None).is_err(), "{namespace}/{name}");
    }
    let mut manifest = checkout();
    for name in ["..", "a/b", "A"] {
        manifest.spec.scale_target_ref.name = name.into();
        let plan = vertical::plan(&manifest.target(), Bounds::new(3, 30).unwrap(), &vertical::facts(), 30, 0);
        assert!(files_after(&plan, &manifest, Some("app")).is_err(), "{name}");
    }
}
