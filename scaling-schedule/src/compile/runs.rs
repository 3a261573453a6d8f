//! Floors of a week as runs of one floor, which are far fewer than cells: what is done floor by floor is done on these.

/// Runs of one floor as lengths and floors, around a circle of cells.
#[derive(Debug)]
pub(super) struct Runs {
    /// Cell at which the first run starts.
    start: usize,
    all: Vec<(usize, u32)>,
    /// Runs of the last step, kept for their memory.
    spare: Vec<(usize, u32)>,
}

impl Runs {
    pub(super) fn of(floors: &[u32]) -> Self {
        let mut runs = Vec::new();
        for cells in floors.chunk_by(|a, b| a == b) {
            runs.extend(cells.first().map(|floor| (cells.len(), *floor)));
        }
        Self { start: 0, all: runs, spare: Vec::new() }
    }

    /// The floor of each cell.
    pub(super) fn floors(&self) -> Vec<u32> {
        let mut floors: Vec<u32> = Vec::with_capacity(self.all.iter().map(|(length, _)| length).sum());
        for (length, floor) in &self.all {
            floors.extend(std::iter::repeat_n(*floor, *length));
        }
        let cells = floors.len().max(1);
        floors.rotate_right(self.start % cells);
        floors
    }

    /// Raises dips below a level that are shorter than `shortest` to it.
    pub(super) fn fill_dips(&mut self, level: u32, shortest: usize) {
        self.dips(level, |dip, _, raised| {
            let length: usize = lengths(dip);
            if length < shortest {
                push(raised, (length, level));
            } else {
                for run in dip {
                    push(raised, *run);
                }
            }
        });
    }

    /// Widens peaks at a level or above it that are shorter than `shortest`, where dips between them are no shorter. Early rather than
    /// late: pods that wait harm no request.
    pub(super) fn widen_peaks(&mut self, level: u32, shortest: usize) {
        self.dips(level, |dip, peak, raised| {
            let mut kept = lengths(dip).saturating_sub(shortest.saturating_sub(peak));
            let widened = lengths(dip) - kept;
            for (length, floor) in dip {
                let length = kept.min(*length);
                kept -= length;
                push(raised, (length, *floor));
            }
            push(raised, (widened, level));
        });
    }

    /// Rewrites each dip below a level, given with the length of the peak after it. Without a peak, or without a dip, nothing changes.
    fn dips(&mut self, level: u32, rewritten: impl Fn(&[(usize, u32)], usize, &mut Vec<(usize, u32)>)) {
        let is_peak = |run: &(usize, u32)| run.1 >= level;
        let mut before = self.all.last();
        let first = self.all.iter().position(|run| {
            let begins = is_peak(run) && before.is_some_and(|before| !is_peak(before));
            before = Some(run);
            begins
        });
        let Some(first) = first else { return };
        self.start += lengths(self.all.get(..first).unwrap_or_default());
        self.all.rotate_left(first);
        let peak = |runs: &[(usize, u32)]| runs.iter().position(|run| !is_peak(run)).unwrap_or(runs.len());
        let mut rest = self.all.as_slice();
        self.spare.clear();
        let (mut high, mut after) = rest.split_at(peak(rest));
        let first_peak = lengths(high);
        while !rest.is_empty() {
            for run in high {
                push(&mut self.spare, *run);
            }
            let dip;
            (dip, rest) = after.split_at(after.iter().position(is_peak).unwrap_or(after.len()));
            (high, after) = rest.split_at(peak(rest));
            rewritten(dip, if rest.is_empty() { first_peak } else { lengths(high) }, &mut self.spare);
        }
        std::mem::swap(&mut self.all, &mut self.spare);
    }
}

fn lengths(runs: &[(usize, u32)]) -> usize {
    runs.iter().map(|(length, _)| length).sum()
}

/// Adds a run to those before it; two of one floor are one.
fn push(runs: &mut Vec<(usize, u32)>, (length, floor): (usize, u32)) {
    match runs.last_mut() {
        _ if length == 0 => {}
        Some((before, same)) if *same == floor => *before += length,
        _ => runs.push((length, floor)),
    }
}
