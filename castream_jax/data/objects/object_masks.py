"""Where the object of a record is: its mask or box, brought to the evaluated square as the image is.

Known features, of which the first that a record has is taken:

    mask, segmentation_mask   an encoded picture of the image's size, as it is stored or, where the image is turned
                              upright, as that is: the object is what is not zero, of any depth. Without zeros and
                              up to 3 it is a trimap of oxford_iiit_pet, 1 object, 2 background, 3 the border between
                              them, which counts as object: it holds the outline, where a good map may well peak
    box, bbox, objects/bbox   (ymin, xmin, ymax, xmax) as shares of the height and width: all boxes together
    class_mask                an encoded picture of the image's size, whose values are classes, a palette's or grey: the
                              object is what `class_values` has at `label`; None for an image that has none. VOC's
                              borders, 255, are of no class

The box of a part, as `head_bbox`, says nothing about the object.
"""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image

from castream_jax.data.objects.box_frames import UPRIGHT, fit_boxes, turn_boxes
from castream_jax.data.pictures.decoding import SIDEWAYS, arrange, attempt, load, turn
from castream_jax.data.pictures.depth import is_deep, values_of
from castream_jax.data.pictures.preprocess import Resize
from castream_jax.errors import InputError
from castream_jax.notices import say_once

log = logging.getLogger(__name__)

MASKS, BOXES = ("mask", "segmentation_mask"), ("box", "bbox")
CLASS_MASK, CLASS_VALUES = "class_mask", "class_values"
WHOSE = "bbox_of"
"""Of a record whose boxes lie beside its dataset: of which objects they are, in words."""
TRUTH = (*MASKS, *BOXES, "objects", CLASS_MASK)
OF_KIND = {"dataset": TRUTH, "masks": (*MASKS, CLASS_MASK), "boxes": (*BOXES, "objects")}
"""By `data.truth`, the features that count."""
ROUNDING = 1e-3
"""How far a share may leave 0..1: datasets round boxes at the edge of a picture."""
FIRST = 100
"""Records from which it is learned what all of them are like."""


def has_truth(record: Mapping[str, Any]) -> bool:
    """Return whether a record, and so every record of its dataset, says where the object is."""
    return bool(name_truth(record))


def knows_truth(records: Any) -> bool:
    """Return whether any record says where its object is: the first ones tell which features all have, and where those
    are masks of classes, which images may lack, the others are asked up to the first that has one.
    """
    if not any(map(has_truth, first_records(records))):
        return False
    return any(record.get(CLASS_MASK, b"") is not None for record in readable(records))


def name_truth(record: Mapping[str, Any]) -> str:
    """Return in words which feature of a record says where its object is; empty if none does."""
    if any(name in record for name in MASKS):
        return "masks"
    if any(name in record for name in BOXES) or "bbox" in record.get("objects", ()):
        return f"boxes beside the dataset, of {record[WHOSE]}" if WHOSE in record else "boxes"
    return "masks" if CLASS_MASK in record else ""


