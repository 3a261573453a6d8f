//! HPAs in a folder of manifests.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/vertical.rs"]
mod vertical;

use std::fs;
use std::path::Path;

use futures::executor::block_on;
use scaling_core::conformance;
use scaling_core::conformance::applier::plan as plan_of;
use scaling_core::{Applied, ApplyError, ApplyMode, Bounds, HpaApplier, Target};
use scaling_k8s::{FolderError, ManifestApplier};
use tempfile::TempDir;

fn bounds(min: u32, max: u32) -> Bounds {
    Bounds::new(min, max).unwrap()
}

fn target() -> Target {
    Target::deployment("shop", "checkout")
}

fn hpa(min: u32, max: u32) -> String {
    format!(
        "# do not touch\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: checkout}} # here\nspec:\n  \
         scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: checkout}}\n  minReplicas: {min}\n  maxReplicas: {max} # most\n"
    )
}

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn open(folder: &TempDir) -> ManifestApplier {
    ManifestApplier::open(folder.path()).unwrap()
}

fn read(folder: &TempDir, path: &str) -> String {
    fs::read_to_string(folder.path().join(path)).unwrap()
}

#[allow(clippy::result_large_err)] // the error of the trait
fn current(applier: &ManifestApplier) -> Result<Bounds, ApplyError> {
    block_on(applier.current(&target())).map(|state| state.bounds)
}

#[allow(clippy::result_large_err)] // the error of the trait
fn apply(applier: &ManifestApplier, old: Bounds, pods: u32, wanted: u32) -> Result<Applied, ApplyError> {
    block_on(applier.apply(&plan_of(&target(), old, pods, wanted), ApplyMode::Apply))
}

/// A folder that is removed with the applier over it.
struct Kept {
    applier: ManifestApplier,
    _folder: TempDir,
}

#[async_trait::async_trait]
impl HpaApplier for Kept {
    async fn current(&self, target: &Target) -> Result<scaling_core::HpaState, ApplyError> {
        self.applier.current(target).await
    }
    async fn apply(&self, plan: &scaling_core::HpaPlan, mode: ApplyMode) -> Result<Applied, ApplyError> {
        self.applier.apply(plan, mode).await
    }
}

#[test]
fn it_keeps_the_promises_of_every_applier() {
    block_on(conformance::applier(async |bounds: Bounds| {
        let folder = folder(&[("shop/hpa.yaml", &hpa(bounds.min(), bounds.max()))]);
        (Kept { applier: open(&folder), _folder: folder }, target())
    }));
}

#[test]
fn so_it_does_with_a_patch_in_an_overlay() {
    block_on(conformance::applier(async |bounds: Bounds| {
        let base = hpa(bounds.min(), bounds.max());
        let folder = folder(&[("base/hpa.yaml", &base), ("prod/kustomization.yaml", "resources: [../base]\n")]);
        (Kept { applier: open(&folder).patching("prod").unwrap(), _folder: folder }, target())
    }));
}

#[test]
fn two_numbers_change_and_nothing_else() {
    let folder = folder(&[
        ("a/hpa.yaml", &hpa(2, 6)),
        ("a/other.yaml", "kind: Service\n"),
        (".git/hpa.yaml", &hpa(1, 1)),
        ("b.txt", &hpa(1, 1)),
    ]);
    assert!(apply(&open(&folder), bounds(2, 6), 4, 10).unwrap().changed);
    let now = current(&open(&folder)).unwrap();
    assert_eq!(read(&folder, "a/hpa.yaml"), hpa(now.min(), now.max()));
    assert_eq!(fs::read_dir(folder.path().join("a")).unwrap().count(), 2, "no temporary file is left");
}

