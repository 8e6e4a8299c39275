"""Grad-CAM and Grad-CAM++: golden maps, the formulas in float64, and the degenerate cases."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from castream_jax.attribution.grad_cam import GRAD_CAM
from castream_jax.attribution.grad_cam_pp import GRAD_CAM_PP
from castream_jax.attribution.gradient import gradient
from castream_jax.binding.shared_trunk import head_from
from tests import goldens
from tests.asking import explain, weighted_map
from tests.goldens import assert_close

pytestmark = pytest.mark.slow

grad_cam, grad_cam_pp = functools.partial(explain, GRAD_CAM), functools.partial(explain, GRAD_CAM_PP)
GOLDEN = [  # file, network, pooling
    ("resnet18_stream_cam_metrics", "resnet18", "ca"),
    ("resnet18_stream_cam_argmin", "resnet18", "ca"),
    ("resnet18_gap", "resnet18", "gap"),
    ("convnext_tiny_stream_cam_metrics", "convnext_tiny", "ca"),
    ("convnext_tiny_stream_alt_cam_metrics", "convnext_tiny", "ca"),
    ("convnext_tiny_gap", "convnext_tiny", "gap"),
]


def golden_head(name: str, pooling: str):
    """Return the head of a golden network for the batch of 8, and its target feature map."""
    features = goldens.forward(name)["features"]
    network = goldens.network(name).poolings()[pooling]
    target = network.target(None)
    return head_from(network, features, target), features[target]


def labels_of(file: str) -> jax.Array:
    return jnp.asarray(goldens.read(file)["label"], jnp.int32)


@pytest.mark.optimised
@pytest.mark.parametrize(("file", "name", "pooling"), GOLDEN)
def test_golden_maps(file, name, pooling):
    golden, (head, feature_map) = goldens.read(file), golden_head(name, pooling)
    maps = jax.jit(lambda labels: (grad_cam(head, feature_map, labels), grad_cam_pp(head, feature_map, labels)))
    found, found_pp = maps(labels_of(file))
    assert_close(found, golden["gradcam"], absolute=1e-4)
    assert_close(found_pp, golden["gradcampp"], absolute=5e-4 if name == "convnext_tiny" else 1e-4)


def test_goldens_hold_maps_without_a_positive_value():
    """There ReLU leaves nothing, and the map is zeros without NaN (`test_golden_maps` compares them)."""
    golden = goldens.read("convnext_tiny_stream_cam_metrics")
    assert not golden["gradcam"][[1, 2]].any()
    assert not golden["gradcampp"][[1, 2, 7]].any()


def plain_maps(file: str, name: str, pooling: str) -> dict[str, np.ndarray]:
    """Return Grad-CAM, HiResCAM and XGrad-CAM by their formulas."""
    head, feature_map = golden_head(name, pooling)
    g = np.asarray(jax.jit(lambda labels: gradient(head, feature_map, labels))(labels_of(file)), np.float64)
    a = np.asarray(feature_map, np.float64)
    total = a.sum((1, 2), keepdims=True)
    xgrad = (g * a).sum((1, 2)) / np.where(total == 0, 1, total)[:, 0, 0]  # [B C]
    maps = {
        "grad_cam": np.einsum("bhwc,bc->bhw", a, g.mean((1, 2))),
        "hires_cam": (g * a).sum(-1),
        "xgrad_cam": np.einsum("bhwc,bc->bhw", a, xgrad),
    }
    return {key: min_max(np.maximum(value, 0)) for key, value in maps.items()}


def min_max(maps: np.ndarray) -> np.ndarray:
    low, high = maps.min((1, 2), keepdims=True), maps.max((1, 2), keepdims=True)
    return (maps - low) / np.where(high > low, high - low, 1)


@pytest.mark.optimised
def test_under_gap_three_cams_coincide():
    """The gradient of one linear layer behind GAP is the same at every position."""
    file, (head, feature_map) = "resnet18_gap", golden_head("resnet18", "gap")
    found, maps = grad_cam(head, feature_map, labels_of(file)), plain_maps(file, "resnet18", "gap")
    for expected in maps.values():
        assert_close(found, expected, absolute=1e-4)


@pytest.mark.optimised
def test_under_ca_they_separate():
    file, (head, feature_map) = "resnet18_stream_cam_metrics", golden_head("resnet18", "ca")
    found, maps = grad_cam(head, feature_map, labels_of(file)), plain_maps(file, "resnet18", "ca")
    assert_close(found, maps["grad_cam"], absolute=1e-4)
    for other in ("hires_cam", "xgrad_cam"):
        assert (np.abs(np.asarray(found) - maps[other]).max((1, 2)) > 0.01).all(), other


RNG = np.random.default_rng(0)
FEATURE_MAP = jnp.asarray(RNG.standard_normal((3, 4, 5, 6)), jnp.float32)
MIXING = jnp.asarray(RNG.standard_normal((4, 5, 6, 7)), jnp.float32)


def plain_head(feature_map: jax.Array) -> jax.Array:
    """Return logits [B 7] of a network that is no Flax module: linear, so its gradient is `MIXING`."""
    return jnp.einsum("bhwc,hwck->bk", feature_map, MIXING)


LABELS = jnp.asarray([6, 0, 3])
PLAIN_GRADIENT = np.asarray(MIXING, np.float64)[..., [6, 0, 3]].transpose(3, 0, 1, 2)  # [B h w C]


def test_the_gradient_is_of_each_image_s_own_logit():
    assert_close(gradient(plain_head, FEATURE_MAP, LABELS), PLAIN_GRADIENT, relative=1e-6)


def test_grad_cam_is_its_formula():
    a = np.asarray(FEATURE_MAP, np.float64)
    weights = PLAIN_GRADIENT.mean((1, 2))
    expected = min_max(np.maximum(np.einsum("bhwc,bc->bhw", a, weights), 0))
    assert (expected == 0).any()  # so ReLU matters
    assert_close(grad_cam(plain_head, FEATURE_MAP, LABELS), expected, absolute=1e-5)


def test_grad_cam_pp_is_its_formula():
    a, g = np.asarray(FEATURE_MAP, np.float64), PLAIN_GRADIENT
    alpha = g**2 / (2 * g**2 + g**3 * a.sum((1, 2), keepdims=True) + 2.2e-16)
    weights = (alpha * np.maximum(g, 0)).sum((1, 2))
    expected = min_max(np.maximum(np.einsum("bhwc,bc->bhw", a, weights), 0))
    assert_close(grad_cam_pp(plain_head, FEATURE_MAP, LABELS), expected, absolute=1e-4)


def test_grad_cam_pp_with_tiny_gradients():
    """With g = 1e-9 an epsilon of 1e-8 would swallow the denominator; the reference's is 2.2e-16."""
    a = jnp.abs(FEATURE_MAP)
    g = 1e-8 * np.abs(PLAIN_GRADIENT)
    alpha = g**2 / (2 * g**2 + g**3 * np.asarray(a, np.float64).sum((1, 2), keepdims=True) + 2.2e-16)
    expected = min_max(np.einsum("bhwc,bc->bhw", np.asarray(a, np.float64), (alpha * g).sum((1, 2))))
    found = grad_cam_pp(lambda x: 1e-8 * jnp.einsum("bhwc,hwck->bk", x, jnp.abs(MIXING)), a, LABELS)
    assert_close(found, expected, absolute=1e-4)


