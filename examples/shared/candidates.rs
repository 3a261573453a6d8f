//! Policies by name, for `--engine`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use scaling_core::InvalidSetting;
use scaling_core::backtest::{Candidate, CandidateError, DemandBasis, Driver, Scenario, TrainingPeriod};
use scaling_core::baseline::{KpaConfig, KpaEngine};
use scaling_core::hpa::HpaSpec;
use scaling_core::{DecisionEngine, RuleBasedEngine, RuleConfig, SignalKind};
use scaling_schedule::{CompileConfig, HpaBeneath, PredictiveConfig, PredictiveEngine, Tz, driver_over_hpa};

use crate::Failure;
use crate::manifest::HpaArguments;

/// Names that `--engine` takes, for its help and its errors.
pub const ENGINES: &str = "hpa[:PERCENT[/SECONDS[/TOLERANCE]]], kpa[:PERCENT], rules[:PERCENT], tracking[:PERCENT], schedule[:PERCENT] \
                           with the utilization that is aimed for, predictive[:PERCENT] with the share of requests that may be too late \
                           or lost (1 by default, at most 20), hpa:FILE.yaml[#NAME], rules:FILE.json, and rules@HPA, kpa@HPA or \
                           predictive@HPA for an engine that moves the bounds of an HPA, as predictive@hpa:95/60 or \
                           predictive@hpa:FILE.yaml, and schedule@hpa[:PERCENT...], which takes no file; SECONDS is the \
                           stabilizationWindowSeconds of its scaleDown (300 by default), TOLERANCE that of its scaleDown in percent \
                           (10 by default)";

/// Target of a schedule, in percent, where none is named.
const SCHEDULE_PERCENT: f64 = 70.0;

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
        "kpa" | "schedule" if scenario.trace.basis() != DemandBasis::RequestRate => Some("there is no request rate"),
        "kpa" | "schedule" if !scenario.model.measures(SignalKind::RequestRate) => {
            Some("the request rate is not measured")
        }
        "hpa:70" if !scenario.model.measures(SignalKind::CpuUtilization) => Some("CPU utilization is not measured"),
        "schedule" if history_s < 86_400.0 => Some("its history is shorter than a day"),
        _ => None,
    }
}

/// Recipe of an engine: each replay begins with a new one, which remembers nothing of another.
pub type EngineRecipe = Arc<dyn Fn() -> Result<Box<dyn DecisionEngine>, InvalidSetting> + Send + Sync>;

/// Names that [`engine`] takes.
pub const BOUND_MOVERS: &str = "predictive[:PERCENT] with the share of requests that may be too late or lost (at most 20), \
                                rules[:PERCENT] with the utilization that is aimed for, rules:FILE.json";

/// Finds an engine that moves the bounds of an HPA.
///
/// # Errors
/// [`Failure::Input`] if there is none of that name, or its parameter cannot work.
pub fn engine(text: &str) -> Result<EngineRecipe, Failure> {
    let (name, parameter) = text.split_once(':').map_or((text, None), |(name, parameter)| (name, Some(parameter)));
    match (name, parameter) {
        ("predictive", None) => Ok(Arc::new(|| Ok(Box::new(PredictiveEngine::new(PredictiveConfig::default())?)))),
        ("predictive", Some(share)) => {
            let share = violating(text, percent(text, share)?)?;
            Ok(Arc::new(move || Ok(Box::new(predictive(share)?))))
        }
        ("rules", parameter) => {
            let config = rules_config(text, parameter)?;
            Ok(Arc::new(move || Ok(Box::new(RuleBasedEngine::new(config.clone())?))))
        }
        _ => Err(Failure::input(format!("there is no engine {text:?} that moves bounds; there are: {BOUND_MOVERS}"))),
    }
}

