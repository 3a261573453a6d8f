//! Policies by name, for `--engine`.

use std::path::Path;

use scaling_core::InvalidSetting;
use scaling_core::backtest::{Candidate, DemandBasis, Driver, Scenario};
use scaling_core::baseline::{HpaEngine, KpaConfig, KpaEngine};
use scaling_core::hpa::{ControllerConfig, CrossVersionObjectReference, HpaSpec, MetricSpec};
use scaling_core::{EngineExt, RuleBasedEngine, RuleConfig, SignalKind};
use scaling_k8s::HpaManifest;
use scaling_schedule::{CompileConfig, PredictiveConfig, PredictiveEngine, Tz, compile, need_by_load};

use crate::Failure;

/// What `--engine` takes, for its help and its errors.
pub const ENGINES: &str = "hpa[:PERCENT], hpa:FILE.yaml, kpa[:PERCENT], rules[:PERCENT], rules:FILE.json, \
                           predictive[:PRICE], schedule[:PERCENT], and rules@hpa[:PERCENT], kpa@hpa[:PERCENT] or \
                           predictive@hpa[:PERCENT] for an engine that moves the bounds of an HPA";

/// The engines that are compared if none is named.
pub const DEFAULT: [&str; 5] = ["hpa:70", "kpa", "rules", "predictive", "schedule"];

/// Those of [`DEFAULT`] that all of these can be replayed with, and why others are left out.
pub fn suitable(scenarios: &[Scenario]) -> (Vec<&'static str>, Vec<String>) {
    let mut notes = Vec::new();
    let mut names = DEFAULT.to_vec();
    names.retain(|name| {
        let lacking = scenarios.iter().find_map(|scenario| Some((scenario.trace.name(), lack(name, scenario)?)));
        if let Some((trace, what)) = lacking {
            notes.push(format!("{trace}: note: {what}: {name} is left out"));
        }
        lacking.is_none()
    });
    (names, notes)
}

/// What a policy needs that a trace does not have.
fn lack(name: &str, scenario: &Scenario) -> Option<&'static str> {
    let (start, end) = scenario.trace.span();
    let history_s = (end - start).num_seconds() as f64 * scenario.history_share;
    match name {
        "kpa" | "predictive" | "schedule" if scenario.trace.basis() != DemandBasis::RequestRate => {
            Some("there is no request rate")
        }
        "schedule" if history_s < 86_400.0 => Some("its history is shorter than a day"),
        _ => None,
    }
}

/// One policy.
///
/// # Errors
/// [`Failure::Input`] if there is none of that name, or its knob cannot be so.
pub fn candidate(text: &str) -> Result<Candidate, Failure> {
    let (engine, hpa) = match text.split_once('@') {
        Some((engine, hpa)) => (engine, Some(hpa)),
        None => (text, None),
    };
    let (name, knob) = match engine.split_once(':') {
        Some((name, knob)) => (name, Some(knob)),
        None => (engine, None),
    };
    match (hpa, name, knob.filter(|file| is_file(file))) {
        (None, "hpa", Some(file)) => return manifest(text, Path::new(file)),
        (None, "rules", Some(file)) => return rules_of_file(text, Path::new(file)),
        _ => {}
    }
    let knob = knob.map(|knob| percent(text, knob)).transpose()?;
    let made = match (hpa, name) {
        (None, "hpa") => hpa_on_cpu(text, knob.unwrap_or(70.0))?,
        (None, "kpa") => Candidate::kpa(knob.unwrap_or(70.0) / 100.0),
        (None, "rules") => Candidate::rules(knob.unwrap_or(95.0) / 100.0).map_err(|error| bad(text, error))?,
        (None, "predictive") => {
            let price = knob.unwrap_or(10.0);
            Candidate::direct("predictive", move |past| {
                // Without a rate it would decide as the rules do, under another name.
                past.needs_rate()?;
                Ok(Driver::direct(predictive(price)?))
            })
        }
        (None, "schedule") => schedule(whole(text, knob.unwrap_or(70.0))?),
        (Some(hpa), "rules") => rules_over_hpa(text, knob, hpa)?,
        (Some(hpa), "predictive") => {
            let price = knob.unwrap_or(10.0);
            Candidate::over_hpa(text, beneath(text, hpa)?, move |past| {
                past.needs_rate()?;
                Ok(Driver::bounds(predictive(price)?))
            })
        }
        (Some(hpa), "kpa") => {
            let target = knob.unwrap_or(70.0) / 100.0;
            Candidate::over_hpa(text, beneath(text, hpa)?, move |past| {
                past.needs_rate()?;
                let target = Some(target * past.model.pod_capacity);
                Ok(Driver::bounds(KpaEngine::new(KpaConfig { target, ..KpaConfig::default() })))
            })
        }
        _ => return Err(Failure::input(format!("there is no engine {text:?}; there are: {ENGINES}"))),
    };
    let made = made.named(text);
    Ok(match knob {
        // Settings of one knob lie on one line of the frontier.
        Some(knob) => made.of_family(hpa.map_or_else(|| name.to_owned(), |hpa| format!("{name}@{hpa}")), knob),
        None => made,
    })
}

