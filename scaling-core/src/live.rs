//! The loop that ticks by the clock until it is told to stop.