/// The predictive engine of a name, for a host that keeps what it learns; none if the name is another engine's.
///
/// # Errors
/// [`Failure::Input`] if its parameter cannot work.
pub fn live_predictive(text: &str) -> Result<Option<PredictiveEngine>, Failure> {
    let share = match text.split_once(':') {
        None if text == "predictive" => return predictive(0.01).map(Some).map_err(|error| bad(text, error)),
        Some(("predictive", share)) => violating(text, percent(text, share)?)?,
        _ => return Ok(None),
    };
    predictive(share).map(Some).map_err(|error| bad(text, error))
}

/// Makes one policy.
///
/// # Errors
/// [`Failure::Input`] if there is none of that name, or its parameter cannot work.
pub fn candidate(text: &str, hpas: &HpaArguments) -> Result<Candidate, Failure> {
    let (engine, hpa) = engine_over(text).map_or((text, None), |(engine, hpa)| (engine, Some(hpa)));
    let (name, parameter) = match engine.split_once(':') {
        Some((name, parameter)) => (name, Some(parameter)),
        None => (engine, None),
    };
    match (hpa, name, parameter.filter(|file| is_file(file))) {
        (None, "hpa", Some(file)) => return manifest(text, Path::new(file), hpas),
        (None, "rules", Some(_)) => return rules(text, parameter),
        _ => {}
    }
    if let (None, "hpa", Some(parameter)) = (hpa, name, parameter.filter(|parameter| parameter.contains('/'))) {
        return Ok(Beneath::new(text, parameter)?.alone().named(text));
    }
    let written = parameter;
    // The rules take a file as their parameter, which is read where they are made.
    let parameter = parameter.filter(|file| !(name == "rules" && is_file(file)));
    let read = if (hpa, name) == (None, "hpa") { target } else { percent };
    let parameter = parameter.map(|parameter| read(text, parameter)).transpose()?;
    let made = match (hpa, name) {
        (None, "hpa") => Candidate::hpa_on_cpu(whole(text, parameter.unwrap_or(70.0))?),
        (None, "kpa") => Candidate::kpa(parameter.unwrap_or(70.0) / 100.0),
        (None, "rules") => rules(text, written)?,
        (None, "tracking") => tracking(text, parameter)?,
        (None, "predictive") => {
            let share = violating(text, parameter.unwrap_or(1.0))?;
            Candidate::direct("predictive", move |_| Ok(Driver::direct(predictive(share)?)))
        }
        (None, "schedule") => {
            let percent = whole(text, parameter.unwrap_or(SCHEDULE_PERCENT))?;
            schedule(percent, Tz::UTC, Beneath { percent, window: None, tolerance: None })
        }
        (Some(hpa), "schedule") if hpa_file(hpa).is_some() => {
            return Err(bad(text, "a schedule is for an HPA on CPU, and takes none from a file: schedule@hpa:PERCENT"));
        }
        (Some(hpa), "schedule") if parameter.is_none() => {
            let beneath = Beneath::of(text, hpa)?;
            schedule(beneath.percent, Tz::UTC, beneath)
        }
        (Some(hpa), "rules") => {
            let config = rules_config(text, written)?;
            over(text, hpa, hpas, move |_| Ok(Driver::bounds(RuleBasedEngine::new(config.clone())?)))?
        }
        (Some(hpa), "predictive") => {
            let share = violating(text, parameter.unwrap_or(1.0))?;
            over(text, hpa, hpas, move |_| Ok(Driver::bounds(predictive(share)?)))?
        }
        (Some(hpa), "kpa") => {
            let target = parameter.unwrap_or(70.0) / 100.0;
            over(text, hpa, hpas, move |training| {
                training.needs_rate()?;
                let target = Some(target * training.model.pod_capacity);
                Ok(Driver::bounds(KpaEngine::new(KpaConfig { target, ..KpaConfig::default() })))
            })?
        }
        _ => return Err(Failure::input(format!("there is no engine {text:?}; there are: {ENGINES}"))),
    };
    // The name of an HPA from a file tells what is left out of it.
    let made = if made.own_hpa().is_some() { made } else { made.named(text) };
    Ok(match parameter {
        // Settings of one parameter lie on one line of the frontier.
        Some(parameter) => {
            made.of_family(hpa.map_or_else(|| name.to_owned(), |hpa| format!("{name}@{hpa}")), parameter)
        }
        None => made,
    })
}

