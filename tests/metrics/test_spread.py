"""Gini, entropy and complexity: numpy's arithmetic, and what one pixel and all pixels give."""

import jax
import jax.numpy as jnp
import numpy as np

from castream_jax.metrics.entropy import entropy
from castream_jax.metrics.gini import gini
from tests.goldens import assert_close
from tests.metrics.cases import HEIGHT, WIDTH, measure

RNG = np.random.default_rng(6)


def test_numpy_s_arithmetic():
    maps = np.round(RNG.random((6, 17, 13)) ** 3, 2).astype(np.float32)
    found = jax.jit(lambda maps: (gini(maps), entropy(maps)))(jnp.asarray(maps))
    flat = maps.reshape(6, -1).astype(np.float64)
    differences = np.abs(flat[:, :, None] - flat[:, None]).sum((1, 2))  # another formula of the same index
    assert_close(found[0], differences / (2 * flat.shape[1] * flat.sum(1)), absolute=1e-5)
    shares = flat / flat.sum(1, keepdims=True)
    logs = np.log(np.where(shares > 0, shares, 1))
    assert_close(found[1], -(shares * logs).sum(1) / np.log(flat.shape[1]), absolute=1e-5)


def test_extremes():
    one = np.zeros((HEIGHT, WIDTH))
    one[3, 4] = 1
    half = np.zeros((HEIGHT, WIDTH))
    half[:6] = 0.5
    maps = np.stack([np.zeros_like(one), np.ones_like(one), one, half])
    found = measure(["Gini", "Ent", "Com"], maps, [0, 0, 1, 1])[0]
    n = HEIGHT * WIDTH
    assert_close(found["gini"][:, 0], [0, 0, 1 - 1 / n, 0.5], absolute=1e-6)
    assert_close(found["entropy"][:, 1], [1, 1, 0, np.log(n / 2) / np.log(n)], absolute=1e-6)
    assert_close(found["complexity"][:, 0], [0, 1, 1 / n, 0.25], absolute=1e-6)


def test_scale_does_not_matter():
    maps = RNG.random((3, 9, 9)).astype(np.float32)
    for metric in (gini, entropy):
        assert_close(metric(jnp.asarray(maps / 100)), metric(jnp.asarray(maps)), absolute=1e-5)
