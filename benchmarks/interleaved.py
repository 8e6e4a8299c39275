"""Times of works that take turns: what disturbs a machine then disturbs all of them alike."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import jax

Work = Callable[[], object]


def seconds(work: Work) -> float:
    """Return how long some work takes, to its last result."""
    began = time.perf_counter()
    jax.block_until_ready(work())
    return time.perf_counter() - began


def interleave(works: Mapping[str, Work], rounds: int, compiled: bool = False) -> dict[str, list[float]]:
    """Return the seconds of each work in each round; unless all are compiled, after one that does not count.

    Every other round runs backwards, so that no work always follows the same one.
    """
    times: dict[str, list[float]] = {name: [] for name in works}
    for work in () if compiled else works.values():
        seconds(work)
    for round_ in range(rounds):
        for name in reversed(works) if round_ % 2 else works:
            gc.collect()
            times[name].append(seconds(works[name]))
    return times


def ratios(above: Sequence[float], below: Sequence[float]) -> tuple[float, float, float]:
    """Return the lower quartile, the median and the upper quartile of the rounds' ratios."""
    low, middle, high = statistics.quantiles(
        [a / b for a, b in zip(above, below, strict=True)], n=4, method="inclusive"
    )
    return low, middle, high