/// `NAME:FROM..TO:STEP`: one policy for each setting of its knob.
///
/// # Errors
/// [`Failure::Input`] if it is not so, or comes to more than 100.
pub fn sweep(text: &str) -> Result<Vec<Candidate>, Failure> {
    let parts: Vec<&str> = text.split(':').collect();
    let &[name, range, step] = parts.as_slice() else {
        return Err(bad(text, "expected NAME:FROM..TO:STEP, as in hpa:50..90:10"));
    };
    let (from, to) = range.split_once("..").ok_or_else(|| bad(text, "expected FROM..TO, as in 50..90"))?;
    let (from, to, step) = (percent(text, from)?, percent(text, to)?, percent(text, step)?);
    if step <= 0.0 || to < from || (to - from) / step > 100.0 {
        return Err(bad(text, "expected FROM..TO upward in at most 100 steps"));
    }
    let mut candidates = Vec::new();
    let mut knob = from;
    while knob <= to + step * 1e-9 {
        candidates.push(candidate(&format!("{name}:{knob}"))?);
        knob += step;
    }
    Ok(candidates)
}

fn bad(text: &str, what: impl std::fmt::Display) -> Failure {
    Failure::input(format!("engine {text:?}: {what}"))
}

fn is_file(text: &str) -> bool {
    Path::new(text).extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
}

fn percent(text: &str, knob: &str) -> Result<f64, Failure> {
    let number = knob.trim().parse::<f64>().ok().filter(|number| *number > 0.0 && *number <= 1000.0);
    number.ok_or_else(|| bad(text, format!("{knob:?} is not a percentage above 0 and at most 1000")))
}

#[allow(clippy::cast_possible_truncation)] // at most 1000
fn whole(text: &str, percent: f64) -> Result<i32, Failure> {
    if percent.fract() == 0.0 && percent >= 1.0 {
        Ok(percent as i32)
    } else {
        Err(bad(text, format!("{percent} is not a whole percentage")))
    }
}

fn hpa_on_cpu(text: &str, percent: f64) -> Result<Candidate, Failure> {
    whole(text, percent).map(Candidate::hpa_on_cpu)
}

/// The HPA of a manifest.
///
/// # Errors
/// [`Failure::Input`] with the file and what is wrong in it.
pub fn manifest(name: &str, path: &Path) -> Result<Candidate, Failure> {
    let place = |what: &dyn std::fmt::Display| Failure::input(format!("{}: {what}", path.display()));
    let text = String::from_utf8(crate::read(path)?).map_err(|_| place(&"not UTF-8"))?;
    let manifest = HpaManifest::from_yaml(&text).map_err(|error| place(&error))?;
    manifest.validate().map_err(|error| place(&error))?;
    Ok(Candidate::hpa(name, manifest.spec, ControllerConfig::default()))
}

/// The rule engine with the thresholds of a file, driving the number of pods itself.
fn rules_of_file(name: &str, path: &Path) -> Result<Candidate, Failure> {
    let place = |what: &dyn std::fmt::Display| Failure::input(format!("{}: {what}", path.display()));
    let config: RuleConfig = serde_json::from_slice(&crate::read(path)?).map_err(|error| place(&error))?;
    config.validate().map_err(|error| place(&error))?;
    Ok(Candidate::direct(name, move |_| Ok(Driver::direct(RuleBasedEngine::new(config.clone())?))))
}