/// Takes `ENGINE@HPA` apart: an engine, and the HPA whose bounds it moves. Elsewhere an `@` is part of the name of a file.
pub fn engine_over(text: &str) -> Option<(&str, &str)> {
    let (engine, hpa) = text.split_once('@')?;
    let is_engine = MOVERS.contains(&engine.split(':').next().unwrap_or_default());
    (is_engine || hpa == "hpa" || hpa.starts_with("hpa:"))
        .then_some((engine, hpa))
        .filter(|_| !engine.starts_with("hpa:"))
}

/// Engines that move the bounds of an HPA.
const MOVERS: [&str; 4] = ["rules", "kpa", "predictive", "schedule"];

/// Lets an engine move the bounds of an HPA: one in a file, or one on CPU.
fn over(
    text: &str,
    hpa: &str,
    hpas: &HpaArguments,
    make: impl Fn(&TrainingPeriod<'_>) -> Result<Driver, CandidateError> + Send + Sync + 'static,
) -> Result<Candidate, Failure> {
    match hpa.strip_prefix("hpa:").filter(|file| is_file(file)) {
        Some(file) => Ok(manifest(text, Path::new(file), hpas)?.driven_by(make)),
        None => Ok(Beneath::of(text, hpa)?.driven(text, make)),
    }
}

/// Lets a schedule go by the clock of a zone; other policies know no clock.
#[must_use]
pub fn in_zone(candidate: Candidate, zone: Tz) -> Candidate {
    let name = candidate.name().to_owned();
    let Some(rest) = name.strip_prefix("schedule") else { return candidate };
    let (percent, hpa) = match (rest.split_once('@'), rest.strip_prefix(':')) {
        (Some(("", hpa)), _) => (None, Some(hpa)),
        (None, Some(percent)) => (percent.parse().ok(), None),
        _ if rest.is_empty() => (None, None),
        _ => return candidate,
    };
    let beneath = match hpa.map(|hpa| Beneath::of(&name, hpa)) {
        Some(Ok(beneath)) => beneath,
        Some(Err(_)) => return candidate,
        None => match whole(&name, percent.unwrap_or(SCHEDULE_PERCENT)) {
            Ok(percent) => Beneath { percent, window: None, tolerance: None },
            Err(_) => return candidate,
        },
    };
    let made = schedule(beneath.percent, zone, beneath).named(&name);
    match percent {
        Some(percent) => made.of_family("schedule".to_owned(), percent),
        None => made,
    }
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
        candidates.push(candidate(&format!("{name}:{parameter}"), &HpaArguments::default())?);
        parameter += step;
    }
    Ok(candidates)
}

/// Names policies for reports: a file by its own name, with its folders only where another policy would have the same name.
pub fn short_names(texts: &[impl AsRef<str>]) -> Vec<String> {
    let names: Vec<String> = texts.iter().map(|text| short_name(text.as_ref())).collect();
    let is_shared = |name: &String| names.iter().filter(|other| *other == name).count() > 1;
    names
        .iter()
        .zip(texts)
        .map(|(name, text)| if is_shared(name) { text.as_ref().to_owned() } else { name.clone() })
        .collect()
}

fn short_name(text: &str) -> String {
    if let Some((engine, hpa)) = engine_over(text) {
        return format!("{}@{}", short_name(engine), short_name(hpa));
    }
    match text.split_once(':') {
        Some((engine, file)) if is_file(file) => {
            let (path, hpa) = file.find('#').map_or((file, ""), |at| file.split_at(at));
            let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy();
            format!("{engine}:{name}{hpa}")
        }
        _ => text.to_owned(),
    }
}

fn bad(text: &str, what: impl std::fmt::Display) -> Failure {
    Failure::input(format!("engine {text:?}: {what}"))
}

/// Returns whether a text names a file, be it with the name of an HPA behind it: `web.yaml#api`.
pub fn is_file(text: &str) -> bool {
    let file = text.split_once('#').map_or(text, |(file, _)| file);
    Path::new(file).extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
}

