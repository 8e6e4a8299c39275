"""Classification accuracy of every pooling of a network, from one pass of its trunk over a split."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import scipy.special
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int
from tqdm import tqdm

from castream_jax.compute.sharding import AHEAD, batched, replicated, round_up, shard_batch, split_images
from castream_jax.data.bad_records import BadRecords
from castream_jax.data.pictures.decoding import PictureCounts
from castream_jax.data.pictures.preprocess import Resize
from castream_jax.data.pipeline import MET, evaluation_batches
from castream_jax.data.source import Source
from castream_jax.models.answers import predict
from castream_jax.models.network import Features, Network
from castream_jax.wording import name_pooling, order_poolings

DOUBT = 0.01
"""Significance of the tests against guessing."""
DELAY = 2.0
"""Seconds that go by before a progress bar is shown."""


class SplitAccuracy:
    """Measures a network's accuracy on one split; one compiled step serves all its states."""

    def __init__(
        self,
        source: Source,
        resize: Resize,
        batch_size: int,
        graphdef: nnx.GraphDef,
        mesh: Mesh,
        on_bad_record: str = "stop",
    ):
        self._source, self._resize, self._mesh = source, resize, mesh
        self.bad_records = BadRecords(source, on_bad_record)
        self.pictures = PictureCounts()
        """What was met in the images that were measured last."""
        self._batch_size = round_up(batch_size, mesh)  # padding never counts
        self._graphdef, self._count_step = graphdef, create_count_step(graphdef, mesh)

    def measure(self, state: nnx.State) -> dict[str, float]:
        """Return the share of the split's readable images that each pooling classifies right; GAP's is the first."""
        images = len(self._source)
        hidden = jax.process_index() > 0
        with tqdm(total=images, desc="validation", unit="image", leave=False, delay=DELAY, disable=hidden) as bar:
            right = self.count(state, advance=bar.update)
        self.pictures = take_pictures(right)
        images = self.pictures.images
        return {name: right[name] / max(images, 1) for name in order_poolings(list(right))}

    def describe_chance(self, accuracy: Mapping[str, float]) -> str:
        """Return what to say of what `measure` found if GAP's is hardly above chance, or nothing."""
        pooling, share = next(iter(accuracy.items()))
        return describe_chance(share, len(self._source), self._source.num_classes, pooling)

    def count(
        self, state: nnx.State, images: range | None = None, advance: Callable[[int], object] = lambda _: None
    ) -> Counter[str]:
        """Return how many of these images, or of the split, could be read ("images"), how many of them are "oriented"
        and "transparent", and how many each pooling has right; `advance` is told how many were sent to the devices.
        """
        counts = []
        block = (jax.process_index(), jax.process_count()) if self._mesh.is_multi_process else (0, 1)
        for batch in evaluation_batches(
            self._source, self._resize, self._batch_size, images, block, bad_records=self.bad_records
        ):
            arrays = shard_batch({name: batch[name] for name in ("images", "labels", "valid", *MET)}, self._mesh)
            counts.append(self._count_step(state, arrays))
            advance(int(batch["valid"].sum()) * block[1])
            if len(counts) > AHEAD:  # let no more batches wait on the device than keep it busy
                jax.block_until_ready(counts[-1 - AHEAD])
        names = ("images", *MET, *nnx.merge(self._graphdef, state).poolings())  # JAX sorts the keys of a dictionary
        return Counter({name: sum(int(count[name]) for count in counts) for name in names})


def create_count_step(
    graphdef: nnx.GraphDef, mesh: Mesh
) -> Callable[[nnx.State, dict[str, Any]], dict[str, Int[Array, ""]]]:
    """Return the compiled step from a network's state and a batch to the counts that `SplitAccuracy` adds up."""

    def compute_features(state: nnx.State, images: Array) -> Features:
        model: Network = nnx.merge(graphdef, state)
        return model.features(model.normalisation(images))

    def count_step(state: nnx.State, batch: dict[str, Array]) -> dict[str, Int[Array, ""]]:
        model: Network = nnx.merge(graphdef, state)
        features = split_images(compute_features, mesh)(state, batch["images"])
        met = {name: batch[name].sum() for name in MET}
        return {"images": batch["valid"].sum(), **met} | {
            name: count_correct(network.head(features)[0], batch["labels"], batch["valid"])
            for name, network in model.poolings().items()
        }

    everywhere = replicated(mesh)
    return jax.jit(count_step, in_shardings=(everywhere, batched(mesh)), out_shardings=everywhere)


def take_pictures(counts: Counter[str]) -> PictureCounts:
    """Take out of the counts of `SplitAccuracy` what they say of the images; what is left is of poolings."""
    return PictureCounts(counts.pop("images"), *(counts.pop(name, 0) for name in MET))


def count_correct(logits: Float[Array, "B K"], labels: Int[Array, "B"], valid: Bool[Array, "B"]) -> Int[Array, ""]:
    """Return how many of the images that are no padding are classified right; logits that are NaN never are."""
    return jnp.sum((predict(logits) == labels) & valid)


def is_near_chance(share: float, images: int, num_classes: int) -> bool:
    """Return whether an accuracy is hardly above that of guessing.

    So it is where guessing explains it (one-sided binomial test, 1 %), or it is less than twice the share of guessing
    (of few classes: less than ten points above), as where labels are in another order, some of which stay in place. And
    it is not where a network halfway between guessing and perfection may be as bad by chance (1 %), as on few images.

    Args:
      share: of the images that are classified right.
      images: how many.
      num_classes: the share of guessing is one in as many.
    """
    if num_classes < 2:
        return False
    right, guessing = round(share * images), 1 / num_classes
    is_guessed = right == 0 or scipy.special.bdtrc(right - 1, images, guessing) > DOUBT
    is_low = share < guessing + min(guessing, 0.1)
    return (is_guessed or is_low) and bool(scipy.special.bdtr(right, images, (1 + guessing) / 2) < DOUBT)


def describe_chance(share: float, images: int, num_classes: int, pooling: str = "gap") -> str:
    """Return what to say of the accuracy of a network that knows something; empty if it is clearly above chance."""
    if not is_near_chance(share, images, num_classes):
        return ""
    return (
        f"The accuracy of {name_pooling(pooling)} is {100 * share:.3g} %, and guessing one of {num_classes} classes is "
        f"right in {100 / num_classes:.3g} %: the network is not trained, or the order of the classes or the "
        "preprocessing is not that of its weights. See data.classes, data.mean, data.std, data.image_size and "
        "data.orientation."
    )
