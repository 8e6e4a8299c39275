"""Explains the images that a report shows once more: their maps are not kept while all images are measured.

The compiled program of the evaluation does it, with the same batch size; what is measured again is left aside, for the
rows have it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, SupportsIndex

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from castream_jax.binding.maps import MapKey
from castream_jax.data.pipeline import Batch
from castream_jax.data.source import Source
from castream_jax.drawing.grid import HeatMaps
from castream_jax.report.selection import Category, Selection
from castream_jax.wording import describe_odd, is_null, name_answers

Measure = Callable[[Source], Iterator[tuple[Batch, dict[str, np.ndarray]]]]
"""From a source to its batches, each with what `create_evaluate_batch` says of it."""


@dataclass(frozen=True)
class Chosen:
    """Some records of a source."""

    source: Source
    indices: Sequence[int]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: SupportsIndex) -> dict[str, Any]:
        return self.source[self.indices[int(place)]]

    def locate(self, place: int) -> str:
        """Return where a record lies, for messages."""
        return self.source.locate(self.indices[place])


def explain_chosen(
    measure: Measure,
    source: Source,
    categories: list[Category],
    rows: pa.Table,
    indices: Sequence[int],
    keys: tuple[MapKey, ...],
) -> Selection:
    """Return the images of all categories with their maps.

    Args:
      measure: the evaluation's program.
      source: the data.
      categories: what to show, by place among the images of the rows.
      rows: of all images, image by image in the order of `keys`.
      indices: the place in the source of each image of the rows.
      keys: the maps of an image.

    An image that can no longer be read is left out.
    """
    places = sorted({place for category in categories for place in category.images})
    chosen = replace(source, records=Chosen(source, [indices[place] for place in places]))
    shown, images, maps = [], [], list[list[np.ndarray]]()
    explained = [key for key in keys if not is_null(key[0])] if places else []
    with tqdm(total=len(places), desc="pictures", unit="image") as bar:
        for batch, results in measure(chosen):
            for i in np.flatnonzero(batch["valid"]):
                shown.append(places[batch["indices"][i]])
                images.append(batch["images"][i])
                own = [values[i] for values in results.get("maps", ())]
                others = len(explained) - len(own)  # maps from elsewhere, the same under each pooling
                maps.append(own + [batch["given"][i]] * others if others else own)
            bar.update(int(batch["valid"].sum()))
    records = [rows.slice(place * len(keys), len(keys)).to_pylist() for place in shown]
    names = source.class_names
    heat_maps = HeatMaps(
        images=np.stack(images) if images else np.zeros((0, 1, 1, 3), np.uint8),
        ids=tuple(record[0]["id"] for record in records),
        titles=tuple(
            name_answers(record[0]["label"], {row["pooling"]: row["predicted_class"] for row in record}, names)
            for record in records
        ),
        maps={key: np.stack([each[m] for each in maps]) for m, key in enumerate(explained) if maps},
        remarks={key: tuple(describe_odd(record[m]) for record in records) for m, key in enumerate(explained)},
    )
    return Selection(categories, heat_maps, tuple(shown), names)
