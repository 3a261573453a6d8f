//! Boosted trees by quantile, read from a file: [`Trees`].

use super::Growths;
use super::inputs::{INPUTS, Inputs};
use crate::forecast::quantile::QUANTILES;

/// First bytes of the file, the last of them its version.
const MAGIC: [u8; 4] = *b"SGM\x01";
/// Comparisons from the root of a tree to a leaf.
const DEPTH: usize = 4;
const LEAVES: usize = 1 << DEPTH;
const NODES: usize = LEAVES - 1;

/// A full binary tree. The children of node `i` are `2 i + 1` and `2 i + 2`; the leaves follow the nodes.
#[derive(Debug)]
struct Tree {
    /// Which input each node compares.
    inputs: [u8; NODES],
    /// It goes left where the input is not above.
    thresholds: [f32; NODES],
    leaves: [f32; LEAVES],
}

impl Tree {
    #[inline]
    fn value(&self, inputs: &Inputs) -> f32 {
        let mut place = 0;
        for _ in 0..DEPTH {
            let input = self.inputs.get(place).and_then(|input| inputs.get(usize::from(*input)));
            let right = match (input, self.thresholds.get(place)) {
                (Some(input), Some(threshold)) => input > threshold,
                _ => false,
            };
            place = 2 * place + 1 + usize::from(right);
        }
        self.leaves.get(place - NODES).copied().unwrap_or_default()
    }
}

/// Trees by quantile: a growth is the sum over those of its quantile.
#[derive(Debug)]
pub(super) struct Trees {
    by_quantile: [Vec<Tree>; QUANTILES.len()],
}

impl Trees {
    /// Reads, all little-endian: magic and version; numbers of inputs, of quantiles, of trees by quantile and of levels, a byte each;
    /// the quantiles in single precision; and of each tree by quantile its nodes (input as a byte, threshold in single precision),
    /// then its leaves in single precision.
    ///
    /// `None` unless it is just that, for the inputs and quantiles of this crate, with numbers that are finite.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (head, mut rest) = bytes.strip_prefix(&MAGIC)?.split_first_chunk()?;
        let [inputs, quantiles, trees, depth] = head.map(usize::from);
        if (inputs, quantiles, depth) != (INPUTS, QUANTILES.len(), DEPTH) {
            return None;
        }
        for quantile in QUANTILES {
            let stored = f64::from(single(&mut rest)?);
            if (stored - quantile).abs() > 1e-6 {
                return None;
            }
        }
        let mut by_quantile = [const { Vec::new() }; QUANTILES.len()];
        for own in &mut by_quantile {
            for _ in 0..trees {
                own.push(tree(&mut rest)?);
            }
        }
        rest.is_empty().then_some(Self { by_quantile })
    }

    /// Growth by quantile.
    pub(super) fn growths(&self, inputs: &Inputs) -> Growths {
        let mut growths = [0.0; QUANTILES.len()];
        for (growth, trees) in growths.iter_mut().zip(&self.by_quantile) {
            *growth = trees.iter().map(|tree| f64::from(tree.value(inputs))).sum();
        }
        growths
    }
}

fn tree(rest: &mut &[u8]) -> Option<Tree> {
    let mut tree = Tree { inputs: [0; NODES], thresholds: [0.0; NODES], leaves: [0.0; LEAVES] };
    for (input, threshold) in tree.inputs.iter_mut().zip(&mut tree.thresholds) {
        *input = *rest.split_off_first()?;
        if usize::from(*input) >= INPUTS {
            return None;
        }
        *threshold = single(rest)?;
    }
    for leaf in &mut tree.leaves {
        *leaf = single(rest)?;
    }
    Some(tree)
}

/// The next number of single precision, if it is finite.
fn single(rest: &mut &[u8]) -> Option<f32> {
    let (bytes, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(f32::from_le_bytes(*bytes)).filter(|number| number.is_finite())
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, clippy::float_cmp)] // single precision is what is tested, and exact
mod tests {
    use super::*;

    /// A file with one tree by quantile, whose root alone decides: by input 3 at 0.5, −1 to the left and 2 to the right.
    fn file() -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([INPUTS, QUANTILES.len(), 1, DEPTH].map(|number| u8::try_from(number).unwrap()));
        bytes.extend(QUANTILES.iter().flat_map(|quantile| (*quantile as f32).to_le_bytes()));
        for _ in QUANTILES {
            for node in 0..NODES {
                bytes.push(if node == 0 { 3 } else { 0 });
                bytes.extend(if node == 0 { 0.5_f32 } else { 0.0 }.to_le_bytes());
            }
            bytes.extend((0..LEAVES).flat_map(|leaf| if leaf < LEAVES / 2 { -1.0_f32 } else { 2.0 }.to_le_bytes()));
        }
        bytes
    }

    #[test]
    fn an_input_up_to_the_threshold_goes_left() {
        let trees = Trees::read(&file()).unwrap();
        for (input, growth) in [(-7.0, -1.0), (0.5, -1.0), (0.500_001, 2.0), (f32::INFINITY, 2.0)] {
            let mut inputs = [0.0; INPUTS];
            inputs[3] = input;
            assert_eq!(trees.growths(&inputs), [growth; QUANTILES.len()], "{input}");
        }
    }

    #[test]
    fn what_is_no_model_of_this_crate_is_refused() {
        let good = file();
        for length in 0..good.len() {
            assert!(Trees::read(&good[..length]).is_none(), "the first {length} bytes");
        }
        assert!(Trees::read(&[good.as_slice(), &[0]].concat()).is_none(), "a byte too many");
        let first_node = MAGIC.len() + 4 + 4 * QUANTILES.len();
        let not_finite = f32::NAN.to_le_bytes()[3];
        let wrong = [
            (0, b'X', "magic"),
            (3, 2, "version"),
            (4, 39, "inputs"),
            (5, 7, "quantiles"),
            (6, 2, "more trees than there are"),
            (6, 0, "fewer"),
            (7, 3, "levels"),
            (11, 0x40, "a quantile"),
            (first_node, u8::try_from(INPUTS).unwrap(), "an input that there is not"),
        ];
        for (place, byte, what) in wrong {
            let mut bytes = good.clone();
            bytes[place] = byte;
            assert!(Trees::read(&bytes).is_none(), "{what}");
        }
        let mut bytes = good;
        bytes[first_node + 3..first_node + 5].copy_from_slice(&[0xc0, not_finite]);
        assert!(Trees::read(&bytes).is_none(), "a threshold that is no number");
    }
}
