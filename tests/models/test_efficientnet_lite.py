"""EfficientNet-Lite against what torch's networks computed with its weights (`data/make_lite.py`), and its specs."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from castream_jax import create_model, load_torch_weights
from castream_jax.models.efficientnet_lite import SPECS
from tests.goldens import assert_close
from tests.models.data.lite_recipe import MAPS, ODD, SIZES, make_images, make_weights
from tests.networks import forward

pytestmark = pytest.mark.slow

TOLERANCE = 1e-4
LARGE = ("efficientnet_lite3", "efficientnet_lite4")
CLASS = 7  # whose logit the goldens differentiate
NAMES = [pytest.param(name, marks=[pytest.mark.slow] if name in LARGE else []) for name in SIZES]


@functools.cache
def goldens() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).parent / "data" / "lite.npz") as arrays:
        return dict(arrays)


@functools.cache
def network(name: str, weights: str = ""):
    return load_torch_weights(nnx.eval_shape(lambda: create_model(name, "gap")), make_weights(weights or name))


@functools.cache
def odd(name: str = "efficientnet_lite0"):
    return forward(network(name, "efficientnet_lite0"), jnp.asarray(make_images(*ODD)))


@pytest.mark.parametrize("name", NAMES)
def test_logits(name):
    """Of the squares that the network is for, whose static padding in torch is TensorFlow's."""
    images = jnp.asarray(make_images(SIZES[name], SIZES[name]))
    assert_close(forward(network(name), images)[1], goldens()[name], relative=TOLERANCE)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [("efficientnet_lite0", "tf_efficientnet_lite0"), ("efficientnet_lite0_symmetric", "efficientnet_lite0")],
)
def test_logits_of_odd_images(name, theirs):
    assert_close(odd(name)[1], goldens()[f"{theirs} odd"], relative=TOLERANCE)


def test_padding_matters():
    assert np.abs(odd()[1] - odd("efficientnet_lite0_symmetric")[1]).max() > 0.01 * np.abs(odd()[1]).max()


@pytest.mark.parametrize("name", MAPS)
def test_feature_maps(name):
    assert_close(odd()[0][name][0, ..., ::8], goldens()[f"map {name}"], relative=TOLERANCE)


def test_the_gradient_of_an_earlier_map():
    """Through depthwise convolutions of both strides, whose gradients are written by hand."""
    model, features = network("efficientnet_lite0"), {name: values[:1] for name, values in odd()[0].items()}

    def logit(feature_map):
        return model.head(model.replace(features, "stage5", feature_map))[0][0, CLASS]

    found = jax.jit(jax.grad(logit))(features["stage5"])
    assert_close(found[0], goldens()["gradient stage5"], relative=TOLERANCE)


def test_stages_are_scaled_as_published():
    """Widths are multiples of 8; the first and the last stage keep their depths, stem and head their widths."""
    widths = {name: [stage.width for stage in spec.stages] for name, spec in SPECS.items()}
    assert widths["efficientnet_lite0"] == widths["efficientnet_lite1"] == [16, 24, 40, 80, 112, 192, 320]
    assert widths["efficientnet_lite4"] == [24, 32, 56, 112, 160, 272, 448]
    assert [stage.depth for stage in SPECS["efficientnet_lite4"].stages] == [1, 4, 4, 6, 6, 8, 1]


def test_the_stream_reads_the_taps_of_the_spec():
    model = nnx.eval_shape(lambda: create_model("efficientnet_lite0"))
    assert model.backbone.taps == ("stage2", "stage3", "stage5", "head")
    assert model.backbone.tap_widths == (24, 40, 112, 1280)
    assert [projection.in_features for projection in model.stream.projections] == [24, 40, 112, 1280]
