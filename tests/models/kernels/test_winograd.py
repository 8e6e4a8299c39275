"""Convolutions by tiles are convolutions, and are used where they are faster."""

import jax
import jax.numpy as jnp
import pytest

from castream_jax.models.kernels import convolution, winograd
from tests.goldens import assert_close
from tests.models.plain import convolve_plainly, draw

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("shape", [(2, 8, 8), (1, 9, 12), (3, 14, 11), (1, 1, 1)])
def test_against_the_sum_over_positions(shape):
    x, kernel = draw(*shape, 5), draw(3, 3, 5, 7, seed=1)
    expected = convolve_plainly(x, kernel, stride=1, padding=1)
    assert_close(winograd.convolve_tiles(x, kernel), expected, absolute=1e-5)


def test_gradients_are_those_of_the_convolution():
    x, kernel, weights = draw(1, 8, 8, 4), draw(3, 3, 4, 4, seed=1), draw(1, 8, 8, 4, seed=2)

    def direct(x, kernel):
        return jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), precision="highest"
        )

    def gradients(convolve):
        return jax.grad(lambda x, kernel: (convolve(x, kernel) * weights).sum(), argnums=(0, 1))(x, kernel)

    for found, expected in zip(gradients(winograd.convolve_tiles), gradients(direct), strict=True):
        assert_close(found, expected, absolute=1e-4)


@pytest.mark.parametrize(
    ("size", "channels", "side", "stride", "dtype", "expected"),
    [
        (3, 64, 8, 1, "float32", True),
        (3, 64, 7, 1, "float32", False),
        (3, 32, 8, 1, "float32", False),
        (3, 64, 8, 2, "float32", False),
        (5, 64, 8, 1, "float32", False),
        (3, 64, 8, 1, "bfloat16", False),  # too coarse for differences of its values
    ],
)
def test_where_tiles_are_used(size, channels, side, stride, dtype, expected):
    x = jnp.zeros((1, side, side, channels), dtype)
    kernel = jnp.zeros((size, size, channels, channels), dtype)
    assert winograd.is_faster(x, kernel, stride, padding=size // 2) is expected
    lowered = jax.jit(lambda x, kernel: convolution.convolve(x, kernel, stride, size // 2)).trace(x, kernel)
    for platform in ("cpu", "cuda", "tpu"):
        convolutions = lowered.lower(lowering_platforms=(platform,)).as_text().count("stablehlo.convolution")
        assert convolutions == (0 if expected and platform == "cpu" else 1)
