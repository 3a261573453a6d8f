//! Policies by name, for `--engine`.

use std::path::Path;
use std::time::Duration;

use scaling_core::InvalidSetting;
use scaling_core::backtest::{Candidate, CandidateError, DemandBasis, Driver, Scenario, TrainingPeriod};
use scaling_core::baseline::{HpaEngine, KpaConfig, KpaEngine};
use scaling_core::hpa::{ControllerConfig, CrossVersionObjectReference, HpaSpec, MetricSpec};
use scaling_core::{Bounds, EngineExt, RuleBasedEngine, RuleConfig, SignalKind};
use scaling_k8s::HpaManifest;
use scaling_schedule::{CompileConfig, PredictiveConfig, PredictiveEngine, Tz, compile, need_by_load};

use crate::Failure;

/// Names that `--engine` takes, for its help and its errors.
pub const ENGINES: &str = "hpa[:PERCENT[/SECONDS[/TOLERANCE]]], hpa:FILE.yaml, kpa[:PERCENT], rules[:PERCENT], rules:FILE.json, \
                           predictive[:PRICE], schedule[:PERCENT], and rules@HPA, kpa@HPA or predictive@HPA for an engine that moves \
                           the bounds of an HPA, as predictive@hpa:95/60; SECONDS is the stabilizationWindowSeconds of its \
                           scaleDown (300 by default), TOLERANCE that of its scaleDown in percent (10 by default)";

/// Engines that are compared if none is named.
pub const DEFAULT: [&str; 5] = ["hpa:70", "kpa", "rules", "predictive", "schedule"];

/// Returns those of [`DEFAULT`] that can be replayed over all of these, and why others are left out.
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

/// Returns the need of a policy that a trace does not meet.
fn lack(name: &str, scenario: &Scenario) -> Option<&'static str> {
    let (start, end) = scenario.trace.span();
    let history_s = (end - start).num_seconds() as f64 * scenario.history_share;
    match name {
        "kpa" | "predictive" | "schedule" if scenario.trace.basis() != DemandBasis::RequestRate => {
            Some("there is no request rate")
        }
        "kpa" | "predictive" | "schedule" if !scenario.model.measures(SignalKind::RequestRate) => {
            Some("the request rate is not measured")
        }
        "hpa:70" if !scenario.model.measures(SignalKind::CpuUtilization) => Some("CPU utilization is not measured"),
        "schedule" if history_s < 86_400.0 => Some("its history is shorter than a day"),
        _ => None,
    }
}

/// Makes one policy.
///
/// # Errors
/// [`Failure::Input`] if there is none of that name, or its parameter cannot work.
pub fn candidate(text: &str) -> Result<Candidate, Failure> {
    let (engine, hpa) = match text.split_once('@') {
        Some((engine, hpa)) => (engine, Some(hpa)),
        None => (text, None),
    };
    let (name, parameter) = match engine.split_once(':') {
        Some((name, parameter)) => (name, Some(parameter)),
        None => (engine, None),
    };
    match (hpa, name, parameter.filter(|file| is_file(file))) {
        (None, "hpa", Some(file)) => return manifest(text, Path::new(file)),
        (None, "rules", Some(file)) => return rules_of_file(text, Path::new(file)),
        _ => {}
    }
    if let (None, "hpa", Some(parameter)) = (hpa, name, parameter.filter(|parameter| parameter.contains('/'))) {
        return Ok(Beneath::new(text, parameter)?.alone().named(text));
    }
    let parameter = parameter.map(|parameter| percent(text, parameter)).transpose()?;
    let made = match (hpa, name) {
        (None, "hpa") => Candidate::hpa_on_cpu(whole(text, parameter.unwrap_or(70.0))?),
        (None, "kpa") => Candidate::kpa(parameter.unwrap_or(70.0) / 100.0),
        (None, "rules") => Candidate::rules(parameter.unwrap_or(95.0) / 100.0).map_err(|error| bad(text, error))?,
        (None, "predictive") => {
            let price = parameter.unwrap_or(10.0);
            Candidate::direct("predictive", move |training| {
                // Without a rate it would decide as the rules do, under another name.
                training.needs_rate()?;
                Ok(Driver::direct(predictive(price)?))
            })
        }
        (None, "schedule") => schedule(whole(text, parameter.unwrap_or(70.0))?),
        (Some(hpa), "rules") => rules_over_hpa(text, parameter, hpa)?,
        (Some(hpa), "predictive") => {
            let price = parameter.unwrap_or(10.0);
            Beneath::of(text, hpa)?.driven(text, move |training| {
                training.needs_rate()?;
                Ok(Driver::bounds(predictive(price)?))
            })
        }
        (Some(hpa), "kpa") => {
            let target = parameter.unwrap_or(70.0) / 100.0;
            Beneath::of(text, hpa)?.driven(text, move |training| {
                training.needs_rate()?;
                let target = Some(target * training.model.pod_capacity);
                Ok(Driver::bounds(KpaEngine::new(KpaConfig { target, ..KpaConfig::default() })))
            })
        }
        _ => return Err(Failure::input(format!("there is no engine {text:?}; there are: {ENGINES}"))),
    };
    let made = made.named(text);
    Ok(match parameter {
        // Settings of one parameter lie on one line of the frontier.
        Some(parameter) => {
            made.of_family(hpa.map_or_else(|| name.to_owned(), |hpa| format!("{name}@{hpa}")), parameter)
        }
        None => made,
    })
}

