"""Classification accuracy of every pooling of a network, from one pass of its trunk over a split."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
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
from castream_jax.experiment.split_scores import WHY, Scored, check_shown, describe_guessing
from castream_jax.models.answers import predict
from castream_jax.models.network import Features, Network
from castream_jax.wording import name_pooling, order_poolings

DOUBT = 0.01
"""Significance of the tests against guessing."""
DELAY = 2.0
"""Seconds that go by before a progress bar is shown."""
FIVE = 5
TOP5, SCORES = "top5/", "scores/"
"""What the names of counts and of scores begin with, before that of a pooling."""


class SplitAccuracy:
    """Measures a network's accuracy on one split; one compiled step serves all its states.

    Of a split with several labels it is the mean average precision.
    """

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
        self.measures = "mean_average_precision" if source.has_several_labels else "accuracy"
        """What `measure` returns."""
        self.bad_records = BadRecords(source, on_bad_record)
        self.pictures = PictureCounts()
        """What was met in the images that were measured last."""
        self.top5: dict[str, float] = {}
        """The share of these whose class is among the five first ones, by pooling; empty of up to five classes, and of
        several labels."""
        self._scored: Scored | None = None
        self._batch_size = round_up(batch_size, mesh)  # padding never counts
        create = create_score_step if source.has_several_labels else create_count_step
        self._graphdef, self._step = graphdef, create(graphdef, mesh)

    def measure(self, state: nnx.State) -> dict[str, float]:
        """Return the share of the split's readable images that each pooling classifies right; GAP's is the first.

        Raises:
          InputError: no picture of a split with several labels shows any class.
        """
        images = len(self._source)
        hidden = jax.process_index() > 0
        with tqdm(total=images, desc="validation", unit="image", leave=False, delay=DELAY, disable=hidden) as bar:
            if self._source.has_several_labels:
                self._scored = self.collect(state, advance=bar.update)
                self.pictures = self._scored.pictures
                check_shown(self._scored.labels, self._source)
                return self._scored.mean_average_precision()
            right = self.count(state, advance=bar.update)
        self.pictures, self.top5 = take_pictures(right), take_top5(right)
        return to_shares(right, self.pictures.images)

    def describe_chance(self, accuracy: Mapping[str, float]) -> str:
        """Return what to say of what `measure` found if GAP's is hardly above chance, or nothing."""
        pooling, share = next(iter(accuracy.items()))
        if self._scored is not None:
            return describe_guessing(self._scored, pooling)
        return describe_chance(share, len(self._source), self._source.num_classes, pooling)

    def count(
        self, state: nnx.State, images: range | None = None, advance: Callable[[int], object] = lambda _: None
    ) -> Counter[str]:
        """Return how many of these images, or of the split, could be read ("images"), how many of them are "oriented"
        and "transparent", and how many each pooling has right, and with "top5/" before its name among its five first
        classes; `advance` is told how many were sent to the devices.
        """
        counts = list(self._run(state, images, advance))
        return Counter({name: sum(int(count[name]) for count in counts) for name in counts[0]})

    def collect(
        self, state: nnx.State, images: range | None = None, advance: Callable[[int], object] = lambda _: None
    ) -> Scored:
        """Return what each pooling says of these images, or of the split, of several labels; else as `count`."""
        found = list(self._run(state, images, advance))
        valid = np.concatenate([np.asarray(batch["valid"]) for batch in found])
        names = [name for name in found[0] if name.startswith(SCORES)]
        met = (sum(int(batch[name]) for batch in found) for name in MET)
        return Scored(
            {name.removeprefix(SCORES): np.concatenate([np.asarray(b[name]) for b in found])[valid] for name in names},
            np.concatenate([np.asarray(batch["labels"]) for batch in found])[valid],
            PictureCounts(int(valid.sum()), *met),
        )

    def _run(
        self, state: nnx.State, images: range | None, advance: Callable[[int], object]
    ) -> Iterator[dict[str, Array]]:
        """Yield what the step says of each batch."""
        running: list[dict[str, Array]] = []
        places = {name: place for place, name in enumerate(nnx.merge(self._graphdef, state).poolings())}

        def order(found: dict[str, Array]) -> dict[str, Array]:
            """Return the same in the order of poolings: JAX sorts the keys of a dictionary."""
            by = {name: places.get(name.removeprefix(TOP5).removeprefix(SCORES), -1) for name in found}
            return {name: found[name] for name in sorted(found, key=by.__getitem__)}

        block = (jax.process_index(), jax.process_count()) if self._mesh.is_multi_process else (0, 1)
        for batch in evaluation_batches(
            self._source, self._resize, self._batch_size, images, block, bad_records=self.bad_records
        ):
            arrays = shard_batch({name: batch[name] for name in ("images", "labels", "valid", *MET)}, self._mesh)
            running.append(self._step(state, arrays))
            advance(int(batch["valid"].sum()) * block[1])
            if len(running) > AHEAD:  # let no more batches wait on the device than keep it busy
                jax.block_until_ready(running[0])
                yield order(running.pop(0))
        yield from map(order, running)


