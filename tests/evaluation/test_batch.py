"""The program that evaluates a batch, on one device and on two: golden maps and metrics of both poolings."""

import functools
from dataclasses import replace

import jax
import numpy as np
import pytest
from flax import nnx
from jax.sharding import Mesh

from castream_jax import PROTOCOLS
from castream_jax.config import EvaluationConfig
from castream_jax.evaluation.batch import create_evaluate_batch, map_keys
from castream_jax.sharding import DATA, replicate
from tests import goldens
from tests.goldens import assert_close

pytestmark = pytest.mark.slow

METHODS = {"grad_cam_pp": "gradcampp", "score_cam": "scorecam"}
"""And what the golden files call them."""
FILES = {"ca": "resnet18_stream_cam_metrics", "gap": "resnet18_gap"}


@functools.cache
def evaluated(devices: int) -> dict[str, np.ndarray]:
    """Return what the program finds in two golden images shared among devices: trunk shared, masks packed."""
    model = goldens.network("resnet18")
    config = EvaluationConfig(attributions=tuple(METHODS), chunk=32)
    mesh = Mesh(np.array(jax.devices()[:devices]), (DATA,), axis_types=(jax.sharding.AxisType.Auto,))
    graphdef, state = nnx.split(model)
    batch = {
        "images": goldens.read("inputs")["images_u8"][:2],
        "labels": np.zeros(2, np.int32),
        "valid": np.ones(2, bool),
        "indices": np.arange(2),
    }
    protocol = replace(PROTOCOLS["castream"], explained_class="predicted")  # as the golden maps do
    work = create_evaluate_batch(graphdef, config, protocol, mesh)
    return jax.device_get(work(replicate(state, mesh), batch))


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("pooling", FILES)
@pytest.mark.parametrize("method", METHODS)
def test_golden_maps_and_metrics(method, pooling, devices):
    golden, kind = goldens.read(FILES[pooling]), METHODS[method]
    m = map_keys(goldens.network("resnet18"), tuple(METHODS)).index((method, pooling))
    found = {name: values[m] for name, values in evaluated(devices).items() if name != "cost"}
    images = min(2, len(golden[f"{kind}_ad_ai_ag_per_image"]))
    np.testing.assert_array_equal(found["explained_class"], golden["label"][:2])
    assert_close(found["maps"][:images], golden[kind][:images], absolute=1e-4)
    for ours, theirs in (("probability", "base_prob"), ("masked_probability", "masked_prob")):
        assert_close(found[ours][:images], golden[f"{kind}_{theirs}"][:images], absolute=1e-3)
    for ours, theirs in (("insertion", "ins_auc"), ("deletion", "del_auc")):
        assert_close(found[ours][:images], golden[f"{kind}_{theirs}"][:images], absolute=1e-3)


@pytest.mark.parametrize("name", sorted({"average_drop", "average_gain", "insertion", "deletion", "maps"}))
def test_two_devices_find_what_one_does(name):
    assert_close(evaluated(2)[name], evaluated(1)[name], absolute=1e-5)
