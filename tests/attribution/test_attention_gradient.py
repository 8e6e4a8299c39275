"""Attention times its gradient, and times its values: of a stream with two heads, in float64."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from castream_jax import InputError
from castream_jax.attribution.attention import ATTENTION, attention
from castream_jax.attribution.attention_gradient import ATTENTION_GRADIENT
from castream_jax.attribution.attention_value import ATTENTION_VALUE
from castream_jax.attribution.method import Subject
from castream_jax.binding.program import Plan, Views, run
from tests.asking import set_scene
from tests.attribution import toy
from tests.attribution.toy import min_max
from tests.networks import IMAGES, forward, small_resnet

LABELS = np.array([2, 1])
METHODS = ATTENTION_GRADIENT, ATTENTION_VALUE, attention(-2)


@functools.cache
def model():
    return small_resnet(heads=2)


@functools.cache
def seen():
    """Return the last feature map, logits and each block's attention."""
    features, logits, blocks = forward(model(), IMAGES)
    return np.asarray(features["stage4"], np.float64), np.asarray(logits), [np.asarray(b, np.float64) for b in blocks]


@functools.cache
def found() -> dict[str, np.ndarray]:
    graphdef, state = nnx.split(model())

    @jax.jit
    def compute(state):
        network = nnx.merge(graphdef, state)
        views = Views(IMAGES, jnp.asarray(LABELS)[:, None])
        both = [run({"": network}, views, Plan("stage4", 4, methods)) for methods in (METHODS[:2], METHODS[2:])]
        return {key[0]: maps[:, 0] for one in both for key, maps in one.computed.maps.items()}

    return {key: np.asarray(maps) for key, maps in compute(state).items()}


def test_another_attention_s_answer_is_the_network_s_for_its_own():
    features, logits, blocks = forward(model(), IMAGES)
    np.testing.assert_allclose(model().answer_to(features, blocks[-1]), logits, rtol=1e-4, atol=1e-4)


def test_attention_times_gradient():
    """The answer is linear in the attention: its gradient is each head's features through both layers."""
    values, _, blocks = seen()
    last = model().stream.projections[-1].kernel[...]
    through = np.asarray(last, np.float64) @ np.asarray(model().classifier.linear.kernel[...], np.float64)  # [C K]
    apart = values[..., None] * through[:, LABELS].T[:, None, None, :, None]  # [B h w C 1]
    g = apart.reshape(*values.shape[:3], 2, -1).sum(-1)  # [B h w heads]
    expected = np.maximum(g * np.moveaxis(blocks[-1], 1, -1), 0).mean(-1)
    np.testing.assert_allclose(found()["attention_gradient"], min_max(expected), atol=1e-4)


def test_attention_times_value():
    values, _, blocks = seen()
    weighed = values.reshape(*values.shape[:3], 2, -1) * np.moveaxis(blocks[-1], 1, -1)[..., None]
    np.testing.assert_allclose(found()["attention_value"], min_max(np.sqrt((weighed**2).sum((-2, -1)))), atol=1e-4)


def test_any_block_is_a_map():
    _, _, blocks = seen()
    np.testing.assert_allclose(found()["attention"], min_max(blocks[-2].mean(1)), atol=1e-4)
    assert attention(-2).hash != ATTENTION.hash == attention(-1).hash
    assert attention(-2).name == "Raw attention, block -2"


@pytest.mark.parametrize("block", [2, -3])
def test_a_block_that_is_not_there_is_refused(block):
    blocks = tuple(jnp.ones((1, 1, 2, 2)) for _ in range(2))
    subject = Subject(set_scene(None, jnp.ones((1, 2, 2, 3))), toy.gap_head, blocks, jnp.zeros(1, int))
    with pytest.raises(InputError, match=f"attention_block is {block}: expected -2 to 1, of 2 blocks"):
        attention(block).sums(subject)


@pytest.mark.parametrize("method", METHODS[:2], ids=lambda method: method.key)
def test_a_network_that_does_not_tell_what_it_attends_to_is_refused(method):
    subject = Subject(
        set_scene(None, jnp.ones((1, 2, 2, 3))), toy.gap_head, (jnp.ones((1, 1, 2, 2)),), jnp.zeros(1, int)
    )
    with pytest.raises(InputError, match="toy does not tell what its attention weighs"):
        method.sums(dataclasses.replace(subject, network=toy.network()))
