"""Score-CAM from few of its passes: against the exact weights of pictures, and a plain process in float64.

`efficientnet_lite0.npz` holds, of 16 pictures of ImageNet's validation set under Google's EfficientNet-Lite0, the last
feature map `feature_map` [16 1280 7 7] in float16 and the exact weight of every channel `weights` [16 1280].
"""

import functools
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from scipy.stats import spearmanr

from castream_jax import InputError
from castream_jax.attribution.certificate import certify_estimate
from castream_jax.attribution.channel_design import FLOOR, choose_channels, measure_masks
from castream_jax.attribution.few_passes import Estimate, choose_rest, count_passes, estimate_image, remark_on_estimate
from castream_jax.attribution.gaussian_process import LENGTHS, NOISES, covariance_of_sums, fit, predict
from castream_jax.attribution.score_cam import SCORE_CAM, score_cam
from castream_jax.binding.program import Plan, Views, run
from castream_jax.compute.masking import interpolation_matrix
from castream_jax.compute.questions import Panel, converse
from tests.asking import set_scene
from tests.attribution.test_score_cam import IMAGES, LABELS, score_fn
from tests.attribution.test_score_tolerance import SHAPES
from tests.attribution.toy import CLASSES, network
from tests.attribution.toy import IMAGES as TOY_IMAGES

SIZE, SMALL = (224, 224), (28, 28)


@functools.cache
def pictures() -> tuple[np.ndarray, np.ndarray]:
    """Return feature maps [16 7 7 1280] and weights [16 1280], float32."""
    with np.load(Path(__file__).with_name("efficientnet_lite0.npz")) as file:
        return file["feature_map"].astype(np.float32).transpose(0, 2, 3, 1), file["weights"].astype(np.float32)


