"""A function of a network and images, computed on all devices of this process, each with its own images."""

import functools
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Shaped

from castream_jax.sharding import create_local_mesh, replicated, round_up, split_images


def compute_on_devices(
    function: Callable[..., Any], model: nnx.Module, arrays: tuple[Shaped[Array, "B ..."], ...], *settings: Any
) -> Any:
    """Return `function(model, *arrays, *settings)`, compiled once for each shape.

    Args:
      function: of a network, arrays [b ...] and the settings; treats each image by itself, and returns a tree of
        arrays [b ...].
      model: the network.
      arrays: of B images; split over the devices, the last image being repeated where B is no multiple of them.
      settings: hashable.

    Returns:
      The tree of arrays [B ...], on the first device.
    """
    count = len(arrays[0])
    mesh = create_local_mesh(most=count)
    graphdef, state = nnx.split(model)
    if missing := round_up(count, mesh) - count:
        arrays = tuple(jnp.concatenate([array, jnp.repeat(array[-1:], missing, axis=0)]) for array in arrays)
    results = _compute(graphdef, _place(state, mesh), arrays, function, settings, mesh)
    if mesh.size == 1:
        return results
    return jax.tree.map(lambda array: jax.device_put(array, jax.local_devices()[0])[:count], results)


@functools.partial(jax.jit, static_argnames=("graphdef", "function", "settings", "mesh"))
def _compute(graphdef, state, arrays, function, settings, mesh):
    def work(state, arrays):
        return function(nnx.merge(graphdef, state), *arrays, *settings)

    return split_images(work, mesh)(state, arrays)


class Placement:
    """Places a tree of arrays on several devices, and remembers the last one: the same arrays are not copied again."""

    def __init__(self) -> None:
        self._last: tuple[Mesh | None, list[jax.Array], Any] = (None, [], None)

    def __call__(self, tree: Any, mesh: Mesh) -> Any:
        """Return a tree that every device of the mesh holds whole; itself, if there is but one device."""
        if mesh.size == 1:
            return tree
        leaves = jax.tree.leaves(tree)
        where, last, placed = self._last
        if where != mesh or len(last) != len(leaves) or any(map(operator.is_not, last, leaves)):
            placed = jax.device_put(tree, replicated(mesh))
            self._last = mesh, leaves, placed
        return placed


_place = Placement()
