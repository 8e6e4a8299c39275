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

KEPT = 16
"""Programs that stay in memory, the last ones used: each takes tens of megabytes, and is of one shape of images."""


def compute_on_devices(
    function: Callable[..., Any], network: Any, arrays: tuple[Shaped[Array, "B ..."], ...], *settings: Any
) -> Any:
    """Return `function(network, *arrays, *settings)`, compiled once for each shape, of which the last `KEPT` stay.

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
    is_shared = mesh.size > 1
    if is_shared and (missing := round_up(count, mesh) - count):
        arrays = tuple(jnp.concatenate([array, jnp.repeat(array[-1:], missing, axis=0)]) for array in arrays)
    shapes = tuple(array.shape for array in arrays)
    program = create_program(graphdef, function, settings, mesh if is_shared else None, shapes)
    if not is_shared:
        return program(state, arrays)
    results = program(_place(state, mesh), arrays)
    return jax.tree.map(lambda array: jnp.asarray(np.asarray(array)[:count]), results)


@functools.lru_cache(maxsize=KEPT)
def create_program(
    graphdef: nnx.GraphDef,
    function: Callable[..., Any],
    settings: tuple[Any, ...],
    mesh: Mesh | None,
    shapes: tuple[tuple[int, ...], ...],
) -> Callable[[Any, Any], Any]:
    """Return the compiled function of a network's arrays and others; of each shape its own, that can be let go of."""
    del shapes

    def work(state: Any, arrays: Any) -> Any:
        return function(nnx.merge(graphdef, state), *arrays, *settings)

    return jax.jit(split_images(work, mesh) if mesh else work)


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
