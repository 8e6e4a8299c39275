"""Raw attention as a map, after the softmax and before it."""

import jax.numpy as jnp
import numpy as np

from castream_jax.attribution import METHODS
from tests.asking import explain
from tests.goldens import assert_close

SCORES = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
ATTENTION = np.exp(SCORES) / np.exp(SCORES).sum((2, 3), keepdims=True)


def attention_map(attention, key="attention"):
    return explain(
        METHODS[key],
        lambda feature_map: feature_map.sum((1, 2)),
        jnp.zeros((len(attention), 1, 1, 1)),
        attention=(attention,),
    )


def attention_score_map(attention):
    return attention_map(attention, "attention_scores")


def min_max(maps: np.ndarray) -> np.ndarray:
    low, high = maps.min((1, 2), keepdims=True), maps.max((1, 2), keepdims=True)
    return (maps - low) / (high - low)


def test_attention_is_averaged_over_heads():
    found = attention_map(jnp.asarray(ATTENTION, jnp.float32))
    assert_close(found, min_max(ATTENTION.mean(1)), absolute=1e-6)


def test_scores_are_recovered_and_averaged_over_heads():
    found = attention_score_map(jnp.asarray(ATTENTION, jnp.float32))
    assert_close(found, min_max(SCORES.mean(1)), absolute=1e-5)


def test_attention_that_underflows_stays_finite():
    attention = jnp.asarray([[[[1.0, 0.0], [1e-20, 1e-42]]]])
    found = attention_score_map(attention)
    tiny = np.log(np.finfo(np.float32).tiny)  # what less attention than that counts as
    assert_close(found, [[[1.0, 0.0], [1 - np.log(1e-20) / tiny, 0.0]]], absolute=1e-5)


def test_uniform_attention_gives_zeros():
    for method in (attention_map, attention_score_map):
        np.testing.assert_array_equal(method(jnp.full((1, 2, 3, 3), 1 / 9)), np.zeros((1, 3, 3)))