def choose_truth(record: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return a record without what says in another way than is asked for where its object is (`OF_KIND`)."""
    left_out = set(TRUTH) - set(OF_KIND[kind])
    return {name: value for name, value in record.items() if name not in left_out} if left_out else record


def first_records(records: Any) -> Iterator[dict[str, Any]]:
    """Yield those of the first records that storage has, as `readable`."""
    return readable(records, FIRST)


def readable(records: Any, most: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield those records, of the first ones or all, that storage has; the others are reported where they are read."""
    for index in range(len(records) if most is None else min(len(records), most)):
        try:
            record = records[index]
        except Exception:  # storage raises whatever it stumbles on
            continue
        yield record


def object_mask(
    record: Mapping[str, Any], size: tuple[int, int], resize: Resize, orientation: int = 1, turned: bool = False
) -> Bool[np.ndarray, "S S"] | None:
    """Return where the object is in the square that `resize` makes of the record's picture; None if not known.

    It may be empty: an object can lie outside of the square that is cut out.

    Args:
      record: pictures in it are still encoded.
      size: width and height of the record's picture, as it is used.
      resize: how that picture becomes a square. Masks take the nearest pixel, at the same places.
      orientation: what EXIF says of the stored picture, 1 to 8.
      turned: the picture has been turned upright by it. Boxes that the dataset holds are of the picture as stored, as
        it is read where datasets are made; a file beside it says its picture's size, which tells (`box_frames`).

    Raises:
      InputError: a mask that cannot be read, is not of the picture's size, or may be upright or not; boxes of a picture
        of another shape.
    """
    if not has_truth(record):
        return None
    name = next((name for name in (*MASKS, *BOXES) if name in record), "")
    if not name and "objects" not in record:
        name = CLASS_MASK
    if name in (*MASKS, CLASS_MASK):
        if record[name] is None:
            return None
        try:
            value = record[CLASS_VALUES][record["label"]] if name == CLASS_MASK else None
            mask = decode_mask(record[name], size, orientation if turned else None, value)
        except InputError as error:
            raise InputError(f"cannot read its {name}: {error}") from error
        if mask.shape != (size[1], size[0]):
            raise InputError(
                f"{name} is {mask.shape[1]}x{mask.shape[0]} and the picture {size[0]}x{size[1]}: expected equal sizes."
            )
    else:
        boxes = record[name] if name else record["objects"]["bbox"]
        mask = fill_boxes(bring_boxes(record, boxes, size, orientation, turned), size)
    return np.array(resize.nearest(Image.fromarray(mask)))


def bring_boxes(
    record: Mapping[str, Any], boxes: Any, size: tuple[int, int], orientation: int, turned: bool
) -> Float[np.ndarray, "n 4"]:
    """Return a record's boxes in the frame of its picture; arguments are those of `object_mask`."""
    if "bbox_size" not in record:
        return turn_boxes(check_shares(boxes), UPRIGHT[orientation if turned else 1])
    file, said = record["bbox_file"], record["bbox_size"]
    try:
        fitted = fit_boxes(boxes, said, size, orientation, turned)
    except InputError as error:
        raise InputError(f"{file}: {error}.") from None
    if sorted(said) != sorted(size):
        sizes = f"{said[0]}x{said[1]}, {size[0]}x{size[1]}"
        text = f"{file} is of a picture of another size and the same shape ({sizes}), as of a resized copy"
        say_once(log, f"{text}: its boxes are taken as shares of the sides, as those of all such files.", "sizes")
    return fitted


def check_shares(boxes: Any) -> Float[np.ndarray, "n 4"]:
    """Return the boxes of a dataset, (ymin, xmin, ymax, xmax), or raise `InputError` if they are no shares of sides."""
    shares = np.asarray(boxes, np.float64).reshape(-1, 4)
    is_share = (shares >= -ROUNDING) & (shares <= 1 + ROUNDING)  # NaN is not
    wrong = shares[~(is_share.all(1) & (shares[:, :2] <= shares[:, 2:]).all(1))]
    if len(wrong):
        raise InputError(
            f"a box is {wrong[0].tolist()}: expected (ymin, xmin, ymax, xmax) as shares of the sides, 0 to 1."
        )
    return shares


def decode_mask(
    encoded: bytes, size: tuple[int, int] = (0, 0), orientation: int | None = None, value: int | None = None
) -> Bool[np.ndarray, "H W"]:
    """Return where the object is in an encoded mask or trimap of a picture.

    Of a picture that was turned, a mask that has no orientation of its own is turned with it if it has the size of the
    picture as stored, and stays if it has the size of the upright one.

    Args:
      encoded: the mask.
      size: of the picture, as it is used.
      orientation: by which the picture was turned upright; None: pictures stay as stored.
      value: what the object is in the mask; None: what is not zero, or not 2 of a trimap.

    Raises:
      InputError: it cannot be read, has both sizes, or is in colours where a value is asked for.
    """
    loaded = attempt(lambda: load(encoded))
    if value is not None and not (loaded.image.mode in ("P", "L") or is_deep(loaded.image)):
        raise InputError(
            f"it is of mode {loaded.image.mode}, whose colours are no classes: expected a palette's numbers or grey, "
            "as the dataset has them. Saving it in colours loses them: take it from the dataset again."
        )
    values = attempt(lambda: values_of(loaded.image))
    is_trimap = values.min() >= 1 and values.max() <= 3
    is_object = values != 2 if is_trimap else values > 0
    mask = Image.fromarray(is_object if value is None else values == value)
    if orientation is None:
        return np.array(arrange(mask, loaded.orientation, loaded.is_upright, "stored"))
    if loaded.orientation != 1 or orientation == 1:
        return np.array(arrange(mask, loaded.orientation, loaded.is_upright, "upright"))
    stored = size[::-1] if orientation in SIDEWAYS else size
    if mask.size == stored == size:
        raise InputError(
            f"the picture is turned by its EXIF orientation, {orientation}, and the mask, of the same size, does not "
            "say whether it is of the upright picture or of the stored one. Save the picture upright, or set "
            "data.orientation=stored if the mask is of the stored one."
        )
    return np.array(turn(mask, orientation) if mask.size == stored else mask)


def fill_boxes(boxes: Any, size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
    """Return the pixels of a picture of that width and height whose centres lie in any box, [4] or [n 4]."""
    width, height = size
    ymin, xmin, ymax, xmax = np.asarray(boxes, np.float64).reshape(-1, 4, 1).swapaxes(0, 1)  # [n 1] each
    y, x = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
    rows, columns = (ymin <= y) & (y < ymax), (xmin <= x) & (x < xmax)  # [n H], [n W]
    return rows.T @ columns  # of truth values: whether any box holds both
