"""RISE (Petsiuk et al., 2018): random masks, weighted by the class's probability on the image behind each of them.

The network is asked, and nothing else is known of it. All images, classes and poolings see the same masks.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from castream_jax.attribution.method import Method, Scene, Subject
from castream_jax.compute.masking import interpolation_matrix, mask_images
from castream_jax.compute.questions import Conversation, Question
from castream_jax.errors import InputError

MASKS = 4000
"""The paper takes 4,000 for VGG and 8,000 for ResNet-50."""
CELLS = 7
"""On each side of a mask's grid."""
KEPT = 0.5
"""The probability that a cell is kept."""
SEED = 0


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Estimate:
    """A mean over masks for each score, and how sure it is."""

    maps: Float[Array, "B H W *Q"]
    error: Float[Array, "B *Q"]
    """The standard error, root mean square over positions, as a share of the map's range; 0 where that is 0."""


def draw_masks(numbers: Int[Array, "n"], size: tuple[int, int]) -> Float[Array, "n H W"]:
    """Return the masks of these numbers, in [0, 1]: 7x7 random cells, interpolated, and shifted by less than a cell."""
    cells = [-(-length // CELLS) for length in size]
    matrices = [jnp.asarray(interpolation_matrix(CELLS, (CELLS + 1) * cell, align_corners=False)) for cell in cells]

    def draw(number: Int[Array, ""]) -> Float[Array, "H W"]:
        kept, *shifts = jax.random.split(jax.random.fold_in(jax.random.key(SEED), number), 3)
        grid = jax.random.bernoulli(kept, KEPT, (CELLS, CELLS)).astype(jnp.float32)
        rows, columns = (
            lax.dynamic_slice_in_dim(matrix, jax.random.randint(shift, (), 0, cell), length)
            for matrix, shift, cell, length in zip(matrices, shifts, cells, size)
        )
        return jnp.einsum("Hh,hw,Ww->HW", rows, grid, columns, precision=lax.Precision.HIGHEST)

    return jax.vmap(draw)(numbers)


def add_up(scores: Float[Array, "B N Q"], size: tuple[int, int]) -> Estimate:
    """Return the means of scores times masks, a mask at a time, over the probability that a pixel is kept."""
    b, n, q = scores.shape

    def add(sums: tuple[Array, Array], number: Array) -> tuple[tuple[Array, Array], None]:
        weighted = scores[:, number, None, None] * draw_masks(number[None], size)[0][None, ..., None]  # [B H W Q]
        return (sums[0] + weighted, sums[1] + weighted**2), None

    nothing = jnp.zeros((b, *size, q))
    (total, squares), _ = lax.scan(add, (nothing, nothing), jnp.arange(n))
    mean = total / n
    variance = jnp.maximum(squares / n - mean**2, 0) / max(n - 1, 1)  # of the mean
    extent = mean.max((1, 2)) - mean.min((1, 2))
    return Estimate(mean / KEPT, jnp.sqrt(variance.mean((1, 2))) / jnp.where(extent == 0, jnp.inf, extent))


@functools.lru_cache
def rise(masks: int = MASKS) -> Method:
    """Return RISE as a method.

    Args:
      masks: for each image, each of them one forward pass.

    Raises:
      InputError: no masks.
    """
    if masks < 1:
        raise InputError(f"rise_masks is {masks}: expected 1 or more.")

    def ask(scene: Scene) -> Conversation:
        """Ask for the scores behind every mask."""
        images, normalisation = scene.images, scene.normalisation

        def make(place: Int[Array, "n"]) -> Float[Array, "n H W c"]:
            seen = draw_masks(place % masks, scene.size)
            return mask_images(images[place // masks], seen, normalisation.mean, normalisation.std)

        key = "rise", masks
        (scores,) = yield [Question(key, make, len(images) * masks, "image", lambda place: place // masks)]
        return add_up(scores.reshape(len(images), masks, -1), scene.size)

    return Method(
        key="rise",
        name="RISE",
        meaning=f"{masks:,} random masks, weighted by the class's probability on what each of them shows.",
        formula="mean_n p(x ⊙ M_n) M_n / P(M = 1)",
        source="Petsiuk et al., 2018",
        options={"masks": masks, "cells": CELLS, "kept": KEPT, "seed": SEED},
        columns=("rise_error",),
        sums=lambda subject: subject.answers.maps,
        ask=ask,
        describe=describe,
        remark=remark,
        configure=rise,
    )


def describe(subject: Subject) -> Mapping[str, Float[Array, "B"]]:
    """Return how far other masks would move the map."""
    return {"rise_error": subject.answers.error}


def remark(columns: Mapping[str, Float[np.ndarray, "n"]]) -> str:
    """Say how far other masks would move the map."""
    error = columns["rise_error"]
    return (
        f"other masks would move a position by {100 * error.mean():.3g} % of the map's range (one standard error), "
        f"mean over images, {100 * error.max():.3g} % in the worst."
    )


RISE = rise()
