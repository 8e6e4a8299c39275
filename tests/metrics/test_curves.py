"""Insertion and deletion: the order of pixels, the blur, the curves and their area."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from castream_jax import Normalisation
from castream_jax.compute.masking import upsample
from castream_jax.compute.questions import Panel, converse
from castream_jax.metrics.curves import End, area, change_pixels
from castream_jax.metrics.insertion import blur
from castream_jax.metrics.metric import Case
from castream_jax.metrics.protocol import get_protocol
from tests import goldens
from tests.goldens import assert_close

STEP = 8 * 224


def pixel_ranks(saliency: jax.Array) -> jax.Array:
    images = jnp.zeros((*saliency.shape, 3))
    return Case(images, saliency, jnp.arange(len(saliency)), get_protocol("castream"), Normalisation()).ranks


def plain_ranks(saliency: np.ndarray) -> np.ndarray:
    """Return each pixel's place: by decreasing value, ties by decreasing flat index."""
    order = np.flip(np.argsort(saliency.reshape(-1), kind="stable"))
    ranks = np.empty(saliency.size, np.int64)
    ranks[order] = np.arange(saliency.size)
    return ranks.reshape(saliency.shape)


@pytest.mark.parametrize("levels", [1, 2, 5, 1000])
def test_ranks_and_their_ties_are_numpy_s(levels):
    saliency = np.random.default_rng(0).integers(0, levels, (3, 9, 7)).astype(np.float32) / levels
    found = pixel_ranks(jnp.asarray(saliency))
    np.testing.assert_array_equal(found, np.stack([plain_ranks(one) for one in saliency]))


def test_a_flat_map_goes_from_bottom_right_to_top_left():
    found = pixel_ranks(jnp.zeros((1, 3, 4)))
    np.testing.assert_array_equal(found[0].reshape(-1), np.arange(12)[::-1])


def test_negative_zero_ties_with_zero():
    found = pixel_ranks(jnp.asarray([[[0.0, -0.0, 0.0, -0.0]]]))
    np.testing.assert_array_equal(found, [[[3, 2, 1, 0]]])


def test_steps_of_tie_free_maps_are_the_reference_s():
    ranks = goldens.read("inputs")["synth_rank_u16"]
    steps = pixel_ranks((jnp.asarray(ranks, jnp.float32) + 0.5) / 50176) // STEP
    np.testing.assert_array_equal(steps, goldens.read("resnet18_stream_cam_metrics")["synth_stepmap"])


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("resnet18_stream_cam_metrics", "gradcam"),
        ("resnet18_stream_cam_metrics", "gradcampp"),
        ("resnet18_stream_cam_metrics", "scorecam"),
        ("convnext_tiny_stream_cam_metrics", "gradcam"),
        ("convnext_tiny_gap", "gradcam"),
    ],
)
def test_steps_of_maps_with_ties_are_the_reference_s(file, kind):
    """Bilinear corners and borders tie. Our upsampling differs from torch's in the last bit, so pixels whose values
    are within 1e-6 of each other may change places at the edge of a step; exact ties, and all else, may not.
    """
    golden = goldens.read(file)
    expected = golden[f"{kind}_stepmap"].astype(int)
    saliency = np.asarray(upsample(jnp.asarray(golden[kind][: len(expected)]), (224, 224)))
    found = np.asarray(pixel_ranks(jnp.asarray(saliency))) // STEP
    for values, ours, theirs in zip(saliency, found, expected, strict=True):
        edges = np.sort(values.reshape(-1))[::-1][STEP - 1 :: STEP]  # the last value of each step
        moved = ours != theirs
        assert (np.abs(ours - theirs)[moved] == 1).all()
        edge = edges[np.minimum(ours, theirs)[moved]]
        assert (np.abs(values[moved] - edge) < 1e-6).all()
        if not values.any():
            assert not moved.any()


def test_goldens_hold_maps_of_ties_alone():
    assert not goldens.read("convnext_tiny_stream_cam_metrics")["gradcam"][1].any()


def test_blur_is_the_reference_s():
    blurred = blur(goldens.images()[:1], jnp.asarray(goldens.read("inputs")["gkern_5_5"]))
    places = jnp.asarray([0, 1, 100, 223])
    found = blurred[:, places][:, :, places].transpose(0, 3, 1, 2)
    assert_close(found, goldens.read("inputs")["blur_check"], absolute=1e-5)


