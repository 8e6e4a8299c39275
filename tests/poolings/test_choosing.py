"""The modules that poolings put into a network."""

import jax
from flax import nnx

from castream_jax.poolings.choosing import keep_as_created
from tests.poolings.plain import draw


class Listed(nnx.Module):
    """A layer, and a parameter in a list."""

    def __init__(self) -> None:
        self.layer = nnx.Linear(4, 3, rngs=nnx.Rngs(0))
        self.gains = nnx.List([nnx.Param(draw(1, 3))])

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.layer(x) * self.gains[0][...]


def test_what_is_kept_has_no_parameters_and_computes_the_same():
    holder = Listed()
    x = draw(2, 4)
    before, arrays = holder(x), len(jax.tree.leaves(nnx.state(holder)))
    kept = keep_as_created(holder)
    assert not jax.tree.leaves(nnx.state(kept, nnx.Param))
    assert len(jax.tree.leaves(nnx.state(kept))) == arrays
    assert (kept(x) == before).all()
