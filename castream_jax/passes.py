"""Forward passes in chunks of one static size, so that any number of them compiles once and fits in memory."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int


def even_chunk(size: int, chunk: int) -> int:
    """Return the size of the equal chunks that hold `size` indices with the least to pad.

    Chunks have at most `chunk` indices, and there are at most twice as many as there must be: fewer come first.
    """
    fewest = -(-size // chunk)
    return min((-(-size // chunks) for chunks in range(fewest, 2 * fewest + 1)), key=lambda even: -size % even)


def map_in_chunks(
    function: Callable[[Int[Array, "n"]], Float[Array, "n ..."]],
    size: int,
    chunk: int,
    count: Int[Array, ""] | int | None = None,
) -> Float[Array, "size ..."]:
    """Return `function` of the indices 0 to `size - 1`, computed up to `chunk` indices at a time.

    Args:
      function: from indices [chunk] to rows [chunk ...]; called once for each chunk, inside a compiled loop.
      size: rows to return.
      chunk: indices in one call: at most, see `even_chunk`, or with a `count` that many; the last chunk is padded
        with the last index.
      count: compute only the first `count` rows, which may be known on the device alone; the rest are zero
        or undefined.
    """
    chunk = even_chunk(size, chunk) if count is None else min(chunk, size)
    chunks = -(-size // chunk)
    row = jax.eval_shape(function, jax.ShapeDtypeStruct((chunk,), jnp.int32))
    rows = jnp.zeros((chunks * chunk, *row.shape[1:]), row.dtype)

    def fill(i: Array, rows: Array) -> Array:
        indices = jnp.minimum(i * chunk + jnp.arange(chunk, dtype=jnp.int32), size - 1)
        return lax.dynamic_update_slice_in_dim(rows, function(indices), i * chunk, axis=0)

    wanted = chunks if count is None else -(-count // chunk)
    return lax.fori_loop(0, wanted, fill, rows)[:size]
