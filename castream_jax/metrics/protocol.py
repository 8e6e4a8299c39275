"""A protocol: every choice that a number depends on, under one name and one hash (METHOD 3).

Numbers of two protocols do not compare. The name and the hash are printed beside every number.
"""

import dataclasses
import hashlib
import json
import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from castream_jax.errors import InputError, choose

LATER = ("mask_share", "mask_baseline", "area_over")
"""Choices that came after the hashes of metrics were published: they count where they are not their defaults."""

ADDED = ("orientation", "transparency", *LATER)
"""Those that came after the first hashes of protocols, which stand for their defaults."""

SHARED = (
    "resize",
    "interpolation",
    "shorter_side",
    "orientation",
    "transparency",
    "explained_class",
    "upsampling",
)
"""Choices that every metric's numbers depend on; each metric's record names those of its own."""

CHOICE_NAMES = {
    "name": "Name",
    "resize": "How an image comes to its size",
    "interpolation": "How images are interpolated",
    "shorter_side": "Shorter side before a crop, in pixels (0: 256/224 of the size)",
    "explained_class": "Class explained and measured",
    "step_rows": "Pixels in one step, in rows of the image",
    "blur_size": "Blur kernel of insertion, side in pixels",
    "blur_sigma": "Blur kernel of insertion, sigma",
    "mask_space": "Where images are multiplied by maps",
    "mask_share": "Share of pixels that a mask keeps, the most salient (0: the map itself multiplies)",
    "mask_baseline": "What masks put in place of a pixel",
    "area_over": "Areas under curves are over",
    "orientation": "Pictures with an EXIF orientation",
    "transparency": "Transparent pictures",
    "upsampling": "How maps come to the size of the image",
    "deletion_end": "Where deletion ends",
    "ties": "Order of equal pixels",
    "score_cam": "Score-CAM",
}
"""The choices in words."""


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
    mask_share: float = 0.0
    """Of the pixels, those that a masked image keeps whole, the most salient; 0: the map itself is the mask."""
    mask_baseline: Literal["black", "mean", "blur", "noise"] = "black"
    """What a masked image has where the mask is 0: a colour, the image blurred by a tenth of its side, or noise."""
    area_over: Literal["points", "pixels"] = "points"
    """What lies evenly along a curve whose area is taken: its points, or pixels, where the last step is short."""
    upsampling: Literal["bilinear, half-pixel centres"] = "bilinear, half-pixel centres"
    ties: Literal["decreasing flat index"] = "decreasing flat index"
    score_cam: Literal["probability, no baseline, aligned corners"] = "probability, no baseline, aligned corners"

    def __post_init__(self) -> None:
        for name, value in settle_choices(vars(self)).items():
            object.__setattr__(self, name, value)

    @property
    def hash(self) -> str:
        """Eight hexadecimal digits over all choices; one that was added later counts where it is not as before."""
        said = {name: value for name, value in dataclasses.asdict(self).items() if not self.is_as_before(name, ADDED)}
        choices = json.dumps(said, sort_keys=True)
        return hashlib.sha256(choices.encode()).hexdigest()[:8]

    def is_as_before(self, name: str, added: Sequence[str] = LATER) -> bool:
        """Return whether a choice is one of those that were added, and its default, as all numbers were before."""
        return name in added and getattr(self, name) == type(self).__dataclass_fields__[name].default

    def step(self, width: int) -> int:
        """Return the pixels changed in one step."""
        return self.step_rows * width

    def blur_kernel(self) -> Float[np.ndarray, "k k"]:
        """Return the blur kernel: a Gaussian cut out of its own window with reflecting edges, so nearly a box."""
        import scipy.ndimage  # here, as nothing else of the package needs it, and importing it takes long

        impulse = np.zeros((self.blur_size, self.blur_size))
        impulse[self.blur_size // 2, self.blur_size // 2] = 1
        return scipy.ndimage.gaussian_filter(impulse, self.blur_sigma).astype(np.float32)


def settle_choices(choices: Mapping[str, Any]) -> dict[str, Any]:
    """Return the choices of a protocol with Python's own numbers, so that equal ones have equal hashes.

    Raises:
      InputError: as for `Protocol`.
    """
    settled = dict(choices)

    def require(holds: object, name: str, expected: str) -> None:
        if not holds:
            raise InputError(f"protocol {choices['name']!r} has {name}={choices[name]!r}: expected {expected}.")

    for field in dataclasses.fields(Protocol):
        kind: Any = field.type
        value, options = choices[field.name], typing.get_args(kind)
        if options:
            expected = f"{' or '.join(map(repr, options))}; nothing else is implemented"
            require(isinstance(value, str) and value in options, field.name, expected)
        elif kind in (int, float):
            numbers: Any = (int, np.integer) if kind is int else (int, float, np.integer, np.floating)
            is_number = isinstance(value, numbers) and not isinstance(value, bool) and abs(value) < 1e9
            require(is_number, field.name, "a whole number" if kind is int else "a number")
            settled[field.name] = value if isinstance(value, kind) else kind(value)
    name, blur_size = settled["name"], settled["blur_size"]
    is_folder = isinstance(name, str) and re.fullmatch(r"\w[\w.+-]*", name) and len(name.encode()) <= 100
    require(is_folder, "name", "letters, digits and _ . + - (a folder has this name), up to 100 bytes")
    require(settled["step_rows"] >= 1, "step_rows", "1 or more")
    require(1 <= blur_size < 1000 and blur_size % 2, "blur_size", "an odd number of pixels, 1 to 999")
    require(0.1 <= settled["blur_sigma"] <= 1000, "blur_sigma", "0.1 to 1000 pixels")
    require(0 <= settled["shorter_side"] <= 8192, "shorter_side", "0 (256/224 of the size) to 8192 pixels")
    require(0 <= settled["mask_share"] < 1, "mask_share", "0 (the map itself is the mask) to below 1")
    is_blended = settled["mask_space"] == "pixels" or settled["mask_baseline"] == "black"
    require(is_blended, "mask_baseline", "'black' with mask_space='normalised', which has the mean in its place")
    is_read = settled["resize"] == "crop" or not settled["shorter_side"]
    require(is_read, "shorter_side", "0 with resize='squash', which has no use for it, or resize='crop'")
    return settled


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
    return Protocol(**settle_choices(dataclasses.asdict(protocol) | own))
