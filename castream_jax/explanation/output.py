"""Explains a user's pictures into a folder: a gallery, a PNG for each picture, and the raw maps on request."""

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from castream_jax.config import Experiment
from castream_jax.data.pictures.decoding import Decoding, PictureCounts
from castream_jax.errors import InputError, RunError
from castream_jax.experiment.preprocessing import network_resize
from castream_jax.explanation.classes import find_class_names, load_named, parse_classes
from castream_jax.explanation.explainer import BAR, Explained, Explainer
from castream_jax.explanation.figure import Explanation
from castream_jax.explanation.gallery import GENERATOR, render_gallery
from castream_jax.explanation.pictures import find_pictures, name_outputs, name_pictures, read_picture
from castream_jax.explanation.view import prepare
from castream_jax.storage.replacement import replacing

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """What a user asks of `explain_pictures`."""

    arguments: Sequence[str]
    """Files, folders and globs."""
    output: Path
    classes: str = ""
    """Names or labels; empty: the predicted ones."""
    methods: str = ""
    """Attributions; empty: those of the experiment's evaluation."""
    class_names: str = ""
    """A file; empty: the dataset's."""
    npz: bool = False
    """Write the raw maps too."""


def explain_pictures(experiment: Experiment, workdir: Path, request: Request) -> Path:
    """Write `index.html`, a PNG and on request an NPZ for each picture, and return the path of the first.

    Raises:
      InputError: no pictures, an unknown class or method, no checkpoint, an output folder with other things in it.
      RunError: at the end, if pictures could not be read; at once, if the folder can no longer be written to.
    """
    if not request.arguments:
        raise InputError("there is nothing to explain: name pictures, folders or globs, as in explain.py photos/*.jpg.")
    if jax.process_count() > 1:
        raise InputError("explain.py works in one process: leave --distributed out.")
    paths = find_pictures(request.arguments, request.output)
    outputs = [request.output / name for name in name_outputs(paths)]
    check_output(request.output, paths)
    names = find_class_names(experiment, request.class_names, workdir)
    classes = parse_classes(request.classes, names) if request.classes else None
    model = load_named(experiment, workdir, names, request.class_names)
    evaluation = experiment.evaluation
    methods = tuple(filter(None, map(str.strip, request.methods.split(",")))) or evaluation.attributions
    explainer = Explainer(model, methods, evaluation.target or None, evaluation.chunk)

    resize, decoding = network_resize(model), Decoding.of(experiment.data)
    counts = PictureCounts()
    index = request.output / "index.html"
    explained: list[Explained] = []
    skipped: list[str] = []
    with writing_to(request.output), tqdm(total=len(paths), desc="explain", bar_format=BAR) as bar:
        try:
            for path, name, output in zip(paths, name_pictures(paths), outputs, strict=True):
                try:
                    picture = read_picture(path, decoding)
                except InputError as error:
                    bar.clear()
                    log.warning("skipped: %s", str(error))  # not the error, which holds the picture
                    skipped.append(str(error))
                    bar.update(1)
                    continue
                counts += picture.counts
                view = prepare(name, picture.image, resize)
                del picture  # before the next one is read
                explained.append(explainer.explain(view, classes, bar.update))
                if len(explained) == 1:  # from now on the folder is known as ours
                    write_gallery(index, experiment, explained, names, skipped)
                Explanation(experiment.model.name, (explained[-1],), names).save(output.with_name(f"{output.name}.png"))
                if request.npz:
                    write_maps(output.with_name(f"{output.name}.npz"), explained[-1], names)
        finally:  # of an interrupted run too
            if explained:
                write_gallery(index, experiment, explained, names, skipped)
    if said := counts.describe(decoding):
        log.info("%s", said)
    if not explained:
        raise RunError("none of the pictures could be read, as said above; nothing was written.")
    if skipped:
        count = "1 picture was" if len(skipped) == 1 else f"{len(skipped)} pictures were"
        raise RunError(f"{count} skipped, as said above. The others are in {index}.")
    return index


def check_output(output: Path, pictures: Sequence[Path]) -> None:
    """Raise `InputError` if something that is not ours could be overwritten, or nothing can be written."""
    try:
        if output.exists() and not output.is_dir():
            raise InputError(f"--output {output} is a file: expected a folder.")
        for picture in pictures:
            if picture.resolve().parent == output.resolve():
                raise InputError(f"--output {output} is where the picture {picture.name} lies: choose another folder.")
        index = output / "index.html"
        is_ours = index.is_file() and GENERATOR.encode() in index.read_bytes()[:1000]
        if output.is_dir() and any(output.iterdir()) and not is_ours:
            raise InputError(
                f"--output {output} holds other things than explanations: choose a new or empty folder, or one that "
                "explain.py has written to."
            )
        try_to_write(output)
    except OSError as error:
        raise InputError(
            f"--output {output} cannot be written to ({error.strerror}): choose another folder."
        ) from error


def try_to_write(folder: Path) -> None:
    """Raise `OSError` if a folder cannot be made or written to; leave nothing behind."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    finally:
        for path in missing:  # the deepest first
            with contextlib.suppress(OSError):
                path.rmdir()


@contextlib.contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Turn what is raised where a folder can no longer be written to into a `RunError`."""
    try:
        yield
    except OSError as error:  # pictures that cannot be read raise others
        raise RunError(f"cannot write to {folder}: {error.strerror or error}.") from error


def write_gallery(
    index: Path, experiment: Experiment, explained: Sequence[Explained], names: Sequence[str], skipped: Sequence[str]
) -> None:
    """Write the gallery of all pictures so far."""
    text = render_gallery(experiment.model.name, explained, names, skipped, has_files=True)
    with replacing(index) as path:
        path.write_text(text, encoding="utf-8")


def write_maps(file: Path, explained: Explained, names: Sequence[str]) -> None:
    """Write one picture's maps as an NPZ.

    Arrays: `<attribution>_<pooling>` float32 [K h w] in 0..1, and beside each `…_nan` and `…_all_negative` bool [K]:
    which are zeros because they were no numbers, or had nothing positive; `classes` int [K] and `class_names` [K] that
    they are of, `probabilities_<pooling>` [C], `block_<n>` [h w], the attention of each block, and `image` uint8
    [H W 3].
    """
    arrays: dict[str, Any] = {
        f"{attribution}_{pooling}": maps for (attribution, pooling), maps in explained.maps.items()
    }
    for name, flags in (("nan", explained.nan), ("all_negative", explained.all_negative)):
        arrays |= {f"{attribution}_{pooling}_{name}": values for (attribution, pooling), values in flags.items()}
    arrays |= {f"probabilities_{pooling}": values for pooling, values in explained.probabilities.items()}
    arrays |= {f"block_{i}": block for i, block in enumerate(explained.blocks, 1)}
    arrays |= {"classes": np.array(explained.classes), "image": explained.pixels}
    arrays["class_names"] = np.array([names[label] for label in explained.classes])
    with replacing(file) as path, path.open("wb") as stream:
        np.savez_compressed(stream, **arrays)