/// Makes one policy for each setting of a parameter, from `NAME:FROM..TO:STEP`.
///
/// # Errors
/// [`Failure::Input`] if the text has another form, or asks for more than 100.
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
    let mut parameter = from;
    while parameter <= to + step * 1e-9 {
        candidates.push(candidate(&format!("{name}:{parameter}"))?);
        parameter += step;
    }
    Ok(candidates)
}

fn bad(text: &str, what: impl std::fmt::Display) -> Failure {
    Failure::input(format!("engine {text:?}: {what}"))
}

fn is_file(text: &str) -> bool {
    Path::new(text).extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
}

fn percent(text: &str, parameter: &str) -> Result<f64, Failure> {
    let number = parameter.trim().parse::<f64>().ok().filter(|number| *number > 0.0 && *number <= 1000.0);
    number.ok_or_else(|| bad(text, format!("{parameter:?} is not a percentage above 0 and at most 1000")))
}

#[allow(clippy::cast_possible_truncation)] // at most 1000
fn whole(text: &str, percent: f64) -> Result<i32, Failure> {
    if percent.fract() == 0.0 && percent >= 1.0 {
        Ok(percent as i32)
    } else {
        Err(bad(text, format!("{percent} is not a whole percentage")))
    }
}

/// Makes a policy of the HPA in a manifest.
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

/// Makes the rule engine with the thresholds of a file, driving the number of pods itself.
fn rules_of_file(name: &str, path: &Path) -> Result<Candidate, Failure> {
    let place = |what: &dyn std::fmt::Display| Failure::input(format!("{}: {what}", path.display()));
    let config: RuleConfig = serde_json::from_slice(&crate::read(path)?).map_err(|error| place(&error))?;
    config.validate().map_err(|error| place(&error))?;
    Ok(Candidate::direct(name, move |_| Ok(Driver::direct(RuleBasedEngine::new(config.clone())?))))
}

/// An HPA on CPU, whose bounds are moved: `hpa`, or `hpa:` and what [`Beneath::new`] reads.
#[derive(Clone, Copy)]
struct Beneath {
    percent: i32,
    /// `stabilizationWindowSeconds` of `scaleDown`; none for an HPA without `behavior`.
    window: Option<Duration>,
    /// `tolerance` of `scaleDown`, in percent.
    tolerance: Option<u32>,
}

impl Beneath {
    fn of(text: &str, hpa: &str) -> Result<Self, Failure> {
        match hpa.split_once(':') {
            None if hpa == "hpa" => Ok(Self { percent: 70, window: None, tolerance: None }),
            Some(("hpa", parameter)) => Self::new(text, parameter),
            _ => Err(bad(text, format!("{hpa:?} is not hpa, hpa:PERCENT, hpa:PERCENT/SECONDS or .../TOLERANCE"))),
        }
    }

