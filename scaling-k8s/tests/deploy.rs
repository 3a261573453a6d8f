//! The shipped manifests and the Dockerfile: as text, and on a real API server with the rights of the shipped ServiceAccount.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "deploy/kustomize.rs"]
mod kustomize;
#[path = "deploy/live.rs"]
mod live;
#[path = "deploy/rights.rs"]
mod rights;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/deploy")
}

/// Each YAML document in a folder of the operator that is no kustomization, with the name of its file.
pub(crate) fn documents(of: &str) -> Vec<(String, String)> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder().join("operator").join(of)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut documents = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if name != "kustomization.yaml" {
            let text = fs::read_to_string(&file).unwrap();
            documents.extend(text.split("\n---\n").map(|document| (name.clone(), format!("{document}\n"))));
        }
    }
    documents
}

pub(crate) const FOLDERS: [&str; 6] =
    ["base", "cluster", "namespaced", "monitoring", "metrics-api/cluster", "metrics-api/namespaced"];

/// The value of a key of one indentation, the first one.
pub(crate) fn value<'a>(document: &'a str, key: &str) -> Option<&'a str> {
    document.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
}

#[test]
fn a_kustomization_names_every_file_beside_it() {
    for of in FOLDERS {
        let text = fs::read_to_string(folder().join("operator").join(of).join("kustomization.yaml")).unwrap();
        let (_, rest) = text.split_once("resources:\n").unwrap();
        let listed: BTreeSet<&str> = rest.lines().map_while(|line| line.strip_prefix("  - ")).collect();
        let there: BTreeSet<String> = documents(of).into_iter().map(|(file, _)| file).collect();
        let files: BTreeSet<&str> = listed.iter().copied().filter(|name| *name != "../base").collect();
        assert_eq!(files, there.iter().map(String::as_str).collect(), "{of}");
        assert_eq!(listed.contains("../base"), matches!(of, "cluster" | "namespaced"), "{of}");
    }
}

#[test]
fn no_rights_to_secrets_and_no_wildcards() {
    for of in FOLDERS {
        for (file, document) in documents(of) {
            assert!(!document.contains("secrets") && !document.contains("secretKeyRef"), "{of}/{file}");
            assert!(!document.contains('*'), "{of}/{file}: a wildcard");
            let powers = ["impersonate", "escalate", "bind,", "pods/exec", "hostPath", "hostNetwork", "cluster-admin"];
            assert!(powers.iter().all(|power| !document.contains(power)), "{of}/{file}");
        }
    }
}

/// The same rules, whether in all namespaces or in one.
#[test]
fn both_roles_have_the_same_rules() {
    let rules = |of: &str, kind: &str| {
        let all = documents(of);
        let (_, role) = all.iter().find(|(_, document)| value(document, "kind") == Some(kind)).unwrap();
        role.split_once("\nrules:\n").unwrap().1.to_owned()
    };
    assert_eq!(rules("cluster", "ClusterRole"), rules("namespaced", "Role"));
    assert_eq!(rules("metrics-api/cluster", "ClusterRole"), rules("metrics-api/namespaced", "Role"));
}

/// Instruction and arguments of each line; lines that go on are joined.
fn instructions(text: &str) -> Vec<(String, String)> {
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| line.split_once(' ').unwrap_or((line, "")))
        .map(|(word, rest)| (word.to_uppercase(), rest.trim().to_owned()))
        .collect()
}

/// Faults of a Dockerfile, by what an image that runs in a cluster should be.
fn faults(text: &str) -> Vec<String> {
    let instructions = instructions(text);
    let mut faults = Vec::new();
    let mut user = None;
    let mut stages = 0;
    for (word, rest) in &instructions {
        match word.as_str() {
            "FROM" => {
                (stages, user) = (stages + 1, None);
                let image = rest.split_whitespace().find(|word| !word.starts_with("--")).unwrap_or_default();
                let tag = image.rsplit('/').next().and_then(|name| name.split_once(':')).map_or("", |(_, tag)| tag);
                let version: Vec<&str> = tag.split('-').next().unwrap_or_default().split('.').collect();
                let is_pinned = version.len() >= 2 && version.iter().all(|part| part.parse::<u32>().is_ok());
                if !is_pinned && !image.contains("@sha256:") {
                    faults.push(format!("{image}: no version"));
                }
            }
            "USER" => user = Some(rest.clone()),
            "ARG" | "ENV" => {
                let name = rest.to_uppercase();
                if ["TOKEN", "PASSWORD", "SECRET", "KEY", "CREDENTIAL"].iter().any(|word| name.contains(word)) {
                    faults.push(format!("{word} {rest}: stays in the image"));
                }
            }
            "ADD" => faults.push("ADD fetches and unpacks: use COPY".to_owned()),
            "RUN" if rest.contains("cargo build") => {
                for wanted in ["--release", "--locked", "--features \"$FEATURES\"", "--example \"$PROGRAM\""] {
                    if !rest.contains(wanted) {
                        faults.push(format!("cargo build without {wanted}"));
                    }
                }
            }
            "RUN" if rest.contains("curl") || rest.contains("wget") => faults.push(format!("RUN {rest}: downloads")),
            _ => {}
        }
    }
    let uid = user.as_deref().and_then(|user| user.split(':').next()).and_then(|uid| uid.parse::<u32>().ok());
    if uid.is_none_or(|uid| uid == 0) {
        faults.push("no USER with a number other than 0: `runAsNonRoot` cannot tell".to_owned());
    }
    if stages < 2 {
        faults.push("one stage: the compiler is in the image".to_owned());
    }
    if !instructions.iter().any(|(word, rest)| word == "ENTRYPOINT" && rest.starts_with('[')) {
        faults.push("no ENTRYPOINT as a list: signals would end in a shell".to_owned());
    }
    faults
}

