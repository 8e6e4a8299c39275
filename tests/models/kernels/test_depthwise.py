"""Depthwise convolutions: both formulations agree, in values and gradients, and are the formula they stand for."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from castream_jax.models.kernels import depthwise
from castream_jax.models.kernels.convolution import pad_same
from tests.goldens import assert_close
from tests.models.plain import convolve_plainly, draw

SAME = ((3, 3), (3, 3))
STRIDES = [(size, stride, is_same) for size in (3, 5) for stride in (1, 2) for is_same in (True, False)]
FORMS = (depthwise._depthwise_by_taps, depthwise._depthwise_grouped)


def pad(image: tuple[int, int], size: int, stride: int, is_same: bool):
    """Return TensorFlow's padding, or half the kernel on every side."""
    return pad_same(*image, size, stride) if is_same else ((size // 2, size // 2),) * 2


@pytest.mark.parametrize("size", [3, 7])
@pytest.mark.parametrize("image", [(7, 7), (13, 10), (3, 2)])
def test_it_is_the_plain_loop(size, image):
    x, kernel = draw(2, *image, 5), draw(size, size, 1, 5, seed=1)
    diagonal = np.zeros((size, size, 5, 5))
    diagonal[..., range(5), range(5)] = kernel[:, :, 0]
    assert_close(depthwise.depthwise_convolve(x, kernel), convolve_plainly(x, diagonal, 1, size // 2), relative=1e-6)


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize(("size", "stride", "is_same"), [*STRIDES, (7, 1, False)])
@pytest.mark.parametrize("image", [(8, 8), (13, 10), (3, 2), (1, 1)])
def test_both_forms_agree(size, stride, is_same, image, apart):
    x, kernel, padding = draw(2, *image, 5), draw(size, size, 1, 5, seed=1), pad(image, size, stride, is_same)
    by_taps = depthwise._depthwise_by_taps(x, kernel, stride, padding, apart)
    assert_close(by_taps, depthwise._depthwise_grouped(x, kernel, stride, padding), relative=1e-6)
    found = depthwise.depthwise_convolve(x, kernel, stride, padding, apart)
    assert_close(found, by_taps, relative=0)  # these tests run on CPU


def test_in_bfloat16_it_rounds_once():
    x, kernel = draw(2, 9, 9, 5).astype(jnp.bfloat16), draw(7, 7, 1, 5, seed=1)
    y = depthwise.depthwise_convolve(x, kernel)
    assert y.dtype == jnp.bfloat16
    exact = depthwise._depthwise_by_taps(x.astype(jnp.float32), kernel, 1, SAME, True)
    assert_close(y.astype(jnp.float32), exact, relative=2**-8)


@pytest.mark.parametrize("of", [0, 1])
@pytest.mark.parametrize(("size", "stride", "is_same"), [*STRIDES, (7, 1, False)])
@pytest.mark.parametrize("image", [(6, 9), (7, 8), (1, 2)])
def test_both_forms_have_the_same_gradients(of, size, stride, is_same, image):
    """Of the image and of the kernel: on CPU they are written by hand."""
    x, kernel, padding = draw(2, *image, 5), draw(size, size, 1, 5, seed=1), pad(image, size, stride, is_same)
    forms = [
        functools.partial(form, stride=stride, padding=padding) for form in (depthwise.depthwise_convolve, FORMS[1])
    ]
    cotangent = draw(*forms[0](x, kernel).shape, seed=2)
    by_hand, by_xla = (jax.jit(lambda x, k, f=form: jax.vjp(f, x, k)[1](cotangent)[of])(x, kernel) for form in forms)
    assert_close(by_hand, by_xla, relative=1e-6)
