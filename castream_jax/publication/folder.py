"""The folder that is published: what a work directory holds of a network, as others can use it."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from safetensors.numpy import save_file

from castream_jax.config import Experiment
from castream_jax.data.source import open_split
from castream_jax.errors import InputError
from castream_jax.experiment.loading import count_classes, load_trained
from castream_jax.experiment.own_network import require_classifier
from castream_jax.experiment.record import NAME as RECORD
from castream_jax.models.description import describe_network
from castream_jax.publication.card import render_card
from castream_jax.report.schema import Report, read_provenance
from castream_jax.weights.convert import export_weights
from castream_jax.weights.formats import DESCRIPTION
from castream_jax.weights.shards import HUB_FILES

WEIGHTS, CARD = HUB_FILES[0], "README.md"
NUMBERS = ("report.json", "report.md")
PICTURES = ("report.html", "figures/grid.png", "figures/curves.png")
"""Of a report, what may show pictures of the dataset."""
PLACES = ("weights", "data.name", "data.directory", "data.boxes", "data.classes", "evaluation.maps")
"""Settings that may be paths of this machine."""


def write_folder(experiment: Experiment, workdir: Path, folder: Path, address: str, pictures: bool) -> None:
    """Write a network, its experiment, its reports and a card to a folder.

    Args:
      experiment: of the work directory.
      workdir: with checkpoints, and evaluations where there are any.
      folder: new, or empty.
      address: of the repository, as the card names it.
      pictures: whether pages and figures that show pictures of the dataset belong to it.

    Raises:
      InputError: the folder holds something, there is no trained network, or it cannot be exported.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"--output {folder} is there already: choose another folder, or empty it first.")
    num_classes = count_classes(experiment, workdir)
    if num_classes is None:  # of a network that comes trained, or says so
        num_classes = open_split(experiment.data, experiment.evaluation.split).num_classes
    model = require_classifier(load_trained(experiment, workdir, num_classes), experiment)
    reports = read_reports(workdir)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(export_weights(model), folder / WEIGHTS, metadata={DESCRIPTION: json.dumps(describe_network(model))})
    settings = without_places(experiment.to_dict())
    (folder / RECORD).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    for name in reports:
        for file in (*NUMBERS, *(PICTURES if pictures else ())):
            if (workdir / "evaluation" / name / file).is_file():
                target = folder / "evaluation" / name / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(workdir / "evaluation" / name / file, target)
    card = render_card(address, model, settings, reports)
    (folder / CARD).write_text(card, encoding="utf-8")


def read_reports(workdir: Path) -> dict[str, Report]:
    """Return the reports of a work directory by the name of their protocol."""
    found = {}
    for file in sorted((workdir / "evaluation").glob("*/report.json")):
        read_provenance(file)  # or an error that names the file
        found[file.parent.name] = cast(Report, json.loads(file.read_text(encoding="utf-8")))
    return found


def without_places(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return settings without the folders of this machine: of a path that is not relative, its last part."""

    def shorten(name: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return without_places(dict(value), f"{name}.")
        is_place = name in PLACES and isinstance(value, str) and value.startswith(("/", "~"))
        return Path(value).name if is_place else value

    return {name: shorten(prefix + name, value) for name, value in settings.items()}


def list_folder(folder: Path) -> list[tuple[str, int]]:
    """Return name and bytes of every file in a folder."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return [(str(file.relative_to(folder)), file.stat().st_size) for file in files]
