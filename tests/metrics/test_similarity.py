"""How alike maps are as pictures, and how orderly their values, against scikit-image, numpy and scipy."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from castream_jax.metrics.randomised_entropy import histogram_entropy
from castream_jax.metrics.similarity import structural_similarity
from tests.goldens import assert_close

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(20, 31), (7, 9), (3, 5)], ids=str)
def test_structural_similarity_is_scikit_image_s(shape):
    skimage = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed (extra: real)")
    a = RNG.random((4, *shape))
    b = np.stack([a[0], 1 - a[1], a[2] ** 2, np.zeros(shape)])
    side = min(7, *shape)
    expected = [skimage.structural_similarity(x, y, win_size=side, data_range=1.0) for x, y in zip(a, b, strict=True)]
    found = structural_similarity(jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32))
    assert_close(found, expected, absolute=2e-4)
    assert_close(found[0], 1.0, absolute=1e-6)


def test_entropy_is_that_of_numpy_s_histogram():
    values = np.stack([RNG.standard_normal(500), RNG.integers(0, 5, 500), np.full(500, 3.0)]).astype(np.float32)
    expected = [scipy.stats.entropy(np.histogram(own, 100)[0]) for own in values]
    assert_close(histogram_entropy(jnp.asarray(values)), expected, absolute=1e-2)
    assert expected[2] == histogram_entropy(jnp.asarray(values))[2] == 0
