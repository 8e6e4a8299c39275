"""Grid pointing game (Böhle et al., 2021): whether the map finds the image of its class among four."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from castream_jax.compute.questions import Again, Conversation, Made
from castream_jax.errors import InputError
from castream_jax.metrics.metric import CLASS, Case, Metric

SIDE = 2
"""Images of a mosaic, each way."""
CELLS = SIDE**2


def join(cells: Float[Array, "B 4 H W C"]) -> Float[Array, "B _ _ C"]:
    """Return mosaics of images, row by row."""
    b, _, h, w, c = cells.shape
    return cells.reshape(b, SIDE, SIDE, h, w, c).transpose(0, 1, 3, 2, 4, 5).reshape(b, SIDE * h, SIDE * w, c)


def measure(case: Case) -> Conversation:
    """Measure it; a mosaic of an image, which counts as the four that it has the pixels of, serves all its maps."""
    if case.partners is None:
        raise InputError("the metric 'GridPG' needs images of other classes beside each image: evaluate.py finds them.")
    indices = jnp.arange(len(case.images)) if case.indices is None else case.indices
    cells = jnp.concatenate([case.images[:, None], case.partners], 1)  # [B 4 H W C]
    (h, w), place = case.images.shape[1:3], indices % CELLS  # of the image itself

    def make(_: Int[Array, ""], images: Int[Array, "B"]) -> Float[Array, "B _ _ C"]:
        order = (jnp.arange(CELLS)[None] - place[images][:, None]) % CELLS  # [B 4] which image each cell has
        return join(jax.vmap(lambda own, places: own[places])(cells[images], order))

    def judge(made: Made, jobs: Int[Array, "B"]) -> Float[Array, "B"]:
        own = place[case.of[jobs]]
        energy = jax.nn.relu(made.sums).reshape(-1, SIDE, h, SIDE, w).sum((2, 4)).reshape(-1, CELLS)
        total = energy.sum(1)
        inside = jnp.take_along_axis(energy, own[:, None], 1)[:, 0]
        return jnp.where(total > 0, inside / jnp.where(total > 0, total, 1), total)  # NaN stays

    ((found,),) = yield [Again("mosaics", judge, make, share="image")]
    return {"grid_pointing_game": found}


GRID_POINTING_GAME = Metric(
    symbol="GridPG",
    column="grid_pointing_game",
    name="Grid pointing game",
    lower_is_better=False,
    meaning=(
        "The image is put among three of other classes, two by two: the share of the map's positive part, before "
        "min-max, that falls on the image. A map that does not depend on the class has a quarter."
    ),
    formula="Σ ReLU(s) over the image's cell / Σ ReLU(s)",
    source="Böhle et al., 2021",
    question=CLASS,
    options={"cells": f"{SIDE}x{SIDE}"},
    needs_method=True,
    needs_partners=CELLS - 1,
    by_default=False,
    measure=measure,
)