@pytest.mark.parametrize("method", [grad_cam, grad_cam_pp])
def test_no_gradient_gives_zeros(method):
    found = method(lambda feature_map: jnp.zeros((3, 7)) * feature_map.sum(), FEATURE_MAP, LABELS)
    np.testing.assert_array_equal(found, np.zeros((3, 4, 5)))


@pytest.mark.parametrize("method", [grad_cam, grad_cam_pp])
def test_one_channel_without_gradient_adds_nothing(method):
    padded = jnp.concatenate([FEATURE_MAP, 100 * FEATURE_MAP[..., :1]], axis=-1)
    found = method(lambda feature_map: plain_head(feature_map[..., :-1]), padded, LABELS)
    assert_close(found, method(plain_head, FEATURE_MAP, LABELS), absolute=1e-6)


def test_bfloat16_feature_maps_give_float32_maps():
    rounded = FEATURE_MAP.astype(jnp.bfloat16)
    found = grad_cam(lambda x: plain_head(x.astype(jnp.float32)), rounded, LABELS)
    assert found.dtype == jnp.float32
    assert_close(found, grad_cam(plain_head, FEATURE_MAP, LABELS), absolute=0.03)


def test_weighted_maps_are_rectified_then_scaled():
    feature_map = jnp.asarray([[[[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [0.0, 4.0]]]])  # [1 2 2 2]
    found = weighted_map(feature_map, jnp.asarray([[1.0, -1.0]]))
    assert_close(found, [[[0.5, 0.0], [1.0, 0.0]]], absolute=1e-7)
