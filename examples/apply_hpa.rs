//! Moving the bounds of an HPA by hand, the careful way: through the guards, shown first, validated by the API server, then applied.
//!
//!     cargo run --release --features live --example apply_hpa -- hpa.yaml --min 6
//!     cargo run --release --features live --example apply_hpa -- hpa.yaml --min 6 --context staging --server-dry-run
//!     cargo run --release --features live --example apply_hpa -- hpa.yaml --min 6 --context staging --apply
//!
//! Without `--context` no cluster is asked, and the difference to the file is printed. With it the HPA of the cluster is read, and nothing is
//! written but with `--apply`: then `minReplicas`, `maxReplicas` and the annotation that keeps what the owner had set. `--create` makes an
//! HPA that is not there. Exit code 1 if something is refused or failed.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use examples::by_hand::{self, Extent};
use examples::manifest::{HpaArguments, HpaFile};
use examples::{Failure, MayClose};
use scaling_core::{ApplyError, ApplyMode, Bounds, BoundsPolicy, HpaApplier, HpaPlan, HpaState, Proposal, Target};
use scaling_k8s::{HpaManifest, KubeHpaApplier, Writer, diff};

const EXAMPLES: &str = "Examples:
  cargo run --release --features live --example apply_hpa -- hpa.yaml --min 6
  cargo run --release --features live --example apply_hpa -- hpa.yaml --min 6 --context staging --server-dry-run
  cargo run --release --features live --example apply_hpa -- hpa.yaml --min 6 --context staging --apply";

/// Moves the bounds of an HPA through the guards: shown, validated by the API server, or applied.
#[derive(Debug, Parser)]
#[command(name = "apply_hpa", version, after_help = EXAMPLES)]
struct Arguments {
    /// The HPA: a manifest of autoscaling/v2 or v1. By default `test_data/shop_hpa.yaml`.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The HPA of a file that holds several: NAME, or NAMESPACE/NAME.
    #[arg(long, value_name = "NAME")]
    hpa_name: Option<String>,
    /// The min to set. By default that of the file.
    #[arg(long, value_name = "PODS")]
    min: Option<u32>,
    /// The max to set. By default that of the file.
    #[arg(long, value_name = "PODS")]
    max: Option<u32>,
    /// The cluster, by its context in the kubeconfig.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    #[command(flatten)]
    extent: Extent,
    /// Creates the HPA of the file where there is none.
    #[arg(long, requires = "context")]
    create: bool,
    /// The field manager to write under.
    #[arg(long, value_name = "NAME", default_value = "kube-scaling")]
    field_manager: String,
    /// Takes the bounds over from the field managers that own them.
    #[arg(long, requires = "context")]
    force: bool,
}

fn main() -> ExitCode {
    examples::exit(run(&Arguments::parse(), &mut MayClose(std::io::stdout().lock())))
}

fn run(arguments: &Arguments, out: &mut impl Write) -> Result<(), Failure> {
    let file = arguments.file.clone().unwrap_or_else(|| examples::test_data("shop_hpa.yaml"));
    let hpas = HpaArguments { hpa_name: arguments.hpa_name.clone(), ..HpaArguments::default() };
    let HpaFile { manifest, .. } = hpas.read(&file)?;
    manifest.validate().map_err(|error| Failure::input(format!("{}: {error}", examples::place(&file))))?;
    let there = manifest.bounds().map_err(Failure::input)?;
    let (min, max) = (arguments.min.unwrap_or(there.min()), arguments.max.unwrap_or(there.max()));
    let wanted = Bounds::new(min, max).map_err(Failure::input)?;
    let Some(context) = &arguments.context else {
        let target = manifest.target();
        writeln!(out, "{target}: HPA {:?} in {} is within {there}", target.hpa, examples::place(&file))?;
        let plan = approved(&target, HpaState::new(there), wanted, out)?;
        let changed = manifest.clone().with_bounds(plan.new_bounds());
        diff(&manifest, &changed).iter().try_for_each(|line| writeln!(out, "{line}"))?;
        return Ok(writeln!(out, "plan: no cluster was asked (--context NAME)")?);
    };
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::failed)?;
    runtime.block_on(async {
        let client = scaling_k8s::connect(context).await.map_err(Failure::input)?;
        let writer = Writer::new(client).field_manager(&arguments.field_manager);
        let writer = if arguments.force { writer.force() } else { writer };
        in_cluster(&KubeHpaApplier::new(writer), arguments, &manifest, wanted, out).await
    })
}

