"""Score-CAM with a tolerance: the certified bound against the exact maps, and what is forwarded for it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from castream_jax import InputError
from castream_jax.attribution.certificate import certify
from castream_jax.attribution.score import ChannelWeights, ScoreCam, score_cam, score_cam_weights
from castream_jax.evaluation.maps import joint_labels, joint_probabilities
from tests.attribution.test_score import IMAGES, LABELS, B, score_fn
from tests.goldens import assert_close
from tests.networks import IMAGES as NETWORK_IMAGES
from tests.networks import MEAN, STD, forward, small_convnext

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
TOLERANCES = (1e-3, 1e-2, 0.05, 0.2, 0.7)
MANY = 96
SHAPES = RNG.standard_normal((B, 4, 3, MANY)) * RNG.lognormal(0, 2, MANY)  # channels of very different strength
SHAPES[0, :, :, :9] = 0
SHAPES[1, :, :, 10:15] = 0.7
ACTIVATIONS = {"of both signs": SHAPES, "positive": np.maximum(SHAPES, 0), "negative": -np.abs(SHAPES)}


@functools.partial(jax.jit, static_argnames=("tolerance", "chunk", "function"))
def explain(feature_map, tolerance: float, chunk: int = 8, function=score_fn) -> tuple[ScoreCam, ChannelWeights]:
    arguments = (function, feature_map, IMAGES, jnp.asarray(LABELS), MEAN, STD, chunk, tolerance)
    return score_cam(*arguments), score_cam_weights(*arguments)


def sums(feature_map, weights: ChannelWeights) -> np.ndarray:
    """Return the maps before min-max [S B h w], in float64."""
    values = np.asarray(weights.values, np.float64)
    return np.maximum(np.einsum("bhwc,bcs->sbhw", np.asarray(feature_map, np.float64), values), 0)


def check_certificate(feature_map, tolerance: float, found, exact) -> None:
    """Check the bound of pruned maps, before and after min-max, against the exact ones."""
    (maps, weights), (exact_maps, exact_weights) = found, exact
    true, pruned = sums(feature_map, exact_weights), sums(feature_map, weights)
    largest = true.max((2, 3))
    bound = np.asarray(maps.bound, np.float64)
    assert (bound <= tolerance).all()
    assert (np.abs(true - pruned).max((2, 3)) <= (bound + 2e-6) * largest).all()
    assert_close(maps.left_out, 1 - np.asarray(weights.known).mean(1), absolute=1e-6)
    stretch = np.where(largest > 0, pruned.max((2, 3)) / np.maximum(np.ptp(pruned, (2, 3)), 1e-30), 0)
    sides = 2 if np.min(feature_map) < 0 else 1
    difference = np.abs(np.asarray(maps.maps) - np.asarray(exact_maps.maps)).max((2, 3))
    assert (difference <= sides * bound / (1 - bound) * stretch + 1e-5).all()


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_what_is_left_out_changes_no_map_by_more_than_its_bound(kind):
    feature_map = jnp.asarray(ACTIVATIONS[kind], jnp.float32)
    exact = explain(feature_map, 0.0)
    shares, passes = [np.zeros(B)], [int(exact[0].passes)]
    for tolerance in TOLERANCES:
        found = explain(feature_map, tolerance)
        check_certificate(feature_map, tolerance, found, exact)
        shares.append(np.asarray(found[0].left_out))
        passes.append(int(found[0].passes))
    assert (np.diff(np.mean(shares, 1)) >= 0).all()
    assert (np.diff(passes) <= 0).all()
    assert passes[-1] < passes[0] / 2


def test_a_map_that_is_zero_for_certain_costs_the_black_image_alone():
    """Whatever the weights are, ReLU makes zeros of a sum of negative channels."""
    found, _ = explain(jnp.asarray(ACTIVATIONS["negative"], jnp.float32), 1e-3)
    assert found.passes == 1
    assert not found.maps.any()
    assert not found.bound.any()


def test_a_tolerance_that_leaves_nothing_out_finds_every_weight():
    feature_map = jnp.asarray(SHAPES, jnp.float32)
    exact, found = (explain(feature_map, tolerance)[1] for tolerance in (0.0, 1e-12))
    assert found.known.all()
    assert not found.bound.any()
    assert_close(found.values, exact.values, absolute=1e-6)
    assert found.passes == exact.passes


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
def test_full_chunks_are_forwarded_and_counted(chunk):
    calls: list[int] = []

    def watched(images: jax.Array) -> jax.Array:
        jax.debug.callback(lambda n: calls.append(int(n)), jnp.asarray(len(images)))
        return score_fn(images)

    arguments = (jnp.asarray(SHAPES, jnp.float32), IMAGES, jnp.asarray(LABELS), MEAN, STD, chunk, 0.05)
    weights = jax.block_until_ready(jax.jit(lambda: score_cam_weights(watched, *arguments))())
    jax.effects_barrier()
    assert weights.passes == sum(calls)
    assert set(calls) <= {1, min(chunk, B * MANY)}
    live = np.ptp(SHAPES, (1, 2)) > 0
    weighed = int(weights.weighed.sum())
    assert int((np.asarray(weights.known) & live).sum()) <= weighed
    assert weighed <= weights.passes - 1 < weighed + chunk  # only the last chunk may be short of pairs
    if chunk <= 7:
        assert weighed < 0.8 * live.sum()


def test_the_strongest_channels_are_weighed():
    _, weights = explain(jnp.asarray(SHAPES, jnp.float32), 0.05)
    for image in range(B):
        live, known = np.ptp(SHAPES[image], (0, 1)) > 0, np.asarray(weights.known[image])
        strength = np.abs(SHAPES[image]).max((0, 1))
        assert known[~live].all()
        assert 0 < strength[~known].max() <= strength[known & live].min()


def test_fewer_channels_would_not_be_certified():
    """Of each image's channels, strongest first, the shortest beginning that keeps all bounds."""
    feature_map, tolerance = jnp.asarray(SHAPES, jnp.float32), 0.05
    exact, weights = explain(feature_map, 0.0)[1], explain(feature_map, tolerance)[1]
    live = np.ptp(SHAPES, (1, 2)) > 0
    for image in range(B):
        order = np.argsort(-np.abs(SHAPES[image]).max((0, 1)), kind="stable")
        for count in range(MANY + 1):
            known = ~live[image]
            known[order[:count]] = True
            values = jnp.where(known[:, None], exact.values[image], 0)
            if (certify(feature_map[image : image + 1], values[None], jnp.asarray(known)[None]) <= tolerance).all():
                break
        np.testing.assert_array_equal(weights.known[image], known)
        assert 0 < count < MANY


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
def test_an_image_has_one_map_in_every_batch_and_chunk(chunk):
    feature_map = jnp.asarray(SHAPES, jnp.float32)
    maps, _ = explain(feature_map, 0.05)
    for image in range(B):
        arguments = (score_fn, feature_map[image : image + 1], IMAGES[image : image + 1])
        rest = (jnp.asarray(LABELS)[image : image + 1], MEAN, STD, chunk, 0.05)
        alone = jax.jit(lambda arguments=arguments, rest=rest: score_cam(*arguments, *rest))()
        assert_close(alone.maps[:, 0], maps.maps[:, image], absolute=1e-6)
        assert_close(alone.bound[:, 0], maps.bound[:, image], absolute=1e-6)
        assert alone.left_out[0] == maps.left_out[image] > 0


