"""The classes of an experiment by name, and those that a user asks for."""

import contextlib
import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path

from castream_jax.config import Experiment
from castream_jax.data.classes.class_names import check_class_names, read_names
from castream_jax.data.classes.imagenet_names import list_synonyms, put_in_words
from castream_jax.data.source import find_class_names as find_dataset_classes
from castream_jax.errors import InputError
from castream_jax.experiment.loading import count_classes, load_trained, read_class_names
from castream_jax.models.network import Network


def find_class_names(experiment: Experiment, file: str = "", workdir: Path | None = None) -> tuple[str, ...]:
    """Return the names of the classes in the order of the labels; no dataset needs to be on the disk if TFDS knows it.

    Args:
      experiment: names the dataset.
      file: a text file with a name in each line; empty: the network's names, or else the dataset's.
      workdir: where the network is, which knows the classes that it was trained on.

    Raises:
      InputError: no such file or dataset, or a dataset without classes.
    """
    if file:
        return read_names(Path(file).expanduser(), f"--class_names={file}")
    if workdir and (own := read_class_names(experiment, workdir)):
        return put_in_words(own)
    try:
        return find_dataset_classes(experiment.data, experiment.evaluation.split)
    except InputError as error:
        raise InputError(f"{error} Or name the classes of the network with --class_names=FILE.") from error


def load_named(experiment: Experiment, workdir: Path, class_names: Sequence[str], file: str = "") -> Network:
    """Return the network in `workdir`, whose classes are those that `find_class_names` found.

    Raises:
      InputError: there is no checkpoint, it is of another network, or of other classes.
    """
    with naming(experiment, workdir, file, len(class_names)):
        model = load_trained(experiment, workdir, len(class_names))
    check_class_names(model.class_names, class_names, f"the network in {workdir}")
    return model


@contextlib.contextmanager
def naming(experiment: Experiment, workdir: Path, file: str, count: int) -> Iterator[None]:
    """Say of a network that cannot be loaded for `count` classes that the file of names is wrong, if it is.

    Raises:
      InputError: as raised within, or that the network in `workdir` has another number of classes than the file.
    """
    try:
        yield
    except InputError as error:
        there = count_classes(experiment, workdir) if file else None
        if there in (None, count):
            raise
        raise InputError(
            f"--class_names={file} has the names of {count} classes: the network in {workdir} has {there}; expected "
            "one name in each line, by label."
        ) from error


def parse_classes(text: str, class_names: Sequence[str]) -> tuple[int, ...]:
    """Return the labels of classes in a comma-separated list of names or labels; names may hold commas themselves.

    Raises:
      InputError: a class that is not there, with the nearest names; a name that several classes have.
    """
    pieces = text.split(",")
    known = {name for class_name in class_names for name in (class_name, *list_synonyms(class_name))}
    labels: list[int] = []
    start = 0
    while start < len(pieces):
        joined = {stop: ",".join(pieces[start:stop]).strip() for stop in range(len(pieces), start, -1)}
        stop = next((stop for stop, name in joined.items() if name in known), start + 1)
        labels.append(find_label(joined[stop], class_names))
        start = stop
    return tuple(dict.fromkeys(labels))


def find_label(name: str | int, class_names: Sequence[str]) -> int:
    """Return the label of a class given by name or by label; a name comes first where it is a number.

    An ImageNet class goes by each of its words, and by its identifier.

    Raises:
      InputError: as for `parse_classes`.
    """
    labels = [label for label, known in enumerate(class_names) if known == name]
    labels = labels or [label for label, known in enumerate(class_names) if name in list_synonyms(known)]
    if len(labels) > 1:
        others = [class_names[label] for label in labels if class_names[label] != name]
        named = f" ({', '.join(others)})" if others else ""
        raise InputError(
            f"class {name!r} is ambiguous: give one of the labels {', '.join(map(str, labels))} instead{named}."
        )
    if labels:
        return labels[0]
    text = str(name)
    if text.isdecimal() and int(text) < len(class_names):
        return int(text)
    by_case: dict[str, str] = {known.lower(): known for known in class_names}
    holding = [known for known in class_names if len(text) > 2 and text.lower() in known.lower()]
    near = [by_case[match] for match in difflib.get_close_matches(text.lower(), by_case, n=3)]
    found = list(dict.fromkeys([*near, *holding]))[:5]
    hint = f" Did you mean {' or '.join(map(repr, found))}?" if found else ""
    labels_are = f"0 ({class_names[0]}) to {len(class_names) - 1} ({class_names[-1]})"
    raise InputError(f"unknown class {name!r}.{hint} Expected a name, or a label from {labels_are}.")
