"""Many poolings on one trunk in one program: each has the maps and measures that it has alone, from shared passes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from castream_jax import METHODS, METRICS, PROTOCOLS, InputError
from castream_jax.binding.program import Plan, Views, run
from castream_jax.models.cascade import list_parts
from tests.goldens import assert_close
from tests.networks import IMAGES, mild_resnet

pytestmark = [pytest.mark.usefixtures("shallow"), pytest.mark.slow]

POOLINGS = ("ca", "simpool", "ep(queries=8)", "class_attention", "gem", "max", "ca(taps=stage3+stage4, heads=2)")
METHOD_KEYS = ("grad_cam", "hires_cam", "score_cam", "attention", "attention_gradient", "attention_value")
PLAN = Plan(
    "stage4",
    16,
    tuple(METHODS[key] for key in METHOD_KEYS),
    metrics=(METRICS["AD"], METRICS["D"]),
    protocols=(PROTOCOLS["castream"],),
)


@functools.cache
def model():
    return mild_resnet(POOLINGS)


def compute(networks):
    """Return what the program finds under some of the networks, for given classes."""
    ledgers = []

    @jax.jit
    def program(images):
        found = run(networks, Views(images, jnp.asarray([[3], [1]])), PLAN)
        ledgers.append(found.ledger.most())
        return found.computed.maps, found.measures[0]

    maps, measures = program(IMAGES)
    return maps, measures, ledgers[0]


@functools.cache
def together():
    return compute(model().poolings())


@pytest.mark.parametrize("pooling", ["gap", "simpool", "ep(queries=8)", "class_attention", "max", POOLINGS[-1]])
def test_each_is_measured_as_if_it_were_alone(pooling):
    maps, measures, _ = together()
    own_maps, own_measures, _ = compute({pooling: model().poolings()[pooling]})
    assert {key for key in maps if key[1] == pooling} == set(own_maps)
    for key, values in own_maps.items():
        assert_close(maps[key], values, absolute=2e-4)
    places = [place for place, key in enumerate(PLAN.keys(model().poolings())) if key[1] == pooling]
    for name, values in own_measures.items():
        np.testing.assert_allclose(np.asarray(measures[name])[places], values, atol=2e-3)


def test_raw_attention_is_of_the_poolings_that_have_some():
    maps, _, _ = together()
    with_attention = {pooling for attribution, pooling in maps if attribution == "attention"}
    assert with_attention == {"ca", "simpool", "ep(queries=8)", "class_attention", POOLINGS[-1]}
    assert {pooling for attribution, pooling in maps if attribution == "grad_cam"} == {"gap", *POOLINGS}


def test_the_maps_passes_serve_all_poolings():
    """128 channels of Score-CAM, once for eight poolings; only what depends on a map is asked for each."""
    _, _, passes = together()
    _, _, alone = compute({"gap": model().poolings()["gap"]})
    maps, of_gap = len(together()[0]), 3
    channels = 128
    of_a_map = (alone - channels - 2) / of_gap
    assert passes < channels + 2 + maps * of_a_map + 2
    assert passes < 8 * alone


def test_a_cascade_knows_the_parts_of_all_poolings():
    parts = list(list_parts(model()))
    assert parts[:4] == ["classifier", "block5", "block4", "block3"]
    assert {"simpool", "ep(queries=8)", f"{POOLINGS[-1]} block2"} <= set(parts)


def test_taps_that_are_not_there_are_named():
    with pytest.raises(InputError, match=r"reads 'stage9': expected feature maps among stem, stage1"):
        mild_resnet(("ca(taps=stage9)",))
