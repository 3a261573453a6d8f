//! What happens, for those who watch: counts and gauges, traces, a page.
