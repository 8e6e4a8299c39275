"""Score-CAM with a tolerance: the certified bound against the exact maps, and what is forwarded for it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from castream_jax import InputError
from castream_jax.attribution.certificate import certify
from castream_jax.binding.shared_trunk import joint_columns, joint_scores
from tests.asking import Weighed, weigh
from tests.attribution.test_score_cam import IMAGES, LABELS, B, score_fn
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
def explain(feature_map, tolerance: float, chunk: int = 8, function=score_fn) -> Weighed:
    return weigh(function, feature_map, IMAGES, jnp.asarray(LABELS), MEAN, STD, chunk, tolerance)


def sums(feature_map, found: Weighed) -> np.ndarray:
    """Return the maps before min-max [S B h w], in float64."""
    values = np.asarray(found.weights.values, np.float64)
    return np.maximum(np.einsum("bhwc,bcs->sbhw", np.asarray(feature_map, np.float64), values), 0)


def known(found: Weighed) -> np.ndarray:
    """Return which channels a map is with [B C]: no probability is 0."""
    return (np.asarray(found.weights.values) != 0).any(-1)


def check_certificate(feature_map, tolerance: float, found: Weighed, exact: Weighed) -> None:
    """Check the bound of pruned maps, before and after min-max, against the exact ones."""
    true, pruned = sums(feature_map, exact), sums(feature_map, found)
    largest = true.max((2, 3))
    bound = np.asarray(found.weights.bound, np.float64).T  # [S B]
    assert (bound <= tolerance).all()
    assert (np.abs(true - pruned).max((2, 3)) <= (bound + 2e-6) * largest).all()
    assert_close(found.weights.left_out[:, 0], 1 - known(found).mean(1), absolute=1e-6)
    stretch = np.where(largest > 0, pruned.max((2, 3)) / np.maximum(np.ptp(pruned, (2, 3)), 1e-30), 0)
    sides = 2 if np.min(feature_map) < 0 else 1
    difference = np.abs(np.asarray(found.maps) - np.asarray(exact.maps)).max((2, 3))
    assert (difference <= sides * bound / (1 - bound) * stretch + 1e-5).all()


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_what_is_left_out_changes_no_map_by_more_than_its_bound(kind):
    feature_map = jnp.asarray(ACTIVATIONS[kind], jnp.float32)
    exact = explain(feature_map, 0.0)
    shares, passes = [np.zeros(B)], [int(exact.asked.sum())]
    for tolerance in TOLERANCES:
        found = explain(feature_map, tolerance)
        check_certificate(feature_map, tolerance, found, exact)
        shares.append(np.asarray(found.weights.left_out[:, 0]))
        passes.append(int(found.asked.sum()))
    assert (np.diff(np.mean(shares, 1)) >= 0).all()
    assert (np.diff(passes) <= 0).all()
    assert passes[-1] < passes[0] / 2


def test_a_map_that_is_zero_for_certain_costs_the_black_image_alone():
    """Whatever the weights are, ReLU makes zeros of a sum of negative channels."""
    found = explain(jnp.asarray(ACTIVATIONS["negative"], jnp.float32), 1e-3)
    assert not found.asked.any()
    assert not found.maps.any()
    assert not found.weights.bound.any()


def test_a_tolerance_that_leaves_nothing_out_finds_every_weight():
    feature_map = jnp.asarray(SHAPES, jnp.float32)
    exact, found = (explain(feature_map, tolerance) for tolerance in (0.0, 1e-12))
    assert known(found).all()
    assert not found.weights.bound.any()
    assert_close(found.weights.values, exact.weights.values, absolute=1e-6)
    np.testing.assert_array_equal(found.asked, exact.asked)


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
def test_full_chunks_are_forwarded_and_counted(chunk):
    calls: list[int] = []

    def watched(images: jax.Array) -> jax.Array:
        jax.debug.callback(lambda n: calls.append(int(n)), jnp.asarray(len(images)))
        return score_fn(images)

    arguments = (jnp.asarray(SHAPES, jnp.float32), IMAGES, jnp.asarray(LABELS), MEAN, STD, chunk, 0.05)
    found = jax.block_until_ready(jax.jit(lambda: weigh(watched, *arguments))())
    jax.effects_barrier()
    assert set(calls) <= {1, min(chunk, B * MANY)}
    live = np.ptp(SHAPES, (1, 2)) > 0
    asked = int(found.asked.sum())
    assert int((known(found) & live).sum()) <= asked
    assert asked <= sum(calls) - 1 < asked + chunk  # only the last chunk may be short of pairs
    if chunk <= 7:
        assert asked < 0.8 * live.sum()


def test_the_strongest_channels_are_weighed():
    found = known(explain(jnp.asarray(SHAPES, jnp.float32), 0.05))
    for image in range(B):
        live = np.ptp(SHAPES[image], (0, 1)) > 0
        strength = np.abs(SHAPES[image]).max((0, 1))
        assert found[image, ~live].all()
        assert 0 < strength[~found[image]].max() <= strength[found[image] & live].min()


def test_fewer_channels_would_not_be_certified():
    """Of each image's channels, strongest first, the shortest beginning that keeps all bounds."""
    feature_map, tolerance = jnp.asarray(SHAPES, jnp.float32), 0.05
    exact, found = explain(feature_map, 0.0).weights, known(explain(feature_map, tolerance))
    live = np.ptp(SHAPES, (1, 2)) > 0
    for image in range(B):
        order = np.argsort(-np.abs(SHAPES[image]).max((0, 1)), kind="stable")
        for count in range(MANY + 1):
            some = ~live[image]
            some[order[:count]] = True
            values = jnp.where(some[:, None], exact.values[image], 0)
            if (certify(feature_map[image : image + 1], values[None], jnp.asarray(some)[None]) <= tolerance).all():
                break
        np.testing.assert_array_equal(found[image], some)
        assert 0 < count < MANY


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
def test_an_image_has_one_map_in_every_batch_and_chunk(chunk):
    feature_map = jnp.asarray(SHAPES, jnp.float32)
    whole = explain(feature_map, 0.05)
    for image in range(B):
        arguments = (score_fn, feature_map[image : image + 1], IMAGES[image : image + 1])
        rest = (jnp.asarray(LABELS)[image : image + 1], MEAN, STD, chunk, 0.05)
        alone = jax.jit(lambda arguments=arguments, rest=rest: weigh(*arguments, *rest))()
        assert_close(alone.maps[:, 0], whole.maps[:, image], absolute=1e-6)
        assert_close(alone.weights.bound[0], whole.weights.bound[image], absolute=1e-6)
        assert alone.weights.left_out[0, 0] == whole.weights.left_out[image, 0] > 0


