"""Score-CAM: golden weights, and the plain loop over channels, for any chunk size and with dead channels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from castream_jax.attribution.certificate import certify
from castream_jax.binding.shared_trunk import joint_columns, joint_scores
from tests import goldens
from tests.asking import Weighed, weigh, weighted_map
from tests.goldens import assert_close
from tests.networks import MEAN, STD

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
B, H, W, C, K = 3, 12, 10, 7, 4
PIXELS = RNG.random((B, H, W, 3))
IMAGES = jnp.asarray((PIXELS - MEAN) / STD, jnp.float32)
READOUT = RNG.standard_normal((H, W, 3, K)) / 5
FEATURE_MAP = RNG.standard_normal((B, 4, 3, C))
FEATURE_MAP[0, :, :, 2] = 0  # dead
FEATURE_MAP[1, :, :, 5] = 0.7  # flat
FEATURE_MAP[2] = 0  # nothing left
LABELS = np.array([[0, 3], [2, 2], [1, 0]])  # two scores of each image


def score_fn(images: jax.Array) -> jax.Array:
    return jax.nn.softmax(jnp.einsum("nhwc,hwck->nk", images, jnp.asarray(READOUT, jnp.float32)))


def plain_weights() -> np.ndarray:
    """Return the weights [B C S] in float64, one mask at a time: upsample, then min-max (the order matters)."""
    rows, columns = np.linspace(0, 3, H), np.linspace(0, 2, W)
    weights = np.zeros((B, C, 2))
    for image in range(B):
        for channel in range(C):
            plane = FEATURE_MAP[image, :, :, channel]
            tall = np.stack([np.interp(rows, np.arange(4), plane[:, j]) for j in range(3)], axis=1)
            mask = np.stack([np.interp(columns, np.arange(3), tall[i]) for i in range(H)])
            span = mask.max() - mask.min()
            mask = (mask - mask.min()) / span if plane.max() > plane.min() else np.zeros((H, W))
            masked = (PIXELS[image] * mask[..., None] - MEAN) / STD
            logits = np.einsum("hwc,hwck->k", masked, READOUT)
            probabilities = np.exp(logits) / np.exp(logits).sum()
            weights[image, channel] = probabilities[LABELS[image]]
    return weights


def find_weights(chunk: int, function=score_fn) -> Weighed:
    arguments = (jnp.asarray(FEATURE_MAP, jnp.float32), IMAGES, jnp.asarray(LABELS), MEAN, STD, chunk)
    return jax.jit(lambda: weigh(function, *arguments))()


@pytest.mark.parametrize("chunk", [1, 2, 5, 12, 21, 64])
def test_weights_are_the_plain_loop_for_any_chunk(chunk):
    assert_close(find_weights(chunk).weights.values, plain_weights(), absolute=1e-5)


def test_dead_and_flat_channels_share_the_black_image():
    black = np.asarray(score_fn(jnp.asarray(np.tile(-np.array(MEAN) / STD, (1, H, W, 1)), jnp.float32)))[0]
    weights = find_weights(5).weights.values
    for image, channels in enumerate(([2], [5], range(C))):
        for channel in channels:
            assert_close(weights[image, channel], black[LABELS[image]], absolute=1e-6)


@pytest.mark.parametrize(("chunk", "passes"), [(1, 13), (5, 3), (13, 1), (64, 1)])
def test_only_live_channels_cost_a_pass(chunk, passes):
    """12 of the 21 (image, channel) pairs are live; the black image goes with them."""
    calls: list[int] = []

    def watched(images: jax.Array) -> jax.Array:
        jax.debug.callback(lambda n: calls.append(int(n)), jnp.asarray(len(images)))
        return score_fn(images)

    found = jax.block_until_ready(find_weights(chunk, watched))
    jax.effects_barrier()
    assert calls == [min(chunk, B * C + 1)] * passes
    np.testing.assert_array_equal(found.asked, [6, 6, 0])


def test_maps_are_the_weighted_sums():
    feature_map, labels = jnp.asarray(FEATURE_MAP, jnp.float32), jnp.asarray(LABELS)
    found = weigh(score_fn, feature_map, IMAGES, labels, MEAN, STD, 8)
    assert not found.weights.bound.any()
    assert not found.weights.left_out.any()
    maps = found.maps
    assert maps.shape == (2, B, 4, 3)
    for s in range(2):
        sums = np.maximum(np.einsum("bhwc,bc->bhw", FEATURE_MAP, plain_weights()[..., s]), 0)
        low, high = sums.min((1, 2), keepdims=True), sums.max((1, 2), keepdims=True)
        assert_close(maps[s], (sums - low) / np.where(high > low, high - low, 1), absolute=1e-4)
    np.testing.assert_array_equal(maps[:, 2], np.zeros((2, 4, 3)))  # the image whose channels are all dead


SOME = 32
"""Of golden weights every 32nd is computed, to save time; `test_batch` computes all of them."""


@pytest.mark.optimised
def test_golden_weights_of_ca_and_gap_from_the_same_passes():
    """The baseline shares the stream network's trunk, so two images serve three golden maps."""
    ca, gap = goldens.read("resnet18_stream_cam_metrics"), goldens.read("resnet18_gap")
    graphdef, state = nnx.split(goldens.network("resnet18"))
    images, feature_map = goldens.images()[:2], goldens.forward("resnet18")["features"]["stage4"][:2]
    labels = jnp.asarray(np.stack([ca["label"][:2], gap["label"][:2]]), jnp.int32)

    @jax.jit
    def find(state: nnx.State) -> jax.Array:
        parts = nnx.merge(graphdef, state).poolings()
        members = [parts["ca"], parts["gap"]]
        columns = joint_columns(members, labels[..., None])  # [B S]
        scores = joint_scores(members)
        return weigh(scores, feature_map[..., ::SOME], images, columns, MEAN, STD, chunk=32).weights.values

    weights = find(state)
    assert_close(weights[..., 0], ca["scorecam_weights"][..., ::SOME], absolute=1e-4)
    assert_close(weights[:1, :, 1], gap["scorecam_weights"][..., ::SOME], absolute=1e-4)


