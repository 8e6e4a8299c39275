"""Which images a report shows one by one: chosen from all rows, so the same ones in every run that finds these rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float

from castream_jax.drawing.grid import HeatMaps
from castream_jax.evaluation.row_images import IMAGE_ID, find_right
from castream_jax.evaluation.rows import group_rows, measured
from castream_jax.evaluation.runner import Evaluation
from castream_jax.evaluation.shown_images import ShownImages
from castream_jax.metrics.metric import Metric
from castream_jax.wording import (
    ODD,
    describe_odd,
    is_null,
    list_poolings,
    name_answers,
    name_attribution,
    name_pooling,
)

IMAGES_PER_CATEGORY, CATEGORIES = 6, 5
"""Images in a category, but for the first images of all; and how many such categories there are."""


@dataclass(frozen=True)
class Category:
    """Images that are worth looking at for one reason."""

    title: str
    meaning: str
    """How they were chosen, and in what order they stand."""
    images: dict[int, str]
    """By place among the images of the rows: why this one, in a few words; empty if there is nothing to add."""


@dataclass(frozen=True, eq=False)
class Selection:
    """The images that a report shows one by one."""

    categories: list[Category]
    heat_maps: HeatMaps
    """All of them, each once, in the order of the rows."""
    places: tuple[int, ...]
    """Of these images among those of the rows."""
    class_names: tuple[str, ...]


def most_images(first: int) -> int:
    """Return how many images a selection has at most, `first` of them the first ones."""
    return first + CATEGORIES * IMAGES_PER_CATEGORY


def select_images(evaluation: Evaluation, first: int) -> Selection:
    """Return what is worth looking at in an evaluation, explained; `first` images are the first ones."""
    categories = choose_images(evaluation.rows, first)
    places = sorted({place for category in categories for place in category.images})
    return lay_out(categories, evaluation.explain(places), evaluation.rows, evaluation.class_names)


def lay_out(categories: list[Category], shown: ShownImages, rows: pa.Table, class_names: tuple[str, ...]) -> Selection:
    """Return images and maps with what the rows say of them beside them."""
    groups = {
        pair: group.take(pa.array(shown.places, pa.int64())).to_pylist() for pair, group in group_rows(rows).items()
    }
    records = list(zip(*groups.values(), strict=True))
    titles = [
        name_answers(record[0]["label"], {row["pooling"]: row["predicted_class"] for row in record}, class_names)
        for record in records
    ]
    heat_maps = HeatMaps(
        images=shown.images,
        ids=tuple(record[0]["id"] for record in records),
        titles=tuple(titles),
        maps=shown.maps,
        remarks={key: tuple(map(describe_odd, groups[key])) for key in shown.maps},
    )
    return Selection(categories, heat_maps, shown.places, class_names)


Columns = dict[tuple[str, str], dict[str, np.ndarray]]
"""By (attribution, pooling) of the explained maps, the columns that a choice depends on, one value for each image."""


def choose_images(rows: pa.Table, first: int) -> list[Category]:
    """Return the categories of images to look at, ties going to the earlier image; one may be empty.

    Args:
      rows: per-image rows (`rows.rows_schema`), of the same images in the same order for every attribution and pooling.
      first: how many of the first images are shown as a fair sample.
    """
    metrics = [metric for metric in measured(rows) if not metric.needs_truth][:2]
    columns = explained_columns(rows, metrics)
    count = len(next(iter(columns.values()))["label"]) if columns else 0
    categories = [
        Category(
            "First images",
            "In the order of the data: a sample that nobody chose.",
            dict.fromkeys(range(min(first, count)), ""),
        )
    ]
    if not count:
        return categories
    by_metric = [*choose_extremes(columns, metrics), *choose_disagreements(columns, metrics[0])] if metrics else []
    return [*categories, *by_metric, choose_wrong(columns, IMAGE_ID in rows.column_names), choose_failed(columns)]


def choose_extremes(columns: Columns, metrics: Sequence[Metric]) -> list[Category]:
    """Return the images whose maps are worst and best by the table's first metric, ties by its second."""
    means = [100 * mean_over_maps(columns, metric.column) for metric in metrics]  # [n] each
    places = [values if metric.lower_is_better else -values for metric, values in zip(metrics, means)]
    measured = np.isfinite(means[0])
    lead, name = metrics[0], metrics[0].name.lower()
    worst, best = ("Highest", "Lowest") if lead.lower_is_better else ("Lowest", "Highest")

    def say(place: int, shown: int) -> str:
        said = [f"mean {metric.symbol} {values[place]:z.2f}" for metric, values in zip(metrics, means)]
        return ", ".join(said[:shown])

    tied = f"; of equal ones, the best mean {metrics[1].symbol} first" if len(metrics) > 1 else ""
    by = f"By the mean of {lead.symbol} over the image's maps"
    return [
        Category(f"{worst} {name}", f"{by}.", take((-places[0],), measured, lambda place: say(place, 1))),
        Category(f"{best} {name}", f"{by}{tied}.", take(tuple(places), measured, lambda place: say(place, 2))),
    ]


