"""Layers: each is the formula it stands for."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from flax import nnx
from jax import lax

from castream_jax.models.kernels import convolution, depthwise
from castream_jax.models.layers import modules
from tests.goldens import assert_close
from tests.models.plain import convolve_plainly, draw


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_layer_norm_does_not_repeat_the_convolution_before_it(dtype):
    """Left to itself XLA fuses convolution and bias into each of the norm's passes."""
    x, kernel, bias = draw(1, 14, 14, 32).astype(dtype), draw(7, 7, 1, 32, seed=1), draw(1, 1, 1, 32).astype(dtype)
    norm = modules.layer_norm(32, jnp.dtype(dtype), nnx.Rngs(0))
    normed = jax.jit(lambda x: norm(depthwise.depthwise_convolve(x, kernel) + bias)).lower(x).compile()
    assert normed.cost_analysis()["flops"] < 1.5 * 2 * kernel.size * 14 * 14


def conv_norm() -> modules.ConvNorm:
    layer = modules.ConvNorm(3, 4, 6, stride=2, rngs=nnx.Rngs(0))
    for name, values in {"scale": 1 + draw(6) / 4, "bias": draw(6, seed=2), "mean": draw(6, seed=3)}.items():
        getattr(layer, name)[...] = values
    layer.var[...] = jnp.exp(draw(6, seed=4) / 2)
    return layer


def unfolded(layer: modules.ConvNorm, y: np.ndarray, mean: np.ndarray, var: np.ndarray) -> np.ndarray:
    return (y - mean) / np.sqrt(var + 1e-5) * np.asarray(layer.scale[...]) + np.asarray(layer.bias[...])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_kernel_is_folded_but_on_a_cpu_in_float32(dtype):
    layer = conv_norm()
    traced = jax.jit(lambda x: layer(x)).trace(jnp.zeros((1, 40, 40, 4), dtype))
    for platform in ("cpu", "cuda"):
        lowered = traced.lower(lowering_platforms=(platform,)).as_text()
        folds = [line for line in lowered.splitlines() if "stablehlo.multiply" in line and "3x3x4x6x" in line]
        assert len(folds) == (0 if (platform, dtype) == ("cpu", "float32") else 1)


def test_a_sum_of_branches_is_the_formula():
    y, x, gain, shift = draw(2, 3, 3, 4), draw(2, 3, 3, 4, seed=1), draw(4, seed=2), draw(4, seed=3)
    expected = np.maximum(np.asarray(y) * np.asarray(gain) + np.asarray(shift) + np.asarray(x), 0)
    assert_close(modules.add_branches(modules.Branch(y, gain, shift), modules.Branch(x)), expected, relative=1e-6)


def test_a_sum_of_branches_can_be_differentiated():
    y, x, gain, shift = draw(2, 3, 3, 4), draw(2, 3, 3, 4, seed=1), draw(4, seed=2), draw(4, seed=3)

    def apart(y, x):
        return modules.add_branches(modules.Branch(y, gain, shift), modules.Branch(x))

    found = jax.jit(lambda y, x: jax.vjp(apart, y, x)[1](jnp.ones_like(y)))(y, x)
    passed = np.asarray(apart(y, x)) > 0
    assert_close(found[0], passed * np.asarray(gain), relative=1e-6)
    np.testing.assert_array_equal(found[1], passed)


def test_a_sum_of_branches_is_computed_once():
    """Left to itself XLA fuses every sum of a stage into the next ones, and computes it again for each."""
    depth, size, channels = 8, 32, 16

    def stage(x, weights):
        for weight in weights:
            x = modules.add_branches(modules.Branch(jax.nn.relu(x @ weight), x[0, 0, 0], x[0, 0, 1]), modules.Branch(x))
        return x

    weights = jnp.zeros((depth, channels, channels))
    compiled = jax.jit(stage).lower(jnp.zeros((1, size, size, channels)), weights).compile()
    sums = compiled.cost_analysis()["flops"] / (depth * size**2 * channels) - 2 * channels
    assert sums < 8  # ReLU, gain, shift, sum, ReLU; fused, every sum holds those before it


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
    chex.assert_trees_all_equal(before, after)


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
    layer = modules.Conv(2, 3, 4, stride=2, rngs=nnx.Rngs(0))
    layer.bias[...] = draw(4, seed=5)
    x = draw(2, 7, 6, 3)
    expected = convolve_plainly(x, layer.kernel[...], 2, 0) + np.asarray(layer.bias[...])
    assert_close(layer(x), expected, relative=1e-6)


