"""What a report shows of each selected image: the image, what was answered, and a card with the numbers of each map."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from PIL import Image

from castream_jax.drawing.overlay import colour_scale, overlay
from castream_jax.drawing.page import to_jpeg
from castream_jax.evaluation.row_images import find_right
from castream_jax.evaluation.rows import group_rows, measured, without_curves
from castream_jax.metrics.metric import Metric
from castream_jax.report.selection import Selection
from castream_jax.report.tables import ABSENT
from castream_jax.wording import ODD, is_null, name_attribution, name_class, name_pooling, order_pairs

LARGEST, LARGEST_MAP = 320, 160
"""Pixels of the longer side of an image, and of a map over it: a page with 40 images stays at a few MB."""
QUALITY = 80
"""Of JPEG."""


@dataclass(frozen=True)
class Card:
    """One map over its image."""

    attribution: str
    pooling: str
    picture: str
    """A data URI."""
    numbers: list[tuple[Metric, str]]
    odd: list[str]
    """What is wrong with the map, in words."""

    @property
    def spoken(self) -> str:
        """What the picture is, for those who do not see it."""
        return f"{self.attribution} for {self.pooling}, as heat over the image"


@dataclass(frozen=True)
class Answer:
    """What one pooling says that the image is."""

    pooling: str
    name: str
    is_right: bool
    explained: str
    """The name of the class that is explained."""
    probability: str
    """Of the class that is explained."""


@dataclass(frozen=True)
class Case:
    """One image."""

    id: str
    label: str
    picture: str
    """A data URI."""
    width: int
    height: int
    answers: list[Answer]
    groups: dict[str, list[Card]]
    """By attribution."""
    reasons: list[tuple[str, str]] = field(default_factory=list)
    """Titles of the categories that it is in, and why."""
    samples: list[str] = field(default_factory=list)
    """Titles of the categories that it is printed for."""


def build_cases(selection: Selection, rows: pa.Table) -> list[Case]:
    """Return every image of a selection, in their order.

    Args:
      selection: what to show.
      rows: per-image rows of all images.
    """
    metrics = shown_metrics(rows)
    records = explained_records(selection, rows)
    cases = [build_case(selection, number, found, metrics) for number, found in enumerate(records)]
    number = {place: i for i, place in enumerate(selection.places)}
    for category in selection.categories:
        shown = [(place, reason) for place, reason in category.images.items() if place in number]
        for place, reason in shown:
            cases[number[place]].reasons.append((category.title, reason))
        for place, _ in shown[:1]:
            cases[number[place]].samples.append(category.title)
    return cases


def shown_metrics(rows: pa.Table) -> list[Metric]:
    """Return the metrics whose numbers stand below each map: the usual ones, or, where there is none, all."""
    found = measured(rows)
    return [metric for metric in found if metric.by_default] or list(found)


def explained_records(selection: Selection, rows: pa.Table) -> list[dict[tuple[str, str], dict[str, Any]]]:
    """Return the rows of each image of a selection, by (attribution, pooling), but those of null maps."""
    groups = group_rows(without_curves(rows))
    places = pa.array(selection.places, pa.int64())
    right = {pair: pa.array(find_right(group)) for pair, group in groups.items()}
    found = {
        pair: group.append_column("right", right[pair]).take(places).to_pylist()
        for pair, group in groups.items()
        if not is_null(pair[0])
    }
    return [{pair: records[i] for pair, records in found.items()} for i in range(len(places))]


def build_case(
    selection: Selection, number: int, found: Mapping[tuple[str, str], dict[str, Any]], metrics: Sequence[Metric]
) -> Case:
    """Return one image with the cards of its maps."""
    heat_maps, names = selection.heat_maps, selection.class_names
    image = heat_maps.images[number] / np.float32(255)  # [H W 3]
    groups = {
        name_attribution(attribution): [
            Card(
                name_attribution(attribution),
                name_pooling(pooling),
                shrink(overlay(image, heat_maps.maps[attribution, pooling][number]), LARGEST_MAP),
                [(metric, to_percent(found[attribution, pooling][metric.column])) for metric in metrics],
                [what for name, what in ODD.items() if found[attribution, pooling][name]],
            )
            for pooling in poolings
        ]
        for attribution, poolings in order_pairs(list(found)).items()
    }
    answers = {pooling: record for (_, pooling), record in found.items()}
    height, width = image.shape[:2]
    return Case(
        id=heat_maps.ids[number],
        label=names[next(iter(answers.values()))["label"]],
        picture=shrink(image, LARGEST),
        width=width,
        height=height,
        answers=[
            Answer(
                name_pooling(pooling),
                name_class(record["predicted_class"], names),
                record["right"],
                name_class(record["explained_class"], names),
                to_percent(record["probability"]),
            )
            for pooling, record in answers.items()
        ],
        groups=groups,
    )


def build_index(selection: Selection, rows: pa.Table) -> dict[str, Any]:
    """Return what the page's script needs to list and to order the images, ready for JSON.

    "categories": each with "title", "meaning" and the numbers of its "cases" in its order. "maps": the names of what
    they can be ordered by, and "values": by place in "maps" and metric, each case's percentage or None.
    """
    metrics = measured(rows)
    records = explained_records(selection, rows)
    number = {place: i for i, place in enumerate(selection.places)}
    pairs = [(a, p) for a, poolings in order_pairs(list(records[0] if records else [])).items() for p in poolings]

    def list_values(metric: Metric) -> list[list[float | None]]:
        """Return the mean over maps, and each map, by case."""
        columns = [[to_value(found[pair][metric.column]) for found in records] for pair in pairs]
        means = [None if None in values else round(sum(values) / len(values), 2) for values in zip(*columns)]
        return [means, *columns]

    by_metric = {metric.symbol: list_values(metric) for metric in metrics}
    return {
        "categories": [
            {
                "title": category.title,
                "meaning": category.meaning,
                "cases": [number[place] for place in category.images if place in number],
            }
            for category in selection.categories
        ],
        "metrics": [{"symbol": metric.symbol, "lower": metric.lower_is_better} for metric in metrics],
        "maps": ["Mean over maps", *(f"{name_attribution(a)}, {name_pooling(p)}" for a, p in pairs)],
        "values": [{symbol: values[i] for symbol, values in by_metric.items()} for i in range(len(pairs) + 1)],
    }


def draw_scale() -> str:
    """Return the colours of saliency 0 to 1, as they look over middle grey, as the data URI of a picture."""
    return shrink(colour_scale(rows=4), 256)


def to_value(fraction: float | None) -> float | None:
    """Return a fraction in percent, or None where it is missing or not finite."""
    return None if fraction is None or not np.isfinite(fraction) else round(100 * fraction, 2)


def to_percent(fraction: float | None) -> str:
    """Return one image's fraction in percent, as a card shows it."""
    value = to_value(fraction)
    return ABSENT if value is None else f"{value:z.1f}"


def shrink(picture: Float[np.ndarray, "H W 3"], largest: int) -> str:
    """Return a picture in 0..1 as the data URI of a JPEG whose sides are `largest` pixels at most."""
    image = Image.fromarray((255 * picture).round().astype(np.uint8))
    image.thumbnail((largest, largest), Image.Resampling.LANCZOS)
    return to_jpeg(image, QUALITY, optimize=True)
