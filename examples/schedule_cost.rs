//! The cost of a schedule in three worked cases: a quiet weekend, quiet nights, and half an hour of pods ahead of a peak.
//!
//!     cargo run --release --example schedule_cost -- --price 0.05 --currency USD
//!
//! The first two are the bill of floors that hold all that runs. The third cannot be read off a bill: what the half hour buys is fewer late
//! requests, so that four weeks of a peak are replayed against a simulated cluster with an HPA, without the window and with it.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use examples::Failure;
use futures::executor::block_on;
use scaling_core::backtest::{Candidate, ClusterModel, Driver, Scenario, Score, Trace, score_one};
use scaling_core::chrono::{DateTime, TimeDelta, Timelike, Utc};
use scaling_core::source::parse::SampleTime;
use scaling_core::{CostImpact, HardLimits, Price, ScalingMetrics, SignalKind};
use scaling_schedule::{CostReport, Days, Schedule, ScheduleEngine, Size, Tz, Window};

/// The cost of a schedule in three worked cases.
#[derive(Debug, Parser)]
#[command(
    name = "schedule_cost",
    version,
    after_help = "Example:\n  cargo run --release --example schedule_cost -- --price 0.08 --currency EUR"
)]
struct Arguments {
    /// Price of a pod-hour
    #[arg(long, default_value_t = 0.05, allow_negative_numbers = true)]
    price: f64,
    /// Currency of the price
    #[arg(long, default_value = "USD")]
    currency: String,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    examples::exit(run(&arguments, &mut std::io::stdout().lock()))
}

fn run(arguments: &Arguments, out: &mut impl Write) -> Result<(), Failure> {
    let price = examples::price(arguments.price, &arguments.currency)?;
    let weekdays = Window::parse("weekdays", Days::WEEKDAYS, "00:00", "00:00", 8);
    writeln!(out, "1. 3 pods at the weekend, 8 on weekdays, instead of 8 throughout")?;
    bill(weekdays.map_err(Failure::input)?, 8, 3, &price, out)?;
    let day = Window::parse("day", Days::DAILY, "06:00", "23:00", 5);
    writeln!(out, "\n2. 2 pods from 23:00 to 06:00, 5 by day, instead of 5 throughout")?;
    bill(day.map_err(Failure::input)?, 5, 2, &price, out)?;
    writeln!(out, "\n3. 8 pods from half an hour before a peak at 09:00, under an HPA at 70 % CPU")?;
    ahead_of_a_peak(&price, out)
}

/// The floors of one window, and so many pods outside of it, against a constant size.
fn bill(window: Window, constant: u32, outside: u32, price: &Price, out: &mut impl Write) -> Result<(), Failure> {
    let schedule = Schedule::new(Tz::Europe__Berlin, vec![window]).map_err(Failure::input)?;
    let report = CostReport::new(Size::Constant(constant), Size::Scheduled { schedule: &schedule, outside }, price);
    for line in schedule.to_string().lines() {
        writeln!(out, "   {line}")?;
    }
    Ok(writeln!(out, "   {report}")?)
}

/// Four weeks of a load that is four times as large from 09:00 to 12:00, replayed with and without the window.
fn ahead_of_a_peak(price: &Price, out: &mut impl Write) -> Result<(), Failure> {
    let peak = Window::parse("before the peak", Days::DAILY, "08:30", "09:30", 8).map_err(Failure::input)?;
    let schedule = Schedule::new(Tz::UTC, vec![peak]).map_err(Failure::input)?;
    for line in schedule.to_string().lines() {
        writeln!(out, "   {line}")?;
    }
    let scenario = four_weeks()?;
    let alone = Candidate::hpa_on_cpu(70);
    let floored =
        Candidate::over_hpa("with the window", 70, move |_| Ok(Driver::bounds(ScheduleEngine::new(schedule.clone()))));
    let score = |candidate: &Candidate| block_on(score_one(&scenario, candidate, &())).map_err(Failure::failed);
    let (without, with) = (score(&alone)?, score(&floored)?);
    for (name, score) in [("HPA alone", &without), ("with the window", &with)] {
        writeln!(
            out,
            "   {name:<16} {:>7.1} pod-hours, {:>6.3} % of {:.0} requests late or dropped",
            score.pod_hours,
            score.violating_share * 100.0,
            score.requests
        )?;
    }
    writeln!(out, "   {}", difference(&without, &with, price))?;
    Ok(())
}

/// The extra cost of the second over the first, from the hours that were scored.
fn difference(before: &Score, after: &Score, price: &Price) -> CostImpact {
    let pods = (after.pod_hours - before.pod_hours) / after.hours;
    CostImpact::per_hour(pods * price.pod_hour(), price.currency())
}

fn four_weeks() -> Result<Scenario, Failure> {
    let begin: DateTime<Utc> = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
    let sample = |minute: i64| {
        let at = begin + TimeDelta::minutes(minute);
        let rate = if (9..12).contains(&at.hour()) { 280.0 } else { 70.0 };
        ScalingMetrics::new(at, 2).with(SignalKind::RequestRate, rate)
    };
    let samples = (0..28 * 24 * 60).map(sample).collect();
    let trace = Trace::from_samples("peak at nine", samples, SampleTime::Starts).map_err(Failure::input)?;
    let limits = HardLimits::new(2, 20).map_err(Failure::input)?;
    let model = ClusterModel { limits, noise_seed: Some(1), ..ClusterModel::default() };
    let longest = std::time::Duration::from_secs(28 * 86_400);
    Ok(Scenario { history_share: 0.0, longest, ..Scenario::new(trace, model) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(price: f64) -> Result<String, String> {
        let arguments = Arguments { price, currency: "USD".to_owned() };
        examples::outcome(|out| run(&arguments, out))
    }

    #[test]
    fn the_three_cases_are_worked_out() {
        let text = said(0.05).unwrap();
        // 5 pods less for 48 of 168 hours, and 3 pods less for 7 of 24.
        for bill in ["-625.71 a year", "-383.25 a year"] {
            assert!(text.contains(bill), "{bill}\n{text}");
        }
        let late = |name: &str| -> f64 {
            let row = text.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
            row.split("pod-hours, ").nth(1).unwrap().split(" %").next().unwrap().trim().parse().unwrap()
        };
        assert!(late("with the window") < 0.1 * late("HPA alone"), "{text}");
        let cost = text.lines().last().unwrap();
        assert!(cost.trim_start().starts_with('+'), "pods ahead of time cost something: {cost}");
    }

    #[test]
    fn a_price_that_cannot_be_is_refused() {
        assert!(said(-1.0).unwrap_err().starts_with("2: "));
        assert!(said(f64::NAN).unwrap_err().starts_with("2: "));
    }
}