def test_scores_of_zero_certify_nothing():
    """No positive lower bound of the map's maximum: everything is weighed, and the maps are flat."""
    found = explain(jnp.asarray(np.abs(SHAPES), jnp.float32), 0.5, function=lambda x: 0 * score_fn(x))
    assert not found.weights.left_out.any()
    assert not found.maps.any()
    assert not found.weights.bound.any()


def test_scores_of_nan_end_too():
    found = explain(jnp.asarray(np.abs(SHAPES), jnp.float32), 0.5, function=lambda x: jnp.nan * score_fn(x))
    assert not found.weights.left_out.any()


@pytest.mark.parametrize("value", [0.0, 0.7, -2.0])
def test_flat_feature_maps_are_exact_for_the_black_image(value):
    found = explain(jnp.full((B, 4, 3, MANY), value, jnp.float32), 0.01)
    assert not found.asked.any()
    for array in (found.maps, found.weights.bound, found.weights.left_out):
        np.testing.assert_array_equal(array, np.zeros(array.shape))


def test_compiled_once():
    traces: list[int] = []

    @jax.jit
    def run(feature_map: jax.Array) -> Weighed:
        traces.append(1)
        return weigh(score_fn, feature_map, IMAGES, jnp.asarray(LABELS), MEAN, STD, 8, 0.05)

    shares = [float(run(jnp.asarray(maps, jnp.float32)).weights.left_out.mean()) for maps in ACTIVATIONS.values()]
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
    def run(state: nnx.State, tolerance: float) -> Weighed:
        members = list(nnx.merge(graphdef, state).poolings().values())
        columns = joint_columns(members, jnp.asarray([[4, 2], [1, 1]])[..., None])
        return weigh(joint_scores(members), feature_map, NETWORK_IMAGES, columns, MEAN, STD, 8, tolerance)

    exact, pruned = run(state, 0.0), run(state, 0.2)
    check_certificate(feature_map, 0.2, pruned, exact)
    assert pruned.weights.left_out.max() > 0.1
    assert pruned.asked.sum() < exact.asked.sum()
