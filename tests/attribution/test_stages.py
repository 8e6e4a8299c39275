"""Stages: which they are, of networks of ours, and gradients and maps of several against those of each by itself."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from castream_jax.attribution.gradient import gradient
from castream_jax.attribution.layer_cam import layer_cam
from castream_jax.attribution.refine_cam import REFINE_CAM
from castream_jax.attribution.stages import last_of_grids
from castream_jax.binding.program import Plan, Views, run
from castream_jax.binding.shared_trunk import head_from
from tests.attribution.toy import min_max, upsample
from tests.networks import IMAGES, small_convnext, small_resnet

pytestmark = pytest.mark.slow

LABELS = jnp.asarray([2, 1])
STAGES = ["stage4", "stage2", "stage1"]
"""Of the small ResNet, whose last two share a grid."""


def stages_of(model, target: str) -> list[str]:
    return last_of_grids(model.targets, target, jax.eval_shape(model.features, IMAGES))


def test_they_are_the_last_maps_of_finer_and_finer_grids():
    assert stages_of(small_resnet(), "stage4") == STAGES
    assert stages_of(small_resnet(), "stage2") == ["stage2", "stage1"]
    assert stages_of(small_convnext(), "branch") == ["branch", "downsample2", "downsample1"]
    sides = {"head": 7, "stage7": 7, "stage6": 7, "stage5": 14, "stage4": 14, "stage3": 28, "stage1": 112}
    shapes = {name: jax.ShapeDtypeStruct((1, side, side, 9), jnp.float32) for name, side in sides.items()}
    assert last_of_grids(tuple(sides), "head", shapes) == ["head", "stage5", "stage3", "stage1"]


@functools.cache
def by_themselves() -> list[tuple[np.ndarray, np.ndarray]]:
    """Return each stage's gradient, of a program that starts there, and its feature map."""
    graphdef, state = nnx.split(small_resnet())

    @jax.jit
    def compute(state):
        model = nnx.merge(graphdef, state)
        features = model.features(IMAGES)
        return [(gradient(head_from(model, features, name), features[name], LABELS), features[name]) for name in STAGES]

    return [(np.asarray(g, np.float64), np.asarray(a, np.float64)) for g, a in compute(state)]


@functools.cache
def found() -> dict[str, np.ndarray]:
    """Return LayerCAM of two stages and RefineCAM."""
    graphdef, state = nnx.split(small_resnet())
    plan = Plan("stage4", 4, (layer_cam(2), REFINE_CAM))

    @jax.jit
    def compute(state):
        return run({"": nnx.merge(graphdef, state)}, Views(IMAGES, LABELS[:, None]), plan).computed.maps

    return {method: np.asarray(maps[:, 0]) for (method, _), maps in compute(state).items()}


def test_layer_cam_takes_the_largest_share_of_two_stages():
    maps = [np.maximum((np.maximum(g, 0) * a).sum(-1), 0) for g, a in by_themselves()[:2]]
    late, early = (m / m.max((1, 2), keepdims=True) for m in maps)
    expected = np.maximum(upsample(late, early.shape[1:]), np.tanh(2 * early))
    np.testing.assert_allclose(found()["layer_cam"], min_max(expected), atol=5e-4)


def test_refine_cam_is_the_product_of_all_stages():
    product = np.ones((2, 16, 24))
    for g, a in by_themselves():
        alpha = g**2 / (2 * g**2 + g**3 * a.sum((1, 2), keepdims=True) + 2.2e-16)
        weights = (np.where(g == 0, 0, alpha) * np.maximum(g, 0)).sum((1, 2))
        product *= upsample(min_max(np.maximum(np.einsum("bhwc,bc->bhw", a, weights), 0)), (16, 24))
    np.testing.assert_allclose(found()["refine_cam"], min_max(product), atol=5e-4)


@pytest.mark.parametrize("method", [layer_cam(2), REFINE_CAM], ids=lambda method: method.key)
def test_they_run_through_the_trunk(method):
    assert method.through_trunk == 1
