"""What users hand over as images, labels and maps: arrays of any kind, checked against what is known of them."""

import logging
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, UInt8

from castream_jax.errors import InputError
from castream_jax.models.inputs import Normalisation
from castream_jax.models.network import Network

log = logging.getLogger(__name__)

MARGIN = 0.1
"""How far a pixel may leave 0..1, before it is normalised: what antialiased resizing and adversarial noise add."""
FEWEST_ROWS = 4
"""No picture has so few: they are channels."""
ROUNDING = 1e-6
"""How far a map may leave 0..1, and is clipped."""


def to_array(what: str, value: Any, expected: str = "an array of numbers") -> np.ndarray:
    """Return numbers as an array of numpy: of numpy or JAX, tensors of torch, nested lists.

    Raises:
      InputError: entries of different shapes, or no numbers.
    """
    try:
        value = [_leave_graph(entry) for entry in value] if isinstance(value, list | tuple) else _leave_graph(value)
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        shapes = _shapes(value)
        if len(shapes) > 1:
            raise InputError(
                f"{what} have entries of different shapes, {' and '.join(map(str, shapes[:3]))}: expected one shape. "
                "Bring them to one size, or hand them over one by one."
            ) from error
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{what} are {type(value).__name__}, not an array of numbers: {reason}") from error
    if array.dtype.kind not in "biuf" and not jnp.issubdtype(array.dtype, jnp.floating):  # bfloat16 has no kind
        kind = {"O": "objects", "U": "text", "S": "text", "c": "complex numbers"}.get(array.dtype.kind, "no numbers")
        example = f", such as {array.flat[0]!r:.60}" if array.size else ""
        raise InputError(f"{what} are {kind}{example}: expected {expected}.")
    return array


def _leave_graph(value: Any) -> Any:
    """Return a tensor of torch as numpy can read it: without its gradient, in memory, of a dtype that numpy has."""
    if hasattr(value, "detach"):
        value = value.detach()
    if hasattr(value, "cpu"):
        value = value.cpu()
    return value.float() if str(getattr(value, "dtype", "")) == "torch.bfloat16" else value


def _shapes(entries: Any) -> list[tuple[int, ...]]:
    """Return the different shapes of the entries of a list; none where they have none."""
    try:
        return list(dict.fromkeys(np.shape(entry) for entry in entries))
    except (TypeError, ValueError, RuntimeError):
        return []


def check_images(model: Network, images: Any) -> Float[np.ndarray, "B H W C"]:
    """Return a network's images as float32, or raise `InputError`; what is possible but improbable is warned of."""
    pixels = to_array("images", images)
    check_shape(pixels, model.normalisation.channels)
    if not jnp.issubdtype(pixels.dtype, jnp.floating):
        raise InputError(
            f"images are {pixels.dtype}: expected normalised floats, (pixels / 255 - mean) / std, "
            "as model.normalisation makes them of uint8."
        )
    with np.errstate(over="ignore"):  # to infinity, which is refused
        pixels = pixels.astype(np.float32, copy=False)
    if not (np.isfinite(pixels.min()) and np.isfinite(pixels.max())):
        bad = np.flatnonzero(~np.isfinite(pixels).all((1, 2, 3))).tolist()
        raise InputError(f"images {bad} of the batch hold NaN or infinite pixels: expected finite values of float32.")
    check_range(pixels, model.normalisation, model.name)
    return pixels


def check_shape(pixels: np.ndarray, channels: int = 3) -> None:
    """Raise `InputError` unless an array is [B H W channels] for all that can be known."""
    shape = pixels.shape
    may_be_first = channels <= FEWEST_ROWS and len(shape) == 4 and shape[1] == channels
    if len(shape) == 4 and shape[-1] == channels and not may_be_first and pixels.size:
        return
    raise InputError(
        f"images have shape {shape}: expected [B H W {channels}], channels last, B at least 1."
        f"{_advise(shape, channels)}"
    )


def _advise(shape: tuple[int, ...], channels: int) -> str:
    """Return what may be done about images of a wrong shape."""
    if len(shape) == 4 and shape[1] == channels:
        return f" With {channels} rows they look channels first: give images.transpose(0, 2, 3, 1)."
    if len(shape) == 4 and (shape[-1], channels) == (1, 3):
        return " Of grey, give np.repeat(pixels, 3, axis=-1), normalised after that."
    if len(shape) == 4 and (shape[-1], channels) == (4, 3):
        return " Put what has an alpha channel on white first, and leave the channel out."
    if len(shape) == 3 and channels == 1:
        return " Give images[..., None], or of a single one that has its channel, images[None]."
    if len(shape) == 3 and channels in (shape[0], shape[-1]):
        return f" A single one goes in as {'images' if shape[-1] == channels else 'images.transpose(1, 2, 0)'}[None]."
    return ""