fn percent(text: &str, parameter: &str) -> Result<f64, Failure> {
    let number = parameter.trim().parse::<f64>().ok().filter(|number| *number > 0.0 && *number <= 1000.0);
    number.ok_or_else(|| bad(text, format!("{parameter:?} is not a percentage above 0 and at most 1000")))
}

/// Reads the target of an HPA on CPU; what is no number was meant as a file.
fn target(text: &str, parameter: &str) -> Result<f64, Failure> {
    if parameter.trim().parse::<f64>().is_err() {
        let what = format!("{parameter:?} is no percentage, and no manifest either: FILE.yaml, FILE.yml or FILE.json");
        return Err(bad(text, what));
    }
    percent(text, parameter)
}

/// The share of requests that the predictive engine may let violate, of a percentage.
fn violating(text: &str, percent: f64) -> Result<f64, Failure> {
    let share = percent / 100.0;
    let what =
        "% of the requests may be too late or lost: 0.01 to 20; the target of an HPA beneath is predictive@hpa:PERCENT";
    predictive(share).map(|_| share).map_err(|_| bad(text, format!("{percent} {what}")))
}

#[allow(clippy::cast_possible_truncation)] // at most 1000
fn whole(text: &str, percent: f64) -> Result<i32, Failure> {
    if percent.fract() == 0.0 && percent >= 1.0 {
        Ok(percent as i32)
    } else {
        Err(bad(text, format!("{percent} is not a whole percentage")))
    }
}

/// Returns the file of a policy whose HPA is in a file: `FILE.yaml`, `hpa:FILE.yaml`, or `predictive@hpa:FILE.yaml`.
pub fn hpa_file(text: &str) -> Option<&str> {
    let hpa = engine_over(text).map_or(text, |(_, hpa)| hpa);
    let file = hpa.strip_prefix("hpa:").unwrap_or(hpa);
    (is_file(file) && !file.starts_with("rules:")).then_some(file)
}

/// Makes a policy of an HPA in a file. Its name tells which of its metrics are left out.
///
/// # Errors
/// [`Failure::Input`] with the file and what is wrong in it.
pub fn manifest(name: &str, path: &Path, hpas: &HpaArguments) -> Result<Candidate, Failure> {
    Ok(hpas.read(path)?.candidate(name))
}

/// Reads the settings of the rule engine: the default ones, with another target, or those of a file.
fn rules_config(text: &str, parameter: Option<&str>) -> Result<RuleConfig, Failure> {
    let mut config = RuleConfig::default();
    match parameter {
        None => {}
        Some(file) if is_file(file) => {
            let place = |what: &dyn std::fmt::Display| Failure::input(format!("{file}: {what}"));
            config = serde_json::from_slice(crate::unmarked(&crate::read(Path::new(file))?))
                .map_err(|error| place(&error))?;
            config.validate().map_err(|error| place(&error))?;
        }
        Some(target) => {
            let target = percent(text, target)?;
            (config.target_cpu_percent, config.learnt_target_percent) = (target, target);
            config.validate().map_err(|error| bad(text, error))?;
        }
    }
    Ok(config)
}

/// Makes the rule engine, driving the number of pods itself.
fn rules(text: &str, parameter: Option<&str>) -> Result<Candidate, Failure> {
    Candidate::rules_with(rules_config(text, parameter)?).map(|made| made.named(text)).map_err(|error| bad(text, error))
}