def create_count_step(
    graphdef: nnx.GraphDef, mesh: Mesh
) -> Callable[[nnx.State, dict[str, Any]], dict[str, Int[Array, ""]]]:
    """Return the compiled step from a network's state and a batch to the counts that `SplitAccuracy` adds up."""

    def count(networks: Mapping[str, Any], features: Features, batch: dict[str, Array]) -> dict[str, Array]:
        labels, valid = batch["labels"], batch["valid"]
        counts = {"images": valid.sum(), **{name: batch[name].sum() for name in MET}}
        for name, network in networks.items():
            logits = network.head(features)[0]
            counts[name] = count_correct(logits, labels, valid)
            if logits.shape[1] > FIVE:
                counts[TOP5 + name] = count_among_five(logits, labels, valid)
        return counts

    return compile_step(graphdef, mesh, count)


def create_score_step(graphdef: nnx.GraphDef, mesh: Mesh) -> Callable[[nnx.State, dict[str, Any]], dict[str, Array]]:
    """Return the compiled step from a network's state and a batch of several labels to what `Scored` is made of."""

    def score(networks: Mapping[str, Any], features: Features, batch: dict[str, Array]) -> dict[str, Array]:
        said = {"labels": batch["labels"], "valid": batch["valid"], **{name: batch[name].sum() for name in MET}}
        for name, network in networks.items():
            logits = network.head(features)[0]
            said[SCORES + name] = network.scores(logits) if callable(network.score) else logits
        return said

    return compile_step(graphdef, mesh, score)


def compile_step(
    graphdef: nnx.GraphDef,
    mesh: Mesh,
    answer: Callable[[Mapping[str, Any], Features, dict[str, Array]], dict[str, Array]],
) -> Callable[[nnx.State, dict[str, Any]], dict[str, Array]]:
    """Return the compiled step from a network's state and a batch to what `answer` says of it."""

    def compute_features(state: nnx.State, images: Array) -> Features:
        model: Network = nnx.merge(graphdef, state)
        return model.features(model.normalisation(images))

    def step(state: nnx.State, batch: dict[str, Array]) -> dict[str, Array]:
        model: Network = nnx.merge(graphdef, state)
        features = split_images(compute_features, mesh)(state, batch["images"])
        return answer(model.poolings(), features, batch)

    everywhere = replicated(mesh)
    return jax.jit(step, in_shardings=(everywhere, batched(mesh)), out_shardings=everywhere)


def take_pictures(counts: Counter[str]) -> PictureCounts:
    """Take out of the counts of `SplitAccuracy` what they say of the images; what is left is of poolings."""
    return PictureCounts(counts["images"], *(counts.pop(name, 0) for name in MET))


def take_top5(counts: Counter[str]) -> dict[str, float]:
    """Take out of the same counts the shares that are right among five classes, by pooling."""
    found = {name.removeprefix(TOP5): counts.pop(name) for name in list(counts) if name.startswith(TOP5)}
    return to_shares(found, counts["images"])


def to_shares(right: Mapping[str, int], images: int) -> dict[str, float]:
    """Return the share of images that each pooling has right, in the order of the table."""
    names = order_poolings([name for name in right if name != "images"])
    return {name: right[name] / max(images, 1) for name in names}


def count_correct(logits: Float[Array, "B K"], labels: Int[Array, "B"], valid: Bool[Array, "B"]) -> Int[Array, ""]:
    """Return how many of the images that are no padding are classified right; logits that are NaN never are."""
    return jnp.sum((predict(logits) == labels) & valid)


def count_among_five(logits: Float[Array, "B K"], labels: Int[Array, "B"], valid: Bool[Array, "B"]) -> Int[Array, ""]:
    """Return of how many of them the class is among the five largest logits."""
    five = jax.lax.top_k(logits, FIVE)[1]  # [B 5]
    is_there = (five == labels[:, None]).any(1) & (predict(logits) >= 0)
    return jnp.sum(is_there & valid)


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
    from scipy.special import bdtr, bdtrc  # here, as importing it takes long, and what is measured does not wait for it

    right, guessing = round(share * images), 1 / num_classes
    is_guessed = right == 0 or bdtrc(right - 1, images, guessing) > DOUBT
    is_low = share < guessing + min(guessing, 0.1)
    return (is_guessed or is_low) and bool(bdtr(right, images, (1 + guessing) / 2) < DOUBT)


def describe_chance(share: float, images: int, num_classes: int, pooling: str = "gap") -> str:
    """Return what to say of the accuracy of a network that knows something; empty if it is clearly above chance."""
    if not is_near_chance(share, images, num_classes):
        return ""
    return (
        f"The accuracy of {name_pooling(pooling)} is {100 * share:.3g} %, and guessing one of {num_classes} classes is "
        f"right in {100 / num_classes:.3g} %: {WHY}"
    )