/// Carries it out at a cluster, as far as the arguments say.
async fn in_cluster(
    applier: &KubeHpaApplier,
    arguments: &Arguments,
    manifest: &HpaManifest,
    wanted: Bounds,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let mode = arguments.extent.mode();
    let target = manifest.target();
    let state = match applier.current(&target).await {
        Ok(state) => state,
        Err(ApplyError::NotFound { .. }) if arguments.create => {
            applier.create(&manifest.clone().with_bounds(wanted), mode).await.map_err(Failure::failed)?;
            writeln!(out, "{target}: HPA {:?} is created within {wanted}", target.hpa)?;
            return told(mode, out);
        }
        Err(error @ ApplyError::NotFound { .. }) => {
            return Err(Failure::failed(format!("{error} (--create makes it)")));
        }
        Err(error) => return Err(Failure::failed(error)),
    };
    let (bounds, resting) = (state.bounds, state.resting);
    writeln!(out, "{target}: HPA {:?} is within {bounds}, and its owner has set {resting}", target.hpa)?;
    let plan = approved(&target, state, wanted, out)?;
    if plan.is_empty() {
        return Ok(());
    }
    writeln!(out, "{plan}")?;
    if !applier.apply(&plan, mode).await.map_err(Failure::failed)?.changed {
        writeln!(out, "it was there already")?;
    }
    told(mode, out)
}

/// Tells the extent to which it was carried out.
fn told(mode: ApplyMode, out: &mut impl Write) -> Result<(), Failure> {
    Ok(writeln!(out, "{}", by_hand::carried_out(mode))?)
}