/// Makes the rules as they follow demand closely, without an HPA to do the ups and downs.
fn tracking(text: &str, parameter: Option<f64>) -> Result<Candidate, Failure> {
    let mut config = RuleConfig::tracking();
    if let Some(percent) = parameter {
        (config.target_cpu_percent, config.learnt_target_percent) = (percent, percent);
    }
    Candidate::rules_with(config).map_err(|error| bad(text, error))
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
            _ => Err(bad(
                text,
                format!("{hpa:?} is not hpa, hpa:PERCENT, hpa:PERCENT/SECONDS, .../TOLERANCE or hpa:FILE.yaml"),
            )),
        }
    }

    /// Reads `PERCENT`, `PERCENT/SECONDS` or `PERCENT/SECONDS/TOLERANCE`, within what the API server takes.
    fn new(text: &str, parameter: &str) -> Result<Self, Failure> {
        let mut parts = parameter.splitn(3, '/');
        let percent = whole(text, target(text, parts.next().unwrap_or_default())?)?;
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

    /// Tells the compiler of schedules how it differs from other HPAs.
    fn told(self, hpa: HpaBeneath) -> HpaBeneath {
        HpaBeneath { stabilization: self.window.unwrap_or(hpa.stabilization), ..hpa }
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

/// Makes the predictive engine. Its parameter: the share of violating requests that is aimed for.
fn predictive(share: f64) -> Result<PredictiveEngine, InvalidSetting> {
    PredictiveEngine::new(PredictiveConfig { violating_share: share, ..PredictiveConfig::default() })
}

/// Makes a schedule compiled from the history, which moves the min of an HPA on CPU: windows ahead of the loads that it meets too late.
/// Where the history proves none, it is the HPA alone, and says so.
fn schedule(percent: i32, zone: Tz, beneath: Beneath) -> Candidate {
    let make = move |training: &TrainingPeriod<'_>| {
        training.needs_rate()?;
        let config = CompileConfig::for_workload(zone, training.facts);
        let (driver, compiled) = driver_over_hpa(percent, &config, training, |hpa| beneath.told(hpa))?;
        if let Some(why) = compiled.why_not() {
            tracing::info!(%why, "the HPA alone");
        }
        Ok(driver)
    };
    Candidate::over_hpa_with("schedule", percent, move |spec| beneath.changed(spec), make)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Result<String, String> {
        match candidate(text, &HpaArguments::default()) {
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
            "tracking",
            "tracking:90",
            "rules@hpa:80",
            "rules:80@hpa",
            "schedule:60",
            "schedule@hpa:70",
            "schedule@hpa:70/60",
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
            ("hpa:folder", "\"folder\" is no percentage, and no manifest either: FILE.yaml"),
            ("rules@hpa:load.csv", "\"load.csv\" is no percentage, and no manifest"),
            ("schedule@hpa:web.yaml", "takes none from a file: schedule@hpa:PERCENT"),
            ("predictive:70", "70 % of the requests may be too late or lost: 0.01 to 20"),
            ("predictive:70@hpa", "the target of an HPA beneath is predictive@hpa:PERCENT"),
            ("predictive@hpa:nowhere.yaml", "nowhere.yaml: "),
            ("rules:nowhere.json", "nowhere.json"),
            ("rules:nowhere.json@hpa", "nowhere.json: "),
            ("", "there are: hpa"),
        ] {
            let error = said(text).unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
        }
    }

    #[test]
    fn files_are_named_without_folders_where_that_tells_them_apart() {
        let names =
            short_names(&["hpa:70", "hpa:a/web.yaml", "hpa:b/web.yaml", "rules:c/slow.json", "hpa:c/db.yaml#ns/db"]);
        assert_eq!(names, ["hpa:70", "hpa:a/web.yaml", "hpa:b/web.yaml", "rules:slow.json", "hpa:db.yaml#ns/db"]);
        let names =
            short_names(&["predictive:0.5@hpa:a/web.yaml#x", "rules:b/slow.json@hpa:c/db.yaml", "hpa:a@b.yaml"]);
        assert_eq!(names, ["predictive:0.5@hpa:web.yaml#x", "rules:slow.json@hpa:db.yaml", "hpa:a@b.yaml"]);
        let file = |text| hpa_file(text);
        assert_eq!(file("predictive:0.5@hpa:a/web.yaml#x"), Some("a/web.yaml#x"));
        assert_eq!((file("a@b.yaml"), file("rules@hpa:70")), (Some("a@b.yaml"), None));
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
