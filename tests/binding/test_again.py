"""Maps made again: coherency, ADCC, ARCC and the random-logit test of a small network, against its maps one by one."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from flax import nnx

import castream_jax as ca
from castream_jax.attribution.attention import ATTENTION
from castream_jax.attribution.grad_cam import GRAD_CAM
from castream_jax.attribution.null_maps import CONSTANT, RANDOM
from castream_jax.binding.program import Found, Plan, Views, run
from castream_jax.compute.masking import mask_images, upsample
from castream_jax.metrics.random_logit import SEED
from tests.goldens import assert_close
from tests.networks import IMAGES, mild_resnet

pytestmark = pytest.mark.slow

SYMBOLS = ("AD", "SRG", "SD", "ROAD", "Coh", "Com", "ADCC", "ARCC", "RLT", "Sens")
METRICS = tuple(ca.METRICS[symbol] for symbol in SYMBOLS)
LABELS = np.array([4, 1])
INDICES = [5, 2]
SIZE = IMAGES.shape[1:3]


def ask_nothing(scene):
    """Be a method that asks, as Score-CAM."""
    yield []


ASKING = dataclasses.replace(GRAD_CAM, key="asking", ask=ask_nothing)
PLAN = Plan(
    "stage4",
    24,
    methods=(GRAD_CAM, ATTENTION, ASKING),
    given=("theirs",),
    null_maps=(RANDOM, CONSTANT),
    metrics=METRICS,
    protocols=(ca.PROTOCOLS["castream"],),
)
KEYS = [("grad_cam", "gap"), ("grad_cam", "ca"), ("attention", "ca")]


@functools.cache
def found() -> tuple[dict, dict, int]:
    """Return the maps and the measures by (attribution, pooling), and the passes of an image."""
    model = mild_resnet()
    graphdef, state = nnx.split(model)
    ledgers: list[int] = []

    @jax.jit
    def compute(state, images, given):
        views = Views(images, jnp.asarray(LABELS)[:, None], jnp.asarray(INDICES), given={"theirs": given})
        all_found: Found = run(nnx.merge(graphdef, state).poolings(), views, PLAN)
        ledgers.append(all_found.ledger.most())
        return all_found.computed.maps, all_found.measures[0]

    maps, measures = compute(state, IMAGES, jnp.asarray(np.random.default_rng(0).random((2, 4, 6)), jnp.float32))
    keys = PLAN.keys(model.poolings())
    by_key = {key: {name: np.asarray(values[m]) for name, values in measures.items()} for m, key in enumerate(keys)}
    return {key: np.asarray(values[:, 0]) for key, values in maps.items()}, by_key, ledgers[0]


def explain(key: tuple[str, str], images, labels) -> np.ndarray:
    """Return the maps of a method and a pooling at the images' size."""
    method, pooling = key
    return np.asarray(upsample(ca.attribute(mild_resnet().poolings()[pooling], images, labels, method), SIZE))


def saliency(key: tuple[str, str]) -> np.ndarray:
    return np.asarray(upsample(jnp.asarray(found()[0][key]), SIZE))


@pytest.mark.parametrize("key", KEYS, ids="/".join)
def test_coherency_is_the_correlation_with_the_map_of_the_masked_image(key):
    model, first = mild_resnet(), saliency(key)
    normalisation = model.normalisation
    masked = mask_images(IMAGES, jnp.asarray(first), normalisation.mean, normalisation.std)
    second = explain(key, masked, LABELS)
    expected = [(np.corrcoef(a.ravel(), b.ravel())[0, 1] + 1) / 2 for a, b in zip(first, second, strict=True)]
    measures = found()[1][key]
    assert_close(measures["coherency"], expected, absolute=1e-3)
    assert_close(measures["complexity"], first.mean((1, 2)), absolute=1e-5)
    road = np.clip(measures["road"], 0, 1)
    terms = [measures["coherency"], 1 - measures["complexity"], 1 - measures["average_drop"]]
    assert_close(measures["adcc"], scipy.stats.hmean(terms), absolute=1e-4)
    assert ((measures["arcc"] > 0) | (road < 0.2)).all()


@pytest.mark.parametrize("key", KEYS, ids="/".join)
def test_the_random_logit_test_is_scipy_s_correlation_with_another_class(key):
    steps = [int(jax.random.randint(jax.random.fold_in(jax.random.key(SEED), i), (), 1, 5)) for i in INDICES]
    other = (LABELS + steps) % 5
    assert (other != LABELS).all()
    second = explain(key, IMAGES, other)
    values = found()[1][key]["random_logit"]
    assert (values == 1).all() == (key[0] == "attention")
    assert values.any()
    for value, a, b in zip(values, saliency(key), second, strict=True):
        expected = 0.0 if min(np.ptp(a), np.ptp(b)) == 0 else scipy.stats.spearmanr(a.ravel(), b.ravel()).statistic
        assert_close(value, expected, absolute=2e-3)


@pytest.mark.parametrize("key", KEYS, ids="/".join)
def test_max_sensitivity_is_the_largest_change_of_ten(key):
    first, std, changes = saliency(key), np.asarray(mild_resnet().normalisation.std), []
    for turn in range(10):
        keys = [jax.random.fold_in(jax.random.fold_in(jax.random.key(0), index), turn) for index in INDICES]
        noise = np.stack([jax.random.uniform(k, IMAGES.shape[1:], minval=-2 / 255, maxval=2 / 255) for k in keys])
        second = explain(key, IMAGES + noise / std, LABELS)
        changes.append(np.sqrt(((second - first) ** 2).sum((1, 2)) / (first**2).sum((1, 2))))
    assert_close(found()[1][key]["max_sensitivity"], np.max(changes, 0), absolute=1e-3)


def test_null_maps_are_drawn_again_and_others_have_no_number():
    measures = found()[1]
    for name in ("random", "constant"):
        np.testing.assert_array_equal(measures[name, "ca"]["random_logit"], 1)
        np.testing.assert_array_equal(measures[name, "ca"]["max_sensitivity"], 0)
    assert_close(measures["random", "gap"]["coherency"], [1, 1], absolute=1e-5)
    np.testing.assert_array_equal(measures["constant", "gap"]["coherency"], 0)  # flat
    np.testing.assert_array_equal(measures["constant", "gap"]["adcc"], 0)  # it keeps all
    for key in (("asking", "ca"), ("theirs", "gap")):
        for name in ("coherency", "adcc", "arcc", "random_logit", "max_sensitivity"):
            assert np.isnan(measures[key][name]).all()
        assert np.isfinite(measures[key]["symmetric_relevance_gain"]).all()
        assert np.isfinite(measures[key]["single_deletion"]).all()


def test_the_passes_are_counted():
    """Features and p; of 8 maps o, ROAD's 18 and two curves; 16 cells; 5 maps of the masked image; 10 noisy images."""
    inner = SIZE[0] * SIZE[1] // (8 * SIZE[1]) - 1
    assert found()[2] == 2 + 8 * (1 + 18 + 2 * inner) + 16 + 5 + 10


def test_a_map_alone_cannot_be_made_again():
    maps = np.zeros((2, 4, 6), np.float32)
    with pytest.raises(ca.InputError, match="metric 'Coh' makes maps again, by the same method: evaluate.py measures"):
        ca.evaluate_maps(mild_resnet(), IMAGES, LABELS, maps, metrics=("Coh",))
