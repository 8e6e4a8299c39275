"""The program that evaluates a batch: golden maps and metrics of both poolings, and two devices as one."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import Mesh

from castream_jax import PROTOCOLS, Classifier
from castream_jax.attribution.null_maps import NULL_MAPS
from castream_jax.binding.choices import choose_methods, choose_metrics
from castream_jax.binding.program import Plan
from castream_jax.compute.masking import upsample
from castream_jax.compute.sharding import DATA, replicate
from castream_jax.evaluation.batch import create_evaluate_batch, stack_maps
from tests import goldens
from tests.goldens import assert_close
from tests.networks import mild_resnet

pytestmark = pytest.mark.slow

METHODS = {"grad_cam_pp": "gradcampp", "score_cam": "scorecam"}
"""And what the golden files call them."""
PLAN = Plan(
    target="stage4",
    chunk=32,
    methods=choose_methods(tuple(METHODS)),
    metrics=choose_metrics(()),
)
"""The methods that `test_api` does not compare, in the road of an evaluation."""
FILES = {"ca": "resnet18_stream_cam_metrics", "gap": "resnet18_gap"}


def evaluate(model: Classifier, images: np.ndarray, devices: int, plan: Plan = PLAN) -> dict[str, np.ndarray]:
    """Return what the program finds in images shared among devices: trunk shared, masks packed."""
    mesh = Mesh(np.array(jax.devices()[:devices]), (DATA,), axis_types=(jax.sharding.AxisType.Auto,))
    graphdef, state = nnx.split(model)
    batch = {
        "images": images,
        "labels": np.zeros(len(images), np.int32),
        "valid": np.ones(len(images), bool),
        "indices": np.arange(len(images)),
    }
    protocol = replace(PROTOCOLS["castream"], explained_class="predicted")  # as the golden maps do
    work = create_evaluate_batch(graphdef, replace(plan, protocols=(protocol,)), mesh)
    return jax.device_get(work((replicate(state, mesh), None), batch))


@functools.cache
def golden_results() -> dict[str, np.ndarray]:
    """Return what the program finds in the first golden image."""
    return evaluate(goldens.network("resnet18"), goldens.read("inputs")["images_u8"][:1], devices=1)


@pytest.mark.optimised
@pytest.mark.parametrize("pooling", FILES)
@pytest.mark.parametrize("method", METHODS)
def test_golden_maps_and_metrics(method, pooling):
    golden, kind = goldens.read(FILES[pooling]), METHODS[method]
    m = PLAN.keys(goldens.network("resnet18").poolings()).index((method, pooling))
    found = {name: values[m] for name, values in golden_results().items() if name != "cost"}
    np.testing.assert_array_equal(found["explained_class"], golden["label"][:1])
    assert_close(found["maps"], golden[kind][:1], absolute=1e-4)
    for ours, theirs in (("probability", "base_prob"), ("masked_probability", "masked_prob")):
        assert_close(found[ours], golden[f"{kind}_{theirs}"][:1], absolute=1e-3)
    for ours, theirs in (("insertion", "ins"), ("deletion", "del")):
        assert_close(found[ours], golden[f"{kind}_{theirs}_auc"][:1], absolute=1e-3)
        assert_close(found[f"{ours}_curve"], golden[f"{kind}_{theirs}_scores"][:1], absolute=1e-3)


@functools.cache
def small_results(devices: int) -> dict[str, np.ndarray]:
    """Return what the program finds in four small images."""
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    return evaluate(mild_resnet(), images, devices, replace(PLAN, null_maps=tuple(NULL_MAPS.values())))


@pytest.mark.optimised  # in a hurry, the two programs round differently
@pytest.mark.parametrize("name", sorted({"average_drop", "average_gain", "insertion", "deletion", "maps"}))
def test_two_devices_find_what_one_does(name):
    assert_close(small_results(2)[name], small_results(1)[name], absolute=1e-5)


def test_maps_of_different_sizes_are_shown_in_the_finest():
    coarse, fine = jnp.arange(8.0).reshape(2, 2, 2) / 8, jnp.arange(32.0).reshape(2, 4, 4) / 32
    found = stack_maps([coarse, fine])
    np.testing.assert_array_equal(found[1], fine)
    np.testing.assert_allclose(found[0], upsample(coarse, (4, 4)), atol=1e-7)
