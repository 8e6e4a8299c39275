"""Convolutions and pools: all formulations of each agree, and each is the formula it stands for."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from castream_jax.models.kernels import convolution
from tests.goldens import assert_close
from tests.models.plain import convolve_plainly, draw


@pytest.mark.parametrize(
    ("size", "stride", "padding"),
    [(1, 1, 0), (1, 2, 0), (2, 2, 0), (4, 4, 0), (3, 1, 1), (3, 2, 1), (7, 2, 3), (5, 4, 2)],
)
@pytest.mark.parametrize("image", [(8, 12), (9, 11)])
def test_convolve_is_the_plain_loop(size, stride, padding, image):
    x, kernel = draw(2, *image, 3), draw(size, size, 3, 4, seed=1)
    expected = convolve_plainly(x, kernel, stride, padding)
    assert_close(convolution.convolve(x, kernel, stride, padding), expected, relative=1e-6)


@pytest.mark.parametrize("stride", [1, 2])
def test_products_of_patches_are_the_plain_loop(stride):
    """Of whole numbers, whose sums are exact in whatever order a CPU adds them: equal to the bit."""
    x, kernel = jnp.round(draw(2, 7, 6, 256)), jnp.round(draw(3, 3, 256, 256, seed=1))
    found, expected = convolution.convolve(x, kernel, stride, 1), convolve_plainly(x, kernel, stride, 1)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("size", "stride", "padding"), [(3, 1, 1), (3, 2, 1), (7, 2, 3), (5, 4, 2)])
@pytest.mark.parametrize("image", [(2, 2), (1, 4), (6, 2), (1, 1)])
def test_a_map_smaller_than_the_kernel_is_no_convolution(size, stride, padding, image):
    x, kernel = draw(2, *image, 3), draw(size, size, 3, 4, seed=1)
    program = jax.jit(functools.partial(convolution.convolve, stride=stride, padding=padding))
    assert_close(program(x, kernel), convolve_plainly(x, kernel, stride, padding), relative=1e-6)
    assert "convolution" not in program.lower(x, kernel).as_text()


@pytest.mark.parametrize(
    ("side", "stride", "batch", "channels", "products"),
    [
        (7, 1, 2, 256, True),
        (14, 2, 2, 256, True),
        (15, 2, 2, 256, False),
        (7, 1, 100, 256, False),
        (7, 1, 2, 255, False),
    ],
)
def test_few_positions_are_one_product_on_a_cpu(side, stride, batch, channels, products):
    x, kernel = jnp.zeros((batch, side, side, channels)), jnp.zeros((3, 3, channels, channels))
    traced = jax.jit(functools.partial(convolution.convolve, stride=stride, padding=1)).trace(x, kernel)
    for platform in ("cpu", "cuda", "tpu"):
        lowered = traced.lower(lowering_platforms=(platform,)).as_text()
        assert ("convolution" not in lowered) == (products and platform == "cpu")


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("image", [(8, 11), (1, 2)])
def test_padding_as_tensorflow_does(size, stride, image):
    """As the definition of "SAME" says, and as XLA understands that word."""
    x, kernel = draw(2, *image, 3), draw(size, size, 3, 4, seed=1)
    padding = convolution.pad_same(*image, size, stride)
    assert all(0 <= after - before <= 1 for before, after in padding)
    found = convolution.convolve(x, kernel, stride, padding)
    assert found.shape[1:3] == tuple(-(-side // stride) for side in image)
    dimensions = ("NHWC", "HWIO", "NHWC")
    expected = lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=dimensions)
    assert_close(found, expected, relative=1e-6)


@pytest.mark.parametrize("image", [(8, 8), (7, 9), (1, 2), (1, 1)])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_both_max_pools_agree(image, dtype):
    x = (draw(2, *image, 3) - 3).astype(dtype)  # negative: padding with zeros would win
    by_shifts = convolution._max_pool_by_shifts(x)
    assert by_shifts.dtype == dtype
    assert by_shifts.shape == (2, (image[0] + 1) // 2, (image[1] + 1) // 2, 3)
    np.testing.assert_array_equal(by_shifts, convolution._max_pool_window(x))
    np.testing.assert_array_equal(by_shifts, convolution.max_pool(x))


def test_both_max_pools_have_the_same_gradient():
    """Without ties, that is: a maximum of equal values may hand its gradient to any of them."""
    x = draw(2, 7, 8, 3)
    functions = (convolution.max_pool, convolution._max_pool_window, convolution._max_pool_by_shifts)
    cotangent = draw(*functions[0](x).shape, seed=2)
    first, *others = (jax.jit(lambda x, f=f: jax.vjp(f, x)[1](cotangent)[0])(x) for f in functions)
    for other in others:
        assert_close(other, first, relative=1e-6)