#[test]
fn an_overlay_gets_a_patch_and_its_kustomization_lists_it() {
    let base = hpa(2, 6).replace("{name: checkout}", "{name: checkout, namespace: shop}");
    let folder = folder(&[
        ("base/hpa.yaml", &base),
        ("prod/kustomization.yaml", "# prod\nresources:\n- ../base\npatches:\n  # more\n  - path: a.yaml\n"),
    ]);
    let applier = open(&folder).patching("prod").unwrap();
    let plan = plan_of(&target(), bounds(2, 6), 4, 10);
    let preview = applier.preview(&plan).unwrap();
    assert_eq!(preview.len(), 2);
    assert!(block_on(applier.apply(&plan, ApplyMode::Apply)).unwrap().changed);
    assert_eq!(read(&folder, "base/hpa.yaml"), base);
    let (min, max) = (plan.new_bounds().min(), plan.new_bounds().max());
    assert_eq!(
        read(&folder, "prod/checkout.bounds.yaml"),
        format!(
            "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata:\n  name: checkout\n  namespace: shop\nspec:\n  minReplicas: {min}\n  maxReplicas: {max}\n"
        )
    );
    assert_eq!(
        read(&folder, "prod/kustomization.yaml"),
        "# prod\nresources:\n- ../base\npatches:\n  - path: checkout.bounds.yaml\n  # more\n  - path: a.yaml\n"
    );
    // The next change is in the patch alone, and another overlay is another matter.
    let listed = read(&folder, "prod/kustomization.yaml");
    assert!(apply(&applier, plan.new_bounds(), 10, 5).unwrap().changed);
    assert_eq!(read(&folder, "prod/kustomization.yaml"), listed);
    assert!(
        matches!(current(&open(&folder)), Err(ApplyError::Refused { detail, .. }) if detail.contains("which overlay counts"))
    );
}

#[test]
fn a_patch_that_no_kustomization_lists_does_not_count_and_is_taken_up_again() {
    let leftover = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata:\n  name: checkout\nspec:\n  minReplicas: 4\n  maxReplicas: 15 # ours\n";
    let files = [
        ("base/hpa.yaml", &*hpa(2, 6)),
        ("prod/kustomization.yaml", "resources: [../base]\n"),
        ("prod/checkout.bounds.yaml", leftover),
        // Somebody's draft.
        ("prod/draft.yaml", &leftover.replace("15 # ours", "99")),
    ];
    let folder = folder(&files);
    let applier = open(&folder).patching("prod").unwrap();
    assert_eq!(current(&applier).unwrap(), bounds(2, 6), "as kustomize builds it");
    let plan = plan_of(&target(), bounds(2, 6), 4, 10);
    assert!(block_on(applier.apply(&plan, ApplyMode::Apply)).unwrap().changed);
    let new = plan.new_bounds();
    assert_eq!(current(&applier).unwrap(), new);
    let written = leftover.replace(": 4", &format!(": {}", new.min())).replace("15", &new.max().to_string());
    assert_eq!(read(&folder, "prod/checkout.bounds.yaml"), written);
    let listing = read(&folder, "prod/kustomization.yaml");
    assert_eq!(listing, "resources: [../base]\npatches:\n- path: checkout.bounds.yaml\n");
    assert_eq!(read(&folder, "prod/draft.yaml"), files[3].1);

    // The patch has the bounds already: the listing is what is missing.
    fs::write(folder.path().join("prod/kustomization.yaml"), files[1].1).unwrap();
    assert_eq!(applier.preview(&plan).unwrap().len(), 1);
    assert!(block_on(applier.apply(&plan, ApplyMode::Apply)).unwrap().changed);
    assert_eq!((read(&folder, "prod/kustomization.yaml"), current(&applier).unwrap()), (listing, new));
}

#[test]
fn a_file_of_another_content_under_our_name_is_not_listed() {
    let theirs = "kind: HorizontalPodAutoscaler\nmetadata: {name: checkout}\nspec: {maxReplicas: 3, behavior: {}}\n";
    for content in [theirs, "a: b\n", "kind: [HorizontalPodAutoscaler checkout"] {
        let folder =
            folder(&[("hpa.yaml", &hpa(2, 6)), ("o/kustomization.yaml", "{}\n"), ("o/checkout.bounds.yaml", content)]);
        let error = apply(&open(&folder).patching("o").unwrap(), bounds(2, 6), 4, 10).unwrap_err();
        assert!(matches!(&error, ApplyError::Refused { detail, .. } if detail.contains("another content")), "{error}");
        assert_eq!(read(&folder, "o/kustomization.yaml"), "{}\n");
    }
}