/// The plan that the guards allow: no bound makes a pod leave (law 11), and there is no other way to a plan (law 4).
fn approved(target: &Target, state: HpaState, wanted: Bounds, out: &mut impl Write) -> Result<HpaPlan, Failure> {
    let policy = BoundsPolicy::default();
    let (plan, limits) = by_hand::approved(target, state, Proposal::restore_to(wanted), &policy)?;
    limits.iter().try_for_each(|limit| writeln!(out, "{limit}"))?;
    let new = plan.new_bounds();
    if plan.is_empty() && new != wanted {
        return Err(Failure::failed(format!("{target}: nothing of {wanted} is allowed, and it stays within {new}")));
    }
    if plan.is_empty() {
        writeln!(out, "nothing to change")?;
    } else if new != wanted {
        writeln!(out, "{new} of {wanted} for now: pods that run are not made to leave")?;
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use scaling_k8s::kube::{Client, Config};
    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn arguments(given: &[&str]) -> Result<Arguments, String> {
        Arguments::try_parse_from(std::iter::once(&"apply_hpa").chain(given)).map_err(|error| error.to_string())
    }

    fn output(given: &[&str]) -> Result<String, String> {
        let arguments = arguments(given)?;
        examples::outcome(|out| run(&arguments, out))
    }

    #[test]
    fn without_a_cluster_the_difference_is_shown() {
        let text = output(&["--min", "6"]).unwrap();
        assert!(text.contains("spec.minReplicas: 4 -> 6\n") && text.ends_with("(--context NAME)\n"), "{text}");
        assert!(output(&[]).unwrap().contains("nothing to change\n"));
        let text = output(&["--min", "1", "--max", "1"]).unwrap();
        assert!(text.contains("spec.maxReplicas: ") && text.contains("spec.minReplicas: 4 -> 2"), "{text}");
    }

    #[test]
    fn what_cannot_be_is_refused_with_code_2() {
        assert!(output(&["--min", "9", "--max", "3"]).unwrap_err().starts_with("2: min"));
        assert!(output(&["no_such_file.yaml"]).unwrap_err().starts_with("2: no_such_file.yaml: "));
        assert!(output(&["--context", "no-such-context-anywhere"]).unwrap_err().starts_with("2: no connection"));
        assert!(arguments(&["--apply"]).unwrap_err().contains("--context"));
        assert!(arguments(&["--context", "a", "--apply", "--server-dry-run"]).is_err());
    }

    /// An API server of one HPA: gives it, and takes the bounds of every write that is not dry.
    async fn serve(hpa: Arc<Mutex<Option<Value>>>) -> KubeHpaApplier {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = Config::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                let body = loop {
                    let mut part = [0; 8192];
                    let read = stream.read(&mut part).await.unwrap();
                    request.extend_from_slice(&part[..read]);
                    let text = String::from_utf8_lossy(&request).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let length = head
                        .lines()
                        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
                    if body.len() >= length.map_or(0, |length| length.parse().unwrap()) || read == 0 {
                        break body.to_owned();
                    }
                };
                let head = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
                let (code, answer) = answered(&head, &body, &mut hpa.lock().unwrap());
                let body = answer.to_string();
                let head = format!(
                    "HTTP/1.1 {code} X\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            }
        });
        KubeHpaApplier::new(Client::try_from(config).unwrap())
    }

    fn answered(head: &str, body: &str, stored: &mut Option<Value>) -> (u16, Value) {
        let sent: Value = serde_json::from_str(body).unwrap_or_default();
        let dry = head.contains("dryRun=All");
        let not_found = || {
            (
                404,
                json!({ "kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "message": "not found" }),
            )
        };
        let is_list = head
            .split_whitespace()
            .nth(1)
            .is_some_and(|path| path.split('?').next().unwrap().ends_with("horizontalpodautoscalers"));
        match (head.split_whitespace().next().unwrap(), stored.clone()) {
            ("GET", there) if is_list => {
                (200, json!({ "metadata": {}, "items": there.into_iter().collect::<Vec<_>>() }))
            }
            ("GET", Some(there)) => (200, there),
            ("PATCH", Some(mut there)) => {
                for field in ["minReplicas", "maxReplicas"] {
                    there["spec"][field] = sent["spec"][field].clone();
                }
                there["metadata"]["annotations"] = sent["metadata"]["annotations"].clone();
                if !dry {
                    *stored = Some(there.clone());
                }
                (200, there)
            }
            ("POST", None) => {
                if !dry {
                    *stored = Some(sent.clone());
                }
                (201, sent)
            }
            _ => not_found(),
        }
    }

    async fn at(hpa: &Arc<Mutex<Option<Value>>>, given: &[&str], wanted: (u32, u32)) -> Result<String, String> {
        let applier = serve(Arc::clone(hpa)).await;
        let arguments = arguments(&[given, &["--context", "test"]].concat())?;
        let manifest = HpaArguments::default().read(&examples::test_data("shop_hpa.yaml")).unwrap().manifest;
        let wanted = Bounds::new(wanted.0, wanted.1).unwrap();
        let mut printed = Vec::new();
        let done = in_cluster(&applier, &arguments, &manifest, wanted, &mut printed).await;
        done.map(|()| String::from_utf8(printed).unwrap()).map_err(|failure| failure.to_string())
    }

    #[tokio::test]
    async fn nothing_is_stored_but_with_apply() {
        let hpa = Arc::new(Mutex::new(None));
        assert!(at(&hpa, &["--apply"], (2, 20)).await.unwrap_err().contains("(--create makes it)"));
        for (given, stored) in
            [(&["--create"][..], false), (&["--create", "--server-dry-run"], false), (&["--create", "--apply"], true)]
        {
            let text = at(&hpa, given, (2, 20)).await.unwrap();
            assert!(text.contains("is created within 2..20"), "{text}");
            assert_eq!(hpa.lock().unwrap().is_some(), stored, "{given:?}");
        }
        for (given, said, min) in [
            (&[][..], "plan: nothing was sent", 2),
            (&["--server-dry-run"], "server dry-run: the API server takes it", 2),
            (&["--apply"], "applied: it is stored", 5),
        ] {
            let text = at(&hpa, given, (5, 20)).await.unwrap();
            assert!(text.contains("minReplicas: 2 -> 5") && text.contains(said), "{text}");
            assert_eq!(hpa.lock().unwrap().as_ref().unwrap()["spec"]["minReplicas"], min, "{given:?}");
        }
        assert!(at(&hpa, &["--apply"], (5, 20)).await.unwrap().ends_with("nothing to change\n"));
        // Law 11: 17 pods run, and none of them leaves for a max of 10.
        hpa.lock().unwrap().as_mut().unwrap()["status"] = json!({ "currentReplicas": 17, "desiredReplicas": 17 });
        let text = at(&hpa, &["--apply"], (5, 10)).await.unwrap();
        assert!(text.contains("5..17 of 5..10 for now") && text.contains("maxReplicas: 20 -> 17"), "{text}");
    }
}
