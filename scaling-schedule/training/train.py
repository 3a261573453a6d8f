#!/usr/bin/env python3
"""Trains the general model of scaling-schedule from moments of public traces. See README.md beside this file.

    train.py MOMENTS                       writes ../src/forecast/general.model and general.check.csv
    train.py MOMENTS --leave-out SOURCE    trains without a source, writes nothing unless --output is given, and prints the loss there
"""

import argparse
import struct
from pathlib import Path

import lightgbm
import numpy

# As in src/forecast/quantile.rs and src/forecast/general/: the test of the crate fails where they differ.
QUANTILES = [0.8, 0.87, 0.92, 0.95, 0.97, 0.983, 0.992, 0.997]
INPUTS = 40
MAGIC = b"SGM\x01"
TREES = 40
DEPTH = 4
# Rows of each trace, so that a long trace counts no more than a short one.
ROWS = 14_000
CHECKED = 12

PARAMETERS = {
    "objective": "quantile",
    "num_leaves": 2**DEPTH,
    "max_depth": DEPTH,
    "learning_rate": 0.15,
    "min_data_in_leaf": 500,
    "feature_fraction": 0.6,
    "bagging_fraction": 0.5,
    "bagging_freq": 1,
    "lambda_l2": 1.0,
    "max_bin": 63,
    "num_threads": 1,
    "deterministic": True,
    "seed": 1,
    "verbose": -1,
}


def source(trace):
    """The source of a trace: its name up to the first dash."""
    return trace.split("-")[0]


def read(folder):
    """Rows of inputs, growth and weight, by trace; the same rows whichever source is left out."""
    rng = numpy.random.default_rng(1)
    moments = {}
    for path in sorted(folder.glob("*.bin")):
        rows = numpy.fromfile(path, dtype="<f4").reshape(-1, INPUTS + 2)
        moments[path.stem] = rows[rng.choice(len(rows), min(len(rows), ROWS), replace=False)]
    if not moments:
        raise SystemExit(f"no moments (*.bin) in {folder}")
    return moments


def columns(moments):
    """Inputs, growths and weights of some traces. A source with more traces counts for more, by the root of their number."""
    traces_of = {}
    for trace in moments:
        traces_of.setdefault(source(trace), []).append(trace)
    weights = []
    for trace, rows in moments.items():
        own = rows[:, -1].astype(float)
        weights.append(own / own.sum() / numpy.sqrt(len(traces_of[source(trace)])))
    rows = numpy.concatenate(list(moments.values()))
    weights = numpy.concatenate(weights)
    return rows[:, :INPUTS], rows[:, INPUTS], weights * len(weights) / weights.sum()


def train(inputs, growths, weights):
    """A booster for each quantile."""
    data = lightgbm.Dataset(inputs, growths, weight=weights, params={"max_bin": PARAMETERS["max_bin"], "verbose": -1})
    return [lightgbm.train({**PARAMETERS, "alpha": alpha}, data, num_boost_round=TREES) for alpha in QUANTILES]


def single(threshold):
    """The largest number of single precision that is not above a threshold: for inputs in single precision `<=` stays the same."""
    rounded = numpy.float32(threshold)
    return rounded if float(rounded) <= threshold else numpy.nextafter(rounded, numpy.float32(-numpy.inf))


def written(tree):
    """A tree as bytes, filled up to a full binary one: nodes as (input, threshold), left where input <= threshold, then leaves."""
    nodes, leaves = 2**DEPTH - 1, 2**DEPTH
    inputs, thresholds, values = [0] * nodes, [0.0] * nodes, [0.0] * leaves

    def walk(node, place, depth):
        if depth == DEPTH:
            values[place - nodes] = node["leaf_value"]
        elif "split_feature" in node:
            assert node["decision_type"] == "<="
            inputs[place], thresholds[place] = node["split_feature"], single(node["threshold"])
            walk(node["left_child"], 2 * place + 1, depth + 1)
            walk(node["right_child"], 2 * place + 2, depth + 1)
        else:
            walk(node, 2 * place + 1, depth + 1)
            walk(node, 2 * place + 2, depth + 1)

    walk(tree["tree_structure"], 0, 0)
    pairs = b"".join(struct.pack("<Bf", *pair) for pair in zip(inputs, thresholds))
    return pairs + struct.pack(f"<{leaves}f", *values)