def test_scores_of_zero_certify_nothing():
    """No positive lower bound of the map's maximum: everything is weighed, and the maps are flat."""
    found, weights = explain(jnp.asarray(np.abs(SHAPES), jnp.float32), 0.5, function=lambda x: 0 * score_fn(x))
    assert weights.known.all()
    assert not found.maps.any()
    assert not found.bound.any()


def test_scores_of_nan_end_too():
    found, _ = explain(jnp.asarray(np.abs(SHAPES), jnp.float32), 0.5, function=lambda x: jnp.nan * score_fn(x))
    assert not found.left_out.any()


@pytest.mark.parametrize("value", [0.0, 0.7, -2.0])
def test_flat_feature_maps_are_exact_for_the_black_image(value):
    found, _ = explain(jnp.full((B, 4, 3, MANY), value, jnp.float32), 0.01)
    assert found.passes == 1
    for array in (found.maps, found.bound, found.left_out):
        np.testing.assert_array_equal(array, np.zeros(array.shape))


def test_compiled_once():
    traces: list[int] = []

    @jax.jit
    def run(feature_map: jax.Array) -> ScoreCam:
        traces.append(1)
        return score_cam(score_fn, feature_map, IMAGES, jnp.asarray(LABELS), MEAN, STD, 8, 0.05)

    shares = [float(run(jnp.asarray(maps, jnp.float32)).left_out.mean()) for maps in ACTIVATIONS.values()]
    assert len(set(shares)) == 3  # each takes its own number of turns
    assert len(traces) == 1


@pytest.mark.parametrize("tolerance", [-0.1, 1.0, float("nan")])
def test_a_tolerance_out_of_range(tolerance):
    with pytest.raises(InputError, match=f"tolerance is {tolerance}: expected"):
        explain(jnp.asarray(SHAPES, jnp.float32), tolerance)


def test_the_bound_holds_for_a_network():
    """A ConvNeXt, whose activations are of both signs; its channels made as uneven as trained ones are."""
    model = small_convnext()
    graphdef, state = nnx.split(model)
    strengths = jnp.asarray(RNG.lognormal(0, 2, 64), jnp.float32).reshape(1, 1, 1, 64)
    feature_map = forward(model, NETWORK_IMAGES)[0]["branch"] * strengths

    @functools.partial(jax.jit, static_argnums=1)
    def run(state: nnx.State, tolerance: float) -> tuple[ScoreCam, ChannelWeights]:
        members = list(nnx.merge(graphdef, state).poolings().values())
        columns = joint_labels(members, jnp.asarray([[4, 2], [1, 1]])).T
        arguments = (joint_probabilities(members), feature_map, NETWORK_IMAGES, columns, MEAN, STD, 8, tolerance)
        return score_cam(*arguments), score_cam_weights(*arguments)

    exact, pruned = run(state, 0.0), run(state, 0.2)
    check_certificate(feature_map, 0.2, pruned, exact)
    assert pruned[0].left_out.max() > 0.1
    assert pruned[0].passes < exact[0].passes
