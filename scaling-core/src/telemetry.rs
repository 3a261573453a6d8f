//! What happens, for those who watch: counts and gauges, traces, a page.
//!
//! Nothing global is installed but by the one call that says so (`otlp::init`).
//!
//! # Spans
//!
//! This crate and its siblings speak [`tracing`] always, at level `INFO`; without a subscriber a span costs next to nothing. An attribute
//! that is not known is left out.
//!
//! | span | of | attributes |
//! | --- | --- | --- |
//! | `tick` | one tick of one workload | `cluster`, `namespace`, `kind`, `name`, `mode`, `engine`, `outcome`, `guard`, `replicas`, `replicas_wanted`, `floor_replicas`, `min_replicas`, `max_replicas` |
//! | `observe_metrics` | asking the source, inside a tick or for many of them | `targets` |
//! | `analyze_metrics` | the engine | `cluster`, `namespace`, `name`, `engine`, `action`, `replicas`, `replicas_wanted`, `confidence` |
//! | `ai_analysis` | one question to a language model (`scaling-llm`), a client's span; in the background it outlives the tick that asks | `cluster`, `namespace`, `name`, `engine`, `outcome`, `replicas`, `replicas_baseline`, `replicas_wanted`, and as OpenTelemetry names them `gen_ai.operation.name` (`chat`), `gen_ai.provider.name`, `gen_ai.request.model`, `gen_ai.response.model`, `gen_ai.response.id`, `gen_ai.usage.input_tokens`, `gen_ai.usage.output_tokens`, `gen_ai.usage.cache_read.input_tokens`, `gen_ai.usage.cache_creation.input_tokens`, `error.type` |
//! | `update_hpa_from_metrics` | carrying a plan out, as far as the mode lets it go | `cluster`, `namespace`, `name`, `hpa`, `mode`, `outcome`, `old_min_replicas`, `old_max_replicas`, `min_replicas`, `max_replicas` |
//! | `generate_schedule` | compiling a schedule (`scaling-schedule`) | `samples`, `time_zone`, `windows`, `confidence` |
//! | `analyze_patterns` | the profiles of a day, inside of it | `profiles`, `days_seen`, `covered_percent` |
//!
//! What failed has `otel.status_description` as well, which makes the span an error for OpenTelemetry.
//!
//! # Metrics
//!
//! Those of `Metrics` (feature `telemetry`), in the OpenMetrics format. "Workload" stands for the labels `target_cluster` (where it has one),
//! `target_namespace`, `target_kind` and `target_name`. A gauge has no sample while its value is not known: it never falls back to 0.
//!
//! | metric | type | labels | meaning |
//! | --- | --- | --- | --- |
//! | `ai_scaling_decisions_total` | counter | `decision_type`, `confidence_level` | decisions of the engine, before guards; confidence above 0.8 is `high`, above 0.5 `medium`, otherwise `low` |
//! | `ai_scaling_analysis_latency_seconds` | histogram | | time that an engine took to decide (`Metrics::timed`) |
//! | `ai_scaling_ticks_total` | counter | `outcome` | ticks of a workload by their end: `unchanged`, `planned`, `validated`, `applied`, `refused`, `failed` |
//! | `ai_scaling_ticks_missed_total` | counter | | ticks that the loop skipped because it was late (`Metrics::missed_ticks`) |
//! | `ai_scaling_unchanged_total` | counter | `reason` | ticks with nothing to change, by [`Unchanged::label`](crate::record::Unchanged::label) |
//! | `ai_scaling_failures_total` | counter | `step` | failures to `observe`, `read` the HPA, `decide` or `apply`; also of ticks that held a floor all the same |
//! | `ai_scaling_refusals_total` | counter | `guard` | decisions that a guard refused; of a host's own guards 32 by name, the rest as `other` |
//! | `ai_scaling_clamps_total` | counter | `guard` | changes that a guard made smaller |
//! | `ai_scaling_applies_total` | counter | `outcome` | changes sent to the cluster: `applied`, `already_there`, `validated`, `failed`, or `unknown` if the answer was lost |
//! | `ai_scaling_forecasts_total` | counter | `result` | forecasts whose time has come: the load was at most what was expected (`held`), more (`exceeded`), or `unmeasured` |
//! | `ai_scaling_forecasts_missing_total` | counter | `reason` | decisions that wanted a forecast and had none: `no_load`, `no_capacity`, `too_short`, `not_finite` |
//! | `ai_scaling_unlisted_records_total` | counter | | records of workloads beyond the limit, which have no series of their own |
//! | `ai_scaling_targets` | gauge | | workloads with series of their own |
//! | `ai_scaling_breaker_open_targets` | gauge | `engine` | workloads for which an engine is not asked, because it failed too often |
//! | `ai_scaling_breaker_failing_targets` | gauge | `engine` | workloads for which it failed when it was last asked |
//! | `ai_scaling_last_tick_timestamp_seconds` | gauge | workload | instant of the newest tick, in seconds since 1970 |
//! | `ai_scaling_source_up` | gauge | workload | 1 if the source answered in the newest tick, otherwise 0 |
//! | `ai_scaling_source_age_seconds` | gauge | workload | age of the newest metrics at the newest tick; grows while the source is down |
//! | `ai_scaling_signal_absent` | gauge | workload, `signal` | 1 for a declared signal without a usable value, 0 for one with a value |
//! | `ai_scaling_current_replicas` | gauge | workload | pods asked for now |
//! | `ai_scaling_wanted_replicas` | gauge | workload | pods that the engine wants, before guards |
//! | `ai_scaling_floor_replicas` | gauge | workload | pods that must be there: a schedule, a forecast or an event |
//! | `ai_scaling_min_replicas`, `ai_scaling_max_replicas` | gauge | workload | bounds of the HPA, as the newest tick left them |
//! | `ai_scaling_resting_min_replicas`, `ai_scaling_resting_max_replicas` | gauge | workload | bounds that the owner of the HPA set |
//! | `ai_scaling_forecast_quantile` | gauge | workload | share of the forecasts that should hold: the yardstick of `ai_scaling_forecasts_total` |
//! | `ai_scaling_estimated_savings_per_hour` | gauge | workload, `currency` | what the newest decision saves each hour, if it lasts; below 0 for what it costs more |
//!
//! Those of a language model, from `scaling_llm::LlmMetrics`, which a host adds with `Metrics::with_collector`:
//!
//! | metric | type | labels | meaning |
//! | --- | --- | --- | --- |
//! | `ai_scaling_llm_questions_total` | counter | `outcome` | questions by their end: `agreed`, `changed`, `late`, `refused`, `unavailable`, `malformed`, `out_of_range`, `unsure`, `unproved`, `stale` (never used while fresh), `abandoned` |
//! | `ai_scaling_llm_not_asked_total` | counter | `reason` | decisions without a question: `no_model`, `no_room`, `cooling`, `unchanged`, `busy`, `no_runtime`, `breaker_open`, `over_budget` |
//! | `ai_scaling_llm_decisions_total` | counter | `result` | decisions that are the baseline's (`equal`) and others (`changed`) |
//! | `ai_scaling_llm_tokens_total` | counter | `type` | tokens of questions (`input`, caches included) and answers (`output`) |
//! | `ai_scaling_llm_cached_tokens_total` | counter | `type` | input tokens that were `read` from the provider's cache, or a `write` to it |
//! | `ai_scaling_llm_cost_total` | counter | `currency` | cost of the answers whose price is known |
//! | `ai_scaling_llm_unpriced_total` | counter | | answers whose cost is not known |
//! | `ai_scaling_llm_latency_seconds` | histogram | | time that questions took, answered or not |
//! | `ai_scaling_llm_under_way` | gauge | | questions under way |
//! | `ai_scaling_llm_breaker_open` | gauge | `provider`, `model` | 1 for a model that is not asked because it failed too often |
//!
//! Alert rules for Prometheus and a dashboard for Grafana that use them are in `examples/deploy` of the repository.

#[cfg(feature = "telemetry")]
pub mod board;
#[cfg(feature = "telemetry")]
mod health;
#[cfg(feature = "telemetry")]
mod metrics;
#[cfg(feature = "otlp")]
pub mod otlp;
#[cfg(feature = "serve")]
pub mod page;
#[cfg(feature = "serve")]
pub mod serve;
#[cfg(feature = "telemetry")]
mod timed;

pub use crate::trace_context::trace_headers;
#[cfg(feature = "telemetry")]
#[doc(inline)]
pub use board::Board;
#[cfg(feature = "telemetry")]
pub use health::{Health, Readiness};
#[cfg(feature = "telemetry")]
pub use metrics::Metrics;
#[cfg(feature = "telemetry")]
pub use prometheus_client;
#[cfg(feature = "telemetry")]
pub use timed::Timed;
