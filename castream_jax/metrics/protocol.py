"""A protocol: every choice that a number depends on, under one name and one hash (METHOD 3).

Numbers of two protocols do not compare. The name and the hash are printed beside every number.
"""

import dataclasses
import hashlib
import json
import math
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.ndimage
from jaxtyping import Float

from castream_jax.errors import InputError, choose

ADDED = ("orientation", "transparency")
"""Choices that came after the first hashes were published, which stand for their defaults."""


@dataclass(frozen=True)
class Protocol:
    """The choices of one protocol.

    The last three can be made in one way only: they are conventions of the code, named here so that the hash covers
    them.

    Raises:
      InputError: a choice that is not implemented, a number out of range, or one that the other choices do not read.
    """

    name: str
    """Of the folder that its reports go to, too: letters, digits, and `_ . + -` after the first."""
    resize: Literal["squash", "crop"]
    """How an image comes to its size: squashed to the square, or shorter side resized and centre cropped."""
    explained_class: Literal["label", "predicted"]
    step_rows: int
    """Pixels that insertion and deletion change in one step, in rows of the image's width."""
    blur_size: int
    """Side of the blur kernel from whose result insertion starts."""
    blur_sigma: float = 5.0
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    """Of images; upsampling of maps is bilinear always."""
    shorter_side: int = 0
    """What a crop resizes the shorter side to; 0: 256/224 of the size."""
    orientation: Literal["upright", "stored"] = "stored"
    """Turn pictures as their EXIF orientation says, or take them as they are stored."""
    transparency: Literal["white", "drop"] = "drop"
    """Put transparent pictures on white, or drop their alpha."""
    mask_space: Literal["pixels", "normalised"] = "pixels"
    """What a map multiplies where a masked image is measured; Score-CAM's own masks multiply pixels always."""
    deletion_end: Literal["zeros in normalised space", "black"] = "zeros in normalised space"
    """What deletion leaves of an image; zeros in normalised space are the mean colour."""
    upsampling: Literal["bilinear, half-pixel centres"] = "bilinear, half-pixel centres"
    ties: Literal["decreasing flat index"] = "decreasing flat index"
    score_cam: Literal["probability, no baseline, aligned corners"] = "probability, no baseline, aligned corners"

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, options = getattr(self, field.name), typing.get_args(field.type)
            if options:
                is_one = isinstance(value, str) and value in options
                self._require(is_one, field.name, f"{' or '.join(map(repr, options))}; nothing else is implemented")
        is_name = (
            isinstance(self.name, str) and re.fullmatch(r"\w[\w.+-]*", self.name) and len(self.name.encode()) <= 100
        )
        self._require(bool(is_name), "name", "letters, digits and _ . + - (a folder has this name), up to 100 bytes")
        for name in ("step_rows", "blur_size", "shorter_side", "blur_sigma"):
            self._settle_number(name, float if name == "blur_sigma" else int)
        self._require(self.step_rows >= 1, "step_rows", "1 or more")
        odd = 1 <= self.blur_size < 1000 and self.blur_size % 2 == 1
        self._require(odd, "blur_size", "an odd number of pixels, 1 to 999")
        self._require(0.1 <= self.blur_sigma <= 1000, "blur_sigma", "0.1 to 1000 pixels")
        self._require(0 <= self.shorter_side <= 8192, "shorter_side", "0 (256/224 of the size) to 8192 pixels")
        is_read = self.resize == "crop" or not self.shorter_side
        self._require(is_read, "shorter_side", "0 with resize='squash', which has no use for it, or resize='crop'")

    def _settle_number(self, name: str, kind: type) -> None:
        """Make a number Python's own, so that equal choices have equal hashes."""
        value = getattr(self, name)
        numbers = (int, np.integer) if kind is int else (int, float, np.integer, np.floating)
        is_number = isinstance(value, numbers) and not isinstance(value, bool)
        is_number = is_number and (isinstance(value, int) or math.isfinite(value))
        self._require(is_number, name, "a whole number" if kind is int else "a number")
        object.__setattr__(self, name, value if isinstance(value, kind) else kind(value))

    def _require(self, holds: bool, name: str, expected: str) -> None:
        if not holds:
            raise InputError(f"protocol {self.name!r} has {name}={getattr(self, name)!r}: expected {expected}.")

    @property
    def hash(self) -> str:
        """Eight hexadecimal digits over all choices; one that was added later counts where it is not as before."""
        before = {name: field.default for name, field in type(self).__dataclass_fields__.items() if name in ADDED}
        said = {name: value for name, value in dataclasses.asdict(self).items() if before.get(name) != value}
        choices = json.dumps(said, sort_keys=True)
        return hashlib.sha256(choices.encode()).hexdigest()[:8]

    def step(self, width: int) -> int:
        """Return the pixels changed in one step."""
        return self.step_rows * width

    def blur_kernel(self) -> Float[np.ndarray, "k k"]:
        """Return the blur kernel: a Gaussian cut out of its own window with reflecting edges, so nearly a box."""
        impulse = np.zeros((self.blur_size, self.blur_size))
        impulse[self.blur_size // 2, self.blur_size // 2] = 1
        return scipy.ndimage.gaussian_filter(impulse, self.blur_sigma).astype(np.float32)


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("castream", resize="squash", explained_class="label", step_rows=8, blur_size=5),
        Protocol("rise", resize="squash", explained_class="predicted", step_rows=1, blur_size=11),
    )
}


def get_protocol(name: str) -> Protocol:
    """Return the protocol of that name; `InputError` if there is none."""
    return PROTOCOLS[choose("protocol", name, PROTOCOLS)]


def choose_protocol(base: str, choices: Mapping[str, Any]) -> Protocol:
    """Return the protocol of that name, or one of one's own: that one with other choices.

    Args:
      base: the name of a protocol.
      choices: by the names of `Protocol`'s fields; "" and 0 stand for the base's. The `name` is `<base>-own` where none
        is given.

    Raises:
      InputError: no such protocol, what `Protocol` raises, or the name of a protocol that chooses otherwise.
    """
    protocol = get_protocol(base)
    own = {name: value for name, value in choices.items() if value and value != getattr(protocol, name)}
    if not own:
        return protocol
    name = own["name"] = choices.get("name") or f"{base}-own"
    if name in PROTOCOLS:
        raise InputError(f"a protocol of one's own is named {name!r}, as another one is: give it a name of its own.")
    return dataclasses.replace(protocol, **own)
