"""Recipro-CAM (Byun and Lee, 2022): the score of the class where the head sees one position alone.

As many passes of the head alone as there are positions. Under CA the positions that are hidden still take their share
of attention, as zeros; and the earlier feature maps, which the stream also reads, stay whole.
"""

import functools

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from castream_jax.attribution.gradient import logits_of
from castream_jax.attribution.method import Method, Subject
from castream_jax.errors import choose

MASKS = ("one-hot", "gaussian")
TOGETHER = 7
"""Positions at once, each with its own copy of the feature map."""


def position_masks(mask: str, size: tuple[int, int]) -> Float[np.ndarray, "N h w"]:
    """Return what is left of each position: itself, or it and its neighbours by `[1 2 1]`, twice, over 16."""

    def along(length: int) -> Float[np.ndarray, "n n"]:
        apart = np.abs(np.subtract.outer(np.arange(length), np.arange(length)))
        kept = np.maximum(0, 2 - apart) / 4 if mask == "gaussian" else apart == 0
        return kept.astype(np.float32)

    h, w = size
    return np.einsum("ih,jw->ijhw", along(h), along(w)).reshape(h * w, h, w)


@functools.lru_cache
def recipro_cam(mask: str = MASKS[0]) -> Method:
    """Return Recipro-CAM as a method.

    Args:
      mask: "one-hot", what the authors' code does unless told otherwise, or "gaussian", 3x3 positions.

    Raises:
      InputError: another mask.
    """
    choose("recipro_cam_mask", mask, MASKS)

    def sums(subject: Subject) -> Float[Array, "B h w"]:
        """Return the class's score for each position."""
        b, h, w, _ = subject.feature_map.shape

        def score(kept: Float[Array, "h w"]) -> Float[Array, "B"]:
            seen = subject.feature_map * kept[None, ..., None].astype(subject.feature_map.dtype)
            return logits_of(lambda a: subject.whole.scores(subject.head(a)), seen, subject.labels)

        scores = lax.map(score, jnp.asarray(position_masks(mask, (h, w))), batch_size=TOGETHER)
        return scores.T.reshape(b, h, w)

    return Method(
        key="recipro_cam",
        name="Recipro-CAM",
        meaning="The score of the class where the head sees one position alone.",
        formula="p(A ⊙ m_ij)",
        source="Byun and Lee, 2022",
        is_signed=True,
        options={"mask": mask},
        sums=sums,
        configure=recipro_cam,
    )


RECIPRO_CAM = recipro_cam()
