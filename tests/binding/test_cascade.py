"""Maps of networks whose weights are drawn again, and of mosaics, against maps that are made one by one."""

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
from castream_jax.attribution.null_maps import CHANNEL_SUM, GAUSSIAN
from castream_jax.binding.program import Plan, Views, run
from castream_jax.compute.masking import upsample
from castream_jax.errors import InputError
from castream_jax.metrics.randomised_entropy import histogram_entropy
from castream_jax.metrics.similarity import structural_similarity
from castream_jax.models.cascade import Cascade, draw_again
from tests.goldens import assert_close
from tests.networks import IMAGES, forward, mild_resnet, random_images

pytestmark = [pytest.mark.usefixtures("shallow"), pytest.mark.slow]
LABELS = np.array([4, 1])
INDICES = [6, 3]
METRICS = tuple(ca.METRICS[symbol] for symbol in ("MPRT", "SSIM", "eMPRT", "GridPG"))
NULLS = (GAUSSIAN, CHANNEL_SUM)
PLAN = Plan("stage4", 24, (GRAD_CAM, ATTENTION), ("theirs",), NULLS, METRICS, (ca.PROTOCOLS["castream"],))
KEYS = [("grad_cam", "gap"), ("grad_cam", "ca"), ("attention", "ca")]
SIZE = IMAGES.shape[1:3]
PARTNERS = random_images(6, *SIZE, seed=9).reshape(2, 3, *SIZE, 3)


def cascade() -> Cascade:
    """Return the network on its way to fresh weights."""
    model = mild_resnet()
    return Cascade(*nnx.split(model), draw_again(model))


@functools.cache
def found() -> tuple[dict, int]:
    """Return the measures by (attribution, pooling), and the passes of an image."""
    own, most = cascade(), []

    @jax.jit
    def compute(states, images, given, partners):
        path = Cascade(own.graphdef, *states)
        views = Views(images, jnp.asarray(LABELS)[:, None], jnp.asarray(INDICES), None, {"theirs": given}, partners)
        everything = run(nnx.merge(own.graphdef, states[0]).poolings(), views, PLAN, cascade=path)
        most.append(everything.ledger.most())
        return everything.measures[0]

    measures = compute((own.state, own.fresh), IMAGES, jnp.zeros((2, 4, 6)), PARTNERS)
    keys = PLAN.keys(mild_resnet().poolings())
    return {key: {name: np.asarray(v[m]) for name, v in measures.items()} for m, key in enumerate(keys)}, most[0]


@functools.cache
def explain(key: tuple[str, str], count: int) -> np.ndarray:
    """Return the maps of a method and a pooling at the images' size, with so many parts drawn again."""
    network = cascade().networks(jnp.asarray(count))[key[1]]
    return np.asarray(upsample(ca.attribute(network, IMAGES, LABELS, key[0]), SIZE))


def correlate(a: np.ndarray, b: np.ndarray) -> float:
    """Return scipy's rank correlation; 1 for equal lists, 0 where one is flat."""
    if np.array_equal(a, b):
        return 1.0
    return 0.0 if min(np.ptp(a), np.ptp(b)) == 0 else float(scipy.stats.spearmanr(a, b).statistic)


@pytest.mark.parametrize("key", KEYS, ids="/".join)
def test_cascading_randomisation_is_scipy_s_correlation_with_each_map(key):
    own, correlations, likeness = explain(key, 0), [], []
    for count in range(1, 12):
        maps = explain(key, count)
        thin = [(a[::2, ::2].ravel(), b[::2, ::2].ravel()) for a, b in zip(own, maps, strict=True)]  # at most 56 a side
        correlations.append([correlate(a, b) for a, b in thin])
        likeness.append(np.asarray(structural_similarity(jnp.asarray(own), jnp.asarray(maps))))
    measures = found()[0][key]
    assert_close(measures["cascade"], np.mean(correlations, 0), absolute=5e-3)
    assert_close(measures["cascade_classifier"], correlations[0], absolute=5e-3)
    assert_close(measures["cascade_whole"], correlations[-1], absolute=5e-3)
    assert_close(measures["cascade_similarity"], np.mean(likeness, 0), absolute=5e-3)
    assert (measures["cascade"] < 0.99).all()
    assert (measures["cascade_classifier"] > 0.999).all() == (key[0] == "attention")  # which sees no classifier


