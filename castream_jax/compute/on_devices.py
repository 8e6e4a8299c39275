"""A function of a network and images, computed on all devices of this process, each with its own images."""

import functools
import weakref
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Shaped

from castream_jax.compute.sharding import create_local_mesh, replicated, round_up, split_images


def compute_on_devices(
    function: Callable[..., Any], network: Any, arrays: tuple[Shaped[Array, "B ..."], ...], *settings: Any
) -> Any:
    """Return `function(network, *arrays, *settings)`, compiled once for each shape.

    Args:
      function: of a network, arrays [b ...] and the settings; treats each image by itself, and returns a tree of
        arrays [b ...].
      network: which stands on one device.
      arrays: of B images; split over the devices, the last image being repeated where B is no multiple of them.
      settings: hashable.

    Returns:
      The tree of arrays [B ...], where JAX puts new arrays.
    """
    graphdef, state = nnx.split(network)
    count = len(arrays[0])
    mesh = create_local_mesh(most=count)
    if mesh.size == 1:
        return _compute(graphdef, state, arrays, function, settings, None)
    if missing := round_up(count, mesh) - count:
        arrays = tuple(jnp.concatenate([array, jnp.repeat(array[-1:], missing, axis=0)]) for array in arrays)
    results = _compute(graphdef, _place(state, mesh), arrays, function, settings, mesh)
    return jax.tree.map(lambda array: jnp.asarray(np.asarray(array)[:count]), results)


@functools.partial(jax.jit, static_argnames=("graphdef", "function", "settings", "mesh"))
def _compute(
    graphdef: nnx.GraphDef, state: Any, arrays: Any, function: Any, settings: tuple[Any, ...], mesh: Mesh | None
) -> Any:
    def work(state: Any, arrays: Any) -> Any:
        return function(nnx.merge(graphdef, state), *arrays, *settings)

    return (split_images(work, mesh) if mesh else work)(state, arrays)


class Placement:
    """Copies arrays to several devices, each array once: a copy lives as long as its array."""

    def __init__(self) -> None:
        self._copies: dict[tuple[int, Mesh], tuple[weakref.ref[jax.Array], jax.Array]] = {}

    def __call__(self, tree: Any, mesh: Mesh) -> Any:
        """Return a tree of arrays that every device of the mesh holds whole."""
        return jax.tree.map(lambda array: self._place(array, mesh), tree)

    def _place(self, array: jax.Array, mesh: Mesh) -> jax.Array:
        key = id(array), mesh
        if key not in self._copies:
            copy = jax.device_put(array, replicated(mesh))
            if copy is array:  # on all of them already
                return array
            self._copies[key] = weakref.ref(array, lambda _: self._copies.pop(key, None)), copy
        return self._copies[key][1]


_place = Placement()
