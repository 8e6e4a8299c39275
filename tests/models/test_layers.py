"""Layers: both formulations of each agree, and each is the formula it stands for."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from flax import nnx
from jax import lax

from castream_jax.models import layers
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
    assert_close(layers.convolve(x, kernel, stride, padding), expected, relative=1e-6)


@pytest.mark.parametrize(("size", "stride", "padding"), [(3, 1, 1), (3, 2, 1), (7, 2, 3), (5, 4, 2)])
@pytest.mark.parametrize("image", [(2, 2), (1, 4), (6, 2), (1, 1)])
def test_a_map_smaller_than_the_kernel_is_no_convolution(size, stride, padding, image):
    x, kernel = draw(2, *image, 3), draw(size, size, 3, 4, seed=1)
    program = jax.jit(functools.partial(layers.convolve, stride=stride, padding=padding))
    assert_close(program(x, kernel), convolve_plainly(x, kernel, stride, padding), relative=1e-6)
    assert "convolution" not in program.lower(x, kernel).as_text()


@pytest.mark.parametrize("size", [3, 7])
@pytest.mark.parametrize("image", [(7, 7), (13, 10), (3, 2)])
def test_both_depthwise_convolutions_agree(size, image):
    x, kernel = draw(2, *image, 5), draw(size, size, 1, 5, seed=1)
    by_taps = layers._depthwise_by_taps(x, kernel)
    assert_close(by_taps, layers._depthwise_grouped(x, kernel), relative=1e-6)
    assert_close(layers.depthwise_convolve(x, kernel), by_taps, relative=0)  # these tests run on CPU
    diagonal = np.zeros((size, size, 5, 5))
    diagonal[..., range(5), range(5)] = kernel[:, :, 0]
    assert_close(by_taps, convolve_plainly(x, diagonal, 1, size // 2), relative=1e-6)


def test_depthwise_convolution_in_bfloat16_rounds_once():
    x, kernel = draw(2, 9, 9, 5).astype(jnp.bfloat16), draw(7, 7, 1, 5, seed=1)
    y = layers.depthwise_convolve(x, kernel)
    assert y.dtype == jnp.bfloat16
    exact = layers._depthwise_by_taps(x.astype(jnp.float32), kernel)
    assert_close(y.astype(jnp.float32), exact, relative=2**-8)


@pytest.mark.parametrize("of", [0, 1])
def test_depthwise_convolutions_have_the_same_gradients(of):
    """Of the image and of the kernel: on CPU they are written by hand."""
    x, kernel, cotangent = draw(2, 6, 9, 5), draw(7, 7, 1, 5, seed=1), draw(2, 6, 9, 5, seed=2)
    by_hand, by_xla = (
        jax.vjp(convolution, x, kernel)[1](cotangent)[of]
        for convolution in (layers.depthwise_convolve, layers._depthwise_grouped)
    )
    assert_close(by_hand, by_xla, relative=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_layer_norm_does_not_repeat_the_convolution_before_it(dtype):
    """Left to itself XLA fuses convolution and bias into each of the norm's passes."""
    x, kernel, bias = draw(1, 14, 14, 32).astype(dtype), draw(7, 7, 1, 32, seed=1), draw(1, 1, 1, 32).astype(dtype)
    norm = layers.layer_norm(32, jnp.dtype(dtype), nnx.Rngs(0))
    normed = jax.jit(lambda x: norm(layers.depthwise_convolve(x, kernel) + bias)).lower(x).compile()
    assert normed.cost_analysis()["flops"] < 1.5 * 2 * kernel.size * 14 * 14


@pytest.mark.parametrize("image", [(8, 8), (7, 9), (1, 2), (1, 1)])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_both_max_pools_agree(image, dtype):
    x = (draw(2, *image, 3) - 3).astype(dtype)  # negative: padding with zeros would win
    by_shifts = layers._max_pool_by_shifts(x)
    assert by_shifts.dtype == dtype
    assert by_shifts.shape == (2, (image[0] + 1) // 2, (image[1] + 1) // 2, 3)
    np.testing.assert_array_equal(by_shifts, layers._max_pool_window(x))
    np.testing.assert_array_equal(by_shifts, layers.max_pool(x))


@pytest.mark.parametrize("layer", ["max_pool", "depthwise"])
def test_both_formulations_have_the_same_gradient(layer):
    """Without ties, that is: a maximum of equal values may hand its gradient to any of them."""
    x, kernel = draw(2, 7, 8, 3), draw(7, 7, 1, 3, seed=1)
    if layer == "max_pool":
        functions = (layers.max_pool, layers._max_pool_window, layers._max_pool_by_shifts)
    else:
        convolutions = (layers.depthwise_convolve, layers._depthwise_grouped, layers._depthwise_by_taps)
        functions = tuple(functools.partial(convolution, kernel=kernel) for convolution in convolutions)
    cotangent = draw(*functions[0](x).shape, seed=2)
    first, *others = (jax.jit(lambda x, f=f: jax.vjp(f, x)[1](cotangent)[0])(x) for f in functions)
    for other in others:
        assert_close(other, first, relative=1e-6)


def conv_norm() -> layers.ConvNorm:
    layer = layers.ConvNorm(3, 4, 6, stride=2, rngs=nnx.Rngs(0))
    for name, values in {"scale": 1 + draw(6) / 4, "bias": draw(6, seed=2), "mean": draw(6, seed=3)}.items():
        getattr(layer, name)[...] = values
    layer.var[...] = jnp.exp(draw(6, seed=4) / 2)
    return layer


def unfolded(layer: layers.ConvNorm, y: np.ndarray, mean: np.ndarray, var: np.ndarray) -> np.ndarray:
    return (y - mean) / np.sqrt(var + 1e-5) * np.asarray(layer.scale[...]) + np.asarray(layer.bias[...])


def test_folded_batch_norm_is_the_unfolded_formula():
    layer, x = conv_norm(), draw(2, 9, 8, 4)
    y = convolve_plainly(x, layer.kernel[...], 2, 1)
    expected = unfolded(layer, y, np.asarray(layer.mean[...]), np.asarray(layer.var[...]))
    assert_close(layer(x), expected, relative=1e-6)


def test_inference_leaves_the_statistics():
    layer = conv_norm()
    before = jax.tree.map(np.array, nnx.state(layer, nnx.BatchStat))
    layer(draw(2, 9, 8, 4))
    after = nnx.state(layer, nnx.BatchStat)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), before, after))


