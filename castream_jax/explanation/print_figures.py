"""The paper's figures, for print: castream figures grid|scenes [IMAGES…] [flags].

    grid     input, raw attention, and each attribution for GAP and CA
    scenes   raw attention on scenes of classes that the network has never seen

Images are named by their ids or places in a split, or as picture files, or are the first ones of some classes.
"""

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from castream_jax.config import Experiment
from castream_jax.data.bad_records import read_picture as read_record
from castream_jax.data.bad_records import record_id
from castream_jax.data.explained_classes import ExplainedClasses, explain_each_class
from castream_jax.data.pictures.decoding import Decoding
from castream_jax.data.source import Source, open_split
from castream_jax.drawing.columns import count_columns
from castream_jax.drawing.grid import HeatMaps, lay_grid
from castream_jax.drawing.sheet import PAGE_WIDTH
from castream_jax.errors import InputError, choose
from castream_jax.experiment.preprocessing import network_resize
from castream_jax.explanation.classes import find_class_names, load_named, parse_classes
from castream_jax.explanation.explainer import BAR, Explained, Explainer
from castream_jax.explanation.figure import save_for_print
from castream_jax.explanation.pictures import find_pictures, name_pictures, read_picture
from castream_jax.explanation.view import View
from castream_jax.wording import is_of_class, name_answers

FIRST = 2
"""Images of each class, where classes are named."""


@dataclass(frozen=True)
class Subject:
    """An image of a figure."""

    name: str
    image: Image.Image
    class_name: str = ""
    """Of its label in its dataset; empty: it has none."""
    label: int | None = None
    """Where it is one of the network's classes."""


@dataclass(frozen=True)
class Scope:
    """Where a figure's images come from."""

    source: Source | None
    decoding: Decoding
    """Of files, as of the source."""
    classes: str
    count: int
    """Images of each class."""
    is_own: bool
    """The dataset's classes are the network's."""


def draw_figure(
    experiment: Experiment,
    workdir: Path,
    arguments: list[str],
    output: str,
    dataset: str,
    split: str,
    classes: str,
    count: str,
    methods: str,
    class_names: str,
    blocks: bool,
) -> None:
    """Draw one figure, and say where it is."""
    kind = choose("figure", arguments[0] if arguments else "", ("grid", "scenes"))
    is_scenes, images = kind == "scenes", arguments[1:]
    if count and not (count.isdecimal() and int(count)):
        raise InputError(f"--count is {count!r}: expected a number of images, 1 or more.")
    if not (images or classes):
        raise InputError("no images are named: give ids, places or pictures, or --classes.")
    source, decoding = None, Decoding.of(experiment.data)
    if classes or not all(map(is_picture, images)):
        default = ("mit67", "test") if is_scenes else (experiment.data.name, experiment.evaluation.split)
        name, data = dataset or default[0], experiment.data
        chosen_data = data if name == data.name else replace(data, name=name, classes="", columns="")
        source = explain_each_class(open_split(chosen_data, split or default[1]), experiment.data.on_bad_record)
    is_own = source is not None and source.name == experiment.data.name and not is_scenes
    subjects = list(find_subjects(images, Scope(source, decoding, classes, int(count or FIRST), is_own)))
    names = find_class_names(experiment, class_names, workdir)
    model = load_named(experiment, workdir, names, class_names)
    if blocks and not model.has_attention:
        raise InputError('--blocks needs a stream: this model has pooling="gap", it must have pooling="ca".')
    default_methods = ("attention",) if is_scenes else experiment.evaluation.attributions
    chosen = tuple(filter(None, map(str.strip, methods.split(",")))) or default_methods
    explainer = Explainer(model, chosen, experiment.evaluation.target or None, experiment.evaluation.chunk)

    resize = network_resize(model)
    explained = []
    with tqdm(total=len(subjects), desc=kind, bar_format=BAR) as bar:
        for subject in subjects:
            labels = None if subject.label is None else [subject.label]  # None: the predicted ones
            pixels = np.asarray(resize(subject.image))
            explained.append(explainer.explain(View(subject.name, pixels, 1.0), labels, bar.update))
    titles = [name_subject(subject, found, names, is_scenes) for subject, found in zip(subjects, explained)]
    heat_maps = gather(explained, titles, blocks)
    sheet = lay_grid(heat_maps, across=min(count_panels(count_columns(list(heat_maps.maps))), len(subjects)))
    stem = Path(output).expanduser() if output else workdir / "figures" / kind
    print("\n".join(f"figure: {path}" for path in save_for_print(sheet, stem)))


