"""The public surface for one model: its maps, what they are worth, and pictures of them.

Maps and measures of several images are computed on all of this process's devices, each with its own images.
"""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from PIL import Image
from tqdm import tqdm

from castream_jax.data.decoding import AS_SEEN, Decoding, PictureCounts
from castream_jax.data.preprocess import Resize
from castream_jax.errors import InputError, choose
from castream_jax.evaluation import maps as attribution_maps
from castream_jax.evaluation.chunk import check_chunk, choose_chunk
from castream_jax.evaluation.measures import measure_maps
from castream_jax.explanation.classes import find_label
from castream_jax.explanation.figure import Explanation
from castream_jax.explanation.maps import BAR, Explained, Explainer
from castream_jax.explanation.pictures import convert_picture, name_pictures, prepare, read_picture
from castream_jax.metrics.protocol import Protocol, get_protocol
from castream_jax.models.classifier import Classifier
from castream_jax.placement import compute_on_devices

log = logging.getLogger(__name__)


def attribute(
    model: Classifier,
    images: Any,
    labels: Any,
    method: str,
    target: str | None = None,
    chunk: int = 0,
) -> Array:
    """Return saliency maps [B h w], float32 in [0, 1], at the resolution of the feature map.

    Args:
      model: the network to explain.
      images: [B H W 3] normalised float32 images.
      labels: [B] the class to explain for each image. Raw attention is the same for every class.
      method: "grad_cam", "grad_cam_pp", "score_cam", "attention", or "attention_scores" (before the softmax).
      target: the feature map that CAMs start from; by default the paper's: "stage4" for ResNet, "branch"
        (inside the last block) for ConvNeXt, which also offers "stage4".
      chunk: masked images in one forward pass of Score-CAM; 0: what suits the device's memory.

    Raises:
      InputError: an unknown method or target, a label out of range, NaN pixels, wrong shapes.

    Source: METHOD 2.
    """
    choose("method", method, attribution_maps.METHODS)
    attribution_maps.check_method(method, model)
    images, labels = _check_batch(model, images, labels, chunk)
    if method == "score_cam":
        chunk = chunk or choose_chunk(model, (images.shape[1], images.shape[2]))
    return compute_on_devices(_attribute, model, (images, labels), method, model.target(target), chunk)


def _attribute(network, images, labels, method, target, chunk):
    found = attribution_maps.compute_maps(
        {"": network}, images, network.features(images), {"": labels}, [method], target, chunk
    )
    return found.maps[method, ""]


