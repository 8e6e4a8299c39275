"""Convolutions and pools: all formulations of each agree, and each is the formula it stands for."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

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


@pytest.mark.parametrize("size", [3, 7])
@pytest.mark.parametrize("image", [(7, 7), (13, 10), (3, 2)])
def test_both_depthwise_convolutions_agree(size, image):
    x, kernel = draw(2, *image, 5), draw(size, size, 1, 5, seed=1)
    by_taps = convolution._depthwise_by_taps(x, kernel)
    assert_close(by_taps, convolution._depthwise_grouped(x, kernel), relative=1e-6)
    assert_close(convolution.depthwise_convolve(x, kernel), by_taps, relative=0)  # these tests run on CPU
    diagonal = np.zeros((size, size, 5, 5))
    diagonal[..., range(5), range(5)] = kernel[:, :, 0]
    assert_close(by_taps, convolve_plainly(x, diagonal, 1, size // 2), relative=1e-6)


def test_depthwise_convolution_in_bfloat16_rounds_once():
    x, kernel = draw(2, 9, 9, 5).astype(jnp.bfloat16), draw(7, 7, 1, 5, seed=1)
    y = convolution.depthwise_convolve(x, kernel)
    assert y.dtype == jnp.bfloat16
    exact = convolution._depthwise_by_taps(x.astype(jnp.float32), kernel)
    assert_close(y.astype(jnp.float32), exact, relative=2**-8)


@pytest.mark.parametrize("of", [0, 1])
def test_depthwise_convolutions_have_the_same_gradients(of):
    """Of the image and of the kernel: on CPU they are written by hand."""
    x, kernel, cotangent = draw(2, 6, 9, 5), draw(7, 7, 1, 5, seed=1), draw(2, 6, 9, 5, seed=2)
    by_hand, by_xla = (
        jax.vjp(convolution, x, kernel)[1](cotangent)[of]
        for convolution in (convolution.depthwise_convolve, convolution._depthwise_grouped)
    )
    assert_close(by_hand, by_xla, relative=1e-6)


@pytest.mark.parametrize("image", [(8, 8), (7, 9), (1, 2), (1, 1)])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_both_max_pools_agree(image, dtype):
    x = (draw(2, *image, 3) - 3).astype(dtype)  # negative: padding with zeros would win
    by_shifts = convolution._max_pool_by_shifts(x)
    assert by_shifts.dtype == dtype
    assert by_shifts.shape == (2, (image[0] + 1) // 2, (image[1] + 1) // 2, 3)
    np.testing.assert_array_equal(by_shifts, convolution._max_pool_window(x))
    np.testing.assert_array_equal(by_shifts, convolution.max_pool(x))


@pytest.mark.parametrize("layer", ["max_pool", "depthwise"])
def test_both_formulations_have_the_same_gradient(layer):
    """Without ties, that is: a maximum of equal values may hand its gradient to any of them."""
    x, kernel = draw(2, 7, 8, 3), draw(7, 7, 1, 3, seed=1)
    if layer == "max_pool":
        functions = (convolution.max_pool, convolution._max_pool_window, convolution._max_pool_by_shifts)
    else:
        convolutions = (convolution.depthwise_convolve, convolution._depthwise_grouped, convolution._depthwise_by_taps)
        functions = tuple(functools.partial(convolution, kernel=kernel) for convolution in convolutions)
    cotangent = draw(*functions[0](x).shape, seed=2)
    first, *others = (jax.jit(lambda x, f=f: jax.vjp(f, x)[1](cotangent)[0])(x) for f in functions)
    for other in others:
        assert_close(other, first, relative=1e-6)
