"""Synthetic rows and pictures for the tests of the report."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from castream_jax.attribution import METHODS
from castream_jax.drawing.grid import HeatMaps
from castream_jax.evaluation.rows import rows_schema
from castream_jax.metrics import METRICS
from castream_jax.metrics.protocol import PROTOCOLS
from castream_jax.report.content import build_report
from castream_jax.report.selection import Selection, choose_images
from castream_jax.wording import is_null

ROWS = rows_schema(tuple(metric for metric in METRICS.values() if metric.by_default), tuple(METHODS.values()))
PAIRS = tuple((method, pooling) for method in ("grad_cam", "grad_cam_pp", "score_cam") for pooling in ("gap", "ca"))
PAIRS += (("attention", "ca"),)
NULL_PAIRS = tuple((name, pooling) for name in ("random", "gaussian", "constant", "fake") for pooling in ("gap", "ca"))
METRIC_COLUMNS = ("average_drop", "average_gain", "average_increase", "insertion", "deletion")
LOCALISATION_COLUMNS = ("pointing_game", "energy_pointing_game", "iou_best", "iou_fixed")


def create_rows(pairs=PAIRS, images=5, points=4, **columns) -> pa.Table:
    """Return rows of different values everywhere; `columns` replaces some of them in all rows.

    Images have neither masks nor boxes, and nothing was pruned, unless `columns` says so.
    """
    values = np.random.default_rng(0)
    records = []
    for i in range(images):
        for attribution, pooling in pairs:
            curve = values.uniform(size=points).astype(np.float32)
            records.append(
                {
                    "id": f"image {i}",
                    "label": i,
                    "pooling": pooling,
                    "attribution": attribution,
                    "explained_class": i,
                    "predicted_class": i + 1,
                    "probability": values.uniform(),
                    "masked_probability": values.uniform(),
                    "flat": attribution == "grad_cam" and pooling == "ca" and i < 2,
                    "nan": attribution == "score_cam" and pooling == "gap" and i < 1,
                    "all_negative": attribution == "grad_cam" and pooling == "ca" and i < 1,
                    "insertion_curve": curve,
                    "deletion_curve": curve[::-1],
                }
                | {name: values.uniform() for name in METRIC_COLUMNS}
                | columns
            )
    return pa.Table.from_pylist(records, schema=ROWS)


def create_localised_rows(pairs=PAIRS, images=5, masks=None) -> pa.Table:
    """Return rows of images of which the first `masks`, by default all, have a mask."""
    values = np.random.default_rng(1)
    records = create_rows(pairs, images).to_pylist()
    for record in records:
        if record["label"] < (images if masks is None else masks):
            record |= {name: values.uniform() for name in LOCALISATION_COLUMNS}
    return pa.Table.from_pylist(records, schema=ROWS)


def create_report(rows: pa.Table, **changes) -> dict:
    """Return a report of rows."""
    settings = {
        "protocol": PROTOCOLS["castream"],
        "network": "resnet50",
        "dataset": "some <images>",
        "split": "validation",
        "accuracy": {"gap": 74.553, "ca": 74.699},
        "accuracy_num_images": 50_000,
        "untrained_accuracy": {"ca": 0.1},
        "settings": {"image_size": 224, "chunk": 64},
        "passes": {"made": 1_000, "without_sharing": 1_000},
        "seconds": 3725.0,
        "resamples": 200,
    }
    return build_report(rows, **(settings | changes))


def create_heat_maps(images=2, size=(24, 32), pairs=PAIRS, title="a class") -> HeatMaps:
    """Return pictures with maps of different values everywhere."""
    values = np.random.default_rng(0)
    return HeatMaps(
        images=values.integers(0, 256, (images, *size, 3), dtype=np.uint8),
        ids=tuple(f"image {i}" for i in range(images)),
        titles=(title,) * images,
        maps={pair: values.uniform(size=(images, 6, 6)).astype(np.float32) for pair in pairs},
    )


def create_selection(rows, count=3, class_names=None, size=(24, 32)) -> Selection:
    """Return what `select_images` would of rows, with invented pictures."""
    first = rows.to_pylist()
    pairs = dict.fromkeys((row["attribution"], row["pooling"]) for row in first)
    pairs = tuple(pair for pair in pairs if not is_null(pair[0]))
    categories = choose_images(rows, count)
    places = sorted({place for category in categories for place in category.images})
    ids = list(dict.fromkeys(row["id"] for row in first))
    heat_maps = create_heat_maps(len(places), size, pairs)
    heat_maps = replace(heat_maps, ids=tuple(ids[place] for place in places))
    names = class_names or tuple(f"class {i}" for i in range(100))
    return Selection(categories, heat_maps, tuple(places), names)