def explain(
    model: Classifier,
    images: Any,
    labels: Any = None,
    methods: str | Sequence[str] = ("grad_cam", "grad_cam_pp", "score_cam", "attention"),
    class_names: Iterable[str] = (),
    size: int = 224,
    target: str | None = None,
    chunk: int = 0,
) -> Explanation:
    """Return what a network sees in some pictures, GAP and CA, as a figure that a notebook draws.

    Args:
      model: the network to explain; its GAP network beside it, if it has a stream.
      images: [B H W 3], normalised floats or uint8, taken as they are; or a picture or several, each squashed to
        `size` x `size`: paths of files or pictures of Pillow, which are turned upright and put on white, or as the
        model's `preprocessing` says.
      labels: what to explain in each image, a class or several, by label or by name; for a single image also one class.
        None, for all or for one image: the predicted class of each pooling is drawn, and the next ones are in the
        gallery.
      methods: one or several, as for `attribute`; raw attention is left out where there is no stream.
      class_names: by label; without them, classes are called by their labels.
      size: the side of the square that pictures are squashed to.
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
    names = tuple(map(str, class_names)) or tuple(map(str, range(model.num_classes)))
    if len(names) != model.num_classes:
        raise InputError(f"class_names are {len(names)}: {model.name} has {model.num_classes} classes.")
    explainer = Explainer(model, _listed(methods), target, chunk)
    views = _prepare_arrays(model, images) if hasattr(images, "shape") else _prepare_pictures(model, images, size)
    chosen = _list_labels(labels, len(views), names)
    found: list[Explained] = []
    with tqdm(total=len(views), desc="explain", bar_format=BAR, leave=False) as bar:
        for (name, pixels, ratio, normalised), classes in zip(views, chosen, strict=True):
            found.append(explainer.explain(name, pixels, ratio, classes, bar.update, normalised))
    return Explanation(model.name, tuple(found), names)


View = tuple[str, np.ndarray, float, Array | None]
"""A name, uint8 pixels, the height over width to show them in, and the normalised image where that came first."""


def _prepare_arrays(model: Classifier, images: Any) -> list[View]:
    """Return images [B H W 3] ready to be explained."""
    pixels = np.asarray(images)
    if pixels.dtype == np.uint8 and pixels.ndim == 4 and pixels.shape[-1] == 3 and pixels.size:
        return [(f"image {i}", image, image.shape[0] / image.shape[1], None) for i, image in enumerate(pixels)]
    normalised, _ = _check_batch(model, images, np.zeros(pixels.shape[:1], np.int32), 0)
    mean, std = np.array(model.normalisation.mean, np.float32), np.array(model.normalisation.std, np.float32)
    shown = (np.clip(np.asarray(normalised) * std + mean, 0, 1) * 255).round().astype(np.uint8)
    ratio = shown.shape[1] / shown.shape[2]
    return [(f"image {i}", image, ratio, normalised[i : i + 1]) for i, image in enumerate(shown)]


def _prepare_pictures(model: Classifier, pictures: Any, size: int) -> list[View]:
    """Return pictures, one or many, ready to be explained; say what was done about orientation and transparency."""
    many = _listed(pictures)
    if not many:
        raise InputError("there are no images to explain.")
    paths = [Path(item) if isinstance(item, str | Path) else Path(f"image {i}") for i, item in enumerate(many)]
    known = model.preprocessing
    decoding = Decoding(known.orientation, known.transparency) if known else AS_SEEN
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
        views.append((name, *prepare(picture.image, Resize(size, "squash")), None))
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


def evaluate_maps(
    model: Classifier, images: Any, labels: Any, maps: Any, protocol: str | Protocol = "castream", chunk: int = 0
) -> dict[str, Array]:
    """Return what each map is worth to the model, as arrays with one entry for each image.

    Args:
      model: the network that the maps explain.
      images: [B H W 3] normalised float32 images.
      labels: [B] the classes whose probability is measured.
      maps: [B h w] saliency maps in [0, 1], upsampled to the images here.
      protocol: "castream", "rise", or a `Protocol`. The class is `labels` under every protocol.
      chunk: images in one forward pass; 0: what suits the device's memory.

    Returns:
      `average_drop`, `average_gain`, `average_increase`, `insertion`, `deletion` (fractions, [B]),
      `insertion_curve`, `deletion_curve` (probabilities, [B points]), and the `probability` and
      `masked_probability` they come from.

    Raises:
      InputError: an unknown protocol, a label out of range, NaN pixels, maps out of range, wrong shapes.

    Source: METHOD 3.
    """
    protocol = get_protocol(protocol) if isinstance(protocol, str) else protocol
    images, labels = _check_batch(model, images, labels, chunk)
    chunk = chunk or choose_chunk(model, (images.shape[1], images.shape[2]))
    maps = np.asarray(maps, np.float32)
    if maps.ndim != 3 or len(maps) != len(images) or not maps.size:
        raise InputError(f"maps have shape {maps.shape}: expected [B h w] with B = {len(images)}, as the images.")
    if not (np.isfinite(maps).all() and maps.min() >= 0 and maps.max() <= 1):
        raise InputError(f"maps are in {np.min(maps)}..{np.max(maps)}: expected finite values in 0..1 (min-max them).")
    return compute_on_devices(_evaluate, model, (images, labels, jnp.asarray(maps)), protocol, chunk)


def _evaluate(network, images, labels, maps, protocol, chunk):
    source = jnp.arange(len(images))
    score_fn = attribution_maps.joint_probabilities([network])
    return measure_maps(score_fn, images, maps, source, labels, protocol, network.normalisation, chunk)


def _check_batch(model: Classifier, images: Any, labels: Any, chunk: int) -> tuple[Array, Array]:
    """Return images and labels as arrays on the device, or raise `InputError`."""
    pixels, classes = np.asarray(images), np.asarray(labels)
    check_chunk(chunk)
    if pixels.ndim != 4 or pixels.shape[-1] != 3 or not pixels.size:
        raise InputError(f"images have shape {pixels.shape}: expected [B H W 3], channels last, B at least 1.")
    if not np.issubdtype(pixels.dtype, np.floating):
        raise InputError(f"images are {pixels.dtype}: expected normalised floats, (pixels / 255 - mean) / std.")
    if not np.isfinite(pixels).all():
        bad = sorted(set(np.argwhere(~np.isfinite(pixels))[:, 0].tolist()))
        raise InputError(f"images {bad} of the batch hold NaN or infinite pixels: expected finite values.")
    if classes.shape != pixels.shape[:1] or not np.issubdtype(classes.dtype, np.integer):
        raise InputError(
            f"labels are {classes.dtype} of shape {classes.shape}: expected {len(pixels)} integers, one for each image."
        )
    if classes.min() < 0 or classes.max() >= model.num_classes:
        wrong = classes[(classes < 0) | (classes >= model.num_classes)][0]
        raise InputError(f"label {wrong} is out of range: {model.name} has classes 0 to {model.num_classes - 1}.")
    return jnp.asarray(pixels, jnp.float32), jnp.asarray(classes, jnp.int32)
