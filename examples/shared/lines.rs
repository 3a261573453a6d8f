//! Two texts line by line, for people.

use std::fmt::Write;

/// Largest product of the lines that differ, for which the shortest difference is looked for. Beyond it they are shown as a whole.
const MAX_CELLS: usize = 4_000_000;

/// A line of both texts, or of one.
#[derive(Clone, Copy)]
enum Step<'a> {
    Both,
    Removed(&'a str),
    Added(&'a str),
}

/// The lines that one text has at a place and the other lacks there: `-` of the first, `+` of the second. Each run of them begins with its
/// line in the second text.
pub fn difference(before: &str, after: &str) -> String {
    let (before, after): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let begin = before.iter().zip(&after).take_while(|(one, other)| one == other).count();
    let (before, after) = (before.get(begin..).unwrap_or_default(), after.get(begin..).unwrap_or_default());
    let end = before.iter().rev().zip(after.iter().rev()).take_while(|(one, other)| one == other).count();
    let (before, after) = (before.get(..before.len() - end), after.get(..after.len() - end));
    written(&steps(before.unwrap_or_default(), after.unwrap_or_default()), begin + 1)
}

/// The fewest lines removed and added.
fn steps<'a>(before: &[&'a str], after: &[&'a str]) -> Vec<Step<'a>> {
    let (rows, columns) = (before.len() + 1, after.len() + 1);
    if rows.saturating_mul(columns) > MAX_CELLS {
        let removed = before.iter().map(|line| Step::Removed(line));
        return removed.chain(after.iter().map(|line| Step::Added(line))).collect();
    }
    // Lines in common of what is left from a place on.
    let mut common = vec![0_u32; rows * columns];
    let at = |row: usize, column: usize| row * columns + column;
    let value = |common: &[u32], row, column| common.get(at(row, column)).copied().unwrap_or(0);
    for (row, one) in before.iter().enumerate().rev() {
        for (column, other) in after.iter().enumerate().rev() {
            let here = if one == other {
                value(&common, row + 1, column + 1) + 1
            } else {
                value(&common, row + 1, column).max(value(&common, row, column + 1))
            };
            if let Some(cell) = common.get_mut(at(row, column)) {
                *cell = here;
            }
        }
    }
    let (mut steps, mut row, mut column) = (Vec::new(), 0, 0);
    loop {
        match (before.get(row), after.get(column)) {
            (None, None) => return steps,
            (Some(one), Some(other)) if one == other => {
                steps.push(Step::Both);
                (row, column) = (row + 1, column + 1);
            }
            (Some(one), other)
                if other.is_none() || value(&common, row + 1, column) >= value(&common, row, column + 1) =>
            {
                steps.push(Step::Removed(one));
                row += 1;
            }
            (_, other) => {
                steps.extend(other.map(|line| Step::Added(line)));
                column += 1;
            }
        }
    }
}

fn written(steps: &[Step<'_>], first: usize) -> String {
    let (mut text, mut line) = (String::new(), first);
    for run in steps.chunk_by(|one, next| matches!(one, Step::Both) == matches!(next, Step::Both)) {
        let added = run.iter().filter(|step| !matches!(step, Step::Removed(_))).count();
        if !run.iter().any(|step| matches!(step, Step::Both)) {
            let _ = writeln!(text, "@@ line {line} @@");
            let removed = run.iter().filter_map(|step| if let Step::Removed(line) = step { Some(line) } else { None });
            removed.for_each(|line| text.extend(["-", line, "\n"]));
            let added = run.iter().filter_map(|step| if let Step::Added(line) = step { Some(line) } else { None });
            added.for_each(|line| text.extend(["+", line, "\n"]));
        }
        line += added;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn lines_are_compared_by_their_place() {
        assert_eq!(difference("a\nb\na\nb\n", "a\nb\na\nc\n"), "@@ line 4 @@\n-b\n+c\n");
        assert_eq!(difference("3\nx\ny\n9\n", "9\nx\ny\n3\n"), "@@ line 1 @@\n-3\n+9\n@@ line 4 @@\n-9\n+3\n");
        assert_eq!(difference("", "a\nb\n"), "@@ line 1 @@\n+a\n+b\n");
        assert_eq!(difference("a\na\n", "a\n"), "@@ line 2 @@\n-a\n");
        assert_eq!(difference("a\n", "a\n"), "");
        let (long, other) = ("x\n".repeat(3000), "y\n".repeat(3000));
        assert_eq!(difference(&long, &other).lines().count(), 6001);
    }
}
