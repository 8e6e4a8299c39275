"""What an experiment on a split comes to, worked out once: everything that its measures are made of."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jax.sharding import Mesh

from castream_jax.binding.chunk import choose_chunk
from castream_jax.binding.maps import MapKey
from castream_jax.binding.program import Plan
from castream_jax.compute.sharding import create_local_mesh, first_process, round_up
from castream_jax.config import Experiment
from castream_jax.data.classes.class_names import check_class_names
from castream_jax.data.explained_classes import ExplainedClasses, explain_each_class
from castream_jax.data.given_maps import GivenMaps, open_given_maps
from castream_jax.data.pictures.preprocess import Resize
from castream_jax.data.source import Source, open_split
from castream_jax.errors import InputError
from castream_jax.experiment.loading import build_network, load_trained
from castream_jax.experiment.plan import create_plan
from castream_jax.experiment.preprocessing import chosen_protocol, network_resize, settled
from castream_jax.experiment.several_labels import check_plan_fits, check_score_fits
from castream_jax.metrics.protocol import Protocol
from castream_jax.models.network import Network


@dataclass(frozen=True, eq=False)
class Resolved:
    """An experiment, the network and the data that it is about, and what is to be computed of them."""

    experiment: Experiment
    """With all that its config leaves open chosen: what the network sees, and the chunk."""
    split: Source
    """Of the evaluation."""
    source: Source
    """What is explained: the split, or each class of each of its pictures where they show several."""
    model: Network
    given: GivenMaps | None
    """Maps from elsewhere."""
    plan: Plan
    mesh: Mesh
    """Of this process's devices."""

    @property
    def images(self) -> int:
        """How many records of the source are measured, the first ones: those of so many images of the split."""
        records = self.source.records
        return records.count_of(self.split_images) if isinstance(records, ExplainedClasses) else self.split_images

    @property
    def split_images(self) -> int:
        """How many images of the split these are of."""
        return min(self.experiment.evaluation.num_images or len(self.split), len(self.split))

    @property
    def counted_images(self) -> int:
        """How many images of the split the accuracies are of, the first ones."""
        return self.split_images if self.experiment.evaluation.accuracy_of == "explained" else len(self.split)

    @property
    def batch_size(self) -> int:
        """Images in a batch, which every device has as many of."""
        return round_up(self.experiment.evaluation.batch_size, self.mesh)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what the network sees."""
        return (self.resize.size, self.resize.size)

    @property
    def resize(self) -> Resize:
        """How pictures become squares."""
        return network_resize(self.model)

    @property
    def keys(self) -> tuple[MapKey, ...]:
        """The maps of an image, in the order of its rows."""
        return self.plan.keys(self.model.poolings())

    @property
    def protocol(self) -> Protocol:
        """The protocol of the rows: the plan's first."""
        return self.plan.protocols[0]


def resolve_trained(experiment: Experiment, workdir: Path) -> Resolved:
    """Return what an experiment comes to, of the network that training left in `workdir`.

    Raises:
      InputError: no checkpoint, or a config that does not fit it; an unknown protocol, method, metric, target or split;
        maps from elsewhere that are not there.
    """
    return _resolve(experiment, lambda classes: load_trained(experiment, workdir, classes), f"the network in {workdir}")


def resolve_untrained(experiment: Experiment) -> Resolved:
    """Return the same of the network before training, which costs as much to measure."""
    return _resolve(experiment, lambda classes: build_network(experiment, classes), experiment.weights)


def _resolve(experiment: Experiment, load: Callable[[int], Network], whose: str) -> Resolved:
    """Return what an experiment comes to, of a network that is loaded by its number of classes."""
    config = experiment.evaluation
    chosen_protocol(experiment)  # a mistake is said before anything is opened
    split = open_split(experiment.data, config.split, with_boxes=True)
    model = load(split.num_classes)
    check_class_names(model.class_names, split.class_names, whose)
    check_score_fits(split, model.score)
    experiment = settle_chunk(settled(experiment, model), model)
    given = open_given_maps(config.maps) if config.maps else None
    plan = create_plan(experiment, model, (given.name,) if given else ())
    check_plan_fits(split, plan)
    source = explain_each_class(split, experiment.data.on_bad_record)
    resolved = Resolved(experiment, split, source, model, given, plan, create_local_mesh())
    if split.has_several_labels and not resolved.images:
        raise InputError(
            f"evaluation.num_images is {config.num_images}: none of the first pictures of {split.name}, split "
            f"{split.split}, shows a class, so there is nothing to explain. Ask for more."
        )
    return resolved


def settle_chunk(experiment: Experiment, model: Network) -> Experiment:
    """Return the experiment with `evaluation.chunk` chosen, if it is 0: rows depend on it by their rounding.

    All processes take the first one's choice: the parts of one evaluation are of one chunk.
    """
    if experiment.evaluation.chunk:
        return experiment
    size = experiment.data.image_size
    chunk = first_process(choose_chunk(model, (size, size)))
    return dataclasses.replace(experiment, evaluation=dataclasses.replace(experiment.evaluation, chunk=chunk))
