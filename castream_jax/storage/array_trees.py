"""Trees of arrays: by dotted path, and their digest."""

import hashlib
from typing import Any

import jax
import numpy as np


def flatten(tree: Any) -> dict[str, Any]:
    """Return a tree's leaves by dotted path."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    named = ((jax.tree_util.keystr(path, simple=True, separator="."), leaf) for path, leaf in leaves)
    return {name.removesuffix(".value"): leaf for name, leaf in named}  # a flax Variable's leaf is its value


def unflatten(like: Any, leaves: dict[str, Any]) -> Any:
    """Return the tree shaped as `like` from its leaves by dotted path."""
    return jax.tree.unflatten(jax.tree.structure(like), [leaves[name] for name in flatten(like)])


def hollow(leaf: Any) -> np.ndarray:
    """Return an array of a leaf's shape and dtype that takes no memory."""
    return np.broadcast_to(np.zeros((), leaf.dtype), leaf.shape)


def digest(tree: Any) -> str:
    """Return the sha256 over the names, types, shapes and bytes of a tree's arrays."""
    found = hashlib.sha256()
    for path, leaf in sorted(jax.tree_util.tree_leaves_with_path(tree), key=lambda item: str(item[0])):
        array = np.asarray(leaf)
        found.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
