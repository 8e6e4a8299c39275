"""Feature maps that attributions may start from: what follows from a map that is replaced."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.networks import BUILDS, IMAGES

pytestmark = pytest.mark.slow

TARGETS = {
    "resnet": ("stage4", "stage3", "stage2", "stage1"),
    "convnext": ("branch", "stage4", "downsample2", "downsample1"),
    "efficientnet_lite": ("head", "stage7", "stage6", "stage5", "stage4", "stage3", "stage2", "stage1"),
}


def from_resnet_stage2(model, feature_map):
    """Return the logits of GAP from the second stage on."""
    for stage in (2, 3):
        for block in model.backbone.stages[stage]:
            feature_map = block(feature_map, False)
    return model.classifier(feature_map.mean((1, 2)))


def from_convnext_downsample2(model, feature_map):
    """Return the logits of GAP from the third stage on."""
    backbone = model.backbone
    for block in backbone.stages[2]:
        feature_map = block(feature_map)
    feature_map = backbone.downsamples[2](backbone.downsample_norms[2](feature_map))
    for block in backbone.stages[3]:
        feature_map = block(feature_map)
    return model.classifier(feature_map.mean((1, 2)))


def from_lite_stage4(model, feature_map):
    """Return the logits of GAP from the fifth stage on."""
    backbone = model.backbone
    for stage in (4, 5, 6):
        for block in backbone.stages[stage]:
            feature_map = block(feature_map, False)
    return model.classifier(jnp.clip(backbone.head(feature_map), 0, 6).mean((1, 2)))


SPLITS = {
    "resnet": ("stage2", "stage1", from_resnet_stage2),
    "convnext": ("downsample2", "downsample1", from_convnext_downsample2),
    "efficientnet_lite": ("stage4", "stage3", from_lite_stage4),
}
"""A map of each family, the one before it, and what follows from it."""


@pytest.mark.parametrize("family", BUILDS)
def test_a_map_replaced_by_itself_changes_nothing(family):
    model = BUILDS[family]()
    assert model.targets == TARGETS[family]
    graphdef, state = nnx.split(model)

    @jax.jit
    def run(state, images):
        network = nnx.merge(graphdef, state)
        features = network.features(images)
        replaced = [network.replace(features, target, features[target]) for target in network.targets]
        return features, replaced, network.head(features)[0], [network.head(found)[0] for found in replaced]

    features, replaced, logits, others = run(state, IMAGES)
    for found, other in zip(replaced, others, strict=True):
        assert found.keys() == features.keys()
        np.testing.assert_allclose(other, logits, rtol=1e-4, atol=1e-3 * np.abs(logits).max())


@pytest.mark.parametrize("family", BUILDS)
def test_earlier_maps_stay_and_later_ones_follow(family):
    model = BUILDS[family]("gap")
    target, before, _ = SPLITS[family]
    features = model.features(IMAGES)
    replaced = model.replace(features, target, 2 * features[target])
    np.testing.assert_array_equal(replaced[before], features[before])
    np.testing.assert_array_equal(replaced[target], 2 * features[target])
    last = model.backbone.taps[-1]
    assert np.abs(replaced[last] - features[last]).max() > 1e-3


@pytest.mark.parametrize("family", BUILDS)
def test_the_gradient_is_that_of_a_plain_split(family):
    model = BUILDS[family]("gap")
    target, _, plain = SPLITS[family]
    features = model.features(IMAGES)

    def logit(feature_map):
        return model.head(model.replace(features, target, feature_map))[0][:, 1].sum()

    found = jax.grad(logit)(features[target])
    expected = jax.grad(lambda feature_map: plain(model, feature_map)[:, 1].sum())(features[target])
    assert jnp.abs(expected).max() > 0
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
