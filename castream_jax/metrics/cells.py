"""Sets of a grid's cells that are erased, whatever the map: what single deletion, MuFidelity and infidelity ask."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from castream_jax.compute.questions import Conversation, Question
from castream_jax.metrics.curves import erased
from castream_jax.metrics.metric import Case


@dataclass(frozen=True)
class CellSets:
    """T sets of the cells of a grid over the image, `side x side`; if it does not divide, cells differ by a pixel."""

    key: str
    side: int
    erased: Bool[Array, "T cells"]

    def places(self, length: int) -> Int[np.ndarray, "length"]:
        """Return the row, or the column, of the grid that each of `length` pixels is in."""
        return np.arange(length) * self.side // length

    def sums(self, maps: Float[Array, "J H W"]) -> Float[Array, "J T"]:
        """Return the sum of each map over each set."""
        rows, columns = (
            jnp.asarray(self.places(length)[None] == np.arange(self.side)[:, None], jnp.float32)
            for length in maps.shape[1:]
        )
        precise = jax.lax.Precision.HIGHEST
        cells = jnp.einsum("jhw,rh,cw->jrc", maps, rows, columns, precision=precise)
        chosen = self.erased.astype(jnp.float32).T
        return jnp.matmul(cells.reshape(len(maps), -1), chosen, precision=precise)

    def compare(self, case: Case) -> Conversation:
        """Find the sum of each map over each set, and the probability without that set, both [J Q T]."""
        without = (yield from self.ask(case))[case.of]
        return jnp.broadcast_to(self.sums(case.saliency)[:, None], without.shape), without

    def ask(self, case: Case) -> Conversation:
        """Find the probability of each image without each set, [B Q T]."""
        sets, end = len(self.erased), erased(case)
        height, width = case.images.shape[1:3]
        cell = jnp.asarray(self.places(height)[:, None] * self.side + self.places(width))  # [H W]

        def make(index: Int[Array, "n"]) -> Float[Array, "n H W C"]:
            image = index // sets
            gone = self.erased[index % sets][:, cell]  # [n H W]
            return jnp.where(gone[..., None], end.at(image), case.images[image])

        key = self.key, end.key
        (found,) = yield [Question(key, make, len(case.images) * sets, "image", lambda index: index // sets)]
        return found.reshape(len(case.images), sets, -1).swapaxes(1, 2)


def single_cells(side: int) -> CellSets:
    """Return each cell by itself."""
    return CellSets(f"each of {side}x{side} cells", side, jnp.eye(side**2, dtype=bool))


def random_sets(side: int, cells: int, sets: int, seed: int) -> CellSets:
    """Return sets of so many cells each, drawn without replacement: the same for all images."""
    drawn = jax.random.uniform(jax.random.key(seed), (sets, side**2))
    ranks = jnp.argsort(jnp.argsort(drawn, axis=1), axis=1)
    return CellSets(f"{sets} sets of {cells} of {side}x{side} cells, seed {seed}", side, ranks < cells)
