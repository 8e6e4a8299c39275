"""How often each pooling is right over the split, and each trained one before training: one trunk under all of them.

Counted in parts, which a run that was stopped keeps.
"""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import jax
from flax import nnx

from castream_jax.binding.ledger import Cost, accuracy_cost
from castream_jax.compute.sharding import replicate
from castream_jax.data.pictures.decoding import PictureCounts
from castream_jax.evaluation.resumable_parts import Parts
from castream_jax.experiment.loading import create_network
from castream_jax.experiment.resolved import Resolved
from castream_jax.experiment.split_accuracy import SplitAccuracy, describe_chance, take_pictures
from castream_jax.models.classifier import Classifier
from castream_jax.models.network import Features, Network
from castream_jax.storage.replacement import replacing
from castream_jax.wording import FIRST_POOLING, order_poolings

UNTRAINED = "untrained/"
"""Before the name of a pooling as it was before training."""
OLD_UNTRAINED = "untrained"
"""How parts of earlier versions name the stream before training: it was CA's, always."""
IMAGES = 512
"""Images in a part, at least, each of which takes one pass."""


@dataclass(frozen=True)
class Accuracy:
    """Fractions of a split that are classified right."""

    trained: dict[str, float]
    """Of each pooling."""
    untrained: dict[str, float]
    """Of each trained pooling before training, on the same backbone and classifier; empty for a GAP network."""
    images: int
    """Those that could be read."""
    cost: Cost
    pictures: PictureCounts
    """What was met in them."""

    def describe_chance(self, num_classes: int) -> str:
        """Return what to say of GAP if it is hardly better than guessing, or nothing; others may be untrained."""
        pooling, share = next(iter(self.trained.items()))
        return describe_chance(share, self.images, num_classes, pooling)


class AccuracyParts(Parts[Counter[str]]):
    """The right answers: how many images could be read, what was met in them, and how many each network had right."""

    name = "accuracy-{0.start:08d}-{0.stop:08d}.json"

    def __init__(self, directory: Path, images: int, batch_size: int):
        super().__init__(directory, images, IMAGES, batch_size)

    def write(self, images: range, counts: Counter[str]) -> None:
        """Keep a part."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with replacing(self.path(images)) as path:
            path.write_text(json.dumps(counts))

    def read(self, images: range) -> Counter[str]:
        """Return what `write` kept, of an earlier version too."""
        counts = json.loads(self.path(images).read_text())
        return Counter({f"{UNTRAINED}ca" if name == OLD_UNTRAINED else name: n for name, n in counts.items()})

    def merge(self) -> Accuracy:
        """Return the accuracies, once the parts of all processes are there."""
        right: Counter[str] = Counter()
        for part in self.ranges:
            right.update(self.read(part))
        pictures = take_pictures(right)
        images = pictures.images
        cost = accuracy_cost(images, len(right))
        shares = {name: right[name] / max(images, 1) for name in order_poolings(list(right))}
        untrained = {name.removeprefix(UNTRAINED): shares.pop(name) for name in right if name.startswith(UNTRAINED)}
        return Accuracy(shares, untrained, images, cost, pictures)


class WithUntrained(nnx.Module):
    """A network, and beside its poolings those that training changes, as they were before it."""

    def __init__(self, trained: Classifier, untrained: Classifier):
        self.trained = trained
        self.untrained = untrained
        self.normalisation = trained.normalisation

    def features(self, images: jax.Array) -> Features:
        """Return the trunk's feature maps."""
        return self.trained.features(images)

    def poolings(self) -> dict[str, Network]:
        """Return the networks that share the trunk, by name."""
        fresh, trained = self.untrained.poolings(), (c.text for c in self.untrained.choices if c.pooling.trains)
        return {**self.trained.poolings(), **{f"{UNTRAINED}{name}": fresh[name] for name in trained}}


def count_right(parts: AccuracyParts, resolved: Resolved) -> None:
    """Count and keep the parts of this process that are missing."""
    missing = parts.missing()
    if not missing:
        return
    experiment, model, source = resolved.experiment, resolved.model, resolved.source
    network: Network | WithUntrained = model
    if isinstance(model, Classifier) and model.pooling != FIRST_POOLING:
        fresh = create_network(experiment, source.num_classes)  # what pools; the rest is trained
        assert isinstance(fresh, Classifier)
        fresh.backbone, fresh.classifier = model.backbone, model.classifier
        network = WithUntrained(model, fresh)
    graphdef, state = nnx.split(network)
    batch_size = experiment.evaluation.batch_size
    accuracy = SplitAccuracy(
        source, resolved.resize, batch_size, graphdef, resolved.mesh, experiment.data.on_bad_record
    )
    state = replicate(state, resolved.mesh)
    with parts.progress(missing, "accuracy") as bar:
        for part in missing:
            parts.write(part, accuracy.count(state, part, bar.update))
