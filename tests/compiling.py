"""How tests compile, which is most of what they do: in a hurry, and each program once for all of their processes."""

import uuid
from pathlib import Path

import jax
from jax._src import lru_cache
from jax._src.interpreters import partial_eval


def compile_in_a_hurry(hurry: bool) -> None:
    """Leave out what makes programs fast, or not: it is half of a compilation, and most programs run once."""
    jax.config.update("jax_disable_most_optimizations", hurry)


def share_programs() -> None:
    """Let processes that write compiled programs at the same time never read half of one; trace with less effort.

    What is private of JAX is left alone where it is no longer there.
    """
    if hasattr(lru_cache.LRUCache, "put"):
        lru_cache.LRUCache.put = put
    if hasattr(partial_eval.DynamicJaxprTracer, "_origin_msg"):
        # Flax asks every traced variable for its sharding, and throws away an error whose text takes JAX most of the
        # time that it takes to create an abstract network.
        partial_eval.DynamicJaxprTracer._origin_msg = lambda _: ""


def put(cache: lru_cache.LRUCache, key: str, value: bytes) -> None:
    """Keep a program all at once, in place of JAX's way."""
    path = Path(cache.path) / f"{key}-cache"
    temporary = path.with_name(f".{uuid.uuid4().hex}")
    temporary.write_bytes(value)
    temporary.replace(path)
