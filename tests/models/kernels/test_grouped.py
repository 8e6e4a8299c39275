"""Grouped convolutions: both forms against one convolution for each group, written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from castream_jax.models.kernels import grouped
from castream_jax.models.kernels.convolution import average_pool
from tests.models.plain import draw

CASES = {
    "as many runs as groups": (2, 160, 160, 1),
    "runs of several groups": (8, 32, 64, 2),
    "more runs than are compiled": (32, 1024, 1024, 1),
    "narrow groups": (3, 6, 9, 2),
}


def one_by_one(x, kernel, groups: int, stride: int):
    """Convolve each group by itself, position by position."""
    x, kernel = np.asarray(x, np.float64), np.asarray(kernel, np.float64)
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    width, features = kernel.shape[2], kernel.shape[3] // groups
    rows, columns = (range(0, side - 2, stride) for side in x.shape[1:3])
    found = np.zeros((len(x), len(rows), len(columns), kernel.shape[3]))
    for group in range(groups):
        ins, outs = (slice(group * count, (group + 1) * count) for count in (width, features))
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                under = x[:, row : row + 3, column : column + 3, ins]
                found[:, i, j, outs] = np.tensordot(under, kernel[..., outs], 3)
    return found


@pytest.mark.parametrize("side", [(9, 7), (2, 1)])
@pytest.mark.parametrize("case", CASES)
def test_every_form_is_the_convolution_of_each_group(case, side):
    groups, width, features, stride = CASES[case]
    x, kernel = draw(2, *side, width), draw(3, 3, width // groups, features, seed=1)
    padding = ((1, 1), (1, 1))
    expected = one_by_one(x, kernel, groups, stride)
    for convolve in (grouped.convolve_groups, grouped._convolve_whole):
        found = jax.jit(convolve, static_argnums=(2, 3, 4))(x, kernel, groups, stride, padding)
        np.testing.assert_allclose(found, expected, atol=2e-6 * np.abs(expected).max() * 10)


def test_uneven_padding():
    x, kernel, padding = draw(1, 6, 6, 8), draw(3, 3, 2, 8, seed=1), ((0, 1), (1, 0))
    found = grouped.convolve_groups(x, kernel, 4, 2, padding)
    np.testing.assert_allclose(found, grouped._convolve_whole(x, kernel, 4, 2, padding), atol=1e-5)


def test_averages_at_the_ends_of_odd_sides_are_of_what_is_there():
    x = jnp.arange(15, dtype=jnp.float32).reshape(1, 3, 5, 1)
    np.testing.assert_allclose(average_pool(x, 2)[0, ..., 0], [[3, 5, 6.5], [10.5, 12.5, 14]])