#[test]
fn patches_of_what_an_overlay_builds_upon_count_too() {
    let patch = |max: u32| {
        format!("kind: HorizontalPodAutoscaler\nmetadata: {{name: checkout}}\nspec: {{maxReplicas: {max}}}\n")
    };
    let folder = folder(&[
        ("base/hpa.yaml", &hpa(2, 6)),
        ("base/kustomization.yaml", "resources: [hpa.yaml, ../prod]\npatches: [{path: ./more.txt}]\n"),
        ("base/more.txt", &patch(8)),
        ("big/kustomization.yaml", "kind: Component\npatchesStrategicMerge: [max.yaml]\n"),
        ("big/max.yaml", &patch(9)),
        ("prod/kustomization.yaml", "resources: [../base, gone, 'https://example.com/x']\ncomponents: [../big]\n"),
    ]);
    let applier = open(&folder).patching("prod").unwrap();
    assert_eq!(current(&applier).unwrap(), bounds(2, 9));
    apply(&applier, bounds(2, 9), 4, 10).unwrap();
    assert!(read(&folder, "prod/kustomization.yaml").contains("checkout.bounds.yaml"));
    assert!(current(&applier).unwrap().max() > 9);
    assert_eq!(read(&folder, "big/max.yaml"), patch(9));
}

#[cfg(unix)]
#[test]
fn patches_outside_of_the_folder_or_of_any_size_are_not_read() {
    use std::os::unix::fs::symlink;
    let outside = folder(&[("p.yaml", "/spec/minReplicas")]);
    let name = outside.path().file_name().unwrap().to_str().unwrap().to_owned();
    let within = outside.path().join("p.yaml");
    let beyond = [
        format!("../../{name}/p.yaml"),
        within.to_str().unwrap().to_owned(),
        "link/p.yaml".to_owned(),
        "p.yaml".to_owned(),
    ];
    for path in beyond {
        let listing = format!("patches: [{{path: {path}}}]\n");
        let folder = folder(&[("hpa.yaml", &hpa(2, 6)), ("o/kustomization.yaml", &listing)]);
        symlink(outside.path(), folder.path().join("o/link")).unwrap();
        symlink(&within, folder.path().join("o/p.yaml")).unwrap();
        let answer = current(&open(&folder).patching("o").unwrap());
        assert!(
            matches!(&answer, Err(ApplyError::Refused { detail, .. }) if detail.contains("is outside of")),
            "{path}: {answer:?}"
        );
    }
    for file in ["big.yaml", "kustomization.yaml"] {
        let folder = folder(&[("hpa.yaml", &hpa(2, 6)), ("o/kustomization.yaml", "patches: [{path: big.yaml}]\n")]);
        let applier = open(&folder).patching("o").unwrap();
        let huge = fs::OpenOptions::new().create(true).append(true).open(folder.path().join("o").join(file)).unwrap();
        huge.set_len(1 << 40).unwrap();
        let answer = current(&applier);
        assert!(
            matches!(&answer, Err(ApplyError::Refused { detail, .. }) if detail.contains("larger than")),
            "{answer:?}"
        );
    }
}

#[test]
fn a_patch_that_is_shared_with_other_overlays_is_not_changed() {
    let patch = "kind: HorizontalPodAutoscaler\nmetadata: {name: checkout}\nspec: {maxReplicas: 8}\n";
    let folder = folder(&[
        ("hpa.yaml", &hpa(2, 6)),
        ("o/kustomization.yaml", "patches: [{path: ../shared/p.yaml}]\n"),
        ("shared/p.yaml", patch),
    ]);
    let applier = open(&folder).patching("o").unwrap();
    assert_eq!(current(&applier).unwrap(), bounds(2, 8));
    assert!(matches!(apply(&applier, bounds(2, 8), 4, 10), Err(ApplyError::Refused { .. })));
    assert_eq!(read(&folder, "shared/p.yaml"), patch);
}

