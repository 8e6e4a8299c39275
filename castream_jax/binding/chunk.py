"""How many masked images go through a network at once, where nobody says it."""

import functools
import math

import jax
import jax.numpy as jnp
from flax import nnx

from castream_jax.errors import InputError
from castream_jax.models.network import Network

LARGEST = 256
"""An accelerator is no faster with more."""
CPU_BYTES = 64 * 2**20
"""What the largest feature map of a chunk may take on a CPU: more falls out of its caches."""
MEMORY_SHARE = 1 / 64
"""The same on an accelerator, of its memory: weights, masks and what a layer makes on its way come on top."""


def check_chunk(chunk: int) -> None:
    """Raise `InputError` unless a chunk was said or left to be chosen."""
    if chunk < 0:
        raise InputError(f"chunk is {chunk}: expected 1 or more images, or 0 (what suits the device's memory).")


def choose_chunk(model: Network, size: tuple[int, int]) -> int:
    """Return the images of `size` in one forward pass, a power of two that suits the memory of the device."""
    graphdef, state = nnx.split(model)
    leaves, structure = jax.tree.flatten(state)
    shapes = tuple(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves)
    largest = _largest_map(graphdef, structure, shapes, (*size, model.normalisation.channels))
    memory = jax.local_devices()[0].memory_stats() or {}
    limit = memory["bytes_limit"] * MEMORY_SHARE if "bytes_limit" in memory else CPU_BYTES
    return min(2 ** int(math.log2(max(limit / largest, 1))), LARGEST)


@functools.lru_cache
def _largest_map(
    graphdef: nnx.GraphDef,
    structure: jax.tree_util.PyTreeDef,
    shapes: tuple[jax.ShapeDtypeStruct, ...],
    shape: tuple[int, int, int],
) -> int:
    """Return the bytes of the largest feature map of one image; remembered, for it takes a trace of the network."""

    def features(state: nnx.State, images: jax.Array) -> dict[str, jax.Array]:
        return nnx.merge(graphdef, state).features(images)

    images = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    taps = jax.eval_shape(features, jax.tree.unflatten(structure, shapes), images)
    return max(tap.size * tap.dtype.itemsize for tap in taps.values())
