"""Average drop, gain and increase."""

import jax.numpy as jnp
import numpy as np
import pytest

from castream_jax.metrics.average_drop import average_drop
from castream_jax.metrics.average_gain import average_gain
from castream_jax.metrics.average_increase import average_increase
from tests import goldens
from tests.goldens import assert_close


def test_formulas():
    p = jnp.asarray([0.8, 0.2, 0.5, 0.0, 1.0, 0.0])
    o = jnp.asarray([0.2, 0.8, 0.5, 0.3, 0.4, 0.0])
    assert_close(average_drop(p, o), [0.75, 0, 0, 0, 0.6, 0], absolute=1e-6)
    assert_close(average_gain(p, o), [0, 0.75, 0, 0.3, 0, 0], absolute=1e-6)
    np.testing.assert_array_equal(average_increase(p, o), np.float32([0, 1, 0, 1, 0, 0]))


def test_certain_images_stay_finite():
    one, zero = jnp.ones(1), jnp.zeros(1)
    for p in (zero, one):
        for o in (zero, one):
            assert_close(average_drop(p, o), jnp.maximum(p - o, 0), absolute=0)
            assert_close(average_gain(p, o), jnp.maximum(o - p, 0), absolute=0)


def test_nan_in_nan_out():
    some, nan = jnp.asarray([0.0, 0.5, 1.0]), jnp.full(3, jnp.nan)
    for p, o in ((some, nan), (nan, some), (nan, nan)):
        for metric in (average_drop, average_gain, average_increase):
            assert jnp.isnan(metric(p, o)).all()


KINDS = {
    "resnet18_stream_cam_metrics": ("gradcam", "gradcampp", "scorecam", "synth"),
    "resnet18_gap": ("gradcam", "gradcampp", "scorecam"),
    "convnext_tiny_stream_cam_metrics": ("gradcam", "gradcampp", "scorecam", "synth"),
    "convnext_tiny_stream_alt_cam_metrics": ("gradcam", "gradcampp"),
    "convnext_tiny_gap": ("gradcam", "gradcampp"),
}


@pytest.mark.parametrize(("file", "kind"), [(file, kind) for file, kinds in KINDS.items() for kind in kinds])
def test_golden_fractions(file, kind):
    """The reference's percentages of its own probabilities; its order is AD, AI, AG."""
    golden = goldens.read(file)
    p, o = jnp.asarray(golden[f"{kind}_base_prob"]), jnp.asarray(golden[f"{kind}_masked_prob"])
    drop, increase, gain = (golden[f"{kind}_ad_ai_ag_per_image"] / 100).T
    assert_close(average_drop(p, o), drop, absolute=1e-5)
    assert_close(average_gain(p, o), gain, absolute=1e-5)
    np.testing.assert_array_equal(average_increase(p, o), increase)