def find_subjects(arguments: Sequence[str], scope: Scope) -> Iterator[Subject]:
    """Yield the images that a figure shows: those named, then the first ones of classes.

    Raises:
      InputError: an image or class that is not there, or cannot be read.
    """
    paths = find_pictures(filter(is_picture, arguments))
    for path, name in zip(paths, name_pictures(paths), strict=True):
        yield Subject(name, read_picture(path, scope.decoding).image)
    if scope.source is None:
        return
    wanted = [name for name in arguments if not is_picture(name)]
    labels = parse_classes(scope.classes, scope.source.class_names) if scope.classes else ()
    for index in find_records(scope.source, wanted, labels, scope.count):
        picture, record, _ = read_record(scope.source, index)
        label = int(record["label"])
        class_name = scope.source.class_names[label]
        yield Subject(record_id(record, index), picture.image, class_name, label if scope.is_own else None)


def is_picture(argument: str) -> bool:
    """Return whether an argument names files, and not an image of a dataset."""
    return Path(argument).expanduser().exists() or glob.has_magic(argument)


def find_records(source: Source, ids: Sequence[str], labels: Sequence[int], count: int) -> list[int]:
    """Return the places of records by id or place, then of the first `count` of each label; reads as far as it must.

    Where images show several classes, a place is that of an image in its split, and means its first class.

    Raises:
      InputError: no record of an id, a place beyond the end or of an image that shows no class, a class without images.
    """
    explained = source.records if isinstance(source.records, ExplainedClasses) else None
    images = len(source if explained is None else explained.records)
    places = {name: int(name) for name in ids if name.isdecimal() and int(name) < images}
    if explained is not None:
        first = {name: explained.find_first(place) for name, place in places.items()}
        places = {name: place for name, place in first.items() if place is not None}
    missing = set(ids) - set(places)
    of_label: dict[int, list[int]] = {label: [] for label in labels}
    with tqdm(total=len(source), desc=f"search {source.name}", unit="image", leave=False) as bar:
        for index in range(len(source)):
            if not missing and all(len(found) >= count for found in of_label.values()):
                break
            record = source[index]
            name = record_id(record, index)
            if name in missing:
                places[name] = index
                missing.discard(name)
            found = of_label.get(int(record["label"]), [])
            if len(found) < count:
                found.append(index)
            bar.update(1)
    if missing:
        example = record_id(source[0], 0)
        of = "" if explained is None else " of an image that shows a class"
        raise InputError(
            f"{source.name}, split {source.split}, has no image {min(missing)!r}, and there is no such file: expected "
            f"an id such as {example!r}, or a place from 0 to {images - 1}{of}."
        )
    if empty := [source.class_names[label] for label, found in of_label.items() if not found]:
        raise InputError(f"{source.name}, split {source.split}, has no image of class {empty[0]!r}.")
    return [places[name] for name in ids] + [index for found in of_label.values() for index in found]


def name_subject(subject: Subject, explained: Explained, names: Sequence[str], is_scene: bool) -> str:
    """Return what stands above an image: its class, and where that is one of the network's what was predicted."""
    if is_scene:
        return subject.class_name or subject.name
    return name_answers(explained.classes[0], explained.predicted, names)


def gather(explained: Sequence[Explained], titles: Sequence[str], blocks: bool) -> HeatMaps:
    """Return the images with the maps of each one's first class; with the attention of each block, if asked for."""
    maps = {key: np.stack([found.maps[key][0] for found in explained]) for key in explained[0].maps}
    if blocks:
        rest = {key: values for key, values in maps.items() if is_of_class(key[0])}
        stream = next((pooling for attribution, pooling in maps if not is_of_class(attribution)), "ca")
        maps = {
            (f"Attention, block {i + 1}", stream): np.nan_to_num([found.blocks[i] for found in explained])
            for i in range(len(explained[0].blocks))
        } | rest
    ids = tuple("" if title == found.name else found.name for found, title in zip(explained, titles))
    remarks = {key: tuple(found.remark(key, 0) for found in explained) for key in maps if key in explained[0].maps}
    pixels = np.stack([found.pixels for found in explained])
    return HeatMaps(pixels, ids, tuple(titles), maps, remarks=remarks)


def count_panels(columns: int) -> int:
    """Return how many images stand beside each other on the page, each with its columns: cells of about an inch."""
    return max(1, int(PAGE_WIDTH / (1.0 * (1 + columns) + 0.3)))


if __name__ == "__main__":
    from castream_jax.cli.figures import main

    main()