def model(boosters):
    """The file that the crate reads: magic with version, numbers of inputs, quantiles, trees and levels, the quantiles, the trees."""
    parts = [MAGIC, struct.pack("<BBBB", INPUTS, len(QUANTILES), TREES, DEPTH), struct.pack(f"<{len(QUANTILES)}f", *QUANTILES)]
    for booster in boosters:
        trees = booster.dump_model()["tree_info"]
        # A booster that stops early goes on with trees that add nothing.
        none = {"tree_structure": {"leaf_value": 0.0}}
        parts.extend(written(tree) for tree in (trees + [none] * TREES)[:TREES])
    return b"".join(parts)


def check(boosters, inputs):
    """Some inputs with what LightGBM itself predicts of them. Each input is drawn on its own, so a row is no moment of any trace."""
    rng = numpy.random.default_rng(2)
    rows = numpy.stack([rng.choice(inputs[:, place], CHECKED) for place in range(INPUTS)], axis=1)
    growths = numpy.stack([booster.predict(rows) for booster in boosters], axis=1)
    lines = [",".join([*(f"{x:.9g}" for x in row), *(f"{g:.9g}" for g in growth)]) for row, growth in zip(rows, growths)]
    return "\n".join(lines) + "\n"


def pinball(alpha, growths, forecast, weights):
    """Mean pinball loss, in thousandths."""
    missed = growths - forecast
    return 1000 * numpy.average(numpy.maximum(alpha * missed, (alpha - 1) * missed), weights=weights)


def constant(alpha, growths, weights):
    """The weighted quantile of the growths: what a model forecasts that knows nothing of a moment."""
    order = numpy.argsort(growths)
    return growths[order][numpy.searchsorted(numpy.cumsum(weights[order]), alpha * weights.sum())]


def main():
    home = Path(__file__).resolve().parent.parent / "src" / "forecast"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("moments", type=Path, help="folder that writes_training_moments wrote")
    parser.add_argument("--leave-out", metavar="SOURCE", help="source that the model must not see: the beginning of its traces' names")
    parser.add_argument("--output", type=Path, help="folder for general.model and general.check.csv")
    arguments = parser.parse_args()

    moments = read(arguments.moments)
    left_out = {trace: rows for trace, rows in moments.items() if source(trace) == arguments.leave_out}
    if arguments.leave_out and not left_out:
        raise SystemExit(f"no trace of {arguments.leave_out}: there are {', '.join(sorted(set(map(source, moments))))}")
    inputs, growths, weights = columns({trace: rows for trace, rows in moments.items() if trace not in left_out})
    boosters = train(inputs, growths, weights)

    seen = "" if left_out else " (all of them seen in training)"
    print(f"{'source':<12} {'rows':>7}  pinball loss in thousandths, mean over quantiles{seen}: model, constants")
    for name in sorted(set(map(source, left_out or moments))):
        rows = columns({trace: rows for trace, rows in moments.items() if source(trace) == name})
        losses = [
            (pinball(alpha, rows[1], booster.predict(rows[0]), rows[2]), pinball(alpha, rows[1], constant(alpha, growths, weights), rows[2]))
            for alpha, booster in zip(QUANTILES, boosters)
        ]
        ours, constants = numpy.mean(losses, axis=0)
        print(f"{name:<12} {len(rows[1]):>7}  {ours:.3f} {constants:.3f}")

    output = arguments.output or (None if left_out else home)
    if output:
        (output / "general.model").write_bytes(model(boosters))
        (output / "general.check.csv").write_text(check(boosters, inputs))


if __name__ == "__main__":
    main()