def explained_columns(rows: pa.Table, metrics: Sequence[Metric]) -> Columns:
    """Return the columns of every map that is no null map."""
    names = [*(metric.column for metric in metrics), "probability", "label", "explained_class", "predicted_class", *ODD]
    known = [IMAGE_ID] if IMAGE_ID in rows.column_names else []
    groups = group_rows(rows.select(["attribution", "pooling", *names, *known]))
    return {
        pair: {name: group[name].to_numpy().astype(np.float64) for name in names} | {"right": find_right(group)}
        for pair, group in groups.items()
        if not is_null(pair[0])
    }


def mean_over_maps(columns: Columns, name: str) -> Float[np.ndarray, "n"]:
    """Return a column's mean over all maps of each image; NaN if one is."""
    return np.mean([found[name] for found in columns.values()], axis=0)


def take(order: tuple[np.ndarray, ...], eligible: Bool[np.ndarray, "n"], say: Callable[[int], str]) -> dict[int, str]:
    """Return the first images in an order, by its first array, of equal ones by the next, then by place."""
    places = [int(place) for place in np.lexsort(order[::-1]) if eligible[place]][:IMAGES_PER_CATEGORY]
    return {place: say(place) for place in places}


def choose_disagreements(columns: Columns, metric: Metric) -> list[Category]:
    """Return the images on which another pooling's number differs most from the first one's, if there is one."""
    first, *others = list_poolings(columns)
    both = [(a, pooling) for a, pooling in columns if pooling in others and (a, first) in columns]
    if not both:
        return []
    values = {pair: 100 * found[metric.column] for pair, found in columns.items()}
    differences = np.stack([values[pair] - values[pair[0], first] for pair in both])  # [pairs n]
    distance = np.abs(differences).mean(0)

    def say(place: int) -> str:
        largest = int(np.abs(differences[:, place]).argmax())
        (attribution, pooling), value = both[largest], differences[largest, place]
        return (
            f"{metric.symbol} differs by {distance[place]:.2f}; "
            f"{name_attribution(attribution)}: {name_pooling(pooling)} {value:+.2f}"
        )

    names = [name_pooling(pooling) for pooling in (first, *others)]
    whose = f"{names[1]}'s" if len(others) == 1 else "each pooling's"
    over = "attributions" if len(others) == 1 else "attributions and poolings"
    meaning = f"By the size of {whose} {metric.symbol} minus {names[0]}'s, mean over {over}."
    title = f"{' and '.join(names) if len(others) == 1 else 'Poolings'} disagree"
    return [Category(title, meaning, take((-distance,), np.isfinite(distance), say))]


def choose_wrong(columns: Columns, have_several_labels: bool) -> Category:
    """Return the images that a pooling classifies wrong: where more poolings do, and are surer, first.

    Of images of several labels rows do not say which classes nobody can tell: such an answer is no label.
    """
    poolings = {pooling: found for (_, pooling), found in columns.items()}
    wrong = {pooling: ~found["right"] for pooling, found in poolings.items()}
    number = np.sum(list(wrong.values()), axis=0)  # [n]
    sure = [
        # The class's own probability if that class is the wrong answer, else what it leaves to the wrong answer.
        wrong[pooling]
        * np.where(found["explained_class"] == found["predicted_class"], found["probability"], 1 - found["probability"])
        for pooling, found in poolings.items()
    ]

    def say(place: int) -> str:
        return ", ".join(name_pooling(pooling) for pooling in wrong if wrong[pooling][place])

    meaning = "Wrong for more poolings first, then by how little probability is left for the labelled class."
    if have_several_labels:
        meaning += " Wrong is what is no label of the image, also a class of which nobody can tell whether it shows it."
    order = (-number, -np.nan_to_num(np.sum(sure, axis=0)))
    return Category("Classified wrong", meaning, take(order, number > 0, say))


def choose_failed(columns: Columns) -> Category:
    """Return the images with the most maps that were flat, held a NaN, or were negative everywhere."""
    number = np.sum([np.any([found[name] for name in ODD], axis=0) for found in columns.values()], axis=0)  # [n]

    def say(place: int) -> str:
        odd = {pair: describe_odd({name: found[name][place] for name in ODD}) for pair, found in columns.items()}
        return "; ".join(f"{name_attribution(a)} {name_pooling(p)}: {what}" for (a, p), what in odd.items() if what)

    meaning = "Maps that are flat, hold a NaN, or have nothing positive before their ReLU; most of them first."
    return Category("Failed maps", meaning, take((-number,), number > 0, say))