def test_training_uses_and_moves_batch_statistics():
    layer, x = conv_norm(), draw(4, 9, 8, 4)
    old_mean, old_var = np.array(layer.mean[...]), np.array(layer.var[...])
    y = convolve_plainly(x, layer.kernel[...], 2, 1)
    mean, var = y.mean((0, 1, 2)), y.var((0, 1, 2))
    assert_close(layer(x, train=True), unfolded(layer, y, mean, var), relative=1e-5)
    assert_close(layer.mean[...], 0.9 * old_mean + 0.1 * mean, relative=1e-5)
    assert_close(layer.var[...], 0.9 * old_var + 0.1 * var, relative=1e-5)


@pytest.mark.parametrize("train", [False, True])
def test_conv_norm_computes_in_the_dtype_of_its_input(train):
    layer, x = conv_norm(), draw(4, 9, 8, 4)
    exact = conv_norm()(x, train)
    y = layer(x.astype(jnp.bfloat16), train)
    assert y.dtype == jnp.bfloat16
    assert layer.mean[...].dtype == layer.var[...].dtype == jnp.float32
    assert_close(y.astype(jnp.float32), exact, relative=0.02)


def test_conv_adds_its_bias():
    layer = layers.Conv(2, 3, 4, stride=2, rngs=nnx.Rngs(0))
    layer.bias[...] = draw(4, seed=5)
    x = draw(2, 7, 6, 3)
    expected = convolve_plainly(x, layer.kernel[...], 2, 0) + np.asarray(layer.bias[...])
    assert_close(layer(x), expected, relative=1e-6)


def test_layer_norm_has_convnext_s_epsilon():
    x = 1e-3 * draw(3, 2, 2, 8)  # variance 1e-6: an epsilon of 1e-5 would divide the result by more than 2
    layer = layers.layer_norm(8, jnp.dtype(jnp.float32), nnx.Rngs(0))
    y = np.asarray(x, np.float64)
    expected = (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + 1e-6)
    assert_close(layer(x), expected, relative=1e-5)


def test_gelu_is_the_exact_one():
    x = jnp.linspace(-5, 5, 101)
    y = np.asarray(x, np.float64)
    assert_close(layers.gelu(x), y * (1 + scipy.special.erf(y / np.sqrt(2))) / 2, relative=1e-6)


def test_products_ask_for_full_precision():
    """Otherwise GPUs would use TF32 and TPUs bfloat16."""
    x = draw(1, 4, 4, 2)
    functions = {
        "pointwise": lambda x: layers.convolve(x, jnp.ones((1, 1, 2, 3))),
        "patches": lambda x: layers.convolve(x, jnp.ones((2, 2, 2, 3)), 2),
        "convolution": lambda x: layers.convolve(x, jnp.ones((3, 3, 2, 3)), 1, 1),
        "depthwise": lambda x: layers._depthwise_grouped(x, jnp.ones((3, 3, 1, 2))),
        "linear": layers.linear(2, 3, jnp.dtype(jnp.float32), nnx.Rngs(0)),
    }
    for name, function in functions.items():
        products = [
            equation
            for equation in jax.make_jaxpr(function)(x).eqns
            if equation.primitive.name in ("dot_general", "conv_general_dilated")
        ]
        assert products, name
        for equation in products:
            assert equation.params["precision"] in (lax.Precision.HIGHEST, (lax.Precision.HIGHEST,) * 2), name


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_groups_of_images_give_what_the_batch_gives(monkeypatch, count):
    """Whatever the size of the groups, and with a last one to pad."""
    monkeypatch.setattr(layers, "count_cores", lambda: 1)
    images = draw(count, 8, 8, 3)
    for limit in (1, images[0].nbytes * 3, 2**30):
        seen = []

        def function(x, seen=seen):
            seen.append(len(x))
            return {"same": x, "highest": x.max((1, 2, 3))}

        monkeypatch.setattr(layers, "CACHE_BYTES", limit)
        found = layers._map_groups(function, images)
        assert seen[-1] <= max(limit // images[0].nbytes, 1)
        for name, values in function(images).items():
            np.testing.assert_array_equal(found[name], values)
