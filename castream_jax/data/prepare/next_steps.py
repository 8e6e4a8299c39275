"""What to run once a dataset is ready: commands that work as they are printed."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from castream_jax.data.sources.prepared import data_directory, find_builder
from castream_jax.data.sources.splits import match_split

MADE_FOR = {
    "castream_demo": (("train", "demo"),),
    "imagenet2012": (("evaluate", "resnet50_gap"), ("train", "resnet50_ca")),
    "imagenette": (("train", "imagenette_resnet18_ca"),),
}
"""By dataset, the shipped configs that are about it, each with the first command that it takes."""
FROM_SCRATCH = "demo"
"""The config that trains a network for any classes."""


def word_next(name: str, directory: str) -> list[str]:
    """Return the commands that use a prepared dataset.

    Args:
      name: of the dataset, with its variant and version if it has those.
      directory: where datasets are kept; empty: TFDS's default.
    """
    where = f"--config.data.directory={Path(data_directory(directory)).absolute()}"
    base = name.split("/")[0].split(":")[0]
    own_name = [f"--config.data.name={name}"] if name != base else []
    if base in MADE_FOR:
        return [_join(command, "--config", config, *own_name, where) for command, config in MADE_FOR[base]]
    flags = [f"--config.data.name={name}", where, *word_splits(list(find_builder(name, directory).info.splits))]
    workdir = f"--workdir=runs/{base}"
    return [_join("train", "--config", FROM_SCRATCH, *flags, workdir)]


def word_splits(splits: Sequence[str]) -> list[str]:
    """Return the flags that name splits to train, validate and evaluate on, where they are not called so.

    No picture is both trained and measured on: where there is one split alone, its last tenth is kept apart.
    """
    train = match_split("train", splits)
    others = [split for split in splits if split != train]
    if train is None:
        train, *others = splits
    if not others:
        parts = f"{train}[:90%]", f"{train}[90%:]"
        return _flags(parts[0], parts[1], parts[1])
    test, validation = match_split("test", others), match_split("validation", others)
    return _flags(train, validation or test or others[0], test or validation or others[0])


def _flags(train: str, validation: str, evaluation: str) -> list[str]:
    """Return flags for what is not the default: each split is found by another word of its kind."""
    found = []
    if match_split("train", [train]) is None:
        found.append(f"--config.data.train_split={train}")
    if match_split("validation", [validation]) is None:
        found.append(f"--config.data.validation_split={validation}")
    if match_split("test", [evaluation]) is None:
        found.append(f"--config.evaluation.split={evaluation}")
    return found


def _join(*words: str) -> str:
    return shlex.join(["castream", *words])
