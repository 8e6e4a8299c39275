"""What goes to the page, as `interface.js.jinja` reads it: plain values, whose texts it shows as texts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from castream_jax.app.viewer import Choice, Found, Opened, Viewer
from castream_jax.app.worker import Progress
from castream_jax.drawing.page import show_controls, to_base64, to_jpeg
from castream_jax.explanation.explainer import LISTED, rank
from castream_jax.explanation.gallery import encode_picture, round_probability
from castream_jax.models.answers import NOTHING
from castream_jax.wording import NOT_A_NUMBER, is_of_class, name_attribution, name_class, name_pooling

Value = dict[str, Any]

THUMBNAIL = 160
"""Pixels of an example's sides in the list."""


def describe_opened(opened: Opened) -> Value:
    """Return the picture itself."""
    shown = opened.view.pixels if opened.view.shown is None else opened.view.shown
    return {"number": opened.number, "source": encode_picture(shown), "name": show_controls(opened.view.name)}


def describe_examples(photographs: Sequence[Path]) -> list[Value]:
    """Return the examples as they stand in the list."""
    found = []
    for path in photographs:
        with Image.open(path) as image:
            small = ImageOps.fit(image.convert("RGB"), (THUMBNAIL, THUMBNAIL))
        found.append({"name": path.stem, "source": to_jpeg(small, quality=85)})
    return found


def describe_answers(viewer: Viewer, opened: Opened) -> Value:
    """Return the most probable classes under each pooling, and what a pooling without an answer says."""
    probabilities = opened.probabilities
    silent = [pooling for pooling, values in probabilities.items() if not np.isfinite(values).all()]
    return {
        "name": show_controls(opened.view.name),
        "poolings": [name_pooling(pooling) for pooling in probabilities],
        "classes": [
            {
                "label": label,
                "name": show_controls(viewer.class_names[label]),
                "shares": [round_probability(values[label]) for values in probabilities.values()],
            }
            for label in rank(probabilities)[:LISTED]
        ],
        "said": "; ".join(f"{name_pooling(pooling)} predicts: {NOT_A_NUMBER}" for pooling in silent),
    }


def name_choice(viewer: Viewer, choice: Choice) -> str:
    """Return a map's name, as in "Grad-CAM, GAP, for class tabby cat"."""
    of = f", for class {name_class(choice.label, viewer.class_names)}" if is_of_class(choice.method) else ""
    return str(show_controls(f"{name_attribution(choice.method)}, {name_pooling(choice.pooling)}{of}"))


def describe_map(viewer: Viewer, opened: Opened, choice: Choice, found: Found) -> Value:
    """Return one map, as bytes 0 to 255 at its own resolution."""
    height, width = found.map.shape
    values = (np.nan_to_num(found.map) * 255).round().astype(np.uint8)
    return {
        "picture": opened.number,
        "map": {"h": height, "w": width, "bytes": to_base64(values.tobytes())},
        "title": name_choice(viewer, choice),
        "said": found.remark,
        "busy": False,
    }


def describe_waiting(viewer: Viewer, opened: Opened, choice: Choice, progress: Progress, expected: float) -> Value:
    """Return what stands over the picture while its map is computed: what is done, and about how long that takes.

    Args:
      viewer, opened, choice: the map.
      progress: how far it is.
      expected: seconds that the method takes to compile; 0.0: it is compiled.
    """
    name = name_attribution(choice.method)
    if progress.share > 0.02:
        left = progress.seconds * (1 - progress.share) / progress.share
        said = f"{name}: {progress.share:.0%}" + (f", about {left:.0f} s more" if left >= 2 and not expected else "")
    elif expected:
        said = f"Compiling {name}, about {max(1, round(expected))} s, this once"
    else:
        said = f"{name} …"
    return describe_said(opened.number, said, busy=True) | {"title": name_choice(viewer, choice)}


def describe_said(picture: int, said: str, busy: bool = False) -> Value:
    """Return a panel that has no map, and why."""
    return {"picture": picture, "map": None, "title": "", "said": said, "busy": busy}


def first_choices(viewer: Viewer) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return the methods and poolings of the two maps that are shown first.

    Of a network with a stream, one method under its first two poolings; else, two methods.
    """
    first = viewer.keys[0]
    same = [key for key in viewer.keys[1:] if key[0] == first[0]]
    return first, (same or [key for key in viewer.keys if key[0] != first[0]] or [first])[0]


def predicted(opened: Opened, pooling: str) -> int:
    """Return the class that a pooling predicts; one of another where it has no answer."""
    values = opened.probabilities[pooling]
    answer = int(values.argmax()) if np.isfinite(values).all() else NOTHING
    return answer if answer >= 0 else rank(opened.probabilities)[0]
