"""How tests compile, which is most of what they do: in a hurry, and each program once for all of their processes."""

import uuid
from pathlib import Path

import jax
from jax._src import lru_cache
from jax._src.interpreters import partial_eval

FLAGS = "--xla_backend_optimization_level=0"
"""LLVM's optimisations are half of a compilation. XLA's own stay; scripts, as a user runs them, keep both."""
CACHE = Path(__file__).parent.parent / ".cache" / "jax"


def hurry() -> None:
    """Set JAX up so. What is private of it is left alone where it is no longer there."""
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # thousands take a moment each
    jax.config.update("jax_compilation_cache_dir", str(CACHE))
    if hasattr(lru_cache.LRUCache, "put"):
        lru_cache.LRUCache.put = put
    if hasattr(partial_eval.DynamicJaxprTracer, "_origin_msg"):
        # Flax asks every traced variable for its sharding, and throws away an error whose text takes JAX most of the
        # time that it takes to create an abstract network.
        partial_eval.DynamicJaxprTracer._origin_msg = lambda _: ""


def put(cache: lru_cache.LRUCache, key: str, value: bytes) -> None:
    """Keep a program all at once, in place of JAX's way: other processes never read half of one."""
    path = Path(cache.path) / f"{key}-cache"
    temporary = path.with_name(f".{uuid.uuid4().hex}")
    temporary.write_bytes(value)
    temporary.replace(path)