@pytest.mark.optimised
@pytest.mark.parametrize(
    ("file", "name", "target"),
    [
        ("resnet18_stream_cam_metrics", "resnet18", "stage4"),
        ("resnet18_gap", "resnet18", "stage4"),
        ("convnext_tiny_stream_cam_metrics", "convnext_tiny", "branch"),
    ],
)
def test_golden_maps_of_golden_weights(file, name, target):
    golden = goldens.read(file)
    weights = jnp.asarray(golden["scorecam_weights"])
    found = weighted_map(goldens.forward(name)["features"][target][: len(weights)], weights)
    assert_close(found, golden["scorecam"], absolute=1e-4)


@pytest.mark.optimised
def test_golden_weights_of_convnext():
    golden = goldens.read("convnext_tiny_stream_cam_metrics")
    graphdef, state = nnx.split(goldens.network("convnext_tiny"))
    feature_map = goldens.forward("convnext_tiny")["features"]["branch"][:1]
    labels = jnp.asarray(golden["label"][:1, None], jnp.int32)

    @jax.jit
    def find(state: nnx.State) -> jax.Array:
        scores = joint_scores([nnx.merge(graphdef, state)])
        return weigh(scores, feature_map[..., ::SOME], goldens.images()[:1], labels, MEAN, STD, 32).weights.values

    assert_close(find(state)[..., 0], golden["scorecam_weights"][:, ::SOME], absolute=1e-4)


@pytest.mark.optimised
@pytest.mark.parametrize(
    ("name", "target", "file"),
    [("resnet18", "stage4", "resnet18_stream"), ("convnext_tiny", "branch", "convnext_tiny_stream")],
)
def test_the_bound_holds_for_golden_weights(name, target, file):
    """However many of the strongest channels are known."""
    golden = goldens.read(f"{file}_cam_metrics")
    weights = jnp.asarray(golden["scorecam_weights"])[:1, :, None]  # [1 C 1]
    feature_map = goldens.forward(name)["features"][target][:1]
    order = np.argsort(-np.abs(np.asarray(feature_map)).max((1, 2)), axis=1)[0]

    def sums(values: jax.Array) -> np.ndarray:
        return np.maximum(np.einsum("bhwc,bcs->bshw", np.asarray(feature_map, np.float64), np.asarray(values)), 0)

    true, bounds = sums(weights), []
    for unknown in (0, 10, 100, 300):
        known = jnp.ones(weights.shape[:2], bool).at[0, order[len(order) - unknown :]].set(False)
        found = jnp.where(known[..., None], weights, 0)
        bounds.append(float(certify(feature_map, found, known)[0, 0]))
        assert np.abs(true - sums(found)).max() <= (bounds[-1] + 2e-6) * true.max()
    assert bounds[0] == 0 < bounds[1]
    assert bounds == sorted(bounds)
