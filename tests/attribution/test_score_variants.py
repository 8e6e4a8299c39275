"""Score-CAM's named variants, in float64 on the same network."""

import jax.numpy as jnp
import numpy as np
import pytest

from castream_jax import InputError
from castream_jax.attribution.score_cam import SCORE_CAM, VARIANTS, score_cam
from castream_jax.binding.program import Plan, Views, run
from tests.attribution.toy import (
    CLASSES,
    IMAGES,
    answer,
    attribute,
    features,
    hide,
    min_max,
    network,
    probabilities,
    upsample,
)

A = features(IMAGES, np)


def upsample_aligned(maps: np.ndarray) -> np.ndarray:
    def along(line):
        return np.interp(np.linspace(0, len(line) - 1, 8), np.arange(len(line)), line)

    return np.apply_along_axis(along, -1, np.apply_along_axis(along, -2, maps))


def weights() -> tuple[np.ndarray, np.ndarray]:
    """Return each channel's probability [B C], and the black image's [B]."""
    own = np.arange(2), CLASSES
    masked = [probabilities(hide(IMAGES, min_max(upsample_aligned(A[..., k]))))[own] for k in range(A.shape[-1])]
    return np.stack(masked, 1), probabilities(hide(IMAGES, np.zeros((2, 8, 8))))[own]


def softmax(values: np.ndarray) -> np.ndarray:
    exponents = np.exp(values)
    return exponents / exponents.sum(1, keepdims=True)


def masked_logits(mask) -> np.ndarray:
    """Return each channel's logit [B C] of what its mask leaves of the normalised images."""
    own = np.arange(2), CLASSES
    return np.stack([answer(IMAGES * mask(A[..., k])[..., None], np)[own] for k in range(A.shape[-1])], 1)


@pytest.mark.parametrize("variant", VARIANTS)
def test_its_weights(variant, monkeypatch):
    monkeypatch.setattr("castream_jax.attribution.score_cam.STRONGEST", 3)
    p, black = weights()
    varied = np.argsort(-A.std((1, 2)), axis=1)[:, :3]
    few = np.zeros(p.shape)
    np.put_along_axis(few, varied, np.take_along_axis(p, varied, 1), 1)
    chosen = {"published": p, "increase": p - black[:, None], "faster": few, "softmax": softmax(p)}
    chosen["pytorch_grad_cam"] = softmax(masked_logits(lambda a: min_max(upsample_aligned(a))))
    chosen["torchcam"] = softmax(masked_logits(lambda a: upsample(min_max(a), (8, 8))))
    expected = np.maximum(np.einsum("bhwc,bc->bhw", A, chosen[variant]), 0)
    np.testing.assert_allclose(attribute(score_cam(variant=variant)), min_max(expected), atol=2e-4)


def test_the_fast_one_asks_for_its_channels_alone(monkeypatch):
    monkeypatch.setattr("castream_jax.attribution.score_cam.STRONGEST", 3)
    views = Views(jnp.asarray(IMAGES, jnp.float32), jnp.asarray(CLASSES)[:, None])
    plan = Plan("feature_map", 4, (score_cam(variant="faster"),))
    assert run({"": network()}, views, plan).ledger.most_for_maps() == 3


def test_they_are_hashed_and_others_refused():
    assert len({score_cam(variant=variant).hash for variant in VARIANTS}) == len(VARIANTS)
    assert score_cam(0.1).hash == SCORE_CAM.hash  # its certificate says how near it is
    with pytest.raises(InputError, match="score_cam_variant"):
        score_cam(variant="fast")
    with pytest.raises(InputError, match="only the weights of 'published' are certified"):
        score_cam(0.1, "increase")