#[test]
fn a_kustomization_of_any_shape_takes_one_more_patch() {
    for (before, after) in [
        ("resources: [../base]\n", "resources: [../base]\npatches:\n- path: checkout.bounds.yaml\n"),
        ("resources: [../base]", "resources: [../base]\npatches:\n- path: checkout.bounds.yaml\n"),
        ("patches: []\n", "patches: [{path: checkout.bounds.yaml}]\n"),
        ("patches: [{path: a.yaml}] # x\n", "patches: [{path: checkout.bounds.yaml}, {path: a.yaml}] # x\n"),
        ("a: b\r\n", "a: b\r\npatches:\r\n- path: checkout.bounds.yaml\r\n"),
        ("a: b\r\nc: d", "a: b\r\nc: d\r\npatches:\r\n- path: checkout.bounds.yaml\r\n"),
        (
            "patches:\r\n# all\r\n\r\n# a\r\n# b\r\n- path: a.yaml\r\n",
            "patches:\r\n# all\r\n\r\n- path: checkout.bounds.yaml\r\n# a\r\n# b\r\n- path: a.yaml\r\n",
        ),
    ] {
        let folder = folder(&[("hpa.yaml", &hpa(2, 6)), ("o/kustomization.yaml", before)]);
        apply(&open(&folder).patching("o").unwrap(), bounds(2, 6), 4, 10).unwrap();
        assert_eq!(read(&folder, "o/kustomization.yaml"), after);
    }
    let folder = folder(&[("hpa.yaml", &hpa(2, 6)), ("o/kustomization.yaml", "patches: 3\n")]);
    let error = apply(&open(&folder).patching("o").unwrap(), bounds(2, 6), 4, 10).unwrap_err();
    assert!(error.to_string().contains("patches cannot be changed in place: it is no list"), "{error}");
    assert!(!folder.path().join("o/checkout.bounds.yaml").exists());
}

#[test]
fn an_overlay_with_other_patches_of_bounds_is_refused() {
    let json_patch = "- {op: replace, path: /spec/maxReplicas, value: 3}\n";
    for (kustomization, refused) in [
        (
            "patches:\n- target: {kind: HorizontalPodAutoscaler}\n  patch: |-\n    - {op: replace, path: /spec/minReplicas, value: 3}\n",
            true,
        ),
        ("patches: [{path: ops.yaml, target: {kind: HorizontalPodAutoscaler}}]\n", true),
        ("patches: [{path: any.yaml, target: {kind: HorizontalPodAutoscaler}}]\n", true),
        ("patches: [{path: labels.yaml}, {path: gone.yaml}]\n", false),
    ] {
        let files = [
            ("hpa.yaml", &*hpa(2, 6)),
            ("o/kustomization.yaml", kustomization),
            ("o/ops.yaml", json_patch),
            ("o/any.yaml", "kind: HorizontalPodAutoscaler\nmetadata: {name: any}\nspec: {maxReplicas: 3}\n"),
            ("o/labels.yaml", "a: b"),
        ];
        let answer = current(&open(&folder(&files)).patching("o").unwrap());
        assert_eq!(
            matches!(&answer, Err(ApplyError::Refused { detail, .. }) if detail.contains("by a patch of its own")),
            refused,
            "{answer:?}"
        );
    }
}

#[test]
fn what_is_not_certain_is_refused() {
    let refused = |files: &[(&str, &str)]| current(&open(&folder(files))).unwrap_err().to_string();
    let text = hpa(2, 6);
    assert!(refused(&[("a.yaml", &text), ("b.yaml", &text)]).contains("several places"));
    assert!(
        refused(&[("a.yaml", &text.replace("kind: Deployment", "kind: StatefulSet"))])
            .contains("scales StatefulSet checkout")
    );
    assert!(
        refused(&[("a.yaml", &text.replace("maxReplicas: 6", "maxReplicas: many"))])
            .contains("is not a number of pods")
    );
    assert!(refused(&[("a.yaml", &text.replace("maxReplicas: 6", "maxReplicas: 1"))]).contains("above max"));
    assert!(refused(&[("a.yaml", &text.replace("maxReplicas: 6", "x: 6"))]).contains("max replicas is 0"));
    for elsewhere in ["metadata: {name: checkout-2}", "metadata: {name: checkout, namespace: bank}"] {
        let folder = folder(&[("a.yaml", &text.replace("metadata: {name: checkout}", elsewhere))]);
        assert!(matches!(current(&open(&folder)), Err(ApplyError::NotFound { .. })));
    }
    let ours = text.replace("{name: checkout}", "{name: checkout, namespace: shop}");
    let both = folder(&[("a.yaml", &text), ("b.yaml", &ours.replace("minReplicas: 2", "minReplicas: 3"))]);
    assert_eq!(current(&open(&both)).unwrap(), bounds(3, 6), "the one that says its namespace");
}

