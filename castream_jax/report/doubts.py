"""What makes the numbers of an evaluation mean little, in sentences, each by a rule that it states."""

import numpy as np
import pyarrow as pa

from castream_jax.attribution.null_maps import RANDOM
from castream_jax.evaluation.row_images import count_pictures_of
from castream_jax.evaluation.rows import count_images, group_rows, measured, percentages, without_curves
from castream_jax.metrics.metric import Metric
from castream_jax.report.statistics import FEWEST
from castream_jax.wording import is_null, name_attribution

SMALL = 0.2
"""A difference in units of its spread over images that Cohen (1988) calls small."""


def doubt(rows: pa.Table) -> list[str]:
    """Return what makes the table of these rows mean little; nothing if nothing does.

    - There are fewer images than `FEWEST`: intervals are then too narrow, and nothing is marked.
    - A metric hardly tells the explanations from noise: no attribution differs from the random map by `SMALL` of the
      spread of that difference over images, in the direction of better.
    """
    images = count_pictures_of(rows, count_images(rows))
    few = f"{images:,} images are few: of fewer than {FEWEST}, intervals are too narrow to say what they exclude, and "
    said = [f"{few}nothing is marked."] if images < FEWEST else []
    groups = group_rows(without_curves(rows))
    for metric in measured(rows) if images >= FEWEST else ():
        gains = {pair: gain for pair in groups if (gain := effect(groups, pair, metric)) is not None}
        if gains and max(gains.values()) < SMALL:
            best = name_attribution(max(gains, key=lambda pair: gains[pair])[0])
            said.append(
                f"{metric.symbol} hardly tells these maps from {RANDOM.name.lower()} ones: the best, {best}, differs "
                f"by {max(gains.values()):+.2f} of the spread over images, and {SMALL:g} is called a small effect."
            )
    return said


def effect(groups: dict[tuple[str, str], pa.Table], pair: tuple[str, str], metric: Metric) -> float | None:
    """Return how much better a map is than the random one, in units of that difference's spread over images.

    None for null maps, and where there is nothing to compare or no spread.
    """
    noise = groups.get((RANDOM.key, pair[1]))
    if is_null(pair[0]) or noise is None:
        return None
    gain = percentages(groups[pair], metric) - percentages(noise, metric)
    gain = (-gain if metric.lower_is_better else gain)[np.isfinite(gain)]
    return float(gain.mean() / gain.std(ddof=1)) if len(gain) > 1 and gain.std() else None