    /// Reads `PERCENT`, `PERCENT/SECONDS` or `PERCENT/SECONDS/TOLERANCE`, within what the API server takes.
    fn new(text: &str, parameter: &str) -> Result<Self, Failure> {
        let mut parts = parameter.splitn(3, '/');
        let percent = whole(text, percent(text, parts.next().unwrap_or_default())?)?;
        let mut number = |most: u32, what: &str| {
            let read = |part: &str| {
                let number = part.parse::<u32>().ok().filter(|number| *number <= most);
                number.ok_or_else(|| bad(text, format!("{part:?} is not {what}")))
            };
            parts.next().map(read).transpose()
        };
        let window = number(3600, "a window of 0 to 3600 whole seconds")?;
        let tolerance = number(100, "a tolerance of 0 to 100 whole percent")?;
        Ok(Self { percent, window: window.map(|seconds| Duration::from_secs(seconds.into())), tolerance })
    }

    fn changed(self, mut spec: HpaSpec) -> HpaSpec {
        if let Some(window) = self.window {
            spec = spec.with_scale_down_window(window);
        }
        match self.tolerance.and_then(|percent| format!("{percent}e-2").parse().ok()) {
            Some(tolerance) => spec.with_scale_down_tolerance(tolerance),
            None => spec,
        }
    }

    fn alone(self) -> Candidate {
        Candidate::hpa_on_cpu_with(self.percent, move |spec| self.changed(spec))
    }

    fn driven(
        self,
        name: &str,
        make: impl Fn(&TrainingPeriod<'_>) -> Result<Driver, CandidateError> + Send + Sync + 'static,
    ) -> Candidate {
        Candidate::over_hpa_with(name, self.percent, move |spec| self.changed(spec), make)
    }
}

/// Makes the rule engine as it is meant for production: it moves the bounds, and the HPA does the ups and downs between them.
fn rules_over_hpa(text: &str, parameter: Option<f64>, hpa: &str) -> Result<Candidate, Failure> {
    let mut config = RuleConfig::default();
    if let Some(percent) = parameter {
        config.target_cpu_percent = percent;
        config.learnt_target_percent = percent;
    }
    config.validate().map_err(|error| bad(text, error))?;
    Ok(Beneath::of(text, hpa)?.driven(text, move |_| Ok(Driver::bounds(RuleBasedEngine::new(config.clone())?))))
}

/// Makes the predictive engine. Its parameter: by how many percent more pods may cost for one percentage point fewer violating
/// requests.
fn predictive(price: f64) -> Result<PredictiveEngine, InvalidSetting> {
    PredictiveEngine::new(PredictiveConfig { violation_price: price, ..PredictiveConfig::default() })
}

/// Makes a schedule compiled from the history, a floor beneath an HPA: windows of a cron scaler beside a CPU target.
fn schedule(percent: i32) -> Candidate {
    Candidate::direct("schedule", move |training| {
        training.needs_rate()?;
        let config = CompileConfig::for_workload(Tz::UTC, training.facts);
        let need = need_by_load(SignalKind::RequestRate, training.model.pod_capacity * f64::from(percent) / 100.0);
        let compiled = compile(training.history, need, &config)?;
        let limits = training.model.limits.bounds();
        // An HPA on CPU cannot come back from no pods.
        let bounds = Bounds::new(limits.min().max(1), limits.max())?;
        let mut hpa = HpaSpec::new(CrossVersionObjectReference::deployment("workload"), bounds);
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
            "hpa:70/60",
            "predictive@hpa:95/0",
            "rules@hpa:80/60",
            "predictive@hpa:95/60/0",
        ] {
            assert_eq!(said(text), Ok(text.to_owned()));
        }
        for (text, what) in [
            ("magic", "there are: hpa"),
            ("hpa:0", "\"0\" is not a percentage"),
            ("hpa:70.5", "not a whole percentage"),
            ("rules:lots", "\"lots\" is not a percentage"),
            ("rules@vpa", "\"vpa\" is not hpa"),
            ("hpa:70/3601", "\"3601\" is not a window"),
            ("rules@hpa:70/-1", "\"-1\" is not a window"),
            ("rules@hpa:70/", "\"\" is not a window"),
            ("rules@hpa:70/60/101", "\"101\" is not a tolerance"),
            ("rules@hpa:70/60/0/0", "\"0/0\" is not a tolerance"),
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