#[test]
fn an_hpa_is_found_in_the_namespace_that_its_overlay_gives_it() {
    let base = hpa(2, 6).replace("{name: checkout}", "{name: checkout, namespace: shop}");
    let other = base.replace("minReplicas: 2", "minReplicas: 4");
    let listing = "resources: [../../base]\nnamespace: shop-us\n";
    let files = [
        ("base/hpa.yaml", &*base),
        ("base/kustomization.yaml", "resources: [hpa.yaml]\n"),
        ("us/all/kustomization.yaml", listing),
        ("elsewhere/hpa.yaml", &other.replace("shop", "bank")),
    ];
    let folder = folder(&files);
    let target = Target::deployment("shop-us", "checkout");
    assert!(matches!(open(&folder).bounds(&target), Err(FolderError::NotFound { unread, .. }) if unread.is_empty()));
    let applier = open(&folder).patching("us/all").unwrap();
    assert_eq!(applier.bounds(&target).unwrap(), bounds(2, 6));
    let plan = plan_of(&target, bounds(2, 6), 4, 10);
    assert!(block_on(applier.apply(&plan, ApplyMode::Apply)).unwrap().changed);
    assert_eq!(applier.bounds(&target).unwrap(), plan.new_bounds(), "its patch names the namespace of the base");
    assert_eq!(read(&folder, "base/hpa.yaml"), base);
    assert!(matches!(applier.bounds(&Target::deployment("shop-eu", "checkout")), Err(FolderError::NotFound { .. })));
}

#[test]
fn what_is_no_yaml_is_named_where_no_hpa_is_found() {
    let chart = hpa(2, 6).replace("maxReplicas: 6", "\tmaxReplicas: {{ .Values.max }}");
    let folder = folder(&[("chart/hpa.yaml", &chart), ("notes.yaml", "\ta: 1")]);
    let error = open(&folder).bounds(&target()).unwrap_err().to_string();
    assert!(error.contains("; with an HPA that could not be read: "), "{error}");
    // The line on which the value began that goes on with the tab.
    assert!(error.contains("hpa.yaml: line 7: ") && !error.contains("notes.yaml"), "{error}");
}

#[test]
fn a_change_of_requests_is_refused() {
    let folder = folder(&[("a.yaml", &hpa(2, 6))]);
    let plan = vertical::plan(&target(), bounds(2, 6), &vertical::facts(), 30, 0);
    assert!(matches!(block_on(open(&folder).apply(&plan, ApplyMode::Plan)), Err(ApplyError::Refused { .. })));
    assert!(!block_on(open(&folder).current(&target())).unwrap().resizes_pods);
}

#[test]
fn what_is_no_folder_is_told() {
    let folder = folder(&[("a.yaml", &hpa(2, 6)), ("plain/b.yaml", "")]);
    assert!(matches!(ManifestApplier::open(folder.path().join("no")), Err(FolderError::Io { .. })));
    assert!(matches!(ManifestApplier::open(folder.path().join("a.yaml")), Err(FolderError::NoFolder { .. })));
    assert!(matches!(open(&folder).patching("plain"), Err(FolderError::NoKustomization { .. })));
    assert!(matches!(open(&folder).patching(".."), Err(FolderError::Outside { .. })));
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_are_not_followed_and_permissions_stay() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let outside = folder(&[("hpa.yaml", &hpa(2, 6)), ("o/kustomization.yaml", "{}")]);
    let inside = folder(&[("sub/x.txt", "")]);
    symlink(outside.path().join("hpa.yaml"), inside.path().join("hpa.yaml")).unwrap();
    symlink(outside.path(), inside.path().join("link")).unwrap();
    assert!(matches!(current(&open(&inside)), Err(ApplyError::NotFound { .. })));
    assert!(matches!(open(&inside).patching("link/o"), Err(FolderError::Outside { .. })));

    let file: &Path = &outside.path().join("hpa.yaml");
    fs::set_permissions(file, fs::Permissions::from_mode(0o640)).unwrap();
    apply(&open(&outside), bounds(2, 6), 4, 10).unwrap();
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o640);
}
