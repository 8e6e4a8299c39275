"""What a network sees in some pictures or arrays, as a figure that a notebook draws."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from PIL import Image
from tqdm import tqdm

from castream_jax.binding.arrays import check_images, check_pixels
from castream_jax.data.classes.imagenet_names import put_in_words
from castream_jax.data.pictures.decoding import Decoding, PictureCounts
from castream_jax.data.pictures.preprocess import Resize
from castream_jax.errors import InputError
from castream_jax.explanation.classes import find_label
from castream_jax.explanation.explainer import BAR, Explained, Explainer
from castream_jax.explanation.figure import Explanation
from castream_jax.explanation.pictures import convert_picture, name_pictures, read_picture
from castream_jax.explanation.view import View, prepare
from castream_jax.models.inputs import USUAL_SIZE, Preprocessing
from castream_jax.models.network import Network

log = logging.getLogger(__name__)


def explain(
    model: Network,
    images: Any,
    labels: Any = None,
    methods: str | Sequence[str] = ("grad_cam", "grad_cam_pp", "score_cam", "attention"),
    class_names: Iterable[str] = (),
    size: int | None = None,
    target: str | None = None,
    chunk: int = 0,
) -> Explanation:
    """Return what a network sees in some pictures, GAP and CA, as a figure that a notebook draws.

    Args:
      model: the network to explain; its GAP network beside it, if it has a stream.
      images: [B H W 3], normalised floats or uint8, taken as they are; or a picture or several, paths of files or
        pictures of Pillow, each made into a square as `model.preprocessing` says: that of the weights. Where it is not
        known, they are turned upright, put on white and squashed, which is logged.
      labels: what to explain in each image, a class or several, by label or by name; for a single image also one class.
        None, for all or for one image: the predicted class of each pooling is drawn, and the next ones are in the
        gallery.
      methods: one or several, as for `attribute`; raw attention is left out where there is no stream.
      class_names: by label; without them, those of the weights, or else the labels. WordNet's numbers of ImageNet's
        classes are put into words.
      size: the side of the square that pictures become; None: the weights' own, or 224. Another one is logged.
      target, chunk: as for `attribute`.

    Returns:
      An `Explanation`. `save("x.png")`, `.pdf` or `.html` writes it, the last as a gallery to look through, and
      `pictures[i].maps["grad_cam", "ca"]` are the maps of the classes explained, [K h w] in [0, 1].

    Raises:
      InputError: a picture that cannot be read, a class that is not there, and as for `attribute`.

    Source: METHOD 2, 4.
    """
    if isinstance(class_names, str):
        raise InputError(f"class_names are {class_names!r}: expected the {model.num_classes} names in a list.")
    names = tuple(map(str, class_names)) or put_in_words(model.class_names) or tuple(map(str, range(model.num_classes)))
    if len(names) != model.num_classes:
        raise InputError(f"class_names are {len(names)}: {model.name} has {model.num_classes} classes.")
    explainer = Explainer(model, _listed(methods), target, chunk)
    views = (
        _prepare_arrays(model, images)
        if hasattr(images, "shape")
        else _prepare_pictures(images, settle_size(model, size))
    )
    chosen = _list_labels(labels, len(views), names)
    found: list[Explained] = []
    with tqdm(total=len(views), desc="explain", bar_format=BAR, leave=False) as bar:
        for view, classes in zip(views, chosen, strict=True):
            found.append(explainer.explain(view, classes, bar.update))
    return Explanation(model.name, tuple(found), names)


def _prepare_arrays(model: Network, images: Any) -> list[View]:
    """Return images [B H W 3] ready to be explained."""
    pixels = check_pixels(images)
    if pixels is not None:
        return [View(f"image {i}", image, image.shape[0] / image.shape[1]) for i, image in enumerate(pixels)]
    normalised = jnp.asarray(check_images(model, images))
    mean, std = np.array(model.normalisation.mean, np.float32), np.array(model.normalisation.std, np.float32)
    shown = (np.clip(np.asarray(normalised) * std + mean, 0, 1) * 255).round().astype(np.uint8)
    ratio = shown.shape[1] / shown.shape[2]
    return [View(f"image {i}", image, ratio, images=normalised[i : i + 1]) for i, image in enumerate(shown)]


def settle_size(model: Network, size: int | None) -> Preprocessing:
    """Return how pictures become squares for a network, of another size if one is given; say what is guessed."""
    own = model.preprocessing
    if own is None:
        guess = Preprocessing(USUAL_SIZE if size is None else size)
        log.warning(
            "how pictures became this network's input is not known: turned upright, put on white, squashed to %dx%d, "
            "normalised by mean %s and std %s. If that is wrong, set model.preprocessing and model.normalisation.",
            *(guess.size, guess.size, model.normalisation.mean, model.normalisation.std),
        )
        return guess
    if size in (None, own.size):
        return own
    log.warning("this network was trained on images of %d pixels: size is %d.", own.size, size)
    return own.at(size)


def _prepare_pictures(pictures: Any, preprocessing: Preprocessing) -> list[View]:
    """Return pictures, one or many, ready to be explained; say what was done about orientation and transparency."""
    many = _listed(pictures)
    if not many:
        raise InputError("there are no images to explain.")
    paths = [Path(item) if isinstance(item, str | Path) else Path(f"image {i}") for i, item in enumerate(many)]
    decoding, resize = Decoding.of(preprocessing), Resize.of(preprocessing)
    views: list[View] = []
    counts = PictureCounts()
    for item, path, name in zip(many, paths, name_pictures(paths), strict=True):
        if not isinstance(item, str | Path | Image.Image):
            raise InputError(f"{name} is {type(item).__name__}: expected a file's path or a picture of Pillow.")
        if isinstance(item, Image.Image):
            picture = convert_picture(item, name, decoding)
        else:
            picture = read_picture(path, decoding)
        counts += picture.counts
        views.append(prepare(name, picture.image, resize))
    if said := counts.describe(decoding):
        log.warning("%s", said)
    return views


def _list_labels(labels: Any, count: int, class_names: tuple[str, ...]) -> list[list[int] | None]:
    """Return the labels of the classes to explain in each of some images; None for the predicted ones."""
    if labels is None:
        return [None] * count
    entries = _listed(labels)
    if len(entries) != count:
        said = len(entries) if _is_many(labels) else repr(labels)
        raise InputError(f"labels are {said}: expected one entry for each of the {count} images.")
    return [None if entry is None else _find_labels(entry, class_names) for entry in entries]


def _find_labels(entry: Any, class_names: tuple[str, ...]) -> list[int]:
    """Return one entry of `labels` as labels."""
    classes = _listed(entry)
    if not classes:
        raise InputError("labels has an entry without classes: expected a class or several.")
    for found in classes:
        if not isinstance(found, str) and np.asarray(found).dtype.kind not in "iu":
            raise InputError(f"labels has the entry {found!r}: expected a class by label, an integer, or by name.")
    return [find_label(found if isinstance(found, str) else int(found), class_names) for found in classes]


def _listed(value: Any) -> list[Any]:
    """Return the entries of a value that may be a single entry itself."""
    return list(value) if _is_many(value) else [value]


def _is_many(value: Any) -> bool:
    """Return whether a value has entries; a string has not, nor an array without axes, which looks as if."""
    return isinstance(value, Iterable) and not isinstance(value, str) and getattr(value, "ndim", 1) > 0
