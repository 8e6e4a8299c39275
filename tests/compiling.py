"""How tests compile, which is most of what they do: each program once for all of their processes."""

import os
import uuid
from pathlib import Path

CACHE = Path(__file__).parent.parent / ".cache" / "jax"


def share_programs() -> None:
    """Keep what JAX compiles where all workers, and the processes that tests start, find it."""
    # Variables, not `jax.config`: processes inherit them, and JAX is imported after they are set.
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(CACHE)
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"  # thousands take a moment each
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

    from jax._src import lru_cache
    from jax._src.interpreters import partial_eval

    # What is private of JAX is left alone where it is no longer there.
    if hasattr(lru_cache.LRUCache, "put"):
        lru_cache.LRUCache.put = put
    if hasattr(partial_eval.DynamicJaxprTracer, "_origin_msg"):
        # Flax asks every traced variable for its sharding, and throws away an error whose text takes JAX most of the
        # time that it takes to create an abstract network.
        partial_eval.DynamicJaxprTracer._origin_msg = lambda _: ""


def put(cache, key: str, value: bytes) -> None:
    """Keep a program all at once, in place of JAX's way: other processes never read half of one."""
    path = Path(cache.path) / f"{key}-cache"
    temporary = path.with_name(f".{uuid.uuid4().hex}")
    temporary.write_bytes(value)
    temporary.replace(path)
