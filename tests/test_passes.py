"""Forward passes in chunks: any chunk size gives the same rows, and none is computed in vain."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from castream_jax.passes import even_chunk, map_in_chunks

TABLE = jnp.asarray(np.random.default_rng(0).standard_normal((10, 3)), jnp.float32)


def rows_of(size: int) -> np.ndarray:
    return np.asarray(TABLE)[np.arange(size) % 10] + np.arange(size, dtype=np.float32)[:, None]


def function(indices: jax.Array) -> jax.Array:
    return TABLE[indices % 10] + indices.astype(jnp.float32)[:, None]  # [chunk 3]


@pytest.mark.parametrize("size", [1, 7, 12])
@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 7, 12, 100])
def test_any_chunk_size_gives_the_exact_rows(size, chunk):
    found = jax.jit(lambda: map_in_chunks(function, size, chunk))()
    np.testing.assert_array_equal(found, rows_of(size))


def test_rows_keep_their_shape_and_dtype():
    assert map_in_chunks(lambda i: i.astype(jnp.bfloat16), 5, 2).dtype == jnp.bfloat16
    assert map_in_chunks(lambda i: jnp.zeros((len(i), 2, 0, 3)), 5, 2).shape == (5, 2, 0, 3)


def calls_of(size: int, chunk: int, count) -> tuple[np.ndarray, list[list[int]]]:
    """Return the rows, and the indices of every call."""
    calls: list[list[int]] = []

    def watched(indices: jax.Array) -> jax.Array:
        jax.debug.callback(lambda i: calls.append(i.tolist()), indices, ordered=True)
        return function(indices)

    found = jax.jit(lambda count: map_in_chunks(watched, size, chunk, count))(count)
    jax.effects_barrier()
    return np.asarray(found), calls


@pytest.mark.parametrize(("count", "calls"), [(0, 0), (1, 1), (3, 1), (4, 2), (8, 3), (10, 4)])
def test_a_count_on_the_device_bounds_the_calls(count, calls):
    found, indices = calls_of(10, 3, jnp.asarray(count))
    assert len(indices) == calls
    np.testing.assert_array_equal(found[:count], rows_of(10)[:count])
    assert not found[3 * calls :].any()


def test_the_last_chunk_repeats_the_last_index():
    _, indices = calls_of(7, 3, jnp.asarray(7))
    assert indices == [[0, 1, 2], [3, 4, 5], [6, 6, 6]]


def test_a_count_known_beforehand():
    found = map_in_chunks(function, 10, 4, count=5)
    np.testing.assert_array_equal(found[:8], rows_of(10)[:8])
    assert not found[8:].any()


@pytest.mark.parametrize(
    ("size", "chunk", "lengths"),
    [(33, 16, [11] * 3), (27, 16, [9] * 3), (10, 4, [2] * 5), (11, 4, [4] * 3), (3, 2, [1] * 3), (3, 100, [3])],
)
def test_chunks_are_equal_and_little_is_padded(size, chunk, lengths):
    _, calls = calls_of(size, chunk, None)
    assert [len(indices) for indices in calls] == lengths
    assert [i for indices in calls for i in indices][:size] == list(range(size))


def test_chunks_are_no_less_than_half_of_what_fits():
    for size in range(1, 200):
        for chunk in range(1, 40):
            even = even_chunk(size, chunk)
            assert even <= chunk
            assert -(-size // even) <= 2 * -(-size // chunk)
            assert -size % even <= -size % -(-size // -(-size // chunk))  # no more than with the fewest chunks


def test_the_function_is_traced_once_whatever_the_number_of_chunks():
    def equations(size: int) -> int:
        return len(jax.make_jaxpr(lambda: map_in_chunks(function, size, 2))().eqns)

    assert equations(4) == equations(400)
