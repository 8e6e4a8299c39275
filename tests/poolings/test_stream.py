"""The stream: cross-attention pooling against formulas in float64, and the stream's initial weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from castream_jax import InputError, cross_attention_pool
from castream_jax.models.layers import modules
from castream_jax.poolings.stream import Stream
from tests.goldens import assert_close

pytestmark = pytest.mark.slow


def draw(*shape: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def pool_plainly(query, feature_map, heads):
    """Pool in float64, one image and one head at a time."""
    query, feature_map = np.asarray(query, np.float64), np.asarray(feature_map, np.float64)
    b, h, w, c = feature_map.shape
    pooled, attention = np.zeros((b, c)), np.zeros((b, heads, h, w))
    for image in range(b):
        for head in range(heads):
            group = slice(head * c // heads, (head + 1) * c // heads)
            keys = feature_map[image, :, :, group].reshape(h * w, -1)
            scores = keys @ query[image, group] / np.sqrt(c)  # by the full width, whatever the heads
            weights = np.exp(scores - scores.max())
            weights /= weights.sum()
            attention[image, head] = weights.reshape(h, w)
            pooled[image, group] = weights @ keys
    return pooled, attention


@pytest.mark.parametrize("heads", [1, 2, 4, 12])
def test_pooling_is_the_plain_loop(heads):
    query, feature_map = 3 * draw(3, 12), draw(3, 5, 4, 12, seed=1)
    pooled, attention = cross_attention_pool(query, feature_map, heads)
    expected_pooled, expected_attention = pool_plainly(query, feature_map, heads)
    assert_close(pooled, expected_pooled, relative=1e-5)
    assert_close(attention, expected_attention, relative=1e-5)
    assert_close(attention.sum((2, 3)), np.ones((3, heads)), relative=1e-6)


def test_large_scores_do_not_overflow():
    query, feature_map = 1e3 * draw(2, 8), 1e3 * draw(2, 3, 3, 8, seed=1)
    pooled, attention = cross_attention_pool(query, feature_map)
    assert_close(attention, pool_plainly(query, feature_map, 1)[1], relative=1e-4)
    assert bool(jnp.isfinite(pooled).all())


def test_a_constant_query_of_zero_averages():
    feature_map = draw(2, 3, 5, 8)
    pooled, attention = cross_attention_pool(jnp.zeros((2, 8)), feature_map)
    assert_close(pooled, np.asarray(feature_map).mean((1, 2)), relative=1e-6)
    assert_close(attention, np.full((2, 1, 3, 5), 1 / 15), relative=1e-6)


@pytest.mark.parametrize("heads", [1, 3])
def test_bfloat16_feature_maps_are_pooled_in_float32(heads):
    query, feature_map = draw(2, 12), draw(2, 4, 4, 12, seed=1).astype(jnp.bfloat16)
    pooled, attention = cross_attention_pool(query, feature_map, heads)
    assert pooled.dtype == attention.dtype == jnp.float32
    expected_pooled, expected_attention = pool_plainly(query, feature_map.astype(jnp.float32), heads)
    assert_close(pooled, expected_pooled, relative=1e-5)
    assert_close(attention, expected_attention, relative=1e-5)


@pytest.mark.parametrize("heads", [1, 3])
def test_gradients_are_the_formula_s(heads):
    """With s = F q / sqrt(c), a = softmax(s), p = F^T a and a cotangent u of p, for one image and one head.

    With r = F u, ds = a (r - a.r), so that dq = F^T ds / sqrt(c) and dF = a u^T + ds q^T / sqrt(c).
    """
    query, feature_map, cotangent = draw(2, 6), draw(2, 3, 4, 6, seed=1), draw(2, 6, seed=2)
    _, pull_back = jax.vjp(lambda q, f: cross_attention_pool(q, f, heads)[0], query, feature_map)
    query_gradient, feature_gradient = pull_back(cotangent)

    _, attention = pool_plainly(query, feature_map, heads)
    q, f, u = (np.asarray(x, np.float64) for x in (query, feature_map, cotangent))
    expected_q, expected_f = np.zeros(q.shape), np.zeros(f.shape)
    for image in range(2):
        for head in range(heads):
            group = slice(head * 6 // heads, (head + 1) * 6 // heads)
            keys, a = f[image, :, :, group].reshape(12, -1), attention[image, head].reshape(12)
            r = keys @ u[image, group]
            ds = a * (r - a @ r)
            expected_q[image, group] = keys.T @ ds / np.sqrt(6)
            df = np.outer(a, u[image, group]) + np.outer(ds, q[image, group]) / np.sqrt(6)
            expected_f[image, :, :, group] = df.reshape(3, 4, -1)
    assert_close(query_gradient, expected_q, relative=1e-5)
    assert_close(feature_gradient, expected_f, relative=1e-5)


@pytest.mark.parametrize("heads", [0, -1, 5])
def test_heads_must_divide_the_channels(heads):
    with pytest.raises(InputError, match=rf"heads is {heads}: .*divide the 12 channels"):
        cross_attention_pool(jnp.ones((1, 12)), jnp.ones((1, 2, 2, 12)), heads)
    with pytest.raises(InputError, match=rf"heads is {heads}: .*divide the 12 channels"):
        Stream((12, 30), heads, modules.truncated_normal, nnx.Rngs(0))


def test_heads_must_divide_every_width():
    with pytest.raises(InputError, match="heads is 3: .*divide the 16 channels"):
        Stream((12, 16), 3, modules.truncated_normal, nnx.Rngs(0))


@pytest.mark.parametrize("heads", [1, 2])
def test_the_stream_is_the_blocks_in_a_row(heads):
    widths, sizes = (4, 8, 6), ((5, 4), (3, 3), (2, 1))
    stream = Stream(widths, heads, nnx.initializers.normal(1.0), nnx.Rngs(0))
    for projection in stream.projections:
        projection.bias[...] = draw(*projection.bias.shape, seed=9)
    feature_maps = [draw(2, *size, width, seed=width) for size, width in zip(sizes, widths, strict=True)]
    query = np.tile(np.asarray(stream.query[...], np.float64), (2, 1))
    pooled, attentions = stream(feature_maps)
    for feature_map, projection, attention in zip(feature_maps, stream.projections, attentions, strict=True):
        plain, expected = pool_plainly(query, feature_map, heads)
        query = plain @ np.asarray(projection.kernel[...], np.float64) + np.asarray(projection.bias[...])
        assert_close(attention, expected, relative=1e-4)
    assert pooled.shape == (2, 6)  # the last width maps to itself
    assert_close(pooled, query, relative=1e-4)


@pytest.mark.parametrize("widths", [(6, 8, 12), (12,)])
@pytest.mark.parametrize("heads", [1, 2])
def test_the_identity_pools_as_gap_does_and_learns_in_every_block(widths, heads):
    stream = Stream(widths, heads, nnx.initializers.normal(1.0), nnx.Rngs(0), "identity")
    rng = np.random.default_rng(1)
    maps = [jnp.asarray(rng.normal(size=(2, 3, 4, width)), jnp.float32) for width in widths]
    pooled, attention = stream(maps)
    assert_close(pooled, np.asarray(maps[-1], np.float64).mean((1, 2)), relative=1e-6)
    assert_close(attention[-1], np.full((2, heads, 3, 4), 1 / 12), relative=1e-6)

    def loss(stream):
        return jnp.sum(stream(maps)[0] ** 3)

    for _ in range(len(widths)):  # each step lets the gradient one block further back
        gradients = nnx.grad(loss)(stream)
        params = jax.tree.map(lambda leaf, gradient: leaf - 0.01 * gradient, nnx.state(stream), gradients)
        nnx.update(stream, params)
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradients))


def test_heads_add_no_parameters():
    def count(heads):
        stream = nnx.eval_shape(lambda: Stream((8, 16), heads, modules.truncated_normal, nnx.Rngs(0)))
        return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(stream, nnx.Param)))

    assert count(1) == count(4) == 8 + (8 * 16 + 16) + (16 * 16 + 16)


def test_initial_weights():
    """The token is Normal(1, 1), the ResNet's projections Xavier uniform, biases 0 (METHOD 1)."""
    stream = Stream((4096, 256), 1, nnx.initializers.xavier_uniform(), nnx.Rngs(0))
    query, kernel = np.asarray(stream.query[...]), np.asarray(stream.projections[0].kernel[...])
    assert abs(query.mean() - 1) < 5 / 64  # 5 standard errors
    assert abs(query.std() - 1) < 5 / 64
    bound = np.sqrt(6 / (4096 + 256))
    assert 0.999 * bound < np.abs(kernel).max() <= bound
    assert abs(kernel.std() / (bound / np.sqrt(3)) - 1) < 0.01
    assert not any(projection.bias[...].any() for projection in stream.projections)
