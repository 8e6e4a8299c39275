"""What is said of numbers that mean little: of few images, and of metrics that noise does as well by."""

import numpy as np
import pyarrow as pa
import pytest

from castream_jax.report.doubts import SMALL, doubt
from castream_jax.report.statistics import FEWEST
from tests.evaluation.synthetic import METRIC_COLUMNS, PAIRS, ROWS, create_report, create_rows

BOTH = (*PAIRS[:2], ("random", "gap"), ("random", "ca"))


def rows_of(gains: dict[str, float], images=200) -> pa.Table:
    """Return rows of which Grad-CAM under CA is better than noise by so much of that difference's spread."""
    noise = np.random.default_rng(0).standard_normal(images)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    rows = create_rows(BOTH, images).to_pylist()
    for row in rows:
        is_better = (row["attribution"], row["pooling"]) == ("grad_cam", "ca")
        for column in METRIC_COLUMNS:
            sign = -1 if column in ("average_drop", "deletion") else 1
            gain = gains.get(column, 1.0)
            row[column] = 0.5 + sign * 0.01 * (gain + noise[row["label"]]) * is_better
    return pa.Table.from_pylist(rows, schema=ROWS)


def test_nothing_is_said_of_what_tells_maps_from_noise():
    assert doubt(rows_of({})) == []


@pytest.mark.parametrize(("column", "symbol"), [("insertion", "I"), ("deletion", "D")])
def test_a_metric_that_noise_does_as_well_by(column, symbol):
    (said,) = doubt(rows_of({column: SMALL - 0.01}))
    assert said.startswith(
        f"{symbol} hardly tells these maps from random ones: the best, Grad-CAM, differs by +0.19 of"
    )
    assert doubt(rows_of({column: SMALL + 0.01})) == []
    assert "differs by -5.00" in doubt(rows_of({column: -5.0}))[0]


def test_few_images_are_said_to_be_few():
    (said,) = doubt(create_rows(images=FEWEST - 1))
    assert said.startswith("19 images are few: of fewer than 20, intervals are too narrow")
    assert not any("few" in text for text in doubt(create_rows(images=FEWEST)))
    assert create_report(create_rows(images=2))["warnings"][0].startswith("2 images are few")


def test_without_noise_nothing_is_compared():
    assert doubt(create_rows(images=FEWEST)) == []
