"""Group-CAM: its formula in float64, its blur, and groups that are flat."""

import jax.numpy as jnp
import numpy as np
import pytest

import castream_jax.attribution.group_cam as module
from castream_jax.attribution.group_cam import GROUP_CAM, blur_matrix, group_maps
from castream_jax.binding.program import Plan, Views, run
from tests.attribution.toy import (
    CLASSES,
    IMAGES,
    RNG,
    attribute,
    ca_head,
    differentiate,
    features,
    logit,
    min_max,
    network,
    probabilities,
    upsample,
)

pytestmark = pytest.mark.slow


def test_its_formula():
    """Six channels are six groups."""
    a = features(IMAGES, np)
    weights = differentiate(logit(ca_head, CLASSES), a).mean((1, 2))
    maps = np.maximum(a * weights[:, None, None], 0)  # [B h w C]
    low = np.percentile(maps, 70, axis=(1, 2), keepdims=True)
    maps = np.moveaxis(np.where(maps < low, 0, maps), -1, 1)  # [B C h w]
    rows = blur_matrix(8).astype(np.float64)
    blurred = np.einsum("Hh,bhwc,Ww->bHWc", rows, IMAGES, rows)

    def p(images):
        return probabilities(images)[np.arange(2), CLASSES]

    expected = np.zeros(maps[:, 0].shape)
    for k in range(6):
        shown = min_max(upsample(maps[:, k], (8, 8)))[..., None]
        brought = np.maximum(p(shown * IMAGES + (1 - shown) * blurred) - p(blurred), 0)
        expected += brought[:, None, None] * maps[:, k]
    assert expected.max() > 0
    np.testing.assert_allclose(attribute(GROUP_CAM), min_max(expected), atol=1e-3)


def test_classes_have_maps_of_their_own_in_one_run():
    labels = np.array([[3, 0], [1, 4]])
    views = Views(jnp.asarray(IMAGES, jnp.float32), jnp.asarray(labels))
    both = run({"": network()}, views, Plan("feature_map", 5, (GROUP_CAM,)))
    for k in range(2):
        np.testing.assert_allclose(
            both.computed.maps["group_cam", ""][:, k], attribute(GROUP_CAM, labels=labels[:, k]), atol=1e-4
        )
    # The images, the blurred ones, and six groups of each of two classes: none of these serves another class.
    assert both.ledger.most() == 1 + 1 + 2 * 6
    counted = np.asarray(both.ledger.count(jnp.ones(2, bool)))
    np.testing.assert_array_equal(counted, [2 * 14, 2 * 14, 0, 0, 0])


def test_an_image_s_map_is_its_own():
    np.testing.assert_allclose(attribute(GROUP_CAM, IMAGES[1:], CLASSES[1:])[0], attribute(GROUP_CAM)[1], atol=1e-4)


def test_groups_are_neighbours_of_nearly_one_size():
    a = jnp.asarray(RNG.random((1, 2, 2, 70)), jnp.float32)
    found = group_maps(a, jnp.ones((1, 70, 1)))
    assert found.shape == (1, 1, module.GROUPS, 2, 2)
    whole = np.asarray(a)[0].sum(-1).max()
    sizes = [len(np.flatnonzero(np.arange(70) * 32 // 70 == g)) for g in range(32)]
    assert set(sizes) == {2, 3}
    np.testing.assert_allclose(
        np.asarray(found).max((-2, -1))[0, 0, 0], np.asarray(a)[0, :, :, :3].sum(-1).max(), rtol=1e-5
    )
    assert whole > found.max()


def test_a_group_that_is_flat_or_negative_adds_nothing():
    a = jnp.zeros((1, 3, 3, 4)).at[..., 1].set(2)
    found = group_maps(a, jnp.ones((1, 4, 1)).at[:, 2].set(-1))
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[0, 0, [0, 2, 3]], np.zeros((3, 3, 3)))


def test_the_blur_mirrors_without_the_last_pixel_and_keeps_colours():
    matrix = blur_matrix(60).astype(np.float64)
    np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-6)
    line = RNG.random(60)
    kernel = np.exp(-0.5 * ((np.arange(51) - 25) / 50) ** 2)
    expected = np.convolve(np.pad(line, 25, mode="reflect"), kernel / kernel.sum(), mode="valid")
    np.testing.assert_allclose(matrix @ line, expected, atol=1e-6)
    np.testing.assert_allclose(blur_matrix(8).sum(1), 1, atol=1e-6)
