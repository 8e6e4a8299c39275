"""Classification accuracy of every pooling of a network, from one pass of its trunk over a split."""

from collections import Counter

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int

from castream_jax.data.decoding import PictureCounts
from castream_jax.data.pipeline import MET, evaluation_batches
from castream_jax.data.preprocess import Resize
from castream_jax.data.records import BadRecords
from castream_jax.data.source import Source
from castream_jax.models.answers import predict
from castream_jax.models.classifier import Classifier, Features
from castream_jax.sharding import batched, replicated, round_up, shard_batch, split_images
from castream_jax.training.feed import AHEAD


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

        def compute_features(state: nnx.State, images: Array) -> Features:
            model: Classifier = nnx.merge(graphdef, state)
            return model.features(model.normalisation(images))

        def count_step(state: nnx.State, batch: dict[str, Array]) -> dict[str, Int[Array, ""]]:
            model: Classifier = nnx.merge(graphdef, state)
            features = split_images(compute_features, mesh)(state, batch["images"])
            met = {name: batch[name].sum() for name in MET}
            return {"images": batch["valid"].sum(), **met} | {
                name: count_correct(network.head(features)[0], batch["labels"], batch["valid"])
                for name, network in model.poolings().items()
            }

        everywhere = replicated(mesh)
        self._count_step = jax.jit(count_step, in_shardings=(everywhere, batched(mesh)), out_shardings=everywhere)

    def measure(self, state: nnx.State) -> dict[str, float]:
        """Return the share of the split's readable images that each pooling classifies right."""
        right = self.count(state)
        self.pictures = take_pictures(right)
        images = self.pictures.images
        return {name: count / max(images, 1) for name, count in right.items()}

    def count(self, state: nnx.State, images: range | None = None) -> Counter[str]:
        """Return how many of these images, or of the split, could be read ("images"), how many of them are "oriented"
        and "transparent", and how many each pooling has right.
        """
        counts = []
        block = (jax.process_index(), jax.process_count()) if self._mesh.is_multi_process else (0, 1)
        for batch in evaluation_batches(
            self._source, self._resize, self._batch_size, images, block, bad_records=self.bad_records
        ):
            arrays = shard_batch({name: batch[name] for name in ("images", "labels", "valid", *MET)}, self._mesh)
            counts.append(self._count_step(state, arrays))
            if len(counts) > AHEAD:  # let no more batches wait on the device than keep it busy
                jax.block_until_ready(counts[-1 - AHEAD])
        return Counter({name: sum(int(count[name]) for count in counts) for name in counts[0]})


def take_pictures(counts: Counter[str]) -> PictureCounts:
    """Take out of the counts of `SplitAccuracy` what they say of the images; what is left is of poolings."""
    return PictureCounts(counts.pop("images"), *(counts.pop(name, 0) for name in MET))


def count_correct(logits: Float[Array, "B K"], labels: Int[Array, "B"], valid: Bool[Array, "B"]) -> Int[Array, ""]:
    """Return how many of the images that are no padding are classified right; logits that are NaN never are."""
    return jnp.sum((predict(logits) == labels) & valid)
