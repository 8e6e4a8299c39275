"""What a work directory says of its run: the settings that it was started with."""

import json
from pathlib import Path
from typing import Any

import jax

from castream_jax.config import Experiment, from_dict
from castream_jax.errors import InputError
from castream_jax.experiment.loading import BACKBONE, STREAM, checkpoint_directory
from castream_jax.models.inputs import IMAGENET
from castream_jax.storage.checkpoints import Checkpoints
from castream_jax.storage.replacement import replacing

NAME = "experiment.json"


def write_record(experiment: Experiment, workdir: Path) -> None:
    """Keep an experiment's settings in its work directory; of many processes, only the first one writes."""
    if jax.process_index() == 0:
        with replacing(workdir / NAME) as path:
            path.write_text(json.dumps(experiment.to_dict(), indent=2) + "\n", encoding="utf-8")


def has_record(workdir: Path) -> bool:
    """Return whether a work directory says what its run was."""
    return (workdir / NAME).is_file()


def read_record(workdir: Path) -> Experiment | None:
    """Return the experiment of a work directory, None if it holds none; of an older run what its checkpoints say.

    Raises:
      InputError: what it says cannot be read.
    """
    file = workdir / NAME
    try:
        if file.is_file():
            settings = json.loads(file.read_text(encoding="utf-8"))
            return from_dict(settings if isinstance(settings, dict) else {})
        for stage in (STREAM, BACKBONE):
            directory = checkpoint_directory(workdir, stage)
            if directory.is_dir():
                with Checkpoints(directory) as checkpoints:
                    config = checkpoints.read_metadata().get("config")
                if config:
                    return read_saved(config)
    except (OSError, ValueError) as error:  # InputError among them
        raise InputError(
            f"{workdir} does not say of which experiment it is ({error}): name its config with --config."
        ) from error
    return None


def read_saved(config: dict[str, Any]) -> Experiment:
    """Return the experiment that a checkpoint was trained by; before these were settings, all were trained alike."""
    seen = {"orientation": "stored", "transparency": "drop", "mean": IMAGENET.mean, "std": IMAGENET.std}
    data = seen | config["data"]
    return from_dict(config | {"data": data})