@functools.partial(jax.jit, static_argnames="count")
def estimate(feature_map, weights, count: int):
    """Return the weights, the intervals' ends and the stated errors of images, from `count` of the exact weights."""

    def one(arrays):
        channels, exact = arrays
        space = measure_masks(channels, SIZE)
        chosen, asked = choose_channels(space, count // 2)
        chosen, asked = choose_rest(space, chosen, asked, exact[chosen][:, None], count)
        flat = jnp.where(space.live, 0.0, exact).max()[None]
        found = estimate_image(channels, space, chosen, asked, exact[chosen][:, None], flat)
        return tuple(values[..., 0] for values in found)

    return lax.map(one, (feature_map, weights))


def scaled_maps(feature_map, weights) -> np.ndarray:
    """Return maps [n hw] in float64."""
    sums = np.einsum("nhwc,nc->nhw", feature_map.astype(np.float64), weights.astype(np.float64))
    maps = np.maximum(sums, 0).reshape(len(sums), -1)
    return (maps - maps.min(1, keepdims=True)) / np.ptp(maps, axis=1)[:, None]


@pytest.mark.parametrize(("share", "mean", "worst", "error"), [(8, 0.999, 0.99, 0.03), (16, 0.998, 0.99, 0.06)])
def test_its_maps_are_nearly_the_exact_ones(share, mean, worst, error):
    feature_map, weights = pictures()
    values, low, high, stated = map(np.asarray, estimate(feature_map, weights, 1280 // share))
    exact, found = scaled_maps(feature_map, weights), scaled_maps(feature_map, values)
    ranks = [spearmanr(*pair)[0] for pair in zip(exact, found)]
    largest = np.abs(exact - found).max(1)
    assert np.mean(ranks) >= mean
    assert min(ranks) >= worst
    assert largest.mean() <= error
    inside = (exact >= low.reshape(16, -1) - 1e-5) & (exact <= high.reshape(16, -1) + 1e-5)
    assert inside.mean() >= 0.9
    assert (largest <= stated).mean() >= 0.9
    assert stated.mean() < 0.13  # and says something


def points_of(feature_map: np.ndarray) -> np.ndarray:
    """Return the masks of live channels in an image, so scaled that distances are a root mean square [n pixels]."""
    channels = feature_map.astype(np.float64).reshape(49, -1).T
    low, high = channels.min(1, keepdims=True), channels.max(1, keepdims=True)
    live = (high > low)[:, 0]
    masks = ((channels - low) / np.where(high > low, high - low, 1))[live]
    matrix = interpolation_matrix(7, 28, align_corners=True).astype(np.float64)
    return np.einsum("khw,Hh,Ww->kHW", masks.reshape(-1, 7, 7), matrix, matrix).reshape(live.sum(), -1) / 28


def matern(points: np.ndarray, length: float) -> np.ndarray:
    squares = (points**2).sum(1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * points @ points.T, 0))
    r = np.sqrt(3) * distances / length
    return (1 + r) * np.exp(-r)


@pytest.fixture(scope="module")
def plain():
    """Return a picture's feature map, which channels are live, their masks as points in float64, and their weights."""
    feature_map, weights = (arrays[0] for arrays in pictures())
    return feature_map, np.ptp(feature_map, (0, 1)) > 0, points_of(feature_map), weights


def test_the_design_takes_what_is_least_known(plain):
    feature_map, live, points, _ = plain
    space = jax.jit(lambda a: measure_masks(a, SMALL))(feature_map)
    chosen, asked = (np.asarray(part) for part in jax.jit(lambda s: choose_channels(s, 40))(space))
    middle = points - points.mean(0)
    scale = np.sqrt(2 * (middle**2).sum(1).mean())
    np.testing.assert_allclose(space.scale, scale, rtol=1e-4)
    covariance, place = matern(points, scale), np.cumsum(live) - 1
    strength = np.abs(feature_map).max((0, 1))
    weight = (strength / strength.max())[live] + FLOOR
    assert asked.all()
    assert live[chosen].all()
    assert len(set(chosen.tolist())) == 40
    for step in (0, 1, 2, 10, 39):
        known = place[chosen[:step]]
        across = covariance[known]
        left = 1 - (across * np.linalg.solve(covariance[np.ix_(known, known)], across)).sum(0)
        left[known] = 0
        gain = left * weight
        assert gain[place[chosen[step]]] >= 0.9999 * gain.max()


def test_the_process_is_a_plain_one_in_float64(plain):
    feature_map, live, points, weights = plain

    @jax.jit
    def compute(feature_map, weights):
        space = measure_masks(feature_map, SMALL)
        chosen, asked = choose_channels(space, 64)
        process = fit(space, chosen, asked, weights[chosen])
        posterior = predict(space, process, weights[chosen], jnp.float32(0.25))
        covariance = covariance_of_sums(space, process, posterior, feature_map.reshape(49, -1).T)
        return space, chosen, process, posterior, covariance

    space, chosen, process, posterior, covariance = compute(feature_map, weights)
    known = (np.cumsum(live) - 1)[np.asarray(chosen)]
    y, ones = np.log(weights[chosen].astype(np.float64)), np.ones(64)
    y -= np.log1p(-weights[chosen].astype(np.float64))
    likelihoods = []
    for length in LENGTHS:
        for noise in NOISES:
            inverse = np.linalg.inv(matern(points[known], length * float(space.scale)) + noise * np.eye(64))
            rest = y - (ones @ inverse @ y) / inverse.sum()
            _, determinant = np.linalg.slogdet(inverse)
            likelihoods.append(-32 * np.log(rest @ inverse @ rest) + determinant / 2)
    share = np.exp(np.array(likelihoods) - max(likelihoods))
    grid = np.log([(length, noise) for length in LENGTHS for noise in NOISES])
    length, noise = np.exp(share @ grid / share.sum())
    np.testing.assert_allclose([process.length / space.scale, process.noise], [length, noise], rtol=2e-3)

    kernel = matern(points, length * float(space.scale))
    inverse = np.linalg.inv(kernel[np.ix_(known, known)] + noise * np.eye(64))
    mean = (ones @ inverse @ y) / inverse.sum()
    rest, across = y - mean, kernel[known]
    variance = rest @ inverse @ rest / 61
    odds = mean + rest @ inverse @ across
    offset = 1 - ones @ inverse @ across
    left = kernel - across.T @ inverse @ across + np.outer(offset, offset) / inverse.sum() + noise * np.eye(len(points))
    deviation = np.sqrt(variance * np.diag(left))
    normal = np.linspace(-6, 6, 601)
    density = np.exp(-(normal**2) / 2) / np.exp(-(normal**2) / 2).sum()
    drawn = 1 / (1 + np.exp(-(odds[:, None] + deviation[:, None] * normal)))
    expected = drawn @ density
    slopes = np.sqrt((drawn - expected[:, None]) ** 2 @ density) / deviation
    expected[known], slopes[known] = weights[chosen], 0
    np.testing.assert_allclose(np.asarray(posterior.scores)[live], expected, atol=3e-3)
    np.testing.assert_array_equal(np.asarray(posterior.scores)[~live], 0.25)
    np.testing.assert_array_equal(np.asarray(posterior.scores)[chosen], weights[chosen])  # kept to the bit
    channels = feature_map.reshape(49, -1).T[live] * slopes[:, None]
    plain_covariance = variance * channels.T @ left @ channels
    np.testing.assert_allclose(covariance, plain_covariance, atol=0.02 * plain_covariance.max())


ALL = SHAPES.shape[-1]


@functools.partial(jax.jit, static_argnames=("passes", "error", "chunk"))
def weigh(feature_map, images, labels, passes: float = 0, error: float = 0.0, chunk: int = 16):
    """Return what Score-CAM found of two scores for each image, and how many masked images each was asked for."""
    method = score_cam(passes=passes, error=error)
    assert method.ask is not None
    scene = set_scene(images, feature_map, labels)
    found, asked = converse({"": method.ask(scene)}, Panel(score_fn, labels, chunk))
    return found[""], sum(one.number for one in asked if one.number is not None)


def check_same(found: Estimate, other: Estimate, images=slice(None)) -> None:
    for name in ("values", "low", "high", "error", "passes", "left_out"):
        np.testing.assert_allclose(getattr(found, name)[images], getattr(other, name), atol=1e-5, err_msg=name)


FEW = {"passes": 24}, {"error": 0.1}


@pytest.mark.parametrize("setting", FEW)
def test_a_map_depends_neither_on_the_batch_nor_on_the_chunk(setting):
    feature_map, labels = jnp.asarray(SHAPES, jnp.float32), jnp.asarray(LABELS)
    found, _ = weigh(feature_map, IMAGES, labels, **setting)
    check_same(weigh(feature_map, IMAGES, labels, **setting, chunk=7)[0], found)
    check_same(found, weigh(feature_map[1:2], IMAGES[1:2], labels[1:2], **setting)[0], slice(1, 2))


@pytest.mark.parametrize("setting", FEW)
def test_estimates_are_probabilities_within_what_is_certified(setting):
    feature_map, labels = jnp.asarray(SHAPES, jnp.float32), jnp.asarray(LABELS)
    exact, _ = weigh(feature_map, IMAGES, labels)
    found, asked = weigh(feature_map, IMAGES, labels, **setting)
    values = np.asarray(found.values)
    assert ((values >= 0) & (values <= 1)).all()
    true, estimated = (
        np.maximum(np.einsum("bhwc,bcs->bshw", SHAPES, np.asarray(part.values, np.float64)), 0)
        for part in (exact, found)
    )
    apart, largest = np.abs(true - estimated).max((2, 3)), true.max((2, 3))
    assert (apart <= (np.asarray(found.bound, np.float64) + 2e-6) * largest).all()
    np.testing.assert_array_equal(asked, found.passes[:, 0])
    live = (np.ptp(SHAPES, (1, 2)) > 0).sum(1)
    np.testing.assert_allclose(found.left_out[:, 0], (live - np.asarray(asked)) / ALL, atol=1e-6)
    assert ((found.low <= found.high) & (found.low >= 0) & (found.high <= 1)).all()


def test_all_passes_leave_nothing_to_estimate():
    feature_map, labels = jnp.asarray(SHAPES, jnp.float32), jnp.asarray(LABELS)
    exact, plain_number = weigh(feature_map, IMAGES, labels)
    for setting in ({"passes": ALL}, {"error": 1e-9}):
        found, number = weigh(feature_map, IMAGES, labels, **setting)
        np.testing.assert_allclose(found.values, exact.values, atol=1e-6)
        np.testing.assert_array_equal(number, plain_number)
        assert not np.any(found.error)
        assert not np.any(found.bound)


def test_rounds_end_when_the_error_is_small_enough():
    feature_map, labels = jnp.asarray(SHAPES, jnp.float32), jnp.asarray(LABELS)
    found, number = weigh(feature_map, IMAGES, labels, error=0.1)
    assert (np.asarray(found.error) <= 0.1).all()
    _, loose = weigh(feature_map, IMAGES, labels, error=0.9)
    assert (np.asarray(loose) == 32).all()
    assert (np.asarray(number) >= 32).all()


def test_a_certificate_of_weights_that_are_all_known():
    feature_map = jnp.asarray(SHAPES, jnp.float32)
    weights = jnp.full((len(SHAPES), ALL, 1), 0.5)
    assert not certify_estimate(feature_map, weights, jnp.ones((len(SHAPES), ALL), bool)).any()


def test_passes_are_counted_before_anything_runs():
    views = Views(jnp.asarray(TOY_IMAGES, jnp.float32), jnp.asarray(CLASSES)[:, None])
    for passes, count in ((4, 4), (0.5, 3), (100, 6)):
        plan, found = Plan("feature_map", 4, (score_cam(passes=passes),)), []

        def trace(images, plan=plan, found=found):
            found.append(run({"": network()}, replace(views, images=images), plan).ledger.most_for_maps())
            return images

        jax.eval_shape(trace, views.images)
        assert found == [count_passes(passes, 6)] == [count]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"passes": -1}, "score_cam_passes is -1: expected"),
        ({"passes": 1.5}, "score_cam_passes is 1.5: expected"),
        ({"passes": float("nan")}, "score_cam_passes is nan: expected"),
        ({"error": 1}, "score_cam_error is 1: expected"),
        ({"passes": 160, "tolerance": 0.1}, "score_cam_tolerance is 0.1 and score_cam_passes is 160: each says"),
        ({"passes": 160, "variant": "softmax"}, "score_cam_passes is 160 and score_cam_variant 'softmax': only"),
    ],
)
def test_settings_that_make_no_sense(settings, words):
    with pytest.raises(InputError, match=words):
        score_cam(**settings)


def test_they_are_in_the_hash():
    assert len({method.hash for method in (SCORE_CAM, score_cam(passes=160), score_cam(error=0.05))}) == 3


def test_the_report_says_what_the_maps_took():
    columns = {"passes": [150, 160], "error": [0.04, 0.06], "bound": [0.5, 0.7], "left_out": [0.4, 0.2]}
    text = remark_on_estimate({f"score_cam_{name}": np.array(values, float) for name, values in columns.items()})
    assert text == (
        "from 155 masked images each, mean over images; the other weights, 30 % of them, are estimates: 19 of 20 maps "
        "are within 0.05 of the exact one everywhere, mean over images, 0.06 in the worst, as a share of its range. "
        "Certain is less: 70 % of the maximum in the worst."
    )
