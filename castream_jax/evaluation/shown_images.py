"""Explains some images once more: their maps are not kept while all images are measured.

The compiled program of the evaluation does it, with the same batch size; what is measured again is left aside, for the
rows have it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, UInt8
from tqdm import tqdm

from castream_jax.binding.maps import MapKey
from castream_jax.data.pipeline import Batch
from castream_jax.data.source import Source
from castream_jax.data.sources.splits import PartOfRecords

Measure = Callable[[Source], Iterator[tuple[Batch, dict[str, np.ndarray]]]]
"""From a source to its batches, each with what `create_evaluate_batch` says of it."""


@dataclass(frozen=True, eq=False)
class ShownImages:
    """Some images of an evaluation, and their maps."""

    places: tuple[int, ...]
    """Among the images of the rows, ascending."""
    images: UInt8[np.ndarray, "n H W C"]
    maps: dict[MapKey, Float[np.ndarray, "n h w"]]
    """Of each method and each folder from elsewhere, in 0..1; none where there are no images."""


def show_images(
    measure: Measure, source: Source, places: Sequence[int], indices: Sequence[int], keys: Sequence[MapKey]
) -> ShownImages:
    """Return images with their maps; one that can no longer be read is left out.

    Args:
      measure: the evaluation's program.
      source: the data.
      places: of the images among those of the rows.
      indices: the place in the source of each image of the rows.
      keys: the maps to show: those of methods, then those from elsewhere.
    """
    places = sorted(set(places))
    chosen = replace(source, records=PartOfRecords(source, [indices[place] for place in places]))
    shown, images, maps = [], [], list[list[np.ndarray]]()
    with tqdm(total=len(places), desc="pictures", unit="image") as bar:
        for batch, results in measure(chosen) if places else ():
            for i in np.flatnonzero(batch["valid"]):
                shown.append(places[batch["indices"][i]])
                images.append(batch["images"][i])
                own = [values[i] for values in results.get("maps", ())]
                others = len(keys) - len(own)  # maps from elsewhere, the same under each pooling
                maps.append(own + [batch["given"][i]] * others if others else own)
            bar.update(int(batch["valid"].sum()))
    return ShownImages(
        places=tuple(shown),
        images=np.stack(images) if images else np.zeros((0, 1, 1, 3), np.uint8),
        maps={key: np.stack([each[m] for each in maps]) for m, key in enumerate(keys) if maps},
    )
