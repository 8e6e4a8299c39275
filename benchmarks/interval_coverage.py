"""How often a 95 % interval of the percentile bootstrap holds the true mean, by the number of images.

    python -m benchmarks.interval_coverage

Of columns whose mean is known: skewed as average drops are, even, and of 0 and 1 as average increases are. From it
comes the number of images below which a report says nothing of what its intervals exclude.
"""

import numpy as np

from castream_jax.report.statistics import bootstrap_intervals

IMAGES = (2, 5, 10, 20, 30, 50, 100, 256)
TRIALS, RESAMPLES = 2000, 1000


def draw(kind: str, images: int, generator: np.random.Generator) -> tuple[np.ndarray, float]:
    """Return columns [images TRIALS] of one kind, and their true mean."""
    size = (images, TRIALS)
    if kind == "skewed":
        return generator.exponential(size=size), 1.0
    if kind == "even":
        return generator.uniform(size=size), 0.5
    return (generator.uniform(size=size) < 0.2).astype(float), 0.2


def main() -> None:
    """Print the share of intervals that hold the mean, a line for each number of images."""
    print("images  " + "".join(f"{kind:>10}" for kind in ("skewed", "even", "0 or 1")))
    for images in IMAGES:
        shares = []
        for kind in ("skewed", "even", "0 or 1"):
            values, mean = draw(kind, images, np.random.default_rng(images))
            found = bootstrap_intervals(values, RESAMPLES)
            shares.append(np.mean([interval is not None and interval[0] <= mean <= interval[1] for interval in found]))
        print(f"{images:6}  " + "".join(f"{share:10.3f}" for share in shares), flush=True)


if __name__ == "__main__":
    main()