/// The HPA whose bounds are moved: `hpa` or `hpa:PERCENT`.
fn beneath(text: &str, hpa: &str) -> Result<i32, Failure> {
    match hpa.split_once(':') {
        None if hpa == "hpa" => Ok(70),
        Some(("hpa", knob)) => whole(text, percent(text, knob)?),
        _ => Err(bad(text, format!("{hpa:?} is not hpa or hpa:PERCENT"))),
    }
}

/// The rule engine as it is meant for production: it moves the bounds, and the HPA does the ups and downs between them.
fn rules_over_hpa(text: &str, knob: Option<f64>, hpa: &str) -> Result<Candidate, Failure> {
    let mut config = RuleConfig::default();
    if let Some(percent) = knob {
        config.target_cpu_percent = percent;
        config.learnt_target_percent = percent;
    }
    config.validate().map_err(|error| bad(text, error))?;
    Ok(Candidate::over_hpa(text, beneath(text, hpa)?, move |_| {
        Ok(Driver::bounds(RuleBasedEngine::new(config.clone())?))
    }))
}

/// The predictive engine; its knob is by how many percent more pods may cost for one percentage point fewer violating requests.
fn predictive(price: f64) -> Result<PredictiveEngine, InvalidSetting> {
    PredictiveEngine::new(PredictiveConfig { violation_price: price, ..PredictiveConfig::default() })
}

/// A schedule compiled from the history, as a floor beneath an HPA: windows of a cron scaler beside a CPU target.
fn schedule(percent: i32) -> Candidate {
    Candidate::direct("schedule", move |past| {
        past.needs_rate()?;
        let config = CompileConfig::for_workload(Tz::UTC, past.facts);
        let need = need_by_load(SignalKind::RequestRate, past.model.pod_capacity * f64::from(percent) / 100.0);
        let compiled = compile(past.history, need, &config)?;
        let mut hpa = HpaSpec::new(CrossVersionObjectReference::deployment("workload"), past.model.limits.bounds());
        hpa.metrics = Some(vec![MetricSpec::utilization("cpu", percent)]);
        Ok(Driver::direct(HpaEngine::new(&hpa)?.floored(compiled.schedule)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Result<String, String> {
        match candidate(text) {
            Ok(candidate) => Ok(candidate.name().to_owned()),
            Err(Failure::Input(what)) => Err(what),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn engines_are_found_by_name_or_refused_with_what_there_is() {
        for text in [
            "hpa",
            "hpa:70",
            "kpa",
            "kpa:60",
            "rules",
            "rules:90",
            "rules@hpa:80",
            "rules:80@hpa",
            "schedule:60",
            "predictive",
            "predictive:20@hpa:80",
            "kpa@hpa",
        ] {
            assert_eq!(said(text), Ok(text.to_owned()));
        }
        for (text, what) in [
            ("magic", "there are: hpa"),
            ("hpa:0", "\"0\" is not a percentage"),
            ("hpa:70.5", "not a whole percentage"),
            ("rules:lots", "\"lots\" is not a percentage"),
            ("rules@vpa", "\"vpa\" is not hpa"),
            ("hpa:nowhere.yaml", "nowhere.yaml"),
            ("rules:nowhere.json", "nowhere.json"),
            ("", "there are: hpa"),
        ] {
            let error = said(text).unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
        }
    }

    #[test]
    fn a_sweep_is_a_family() {
        let swept = sweep("hpa:50..90:20").unwrap_or_default();
        let names: Vec<_> = swept.iter().map(Candidate::name).collect();
        assert_eq!(names, ["hpa:50", "hpa:70", "hpa:90"]);
        assert!(swept.iter().all(|candidate| candidate.family().is_some_and(|(family, _)| family == "hpa")));
        for text in ["hpa:50..90", "hpa:90..50:10", "hpa:50..90:0.001", "hpa:50:10:5"] {
            assert!(sweep(text).is_err(), "{text}");
        }
    }
}
