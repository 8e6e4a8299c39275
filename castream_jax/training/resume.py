"""Whether a checkpoint means the same as the config that asks to go on from it."""

import hashlib
import logging
from pathlib import Path
from typing import Any

import numpy as np

from castream_jax.config import Experiment
from castream_jax.data.source import Source
from castream_jax.errors import InputError
from castream_jax.experiment.loading import BACKBONE, STREAM, build_network, checkpoint_directory, load_trained
from castream_jax.experiment.record import read_record, read_saved
from castream_jax.models.network import Network
from castream_jax.version import collect_versions

log = logging.getLogger(__name__)

PACE = tuple(
    f"{stage}.{setting}" for stage in (BACKBONE, STREAM) for setting in ("log_every", "validate_every", "save_every")
)
PLACE = (
    *("name", "evaluation", "log", "data.directory", "data.workers", "data.validation_split", "data.on_bad_record"),
    *("data.boxes", "data.boxes_of", "data.truth", "data.classes"),  # the classes themselves are the dataset's
)
FREE = {
    BACKBONE: (*PACE, *PLACE, "model.pooling", "model.heads", "model.stream_init", STREAM),
    STREAM: (*PACE, *PLACE, "weights"),
}
"""Settings, or groups of them, that may change between the runs of a stage: what is trained does not depend on them.
Where weights lie does not matter: that they are the same ones is seen from their arrays."""
CONTENT, LABELS = "content of some (sha256)", "labels (sha256)"
LIBRARIES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "pillow")


def load_network(experiment: Experiment, workdir: Path, num_classes: int) -> Network:
    """Return the network as training starts from it; where its weights are gone, as an earlier run kept it.

    Raises:
      InputError: the weights cannot be loaded, and no run from them has a checkpoint.
    """
    try:
        return build_network(experiment, num_classes)
    except InputError as error:
        directory = checkpoint_directory(workdir, STREAM)
        earlier = read_record(workdir) if directory.is_dir() else None
        if earlier is None or earlier.weights != experiment.weights:
            raise
        log.warning("%s Going on with the network of %s, which is of these weights.", error, directory)
        return load_trained(experiment, workdir, num_classes)


def describe_run(experiment: Experiment, stage: str, step: int, source: Source) -> dict[str, Any]:
    """Return what a checkpoint says of itself: stage, config, data and the position in it, versions."""
    settings = getattr(experiment, stage)
    return {
        "stage": stage,
        "step": step,
        "seed": experiment.seed,
        "images_seen": step * settings.batch_size,
        "config": experiment.to_dict(),
        "dataset": describe_dataset(source) | describe_content(source),
        "versions": collect_versions(LIBRARIES),
    }


def describe_dataset(source: Source) -> dict[str, Any]:
    """Return what tells a dataset from another of the same name: its order of records depends on their number."""
    classes = hashlib.sha256("\n".join(source.names_on_disk).encode()).hexdigest()
    return {"images": len(source), "classes": len(source.class_names), "class names (sha256)": classes}


def describe_content(source: Source) -> dict[str, str]:
    """Return what tells the content of a dataset that is named by its path, which may be moved or changed: all labels
    only where they take no reading; of others nothing.
    """
    if not is_path(source.name):
        return {}
    labels = source.known_labels()
    said = {} if labels is None else {LABELS: hashlib.sha256(labels.astype(np.int64).tobytes()).hexdigest()}
    return {CONTENT: source.content} | said


def is_path(name: str) -> bool:
    """Return whether a dataset's name says where it lies."""
    return Path(name).expanduser().exists() or name.startswith(("/", "~", "."))


def is_moved(saved: dict[str, Any], source: Source) -> bool:
    """Return whether a run's dataset has the content of this one, whatever path it had."""
    content = saved["dataset"].get(CONTENT)
    return content is not None and describe_content(source).get(CONTENT) == content


def check_same_run(saved: dict[str, Any], experiment: Experiment, stage: str, source: Source, directory: Path) -> None:
    """Warn if a checkpoint was made by other versions; their last bits may differ.

    What a checkpoint of an earlier version does not say of its dataset's content is not asked.

    Raises:
      InputError: the experiment differs in a setting that what was trained depends on; names all of them.
    """
    before = decisive_settings(read_saved(saved["config"]), stage) | prefixed(saved["dataset"])
    content = {name: said for name, said in describe_content(source).items() if name in saved["dataset"]}
    now = decisive_settings(experiment, stage) | prefixed(describe_dataset(source) | content)
    different = [key for key in now if before.get(key) != now[key]]
    if "data.name" in different and is_moved(saved, source):
        log.info("%s is now %s: the same pictures.", before["data.name"], now["data.name"])
        different.remove("data.name")
    if different:
        changes = ", ".join(f"{key} ({before.get(key)!r} there, {now[key]!r} here)" for key in different)
        raise InputError(
            f"the checkpoint in {directory} was trained with other settings or data: {changes}. To go on, set them "
            f"back; to train with the new ones, use another --workdir (--config.weights={directory.parent.parent} "
            "starts from these weights)."
        )
    there = saved.get("versions", {})
    here = collect_versions(LIBRARIES)
    changed = [f"{name} {there.get(name)} -> {here[name]}" for name in here if there.get(name) != here[name]]
    if changed:
        log.warning("going on with other versions than before (%s): the last bits may differ", ", ".join(changed))


def decisive_settings(experiment: Experiment, stage: str) -> dict[str, Any]:
    """Return the settings that a stage's trained arrays depend on, by dotted name."""
    settings = flatten_settings(experiment.to_dict())
    free = FREE[stage]
    return {
        name: value
        for name, value in settings.items()
        if not any(name == other or name.startswith(f"{other}.") for other in free)
    }


def prefixed(dataset: dict[str, Any]) -> dict[str, Any]:
    """Return the dataset's description as settings."""
    return {f"dataset: {name}": value for name, value in dataset.items()}


def flatten_settings(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings by dotted name."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= flatten_settings(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat
