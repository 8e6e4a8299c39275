"""How often each pooling is right over the split, and each trained one before training: one trunk under all of them.

Counted in parts, which a run that was stopped keeps.
"""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import jax
import numpy as np
from flax import nnx
from tqdm import tqdm

from castream_jax.binding.ledger import Cost, accuracy_cost
from castream_jax.compute.sharding import replicate
from castream_jax.data.pictures.decoding import PictureCounts
from castream_jax.data.source import Source
from castream_jax.evaluation.resumable_parts import Parts
from castream_jax.experiment.average_precision import find_missing
from castream_jax.experiment.loading import create_network
from castream_jax.experiment.resolved import Resolved
from castream_jax.experiment.split_accuracy import (
    SCORES,
    SplitAccuracy,
    describe_chance,
    take_pictures,
    take_top5,
    to_shares,
)
from castream_jax.experiment.split_scores import Scored, describe_guessing, describe_missing
from castream_jax.models.classifier import Classifier
from castream_jax.models.network import Features, Network
from castream_jax.storage.replacement import replacing
from castream_jax.wording import FIRST_POOLING

UNTRAINED = "untrained/"
"""Before the name of a pooling as it was before training."""
OLD_UNTRAINED = "untrained"
"""How parts of earlier versions name the stream before training: it was CA's, always."""
IMAGES = 512
"""Images in a part, at least, each of which takes one pass."""


@dataclass(frozen=True)
class Accuracy:
    """Fractions of a split that are classified right, or of several labels the mean average precisions."""

    trained: dict[str, float]
    """Of each pooling."""
    untrained: dict[str, float]
    """Of each trained pooling before training, on the same backbone and classifier; empty for a GAP network."""
    images: int
    """Those that could be read."""
    cost: Cost
    pictures: PictureCounts
    """What was met in them."""
    top5: dict[str, float] = field(default_factory=dict)
    """Of each pooling, right among the five first classes; empty of up to five classes, and of several labels."""
    scored: Scored | None = None
    """Of several labels, what the mean average precisions are of."""

    def describe_chance(self, num_classes: int) -> str:
        """Return what to say of GAP if it is hardly better than guessing, or nothing; others may be untrained."""
        pooling, share = next(iter(self.trained.items()))
        if self.scored is not None:
            return describe_guessing(self.scored, pooling)
        return describe_chance(share, self.images, num_classes, pooling)

    def describe_classes(self, source: Source) -> str:
        """Return which classes have no average precision, or nothing."""
        missing = find_missing(self.scored.labels, source.class_names) if self.scored else []
        return describe_missing(missing, f"{source.name}, split {source.split}") if missing else ""


class AccuracyParts(Parts[Counter[str]]):
    """The right answers: how many images could be read, what was met in them, and how many each network had right."""

    name = "accuracy-{0.start:08d}-{0.stop:08d}.json"

    def __init__(self, directory: Path, images: int, batch_size: int):
        super().__init__(directory, images, IMAGES, batch_size)

    def measure(self, accuracy: SplitAccuracy, state: nnx.State, images: range, bar: tqdm) -> None:
        """Count a part, and keep it."""
        self.write(images, accuracy.count(state, images, bar.update))

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
        pictures, top5 = take_pictures(right), take_top5(right)
        top5 = {name: share for name, share in top5.items() if not name.startswith(UNTRAINED)}
        shares, untrained = part_untrained(to_shares(right, pictures.images))
        cost = accuracy_cost(pictures.images, len(shares) + len(untrained))
        return Accuracy(shares, untrained, pictures.images, cost, pictures, top5)


class ScoreParts(Parts[Scored]):
    """The answers for images of several labels: their scores of all classes by each network, their labels."""

    name = "scores-{0.start:08d}-{0.stop:08d}.npz"

    def __init__(self, directory: Path, images: int, batch_size: int):
        super().__init__(directory, images, IMAGES, batch_size)

    def measure(self, accuracy: SplitAccuracy, state: nnx.State, images: range, bar: tqdm) -> None:
        """Ask for a part, and keep it."""
        self.write(images, accuracy.collect(state, images, bar.update))

    def write(self, images: range, scored: Scored) -> None:
        """Keep a part."""
        self.directory.mkdir(parents=True, exist_ok=True)
        arrays = {SCORES + name: values for name, values in scored.scores.items()}
        pictures = np.array(json.dumps(asdict(scored.pictures)))
        with replacing(self.path(images)) as path, open(path, "wb") as file:
            np.savez(file, labels=scored.labels, pictures=pictures, **arrays)  # type: ignore[arg-type]

    def read(self, images: range) -> Scored:
        """Return what `write` kept."""
        try:
            with open(self.path(images), "rb") as file, np.load(file, allow_pickle=False) as kept:
                scores = {name.removeprefix(SCORES): kept[name] for name in kept.files if name.startswith(SCORES)}
                return Scored(scores, kept["labels"], PictureCounts(**json.loads(str(kept["pictures"]))))
        except (BadZipFile, EOFError) as error:  # EOFError: of a file without a byte
            raise OSError(str(error)) from error

    def merge(self) -> Accuracy:
        """Return the mean average precisions, once the parts of all processes are there."""
        parts = [self.read(part) for part in self.ranges]
        pictures = sum((part.pictures for part in parts), start=PictureCounts())
        scores = {name: np.concatenate([part.scores[name] for part in parts]) for name in parts[0].scores}
        whole = Scored(scores, np.concatenate([part.labels for part in parts]), pictures)
        found, untrained = part_untrained(whole.mean_average_precision())
        return Accuracy(
            found, untrained, pictures.images, accuracy_cost(pictures.images, len(scores)), pictures, {}, whole
        )


def part_untrained(found: dict[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    """Return what is of trained networks, and what of their poolings before training."""
    before = {name.removeprefix(UNTRAINED): value for name, value in found.items() if name.startswith(UNTRAINED)}
    return {name: value for name, value in found.items() if not name.startswith(UNTRAINED)}, before


def open_parts(directory: Path, resolved: Resolved) -> AccuracyParts | ScoreParts:
    """Return the parts that the accuracies of an evaluation are kept in."""
    kind = ScoreParts if resolved.split.has_several_labels else AccuracyParts
    return kind(directory, resolved.counted_images, resolved.batch_size)


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
        fresh, trained = self.untrained.poolings(), (c.text for c in self.untrained.choices if c.trains)
        return {**self.trained.poolings(), **{f"{UNTRAINED}{name}": fresh[name] for name in trained}}


def count_right(parts: AccuracyParts | ScoreParts, resolved: Resolved) -> None:
    """Count and keep the parts of this process that are missing."""
    missing = parts.missing()
    if not missing:
        return
    experiment, model, source = resolved.experiment, resolved.model, resolved.split
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
            parts.measure(accuracy, state, part, bar)
