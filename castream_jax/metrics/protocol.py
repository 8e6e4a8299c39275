"""A protocol: every choice that a number depends on, under one name and one hash (METHOD 3).

Numbers of two protocols do not compare. The name and the hash are printed beside every number.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.ndimage
from jaxtyping import Float

from castream_jax.errors import choose

ADDED = ("orientation", "transparency")
"""Choices that came after the first hashes were published, which stand for their defaults."""


@dataclass(frozen=True)
class Protocol:
    """The choices of one protocol.

    The last five are the same in all of ours: they are conventions of the code, named here so that the
    hash covers them.
    """

    name: str
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
    mask_space: Literal["pixels"] = "pixels"
    upsampling: Literal["bilinear, half-pixel centres"] = "bilinear, half-pixel centres"
    deletion_end: Literal["zeros in normalised space"] = "zeros in normalised space"
    ties: Literal["decreasing flat index"] = "decreasing flat index"
    score_cam: Literal["probability, no baseline, aligned corners"] = "probability, no baseline, aligned corners"

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
