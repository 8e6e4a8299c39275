"""The gallery: one HTML file to look through pictures and their maps, which needs no other file and no network.

Each picture is in it once, and its maps as bytes at their own resolution; the page interpolates and colours them as
`drawing.overlay` does.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from castream_jax.drawing.overlay import COLOURS, HEAT, LIFT
from castream_jax.drawing.page import load_template, to_base64, to_jpeg
from castream_jax.explanation.explainer import LISTED, Explained, rank
from castream_jax.version import VERSION
from castream_jax.wording import NOT_A_NUMBER, is_of_class, name_attribution, name_pooling, order_pairs, order_poolings

GENERATOR = "castream_jax explain"
"""By which a page of ours is known."""
QUALITY = 92
"""Of the JPEG that a picture is sent as."""
NARROWEST, WIDEST = 10.0, 0.1
"""Height over width of the most extreme shapes that a picture is shown in."""


def render_gallery(
    network: str,
    pictures: Sequence[Explained],
    class_names: Sequence[str],
    skipped: Sequence[str] = (),
    has_files: bool = False,
) -> str:
    """Return the gallery as one HTML document.

    Args:
      network: its name.
      pictures: explained by the same methods and poolings.
      class_names: by label.
      skipped: what to say of pictures that could not be read.
      has_files: a PNG of each picture lies beside the document.
    """
    attributions = order_pairs(list(pictures[0].maps)) if pictures else {}
    poolings = order_poolings(list(pictures[0].probabilities)) if pictures else []
    data = {
        "poolings": [name_pooling(pooling) for pooling in poolings],
        "pictures": [describe_picture(picture, class_names, poolings) for picture in pictures],
        **describe_colours(),
        "same_classes": len({picture.classes for picture in pictures}) == 1,
    }
    return load_template(Path(__file__).with_name("gallery.html.jinja")).render(
        generator=GENERATOR,
        version=VERSION,
        network=network,
        count=len(pictures),
        attributions=[
            (name_attribution(attribution), [(f"{attribution}/{pooling}", name_pooling(pooling)) for pooling in found])
            for attribution, found in sorted(attributions.items(), key=lambda item: is_of_class(item[0]))
        ],
        poolings=data["poolings"],
        skipped=skipped,
        view=describe_view(pictures, in_full=True) if pictures else "",
        has_files=has_files,
        data=data,
    )


def describe_colours() -> dict[str, Any]:
    """Return the colours of maps, and how they cover a picture, as pages read them (`drawing/overlay.js.jinja`)."""
    colours = (COLOURS(np.arange(256))[:, :3] * 255).round().astype(np.uint8)
    return {"colours": to_base64(colours.tobytes()), "heat": HEAT, "lift": LIFT}


def describe_view(pictures: Sequence[Explained], in_full: bool = False) -> str:
    """Say what is shown of the pictures: what the network saw, or where it is kept the picture itself, `in_full`."""
    sizes = {picture.pixels.shape[:2] for picture in pictures}
    size = ", ".join(f"{width} x {height}" for height, width in sorted(sizes))
    if in_full and any(picture.view.shown is not None for picture in pictures):
        return f"Shown is what the network saw of it, in the picture's own resolution; it saw {size} pixels."
    is_stretched = any(abs(p.ratio / (p.pixels.shape[0] / p.pixels.shape[1]) - 1) > 0.01 for p in pictures)
    shape = ", stretched back to the shape of the picture" if is_stretched else ""
    return f"Shown is what the network saw: {size} pixels{shape}."


def describe_picture(picture: Explained, class_names: Sequence[str], poolings: Sequence[str]) -> dict[str, Any]:
    """Return a picture as the page reads it, its probabilities in the order of the poolings."""
    listed = [*picture.classes, *(label for label in rank(picture.probabilities)[:LISTED])]
    highest = np.max([np.nan_to_num(values) for values in picture.probabilities.values()], axis=0)
    order = sorted(dict.fromkeys(listed), key=lambda label: -highest[label])
    silent = [pooling for pooling, label in picture.predicted.items() if label < 0]
    return {
        "name": picture.name,
        "image": encode_picture(picture.pixels if picture.view.shown is None else picture.view.shown),
        "input": None if picture.view.shown is None else encode_picture(picture.pixels),
        "ratio": round(min(max(picture.view.ratio, WIDEST), NARROWEST), 4),
        "classes": [
            {
                "name": class_names[label],
                "place": picture.classes.index(label) if label in picture.classes else None,
                "probabilities": [round_probability(picture.probabilities[pooling][label]) for pooling in poolings],
            }
            for label in order
        ],
        "maps": {
            "/".join(key): encode_maps(key[0], maps)
            | {"remarks": [picture.remark(key, k) for k in range(len(picture.classes))]}
            for key, maps in picture.maps.items()
        },
        "answer": "; ".join(f"{name_pooling(pooling)} predicts: {NOT_A_NUMBER}" for pooling in silent),
    }


def round_probability(probability: float | np.float32) -> float | None:
    """Return a probability as JSON can hold it: None where it is not finite."""
    return round(float(probability), 5) if np.isfinite(probability) else None


def encode_maps(attribution: str, maps: Float[np.ndarray, "K h w"]) -> dict[str, Any]:
    """Return the maps of K classes as bytes 0 to 255, 0 for NaN; raw attention once, being the same for every class."""
    kept = maps if is_of_class(attribution) else maps[:1]
    values = (np.nan_to_num(kept) * 255).round().astype(np.uint8)
    return {"size": list(maps.shape[1:]), "bytes": to_base64(values.tobytes())}


def encode_picture(pixels: UInt8[np.ndarray, "H W 3"]) -> str:
    """Return a picture as the data URI of a JPEG, its colours at full resolution."""
    return to_jpeg(Image.fromarray(pixels), QUALITY, subsampling=0)
