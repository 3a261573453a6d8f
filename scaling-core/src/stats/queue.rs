//! A fluid queue over a time in which nothing changes, solved exactly.

/// One step of a fluid queue: requests come and are served at rates that stay the same, between an empty queue and a limit.
///
/// The number of waiting requests is then a line that rises or falls at the difference of the rates and lies flat once it meets 0 or
/// the limit. What would rise above the limit overflows. Everything asked of the step follows from that line, so the answers do not
/// depend on how a time is cut into steps.
///
/// Rates are per unit of `duration`; which unit, and of what, is the caller's choice: requests and seconds, or pods' worth of work and
/// steps. `start` is within the limit, and no number is negative or NaN: what becomes of a queue above its limit differs between
/// callers (it is dropped, or drains while nobody is admitted) and is theirs to say.
///
/// ```
/// use scaling_core::stats::FluidStep;
///
/// // 120 requests a second meet pods that serve 100, for 15 s; up to 250 may wait.
/// let step = FluidStep { start: 0.0, arrival_rate: 120.0, service_rate: 100.0, limit: 250.0, duration: 15.0 };
/// assert_eq!((step.end(), step.overflow(), step.served()), (250.0, 50.0, 1500.0));
/// // A second's worth of waiting, 100, is reached after 5 s.
/// assert_eq!(step.time_above(100.0), 10.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FluidStep {
    /// Requests that wait at the beginning, at most `limit`.
    pub start: f64,
    /// Requests that arrive per unit of time.
    pub arrival_rate: f64,
    /// Requests that can be served per unit of time.
    pub service_rate: f64,
    /// Requests that can wait; may be infinite.
    pub limit: f64,
    /// Length of the step.
    pub duration: f64,
}

impl FluidStep {
    /// Growth of the queue per unit of time, where it is neither empty nor full.
    #[inline]
    fn slope(&self) -> f64 {
        self.arrival_rate - self.service_rate
    }

    /// Where the line would end if it went on below 0 and above the limit.
    #[inline]
    fn free_end(&self) -> f64 {
        self.start + self.slope() * self.duration
    }

    /// Requests that wait at the end.
    #[inline]
    pub fn end(&self) -> f64 {
        self.free_end().min(self.limit).max(0.0)
    }

    /// Requests that found the queue full.
    #[inline]
    pub fn overflow(&self) -> f64 {
        (self.free_end() - self.limit).max(0.0)
    }

    /// Requests served: those that waited or arrived and neither overflowed nor wait at the end.
    #[inline]
    pub fn served(&self) -> f64 {
        (self.start + self.arrival_rate * self.duration - self.overflow() - self.end()).max(0.0)
    }

    /// Time during which those who arrive find more than `level` requests waiting, or no room. `level` is at most the limit; a queue
    /// that stays at `level` below it is not above.
    #[inline]
    pub fn time_above(&self, level: f64) -> f64 {
        let slope = self.slope();
        // Where the free line is above the limit, arrivals are turned away.
        if self.start > level {
            if slope < 0.0 { ((self.start - level) / -slope).min(self.duration) } else { self.duration }
        } else if slope > 0.0 {
            (self.duration - (level - self.start) / slope).max(0.0)
        } else {
            0.0
        }
    }

    /// Mean number of waiting requests over the step; that at its beginning if it has no length.
    #[inline]
    pub fn mean(&self) -> f64 {
        let (end, slope) = (self.end(), self.slope());
        if self.duration <= 0.0 {
            return self.start;
        }
        // From some moment on the line may lie flat at 0 or at the limit.
        let moving = if slope == 0.0 { self.duration } else { ((end - self.start) / slope).clamp(0.0, self.duration) };
        (f64::midpoint(self.start, end) * moving + end * (self.duration - moving)) / self.duration
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
    }

    fn step() -> impl Strategy<Value = FluidStep> {
        let rate = || prop_oneof![Just(0.0), 0.0..300.0_f64, (0_u8..9).prop_map(f64::from)];
        let limit = prop_oneof![1 => Just(0.0), 4 => 0.0..3000.0_f64, 1 => Just(f64::INFINITY)];
        (0.0..=1.0_f64, rate(), rate(), limit, 0.1..60.0_f64).prop_map(
            |(share, arrival_rate, service_rate, limit, duration)| {
                let start = share * limit.min(3000.0);
                FluidStep { start, arrival_rate, service_rate, limit, duration }
            },
        )
    }

    proptest! {
        #[test]
        fn what_arrived_was_served_overflowed_or_waits(step in step()) {
            let (end, overflow, served) = (step.end(), step.overflow(), step.served());
            let arrived = step.arrival_rate * step.duration;
            prop_assert!(close(step.start + arrived, served + overflow + end));
            prop_assert!(served <= step.service_rate * step.duration * (1.0 + 1e-9) + 1e-9);
            prop_assert!(end >= 0.0 && end <= step.limit && overflow <= arrived * (1.0 + 1e-9) + 1e-9);
            prop_assert!(step.mean() <= step.start.max(end) + 1e-9 && step.mean() >= -1e-9);
        }

        #[test]
        fn two_halves_are_the_whole(step in step(), level in 0.0..3000.0_f64) {
            let first = FluidStep { duration: step.duration / 2.0, ..step };
            let second = FluidStep { start: first.end(), ..first };
            let level = level.min(step.limit);
            prop_assert!(close(step.end(), second.end()));
            prop_assert!(close(step.overflow(), first.overflow() + second.overflow()));
            prop_assert!(close(step.served(), first.served() + second.served()));
            prop_assert!(close(step.mean(), f64::midpoint(first.mean(), second.mean())));
            // Where the middle lies on the level, it may count for one half or for none.
            if (first.end() - level).abs() > 1e-6 {
                prop_assert!(close(step.time_above(level), first.time_above(level) + second.time_above(level)));
            }
        }

        #[test]
        fn more_service_never_leaves_more_waiting_or_turns_more_away(step in step(), more in 0.0..100.0_f64, level in 0.0..3000.0_f64) {
            let faster = FluidStep { service_rate: step.service_rate + more, ..step };
            prop_assert!(faster.end() <= step.end() + 1e-9 && faster.overflow() <= step.overflow() + 1e-9);
            prop_assert!(faster.served() >= step.served() - 1e-9 && faster.mean() <= step.mean() + 1e-6);
            prop_assert!(faster.time_above(level) <= step.time_above(level) + 1e-9);
        }
    }
}