def test_layer_norm_has_convnext_s_epsilon():
    x = 1e-3 * draw(3, 2, 2, 8)  # variance 1e-6: an epsilon of 1e-5 would divide the result by more than 2
    layer = modules.layer_norm(8, jnp.dtype(jnp.float32), nnx.Rngs(0))
    y = np.asarray(x, np.float64)
    expected = (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + 1e-6)
    assert_close(layer(x), expected, relative=1e-5)


def test_gelu_is_the_exact_one():
    x = jnp.linspace(-5, 5, 101)
    y = np.asarray(x, np.float64)
    assert_close(modules.gelu(x), y * (1 + scipy.special.erf(y / np.sqrt(2))) / 2, relative=1e-6)


def test_products_ask_for_full_precision():
    """Otherwise GPUs would use TF32 and TPUs bfloat16."""
    x = draw(1, 8, 8, 2)
    functions = {
        "pointwise": lambda x: convolution.convolve(x, jnp.ones((1, 1, 2, 3))),
        "patches": lambda x: convolution.convolve(x, jnp.ones((2, 2, 2, 3)), 2),
        "convolution": lambda x: convolution.convolve(x, jnp.ones((3, 3, 2, 3)), 1, 1),
        "product of patches": lambda x: convolution._convolve_patches(x, jnp.ones((3, 3, 2, 3)), 1, 1),
        "depthwise": lambda x: depthwise._depthwise_grouped(x, jnp.ones((3, 3, 1, 2)), 1, ((1, 1), (1, 1))),
        "linear": modules.linear(2, 3, jnp.dtype(jnp.float32), nnx.Rngs(0)),
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
    monkeypatch.setattr(modules, "count_cores", lambda: 1)
    images = draw(count, 8, 8, 3)
    for limit in (1, images[0].nbytes * 3, 2**30):
        seen = []

        def function(x, seen=seen):
            seen.append(len(x))
            return {"same": x, "highest": x.max((1, 2, 3))}

        monkeypatch.setattr(modules, "CACHE_BYTES", limit)
        found = modules.map_in_cache(function, images)
        assert min(seen) <= max(limit // images[0].nbytes, 1)  # the first is the batch, to see how large maps are
        for name, values in function(images).items():
            np.testing.assert_array_equal(found[name], values)


def test_weights_that_change_are_seen():
    class Scale:
        factor = 2.0

        def apply(self, x):
            return {"x": self.factor * x}

    scale, images = Scale(), draw(2, 8, 8, 3)
    before = modules.map_in_cache(scale.apply, images)["x"]
    scale.factor = 3.0
    np.testing.assert_allclose(modules.map_in_cache(scale.apply, images)["x"], 1.5 * before, rtol=1e-6)


@pytest.mark.parametrize("train", [False, True])
def test_a_depthwise_conv_norm_is_the_unfolded_formula(train):
    layer = modules.DepthwiseNorm(5, 6, 6, stride=2, rngs=nnx.Rngs(0), epsilon=1e-3, same=True)
    layer.mean[...], layer.var[...] = draw(6, seed=3), jnp.exp(draw(6, seed=4) / 2)
    x = draw(4, 9, 8, 6)
    diagonal = np.zeros((5, 5, 6, 6))
    diagonal[..., range(6), range(6)] = layer.kernel[...][:, :, 0]
    around = np.pad(np.asarray(x), ((0, 0), (2, 2), (1, 2), (0, 0)))  # 9 and 8 pixels to 5 and 4
    y = convolve_plainly(around, diagonal, 2, 0)
    mean, var = (y.mean((0, 1, 2)), y.var((0, 1, 2))) if train else (np.asarray(layer.mean), np.asarray(layer.var))
    assert_close(layer(x, train), (y - mean) / np.sqrt(var + 1e-3), relative=1e-5)


def test_relu6():
    """Its slope is 0 at 0, as torch's, and what is no number stays none."""
    x = jnp.array([-1.0, 0.0, 3.0, 7.0, jnp.nan])
    np.testing.assert_array_equal(modules.relu6(x), [0, 0, 3, 6, jnp.nan])
    np.testing.assert_array_equal(jax.grad(lambda x: modules.relu6(x).sum())(x[:4]), [0, 0, 1, 0])


def test_a_sum_without_activation():
    y, x, gain, shift = draw(2, 3, 3, 4), draw(2, 3, 3, 4, seed=1), draw(4, seed=2), draw(4, seed=3)
    found = modules.add_branches(modules.Branch(y, gain, shift), modules.Branch(x), activate=False)
    assert_close(found, np.asarray(y) * np.asarray(gain) + np.asarray(shift) + np.asarray(x), relative=1e-6)