def check_range(images: Float[np.ndarray, "B H W C"], normalisation: Normalisation, name: str) -> None:
    """Raise `InputError` for what no normalised pixel can be, but for `MARGIN`; warn of a batch in 0..1 or -1..1."""
    mean, std = np.array(normalisation.mean), np.array(normalisation.std)
    low, high = -mean / std, (1 - mean) / std
    least, most = images.min(), images.max()
    possible = f"{low.min():.3g}..{high.max():.3g}"
    advice = (
        f"Normalise uint8 pixels once: model.normalisation(pixels), (pixels / 255 - mean) / std with {normalisation}."
    )
    lowest, highest = low - MARGIN / std, high + MARGIN / std
    is_clear = least >= lowest.max() and most <= highest.min()  # for every colour: nearly all batches
    wrong = None if is_clear else ((images.min((1, 2)) < lowest) | (images.max((1, 2)) > highest)).any(1)  # [B]
    if wrong is not None and wrong.any():
        raise InputError(
            f"images {np.flatnonzero(wrong).tolist()} of the batch are in {least:.3g}..{most:.3g}: a pixel that is "
            f"normalised for {name} is in {possible}. {advice}"
        )
    for start, spread in ((0, 0.5), (-1, 1.8)):  # of a batch that is no single colour; that reaches both ends
        slack = MARGIN * (1 - start)
        is_within = least >= start - slack and most <= 1 + slack and most - least > spread
        if is_within and (high - low).min() > 1.5 * (1 - start) + slack:
            log.warning(
                "all images of the batch are in %.3g..%.3g, as pixels in %d..1 are. Normalised for %s they are in %s, "
                "of which pictures use most. %s",
                *(least, most, start, name, possible, advice),
            )
            return


def check_labels(model: Network, labels: Any, count: int) -> Int[np.ndarray, "B"]:
    """Return the labels of `count` images as integers, or raise `InputError`."""
    if labels is None:
        raise InputError(
            f"labels are None: expected {count} integers, one for each image. The predicted ones are "
            "model(images).argmax(-1)."
        )
    classes = to_array("labels", labels, "integers; of a class by name, its place in the list of the names")
    is_whole = np.issubdtype(classes.dtype, np.integer)
    if classes.shape != (count,) or not is_whole:
        advice = ""
        if classes.ndim == 2 and classes.shape[0] == count:
            advice = " Of one-hot labels or probabilities, give labels.argmax(-1)."
        elif classes.shape == (count,):
            advice = " If they are whole numbers, give them as integers."
        kind = f"{classes.dtype} of shape {classes.shape}"
        raise InputError(f"labels are {kind}: expected {count} integers, one for each image.{advice}")
    if classes.min() < 0 or classes.max() >= model.num_classes:
        wrong = classes[(classes < 0) | (classes >= model.num_classes)][0]
        raise InputError(f"label {wrong} is out of range: {model.name} has classes 0 to {model.num_classes - 1}.")
    return classes.astype(np.int32)


def check_maps(maps: Any, count: int) -> Float[np.ndarray, "B h w"]:
    """Return the maps of `count` images in 0..1, or raise `InputError`; what leaves it by rounding is clipped."""
    values = to_array("maps", maps)
    if values.ndim != 3 or len(values) != count or not values.size:
        advice = ""
        if values.ndim == 4 and 1 in (values.shape[1], values.shape[3]):
            advice = f" Give {'maps[:, 0]' if values.shape[1] == 1 else 'maps[..., 0]'}."
        elif values.ndim == 2 and count == 1:
            advice = " A single one goes in as maps[None]."
        raise InputError(f"maps have shape {values.shape}: expected [B h w] with B = {count}, as the images.{advice}")
    if jnp.issubdtype(values.dtype, jnp.floating) and not np.isfinite(values).all():
        bad = np.flatnonzero(~np.isfinite(values).all((1, 2))).tolist()
        raise InputError(f"maps {bad} hold NaN or infinities: expected finite values in 0..1. Leave these images out.")
    least, most = float(values.min()), float(values.max())
    if least < -ROUNDING or most > 1 + ROUNDING:
        advice = "min-max each, (map - map.min()) / (map.max() - map.min())"
        if least < -ROUNDING:
            advice = "of signed maps take the positive part, np.maximum(maps, 0), and then min-max each"
        elif not jnp.issubdtype(values.dtype, jnp.floating) or most > 50:
            advice = "divide heat maps in 0..255 by 255"
        raise InputError(f"maps are in {least:.4g}..{most:.4g}: expected values in 0..1; {advice}.")
    return np.clip(values.astype(np.float32), 0, 1)


def check_pixels(images: Any, channels: int = 3) -> UInt8[np.ndarray, "B H W C"] | None:
    """Return images of uint8 as an array, None for others, or raise `InputError`."""
    pixels = to_array("images", images)
    if pixels.dtype != np.uint8:
        return None
    check_shape(pixels, channels)
    return pixels
