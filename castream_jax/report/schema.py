"""What `report.json` holds, as types, and how one is read back."""

import json
from pathlib import Path
from typing import Any, NotRequired, TypedDict, get_type_hints, is_typeddict

from castream_jax.errors import InputError

Line = dict[str, Any]
"""A line of a table: `attribution` and `pooling`, and by the symbol of each metric its number, or an interval."""


class ProtocolName(TypedDict):
    """Which protocol an evaluation followed."""

    name: str
    hash: str


class Bootstrap(TypedDict):
    """How intervals came about."""

    level: float
    resamples: int
    seed: int


class Pictures(TypedDict):
    """What was met in the pictures, as counts, and what was done about it."""

    measured: dict[str, int]
    accuracy: dict[str, int]
    decoding: dict[str, Any]


class Provenance(TypedDict):
    """What numbers are of: enough to tell whether two evaluations compare."""

    protocol: ProtocolName
    network: str
    dataset: str
    split: str
    num_images: int
    num_explained: NotRequired[int]
    """Classes of these images that are explained, one by one, where images show several."""
    settings: dict[str, Any]
    """What the numbers depend on beside protocol, network and data, by name."""
    protocol_choices: dict[str, Any]
    metrics: NotRequired[list[dict[str, Any]]]
    """The facts of each metric, its hash among them; reports of version 0.1 have none."""
    methods: NotRequired[list[dict[str, Any]]]


class Difference(TypedDict):
    """How far a pooling is from the first one in a metric, in points of percent, over the same images."""

    mean: float | None
    interval: list[float] | None
    images: int
    """That have a value under both."""
    p: float | None
    """Two-sided, of the bootstrap."""
    survives_holm: bool
    """Whether it differs from 0 by Holm's correction for all differences of the report."""


class Intervals(TypedDict):
    """How sure the numbers are."""

    intervals: list[Line]
    """Of each mean."""
    differences: list[Line]
    """Of each pooling from the first: `against`, and by symbol a `Difference`."""


class Agreement(TypedDict):
    """How far the metrics agree on which methods are better; what does not exist is left out."""

    methods: int
    """That are ranked, at most."""
    over_images: dict[str, dict[str, float]]
    """Kendall's tau-b of two metrics' orders of methods on one image, the mean over images."""
    over_methods: dict[str, dict[str, float]]
    """Of the means over images."""
    alpha: dict[str, float]
    """Krippendorff's alpha of the images that rank methods by one metric."""


class Report(Provenance, Intervals):
    """All that a report tells; numbers in percent."""

    accuracy: dict[str, float | None]
    """By pooling, over the whole split or the images of the rows."""
    accuracy_num_images: int
    untrained_accuracy: NotRequired[dict[str, float | None]]
    """Of each trained pooling before training."""
    top5_accuracy: NotRequired[dict[str, float | None]]
    """By pooling, right among the five first classes; of more than five."""
    mean_average_precision: NotRequired[dict[str, float | None]]
    """By pooling, in place of accuracies, of pictures of several labels."""
    untrained_mean_average_precision: NotRequired[dict[str, float | None]]
    warnings: NotRequired[list[str]]
    rows: list[Line]
    """Means."""
    bootstrap: Bootstrap
    agreement: NotRequired[Agreement]
    flat_maps: dict[str, int]
    """How many, by "attribution/pooling"; the next two alike."""
    nan_maps: dict[str, int]
    all_negative_maps: dict[str, int]
    pictures: NotRequired[Pictures]
    localised_images: NotRequired[dict[str, int]]
    """Images that each metric of where the object is has a value of."""
    undefined: NotRequired[dict[str, dict[str, int]]]
    """How often a metric was not defined and counted as 0, by symbol and "attribution/pooling"."""
    remarks: NotRequired[dict[str, dict[str, str]]]
    """What methods say of all their maps, by attribution and pooling."""
    passes: dict[str, int]
    versions: dict[str, str]
    seconds: float
    class_names: list[str]


def read_provenance(file: Path) -> Provenance:
    """Return what a `report.json` says of where its numbers come from.

    Raises:
      InputError: it cannot be read, or lacks something.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        problem = find_misfit(found, Provenance, "the report")
    except (OSError, ValueError) as error:
        problem = str(error)
    if problem:
        raise InputError(f"cannot read {file}, which names the protocol of the rows beside it: {problem}.")
    provenance: Provenance = found
    return provenance


def find_misfit(found: object, schema: Any, name: str) -> str:
    """Return how something read from JSON is not what a schema says, in words; empty if it is."""
    if not is_typeddict(schema):
        expected = getattr(schema, "__origin__", schema)
        return "" if isinstance(found, expected) else f"{name} is no {expected.__name__}"
    if not isinstance(found, dict):
        return f"{name} is no object"
    if missing := sorted(schema.__required_keys__ - found.keys()):
        return f"it lacks {missing[0]!r} of {name}"
    types = get_type_hints(schema)
    problems = (find_misfit(found[key], types[key], key) for key in types if key in found)
    return next(filter(None, problems), "")
