"""Score-CAM from few of its passes against the exact maps: errors, intervals, and what other cheap maps are.

    python -m benchmarks.score_cam_few DIRECTORY efficientnet_lite0.pypi PICTURES [--plot docs/images/score_cam_few.png]

DIRECTORY is what `benchmarks.score_cam_exact` left of PICTURES under these weights: a curve costs no pass, since what a
design would ask is known. "strongest" are the channels of the largest maximum alone, "faster" the variant of that name;
Group-CAM and Recipro-CAM are made anew, of the first pictures. Correlations are Spearman's over positions, errors the
largest of a map in [0, 1]. An interval holds a position if the exact map is in it to 1e-5.
"""

import argparse
import itertools
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from matplotlib.figure import Figure
from scipy.stats import spearmanr

import castream_jax as ca
from benchmarks.photo_accuracy import read_batches
from benchmarks.score_cam_exact import load, read_exact
from castream_jax.attribution.channel_design import choose_channels, measure_masks
from castream_jax.attribution.few_passes import choose_rest, estimate_image
from castream_jax.attribution.score_cam import STRONGEST
from castream_jax.models.classifier import Classifier

PASSES = (32, 80, 160, 256)
ERRORS = (0.2, 0.1, 0.05, 0.03)
HELD = 80
"""Pictures that `map_interval.WIDER` was seen on: whether intervals hold is told of those after them."""
ROUNDS = (32, 64, 128, 256)
"""Of `score_cam_error`."""


def scale(sums: np.ndarray) -> np.ndarray:
    """Return maps [n hw] in [0, 1] from [n hw]."""
    maps = np.maximum(sums, 0)
    extent = np.ptp(maps, axis=1, keepdims=True)
    return (maps - maps.min(1, keepdims=True)) / np.where(extent > 0, extent, 1)


def add_up(exact: dict[str, np.ndarray], weights: np.ndarray) -> np.ndarray:
    """Return maps [n hw] of weights [n C], in float64."""
    sums = np.einsum("nhwc,nc->nhw", exact["feature_map"].astype(np.float64), weights.astype(np.float64))
    return scale(sums.reshape(len(sums), -1))