#[test]
fn the_dockerfile_is_as_it_should_be() {
    let text = fs::read_to_string(folder().join("Dockerfile")).unwrap();
    assert_eq!(faults(&text), [""; 0]);
    // What the check is worth.
    for (good, bad) in [
        ("USER 65532:65532", "USER root"),
        ("USER 65532:65532", ""),
        (" --locked", ""),
        ("debian:13.1-slim", "debian"),
        ("debian:13.1-slim", "debian:latest"),
        ("WORKDIR /source", "ENV API_TOKEN=abc"),
        ("ENTRYPOINT [\"/usr/local/bin/program\"]", "ENTRYPOINT /usr/local/bin/program"),
        (" --example \"$PROGRAM\"", " --examples"),
    ] {
        assert!(text.contains(good), "{good}");
        assert_eq!(faults(&text.replace(good, bad)).len(), 1, "{good} -> {bad}");
    }
}

/// Each image that a manifest names is one that the Dockerfile says how to build, of an example that is there.
#[test]
fn each_image_can_be_built() {
    let text = fs::read_to_string(folder().join("Dockerfile")).unwrap();
    let examples = fs::read_to_string(folder().join("../Cargo.toml")).unwrap();
    let of_stage = |stage: &str| stage.lines().filter(|line| *line == "ARG PROGRAM=operator").count();
    // An argument ends with its stage.
    let stages: Vec<&str> = text.split("\nFROM ").skip(1).collect();
    assert_eq!(stages.iter().map(|stage| of_stage(stage)).collect::<Vec<_>>(), [1, 1]);
    for (manifest, program) in [("operator/base/deployment.yaml", "operator"), ("fleet-backtest.yaml", "backtest")] {
        let manifest = fs::read_to_string(folder().join(manifest)).unwrap();
        let image = manifest.lines().find_map(|line| line.trim().strip_prefix("image: ")).unwrap();
        let build = text.lines().find(|line| line.contains(&format!(" -t {image} ."))).unwrap();
        let asked = build.split_once("PROGRAM=").map_or("operator", |(_, rest)| rest.split(' ').next().unwrap());
        assert_eq!(asked, program, "{build}");
        assert!(examples.contains(&format!("name = \"{program}\"")), "{program}");
        let user = instructions(&text).into_iter().rfind(|(word, _)| word == "USER").unwrap().1;
        let user = user.split(':').next().unwrap();
        assert!(manifest.contains(&format!("runAsUser: {user}")) && manifest.contains("readOnlyRootFilesystem: true"));
    }
}

/// The user of the image is the one that the Deployment runs it as, and the ports are the same.
#[test]
fn image_and_deployment_fit() {
    let dockerfile = instructions(&fs::read_to_string(folder().join("Dockerfile")).unwrap());
    let get = |word: &str| dockerfile.iter().rfind(|(found, _)| found == word).unwrap().1.clone();
    let deployment = fs::read_to_string(folder().join("operator/base/deployment.yaml")).unwrap();
    let (user, group) = get("USER").split_once(':').map(|(user, group)| (user.to_owned(), group.to_owned())).unwrap();
    let port = get("EXPOSE");
    for line in [
        format!("runAsUser: {user}"),
        format!("runAsGroup: {group}"),
        format!("containerPort: {port}"),
        format!("--listen=0.0.0.0:{port}"),
    ] {
        assert!(deployment.contains(&line), "{line}");
    }
}