def test_null_maps_do_not_forget_and_others_have_no_number():
    measures = found()[0]
    for pooling in ("gap", "ca"):
        assert_close(measures["gaussian", pooling]["cascade"], [1.0, 1.0], absolute=1e-6)
        assert_close(measures["channel_sum", pooling]["cascade_classifier"], [1.0, 1.0], absolute=1e-5)
        assert (measures["channel_sum", pooling]["cascade_whole"] < 0.99).all()
        for name in ("cascade", "cascade_similarity", "randomised_entropy", "grid_pointing_game"):
            assert np.isnan(measures["theirs", pooling][name]).all()


def sums_under_gap(count: int, images: jax.Array) -> np.ndarray:
    """Return Grad-CAM under GAP before its ReLU, but for a factor, at the images' size."""
    network = cascade().networks(jnp.asarray(count))["gap"]
    weights = network.classifier.linear.kernel[...].T[LABELS]  # [B C]
    feature_map = forward(network, images)[0]["stage4"]
    return np.asarray(upsample(jnp.einsum("bhwc,bc->bhw", feature_map, weights), images.shape[1:3]))


def test_the_entropy_is_of_the_map_before_its_relu():
    own, fresh = (histogram_entropy(jnp.asarray(sums_under_gap(n, IMAGES).reshape(2, -1))) for n in (0, 11))
    assert_close(found()[0]["grad_cam", "gap"]["randomised_entropy"], (fresh - own) / own, absolute=1e-2)


def test_the_grid_pointing_game_is_the_share_in_the_image_s_own_cell():
    (h, w), places = SIZE, [2, 3]  # 6 and 3 modulo 4
    mosaics = np.zeros((2, 2 * h, 2 * w, 3), np.float32)
    expected = []
    for b, place in enumerate(places):
        cells = [IMAGES[b], *PARTNERS[b]]
        for number, image in enumerate(cells):
            row, column = divmod((place + number) % 4, 2)
            mosaics[b, row * h : (row + 1) * h, column * w : (column + 1) * w] = image
    energy = np.maximum(sums_under_gap(0, jnp.asarray(mosaics)), 0)
    for b, place in enumerate(places):
        row, column = divmod(place, 2)
        expected.append(energy[b, row * h : (row + 1) * h, column * w : (column + 1) * w].sum() / energy[b].sum())
    measures, _ = found()
    assert_close(measures["grad_cam", "gap"]["grid_pointing_game"], expected, absolute=1e-3)
    assert_close(measures["gaussian", "gap"]["grid_pointing_game"], [0.25, 0.25], absolute=1e-3)
    assert all((measures[key]["grid_pointing_game"] > 0).all() for key in KEYS)


def test_passes_are_counted_a_mosaic_as_four():
    assert found()[1] == 2 + 12 + 12 + 2 + 4  # the image, for maps and for p; 12 networks, twice; 2; a mosaic


def test_without_fresh_weights_or_partners_there_is_a_message():
    network, views = mild_resnet().poolings()["gap"], Views(IMAGES, jnp.asarray(LABELS)[:, None])
    for symbol, message in (("MPRT", "network with fresh weights"), ("GridPG", "images of other classes")):
        plan = Plan("stage4", 24, (GRAD_CAM,), metrics=(ca.METRICS[symbol],), protocols=PLAN.protocols)
        with pytest.raises(InputError, match=message):
            jax.eval_shape(lambda plan=plan: run({"gap": network}, views, plan).measures)