def compare(true: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rank correlation of each two maps, and the largest difference."""
    ranks = np.array([spearmanr(*pair)[0] for pair in zip(true, found)])
    return ranks, np.abs(true - found).max(1)


def create_estimate(size: tuple[int, int], halves: bool = True) -> Callable[..., list[np.ndarray]]:
    """Return the function from what is exact and a count to weights, intervals' ends and stated errors."""

    def one(arrays: tuple[jax.Array, ...], count: int) -> tuple[jax.Array, ...]:
        feature_map, weights, black = arrays
        space = measure_masks(feature_map, size)
        chosen, asked = choose_channels(space, count - count // 2 if halves else count)
        if halves:
            chosen, asked = choose_rest(space, chosen, asked, weights[chosen][:, None], count)
        found = estimate_image(feature_map, space, chosen, asked, weights[chosen][:, None], black[None])
        return tuple(values[..., 0] for values in found)

    run = jax.jit(lambda arrays, count: lax.map(lambda some: one(some, count), arrays), static_argnums=1)
    return lambda exact, count: [
        np.asarray(values)
        for values in run(tuple(jnp.asarray(exact[name]) for name in ("feature_map", "weights", "black")), count)
    ]


def measure_curve(exact: dict[str, np.ndarray], true: np.ndarray, size: tuple[int, int]) -> dict[int, tuple]:
    """Print and return, for each number of passes, correlations and largest errors, and the stated errors."""
    estimate, found = create_estimate(size), {}
    last = slice(HELD, None)
    live = exact["feature_map"].max((1, 2)) > exact["feature_map"].min((1, 2))
    print("| passes | rank correlation, mean | worst | largest error, mean | worst | stated, mean |", end=" ")
    print("positions held | maps held | positions held, later pictures | maps held | strongest alone: rank | error |")
    print("|" + "---:|" * 12)
    for count in PASSES:
        weights, low, high, stated = estimate(exact, count)
        ranks, errors = compare(true, add_up(exact, weights))
        inside = (true >= low.reshape(true.shape) - 1e-5) & (true <= high.reshape(true.shape) + 1e-5)
        order = np.argsort(-np.abs(exact["feature_map"]).max((1, 2)), axis=1)
        strongest = np.where(live, 0, exact["weights"])
        np.put_along_axis(strongest, order[:, :count], np.take_along_axis(exact["weights"], order[:, :count], 1), 1)
        other, apart = compare(true, add_up(exact, strongest))
        cells = (ranks.mean(), ranks.min(), errors.mean(), errors.max(), stated.mean(), inside.mean())
        held = inside[last].mean(), (errors <= stated)[last].mean()
        told = [f"{value:.4f}" for value in (*cells, (errors <= stated).mean(), *held)]
        print(f"| {count} | {' | '.join(told)} | {other.mean():.4f} | {apart.mean():.4f} |", flush=True)
        found[count] = ranks, errors, stated, other, apart
    return found


def measure_rounds(exact: dict[str, np.ndarray], true: np.ndarray, live: np.ndarray, size: tuple[int, int]) -> None:
    """Print what `score_cam_error` takes, from the stated errors of its rounds."""
    estimate, found = create_estimate(size, halves=False), {}
    for count in ROUNDS:
        weights, _, _, stated = estimate(exact, count)
        found[count] = compare(true, add_up(exact, weights))[1], stated
    print("\n| score_cam_error | passes, mean | most | largest error, mean | worst | asked for all |")
    print("|" + "---:|" * 6)
    for error in ERRORS:
        passes, largest = live.astype(float), np.zeros(len(live))
        open_ = np.ones(len(live), bool)
        for count in ROUNDS:
            errors, stated = found[count]
            ends = open_ & ((stated <= error) | (live <= count))
            passes[ends], largest[ends] = np.minimum(live, count)[ends], errors[ends]
            open_ &= ~ends
        told = f"{passes.mean():.0f} | {passes.max():.0f} | {largest.mean():.4f} | {largest.max():.4f}"
        print(f"| {error} | {told} | {open_.sum()} of {len(live)} |")


def measure_others(
    exact: dict[str, np.ndarray], true: np.ndarray, model: Classifier, batches: list, count: int
) -> dict:
    """Print and return correlations and errors of other maps of the first `count` pictures, by name and passes."""
    varied = np.argsort(-exact["feature_map"].std((1, 2)), axis=1)[:, :STRONGEST]
    few = np.zeros_like(exact["weights"])
    np.put_along_axis(few, varied, np.take_along_axis(exact["weights"], varied, 1), 1)
    points = {("faster", STRONGEST): compare(true, add_up(exact, few))}
    for method, passes in (("group_cam", 33), ("recipro_cam", 1)):
        maps = np.concatenate([np.asarray(ca.attribute(model, *batch, method)) for batch in batches])[:count]
        points[method, passes] = compare(true[:count], maps.reshape(len(maps), -1).astype(np.float64))
    print("\n| map | passes | rank correlation, mean | largest error, mean | pictures |\n|---|" + "---:|" * 4)
    for (method, passes), (ranks, errors) in points.items():
        print(f"| {method} | {passes} | {ranks.mean():.3f} | {errors.mean():.3f} | {len(ranks)} |")
    return points


def draw(path: Path, found: dict[int, tuple], points: dict, live: float) -> None:
    """Draw errors and correlations against passes."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    passes = list(found)
    titles = ("1 - rank correlation with the exact map", "largest error of a map in [0, 1]")
    for axes, title, place in zip(figure.subplots(1, 2), titles, (0, 1)):

        def show(values: np.ndarray, place: int = place) -> float:
            return float((1 - values).mean() if place == 0 else values.mean())

        axes.loglog(passes, [show(found[n][place]) for n in passes], "o-", color="#0a5fa8", label="score_cam_passes")
        axes.loglog(
            passes,
            [show(found[n][3 + place]) for n in passes],
            "s--",
            color="#999999",
            label="strongest channels alone",
        )
        if place:
            stated = [found[n][2].mean() for n in passes]
            axes.loglog(passes, stated, ":", color="#0a5fa8", label="stated: 95 % of maps are below")
        for ((method, number), values), marker in zip(points.items(), "^Dv"):
            axes.loglog([number], [show(values[place])], marker, color="#b8560b", label=method)
        axes.axvline(live, color="#dddddd", label="exact: live channels, mean")
        axes.set(title=title, xlabel="forward passes for an image")
        axes.grid(color="#dddddd", linewidth=0.5)
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Print the tables, and draw them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("weights")
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--others", type=int, default=40, help="pictures of Group-CAM and Recipro-CAM")
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    exact = read_exact(arguments.directory)
    true = add_up(exact, exact["weights"])
    live = (exact["feature_map"].max((1, 2)) > exact["feature_map"].min((1, 2))).sum(1)
    model = load(arguments.weights)
    batches = read_batches(arguments.pictures, model)
    first = next(batches)
    print(f"{len(true)} pictures; {live.mean():.0f} of {exact['weights'].shape[1]} channels are live, mean.\n")
    size = first[0].shape[1], first[0].shape[2]
    found = measure_curve(exact, true, size)
    measure_rounds(exact, true, live, size)
    count = min(arguments.others, len(true))
    more = [first, *itertools.islice(batches, -(-count // len(first[0])) - 1)]
    points = measure_others(exact, true, model, more, count)
    if arguments.plot:
        draw(arguments.plot, found, points, float(live.mean()))


if __name__ == "__main__":
    main()
