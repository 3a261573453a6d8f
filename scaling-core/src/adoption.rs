//! Handing a workload over in stages, by evidence: [`Trial`].
//!
//! A workload is [observed](crate::Adoption::Observe) for a while: decisions are recorded, nothing is written. The load that was seen is
//! replayed day by day under the HPA as it is and under the engine ([`replayed_days`], each stage as it is [`deployed`]), which is the report of what the engine would have
//! done and saved. [`Trial`] says whether those days are evidence enough to let it hold floors, and then to hand it over in full. The same
//! rule compares any challenger with a champion.

mod days;
mod deployed;
mod trial;

pub use days::{DayCost, DaysError, PairedDay, ReplayedDay, replayed_day, replayed_days};
pub use deployed::deployed;
pub use trial::{Evidence, Trial, TrialVerdict};