@pytest.mark.parametrize("name", ["castream", "rise"])
def test_blur_is_scipy_s_convolution_with_zeros_outside(name):
    images = np.random.default_rng(0).standard_normal((2, 20, 17, 3)).astype(np.float32)
    kernel = get_protocol(name).blur_kernel()
    expected = scipy.ndimage.convolve(images, kernel[None, :, :, None].astype(np.float64), mode="constant")
    assert_close(blur(jnp.asarray(images), jnp.asarray(kernel)), expected, absolute=1e-5)


RNG = np.random.default_rng(1)
BEFORE, AFTER = RNG.standard_normal((2, 2, 6, 5, 3)).astype(np.float32)
READOUT = (RNG.standard_normal((6, 5, 3, 4)) / 4).astype(np.float32)
SALIENCY = RNG.integers(0, 6, (5, 6, 5)).astype(np.float32)  # many ties
SOURCE, LABELS = np.array([0, 1, 1, 0, 1]), np.array([3, 0, 1, 2, 1])


def score_fn(images: jax.Array) -> jax.Array:
    return jax.nn.softmax(jnp.einsum("nhwc,hwck->nk", images, READOUT))


def plain_probability(image: np.ndarray, label: int) -> float:
    logits = np.einsum("hwc,hwck->k", image.astype(np.float64), READOUT)
    return (np.exp(logits) / np.exp(logits).sum())[label]


def plain_curve(job: int, step: int) -> list[float]:
    image, curve = BEFORE[SOURCE[job]].copy().reshape(30, 3), []
    order = np.flip(np.argsort(SALIENCY[job].reshape(-1), kind="stable"))
    for point in range(-(-30 // step) + 1):
        changed = order[: point * step]
        image[changed] = AFTER[SOURCE[job]].reshape(30, 3)[changed]
        curve.append(plain_probability(image.reshape(6, 5, 3), LABELS[job]))
    return curve


def found_curves(step: int, chunk: int) -> jax.Array:
    """Of each map as if its image was its own, so that each has its label."""
    before, after = jnp.asarray(BEFORE[SOURCE]), jnp.asarray(AFTER[SOURCE])
    protocol = dataclasses.replace(get_protocol("rise"), step_rows=1)
    object.__setattr__(protocol, "step", lambda width: step)
    panel = Panel(score_fn, jnp.asarray(LABELS)[:, None], chunk)

    def run(saliency: jax.Array) -> jax.Array:
        p = score_fn(after)[jnp.arange(5), jnp.asarray(LABELS), None]
        case = Case(after, saliency, jnp.arange(5), protocol, Normalisation(), answers={"p": p})
        curves = change_pixels(case, "insertion", End(before, "before"), End(after))
        return converse({"": curves}, panel)[0][""]["insertion_curve"][:, 0]

    return jax.jit(run)(jnp.asarray(SALIENCY))


@pytest.mark.parametrize("step", [1, 5, 7, 29, 30, 100])
def test_curves_are_the_plain_loop(step):
    """Steps that divide the 30 pixels, that do not, and one step that takes them all."""
    found = found_curves(step, chunk=4)
    assert_close(found, [plain_curve(job, step) for job in range(5)], absolute=1e-5)


@pytest.mark.parametrize("chunk", [1, 3, 20, 64])
def test_curves_do_not_depend_on_the_chunk(chunk):
    assert_close(found_curves(7, chunk), found_curves(7, 4), absolute=1e-6)


def test_area_is_the_normalised_trapezoid():
    curves = np.random.default_rng(0).random((3, 29))
    assert_close(area(jnp.asarray(curves, jnp.float32)), np.trapezoid(curves, dx=1 / 28), absolute=1e-6)
    assert_close(area(jnp.asarray([[0.2, 0.6]])), [0.4], absolute=1e-7)


@pytest.mark.parametrize("which", ["ins", "del"])
def test_areas_of_golden_curves(which):
    golden = goldens.read("resnet18_stream_cam_metrics")
    for kind in ("gradcam", "gradcampp", "scorecam", "synth"):
        found = area(jnp.asarray(golden[f"{kind}_{which}_scores"]))
        assert_close(found, golden[f"{kind}_{which}_auc"], absolute=1e-6)
        assert_close(found.mean(), golden[f"{kind}_{which}_auc_batch"], absolute=1e-6)
